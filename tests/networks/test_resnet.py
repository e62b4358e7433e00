"""Residual networks: shapes against the paper's tables, and the options."""

from dataclasses import replace
from itertools import pairwise, product

import pytest
import torch
from checks import LATENT, RESOLUTIONS, check_discriminator, check_generator, check_sizes, count
from torch import nn

from nijigan.errors import UserError
from nijigan.networks import build_discriminator, build_generator
from nijigan.recipe.parts import DiscriminatorConfig, GeneratorConfig, LatentConfig

G = GeneratorConfig(kind="resnet", width=64)
D = DiscriminatorConfig(kind="resnet", width=64)
TINY_G, TINY_D = replace(G, width=4), replace(D, width=4)
PLAIN_D = replace(D, norm="none")  # spectral norm, which is slow to set up, has no parameters of its own


@pytest.mark.parametrize(
    ("resolution", "widths"), [(64, [1024, 512, 256, 128, 64]), (128, [1024, 1024, 512, 256, 128, 64])]
)
def test_the_published_generator(resolution, widths):
    with torch.device("meta"):
        generator = build_generator(G, LatentConfig(size=128), resolution)
    total = (128 + 1) * 16 * 1024
    for a, b in pairwise(widths):
        total += 9 * a * b + 9 * b * b + a * b  # 3×3, 3×3, 1×1
        total += 2 * a + 2 * b  # two batch norms
    total += 2 * 64 + 9 * 64 * 3 + 3
    assert count(generator) == total


@pytest.mark.parametrize(
    ("resolution", "widths"), [(64, [64, 128, 256, 512, 1024]), (128, [64, 128, 256, 512, 1024, 1024])]
)
def test_the_published_discriminator(resolution, widths):
    with torch.device("meta"):
        discriminator = build_discriminator(PLAIN_D, resolution)
    total = (27 + 1) * 64 + (9 * 64 + 1) * 64 + 3 * 64
    for a, b in pairwise(widths):
        total += (9 * a + 1) * a + (9 * a + 1) * b + (a * b if a != b else 0)
    assert count(discriminator) == total + 1024 + 1


def test_where_the_discriminator_halves():
    """The maps in the published table at 128 px: 64×64×64, 128×32×32, 256×16×16, 512×8×8, 1024×4×4 and 1024×4×4."""
    with torch.device("meta"):
        features = torch.empty(1, 3, 128, 128)
        shapes = []
        for block in build_discriminator(PLAIN_D, 128).layers[:-1]:
            features = block(features)
            shapes.append(tuple(features.shape[1:]))
    assert shapes == [(64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8), (1024, 4, 4), (1024, 4, 4)]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("depth", [1, 2])
def test_every_resolution_from_one_definition(resolution, depth):
    check_sizes(replace(TINY_G, depth=depth), replace(PLAIN_D, width=4, depth=depth), resolution)


OPTIONS = list(product(["batch", "layer", "instance", "none"], ["relu", "leaky"], [1, 2], ["tanh", "sigmoid"]))


@pytest.mark.parametrize(("norm", "activation", "depth", "output"), OPTIONS)
def test_generator_options(norm, activation, depth, output):
    check_generator(replace(TINY_G, norm=norm, activation=activation, depth=depth, output=output))


@pytest.mark.parametrize("depth", [1, 2])
def test_a_modulated_generator(depth):
    check_generator(replace(TINY_G, modulated=True, depth=depth))
    plain, modulated = (count(build_generator(replace(TINY_G, modulated=m), LATENT, 16)) for m in (False, True))
    channels = (16 + 8) + (8 + 4) + 4  # of the five norms: two in each block, and the last one
    assert modulated - plain == channels * (2 * LATENT.size + 2) - 2 * channels


def test_only_batch_norm_is_modulated():
    with pytest.raises(UserError, match=r"generator\.modulated changes batch norm, and generator\.norm is layer"):
        replace(TINY_G, modulated=True, norm="layer")


@pytest.mark.parametrize("norm", ["auto", "batch", "layer", "instance", "spectral", "none"])
@pytest.mark.parametrize("stddev", [False, True])
@pytest.mark.parametrize("depth", [1, 2])
def test_discriminator_options(norm, stddev, depth):
    check_discriminator(replace(TINY_D, norm=norm, minibatch_stddev=stddev, depth=depth))


def test_initial_weights_are_xaviers():
    """Uniform within ±gain·sqrt(6 / (fan in + fan out))."""
    generator = build_generator(replace(G, width=16), LATENT, 32)
    block = generator.layers[0]  # 128 → 64
    for layer, gain, fans in (
        (block.main[3], 2**0.5, 9 * (128 + 64)),
        (block.main[6], 2**0.5, 9 * (64 + 64)),
        (block.shortcut[0], 1, 128 + 64),
        (generator.dense, 1, 10 + 128 * 16),
        (generator.layers[-2], 1, 9 * (16 + 3)),
    ):
        bound = gain * (6 / fans) ** 0.5
        assert float(layer.weight.detach().abs().max()) == pytest.approx(bound, rel=0.05)
        assert float(layer.weight.detach().abs().max()) <= bound


def test_every_kernel_has_spectral_norm_1():
    torch.manual_seed(0)
    discriminator = build_discriminator(replace(TINY_D, minibatch_stddev=True), 16)
    for _ in range(200):
        discriminator(torch.randn(1, 3, 16, 16))
    layers = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 3 * 3 + 1
    for layer in layers:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1, rel=0.01)


def test_a_shortcut_is_the_papers():
    """In the paper's order: upsampling before the 1×1 convolution, or pooling after it."""
    torch.manual_seed(0)
    x = torch.randn(2, 8, 8, 8)
    up = build_generator(TINY_G, LATENT, 8).layers[0]
    expected = up.shortcut[0](x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    torch.testing.assert_close(up.shortcut(x), expected)
    down = build_discriminator(replace(PLAIN_D, width=8), 16).layers[1]
    expected = down.shortcut[1](x).unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5))
    torch.testing.assert_close(down.shortcut(x), expected)
