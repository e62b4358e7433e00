import json
from dataclasses import replace

import pytest

from nijigan.errors import UserError
from nijigan.parts import GeneratorConfig, OptimizerConfig
from nijigan.recipe import Recipe, base_resolution, nearest_resolutions
from nijigan.recipes import RECIPES, find_recipe


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_survives_json(recipe: Recipe) -> None:
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_names_of_the_table_are_the_names_of_the_recipes() -> None:
    assert all(recipe.name == name for name, recipe in RECIPES.items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resolution": 65}, "choose 64, 80"),
        ({"resolution": 4}, "choose 8"),
        ({"batch_size": 1}, "batch norm"),
        ({"batch_size": 32, "accumulate": 5}, "divides"),
        ({"batch_size": 4, "accumulate": 4}, "two or more"),
        ({"label_smoothing": 0.1, "objective": "mse"}, "bce"),
        ({"alternate_epochs": 2, "n_critic": 5}, "must stay 1"),
        ({"kimg": 0}, "above 0"),
        ({"epochs": -1.0}, "above 0"),
        ({"kimg": float("inf")}, "finite"),
        ({"tick_kimg": float("nan")}, "finite"),
        ({"seed": -1}, "seed"),
        ({"n_critic": 0}, "at least 1"),
    ],
)
def test_contradictions_are_refused_in_a_sentence(change: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        replace(Recipe(), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GeneratorConfig(width=0), "width"),
        (lambda: GeneratorConfig(depth=99), "depth"),
        (lambda: OptimizerConfig(lr=0), "learning rate"),
        (lambda: OptimizerConfig(beta1=1), "beta1"),
    ],
)
def test_parts_check_themselves(make: object, words: str) -> None:
    with pytest.raises(UserError, match=words):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"resoluton": 64}', "resoluton"),
        ('{"resolution": "big"}', "resolution"),
        ('{"generator": {"kind": "vae"}}', "generator.kind"),
        ('{"latent": {"size": 1000000000000}}', "latent.size"),
        ("[", "JSON"),
        ("[]", "not valid"),
    ],
)
def test_bad_json_names_the_field(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Recipe.from_json(text)


def test_a_strangers_json_cannot_speak_to_the_terminal() -> None:
    with pytest.raises(UserError) as error:
        Recipe.from_json(json.dumps({"\x1b[31m" * 100: 1}))
    assert "\x1b" not in str(error.value)
    assert len(str(error.value)) < 200


def test_an_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean dcgan"):
        find_recipe("dcgn")


def test_a_path_to_json_is_a_recipe(tmp_path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"name": "mine", "kimg": 7}))
    assert find_recipe(str(path)) == Recipe(name="mine", kimg=7)
    with pytest.raises(UserError, match="Could not read"):
        find_recipe(str(tmp_path / "none.json"))


def test_epochs_become_kimg() -> None:
    recipe = Recipe(epochs=2.5).resolved(4000)
    assert recipe.kimg == 10
    assert recipe.epochs is None


@pytest.mark.parametrize("resolution", [28, 32, 48, 64, 80, 96, 112, 128, 256])
def test_resolutions_of_the_form_base_times_a_power_of_two(resolution: int) -> None:
    base = base_resolution(resolution)
    assert base in (4, 5, 6, 7)
    assert (resolution // base).bit_count() == 1
    assert resolution % base == 0


def test_nearest_resolutions_are_allowed_ones_around() -> None:
    assert nearest_resolutions(100) == [96, 112]
    assert nearest_resolutions(5000) == [1024]
