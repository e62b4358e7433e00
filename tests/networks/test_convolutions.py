"""Layers that enlarge, against the two steps that they stand for."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from nijigan.networks.convolutions import EnlargeConv3


def passes(layer: EnlargeConv3, features: Tensor, two_steps: bool) -> list[Tensor]:
    """The layer's output, and the gradients of a nonlinear loss."""
    features = features.detach().requires_grad_()
    if two_steps:
        output = conv2d(interpolate(features, scale_factor=2.0, mode="nearest"), layer.weight, layer.bias, padding=1)
    else:
        output = layer(features)
    inputs = [features, *layer.parameters()]
    return [output.detach(), *torch.autograd.grad(output.square().sum(), inputs)]


@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("shape", [(16, 6, 8, 8), (3, 6, 24, 20), (2, 6, 4, 4)], ids=str)
def test_enlarging_with_a_convolution_equals_both_steps(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    layer = EnlargeConv3(6, 5, bias).double()
    features = torch.randn(*shape, dtype=torch.float64)
    for mine, true in zip(passes(layer, features, False), passes(layer, features, True), strict=True):
        torch.testing.assert_close(mine, true)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_it_errs_no_more_than_both_steps_in_the_same_precision(dtype: torch.dtype) -> None:
    """192 channels of 8 px: the layers that have kernels of our own, in fp32 and in bf16."""
    torch.manual_seed(0)
    layer, features = EnlargeConv3(192, 96), torch.randn(16, 192, 8, 8)
    exact_layer = EnlargeConv3(192, 96).double()
    exact_layer.load_state_dict(layer.state_dict())
    exact = passes(exact_layer, features.double(), True)
    with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
        ours, theirs = passes(layer, features, False), passes(layer, features, True)
    for mine, other, true in zip(ours, theirs, exact, strict=True):
        errors = [float((found.double() - true).norm() / true.norm()) for found in (mine, other)]
        assert errors[0] < 2 * errors[1] + 5e-6


def test_generated_faces_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    layer, features = EnlargeConv3(6, 5), torch.randn(64, 6, 16, 16)
    with torch.no_grad():
        assert torch.equal(
            layer(features), conv2d(interpolate(features, scale_factor=2.0), layer.weight, layer.bias, padding=1)
        )
