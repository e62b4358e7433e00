"""What changes in the course of a run."""

from dataclasses import replace

import pytest

from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.parts import BurnInConfig, TricksConfig
from nijigan.recipe.recipe import Recipe
from nijigan.training.schedules import Schedule, rate_factor, schedule_at, turns


def test_nothing_moves_unless_it_is_asked_to() -> None:
    assert schedule_at(Recipe(), 123_456, 500_000) == Schedule()


def test_learning_rates() -> None:
    assert rate_factor("constant", 0.7) == 1
    assert rate_factor("linear", 0.25) == 0.75
    assert rate_factor("cosine", 0) == 1
    assert rate_factor("cosine", 0.5) == pytest.approx(0.5)
    assert rate_factor("cosine", 1) == pytest.approx(0, abs=1e-12)


def test_turns() -> None:
    assert turns(0, 3.7) == (True, True)
    assert [turns(2, epoch) for epoch in (0, 1.9, 2, 3.9, 4)] == [
        (True, False), (True, False), (False, True), (False, True), (True, False),
    ]  # fmt: skip


def test_r3gan_burns_in_as_published() -> None:
    """Huang et al. 2024, FFHQ-64: rates 2e-4 → 5e-5, γ 2 → 0.2, β2 0.9 → 0.99, average 0 → 500 kimg, p 0 → 0.3."""
    recipe = RECIPES["r3gan"]
    start, middle, end, later = (schedule_at(recipe, kimg * 1000, 30_000_000) for kimg in (0, 10_000, 20_000, 29_000))
    assert start == Schedule(lr=1, penalty=1, noise=0, augment=0, ramp=0)
    assert recipe.g_optimizer.lr * end.lr == pytest.approx(5e-5)
    assert recipe.penalty.strength * end.penalty == pytest.approx(0.2)
    assert end.ramp == 1
    assert [p.beta2(recipe.d_optimizer, recipe.burn_in) for p in (start, end)] == pytest.approx([0.9, 0.99])
    assert later == end
    assert middle.lr == pytest.approx((1 + 0.25) / 2)  # half a cosine crosses its mean half way
    assert middle.beta2(recipe.d_optimizer, recipe.burn_in) == pytest.approx(0.945)


def test_burn_in_and_schedule_multiply() -> None:
    recipe = replace(Recipe(), lr_schedule="linear", burn_in=BurnInConfig(kimg=10, lr=0.5))
    assert schedule_at(recipe, 10_000, 40_000).lr == pytest.approx(0.75 * 0.5)


def test_instance_noise_fades() -> None:
    recipe = replace(Recipe(), tricks=TricksConfig(instance_noise=0.2, instance_noise_kimg=10))
    assert [schedule_at(recipe, images, 40_000).noise for images in (0, 5000, 10_000, 20_000)] == pytest.approx(
        [0.2, 0.1, 0, 0]
    )
