"""Shared layers and initialisation, against values computed by hand and with NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from nijigan.networks.blocks import (
    MinibatchStddev,
    ModulatedNorm,
    Residual,
    add_spectral_norm,
    init_he,
    ladder,
    norm_layer,
    removes_bias,
)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((64, 1024, 64), (4, [1024, 512, 256, 128, 64])),
        ((384, 768, 64), (4, [768, 768, 768, 768, 384])),
        ((24, 100, 96), (6, [100, 100, 96, 48, 24])),
        ((8, 8, 28), (7, [8, 8, 8])),
        ((5, 1024, 8), (4, [10, 5])),
    ],
)
def test_the_ladder_of_channels(arguments, expected):
    assert ladder(*arguments) == expected


def test_a_ladder_to_nowhere():
    with pytest.raises(ValueError, match="4, 5, 6 or 7"):
        ladder(8, 64, 36)


AXES = {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}


@pytest.mark.parametrize("norm", ["batch", "layer", "instance", "none", "spectral"])
def test_norms_make_mean_0_and_variance_1_over_their_axes(norm):
    features = 3 * torch.randn(5, 4, 6, 6) + torch.arange(4.0)[:, None, None]
    normed = norm_layer(norm, 4)(features).detach().numpy()
    x = features.numpy()
    if norm in AXES:
        mean, variance = x.mean(AXES[norm], keepdims=True), x.var(AXES[norm], keepdims=True)
        x = (x - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(normed, x, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "layer", "instance", "none"])
def test_which_norms_take_a_bias_away(norm):
    features, bias = torch.randn(5, 4, 6, 6), 0.5 * torch.randn(4, 1, 1)
    layer = norm_layer(norm, 4)
    assert torch.allclose(layer(features), layer(features + bias), atol=1e-4) == removes_bias(norm)


@pytest.mark.parametrize(("n", "size"), [(1, 1), (2, 2), (3, 3), (4, 4), (6, 6), (7, 7), (8, 4), (12, 4)])
def test_minibatch_stddev(n, size):
    features = torch.randn(n, 3, 5, 5)
    out = MinibatchStddev()(features.to(memory_format=torch.channels_last))
    assert out.shape == (n, 4, 5, 5)
    assert torch.equal(out[:, :3], features)
    for start in range(0, n, size):
        group = features[start : start + size].numpy()
        np.testing.assert_allclose(out[start : start + size, 3], group.std(axis=0).mean(), atol=1e-4 + 1e-5)


def test_minibatch_stddev_of_equal_images_has_slopes():
    features = torch.ones(4, 2, 3, 3, requires_grad=True)
    (slopes,) = torch.autograd.grad(MinibatchStddev()(features)[:, 2].sum(), features, create_graph=True)
    (second,) = torch.autograd.grad(slopes.square().sum(), features)
    assert slopes.isfinite().all()
    assert second.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_minibatch_stddev_keeps_its_type(dtype):
    assert MinibatchStddev()(torch.ones(4, 2, 3, 3, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(32, 64, 3, 1, 1), (16, 32, 16, 16)),
        (nn.Conv2d(64, 64, 3, 1, 1, groups=4), (16, 64, 16, 16)),
        (nn.Conv2d(64, 64, 4, 2, 1), (16, 64, 16, 16)),
        (nn.ConvTranspose2d(64, 64, 4, 2, 1), (16, 64, 16, 16)),
        (nn.ConvTranspose2d(256, 64, 4, 1, 0), (64, 256, 1, 1)),
        (nn.Linear(256, 512), (64, 256)),
    ],
)
@pytest.mark.parametrize("slope", [0.2, 1.0])
def test_he_keeps_the_mean_square_through_an_activation(layer, shape, slope):
    torch.manual_seed(0)
    layer.apply(lambda module: init_he(module, slope))
    out = layer(nn.functional.leaky_relu(torch.randn(shape), slope))
    if out.ndim == 4 and shape[2] > 1:
        out = out[:, :, 1:-1, 1:-1]  # the padded border has less
    assert float(out.detach().square().mean()) == pytest.approx(1, rel=0.15)


def test_spectral_norm_is_1_by_svd_and_blind_to_scale():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), Residual([nn.Conv2d(8, 8, 1)], []), nn.Flatten(), nn.Linear(72, 2))
    add_spectral_norm(network)
    images = torch.randn(2, 3, 5, 5)
    for _ in range(100):
        network(images)
    layers = [network[0], network[1].main[0], network[3]]
    for layer in layers:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1, rel=1e-3)
    expected = network.eval()(images)
    with torch.no_grad():
        for layer in layers:
            layer.parametrizations.weight.original *= 10
    torch.testing.assert_close(network(images), expected)


def test_spectral_norm_rests_in_evaluation_and_moves_in_training():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(30, 30))
    add_spectral_norm(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.eval()(torch.randn(2, 30))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.train()(torch.randn(2, 30))
    assert not torch.equal(
        network.state_dict()["0.parametrizations.weight.0._u"], before["0.parametrizations.weight.0._u"]
    )


def test_a_modulated_norm_scales_and_shifts_what_batch_norm_gives():
    torch.manual_seed(0)
    norm, plain = ModulatedNorm(5, 3), nn.BatchNorm2d(5, affine=False)
    features, latents = 4 * torch.randn(6, 5, 7, 7) + 1, torch.randn(6, 3)
    numbers = latents @ norm.affine.weight.T + norm.affine.bias
    scale, shift = numbers[:, :5, None, None], numbers[:, 5:, None, None]
    torch.testing.assert_close(norm(features, latents), plain(features) * (1 + scale) + shift)
    torch.testing.assert_close(norm.norm.running_var, plain.running_var)
    assert 0.05 < scale.std() < 0.2  # a tenth at first


def test_a_modulated_norm_treats_each_image_by_its_latent():
    torch.manual_seed(0)
    norm = ModulatedNorm(5, 3).eval()
    features, latents = torch.randn(2, 5, 4, 4), torch.randn(2, 3)
    both = norm(features, latents)
    torch.testing.assert_close(both[1:], norm(features[1:], latents[1:]))
    assert not torch.allclose(both[1:], norm(features[1:], latents[:1]))
