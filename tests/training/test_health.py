"""Warnings: each by lines made for it, once, with options that exist; none for runs that do well."""

import re
from dataclasses import fields, is_dataclass, replace
from math import exp, log
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

from nijigan.losses.penalties import clip_weights
from nijigan.recipe.named_recipes import RECIPES, find_recipe
from nijigan.recipe.parts import AugmentConfig, DiscriminatorConfig, PenaltyConfig, TricksConfig
from nijigan.recipe.recipe import Recipe
from nijigan.runs import read_log
from nijigan.sweep import combinations
from nijigan.training.observer.health import Health, diversity, share_at_clip

ROOT = Path(__file__).parents[2]
NORM_FREE = DiscriminatorConfig(norm="none")


def told(recipe: Recipe, *lines: dict[str, Any], requested: dict[str, str] | None = None) -> list[str]:
    health = Health(recipe, requested or {})
    return [warning for line in lines for warning in health.tick(line)]


def line(**changes: float | None) -> dict[str, Any]:
    usual = {"images": 50_000, "d_loss": 1.0, "g_loss": 1.5, "real_score": 0.7, "fake_score": 0.3}
    return usual | changes


def won(loss: float = 0.06) -> dict[str, Any]:
    return line(d_loss=loss, real_score=0.97, fake_score=0.03)


def flags(kind: type, prefix: str = "") -> set[str]:
    """Of `nijigan train`, for the fields of a recipe."""
    found = set()
    for field in fields(kind):
        name = prefix + field.name.replace("_", "-")
        hint = get_type_hints(kind)[field.name]
        found |= flags(hint, f"{name}.") if is_dataclass(hint) else {f"--{name}"}
    return found


def named(text: str) -> list[str]:
    return [word.rstrip(".-") for word in re.findall(r"--[a-z][a-z0-9.-]*", text)]


def test_the_published_run_did_well_at_first_and_was_won_by_d_in_the_end() -> None:
    lines = read_log(ROOT / "results" / "dcgan")
    recipe = Recipe()
    assert told(recipe, *lines[:40]) == []
    [warning] = told(recipe, *lines)
    assert "D has won" in warning


@pytest.mark.parametrize("objective", ["bce", "minimax"])
def test_d_has_won_when_it_has_been_sure_for_five_ticks(objective: str) -> None:
    recipe = Recipe(objective=objective)  # type: ignore[arg-type]
    assert told(recipe, *[won()] * 4) == []
    [warning] = told(recipe, *[won()] * 20)
    assert "scores real faces 0.97 and generated ones 0.03" in warning
    assert told(recipe, *[won()] * 4, line(), *[won()] * 3) == []
    assert told(recipe, *[line(real_score=0.97)] * 9, *[line(fake_score=0.03)] * 9) == []


def test_softened_and_swapped_labels_move_what_being_sure_means() -> None:
    smooth = Recipe(label_smoothing=0.1)
    assert told(smooth, *[line(real_score=0.85, fake_score=0.02)] * 9) == []
    assert len(told(smooth, *[line(real_score=0.87, fake_score=0.02)] * 9)) == 1
    tricks = Recipe(tricks=TricksConfig(soft_labels=0.2, flipped_labels=0.1))  # taught 0.82 and 0.18
    assert told(tricks, *[line(real_score=0.78, fake_score=0.19)] * 9) == []
    assert len(told(tricks, *[line(real_score=0.80, fake_score=0.19)] * 9)) == 1


@pytest.mark.parametrize(("objective", "undecided"), [("mse", 0.25), ("hinge", 2.0), ("relativistic", log(2))])
def test_other_games_are_won_when_next_to_nothing_of_the_loss_is_left(objective: str, undecided: float) -> None:
    recipe = Recipe(objective=objective)  # type: ignore[arg-type]
    assert told(recipe, *[won(0.06 * undecided)] * 9) == []
    [warning] = told(recipe, *[won(0.04 * undecided)] * 9)
    assert f"that cannot tell generated faces from real ones has {undecided:.2g}" in warning


def test_the_loss_of_who_cannot_tell_scales_with_the_targets() -> None:
    recipe = Recipe(objective="mse", mse_targets=(-1.0, 1.0, 0.0))
    assert told(recipe, *[won(0.06)] * 9) == []
    assert len(told(recipe, *[won(0.04)] * 9)) == 1


def test_a_critic_cannot_win() -> None:
    assert told(Recipe(objective="wasserstein"), *[won(0.0)] * 9, *[won(-30)] * 9) == []


def test_what_did_not_happen_in_a_tick_does_not_count() -> None:
    recipe = Recipe(alternate_epochs=1)
    idle = line(d_loss=None, real_score=None, fake_score=None)
    assert told(recipe, *[won(), idle] * 4) == []
    [warning] = told(recipe, *[won(), idle] * 5)
    assert "--alternate-epochs 0" in warning


def test_collapse_is_two_grids_in_a_row_that_are_too_alike() -> None:
    alike, varied = line(diversity=0.4), line(diversity=0.8)
    assert told(Recipe(), alike, line(), varied, alike, line(), varied) == []
    [warning] = told(Recipe(), varied, alike, line(), alike, alike)
    assert "only 40% as much" in warning


def test_collapse_of_a_conditional_generator_is_told_by_its_attributes() -> None:
    alike = line(diversity=0.3)
    recipe = replace(find_recipe("acgan"), attributes=("hair", "eyes"))
    [warning] = told(recipe, alike, alike, requested={"hair": "blue", "eyes": "red"})
    assert "Generated faces of hair blue and eyes red differ only 30%" in warning
    assert "--condition.weight 2; or" in warning
    [warning] = told(recipe, alike, alike)  # too few faces of any combination: the grid was measured
    assert "The faces of the sample grid differ only 30%" in warning


def test_a_young_generators_grey_is_no_collapse() -> None:
    young = {"images": 5_000, "diversity": 0.1}
    assert told(Recipe(), line(**young), line(**young), line(**young)) == []
    once_varied = line(images=5_000, diversity=0.7)
    assert len(told(Recipe(), once_varied, line(**young), line(**young))) == 1


def test_clipping_is_too_tight_when_nine_in_ten_weights_are_at_the_bound() -> None:
    recipe = Recipe(objective="wasserstein")
    assert told(recipe, line(at_clip=0.9)) == []
    [warning] = told(recipe, line(at_clip=0.93), line(at_clip=0.95))
    assert "93% of the critic's weights are at the bound of 0.01" in warning
    assert "--penalty.clip 0.1;" in warning


@pytest.mark.parametrize("sign", [1, -1])
def test_losses_that_run_away_are_told_before_they_are_no_numbers(sign: int) -> None:
    lines = [line(d_loss=sign * exp(tick / 2)) for tick in range(40)]
    [warning] = told(Recipe(), *lines)
    assert warning.startswith("D's loss has run away")
    [warning] = told(Recipe(), *(line(g_loss=sign * exp(tick / 2)) for tick in range(40)))
    assert "--g-optimizer.lr" in warning
    assert told(Recipe(), *(line(d_loss=sign * 2000.0) for _ in range(40))) == [], "large from the start"
    assert told(Recipe(), *(line(d_loss=sign * tick) for tick in range(900))) == []


def test_a_critic_may_drift() -> None:
    drift = [line(g_loss=tick * 1e4, real_score=-tick * 1e4, fake_score=-tick * 1e4) for tick in range(40)]
    assert told(Recipe(objective="wasserstein"), *drift) == []


def test_going_on_says_nothing_twice_and_remembers_what_was_seen() -> None:
    lines = [won(), won(), line(diversity=0.3), won(), won(), won(), won(), won(), line(diversity=0.3), won()]
    whole = Health(Recipe())
    expected = [whole.tick(line) for line in lines]
    assert sum(map(len, expected)) == 2
    for cut in range(len(lines)):
        health = Health(Recipe())
        for kept in lines[:cut]:
            health.tick(kept)
        assert [health.tick(line) for line in lines[cut:]] == expected[cut:]


PLAYED = [
    Recipe(),
    Recipe(label_smoothing=0.1, discriminator=DiscriminatorConfig(minibatch_stddev=True)),
    Recipe(objective="minimax", n_critic=2),
    Recipe(objective="mse", augment=AugmentConfig(p=1.0)),
    Recipe(objective="hinge", discriminator=DiscriminatorConfig(kind="resnet")),
    Recipe(objective="relativistic", discriminator=NORM_FREE, penalty=PenaltyConfig(kind="r1r2")),
    Recipe(objective="wasserstein"),
    Recipe(objective="wasserstein", discriminator=NORM_FREE, penalty=PenaltyConfig(kind="wgan-gp")),
    Recipe(alternate_epochs=2),
]


@pytest.mark.parametrize("recipe", [*PLAYED, *RECIPES.values()], ids=lambda r: f"{r.name}-{r.objective}")
def test_whatever_a_warning_advises_can_be_done_and_is_not_done_yet(recipe: Recipe) -> None:
    bad = line(d_loss=0.0, real_score=1.0, fake_score=0.0, diversity=0.1)
    run_away = (line(d_loss=10.0**tick, at_clip=1.0 if recipe.clip else None) for tick in range(9))
    warnings = told(recipe, *[bad] * 9, *run_away)
    assert len(warnings) == 2 + (recipe.objective != "wasserstein") + (recipe.clip is not None)
    for warning in warnings:
        assert named(warning), warning
        assert set(named(warning)) <= flags(Recipe), warning
        for way in re.split(r"[;,:] or |; or ", warning):
            if typed := re.findall(r"--([a-z][a-z0-9.-]*[a-z0-9])(?: ([a-z0-9.-]*[a-z0-9]))?", way):
                changes = {option.replace("-", "_"): [value or "true"] for option, value in typed}
                [(_, changed)] = combinations(recipe, changes)
                assert changed != recipe, way


@pytest.mark.parametrize("recipe", PLAYED[:5], ids=lambda recipe: recipe.objective)
def test_the_penalty_that_is_advised_suits_the_recipe(recipe: Recipe) -> None:
    [warning] = told(recipe, *[won(0.0)] * 9)
    assert "--penalty.kind r1" in warning
    needs_norm = recipe.discriminator.normalisation == "batch"
    assert ("--discriminator.norm layer" in warning) == needs_norm
    discriminator = replace(recipe.discriminator, norm="layer") if needs_norm else recipe.discriminator
    replace(recipe, discriminator=discriminator, penalty=PenaltyConfig(kind="r1"))  # is not refused


def test_the_page_names_options_that_exist() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    of_train = {"--device", "--devices", "--dry-run", "--out", "--data"}
    assert len(named(page)) > 10
    assert set(named(page)) <= flags(Recipe) | of_train


def test_diversity_by_hand() -> None:
    real = np.zeros((3, 2, 2, 3), np.uint8)
    real[1:] += np.array([3, 6], np.uint8)[:, None, None, None]  # 3, 6 and 3 apart in each of twelve numbers
    generated = np.zeros((2, 2, 2, 3), np.uint8)
    generated[1, 0, 0] = (3, 4, 12)  # 13 apart
    assert diversity(generated, real) == pytest.approx(13 / (4 * 12**0.5))
    assert diversity(real, real) == pytest.approx(1)


def test_diversity_of_collapsed_and_of_varied_grids(rng: np.random.Generator) -> None:
    real = rng.integers(0, 256, (64, 160, 160, 3), np.uint8)  # more pixels than are compared at once
    assert diversity(rng.integers(0, 256, real.shape, np.uint8), real) == pytest.approx(1, abs=0.01)
    assert diversity(np.repeat(real[:1], 64, axis=0), real) == 0
    two = diversity(np.repeat(real[:2], 32, axis=0), real)
    assert two == pytest.approx(32 / 63, abs=0.01)  # the share of pairs that are not of the same face


def test_diversity_needs_two_different_real_faces(rng: np.random.Generator) -> None:
    generated = rng.integers(0, 256, (4, 8, 8, 3), np.uint8)
    assert diversity(generated, generated[:1]) is None
    assert diversity(generated, np.repeat(generated[:1], 3, axis=0)) is None


def test_the_share_of_weights_at_the_bound() -> None:
    critic = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5))  # 25 + 10 parameters
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.fill_(0.005)
        critic[0].weight[0] = torch.tensor([1.0, -1.0, 0.01, -0.0099])
    clip_weights(critic, 0.01)
    assert share_at_clip(critic, 0.01) == pytest.approx(3 / 35)
    clip_weights(critic, 0.003)
    assert share_at_clip(critic, 0.003) == 1


def test_copies_are_told_by_originality() -> None:
    health = Health(find_recipe("niji"))
    assert health.tick({"images": 1000, "originality": None}) == []
    assert health.tick({"images": 2000, "originality": 0.93}) == []
    (warning,) = health.tick({"images": 3000, "originality": 0.6})
    assert warning.startswith("40% of the generated faces are nearer to a training face")
    assert "--augment.p 1" in warning
    assert health.tick({"images": 4000, "originality": 0.5}) == []  # once per run
