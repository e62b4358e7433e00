"""The gradient of frozen depthwise convolutions, against torch's in fp32."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from nijigan.vision import lite0
from nijigan.vision.depthwise import FrozenDepthwise
from nijigan.vision.frozen import freeze


def frozen(kernel: int, bias: bool) -> FrozenDepthwise:
    net = nn.Sequential(nn.Conv2d(6, 6, kernel, 2, groups=6, bias=bias))
    freeze(net)
    found = net[0]
    assert isinstance(found, FrozenDepthwise)
    return found


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "height", "width"), [(3, 9, 13), (3, 10, 8), (5, 11, 12), (5, 12, 12)])
def test_output_and_gradient_are_those_of_torch_in_fp32(kernel: int, height: int, width: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer, features = frozen(kernel, bias), torch.randn(2, 6, height, width, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        filtered = layer(features)
    assert filtered.dtype is torch.bfloat16
    expected = conv2d(features, layer.weight, layer.bias, 2, groups=6)
    weights = torch.randn_like(expected).bfloat16()
    (gradient,) = torch.autograd.grad(filtered, features, weights)
    (wanted,) = torch.autograd.grad(expected, features, weights.float())
    torch.testing.assert_close(filtered.float(), expected, rtol=0.02, atol=0.03)
    torch.testing.assert_close(gradient, wanted, rtol=0.02, atol=0.03)


def test_only_strided_depthwise_convolutions_are_replaced() -> None:
    net = lite0.load()
    strides = sum(m.stride == (2, 2) and m.groups > 1 for m in net.modules() if isinstance(m, nn.Conv2d))
    freeze(net)
    assert sum(isinstance(m, FrozenDepthwise) for m in net.modules()) == strides == 4


def test_outside_autocast_it_can_be_differentiated_twice() -> None:
    layer, features = frozen(3, True), torch.randn(1, 6, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer.double(), features)
