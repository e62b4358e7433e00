"""Winograd's convolutions against torch's own in float64, the filters they are made of, and where they are used."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from nijigan.losses.penalties import r1
from nijigan.networks import winograd
from nijigan.networks.convolutions import Conv3, Double, Halve
from nijigan.networks.winograd import Tiling, matrices

TILINGS = [Tiling(m, r, stride) for m in (4, 2) for r, stride in ((3, 1), (2, 2))]
SHAPES = {"square": (8, 8), "oblong": (4, 12), "one tile": (4, 4)}


@pytest.mark.parametrize("tiling", TILINGS, ids=str)
def test_the_matrices_filter_a_tile_of_integers(tiling: Tiling) -> None:
    m, r, n = tiling.m, tiling.r, tiling.n
    rng = np.random.default_rng(0)
    inputs, taps = rng.integers(-9, 10, (n, n)), rng.integers(-9, 10, (r, r))
    a, b, g = (matrix.double().numpy() for matrix in matrices(m, r))
    outputs = a.T @ ((g @ taps.ravel()) * (b @ inputs.ravel()))
    expected = [[(inputs[y : y + r, x : x + r] * taps).sum() for x in range(m)] for y in range(m)]
    assert outputs.reshape(m, m) == pytest.approx(np.array(expected), abs=1e-3)


def passes(features: Tensor, weight: Tensor, bias: Tensor | None, tiling: Tiling | None, transposed: bool, stride: int):
    """Output, gradients and second derivatives of a nonlinear loss."""
    features, weight = features.clone().requires_grad_(), weight.clone().requires_grad_()
    bias = None if bias is None else bias.clone().requires_grad_()
    inputs = [tensor for tensor in (features, weight, bias) if tensor is not None]

    def run() -> Tensor:
        if tiling:
            return winograd.convolve(features, weight, bias, tiling, transposed)
        return (conv_transpose2d if transposed else conv2d)(features, weight, bias, stride, 1)

    output = run()
    first = torch.autograd.grad(run().square().sum(), inputs)
    (slope,) = torch.autograd.grad((output + run().pow(3)).sum(), features, create_graph=True)
    second = torch.autograd.grad(slope.square().sum(), inputs)
    return [output.detach(), *first, slope.detach(), *second]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize(
    ("tiling", "transposed"),  # no layer transposes a 3×3 convolution
    [
        (tiling, transposed)
        for tiling in TILINGS
        for transposed in (False, True)
        if tiling.stride == 2 or not transposed
    ],
    ids=str,
)
def test_all_passes_equal_torchs_in_float64(tiling: Tiling, transposed: bool, bias: bool, shape: tuple[int, int]):
    torch.manual_seed(0)
    k, small, large = tiling.r * tiling.stride, 6, 5
    weight = torch.randn(small, large, k, k) / (k * large**0.5)
    sides = shape if transposed else tuple(side * tiling.stride for side in shape)
    features = torch.randn(3, small if transposed else large, *sides)
    offset = torch.randn(large if transposed else small) if bias else None
    exact = [None if t is None else t.double() for t in (features, weight, offset)]
    ours = passes(features, weight, offset, tiling, transposed, tiling.stride)
    theirs = passes(*exact, None, transposed, tiling.stride)
    for mine, true in zip(ours, theirs, strict=True):
        assert mine.dtype == torch.float32
        assert mine.shape == true.shape
        assert float((mine.double() - true).norm() / true.norm()) < 1e-5


def test_chunks_of_a_batch_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    features, weight = torch.randn(7, 4, 8, 8), torch.randn(3, 4, 3, 3)
    whole = passes(features, weight, None, TILINGS[0], False, 1)
    monkeypatch.setattr(winograd, "_CHUNK", 3 * 4 * 36 * 4 * 4)  # three images, then three, then one
    for part, one in zip(passes(features, weight, None, TILINGS[0], False, 1), whole, strict=True):
        assert torch.allclose(part, one, rtol=1e-5, atol=1e-5)


LAYERS = {
    "3×3": (lambda: Conv3(64, 64), lambda: nn.Conv2d(64, 64, 3, 1, 1), (16, 64, 8, 8)),
    "halve": (lambda: Halve(64, 64, True), lambda: nn.Conv2d(64, 64, 4, 2, 1), (16, 64, 16, 16)),
    "double": (lambda: Double(64, 64, True), lambda: nn.ConvTranspose2d(64, 64, 4, 2, 1), (16, 64, 8, 8)),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """With more threads, only wider layers use it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_with_more_threads_only_wider_layers_use_it() -> None:
    torch.set_num_threads(2)
    assert not is_winograd(Conv3(64, 64)(torch.randn(64, 64, 8, 8)))
    assert is_winograd(Conv3(128, 128)(torch.randn(64, 128, 8, 8)))


def is_winograd(output: Tensor) -> bool:
    return "_Convolution" in type(output.grad_fn).__name__


@pytest.mark.parametrize("name", LAYERS)
def test_layers_use_it_to_learn_in_fp32_and_torchs_kernels_otherwise(name: str) -> None:
    ours, theirs, shape = LAYERS[name]
    layer, plain, features = ours(), theirs(), torch.randn(shape)
    plain.load_state_dict(layer.state_dict())  # the same names: files of other versions stay readable
    assert is_winograd(layer(features))
    assert torch.allclose(layer(features), plain(features), atol=1e-4)
    with torch.no_grad():
        assert torch.equal(layer(features), plain(features))  # pictures do not depend on it
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_winograd(layer(features))
    assert not is_winograd(layer(features[:1]))  # too few tiles
    uneven = torch.randn(16, 64, shape[2] + 1, shape[3] + 3)
    assert not is_winograd(layer(uneven))
    assert torch.allclose(layer(uneven), plain(uneven), atol=1e-5)
    layer.requires_grad_(False)
    assert torch.equal(layer(features), plain(features))
    assert not is_winograd(layer.double().requires_grad_()(features.double()))


@pytest.mark.parametrize("name", LAYERS)
def test_an_activation_in_place_and_a_penalty_may_follow(name: str) -> None:
    ours, theirs, shape = LAYERS[name]
    torch.manual_seed(0)
    layer, plain, images = ours(), theirs(), torch.randn(shape)
    plain.load_state_dict(layer.state_dict())
    gradients = []
    for convolution in (layer, plain):
        network = nn.Sequential(convolution, nn.LeakyReLU(0.2, inplace=True))
        r1(lambda batch, network=network: network(batch).square().flatten(1).sum(1), images).backward()
        gradients.append(convolution.weight.grad)
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 1e-4
