"""KID against brute force, torchmetrics and closed form; its interval against simulation."""

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import KernelInceptionDistance

from nijigan.errors import UserError
from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.kid import kid
from nijigan.metrics.score import Score

DIMS = 24
FACTORS = 6
MIXING = np.random.default_rng(1).standard_normal((FACTORS, DIMS)).astype(np.float32)


def low_rank(rng: np.random.Generator, n: int, shift: float) -> FeatureArray:
    """Similar to features of real networks: non-negative and correlated, with few factors. The first one is shifted."""
    factors = rng.standard_normal((n, FACTORS), dtype=np.float32)
    factors[:, 0] += shift
    return np.asarray(np.maximum(factors @ MIXING * 0.5 + 0.5, 0))


def gaussian(rng: np.random.Generator, n: int, shift: float) -> FeatureArray:
    return rng.standard_normal((n, DIMS), dtype=np.float32) + np.float32(shift)


def mean_kernel(a: np.ndarray, cov_a: np.ndarray, b: np.ndarray, cov_b: np.ndarray) -> float:
    """E (x·y/D + 1)³ for independent x ~ N(a, A), y ~ N(b, B), from the moments of x·b and xᵀBx."""
    dims = len(a)
    mean, variance = 1 + a @ b / dims, b @ cov_a @ b / dims**2
    spread = (a @ cov_b @ a + np.trace(cov_a @ cov_b)) / dims**2
    return float(mean**3 + 3 * mean * variance + 3 * (mean * spread + 2 * b @ cov_a @ cov_b @ a / dims**3))


def test_equals_brute_force(rng: np.random.Generator) -> None:
    x, y = gaussian(rng, 30, 0), gaussian(rng, 17, 0.5)
    xx, yy, xy = ((a @ b.T / DIMS + 1.0) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    expected = (xx.sum() - np.trace(xx)) / (30 * 29) + (yy.sum() - np.trace(yy)) / (17 * 16) - 2 * xy.mean()
    assert kid(x, y).value == pytest.approx(expected, rel=1e-4)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning")
def test_agrees_with_torchmetrics_on_one_subset_of_everything(rng: np.random.Generator) -> None:
    x, y = low_rank(rng, 60, 0), low_rank(rng, 60, 0.5)
    feature = torch.nn.Identity()
    feature.num_features = DIMS  # type: ignore[assignment]
    metric = KernelInceptionDistance(feature=feature, subsets=1, subset_size=60)
    metric.update(torch.from_numpy(x), real=True)
    metric.update(torch.from_numpy(y), real=False)
    assert kid(x, y).value == pytest.approx(float(metric.compute()[0]), rel=1e-4)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_does_not_depend_on_the_block(rng: np.random.Generator, block: int) -> None:
    x, y = low_rank(rng, 40, 0), low_rank(rng, 23, 0.2)
    whole, parts = kid(x, y), kid(x, y, block=block)
    assert (parts.value, parts.low, parts.high) == pytest.approx((whole.value, whole.low, whole.high), rel=1e-4)


def test_is_unbiased(rng: np.random.Generator) -> None:
    a, b = np.full(DIMS, 0.2), np.zeros(DIMS)
    b[0] = 1
    factor_a, factor_b = rng.standard_normal((2, DIMS, DIMS)) / 5
    cov_a, cov_b = factor_a @ factor_a.T, factor_b @ factor_b.T
    truth = mean_kernel(a, cov_a, a, cov_a) + mean_kernel(b, cov_b, b, cov_b) - 2 * mean_kernel(a, cov_a, b, cov_b)

    def draw(mean: np.ndarray, factor: np.ndarray, n: int) -> FeatureArray:
        return (mean + rng.standard_normal((n, DIMS)) @ factor.T).astype(np.float32)

    values = [kid(draw(a, factor_a, 60), draw(b, factor_b, 40)).value for _ in range(300)]
    assert np.mean(values) == pytest.approx(truth, abs=4 * np.std(values) / np.sqrt(300))
    assert np.std(values) / np.sqrt(300) < 0.05 * truth  # otherwise the line above checks little


def test_a_set_against_itself_is_negative_and_has_an_interval(rng: np.random.Generator) -> None:
    x = low_rank(rng, 50, 0)
    score = kid(x, x)
    assert score.value < 0
    assert np.isfinite([score.low, score.high]).all()


def test_reads_memory_maps(tmp_path, rng: np.random.Generator) -> None:
    x = gaussian(rng, 10, 0)
    np.save(tmp_path / "x.npy", x)
    assert kid(np.load(tmp_path / "x.npy", mmap_mode="r"), x) == kid(x, x)


def test_refuses_nonsense(rng: np.random.Generator) -> None:
    x = gaussian(rng, 10, 0)
    with pytest.raises(UserError, match="at least 4"):
        kid(x, x[:3])
    with pytest.raises(UserError, match="one feature space"):
        kid(x, x[:, :5])
    with pytest.raises(UserError, match="finite"):
        kid(x, np.where(x > 1, np.nan, x))


def scores(draw, m: int, n: int, shift: float, times: int) -> list[Score]:
    streams = (np.random.default_rng([m, n, i]) for i in range(times))
    return [kid(draw(rng, m, 0), draw(rng, n, shift)) for rng in streams]


def coverage(found: list[Score], truth: float) -> float:
    return float(np.mean([score.low <= truth <= score.high for score in found if score.low is not None]))


@pytest.mark.parametrize("draw", [gaussian, low_rank])
def test_interval_covers_equal_distributions(draw) -> None:
    # With 300 draws the rate has a standard error of 1.3 points.
    assert coverage(scores(draw, 100, 150, 0, times=300), 0) == pytest.approx(0.95, abs=0.04)


def test_interval_covers_a_shift() -> None:
    a, b, cov = np.zeros(DIMS), np.full(DIMS, 0.1), np.eye(DIMS)
    truth = mean_kernel(a, cov, a, cov) + mean_kernel(b, cov, b, cov) - 2 * mean_kernel(a, cov, b, cov)
    assert coverage(scores(gaussian, 150, 100, 0.1, times=300), truth) == pytest.approx(0.95, abs=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0, 0.1, 0.5])
@pytest.mark.parametrize("draw", [gaussian, low_rank])
def test_interval_covers_at_its_nominal_rate(draw, shift: float) -> None:
    found = scores(draw, 500, 700, shift, times=400)
    # The estimate is unbiased, so the mean over all draws is 20 times as precise as one of them.
    truth = np.mean([score.value for score in found]) if shift else 0.0
    assert coverage(found, float(truth)) == pytest.approx(0.95, abs=0.03)
