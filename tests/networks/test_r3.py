"""R3GAN: sizes computed by hand, and the output of newly initialised networks."""

from dataclasses import replace

import pytest
import torch
from checks import LATENT, RESOLUTIONS, check_discriminator, check_generator, check_sizes, count, wake
from torch import nn
from torch.nn.functional import interpolate

from nijigan.networks import build_discriminator, build_generator
from nijigan.networks.blocks import Residual
from nijigan.networks.r3 import _group
from nijigan.recipe.parts import DiscriminatorConfig, GeneratorConfig, LatentConfig

G = GeneratorConfig(kind="r3", width=384, max_width=768, depth=2)
D = DiscriminatorConfig(kind="r3", width=384, max_width=768, depth=2)
TINY_G, TINY_D = replace(G, width=4, max_width=8), replace(D, width=4, max_width=8)


def published_blocks() -> int:
    """Parameters of two blocks at each of 4, 8, 16 and 32 px with 768 channels and two at 64 px with 384."""
    total = 0
    for channels, groups, blocks in ((768, 96, 8), (384, 48, 2)):
        hidden = 2 * channels
        total += blocks * (channels * hidden + hidden + 9 * hidden * (hidden // groups) + hidden + hidden * channels)
    return total


def test_the_published_generator():
    with torch.device("meta"):
        generator = build_generator(G, LatentConfig(size=64), 64)
    assert count(generator) == published_blocks() + 768 * 16 + 64 * 768 + 768 * 384 + 384 * 3
    assert {m.groups for m in generator.modules() if isinstance(m, nn.Conv2d)} == {1, 96, 48}


def test_the_published_discriminator():
    with torch.device("meta"):
        discriminator = build_discriminator(D, 64)
    assert count(discriminator) == published_blocks() + 3 * 384 + 384 * 768 + 768 * 16 + 768


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("depth", [1, 2])
def test_every_resolution_from_one_definition(resolution, depth):
    check_sizes(replace(TINY_G, depth=depth), replace(TINY_D, depth=depth), resolution)


@pytest.mark.parametrize("width", [4, 16])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("output", ["tanh", "sigmoid"])
def test_generator_options(width, depth, output):
    check_generator(replace(TINY_G, width=width, max_width=2 * width, depth=depth, output=output))


@pytest.mark.parametrize("width", [4, 16])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("stddev", [False, True])
def test_discriminator_options(width, depth, stddev):
    check_discriminator(replace(TINY_D, width=width, max_width=2 * width, depth=depth, minibatch_stddev=stddev))


@pytest.mark.parametrize(
    ("channels", "size"), [(2, 2), (8, 8), (16, 16), (24, 12), (32, 16), (48, 16), (100, 10), (1536, 16), (34, 2)]
)
def test_groups_divide_the_channels(channels, size):
    assert _group(channels) == size


def test_blocks_are_nothing_at_the_start():
    features = torch.randn(2, 8, 4, 4)
    for network in (build_generator(TINY_G, LATENT, 16), build_discriminator(TINY_D, 16)):
        blocks = [module for module in network.modules() if isinstance(module, Residual)]
        assert len(blocks) == 2 * 3
        for block in blocks:
            x = features[:, : block.main[0].in_channels]
            assert torch.equal(block(x), x)


def test_the_first_kernels_of_blocks_shrink_with_their_number():
    """He's standard deviation times L^(-1/4), L = 5 resolutions × depth; first and last layers preserve variance."""
    torch.manual_seed(0)
    generator = build_generator(replace(G, width=32, max_width=64), LATENT, 64)
    for block in generator.modules():
        if isinstance(block, Residual):
            for layer, fan_in in ((block.main[0], block.main[0].in_channels), (block.main[2], 9 * 16)):
                expected = (2 / 1.04 / fan_in) ** 0.5 * 10**-0.25
                assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.1)
                assert not layer.bias.any()
    features = generator.basis * generator.embed(torch.randn(1000, LATENT.size))[:, :, None, None]
    assert float(features.detach().std()) == pytest.approx(1, rel=0.15)


def test_the_first_pictures_are_a_stretched_mixture():
    generator = build_generator(replace(TINY_G, width=8), LATENT, 32)
    z = torch.randn(3, LATENT.size)
    map_ = torch.einsum("nl,cl,chw->nchw", z, generator.embed.weight, generator.basis[0])
    for _ in range(3):
        map_ = interpolate(map_, scale_factor=2, mode="bilinear", align_corners=False)
    expected = torch.einsum("nchw,rc->nrhw", map_, generator.layers[-2].weight[:, :, 0, 0]).tanh()
    torch.testing.assert_close(generator(z), expected)


def test_the_first_discriminator_is_linear_and_keeps_the_variance():
    torch.manual_seed(0)
    discriminator = build_discriminator(replace(TINY_D, width=32, max_width=32), 16)
    a, b = torch.randn(2, 20, 3, 16, 16)

    def judge(images):
        return discriminator(images).logits.detach()

    torch.testing.assert_close(judge(2 * a - b), 2 * judge(a) - judge(b), atol=1e-5, rtol=1e-4)
    flat = torch.randn(50, 3, 1, 1).expand(-1, -1, 16, 16)  # what pooling leaves as it is
    several = [build_discriminator(replace(TINY_D, width=32, max_width=32, depth=1), 16) for _ in range(20)]
    logits = torch.stack([one(flat).logits.detach() for one in several])
    assert float(logits.square().mean()) == pytest.approx(1, rel=0.5)
    wake(discriminator)
    assert not torch.allclose(judge(2 * a - b), 2 * judge(a) - judge(b), atol=1e-3)


def test_there_is_no_norm():
    for network in (build_generator(TINY_G, LATENT, 32), build_discriminator(TINY_D, 32)):
        assert not list(network.buffers())
        assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.GroupNorm)]
