"""Choose the best of many generated faces, by the criteria of yield: the face detector, and realism."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Images, Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.generator.latents import check_seeds
from nijigan.judges.feature_spaces import FeatureSpace, open_feature_space
from nijigan.judges.real import NEIGHBOURS, real_faces
from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.neighbours import radii, realism
from nijigan.vision.finder import have_faces

log = logging.getLogger("nijigan")

MOST_CANDIDATES = 100_000

_CHUNK = 256  # faces generated and judged at once
_REFERENCES = 500  # faces of the generator that take the place of real ones
_REFERENCE_SEED = 2**42  # far from the seeds that people choose


@dataclass(frozen=True)
class Selection:
    """The seeds of the best faces."""

    seeds: tuple[int, ...]
    """The chosen seeds, the best first."""
    candidates: int
    """Number of faces that were judged."""
    good: int
    """How many of them are good, as yield counts them. Without real faces: in how many the detector finds a face."""


def best_seeds(
    generator: Generator,
    seeds: Sequence[int],
    keep: int,
    *,
    dataset: FaceDataset | None = None,
    psi: float = 1.0,
    attributes: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Selection:
    """Choose the seeds of the best faces: good ones before others, and the more realistic first.

    Args:
        generator: the generator.
        seeds: the candidates, at most `MOST_CANDIDATES`.
        keep: how many to choose, 1 to the number of candidates.
        dataset: the real faces that a face is compared with, as for yield; see `nijigan.judges.evaluation`. Default:
            500 other faces of the generator take their place, so that the most typical faces are chosen.
        psi: truncation, as in `Generator.sample`.
        attributes: requested values, as in `Generator.sample`.
        progress: called with (candidates judged, their number).

    Raises:
        UserError: a number is out of range, the dataset has too few faces, or the generator does not have such an
            attribute or value.
    """
    check_seeds(seeds)
    if len(seeds) > MOST_CANDIDATES:
        raise UserError(f"{len(seeds):,} faces are too many to choose from; generate at most {MOST_CANDIDATES:,}.")
    if not 1 <= keep <= len(seeds):
        raise UserError(f"{keep} faces cannot be chosen from {len(seeds):,}; choose 1 to {len(seeds):,}.")
    requested = dict(attributes or {})
    generator.check_psi(psi)
    generator.codes(seeds[:1], **requested)
    judge = _Judge.open(generator, dataset, progress)
    log.info("Generating %s faces to choose %d from", f"{len(seeds):,}", keep)
    good, depth = np.zeros(len(seeds), np.bool_), np.zeros(len(seeds), np.float32)
    for start in range(0, len(seeds), _CHUNK):
        part = slice(start, start + _CHUNK)
        images = generator.sample_seeds(seeds[part], psi=psi, batch_size=_CHUNK, **requested)
        good[part], depth[part] = judge.judge(images)
        if progress:
            progress(min(start + _CHUNK, len(seeds)), len(seeds))
    order = np.lexsort((-depth, ~good))[:keep]
    return Selection(tuple(int(seeds[index]) for index in order), len(seeds), int(good.sum()))


@dataclass(frozen=True)
class _Judge:
    """What a face is compared with."""

    space: FeatureSpace
    references: FeatureArray
    radii: FeatureArray
    threshold: float
    """The realism of a good face."""

    @classmethod
    def open(cls, generator: Generator, dataset: FaceDataset | None, progress: Progress | None) -> "_Judge":
        resolution = generator.header.resolution
        space = open_feature_space(side=resolution)
        if dataset is not None:
            log.info("Reading or computing the features of the real faces in %s", dataset.path)
            real = real_faces(dataset, "val", resolution, space, progress)
            return cls(space, real.train, real.radii, real.threshold)
        log.info("Computing the features of %d other faces of this generator, to compare with", _REFERENCES)
        features = space.extract(generator.sample(_REFERENCES, seed=_REFERENCE_SEED), progress=progress)
        return cls(space, features, radii(features, NEIGHBOURS), 0.0)

    def judge(self, images: Images) -> tuple[npt.NDArray[np.bool_], FeatureArray]:
        """Whether each of N faces is good, and its realism."""
        depth = realism(self.space.extract(images), self.references, self.radii)
        return have_faces(images) & (depth >= self.threshold), depth
