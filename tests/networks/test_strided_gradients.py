"""Convolutions with our own gradient, against those of torch."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from nijigan.networks.convolutions import Double, Halve
from nijigan.networks.strided_gradients import _Strided

WIDE = 192
"""The smallest number of channels for which our gradient is used."""


@pytest.mark.parametrize("transposed", [False, True], ids=["halve", "double"])
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("size", [(4, 4), (2, 6)], ids=["square", "oblong"])
def test_gradients_equal_finite_differences(transposed, bias, size):
    torch.manual_seed(0)
    features = torch.randn(3, 2, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn((2, 5, 4, 4) if transposed else (5, 2, 4, 4), dtype=torch.float64, requires_grad=True)
    offset = torch.randn(5, dtype=torch.float64, requires_grad=True) if bias else None
    assert torch.autograd.gradcheck(lambda *tensors: _Strided.apply(*tensors, transposed), (features, weight, offset))


def twins(kind):
    """A wide layer, torch's layer with the same weights, and features for both."""
    torch.manual_seed(0)
    if kind is Halve:
        layer, plain, features = Halve(8, WIDE, True), nn.Conv2d(8, WIDE, 4, 2, 1), torch.randn(3, 8, 8, 8)
    else:
        layer, plain = Double(WIDE, 8, True), nn.ConvTranspose2d(WIDE, 8, 4, 2, 1)
        features = torch.randn(3, WIDE, 4, 4)
    plain.load_state_dict(layer.state_dict())  # the same names, too: older files stay readable
    return layer, plain, features


def gradients(layer, features):
    """Gradients of a nonlinear loss, for the features and for each parameter."""
    features = features.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = layer(features).float().square().sum()
    return torch.autograd.grad(loss, [features, *layer.parameters()])


@pytest.mark.parametrize("kind", [Halve, Double])
def test_bf16_gradients_equal_torchs_up_to_rounding(kind):
    layer, plain, features = twins(kind)
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(features)
        assert "_Strided" in type(output.grad_fn).__name__
        assert output.dtype == torch.bfloat16
        assert torch.equal(output, plain(features))
    for ours, theirs in zip(gradients(layer, features), gradients(plain, features), strict=True):
        assert ours.dtype == theirs.dtype == torch.float32
        assert cosine_similarity(ours.flatten(), theirs.flatten(), dim=0) > 0.9999
        assert float(ours.norm()) == pytest.approx(float(theirs.norm()), rel=0.005)


@pytest.mark.parametrize("kind", [Halve, Double])
def test_torchs_gradient_is_used_where_it_is_as_fast_or_differentiated_twice(kind):
    layer, plain, features = twins(kind)
    assert torch.equal(layer(features), plain(features))  # fp32
    assert "_Strided" not in type(layer(features).grad_fn).__name__
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(features), plain(features))
    narrow, wide = kind(8, 8, False), torch.cat([features] * 4, 2).repeat(1, 1, 1, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert "_Strided" not in type(narrow(torch.randn(2, 8, 8, 8)).grad_fn).__name__
        assert "_Strided" not in type(layer(wide).grad_fn).__name__
    features.requires_grad_()
    (slope,) = torch.autograd.grad(layer(features).square().sum(), features, create_graph=True)
    slope.square().sum().backward()  # as gradient penalties do
    assert layer.weight.grad is not None


def test_odd_sizes_and_requested_output_sizes_use_torchs_gradient() -> None:
    (halve, plain, _), (double, transposed, small) = twins(Halve), twins(Double)
    odd = torch.randn(2, 8, 9, 7, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(halve(odd), plain(odd))
        halve(odd).float().sum().backward()
        assert torch.equal(double(small, [9, 9]), transposed(small, [9, 9]))
