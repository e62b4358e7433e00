"""Confidence intervals of scores, with a coverage close to the nominal one."""

from math import sqrt
from statistics import NormalDist

import numpy as np

from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.score import Score


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share (Wilson 1927): valid near 0 and 1 too, where ±2 standard errors are not.

    Args:
        successes: Number of successes in `n` independent trials.
        n: Number of trials, at least 1.
        confidence: Probability that the interval contains the true share.

    Returns:
        Lower and upper end, within [0, 1].

    Raises:
        ValueError: `successes` is not within 0..`n`, or there are no trials.
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} successes in {n} trials make no share")
    return _wilson(successes / n, n, normal_quantile(confidence))


def _wilson(share: float, n: float, z: float) -> tuple[float, float]:
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    # The ends are exact at 0 and 1, where rounding would give 1e-17 or 1 + 1e-16.
    return 0.0 if share == 0 else centre - half, 1.0 if share == 1 else centre + half


def share(successes: int, n: int) -> Score:
    """A share as a score with its 95 % Wilson interval; arguments and errors as for `wilson`."""
    low, high = wilson(successes, n)
    return Score(value=successes / n, low=low, high=high)


def mean_share(chances: FeatureArray) -> Score:
    """The mean of N chances, as a share with its 95 % interval.

    The interval is Wilson's for as many independent yes or no answers as would have the variance of the mean. If all
    chances are 0 or 1, it is therefore `share`; it has a width when they are all equal.

    Args:
        chances: N ≥ 2 values in [0, 1].
    """
    mean = float(chances.mean(dtype=np.float64))
    spread = mean * (1 - mean)  # the variance of one yes or no answer
    variance = float(chances.var(dtype=np.float64))
    answers = len(chances) * (spread / max(variance, spread / len(chances)) if spread > 0 else 1.0)
    return correlated_share(mean, answers)


def correlated_share(value: float, answers: float) -> Score:
    """A share as a score, whose interval is Wilson's for this number of independent answers, not always a whole one."""
    return Score(value, *_wilson(value, answers, normal_quantile(0.95)))


def affine_variance(estimate: float, at_zero: float, slope: float, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval for a true value θ ≥ 0 whose estimate is nearly normal with variance `at_zero` + `slope`·θ.

    Like Wilson's interval, it contains every θ that the estimate does not reject, |estimate - θ| ≤ z·sd(θ). It
    therefore does not use the variance at the estimate, which misleads if the estimate is mostly noise. An unbiased
    estimate may be negative although θ cannot; there the variance is `at_zero`, so that the interval always contains
    the estimate.

    Args:
        estimate: The unbiased estimate.
        at_zero: Its variance if the true value is 0; not negative.
        slope: Growth of its variance with the true value; not negative.
        confidence: Probability that the interval contains the true value.

    Returns:
        Lower and upper end.
    """
    z = normal_quantile(confidence)
    reach = z * sqrt(at_zero)
    centre = estimate + z**2 * slope / 2
    # θ² - 2·centre·θ + estimate² - reach² = 0. The discriminant is positive if an end is not negative.
    half = sqrt(max(0.0, centre**2 - estimate**2 + reach**2))
    low = centre - half if estimate > reach else estimate - reach
    high = centre + half if estimate > -reach else estimate + reach
    return low, high


def normal_quantile(confidence: float) -> float:
    """The z such that a standard normal lies within ±z with probability `confidence` (1.96 for 0.95)."""
    return NormalDist().inv_cdf((1 + confidence) / 2)
