"""Losses against the papers' formulas, worked out by hand with probabilities instead of logits."""

import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nijigan.objectives import build_objective
from nijigan.recipe import Recipe

LOGITS = st.lists(st.floats(-8, 8), min_size=1, max_size=6)


def log_d(logit: float) -> float:
    return math.log(1 / (1 + math.exp(-logit)))


def log_not_d(logit: float) -> float:
    return math.log(1 - 1 / (1 + math.exp(-logit)))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@given(real=LOGITS, fake=LOGITS, smoothing=st.sampled_from([0.0, 0.1, 0.25]))
def test_the_discriminator_minimises_cross_entropy(real: list[float], fake: list[float], smoothing: float) -> None:
    objective = build_objective(Recipe(label_smoothing=smoothing))
    loss = objective.d_loss(torch.tensor(real, dtype=torch.float64), torch.tensor(fake, dtype=torch.float64))
    by_hand = -mean([(1 - smoothing) * log_d(x) + smoothing * log_not_d(x) for x in real])
    by_hand -= mean([log_not_d(x) for x in fake])
    assert float(loss) == pytest.approx(by_hand, rel=1e-9, abs=1e-9)


@given(fake=LOGITS)
def test_generator_losses(fake: list[float]) -> None:
    logits = torch.tensor(fake, dtype=torch.float64)
    assert float(build_objective(Recipe()).g_loss(logits)) == pytest.approx(-mean([log_d(x) for x in fake]))
    minimax = build_objective(Recipe(objective="minimax")).g_loss(logits)
    assert float(minimax) == pytest.approx(mean([log_not_d(x) for x in fake]), rel=1e-6, abs=1e-9)


def test_minimax_saturates_where_the_non_saturating_loss_does_not() -> None:
    """Goodfellow et al. 2014, section 3: when D is sure, log(1 - D(G(z))) gives G almost no gradient."""
    gradients = {}
    for name in ("bce", "minimax"):
        logit = torch.tensor([-10.0], requires_grad=True)
        build_objective(replace(Recipe(), objective=name)).g_loss(logit).backward()
        gradients[name] = float(logit.grad)
    assert gradients["bce"] == pytest.approx(-1, abs=1e-3)
    assert gradients["minimax"] == pytest.approx(0, abs=1e-3)
    assert gradients["minimax"] < 0


def test_at_equilibrium_the_losses_are_those_of_the_paper() -> None:
    """With D = 1/2 everywhere the game's value is -log 4: Goodfellow et al. 2014, theorem 1."""
    objective = build_objective(Recipe(objective="minimax"))
    assert float(objective.d_loss(torch.zeros(3), torch.zeros(3))) == pytest.approx(math.log(4))
    assert float(objective.score(torch.zeros(3)).mean()) == 0.5


def test_losses_stay_finite_for_huge_logits() -> None:
    for name in get_args(Recipe.__annotations__["objective"]):
        objective = build_objective(replace(Recipe(), objective=name))
        huge = torch.tensor([1e4, -1e4])
        assert torch.isfinite(objective.d_loss(huge, huge))
        assert torch.isfinite(objective.g_loss(huge))


@given(real=LOGITS, fake=LOGITS)
def test_least_squares_by_hand(real: list[float], fake: list[float]) -> None:
    objective = build_objective(Recipe(objective="mse"))
    x, g = torch.tensor(real, dtype=torch.float64), torch.tensor(fake, dtype=torch.float64)
    by_hand = 0.5 * mean([(d - 1) ** 2 for d in real]) + 0.5 * mean([d**2 for d in fake])
    assert float(objective.d_loss(x, g)) == pytest.approx(by_hand, abs=1e-9)
    assert float(objective.g_loss(g)) == pytest.approx(0.5 * mean([(d - 1) ** 2 for d in fake]), abs=1e-9)


def test_the_best_least_squares_discriminator_is_the_papers() -> None:
    """D*(x) = p_data / (p_data + p_g) for a = 0, b = 1: Mao et al. 2017, equation 5; here where 3 of 4 are real."""
    logit = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([logit], lr=0.1)
    objective = build_objective(Recipe(objective="mse"))
    for _ in range(400):
        optimizer.zero_grad()
        (3 * objective.d_loss(logit, logit.new_zeros(1)) + objective.d_loss(logit.new_ones(1), logit)).backward()
        optimizer.step()
    assert float(logit.detach()) == pytest.approx(0.75, abs=1e-4)


@given(real=LOGITS, fake=LOGITS, constant=st.floats(-5, 5))
def test_a_critic_only_knows_differences(real: list[float], fake: list[float], constant: float) -> None:
    objective = build_objective(Recipe(objective="wasserstein"))
    x, g = torch.tensor(real, dtype=torch.float64), torch.tensor(fake, dtype=torch.float64)
    assert float(objective.d_loss(x, g)) == pytest.approx(mean(fake) - mean(real), abs=1e-9)
    shifted = objective.d_loss(x + constant, g + constant)
    assert float(shifted) == pytest.approx(float(objective.d_loss(x, g)), abs=1e-9)
    assert float(objective.g_loss(g)) == pytest.approx(-mean(fake), abs=1e-9)
