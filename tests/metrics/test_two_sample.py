import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import norm

from nijigan.errors import UserError
from nijigan.metrics.logistic import fit_logistic
from nijigan.metrics.two_sample import distinguishability


def normal(rows: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)


def test_the_fit_is_the_minimum_that_another_optimizer_finds() -> None:
    x, random = normal(300, 8, 0) * np.arange(1, 9, dtype=np.float32) + 5, np.random.default_rng(1)
    target, counts = random.uniform(size=300), random.uniform(0.1, 2, 300)
    penalty = 1e-3
    divided = (x - x.mean(0)) / ((x.std(0) + 1e-3) * np.sqrt(8))

    def loss(both: np.ndarray) -> float:
        logits = divided @ both[:-1] + both[-1]
        entropy = np.logaddexp(0, logits) - target * logits
        return float((entropy * counts).sum() / counts.sum() + penalty * (both[:-1] ** 2).sum())

    best = minimize(loss, np.zeros(9), tol=1e-10)
    found = fit_logistic(x, target, counts, penalty)
    assert np.allclose(found.logits(x), divided @ best.x[:-1] + best.x[-1], atol=5e-3)
    again = fit_logistic(x, target, counts, penalty)
    assert np.array_equal(found.weight, again.weight)


def test_the_fit_works_inside_inference_and_touches_no_random_state() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    with torch.inference_mode():
        fit_logistic(normal(40, 3, 0), np.tile([0.0, 1.0], 20))
    assert torch.equal(before, torch.random.get_rng_state())


def test_equal_distributions_are_told_apart_by_chance() -> None:
    covered = 0
    for seed in range(40):
        found = distinguishability(normal(200, 16, 2 * seed), normal(200, 16, 2 * seed + 1))
        covered += found.low <= 0.5 <= found.high
    assert covered >= 36


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.0])
def test_shifted_normal_distributions_are_told_apart_as_well_as_possible(distance: float) -> None:
    """The best classifier of two normal distributions at distance d is right in Φ(d/2) of cases."""
    real, fake = normal(4000, 2, 0), normal(5000, 2, 1)
    fake[:, 0] += distance
    assert distinguishability(real, fake).value == pytest.approx(norm.cdf(distance / 2), abs=0.015)


def test_what_is_always_different_is_always_told_apart() -> None:
    assert distinguishability(normal(60, 5, 0), normal(60, 5, 1) + 50).value == 1
    assert distinguishability(normal(60, 5, 0), normal(60, 5, 0)).value <= 0.5  # the same faces


def test_too_few_faces_are_refused() -> None:
    with pytest.raises(UserError, match="at least 20"):
        distinguishability(normal(19, 4, 0), normal(50, 4, 1))
