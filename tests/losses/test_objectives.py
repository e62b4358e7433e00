"""Losses against the papers' formulas, worked out by hand with probabilities instead of logits."""

import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import softplus

from nijigan.losses.objectives import bce_d_loss, build_objective
from nijigan.recipe.parts import TricksConfig
from nijigan.recipe.recipe import Recipe

LOGITS = st.lists(st.floats(-8, 8), min_size=1, max_size=6)
PAIRS = st.lists(st.tuples(st.floats(-8, 8), st.floats(-8, 8)), min_size=1, max_size=6)
OBJECTIVES = get_args(Recipe.__annotations__["objective"])


def log_d(logit: float) -> float:
    return math.log(1 / (1 + math.exp(-logit)))


def log_not_d(logit: float) -> float:
    return math.log(1 - 1 / (1 + math.exp(-logit)))


def exact(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


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
    logits = exact(fake)
    assert float(build_objective(Recipe()).g_loss(logits, None)) == pytest.approx(-mean([log_d(x) for x in fake]))
    minimax = build_objective(Recipe(objective="minimax")).g_loss(logits, None)
    assert float(minimax) == pytest.approx(mean([log_not_d(x) for x in fake]), rel=1e-6, abs=1e-9)


def test_minimax_saturates_where_the_non_saturating_loss_does_not() -> None:
    """Goodfellow et al. 2014, section 3: when D is sure, log(1 - D(G(z))) gives G almost no gradient."""
    gradients = {}
    for name in ("bce", "minimax"):
        logit = torch.tensor([-10.0], requires_grad=True)
        build_objective(replace(Recipe(), objective=name)).g_loss(logit, None).backward()
        gradients[name] = float(logit.grad)
    assert gradients["bce"] == pytest.approx(-1, abs=1e-3)
    assert gradients["minimax"] == pytest.approx(0, abs=1e-3)
    assert gradients["minimax"] < 0


def test_at_equilibrium_the_losses_are_those_of_the_paper() -> None:
    """With D = 1/2 everywhere the value function is -log 4: Goodfellow et al. 2014, theorem 1."""
    objective = build_objective(Recipe(objective="minimax"))
    assert float(objective.d_loss(torch.zeros(3), torch.zeros(3))) == pytest.approx(math.log(4))
    assert float(objective.score(torch.zeros(3)).mean()) == 0.5


def test_losses_stay_finite_for_huge_logits() -> None:
    for name in OBJECTIVES:
        objective = build_objective(replace(Recipe(), objective=name))
        huge = torch.tensor([1e4, -1e4])
        assert torch.isfinite(objective.d_loss(huge, -huge))
        assert torch.isfinite(objective.g_loss(huge, -huge if objective.paired else None))


def test_only_probabilities_are_squashed_and_only_relativistic_is_paired() -> None:
    logits = torch.tensor([-2.0, 0.0, 3.0])
    for name in OBJECTIVES:
        objective = build_objective(replace(Recipe(), objective=name))
        expected = torch.sigmoid(logits) if name in ("bce", "minimax") else logits
        assert torch.equal(objective.score(logits), expected)
        assert objective.paired == (name == "relativistic")


def test_without_tricks_the_loss_and_its_gradient_are_those_of_the_plain_formula_to_the_bit() -> None:
    """No random number is used either, so a run without tricks does not depend on them."""
    torch.manual_seed(0)
    values = 6 * torch.randn(2, 64)
    results = []
    for loss in (bce_d_loss, lambda real, fake: (softplus(-real) + 0.0 * real).mean() + softplus(fake).mean()):
        logits = values.clone().requires_grad_()
        before = torch.random.get_rng_state()
        loss(*logits).backward()
        assert torch.equal(torch.random.get_rng_state(), before)
        results.append((loss(*logits).detach(), logits.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize(("smoothing", "soft", "flipped"), [(0, 0.3, 0), (0, 0, 0.2), (0.1, 0.3, 0.05)])
@pytest.mark.parametrize("name", ["bce", "minimax"])
def test_soft_and_flipped_labels_by_expectation(name: str, smoothing: float, soft: float, flipped: float) -> None:
    """The loss is linear in its targets, so that its mean is the loss at the mean target.

    The target is 1 - s - soft/2 for a real image and soft/2 for a fake; with probability f it is 1 minus that.
    """
    tricks = TricksConfig(soft_labels=soft, flipped_labels=flipped)
    objective = build_objective(Recipe(objective=name, label_smoothing=smoothing, tricks=tricks))
    torch.manual_seed(0)
    for real, fake in ((2.0, 0.0), (0.0, -1.5), (-3.0, 1.0)):
        measured = float(objective.d_loss(torch.full((40_000,), real), torch.full((40_000,), fake)))
        t = (1 - 2 * flipped) * (1 - smoothing - soft / 2) + flipped
        u = (1 - 2 * flipped) * (soft / 2) + flipped
        by_hand = -t * log_d(real) - (1 - t) * log_not_d(real) - u * log_d(fake) - (1 - u) * log_not_d(fake)
        assert measured == pytest.approx(by_hand, abs=0.02)


def test_soft_labels_stay_within_their_reach_and_flipped_ones_go_all_the_way() -> None:
    """Read off the gradient: d loss / d logit = (σ(l) - target) / N, at l = 0."""
    size = 2000
    for soft, flipped in ((0.3, 0.0), (0.0, 0.25), (0.2, 0.1)):
        tricks = TricksConfig(soft_labels=soft, flipped_labels=flipped)
        real, fake = torch.zeros(size, requires_grad=True), torch.zeros(size, requires_grad=True)
        torch.manual_seed(1)
        build_objective(Recipe(tricks=tricks)).d_loss(real, fake).backward()
        for gradient, correct in ((real.grad, 1.0), (fake.grad, 0.0)):
            distance = ((0.5 - size * gradient) - correct).abs()  # between the target and the correct value
            swapped = distance > 0.5
            assert float(swapped.float().mean()) == pytest.approx(flipped, abs=0.03)
            for part in (distance[~swapped], 1 - distance[swapped]):
                if len(part):
                    assert float(part.min()) >= -1e-4
                    assert float(part.max()) == pytest.approx(soft, abs=0.02)


@given(real=LOGITS, fake=LOGITS)
def test_least_squares_by_hand(real: list[float], fake: list[float]) -> None:
    objective = build_objective(Recipe(objective="mse"))
    x, g = torch.tensor(real, dtype=torch.float64), torch.tensor(fake, dtype=torch.float64)
    by_hand = 0.5 * mean([(d - 1) ** 2 for d in real]) + 0.5 * mean([d**2 for d in fake])
    assert float(objective.d_loss(x, g)) == pytest.approx(by_hand, abs=1e-9)
    assert float(objective.g_loss(g, None)) == pytest.approx(0.5 * mean([(d - 1) ** 2 for d in fake]), abs=1e-9)


def test_the_best_least_squares_discriminator_is_the_papers() -> None:
    """D*(x) = p_data / (p_data + p_g) for a = 0, b = 1: Mao et al. 2017, equation 5; here where 3 of 4 are real."""
    logit = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([logit], lr=0.1)
    objective = build_objective(Recipe(objective="mse"))
    for _ in range(60):
        optimizer.zero_grad()
        (3 * objective.d_loss(logit, logit.new_zeros(1)) + objective.d_loss(logit.new_ones(1), logit)).backward()
        optimizer.step()
    assert float(logit.detach()) == pytest.approx(0.75, abs=1e-4)


@given(real=LOGITS, fake=LOGITS, constant=st.floats(-5, 5))
def test_a_critic_depends_only_on_differences(real: list[float], fake: list[float], constant: float) -> None:
    objective = build_objective(Recipe(objective="wasserstein"))
    x, g = torch.tensor(real, dtype=torch.float64), torch.tensor(fake, dtype=torch.float64)
    assert float(objective.d_loss(x, g)) == pytest.approx(mean(fake) - mean(real), abs=1e-9)
    shifted = objective.d_loss(x + constant, g + constant)
    assert float(shifted) == pytest.approx(float(objective.d_loss(x, g)), abs=1e-9)
    assert float(objective.g_loss(g, None)) == pytest.approx(-mean(fake), abs=1e-9)


@given(real=LOGITS, fake=LOGITS, targets=st.tuples(*[st.floats(-2, 2)] * 3))
def test_least_squares_with_other_targets(real: list[float], fake: list[float], targets: tuple[float, ...]) -> None:
    a, b, c = targets
    assume(a not in (b, c))
    objective = build_objective(Recipe(objective="mse", mse_targets=targets))
    by_hand = 0.5 * mean([(d - b) ** 2 for d in real]) + 0.5 * mean([(d - a) ** 2 for d in fake])
    assert float(objective.d_loss(exact(real), exact(fake))) == pytest.approx(by_hand, abs=1e-9)
    assert float(objective.g_loss(exact(fake), None)) == pytest.approx(0.5 * mean([(d - c) ** 2 for d in fake]))
    # The minimum, 0, is reached when D is b on reals and a on fakes, and for G when D is c.
    assert float(objective.d_loss(torch.full((4,), b), torch.full((4,), a))) == 0
    assert float(objective.g_loss(torch.full((4,), c), None)) == 0


def test_pearsons_targets_are_the_papers() -> None:
    """With b - c = 1 and b - a = 2 at p_data = p_g, D* = (a + b)/2 and G's loss is ½(D* - c)²: Mao et al., eq. 5, 8."""
    objective = build_objective(Recipe(objective="mse", mse_targets=(-1.0, 1.0, 0.0)))
    logit = torch.tensor([0.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(objective.d_loss(logit, logit), logit)
    assert float(gradient) == 0
    assert float(objective.g_loss(torch.zeros(1), None)) == 0


@given(real=LOGITS, fake=LOGITS)
def test_hinge_by_hand(real: list[float], fake: list[float]) -> None:
    objective = build_objective(Recipe(objective="hinge"))
    by_hand = mean([max(0.0, 1 - d) for d in real]) + mean([max(0.0, 1 + d) for d in fake])
    assert float(objective.d_loss(exact(real), exact(fake))) == pytest.approx(by_hand, abs=1e-9)
    assert float(objective.g_loss(exact(fake), None)) == pytest.approx(-mean(fake), abs=1e-9)


def test_hinge_has_no_gradient_beyond_the_margin() -> None:
    real = torch.tensor([0.9, 1.1, 30.0, -5.0], requires_grad=True)
    fake = torch.tensor([-0.9, -1.1, -30.0, 5.0], requires_grad=True)
    build_objective(Recipe(objective="hinge")).d_loss(real, fake).backward()
    assert (4 * real.grad).tolist() == [-1, 0, 0, -1]
    assert (4 * fake.grad).tolist() == [1, 0, 0, 1]


@given(pairs=PAIRS)
def test_relativistic_by_hand(pairs: list[tuple[float, float]]) -> None:
    objective = build_objective(Recipe(objective="relativistic"))
    real, fake = exact([x for x, _ in pairs]), exact([g for _, g in pairs])
    assert float(objective.d_loss(real, fake)) == pytest.approx(-mean([log_d(x - g) for x, g in pairs]))
    assert float(objective.g_loss(fake, real)) == pytest.approx(-mean([log_d(g - x) for x, g in pairs]))


@given(pairs=PAIRS, constant=st.floats(-5, 5))
def test_relativistic_depends_only_on_differences_and_swaps(pairs: list[tuple[float, float]], constant: float) -> None:
    """-log σ(m) + log σ(-m) = -m: D's loss minus G's is minus the mean margin, whose sign flips with the images."""
    objective = build_objective(Recipe(objective="relativistic"))
    real, fake = exact([x for x, _ in pairs]), exact([g for _, g in pairs])
    d_loss, g_loss = float(objective.d_loss(real, fake)), float(objective.g_loss(fake, real))
    assert float(objective.d_loss(real + constant, fake + constant)) == pytest.approx(d_loss, abs=1e-9)
    assert float(objective.g_loss(fake + constant, real + constant)) == pytest.approx(g_loss, abs=1e-9)
    assert (float(objective.d_loss(fake, real)), float(objective.g_loss(real, fake))) == (g_loss, d_loss)
    assert d_loss - g_loss == pytest.approx(-mean([x - g for x, g in pairs]), abs=1e-9)


def test_relativistic_pairs_image_by_image() -> None:
    objective = build_objective(Recipe(objective="relativistic"))
    real = torch.tensor([3.0, -3.0])
    matched, crossed = objective.d_loss(real, torch.tensor([3.0, -3.0])), objective.d_loss(real, -real)
    assert float(matched) == pytest.approx(math.log(2))
    assert float(crossed) > 2


@given(fake=LOGITS)
def test_unpaired_objectives_ignore_real_logits(fake: list[float]) -> None:
    for name in OBJECTIVES:
        objective = build_objective(replace(Recipe(), objective=name))
        if not objective.paired:
            assert objective.g_loss(exact(fake), exact([9.0])) == objective.g_loss(exact(fake), None)
