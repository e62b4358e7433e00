"""Intervals against scipy's, and against their nominal coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from nijigan.metrics.intervals import affine_variance, mean_share, share, wilson


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95]))
def test_wilson_is_scipys(counts: tuple[int, int], confidence: float) -> None:
    successes, n = counts
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson(successes, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("n", [250, 2000])
@pytest.mark.parametrize("truth", [0.02, 0.1, 0.5, 0.89])
def test_a_yields_interval_covers_it_at_its_nominal_rate(n: int, truth: float) -> None:
    """The exact rate: the probability of all counts whose interval contains the true share."""
    counts = np.arange(n + 1)
    intervals = np.array([wilson(int(count), n) for count in counts])
    covered = (intervals[:, 0] <= truth) & (truth <= intervals[:, 1])
    assert binom.pmf(counts, n, truth)[covered].sum() == pytest.approx(0.95, abs=0.03)


def test_share_is_exact_at_the_borders() -> None:
    assert share(0, 7).low == 0
    assert share(7, 7).high == 1
    assert share(3, 4).value == 0.75


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="make no share"):
        wilson(successes, n)


@given(st.floats(-10, 10), st.floats(0, 5), st.floats(0, 5))
def test_affine_variance_ends_where_the_estimate_rejects_the_truth(
    estimate: float, at_zero: float, slope: float
) -> None:
    low, high = affine_variance(estimate, at_zero, slope)
    assert low - 1e-9 <= estimate <= high + 1e-9  # rounding
    for end in (low, high):
        deviation = 1.959964 * np.sqrt(at_zero + slope * max(0.0, end))
        assert abs(estimate - end) == pytest.approx(deviation, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("truth", [0.0, 0.5, 2.0, 20.0])
def test_affine_variance_covers_a_squared_mean(truth: float) -> None:
    # (δ + e)² - 1 with e standard normal: unbiased for δ², variance 2 + 4δ², not normal at all. KID in one dimension.
    noise = np.random.default_rng(0).standard_normal(4000)
    estimates = (np.sqrt(truth) + noise) ** 2 - 1
    intervals = np.array([affine_variance(estimate, at_zero=2, slope=4) for estimate in estimates])
    assert np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])) == pytest.approx(0.95, abs=0.02)


def test_the_mean_of_yes_and_no_is_a_share() -> None:
    answers = np.repeat([0.0, 1.0], [30, 70]).astype(np.float32)
    found, expected = mean_share(answers), share(70, 100)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert mean_share(np.zeros(50, np.float32)) == share(0, 50)


def test_the_interval_of_mean_chances_contains_the_true_mean() -> None:
    random, covered = np.random.default_rng(0), 0
    for _ in range(2000):
        found = mean_share(random.beta(0.5, 1.5, 100).astype(np.float32))
        covered += found.low <= 0.25 <= found.high
    assert 0.93 < covered / 2000 < 0.97
    certain = mean_share(np.full(100, 0.25, np.float32))
    assert 0 < certain.high - certain.low < 0.02
