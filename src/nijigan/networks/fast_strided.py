"""4×4 convolutions that halve or double the resolution, with a faster gradient for their weights on CPUs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import conv2d, conv_transpose2d

_KERNEL, _STRIDE, _PADDING = 4, 2, 1
_CHANNELS, _SIDE = 192, 16
"""Unfolding the larger map pays off if the smaller one has at least _CHANNELS channels, since every unfolded number is
used once per channel, and if the larger one is at most _SIDE pixels wide. torch's kernel is fast for larger maps."""


class Halve(nn.Conv2d):
    """N×inner×2H×2W → N×outer×H×W."""

    def __init__(self, inner: int, outer: int, bias: bool) -> None:
        super().__init__(inner, outer, _KERNEL, _STRIDE, _PADDING, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the convolution."""
        if input.shape[2] % 2 == input.shape[3] % 2 == 0 and _pays(input, self.out_channels, input.shape[3]):
            return _convolve(input, self.weight, self.bias, doubles=False)
        return super().forward(input)


class Double(nn.ConvTranspose2d):
    """N×inner×H×W → N×outer×2H×2W."""

    def __init__(self, inner: int, outer: int, bias: bool) -> None:
        super().__init__(inner, outer, _KERNEL, _STRIDE, _PADDING, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Apply the transposed convolution."""
        if output_size is None and _pays(input, self.in_channels, 2 * input.shape[3]):
            return _convolve(input, self.weight, self.bias, doubles=True)
        return super().forward(input, output_size)


def _pays(features: Tensor, small_channels: int, large_side: int) -> bool:
    """Whether the weights need a gradient that `_Strided` computes faster than torch.

    On small maps, torch's bf16 kernel for that gradient runs at a third of the speed of a matrix product. Its fp32
    kernel does not have this problem, and other devices have other libraries.
    """
    in_bf16 = torch.is_autocast_enabled("cpu") and features.dtype in (torch.float32, torch.bfloat16)
    learning = torch.is_grad_enabled() and features.device.type == "cpu" and in_bf16
    return learning and small_channels >= _CHANNELS and large_side <= _SIDE


def _convolve(features: Tensor, weight: Tensor, bias: Tensor | None, doubles: bool) -> Tensor:
    dtype = torch.get_autocast_dtype("cpu")
    with torch.autocast("cpu", enabled=False):
        convolved: Tensor = _Strided.apply(  # type: ignore[no-untyped-call]
            features.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype), doubles
        )
    return convolved


class _Strided(torch.autograd.Function):
    """Both convolutions. The gradient of the weights is a product of the smaller map and the unfolded larger one.

    It can be differentiated only once. Gradient penalties, which differentiate twice, run in fp32 and do not come here.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, doubles: bool) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.doubles = doubles
        convolve = conv_transpose2d if doubles else conv2d
        return convolve(features, weight, bias, _STRIDE, _PADDING)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        features_needed, weight_needed, bias_needed, _ = ctx.needs_input_grad
        features_gradient = weight_gradient = None
        if features_needed:
            transpose = conv2d if ctx.doubles else conv_transpose2d
            features_gradient = transpose(gradient, weight, None, _STRIDE, _PADDING)
        if weight_needed:
            small, large = (features, gradient) if ctx.doubles else (gradient, features)
            flat = small.permute(0, 2, 3, 1).flatten(0, 2)  # N×S×H×W → NHW×S
            weight_gradient = (flat.T @ _unfold(large)).view(small.shape[1], _KERNEL, _KERNEL, -1).permute(0, 3, 1, 2)
        return features_gradient, weight_gradient, gradient.sum(dim=(0, 2, 3)) if bias_needed else None, None


def _unfold(large: Tensor) -> Tensor:
    """N×L×2H×2W → NHW×16L: the input of the kernel at each position of the smaller map, channels last."""
    padded = functional.pad(large, (_PADDING,) * 4).permute(0, 2, 3, 1)
    patches = padded.unfold(1, _KERNEL, _STRIDE).unfold(2, _KERNEL, _STRIDE)  # N×H×W×L×4×4
    return patches.permute(0, 1, 2, 4, 5, 3).flatten(0, 2).flatten(1)
