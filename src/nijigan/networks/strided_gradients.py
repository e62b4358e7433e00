"""A faster gradient for the weights of strided 4×4 convolutions in bf16 on CPUs."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import conv2d, conv_transpose2d

_KERNEL, _STRIDE, _PADDING = 4, 2, 1
_CHANNELS, _SIDE = 192, 16
"""Unfolding the larger map pays off if the smaller one has at least _CHANNELS channels, since every unfolded number is
used once per channel, and if the larger one is at most _SIDE pixels wide. torch's kernel is fast for larger maps."""


def pay(features: Tensor, small_channels: int, large_side: int) -> bool:
    """Whether the weights need a gradient that is faster here than in torch.

    On small maps, torch's bf16 kernel for that gradient runs at a third of the speed of a matrix product.

    Args:
        features: the input of the layer.
        small_channels: channels of the smaller map.
        large_side: width of the larger map.
    """
    in_bf16 = torch.is_autocast_enabled("cpu") and features.dtype in (torch.float32, torch.bfloat16)
    learning = torch.is_grad_enabled() and features.device.type == "cpu" and in_bf16
    return learning and small_channels >= _CHANNELS and large_side <= _SIDE


def convolve(features: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool) -> Tensor:
    """A 4×4 convolution with stride 2 and padding 1, or the transposed one, in the dtype of the CPU's autocast.

    Args:
        features: N×C×H×W.
        weight: O×C×4×4; C×O×4×4 for the transposed convolution.
        bias: one number per output channel.
        transposed: compute the transposed convolution.

    Returns:
        N×O×H/2×W/2; N×O×2H×2W for the transposed convolution.
    """
    dtype = torch.get_autocast_dtype("cpu")
    with torch.autocast("cpu", enabled=False):
        convolved: Tensor = _Strided.apply(  # type: ignore[no-untyped-call]
            features.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype), transposed
        )
    return convolved


class _Strided(torch.autograd.Function):
    """Both convolutions. The gradient of the weights is a product of the smaller map and the unfolded larger one.

    It can be differentiated only once. Gradient penalties, which differentiate twice, run in fp32 and do not come here.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.transposed = transposed
        convolve = conv_transpose2d if transposed else conv2d
        return convolve(features, weight, bias, _STRIDE, _PADDING)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        features_needed, weight_needed, bias_needed, _ = ctx.needs_input_grad
        features_gradient = weight_gradient = None
        if features_needed:
            transpose = conv2d if ctx.transposed else conv_transpose2d
            features_gradient = transpose(gradient, weight, None, _STRIDE, _PADDING)
        if weight_needed:
            small, large = (features, gradient) if ctx.transposed else (gradient, features)
            flat = small.permute(0, 2, 3, 1).flatten(0, 2)  # N×S×H×W → NHW×S
            weight_gradient = (flat.T @ _unfold(large)).view(small.shape[1], _KERNEL, _KERNEL, -1).permute(0, 3, 1, 2)
        return features_gradient, weight_gradient, gradient.sum(dim=(0, 2, 3)) if bias_needed else None, None


def _unfold(large: Tensor) -> Tensor:
    """N×L×2H×2W → NHW×16L: the input of the kernel at each position of the smaller map, channels last."""
    padded = functional.pad(large, (_PADDING,) * 4).permute(0, 2, 3, 1)
    patches = padded.unfold(1, _KERNEL, _STRIDE).unfold(2, _KERNEL, _STRIDE)  # N×H×W×L×4×4
    return patches.permute(0, 1, 2, 4, 5, 3).flatten(0, 2).flatten(1)
