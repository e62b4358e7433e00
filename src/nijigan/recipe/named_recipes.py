"""The named recipes. Each sets only what differs from the defaults of the fields.

Every entry has the same order: name and resolution; latent and networks; loss; optimizers; schedule, batch and length.
The comment above an entry gives its source, and what differs from it.
"""

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
    ProjectedConfig,
    TricksConfig,
)
from nijigan.recipe.recipe import Recipe

_Z = LatentConfig
_SPHERE = LatentConfig(prior="sphere")
_G, _D = GeneratorConfig, DiscriminatorConfig


def _adam(lr: float = 2e-4, beta1: float = 0.5, beta2: float = 0.999) -> OptimizerConfig:
    return OptimizerConfig("adam", lr, beta1, beta2)


def _rmsprop(lr: float) -> OptimizerConfig:
    return OptimizerConfig("rmsprop", lr, beta2=0.99)


def _style_small(name: str, condition: ConditionConfig = ConditionConfig()) -> Recipe:  # noqa: B008 - frozen
    """stylegan-lite-small, or the same recipe with a conditional discriminator."""
    return Recipe(
        name=name,
        latent=_Z(128), generator=_G("style", width=32, max_width=256, style_mixing=0.9),
        discriminator=_D(norm="none", minibatch_stddev=True), condition=condition,
        penalty=PenaltyConfig("r1", weight=1, every=16),
        g_optimizer=_adam(2e-3, 0.0, 0.99), d_optimizer=_adam(2e-4, 0.0, 0.99),
        ema=EmaConfig(half_life_kimg=10), batch_size=16,
    )  # fmt: skip


_TABLE = (
    # --- Published models, at their authors' settings ---
    # Radford et al. 2016 and the released code: Adam 2e-4 with β1 0.5, weights from N(0, 0.02). The batch is 64 as in
    # the code, not 128 as in the paper. Smaller batches learn faster for the first hour; then D wins, and all generated
    # faces turn the same way.
    Recipe(name="dcgan", batch_size=64),
    # Goodfellow et al. 2014, algorithm 1: G minimises log(1 - D(G(z))), whose gradient vanishes when D is confident.
    Recipe(name="dcgan-minimax", objective="minimax", batch_size=64),
    # Chintala et al. 2016, "How to Train a GAN? Tips and tricks to make GANs work" ("ganhacks"), on the networks of
    # dcgan: tanh (1), max log D (2), a spherical Z (3), batch norm of real and generated images apart (4), no sparse
    # gradients (5), soft targets that are sometimes swapped (6), earlier fakes (8), Adam for G and SGD for D (9), noise
    # on D's inputs that fades (13), dropout in G (17). Where the list has no number, it is ours, SGD's rate too.
    # Differences: real targets end at 1 instead of 1.2, because D's are probabilities; there is no noise inside G, and
    # no dropout when faces are generated, so that a seed remains one face.
    Recipe(
        name="ganhacks",
        latent=_SPHERE, generator=_G(activation="leaky", upsample="pixel-shuffle", dropout=0.5),
        discriminator=_D(downsample="average"),
        d_optimizer=OptimizerConfig("sgd", 5e-3, 0.5),
        tricks=TricksConfig(soft_labels=0.3, flipped_labels=0.05, instance_noise=0.1, replay=0.5),
        batch_size=64,
    ),
    # Mao et al. 2017, equation 9, with the networks and learning rates of dcgan.
    Recipe(name="lsgan", objective="mse", batch_size=64),
    # Arjovsky et al. 2017, algorithm 1: RMSprop 5e-5, weights clipped at 0.01, five D updates per G update. D keeps
    # its batch norm.
    Recipe(
        name="wgan",
        objective="wasserstein", penalty=PenaltyConfig("clip"),
        g_optimizer=_rmsprop(5e-5), d_optimizer=_rmsprop(5e-5),
        n_critic=5, batch_size=64,
    ),
    # Gulrajani et al. 2017, algorithm 1: λ = 10, five D updates, Adam 1e-4 with β 0 and 0.9, layer norm in D.
    Recipe(
        name="wgan-gp",
        latent=_Z(128), discriminator=_D(norm="layer"),
        objective="wasserstein", penalty=PenaltyConfig("wgan-gp", weight=10),
        g_optimizer=_adam(1e-4, 0.0, 0.9), d_optimizer=_adam(1e-4, 0.0, 0.9),
        n_critic=5, batch_size=64,
    ),
    # Miyato et al. 2018, appendices B and C: residual networks, spectral norm in D, five D updates, learning rates that
    # decay to 0.
    Recipe(
        name="sngan-hinge",
        latent=_Z(128), generator=_G("resnet"), discriminator=_D("resnet"),
        objective="hinge",
        g_optimizer=_adam(2e-4, 0.0, 0.9), d_optimizer=_adam(2e-4, 0.0, 0.9),
        lr_schedule="linear", n_critic=5, batch_size=64, kimg=5000,
    ),
    # For a CPU: sngan-hinge with narrower networks, and one D update at four times G's learning rate (Heusel et al.
    # 2017) instead of five D updates.
    Recipe(
        name="sngan-hinge-small",
        latent=_Z(128), generator=_G("resnet", width=24, max_width=384),
        discriminator=_D("resnet", width=24, max_width=384),
        objective="hinge",
        g_optimizer=_adam(1e-4, 0.0, 0.9), d_optimizer=_adam(4e-4, 0.0, 0.9),
        batch_size=16,
    ),
    # Huang et al. 2024, appendix, FFHQ at 64 px: ramps over the first 20 million images. The authors use the
    # augmentation of Karras et al. 2020; this recipe uses DiffAugment.
    Recipe(
        name="r3gan",
        latent=_Z(64), generator=_G("r3", width=384, max_width=768, depth=2),
        discriminator=_D("r3", width=384, max_width=768, depth=2),
        objective="relativistic", penalty=PenaltyConfig("r1r2", weight=2),
        g_optimizer=_adam(2e-4, 0.0, 0.99), d_optimizer=_adam(2e-4, 0.0, 0.99),
        burn_in=BurnInConfig(kimg=20000, lr=0.25, penalty=0.1, beta2=0.9), augment=AugmentConfig(p=0.3),
        ema=EmaConfig(half_life_kimg=500, warmup=1), batch_size=256, kimg=30000,
    ),
    # For a CPU: the loss and penalties of r3gan, with small batches and lazy penalties for many updates per minute. The
    # networks have dense convolutions, which a CPU computes faster than the grouped ones of r3.
    Recipe(
        name="r3gan-small",
        generator=_G(width=56, max_width=256, upsample="pixel-shuffle"), discriminator=_D(norm="none"),
        objective="relativistic", penalty=PenaltyConfig("r1r2", weight=2, every=8),
        g_optimizer=_adam(2e-4, 0.0, 0.99), d_optimizer=_adam(2e-4, 0.0, 0.99),
        augment=AugmentConfig(p=0.2), ema=EmaConfig(half_life_kimg=20), batch_size=16,
    ),
    # Our own, for faces that people keep: the residual generator of sngan-hinge-small, with the loss and the plain
    # discriminator of r3gan-small, and heads on frozen features beside it (LOG.md). What is `derived` follows from the
    # dataset.
    Recipe(
        name="niji",
        latent=_Z(128), generator=_G("resnet", width=20, max_width=320, modulated=True), discriminator=_D(norm="none"),
        projected=ProjectedConfig(weight=0.3), condition=ConditionConfig("reacgan", weight=0.1),
        objective="relativistic", penalty=PenaltyConfig("r1r2", weight=2, every=8),
        g_optimizer=_adam(4e-4, 0.0, 0.99), d_optimizer=_adam(4e-4, 0.0, 0.99),
        lr_schedule="tail", augment=AugmentConfig(p="auto", colour=False, ramp_kimg=250),
        ema=EmaConfig(half_life_kimg=20), batch_size=16, kimg=1000,
        derived=("condition", "generator.width", "discriminator.width", "penalty.weight", "augment.colour",
                 "augment.ramp_kimg", "kimg"),
    ),
    # Karras et al. 2019 and 2020: eight mapping layers, style mixing, noise, R1 with γ = 1 every 16 updates, as in
    # their preset for 256 px. It is "lite" because D lacks their blur filters, and styles scale activations instead of
    # weights.
    Recipe(
        name="stylegan-lite",
        latent=_Z(512), generator=_G("style", max_width=512, depth=2, mapping_depth=8, style_mixing=0.9, noise=True),
        discriminator=_D("resnet", max_width=512, norm="none", minibatch_stddev=True),
        penalty=PenaltyConfig("r1", weight=1, every=16),
        g_optimizer=_adam(2.5e-3, 0.0, 0.99), d_optimizer=_adam(5e-4, 0.0, 0.99),
        ema=EmaConfig(half_life_kimg=10), kimg=5000,
    ),
    # For a CPU: stylegan-lite with four mapping layers, plain convolutions in D and few channels.
    _style_small("stylegan-lite-small"),
    # --- Conditional models: three ways to condition on attributes, with otherwise equal networks ---
    # Odena et al. 2017: an auxiliary classifier in D. It is trained on real faces only. If it is trained on generated
    # faces too, D and G soon agree on cues of their own, for blue eyes for instance (LOG.md).
    _style_small("acgan", ConditionConfig("acgan", weight=4, fakes=False)),
    # Kang et al. 2021: unit embeddings, compared with class proxies and with each other. The weight is twelve times the
    # published one, because attributes share it; at the published weight, conditional accuracy on eyes soon drops
    # (LOG.md).
    _style_small("reacgan", ConditionConfig("reacgan", weight=6)),
    # Miyato and Koyama 2018: an inner product with the class embedding is added to D's logit.
    _style_small("cgan-projection", ConditionConfig("projection")),
    # --- The five student studies, at their settings; the rest is from Radford et al. 2016, with its batch of 128 ---
    # Menon and Dubey 2022: 28 px, pixels scaled to [0, 1].
    Recipe(name="menon-dubey", resolution=28, generator=_G(output="sigmoid"), batch_size=128),
    # Anik et al.: latents of 128, images of 3×28×28, 25 epochs, a table at six of them.
    Recipe(
        name="anik", resolution=28, latent=_Z(128), batch_size=128, epochs=25, snapshot_epochs=(1, 5, 10, 15, 20, 25)
    ),
    # Chen, Ning and Lin 2020: 96 px, "use a spherical Z", "avoid sparse gradients". Learning rates, λ and D updates are
    # those of their published scripts. Their WGAN keeps batch norm in D.
    Recipe(
        name="chen-ning-lin-dcgan", resolution=96,
        latent=_SPHERE, generator=_G(activation="leaky"),
        batch_size=64,
    ),
    Recipe(
        name="chen-ning-lin-wgan", resolution=96,
        latent=_SPHERE, generator=_G(activation="leaky"),
        objective="wasserstein", penalty=PenaltyConfig("clip"),
        g_optimizer=_rmsprop(1e-4), d_optimizer=_rmsprop(1e-4),
        n_critic=2, batch_size=64,
    ),
    # Their WGAN-GP keeps batch norm in D too; here it is layer norm, because the penalty needs a gradient per image.
    Recipe(
        name="chen-ning-lin-wgan-gp", resolution=96,
        latent=_SPHERE, generator=_G(activation="leaky"), discriminator=_D(norm="layer"),
        objective="wasserstein", penalty=PenaltyConfig("wgan-gp", weight=5),
        n_critic=2, batch_size=64,
    ),
    # Ti-Wen Chen: the minimax loss, 150 epochs, the best of which was 125.
    Recipe(
        name="ti-wen-chen", objective="minimax", batch_size=128, epochs=150,
        snapshot_epochs=(1, 25, 50, 75, 100, 125, 150),
    ),
    # Walia et al., as run: a DCGAN without labels, latents of 128, 4×4 kernels with stride 2, Adam 2e-4, 100 epochs,
    # saved and evaluated every 10, pictures after every fifth up to 25. Their LeakyReLU is assumed to be in D.
    Recipe(name="walia", latent=_Z(128), batch_size=128, epochs=100, every_epochs=10, snapshot_epochs=(1, 5, 15, 25)),
    # Walia et al., as titled: an ACGAN with the same settings.
    Recipe(
        name="walia-acgan",
        latent=_Z(128), condition=ConditionConfig("acgan", diversity=0),
        batch_size=128, epochs=100, every_epochs=10, snapshot_epochs=(1, 5, 15, 25),
    ),
    # --- The demo: dcgan at half the width and 32 px ---
    Recipe(
        name="dcgan-tiny", resolution=32,
        generator=_G(width=32), discriminator=_D(width=32),
        kimg=80, snapshot_kimg=5, tick_kimg=2.5,
    ),
)  # fmt: skip

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _TABLE}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name, or the one in the JSON file at that path.

    Raises:
        UserError: there is neither; the message suggests the most similar name.
    """
    if name in RECIPES:
        return RECIPES[name]
    if name.endswith(".json") or Path(name).is_file():
        return read_json(Recipe, Path(name))
    near = get_close_matches(name, RECIPES, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(RECIPES)}."
    raise UserError(
        f"There is no recipe called {name}: {hint} (`nijigan recipes` lists them; a path to a .json works too.)"
    )
