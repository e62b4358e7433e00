"""Scores based on nearest neighbours: precision, recall, density, coverage, diversity, realism and originality.

Distances are Euclidean. No result depends on the block size, and memory does not grow with the square of the number of
faces.
"""

from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt
import torch

from nijigan.aliases import Progress
from nijigan.metrics.arrays import FeatureArray, blocks, check_features
from nijigan.metrics.distances import between, distance_block, distance_blocks, mean_row, within
from nijigan.metrics.intervals import share
from nijigan.metrics.score import Score

Indices = npt.NDArray[np.int64]

_SPARE = 4
"""Candidates kept in addition to the k nearest; their recomputed distances decide which are the nearest."""


def nearest(
    queries: FeatureArray, references: FeatureArray, k: int = 1, block: int = 2048, progress: Progress | None = None
) -> tuple[FeatureArray, Indices]:
    """The `k` nearest references of each query.

    Args:
        queries: N×D.
        references: M×D, at least `k`.
        k: Number of references.
        block: Rows per block. Memory is a small multiple of 4·block² bytes.
        progress: Called with (queries done, N).

    Returns:
        Distances (N×k float32, ascending) and row numbers among the references (N×k int64).

    Raises:
        UserError: The arrays are too small, of unequal dimension or not finite.
    """
    check_features(queries, at_least=1)
    check_features(references, at_least=k)
    check_features(queries, references, at_least=1)
    return _nearest(queries, references, k, block, progress, skip_diagonal=False)


def radii(features: FeatureArray, k: int, block: int = 2048, progress: Progress | None = None) -> FeatureArray:
    """Each row's distance to its `k`-th nearest neighbour among the other rows: N float32.

    `progress` is called with (rows done, N).

    Raises:
        UserError: There are at most `k` rows, or values that are not finite.
    """
    check_features(features, at_least=k + 1)
    return _nearest(features, features, k, block, progress, skip_diagonal=True)[0][:, -1]


def manifold_scores(
    real: FeatureArray, real_radii: FeatureArray, fake: FeatureArray, k: int, block: int = 2048
) -> dict[str, Score]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, eqs. 1-2), density and coverage (Naeem et al. 2020).

    The manifold of a set is the union of balls around its faces; the radius of a ball is the distance to the `k`-th
    neighbour. Balls are open, so that the density of a set against itself is exactly 1. The Wilson intervals are
    conditional on one of the two sets:

    - precision (share of generated faces within the real manifold): given the real faces, generated ones are
      independent.
    - recall (share of real faces within the generated manifold): given the generated faces, real ones are independent.
    - coverage (share of real balls that contain a generated face): given the generated faces. Real balls overlap, so
      they are not quite independent, and the interval is approximate.

    Density (number of real balls that contain a generated face, divided by `k`) is a mean of dependent counts and has
    no interval.

    Args:
        real: M×D.
        real_radii: `radii(real, k)`.
        fake: N×D. Recall and coverage grow with N: compare them only at equal N.
        k: Number of neighbours; less than M and N.
        block: Rows per block.

    Returns:
        precision, recall, density, coverage.

    Raises:
        UserError: The arrays are too small, of unequal dimension or not finite.
    """
    check_features(real, fake, at_least=k + 1)
    real_reach, fake_reach = torch.tensor(real_radii), torch.tensor(radii(fake, k, block))[:, None]
    containing = torch.zeros(len(fake), dtype=torch.int64)  # real balls that contain each generated face
    covered = torch.zeros(len(real), dtype=torch.bool)
    recalled = torch.zeros(len(real), dtype=torch.bool)
    for part in distance_blocks(fake, real, block):
        inside = within(fake, real, part, real_reach[part.columns])
        containing[part.rows] += inside.sum(1)
        covered[part.columns] |= inside.any(0)
        recalled[part.columns] |= within(fake, real, part, fake_reach[part.rows]).any(0)
    return {
        "precision": share(int(containing.count_nonzero()), len(fake)),
        "recall": share(int(recalled.count_nonzero()), len(real)),
        "density": Score(float(containing.double().mean()) / k),
        "coverage": share(int(covered.count_nonzero()), len(real)),
    }


def diversity(real: FeatureArray, fake: FeatureArray, block: int = 2048) -> Score:
    """Mean distance between generated faces over that between real faces: 0 if all generated faces are the same.

    Raises:
        UserError: The arrays are too small, of unequal dimension or not finite.
    """
    check_features(real, fake, at_least=2)
    return Score(mean_distance(fake, block) / mean_distance(real, block))


def mean_distance(features: FeatureArray, block: int = 2048) -> float:
    """Mean distance over all pairs of different rows.

    Raises:
        UserError: There are fewer than 2 rows, or values that are not finite.
    """
    check_features(features, at_least=2)
    centre = mean_row(features)
    total = 0.0
    for rows, columns in combinations_with_replacement(blocks(len(features), block), 2):
        squares = distance_block(features, rows, features, columns, centre).squares
        # The distance of a row to itself is rounding error, not 0; each pair counts in one block only.
        total += float((squares.triu_(1) if rows == columns else squares).sqrt_().sum(dtype=torch.float64))
    return total / (len(features) * (len(features) - 1) / 2)


def realism(
    features: FeatureArray,
    references: FeatureArray,
    radii: FeatureArray,
    block: int = 2048,
    progress: Progress | None = None,
) -> FeatureArray:
    """How deep within the real manifold each face lies (Kynkäänniemi et al. 2019, eq. 3).

    It is the maximum of radius(r) / |x - r| over real faces r. As in the paper, real faces whose radius is above the
    median are omitted, because their balls extend into empty space.

    Args:
        features: N×D, the faces to judge.
        references: M×D real faces.
        radii: `radii(references, k)`.
        block: Rows per block.
        progress: Called with (faces done, N).

    Returns:
        N float32; at least 1 within the pruned manifold, infinite if a face equals a real one.

    Raises:
        UserError: The arrays are too small, of unequal dimension or not finite.
    """
    check_features(references, features, at_least=1)
    kept = np.flatnonzero(radii <= np.median(radii))
    references, reach = references[kept], torch.tensor(radii[kept])
    best = torch.full((len(features),), -1.0)
    where = torch.zeros(len(features), dtype=torch.int64)
    for part in distance_blocks(features, references, block, progress):
        # References within rounding error of a face count as equal to it; any of them will do.
        ratio, index = (reach[part.columns] ** 2 / part.squares.clamp_(min=1e-30)).max(1)
        better = ratio > best[part.rows]
        best[part.rows] = ratio.where(better, best[part.rows])
        where[part.rows] = (index + part.columns.start).where(better, where[part.rows])
    distances = between(features, np.arange(len(features)), references, where.numpy())
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distances > 0, reach[where].numpy() / distances, np.float32(np.inf))


def originality(generated_nearest: FeatureArray, test_nearest: FeatureArray) -> Score:
    """Share of generated faces that are farther from every training face than the closest 1 % of unseen real faces.

    New faces score 0.99, copies 0. The Wilson interval treats the threshold as known; a few hundred unseen faces are
    enough to make it stable. With up to 100 of them the threshold is their smallest distance.

    Args:
        generated_nearest: Distance from each generated face to its nearest training face.
        test_nearest: Distance from each unseen real face to its nearest training face.

    Raises:
        UserError: One of them is empty or not finite.
    """
    check_features(generated_nearest.reshape(-1, 1), test_nearest.reshape(-1, 1), at_least=1)
    threshold = np.quantile(test_nearest, 0.01, method="inverted_cdf")
    return share(int(np.count_nonzero(generated_nearest > threshold)), generated_nearest.size)


def _nearest(
    queries: FeatureArray,
    references: FeatureArray,
    k: int,
    block: int,
    progress: Progress | None,
    *,
    skip_diagonal: bool,
) -> tuple[FeatureArray, Indices]:
    """As `nearest`, without its checks. With `skip_diagonal`, row i of the references is no neighbour of query i."""
    n, candidates = len(queries), min(k + _SPARE, len(references))
    squares = torch.full((n, candidates), torch.inf)
    indices = torch.zeros((n, candidates), dtype=torch.int64)
    for part in distance_blocks(queries, references, block, progress):
        if skip_diagonal and part.rows == part.columns:
            part.squares.fill_diagonal_(torch.inf)
        least, index = part.squares.topk(min(candidates, part.squares.shape[1]), largest=False)
        squares[part.rows], order = torch.cat([squares[part.rows], least], 1).topk(candidates, largest=False)
        indices[part.rows] = torch.cat([indices[part.rows], index + part.columns.start], 1).gather(1, order)
    found = indices.numpy()
    distances = between(queries, np.repeat(np.arange(n), candidates), references, found.ravel()).reshape(found.shape)
    distances[torch.isinf(squares).numpy()] = np.inf
    order_of_measured = np.lexsort((found, distances))[:, :k]
    return np.take_along_axis(distances, order_of_measured, 1), np.take_along_axis(found, order_of_measured, 1)
