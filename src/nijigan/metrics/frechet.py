"""Fréchet distance between two sets of features, from moments that are accumulated block by block."""

from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Progress
from nijigan.metrics.arrays import FeatureArray, blocks, check_features
from nijigan.metrics.score import Score

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """The statistics of a set of features that a Fréchet distance depends on."""

    n: int
    """Number of rows."""
    mean: npt.NDArray[np.float64]
    """Mean of each of the D dimensions."""
    cov: Matrix
    """D×D covariance, normalised by n - 1."""


def moments(features: FeatureArray, block: int = 4096) -> Moments:
    """Moments of N×D features, in float64, `block` rows at a time.

    Raises:
        UserError: There are fewer than 2 rows, or values that are not finite.
    """
    check_features(features, at_least=2)
    n, dims = features.shape
    total = Moments(0, np.zeros(dims), np.zeros((dims, dims)))
    for rows in blocks(n, block):
        wide = features[rows].astype(np.float64)
        mean = wide.mean(axis=0)
        wide -= mean
        total = merge(total, Moments(len(wide), mean, wide.T @ wide / max(1, len(wide) - 1)))
    return total


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of two disjoint sets together (Chan, Golub & LeVeque 1983, eq. 2.1)."""
    n = a.n + b.n
    gap = b.mean - a.mean
    scatter = a.cov * max(0, a.n - 1) + b.cov * max(0, b.n - 1) + np.outer(gap, gap) * (a.n * b.n / n)
    return Moments(n, a.mean + gap * (b.n / n), scatter / max(1, n - 1))


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Fréchet distance of two Gaussians (Dowson & Landau 1982; for images Heusel et al. 2017, eq. 6).

    |μa - μb|² + tr(A + B - 2(AB)^½). Its upward bias grows as the sets get smaller: compare only distances between sets
    of equal size, and relate them to the distance between two halves of the real faces.

    Returns:
        The distance, at least 0.
    """
    return _distance(a, _factor(a.cov), b)


def frechet_score(features: FeatureArray, real: Moments, size: int, progress: Progress | None = None) -> Score:
    """The mean distance over disjoint subsets, with its minimum and maximum.

    The range is not a confidence interval. The bias depends on the size of a set, and so do all three numbers: compare
    them only with distances at `size` faces.

    Args:
        features: N×D features of generated faces. Consecutive rows form a subset; the remainder is not used.
        real: Moments of the real faces.
        size: Faces in each subset, from 2 to N.
        progress: Called with (subsets done, all subsets).

    Returns:
        The score; without low and high if there is only one subset.

    Raises:
        UserError: There are not enough features, or some are not finite.
    """
    check_features(features, at_least=max(2, size))
    factor = _factor(real.cov)
    starts, distances = range(0, len(features) - size + 1, size), []
    for start in starts:
        distances.append(_distance(real, factor, moments(features[start : start + size])))
        if progress is not None:
            progress(len(distances), len(starts))
    spread = (min(distances), max(distances)) if len(distances) > 1 else (None, None)
    return Score(fmean(distances), *spread)


def _distance(a: Moments, factor: Matrix, b: Moments) -> float:
    """The distance, given a factor F of `a`'s covariance, FFᵀ = A."""
    gap = a.mean - b.mean
    # tr (AB)^½ is the sum of the singular values of FᵀG, where GGᵀ = B. Unlike the root of a product, this does not
    # require full rank, so sets with fewer faces than dimensions need no special case.
    overlap = np.linalg.svd(factor.T @ _factor(b.cov), compute_uv=False).sum()
    return max(0.0, float(gap @ gap + np.trace(a.cov) + np.trace(b.cov) - 2 * overlap))


def _factor(cov: Matrix) -> Matrix:
    """F of full column rank with FFᵀ = `cov`; directions whose variance is rounding error are omitted."""
    values, vectors = np.linalg.eigh(cov)
    kept = values > values[-1] * len(cov) * np.finfo(np.float64).eps
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))
