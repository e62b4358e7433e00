"""Kernel inception distance (Bińkowski et al. 2018) over all samples, with a confidence interval."""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import sqrt

import torch
from torch import Tensor

from nijigan.metrics.arrays import FeatureArray, blocks, check_features
from nijigan.metrics.intervals import affine_variance, normal_quantile
from nijigan.metrics.score import Score


def kid(real: FeatureArray, fake: FeatureArray, block: int = 2048) -> Score:
    """Unbiased squared maximum mean discrepancy under the kernel (x·y/D + 1)³, and its 95 % interval.

    Every pair counts once, not only pairs within random subsets. If the two distributions are equal, the true value is
    0 and estimates fall on both sides of it: a negative KID is not an error.

    The interval is the score interval of the two-sample U-statistic. Write δ for the true difference of the mean
    embeddings, so that KID = |δ|², and C for the covariance of its estimate d. The variance of the value is then
    2 tr C² + 4 δᵀCδ, Hoeffding's second-order and first-order terms (Sutherland et al. 2017, eq. 5; Bounliphone et al.
    2016). The second one vanishes if the distributions are equal, so both are needed. tr C² is estimated without bias,
    and δᵀCδ as |δ|² times the variance along δ (`_variance_along`). In simulations the interval contained the true
    value in 93 to 98 % of all draws, for Gaussian features and for correlated features with few factors, at 500 to
    5,000 faces on either side. The features must not have heavy tails, since the variance of a cubic kernel depends on
    sixth moments.

    Args:
        real: M×D features of real faces, at least 4.
        fake: N×D features of generated faces, at least 4; M and N may differ.
        block: Rows per block. Memory is a small multiple of 8·block² bytes; the result does not depend on it.

    Returns:
        The value, unscaled, and the interval, whose lower end may be negative.

    Raises:
        UserError: The arrays are too small, of unequal dimension or not finite.
    """
    check_features(real, fake, at_least=4)
    x, y, cross_squares = _kernel_sums(real, fake, block)
    m, n = len(real), len(fake)
    value = float(x.own.mean() + y.own.mean() - x.cross.mean() - y.cross.mean())

    # tr C² from the squares of the kernel, centred over rows and columns.
    between = cross_squares - n * x.cross.square().sum() - m * y.cross.square().sum() + m * n * x.cross.mean() ** 2
    between = between / ((m - 1) * (n - 1))
    trace = x.centred_square() / (m * (m - 1)) + y.centred_square() / (n * (n - 1)) + 2 * between / (m * n)
    trace_of_square = max(0.0, float(trace))

    # dᵀCd is the variance of the witness function, |d|² the biased estimate of KID.
    along = float((x.own - x.cross).var() / m + (y.own - y.cross).var() / n)
    biased = value + float((x.itself - x.own).mean() / m + (y.itself - y.own).mean() / n)
    slope = 4 * _variance_along(value, biased, along, trace_of_square)

    low, high = affine_variance(value, at_zero=2 * trace_of_square, slope=slope)
    return Score(value=value, low=low, high=high)


def _variance_along(value: float, biased: float, along: float, trace_of_square: float) -> float:
    """The variance of d, the estimate of δ, in the direction of δ.

    Along d itself it is dᵀCd / |d|², and with the noise of d removed (dᵀCd - tr C²) / (|d|² - tr C). If d is large
    compared with its noise, the larger of the two is used. The smaller d is, the less is known of the direction of δ:
    noise may have cancelled just that part of δ where noise is greatest. The estimate then moves gradually to the
    geometric mean of the first value and the greatest possible variance, which is the root of tr C². This rule was
    chosen by simulation: with only the first value, the interval contained the true value in 90 % of draws at worst,
    and with the greatest variance it was up to 50 % wider.

    Args:
        value: Unbiased estimate of |δ|².
        biased: |d|².
        along: dᵀCd.
        trace_of_square: tr C².

    Returns:
        The variance, for δ of unit length.
    """
    greatest = sqrt(trace_of_square)
    if biased <= 0 or greatest == 0:  # sets that are equal row by row
        return greatest
    along_d = min(along / biased, greatest)
    cleaned = min(max(along_d, (along - trace_of_square) / value), greatest) if value > 0 else along_d
    certainty = min(max(0.0, value / (normal_quantile(0.95) * sqrt(2) * greatest)), 1.0)
    return certainty * cleaned + (1 - certainty) * sqrt(along_d * greatest)


@dataclass
class _Rows:
    """Sums of the kernel matrix for the rows of one set, in float64."""

    own: Tensor
    """Each row's mean kernel with the other rows of its set."""
    cross: Tensor
    """Each row's mean kernel with the rows of the other set."""
    itself: Tensor
    """Each row's kernel with itself."""
    squares: float = 0.0
    """Sum of squared kernels over ordered pairs of different rows of the set."""

    def centred_square(self) -> Tensor:
        """Unbiased mean square of the centred kernel within the set: U-centring (Székely & Rizzo 2014, eq. 3.1)."""
        n = len(self.own)
        sums = self.own * (n - 1)
        centred = self.squares - 2 / (n - 2) * sums.square().sum() + sums.sum() ** 2 / ((n - 1) * (n - 2))
        return centred / (n * (n - 3))


def _kernel_sums(x: FeatureArray, y: FeatureArray, block: int) -> tuple[_Rows, _Rows, float]:
    """One pass over the upper triangle of the pooled kernel matrix.

    Returns:
        The rows of `x`, the rows of `y`, and the sum of squared kernels between them.
    """
    sets = x, y
    rows = [_Rows(*torch.zeros(3, len(features), dtype=torch.float64)) for features in sets]
    cross_squares = 0.0
    pooled = [(g, part) for g in (0, 1) for part in blocks(len(sets[g]), block)]
    for (g, a), (h, b) in combinations_with_replacement(pooled, 2):
        # float64 after the product: KID is a small difference of large means.
        kernel = (torch.tensor(sets[g][a]) @ torch.tensor(sets[h][b]).T).double().div_(x.shape[1]).add_(1).pow_(3)
        if g != h:
            rows[0].cross[a] += kernel.sum(1) / len(y)
            rows[1].cross[b] += kernel.sum(0) / len(x)
            cross_squares += float(kernel.square_().sum())
        elif a == b:
            rows[g].itself[a] = kernel.diagonal()
            rows[g].own[a] += kernel.fill_diagonal_(0).sum(1) / (len(sets[g]) - 1)
            rows[g].squares += float(kernel.square_().sum())
        else:
            rows[g].own[a] += kernel.sum(1) / (len(sets[g]) - 1)
            rows[g].own[b] += kernel.sum(0) / (len(sets[g]) - 1)
            rows[g].squares += 2 * float(kernel.square_().sum())
    return rows[0], rows[1], cross_squares
