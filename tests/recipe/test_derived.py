"""Settings that follow from the dataset: what is filled in, and what was set and stays."""

from dataclasses import replace

import pytest

from nijigan.cli.entry import parse
from nijigan.errors import UserError
from nijigan.recipe.derived import REFERENCE, RULES
from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.parts import ConditionConfig
from nijigan.recipe.recipe import Recipe
from nijigan.training.schedules import schedule_at

NIJI = RECIPES["niji"]


def value(recipe: Recipe, name: str) -> object:
    for part in name.split("."):
        recipe = getattr(recipe, part)
    return recipe


@pytest.mark.parametrize("recipe", [r for r in RECIPES.values() if r.derived], ids=lambda recipe: recipe.name)
def test_a_recipe_has_what_the_rules_give_for_its_reference(recipe: Recipe) -> None:
    assert {name: value(recipe, name) for name in recipe.derived} == {
        name: RULES[name](REFERENCE) for name in recipe.derived
    }
    assert recipe.resolved(REFERENCE.faces, labelled=True) == replace(recipe, derived=())


@pytest.mark.parametrize("resolution", [28, 32, 64, 96, 128, 256])
@pytest.mark.parametrize("faces", [1, 200, 1_000, 60_000, 10**7])
@pytest.mark.parametrize("labelled", [False, True])
def test_every_dataset_gets_a_valid_recipe(resolution: int, faces: int, labelled: bool) -> None:
    recipe = replace(NIJI, resolution=resolution).resolved(faces, labelled)
    assert recipe.derived == ()
    assert recipe.condition.kind == ("reacgan" if labelled else "none")
    assert 300 <= recipe.kimg <= 2000
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_augmentation_comes_with_passes_and_spares_colours_that_are_labels() -> None:
    few, many = NIJI.resolved(1_000, labelled=True), NIJI.resolved(40_000)
    assert (few.augment.ramp_kimg, many.augment.ramp_kimg) == (25, 1000)  # 25 passes over the faces
    assert (few.augment.colour, many.augment.colour) == (False, True)


def test_colours_are_augmented_without_a_class_loss() -> None:
    unconditional = replace(NIJI, condition=ConditionConfig()).resolved(1_000, labelled=True)
    assert unconditional.augment.colour


def test_the_average_of_weights_does_not_wait_for_augmentation() -> None:
    recipe = NIJI.resolved(40_000)
    schedule = schedule_at(recipe, 38_000, 200_000)
    assert schedule.augment < 0.01
    assert schedule.ramp == 1


def test_larger_faces_get_narrower_networks_and_stronger_penalties() -> None:
    small, large = (replace(NIJI, resolution=side).resolved(10_000) for side in (64, 128))
    assert large.generator.width < small.generator.width
    assert large.discriminator.width < small.discriminator.width
    assert large.penalty.weight == 4 * small.penalty.weight  # as the number of pixels


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--kimg", "1000"], {"kimg": 1000}),  # the reference's own value, typed
        (["--kimg", "7"], {"kimg": 7}),
        (["--epochs", "2"], {"kimg": 120}),
        (["--generator.width", "24"], {"generator.width": 24}),
        (["--penalty.kind", "none"], {"penalty.kind": "none", "penalty.weight": None}),
        (["--penalty.weight=2"], {"penalty.weight": 2}),
        (["--condition.kind", "projection"], {"condition.kind": "projection"}),
        (["--augment.colour"], {"augment.colour": True, "augment.ramp_kimg": 1500}),
        (["--augment.ramp-kimg", "0"], {"augment.ramp_kimg": 0}),
        (["--condition.diversity", "0"], {"condition.kind": "reacgan", "condition.diversity": 0}),
        (["--attributes", "hair"], {"condition.kind": "reacgan"}),
    ],
)  # fmt: skip
def test_what_is_typed_stays(options: list[str], expected: dict[str, object]) -> None:
    command = parse(["train", "niji", "--data", "faces", "--resolution", "128", *options])
    recipe = command.settings.resolved(60_000)
    assert {name: value(recipe, name) for name in expected} == expected


def test_what_is_replaced_in_python_stays() -> None:
    recipe = replace(NIJI, resolution=128, kimg=5, condition=ConditionConfig("acgan")).resolved(100)
    assert (recipe.kimg, recipe.condition.kind, recipe.penalty.weight) == (5, "acgan", 8)


def test_fields_without_a_rule_are_refused() -> None:
    with pytest.raises(UserError, match="derived names seed, for which there is no rule"):
        replace(NIJI, derived=("seed",))
