"""Euclidean distances between two feature arrays, a block at a time.

A block is computed in float32, where |x|² + |y|² - 2x·y loses its digits for rows that are close to each other. It is
therefore only used to find candidates. Every distance that a score depends on is computed again by `between`, from the
difference of the two rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nijigan.aliases import Progress
from nijigan.metrics.arrays import FeatureArray, blocks

_ROUNDING = 1e-5
"""Bound on the error of a squared distance in a block, as a fraction of |x|² + |y|²."""


@dataclass(frozen=True)
class DistanceBlock:
    """A part of a distance matrix."""

    rows: slice
    columns: slice
    squares: Tensor
    """Squared distances, at least 0."""
    error: Tensor
    """Bound on the error of each of them."""


def distance_blocks(
    queries: FeatureArray, references: FeatureArray, block: int, progress: Progress | None = None
) -> Iterator[DistanceBlock]:
    """The whole matrix of distances from N×D queries (rows) to M×D references (columns), `block` of each at a time.

    Args:
        queries: N×D.
        references: M×D.
        block: rows and columns of a block.
        progress: called with (rows done, N).
    """
    centre = mean_row(references)
    for rows in blocks(len(queries), block):
        for columns in blocks(len(references), block):
            yield distance_block(queries, rows, references, columns, centre)
        if progress is not None:
            progress(rows.stop, len(queries))


def distance_block(
    queries: FeatureArray, rows: slice, references: FeatureArray, columns: slice, centre: FeatureArray
) -> DistanceBlock:
    """One block. `centre` is subtracted from all rows, which makes them shorter and reduces rounding errors."""
    x, y = torch.from_numpy(queries[rows] - centre), torch.from_numpy(references[columns] - centre)
    norms = x.square().sum(1)[:, None] + y.square().sum(1)
    return DistanceBlock(rows, columns, torch.addmm(norms, x, y.T, alpha=-2).clamp_(min=0), norms.mul_(_ROUNDING))


def mean_row(features: FeatureArray) -> FeatureArray:
    """The mean of all rows, summed in float64."""
    return np.asarray(features.mean(axis=0, dtype=np.float64), np.float32)


def within(queries: FeatureArray, references: FeatureArray, part: DistanceBlock, reach: Tensor) -> Tensor:
    """Which distances of a block are below `reach` (broadcast to its shape); those close to it are computed again."""
    margin = part.squares - reach.square()
    below = margin < 0
    close = (margin.abs() <= part.error).nonzero()
    i, j = close[:, 0], close[:, 1]
    measured = between(queries, (i + part.rows.start).numpy(), references, (j + part.columns.start).numpy())
    below[i, j] = torch.from_numpy(measured) < reach.expand_as(margin)[i, j]
    return below


def between(
    queries: FeatureArray, i: npt.NDArray[np.int64], references: FeatureArray, j: npt.NDArray[np.int64]
) -> FeatureArray:
    """Distances of the pairs queries[i], references[j] from their differences, summed in float64."""
    distances = np.empty(len(i), np.float32)
    for part in blocks(len(i), 4096):
        gap = queries[i[part]].astype(np.float64) - references[j[part]]
        distances[part] = np.sqrt(np.einsum("nd,nd->n", gap, gap))
    return distances
