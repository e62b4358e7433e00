"""The recipes of the studies against the settings that their texts state."""

from pathlib import Path

from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.studies import STUDIES

DOCS = Path(__file__).parents[2] / "docs"


def test_every_study_has_recipes_and_the_page_names_them() -> None:
    page = (DOCS / "papers.md").read_text(encoding="utf-8")
    for study in STUDIES:
        assert study.claims
        for name in study.recipes:
            assert name in RECIPES
            assert f"`{name}`" in page or f"`-{name.removeprefix('chen-ning-lin-')}`" in page
        assert study.authors.split(",")[0].split(" and ")[0] in page


def test_every_recipe_is_explained() -> None:
    page = (DOCS / "recipes.md").read_text(encoding="utf-8")
    for name in RECIPES:
        assert f"`{name}`" in page or f"`-{name.removeprefix('chen-ning-lin-')}`" in page, name


def test_settings_that_the_studies_state() -> None:
    menon, anik, chen, walia = (RECIPES[name] for name in ("menon-dubey", "anik", "ti-wen-chen", "walia"))
    assert (menon.resolution, menon.generator.output, menon.objective) == (28, "sigmoid", "bce")
    assert (anik.resolution, anik.latent.size, anik.epochs, anik.objective) == (28, 128, 25, "bce")
    assert (chen.objective, chen.epochs) == ("minimax", 150)
    assert (walia.latent.size, walia.epochs, walia.g_optimizer.lr, walia.d_optimizer.lr) == (128, 100, 2e-4, 2e-4)
    trio = [RECIPES[f"chen-ning-lin-{name}"] for name in ("dcgan", "wgan", "wgan-gp")]
    assert [recipe.resolution for recipe in trio] == [96, 96, 96]
    assert [recipe.objective for recipe in trio] == ["bce", "wasserstein", "wasserstein"]
    assert trio[1].clip == 0.01
    assert (trio[2].penalty.kind, trio[2].penalty.strength, trio[2].n_critic) == ("wgan-gp", 5, 2)


def test_the_tips_of_ganhacks() -> None:
    """Chintala et al. 2016, by their numbers; batch norm of real and generated images apart (4) holds for all."""
    tips = RECIPES["ganhacks"]
    g, d, tricks = tips.generator, tips.discriminator, tips.tricks
    assert (g.output, tips.objective, tips.latent.prior) == ("tanh", "bce", "sphere")  # 1, 2, 3
    assert (g.normalisation, d.normalisation) == ("batch", "batch")  # 4
    assert (g.activation, g.upsample, d.downsample) == ("leaky", "pixel-shuffle", "average")  # 5
    assert tricks.soft_labels == 0.3  # 6: fakes 0 to 0.3, reals 0.7 to 1.2
    assert tricks.flipped_labels > 0
    assert tricks.replay > 0  # 8
    assert (tips.g_optimizer.kind, tips.d_optimizer.kind) == ("adam", "sgd")  # 9
    assert tricks.instance_noise > 0  # 13
    assert g.dropout == 0.5  # 17


def test_the_familys_published_settings() -> None:
    """Arjovsky et al. 2017 and Gulrajani et al. 2017, algorithm 1 of each; Miyato et al. 2018, appendix."""
    wgan, gp, sngan = (RECIPES[name] for name in ("wgan", "wgan-gp", "sngan-hinge"))
    assert (wgan.clip, wgan.n_critic, wgan.batch_size, wgan.g_optimizer.kind, wgan.g_optimizer.lr) == (
        0.01, 5, 64, "rmsprop", 5e-5,
    )  # fmt: skip
    assert (gp.penalty.strength, gp.n_critic, gp.batch_size) == (10, 5, 64)
    for recipe, rate in ((gp, 1e-4), (sngan, 2e-4)):
        for optimizer in (recipe.g_optimizer, recipe.d_optimizer):
            assert (optimizer.kind, optimizer.lr, optimizer.beta1, optimizer.beta2) == ("adam", rate, 0.0, 0.9)
    assert gp.discriminator.normalisation == "layer"
    assert (sngan.discriminator.normalisation, sngan.n_critic, sngan.objective) == ("spectral", 5, "hinge")
