"""Directions in latent space along which faces change most, with names for what changes.

Härkönen et al., "GANSpace: Discovering Interpretable GAN Controls", NeurIPS 2020, regress latents on the principal
components of a layer's activations. Here small pictures take the place of activations, which suits any architecture: a
linear map from latents to 8×8 pictures is fitted, and its leading singular vectors are the directions. A direction is
named after the measure of `nijigan.export.measures` with which it correlates most.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Codes, Images, Progress
from nijigan.errors import UserError, check
from nijigan.export.measures import SIDE, measure, reduce
from nijigan.generator.face import decode_latent, encode_latent
from nijigan.generator.header import GeneratorHeader
from nijigan.generator.latents import Latents, latents
from nijigan.jsonio import parse_json
from nijigan.safe_text import LONGEST_VALUE, is_safe

MOST = 8
"""Directions that are returned."""

_PIXELS = 600 * 64**2  # in all samples, so that large faces do not take minutes
_FEWEST, _SAMPLES = 200, 600
_BATCH = 64
_SMALL = 8  # height and width of the pictures whose changes are explained
_NAMED = 0.4  # correlation from which a measure names a direction
_RIDGE = 0.05  # of the number of samples: it damps what few samples say about long latents
_SLIGHT = 0.01  # of the first singular value: what changes less is no direction

_Matrix = npt.NDArray[np.float64]


class Draws(Protocol):
    """What directions need of a generator."""

    header: GeneratorHeader

    def codes(self, seeds: Sequence[int], /) -> Codes:
        """Codes of the attributes of N seeds, N×A."""

    def synthesise(self, latents: Latents, codes: Codes | None = None, /) -> Images:
        """Faces, uint8 N×H×W×3."""


@dataclass(frozen=True)
class Direction:
    """A direction in latent space."""

    name: str
    """The measure that grows along it, or `component k`."""
    vector: Latents
    """Of length 1, float32."""
    spread: float
    """Standard deviation of the latents' projections on it: of a normal prior about 1."""
    correlation: float | None
    """Of the projection with the measure; None if no measure names it."""

    def to_json(self) -> dict[str, Any]:
        """The direction for JSON; the vector as `nijigan.generator.face.encode_latent` writes it."""
        vector = encode_latent(self.vector)
        return {"name": self.name, "vector": vector, "spread": self.spread, "correlation": self.correlation}


@dataclass(frozen=True)
class _Entry:
    """A direction in JSON, its vector in base64."""

    name: str
    vector: str
    spread: float
    correlation: float | None


@dataclass(frozen=True)
class _Directions:
    directions: tuple[_Entry, ...]


def directions_json(directions: Sequence[Direction]) -> str:
    """Directions as the metadata of an exported file holds them."""
    return json.dumps({"directions": [one.to_json() for one in directions]})


def read_directions(text: str, size: int, source: str) -> list[Direction]:
    """Read what `directions_json` wrote.

    Args:
        text: the JSON.
        size: the length of the generator's latents.
        source: where the text comes from, for messages.

    Raises:
        UserError: it is damaged, or has latents of another length.
    """
    found = []
    for one in parse_json(_Directions, text, f"The list of directions in {source}").directions:
        try:
            vector = decode_latent(one.vector)
        except UserError:
            vector = np.zeros(0, np.float32)
        numbers = (one.spread, one.correlation or 0.0)
        finite, named = bool(np.isfinite(numbers).all()), is_safe(one.name) and len(one.name) <= LONGEST_VALUE
        check(finite and named and len(vector) == size, f"{source} has damaged directions; export the generator again.")
        found.append(Direction(one.name, vector, one.spread, one.correlation))
    return found


def find_directions(generator: Draws, progress: Progress | None = None) -> list[Direction]:
    """Find up to `MOST` directions, the one with the greatest changes first.

    It takes some seconds. The same generator gives the same directions up to rounding.

    Args:
        generator: a generator, or what draws like one.
        progress: called with (faces drawn, faces in all).

    Returns:
        The directions; none if the prior is uniform or a sphere, which moving along a line would leave.
    """
    latent = generator.header.latent
    if latent.prior not in ("normal", "truncated-normal"):
        return []
    count = int(np.clip(_PIXELS // generator.header.resolution**2, _FEWEST, _SAMPLES))
    seeds = range(count)
    z, codes = latents(seeds, latent.size, latent.prior), generator.codes(seeds)
    pictures, measures = _sampled(generator, z, codes, progress)
    labels = _one_hot(codes)
    z64 = z.astype(np.float64) - z.mean(axis=0)
    vectors, changes = _leading(z64, _without(labels, pictures))
    kept = [vector for vector, change in zip(vectors.T, changes, strict=True) if change > _SLIGHT * changes[0]][:MOST]
    explained = {name: _without(labels, values[:, None])[:, 0] for name, values in measures.items()}
    return _named(kept, z64, explained)


def _sampled(
    generator: Draws, z: Latents, codes: Codes, progress: Progress | None
) -> tuple[_Matrix, dict[str, _Matrix]]:
    """Small pictures, N×192, and the measures of every face."""
    small, measured = [], []
    for start in range(0, len(z), _BATCH):
        part = slice(start, start + _BATCH)
        drawn = generator.synthesise(z[part], codes[part])
        small.append(reduce(drawn, _SMALL).reshape(len(drawn), -1))
        measured.append(measure(reduce(drawn, SIDE)))
        if progress:
            progress(start + len(drawn), len(z))
    return np.concatenate(small), {name: np.concatenate([one[name] for one in measured]) for name in measured[0]}


def _one_hot(codes: Codes) -> _Matrix:
    """N×K: a column of ones, and one for each value of each attribute that occurs."""
    columns = [np.ones((len(codes), 1))]
    columns += [(column[:, None] == np.unique(column)).astype(np.float64) for column in codes.T]
    return np.concatenate(columns, axis=1)


def _without(labels: _Matrix, values: _Matrix) -> _Matrix:
    """N×K values less what the attributes explain, which is no matter of the latent."""
    return values - labels @ np.linalg.lstsq(labels, values, rcond=None)[0]


def _leading(z: _Matrix, pictures: _Matrix) -> tuple[_Matrix, _Matrix]:
    """Directions as columns, and how much the pictures change along each: the SVD of z → pictures."""
    square = z.T @ z + _RIDGE * len(z) * np.eye(z.shape[1])
    weights = np.linalg.solve(square, z.T @ pictures)  # size×192
    directions, changes, _ = np.linalg.svd(weights, full_matrices=False)
    return directions, changes


def _named(vectors: Sequence[_Matrix], z: _Matrix, measures: dict[str, _Matrix]) -> list[Direction]:
    """Name directions in their order; a name that is taken leaves the next best."""
    found: list[Direction] = []
    for place, vector in enumerate(vectors, start=1):
        moved = z @ vector
        taken = {direction.name for direction in found}
        free = {name: _correlation(moved, values) for name, values in measures.items() if name not in taken}
        best = max(free, key=lambda name: abs(free[name]), default="")
        if best and abs(free[best]) >= _NAMED:
            name, correlation, sign = best, abs(free[best]), np.sign(free[best])
        else:
            name, correlation, sign = f"component {place}", None, np.sign(vector[np.abs(vector).argmax()])
        unit = (sign * vector / np.linalg.norm(vector)).astype(np.float32)
        found.append(Direction(name, unit, float(moved.std()), correlation and float(correlation)))
    return found


def _correlation(a: _Matrix, b: _Matrix) -> float:
    """Pearson's, 0 where one of them is constant."""
    both = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / both) if both > 1e-12 else 0.0
