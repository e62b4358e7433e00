"""Shapes against those of the authors' released code, and what makes a DCGAN one."""

import pytest
import torch
from torch import nn

from nijigan.networks import build_discriminator, build_generator
from nijigan.recipe import DiscriminatorConfig, GeneratorConfig, LatentConfig

RESOLUTIONS = [28, 32, 48, 64, 80, 96, 112, 128, 256]


def shapes(module: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for p in module.parameters() if p.ndim == 4]


def test_the_published_generator() -> None:
    with torch.device("meta"):
        generator = build_generator(GeneratorConfig(), LatentConfig(), 64)
    # in × out × 4 × 4: nz → ngf·8 → ngf·4 → ngf·2 → ngf → 3
    assert shapes(generator) == [
        (100, 512, 4, 4), (512, 256, 4, 4), (256, 128, 4, 4), (128, 64, 4, 4), (64, 3, 4, 4),
    ]  # fmt: skip
    assert sum(p.numel() for p in generator.parameters()) == 3_576_704
    kinds = [type(layer) for layer in generator.layers]
    assert kinds == [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU] * 4 + [nn.ConvTranspose2d, nn.Tanh]


def test_the_published_discriminator() -> None:
    with torch.device("meta"):
        discriminator = build_discriminator(DiscriminatorConfig(), 64)
    assert shapes(discriminator) == [
        (64, 3, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (1, 512, 4, 4),
    ]  # fmt: skip
    assert sum(p.numel() for p in discriminator.parameters()) == 2_765_568 + 64  # the first bias
    kinds = [type(layer) for layer in discriminator.layers]
    hidden = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]
    assert kinds == [nn.Conv2d, nn.LeakyReLU, *hidden * 3, nn.Conv2d]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("depth", [1, 2])
def test_every_resolution_from_one_definition(resolution: int, depth: int) -> None:
    with torch.device("meta"):
        generator = build_generator(GeneratorConfig(width=8, depth=depth), LatentConfig(size=10), resolution)
        discriminator = build_discriminator(DiscriminatorConfig(width=8, depth=depth), resolution)
        images = generator(torch.empty(2, 10))
        assert images.shape == (2, 3, resolution, resolution)
        assert discriminator(images).logits.shape == (2,)


def test_the_discriminator_sees_contrast() -> None:
    """Batch norm would hide the scale of a whole batch from it, were it not for the first bias."""
    torch.manual_seed(0)
    discriminator = build_discriminator(DiscriminatorConfig(width=8), 32)
    images = 100 * torch.randn(16, 3, 32, 32)  # far above batch norm's epsilon
    assert torch.allclose(discriminator(images).logits, discriminator(0.5 * images).logits, atol=1e-3)
    images /= 100
    with torch.no_grad():
        discriminator.layers[0].bias.normal_(0, 0.1)
    assert not torch.allclose(discriminator(images).logits, discriminator(0.5 * images).logits, atol=1e-2)


@pytest.mark.parametrize("output", ["tanh", "sigmoid"])
def test_pixels_stay_in_range(output: str) -> None:
    torch.manual_seed(0)
    generator = build_generator(GeneratorConfig(width=4, output=output), LatentConfig(size=8), 16)
    with torch.no_grad():
        generator.layers[-2].weight *= 1000
        images = generator(torch.randn(16, 8))
    low = -1 if output == "tanh" else 0
    assert low <= float(images.min()) < low + 0.01
    assert 0.99 < float(images.max()) <= 1


def test_initial_weights_are_normal_with_the_papers_deviation() -> None:
    torch.manual_seed(0)
    discriminator = build_discriminator(DiscriminatorConfig(width=32), 64)
    convolutions = torch.cat([m.weight.flatten() for m in discriminator.modules() if isinstance(m, nn.Conv2d)])
    scales = torch.cat([m.weight for m in discriminator.modules() if isinstance(m, nn.BatchNorm2d)])
    assert float(convolutions.detach().std()) == pytest.approx(0.02, rel=0.01)
    assert float(convolutions.detach().mean()) == pytest.approx(0, abs=1e-4)
    assert float(scales.detach().mean()) == pytest.approx(1, abs=0.01)


def test_gradients_reach_every_parameter() -> None:
    generator = build_generator(GeneratorConfig(width=4, depth=2), LatentConfig(size=8), 28)
    discriminator = build_discriminator(DiscriminatorConfig(width=4, depth=2), 28)
    discriminator(generator(torch.randn(4, 8))).logits.sum().backward()
    for parameter in [*generator.parameters(), *discriminator.parameters()]:
        assert parameter.grad is not None
        assert float(parameter.grad.abs().sum()) > 0
