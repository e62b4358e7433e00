import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from nijigan.errors import UserError
from nijigan.recipe.named_recipes import RECIPES, find_recipe
from nijigan.recipe.parts import (
    AugmentConfig,
    BurnInConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    OptimizerConfig,
    PenaltyConfig,
    ProjectedConfig,
    TricksConfig,
)
from nijigan.recipe.recipe import Recipe
from nijigan.resolutions import base_resolution, nearest_resolutions


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_survives_json(recipe: Recipe) -> None:
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_keys_of_the_table_are_names_of_recipes() -> None:
    assert all(recipe.name == name for name, recipe in RECIPES.items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resolution": 65}, "choose 64 or 80"),
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
        ({"batch_size": 10**400}, "batch_size is a number of hundreds of digits; choose at most 65,536"),
        ({"accumulate": 10**400}, "accumulate is a number of hundreds of digits"),
        ({"alternate_epochs": 10**400}, "alternate_epochs is a number of hundreds of digits"),
        ({"alternate_epochs": 10**30}, "alternate_epochs is 1e[+]30"),
        ({"kimg": 10**400}, "kimg is a number of hundreds of digits"),
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
    ("make", "words"),
    [
        (
            lambda: GeneratorConfig("r3", norm="batch"),
            "norm applies to dcgan and resnet, not to r3.*--generator.norm auto",
        ),
        (lambda: GeneratorConfig("style", activation="leaky"), "activation applies.*--generator.activation relu"),
        (
            lambda: GeneratorConfig("resnet", upsample="pixel-shuffle"),
            "upsample applies.*--generator.upsample transposed",
        ),
        (lambda: GeneratorConfig("resnet", dropout=0.1), "dropout applies"),
        (lambda: GeneratorConfig(style_mixing=0.9), "style_mixing applies to style"),
        (lambda: GeneratorConfig(noise=True), "noise applies to style"),
        (lambda: GeneratorConfig(mapping_depth=8), "mapping_depth applies to style"),
        (lambda: GeneratorConfig("style", mapping_depth=99), "choose 1 to 16"),
        (lambda: GeneratorConfig(width=64, max_width=32), "max_width"),
        (lambda: DiscriminatorConfig("r3", norm="layer"), "r3 has no normalisation"),
        (lambda: DiscriminatorConfig("resnet", downsample="average"), "downsample applies to dcgan"),
        (lambda: PenaltyConfig(weight=5), "weight applies.*not to auto"),
        (lambda: PenaltyConfig("clip", every=4), "every applies.*not to clip.*--penalty.every 1"),
        (
            lambda: PenaltyConfig("r1", one_sided=True),
            "one_sided applies to wgan-gp and dragan, not to r1.*--penalty.no-one-sided",
        ),
        (lambda: PenaltyConfig("r1", clip=0.5), "clip applies"),
        (lambda: PenaltyConfig("r1", weight=-1), "above 0"),
        (lambda: AugmentConfig(p=2), "augment.p"),
        (lambda: AugmentConfig(p=0.5, colour=False, translation=False, cutout=False), "switched off"),
        (lambda: TricksConfig(soft_labels=0.5), "soft_labels"),
        (lambda: ProjectedConfig(0.3, 100), "a multiple of 32"),
        (lambda: ProjectedConfig(-1), "projected.weight"),
        (lambda: ProjectedConfig(0, 96), "projected.size is 96, but"),
        (lambda: TricksConfig(instance_noise_kimg=5), "no effect without noise"),
        (lambda: BurnInConfig(lr=0.5), "ramps without a length"),
        (lambda: Recipe(penalty=PenaltyConfig("r1")), "batch norm makes D's logit.*norm layer"),
        (lambda: Recipe(penalty=PenaltyConfig("wgan-gp")), "batch norm"),
        (lambda: Recipe(mse_targets=(1.0, 0.0, 0.0)), "mse_targets applies"),
        (lambda: Recipe(objective="mse", mse_targets=(1.0, 1.0, 0.0)), "different targets for fakes and reals"),
        (lambda: Recipe(objective="mse", mse_targets=(float("nan"), 1.0, 0.0)), "finite"),
        (lambda: Recipe(objective="mse", mse_targets=(0.0, 1.0, 0.0)), "would not compete"),
        (lambda: Recipe(penalty=PenaltyConfig(clip=0.1)), "does not clip weights.*kind clip"),
        (
            lambda: Recipe(discriminator=DiscriminatorConfig(norm="spectral"), penalty=PenaltyConfig("clip")),
            "undoes weight clipping.*kind none",
        ),
        (
            lambda: replace(RECIPES["r3gan-small"].penalty, kind="auto"),
            "--penalty.weight None --penalty.every 1",
        ),
        (lambda: Recipe(objective="hinge", tricks=TricksConfig(soft_labels=0.1)), "soft_labels applies"),
        (lambda: Recipe(label_smoothing=0.3, tricks=TricksConfig(soft_labels=0.3)), "midpoint between real and fake"),
        (lambda: Recipe(burn_in=BurnInConfig(kimg=5, penalty=0.1)), "this recipe has none"),
        (lambda: replace(RECIPES["wgan"], burn_in=BurnInConfig(kimg=5, beta2=0.5)), "adam"),
    ],
)
def test_contradictions_are_refused_with_settings_that_work(make: Callable[[], object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make()


def test_auto_is_resolved() -> None:
    assert [GeneratorConfig(kind).normalisation for kind in ("dcgan", "resnet", "r3", "style")] == [
        "batch", "batch", "none", "none",
    ]  # fmt: skip
    assert [DiscriminatorConfig(kind).normalisation for kind in ("dcgan", "resnet", "r3")] == [
        "batch", "spectral", "none",
    ]  # fmt: skip
    assert Recipe(objective="wasserstein").clip == 0.01
    assert Recipe(objective="wasserstein", discriminator=DiscriminatorConfig("resnet")).clip is None
    assert Recipe(objective="wasserstein", penalty=PenaltyConfig("none")).clip is None
    assert (PenaltyConfig("wgan-gp").strength, PenaltyConfig("r1").strength, PenaltyConfig("r1", 3).strength) == (
        10, 2, 3,
    )  # fmt: skip


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


def test_control_codes_in_json_do_not_reach_the_terminal() -> None:
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
