"""Intervals around scores that hold the truth as often as they say."""

from math import sqrt
from statistics import NormalDist

from nijigan.metrics.score import Score


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share (Wilson 1927): honest near 0 and 1, where ±2 standard errors are not.

    Args:
        successes: How many of the `n` independent trials succeeded.
        n: Number of trials, at least 1.
        confidence: Probability that the interval holds the true share.

    Returns:
        Lower and upper end, within [0, 1].

    Raises:
        ValueError: `successes` is not within 0..`n`, or there are no trials.
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} successes in {n} trials make no share")
    z = normal_quantile(confidence)
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    # The ends are exact at the borders, where rounding would leave 1e-17 or 1 + 1e-16.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def share(successes: int, n: int) -> Score:
    """A share as a score with its 95 % Wilson interval; arguments and errors as for `wilson`."""
    low, high = wilson(successes, n)
    return Score(value=successes / n, low=low, high=high)


def affine_variance(estimate: float, at_zero: float, slope: float, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval for a truth θ ≥ 0 whose estimate is nearly normal with variance `at_zero` + `slope`·θ.

    As Wilson's, it holds every θ that the estimate does not refute, |estimate - θ| ≤ z·sd(θ), and therefore does not
    trust the variance at the estimate where the estimate itself is mostly noise. Below zero, where there is no truth
    but an unbiased estimate may fall, the variance is `at_zero`, so that the interval always holds the estimate.

    Args:
        estimate: The unbiased estimate.
        at_zero: Its variance if the truth is 0; not negative.
        slope: How fast its variance grows with the truth; not negative.
        confidence: Probability that the interval holds the truth.

    Returns:
        Lower and upper end.
    """
    z = normal_quantile(confidence)
    reach = z * sqrt(at_zero)
    centre = estimate + z**2 * slope / 2
    # θ² - 2·centre·θ + estimate² - reach² = 0. The discriminant is positive wherever an end is not negative.
    half = sqrt(max(0.0, centre**2 - estimate**2 + reach**2))
    low = centre - half if estimate > reach else estimate - reach
    high = centre + half if estimate > -reach else estimate + reach
    return low, high


def normal_quantile(confidence: float) -> float:
    """The z for which a standard normal lies within ±z with probability `confidence` (1.96 for 0.95)."""
    return NormalDist().inv_cdf((1 + confidence) / 2)
