"""Choose the best of many generated faces: those that a person would most probably keep."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nijigan.aliases import Progress
from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.generator.latents import check_seeds
from nijigan.judges.quality import keep_probability

log = logging.getLogger("nijigan")

MOST_CANDIDATES = 100_000

_CHUNK = 256  # faces generated and judged at once


@dataclass(frozen=True)
class Selection:
    """The seeds of the best faces."""

    seeds: tuple[int, ...]
    """The chosen seeds, the best first."""
    chances: tuple[float, ...]
    """The chance that a person keeps each of these faces, in the same order."""
    candidates: int
    """Number of faces that were judged."""
    good: int
    """How many of them a person would rather keep than throw away: their chance is at least one half."""


def best_seeds(
    generator: Generator,
    seeds: Sequence[int],
    keep: int,
    *,
    psi: float = 1.0,
    attributes: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Selection:
    """Choose the seeds of the faces that people most probably keep; see `nijigan.judges.quality`.

    Args:
        generator: the generator.
        seeds: the candidates, at most `MOST_CANDIDATES`.
        keep: how many to choose, 1 to the number of candidates.
        psi: truncation, as in `Generator.sample`.
        attributes: requested values, as in `Generator.sample`.
        progress: called with (candidates judged, their number).

    Raises:
        UserError: a number is out of range, or the generator does not have such an attribute or value.
    """
    check_seeds(seeds)
    if len(seeds) > MOST_CANDIDATES:
        raise UserError(f"{len(seeds):,} faces are too many to choose from; generate at most {MOST_CANDIDATES:,}.")
    if not 1 <= keep <= len(seeds):
        raise UserError(f"{keep} faces cannot be chosen from {len(seeds):,}; choose 1 to {len(seeds):,}.")
    requested = dict(attributes or {})
    generator.check_psi(psi)
    generator.codes(seeds[:1], **requested)
    log.info("Generating %s faces to choose %d from", f"{len(seeds):,}", keep)
    chances = np.zeros(len(seeds), np.float32)
    for start in range(0, len(seeds), _CHUNK):
        part = slice(start, start + _CHUNK)
        images = generator.sample_seeds(seeds[part], psi=psi, batch_size=_CHUNK, **requested)
        chances[part] = keep_probability(images)
        if progress:
            progress(min(start + _CHUNK, len(seeds)), len(seeds))
    order = np.argsort(-chances, kind="stable")[:keep]
    return Selection(
        seeds=tuple(int(seeds[index]) for index in order),
        chances=tuple(float(chances[index]) for index in order),
        candidates=len(seeds),
        good=int((chances >= 0.5).sum()),
    )
