"""DCGAN: shapes and initial weights against the authors' released code, and the options."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from checks import LATENT, RESOLUTIONS, check_discriminator, check_generator, check_sizes
from torch import nn

from nijigan.networks import build_discriminator, build_generator
from nijigan.networks.blocks import MinibatchStddev
from nijigan.recipe.parts import DiscriminatorConfig, GeneratorConfig, LatentConfig

TINY_G, TINY_D = GeneratorConfig(width=4), DiscriminatorConfig(width=4)


def shapes(module: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for p in module.parameters() if p.ndim == 4]


def test_the_published_generator():
    with torch.device("meta"):
        generator = build_generator(GeneratorConfig(), LatentConfig(), 64)
    # in × out × 4 × 4: nz → ngf·8 → ngf·4 → ngf·2 → ngf → 3
    assert shapes(generator) == [
        (100, 512, 4, 4), (512, 256, 4, 4), (256, 128, 4, 4), (128, 64, 4, 4), (64, 3, 4, 4),
    ]  # fmt: skip
    assert sum(p.numel() for p in generator.parameters()) == 3_576_704
    kinds = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU] * 4 + [nn.ConvTranspose2d, nn.Tanh]
    assert all(isinstance(layer, kind) for layer, kind in zip(generator.layers, kinds, strict=True))


def test_the_published_discriminator():
    with torch.device("meta"):
        discriminator = build_discriminator(DiscriminatorConfig(), 64)
    assert shapes(discriminator) == [
        (64, 3, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (1, 512, 4, 4),
    ]  # fmt: skip
    assert sum(p.numel() for p in discriminator.parameters()) == 2_765_568 + 64  # the first bias
    hidden = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]
    kinds = [nn.Conv2d, nn.LeakyReLU, *hidden * 3, nn.Conv2d]
    assert all(isinstance(layer, kind) for layer, kind in zip(discriminator.layers, kinds, strict=True))


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("depth", [1, 2])
def test_every_resolution_from_one_definition(resolution, depth):
    check_sizes(GeneratorConfig(width=8, depth=depth), DiscriminatorConfig(width=8, depth=depth), resolution)


def test_the_discriminator_sees_contrast():
    """Without the bias of the first layer, batch norm would hide the scale of a whole batch."""
    torch.manual_seed(0)
    discriminator = build_discriminator(DiscriminatorConfig(width=8), 32)
    images = 100 * torch.randn(16, 3, 32, 32)  # far above batch norm's epsilon
    assert torch.allclose(discriminator(images).logits, discriminator(0.5 * images).logits, atol=1e-3)
    images /= 100
    with torch.no_grad():
        discriminator.layers[0].bias.normal_(0, 0.1)
    assert not torch.allclose(discriminator(images).logits, discriminator(0.5 * images).logits, atol=1e-2)


@pytest.mark.parametrize("output", ["tanh", "sigmoid"])
def test_pixels_stay_in_range(output):
    torch.manual_seed(0)
    generator = build_generator(GeneratorConfig(width=4, output=output), LatentConfig(size=8), 16)
    with torch.no_grad():
        generator.layers[-2].weight *= 1000
        images = generator(torch.randn(16, 8))
    low = -1 if output == "tanh" else 0
    assert low <= float(images.min()) < low + 0.01
    assert 0.99 < float(images.max()) <= 1


def test_initial_weights_are_normal_with_the_papers_deviation():
    torch.manual_seed(0)
    discriminator = build_discriminator(DiscriminatorConfig(width=32), 64)
    convolutions = torch.cat([m.weight.flatten() for m in discriminator.modules() if isinstance(m, nn.Conv2d)])
    scales = torch.cat([m.weight for m in discriminator.modules() if isinstance(m, nn.BatchNorm2d)])
    assert float(convolutions.detach().std()) == pytest.approx(0.02, rel=0.01)
    assert float(convolutions.detach().mean()) == pytest.approx(0, abs=1e-4)
    assert float(scales.detach().mean()) == pytest.approx(1, abs=0.01)


def reference_networks(width, latent_size):
    """Both networks at 32 px in the authors' layout, with their initial weights."""
    g = nn.Sequential(
        nn.ConvTranspose2d(latent_size, 4 * width, 4, 1, 0, bias=False), nn.BatchNorm2d(4 * width), nn.ReLU(),
        nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    _init_weights(g)
    d = nn.Sequential(
        nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 4 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(4 * width), nn.LeakyReLU(0.2),
        nn.Conv2d(4 * width, 1, 4, 1, 0, bias=False),
    )  # fmt: skip
    _init_weights(d)
    return g, d


def _init_weights(network):
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
    if network[0].bias is not None:
        nn.init.zeros_(network[0].bias)


def test_the_default_is_the_published_network_to_the_bit():
    """Existing files rely on names, order, initial weights for a seed, and images."""
    torch.manual_seed(0)
    expected = reference_networks(4, 10)
    torch.manual_seed(0)
    ours = build_generator(TINY_G, LATENT, 32), build_discriminator(TINY_D, 32)
    for reference, network in zip(expected, ours, strict=True):
        state, known = network.state_dict(), reference.state_dict()
        assert list(state) == [f"layers.{name}" for name in known]
        assert all(torch.equal(state[f"layers.{name}"], value) for name, value in known.items())
    z = torch.randn(4, 10)
    images = expected[0](z[:, :, None, None])
    assert torch.equal(ours[0](z), images)
    assert torch.equal(ours[1](images).logits, expected[1](images).flatten())


def test_names_in_files_do_not_change():
    """Files of earlier versions contain these names. Options put their layers under other names."""
    with torch.device("meta"):
        generator = build_generator(GeneratorConfig(), LatentConfig(), 64)
    names = [f"layers.{index}.weight" for index in (0, 3, 6, 9, 12)]
    assert [name for name, p in generator.named_parameters() if p.ndim == 4] == names


OPTIONS = list(
    product(["batch", "layer", "instance", "none"], ["relu", "leaky"], ["transposed", "pixel-shuffle"], [0, 0.3])
)


@pytest.mark.parametrize(("norm", "activation", "upsample", "dropout"), OPTIONS)
def test_generator_options(norm, activation, upsample, dropout):
    check_generator(replace(TINY_G, depth=2, norm=norm, activation=activation, upsample=upsample, dropout=dropout))


@pytest.mark.parametrize("norm", ["batch", "layer", "instance", "spectral", "none"])
@pytest.mark.parametrize("downsample", ["stride", "average"])
@pytest.mark.parametrize("stddev", [False, True])
def test_discriminator_options(norm, downsample, stddev):
    check_discriminator(replace(TINY_D, depth=2, norm=norm, downsample=downsample, minibatch_stddev=stddev))


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_every_resolution_the_other_way(resolution):
    check_sizes(replace(TINY_G, upsample="pixel-shuffle"), replace(TINY_D, downsample="average"), resolution)


def test_spectral_norm_needs_no_memory_to_be_built():
    with torch.device("meta"):
        discriminator = build_discriminator(replace(TINY_D, norm="spectral"), 16)
        assert discriminator(torch.empty(2, 3, 16, 16)).logits.shape == (2,)


def test_no_layer_is_wider_than_max_width():
    with torch.device("meta"):
        generator = build_generator(GeneratorConfig(max_width=200), LATENT, 64)
        discriminator = build_discriminator(DiscriminatorConfig(max_width=200), 64)
    assert [shape[0] for shape in shapes(generator)] == [10, 200, 200, 128, 64]
    assert [shape[0] for shape in shapes(discriminator)] == [64, 128, 200, 200, 1]


@pytest.mark.parametrize("norm", ["batch", "layer", "instance", "spectral", "none"])
def test_biases_are_where_nothing_takes_them_away(norm):
    discriminator = build_discriminator(replace(TINY_D, norm=norm), 32)
    biases = [layer.bias is not None for layer in discriminator.layers if isinstance(layer, nn.Conv2d)]
    hidden = norm not in ("batch", "instance")
    assert biases == [True, hidden, hidden, norm != "batch"]


def test_a_width_of_three_is_like_any_other():
    kinds = [type(layer) for layer in build_discriminator(replace(TINY_D, width=3), 16).layers]
    assert kinds == [type(layer) for layer in build_discriminator(TINY_D, 16).layers]
    assert nn.BatchNorm2d in kinds


def test_dropout_leaves_out_whole_channels_and_only_in_training():
    torch.manual_seed(0)
    generator = build_generator(replace(TINY_G, width=64, dropout=0.25), LATENT, 8)
    hidden = generator.layers[:-2]  # ends with the dropout after the last hidden layer
    features = hidden(torch.randn(50, LATENT.size, 1, 1))
    left_out = (features == 0).all(dim=3).all(dim=2)
    assert float(left_out.float().mean()) == pytest.approx(0.25, abs=0.05)
    assert not (hidden.eval()(torch.randn(50, LATENT.size, 1, 1)) == 0).all(dim=3).all(dim=2).float().mean() > 0.05


def test_the_discriminator_is_shown_the_spread_of_a_batch():
    discriminator = build_discriminator(replace(TINY_D, minibatch_stddev=True), 16)
    assert isinstance(discriminator.layers[-2], MinibatchStddev)
    assert discriminator.layers[-1].in_channels == 8 + 1
