"""The table of named recipes, readable down a column. What a row leaves out is the default of the field."""

from difflib import get_close_matches
from pathlib import Path

from nijigan.errors import UserError
from nijigan.jsonio import read_json
from nijigan.recipe.parts import (
    AugmentConfig,
    BurnInConfig,
    ConditionConfig,
    DiscriminatorConfig,
    EmaConfig,
    GeneratorConfig,
    LatentConfig,
    OptimizerConfig,
    PenaltyConfig,
)
from nijigan.recipe.recipe import Recipe

_Z = LatentConfig
_G, _D = GeneratorConfig, DiscriminatorConfig
_SPHERE = LatentConfig(prior="sphere")


def _adam(lr: float = 2e-4, beta1: float = 0.5, beta2: float = 0.999) -> OptimizerConfig:
    return OptimizerConfig("adam", lr, beta1, beta2)


def _style_small(name: str, condition: ConditionConfig = ConditionConfig()) -> Recipe:  # noqa: B008 - frozen
    """The game and networks of stylegan-lite-small; with attributes they differ in the class part alone."""
    return Recipe(
        name=name, condition=condition, penalty=PenaltyConfig("r1", weight=1, every=16), latent=_Z(128),
        generator=_G("style", width=32, max_width=256, style_mixing=0.9), batch_size=16,
        discriminator=_D(norm="none", minibatch_stddev=True),
        g_optimizer=_adam(2e-3, 0.0, 0.99), d_optimizer=_adam(2e-4, 0.0, 0.99), ema=EmaConfig(half_life_kimg=10),
    )  # fmt: skip


_TABLE = (
    # --- the family, each at its authors' settings ---
    # Radford et al. 2016 and the released code: Adam 2e-4, β1 0.5, N(0, 0.02) init. The batch was 128 in the paper
    # and 64 in the code. Smaller ones move faster for an hour, then D wins and all faces turn the same way at once.
    Recipe(name="dcgan", batch_size=64),
    # Goodfellow et al. 2014, algorithm 1: G descends log(1 - D(G(z))), whose slope fades when D is sure.
    Recipe(name="dcgan-minimax", objective="minimax", batch_size=64),
    # Mao et al. 2017, equation 9, on DCGAN's networks and rates.
    Recipe(name="lsgan", objective="mse", batch_size=64),
    # Arjovsky et al. 2017, algorithm 1: RMSprop 5e-5, weights clipped at 0.01, five critic updates; batch norm stays.
    Recipe(
        name="wgan", objective="wasserstein", penalty=PenaltyConfig("clip"), n_critic=5, batch_size=64,
        g_optimizer=OptimizerConfig("rmsprop", 5e-5, beta2=0.99),
        d_optimizer=OptimizerConfig("rmsprop", 5e-5, beta2=0.99),
    ),
    # Gulrajani et al. 2017, algorithm 1: λ 10, five critic updates, Adam 1e-4 with β 0 and 0.9; layer norm in D.
    Recipe(
        name="wgan-gp", objective="wasserstein", penalty=PenaltyConfig("wgan-gp", weight=10), n_critic=5, batch_size=64,
        latent=_Z(128), discriminator=_D(norm="layer"),
        g_optimizer=_adam(1e-4, 0.0, 0.9), d_optimizer=_adam(1e-4, 0.0, 0.9),
    ),
    # Miyato et al. 2018, appendices B and C: residual networks, spectral norm in D, five D updates, rates falling to 0.
    Recipe(
        name="sngan-hinge", objective="hinge", generator=_G("resnet"), discriminator=_D("resnet"), latent=_Z(128),
        n_critic=5, batch_size=64, lr_schedule="linear", kimg=5000,
        g_optimizer=_adam(2e-4, 0.0, 0.9), d_optimizer=_adam(2e-4, 0.0, 0.9),
    ),
    # The same game on narrower networks, with one D update at four times G's rate (Heusel et al. 2017) for the five.
    Recipe(
        name="sngan-hinge-small", objective="hinge", generator=_G("resnet", width=24, max_width=384),
        discriminator=_D("resnet", width=24, max_width=384), latent=_Z(128), batch_size=16,
        g_optimizer=_adam(1e-4, 0.0, 0.9), d_optimizer=_adam(4e-4, 0.0, 0.9),
    ),
    # Huang et al. 2024, appendix, FFHQ at 64 px: everything ramps over the first 20 million images. They augment as
    # Karras et al. 2020 do; here it is DiffAugment.
    Recipe(
        name="r3gan", objective="relativistic", penalty=PenaltyConfig("r1r2", weight=2), latent=_Z(64),
        generator=_G("r3", width=384, max_width=768, depth=2),
        discriminator=_D("r3", width=384, max_width=768, depth=2),
        g_optimizer=_adam(2e-4, 0.0, 0.99), d_optimizer=_adam(2e-4, 0.0, 0.99), augment=AugmentConfig(p=0.3),
        burn_in=BurnInConfig(kimg=20000, lr=0.25, penalty=0.1, beta2=0.9),
        ema=EmaConfig(half_life_kimg=500, warmup=1), batch_size=256, kimg=30000,
    ),
    # The same game for two CPU cores: small batches and rare penalties for many updates a minute, on networks of dense
    # convolutions, which a CPU multiplies faster than the grouped ones of r3.
    Recipe(
        name="r3gan-small", objective="relativistic", penalty=PenaltyConfig("r1r2", weight=2, every=8),
        generator=_G(width=56, max_width=256, upsample="pixel-shuffle"), discriminator=_D(norm="none"), batch_size=16,
        g_optimizer=_adam(2e-4, 0.0, 0.99), d_optimizer=_adam(2e-4, 0.0, 0.99), augment=AugmentConfig(p=0.2),
        ema=EmaConfig(half_life_kimg=20),
    ),
    # After Karras et al. 2019 and 2020: eight mapping layers, mixing, noise, R1 every 16 updates with γ 1, as in their
    # preset for 256 px. "Lite" because D goes without their filters and styles scale activations, not weights.
    Recipe(
        name="stylegan-lite", penalty=PenaltyConfig("r1", weight=1, every=16), latent=_Z(512),
        generator=_G("style", max_width=512, depth=2, mapping_depth=8, style_mixing=0.9, noise=True),
        discriminator=_D("resnet", max_width=512, norm="none", minibatch_stddev=True),
        g_optimizer=_adam(2.5e-3, 0.0, 0.99), d_optimizer=_adam(5e-4, 0.0, 0.99), ema=EmaConfig(half_life_kimg=10),
        kimg=5000,
    ),
    # The same with half the mapping, plain convolutions in D and few channels: the best faces for an hour of a core.
    _style_small("stylegan-lite-small"),
    # --- with attributes: the three ways to hold G to what it was asked for, on equal networks ---
    # Odena et al. 2017: a classifier beside D's logit. It learns from real faces alone: where it learns from drawn ones
    # too, D and G soon agree on signs of their own for blue eyes (LOG.md).
    _style_small("acgan", ConditionConfig("acgan", weight=4, fakes=False)),
    # Kang et al. 2021: unit embeddings, compared with the classes' proxies and with each other. Twelve times their
    # weight: attributes share it, and at theirs eyes are not obeyed for long (LOG.md).
    _style_small("reacgan", ConditionConfig("reacgan", weight=6)),
    # Miyato and Koyama 2018: the class enters D's logit as an inner product.
    _style_small("cgan-projection", ConditionConfig("projection")),
    # --- one per study, at its own settings; what it does not say is Radford et al.'s, with their batch of 128 ---
    # Menon and Dubey 2022: 28 px, pixels scaled to [0, 1].
    Recipe(name="menon-dubey", resolution=28, generator=_G(output="sigmoid"), batch_size=128),
    # Anik et al.: latents of 128, pictures of 3×28×28, 25 epochs.
    Recipe(name="anik", resolution=28, latent=_Z(128), batch_size=128, epochs=25),
    # Chen, Ning and Lin 2020: 96 px, "use a spherical Z", "avoid sparse gradients"; rates, λ and critic updates are
    # those of their published scripts, whose WGAN keeps batch norm.
    Recipe(
        name="chen-ning-lin-dcgan", resolution=96, latent=_SPHERE, generator=_G(activation="leaky"), batch_size=64,
    ),
    Recipe(
        name="chen-ning-lin-wgan", resolution=96, latent=_SPHERE, generator=_G(activation="leaky"), batch_size=64,
        objective="wasserstein", penalty=PenaltyConfig("clip"), n_critic=2,
        g_optimizer=OptimizerConfig("rmsprop", 1e-4, beta2=0.99),
        d_optimizer=OptimizerConfig("rmsprop", 1e-4, beta2=0.99),
    ),
    Recipe(
        name="chen-ning-lin-wgan-gp", resolution=96, latent=_SPHERE, generator=_G(activation="leaky"), batch_size=64,
        objective="wasserstein", penalty=PenaltyConfig("wgan-gp", weight=5), n_critic=2, discriminator=_D(norm="layer"),
    ),
    # Ti-Wen Chen: the original minimax game, 150 epochs.
    Recipe(name="ti-wen-chen", objective="minimax", batch_size=128, epochs=150),
    # Walia et al.: what they ran, a DCGAN without labels: latents of 128, 4×4 kernels, stride 2, Adam 2e-4, 100 epochs,
    # saved and judged every 10. Their LeakyReLU is taken to be D's.
    Recipe(name="walia", latent=_Z(128), batch_size=128, epochs=100, every_epochs=10),
    # What their title says: an ACGAN at the same settings.
    Recipe(
        name="walia-acgan", latent=_Z(128), batch_size=128, epochs=100, every_epochs=10,
        condition=ConditionConfig("acgan", diversity=0),
    ),
    # --- the demo's: half as wide, at 32 px, it learns drawn faces in a minute or two on a laptop ---
    Recipe(
        name="dcgan-tiny", resolution=32, generator=_G(width=32), discriminator=_D(width=32), kimg=80, tick_kimg=2.5,
        snapshot_kimg=5,
    ),
)  # fmt: skip

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _TABLE}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name, or the one in the JSON file of that path.

    Raises:
        UserError: there is neither; the sentence suggests the nearest name.
    """
    if name in RECIPES:
        return RECIPES[name]
    if name.endswith(".json") or Path(name).is_file():
        return read_json(Recipe, Path(name))
    near = get_close_matches(name, RECIPES, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(RECIPES)}."
    raise UserError(
        f"There is no recipe called {name}: {hint} (`nijigan recipes` lists them; a path to a .json is one too.)"
    )
