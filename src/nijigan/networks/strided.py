"""The 4×4 convolutions that halve and double a resolution, with a fast gradient for their weights on a processor."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import conv2d, conv_transpose2d

_KERNEL, _STRIDE, _PADDING = 4, 2, 1
_CHANNELS, _SIDE = 192, 16
"""Unfolding the larger map pays where the smaller one has so many channels, which is how often each number written is
used, and where the larger one is at most so many pixels wide: larger ones the library's kernel is good at."""


class Halve(nn.Conv2d):
    """N×inner×2H×2W → N×outer×H×W."""

    def __init__(self, inner: int, outer: int, bias: bool) -> None:
        super().__init__(inner, outer, _KERNEL, _STRIDE, _PADDING, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve."""
        if input.shape[2] % 2 == input.shape[3] % 2 == 0 and _pays(input, self.out_channels, input.shape[3]):
            return _convolve(input, self.weight, self.bias, doubles=False)
        return super().forward(input)


class Double(nn.ConvTranspose2d):
    """N×inner×H×W → N×outer×2H×2W."""

    def __init__(self, inner: int, outer: int, bias: bool) -> None:
        super().__init__(inner, outer, _KERNEL, _STRIDE, _PADDING, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve, transposed."""
        if output_size is None and _pays(input, self.in_channels, 2 * input.shape[3]):
            return _convolve(input, self.weight, self.bias, doubles=True)
        return super().forward(input, output_size)


def _pays(features: Tensor, small_channels: int, large_side: int) -> bool:
    """Whether the weights will want a gradient that `_Strided` is faster at.

    The library's bf16 kernel for the gradient of the weights runs at a third of the rate of a matrix product on small
    maps. In fp32 it does not, and elsewhere other libraries are at work.
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
    """Both convolutions; the gradient of their weights is one product of the smaller map and the larger one unfolded.

    It can be differentiated once: penalties, which differentiate twice, run in fp32 and so come by another way.
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
        features_wanted, weight_wanted, bias_wanted, _ = ctx.needs_input_grad
        of_features = of_weight = None
        if features_wanted:
            transpose = conv2d if ctx.doubles else conv_transpose2d
            of_features = transpose(gradient, weight, None, _STRIDE, _PADDING)
        if weight_wanted:
            small, large = (features, gradient) if ctx.doubles else (gradient, features)
            flat = small.permute(0, 2, 3, 1).flatten(0, 2)  # N×S×H×W → NHW×S
            of_weight = (flat.T @ _unfold(large)).view(small.shape[1], _KERNEL, _KERNEL, -1).permute(0, 3, 1, 2)
        return of_features, of_weight, gradient.sum(dim=(0, 2, 3)) if bias_wanted else None, None


def _unfold(large: Tensor) -> Tensor:
    """N×L×2H×2W → NHW×16L: what the kernel sees at each place of the smaller map, channels last."""
    padded = functional.pad(large, (_PADDING,) * 4).permute(0, 2, 3, 1)
    seen = padded.unfold(1, _KERNEL, _STRIDE).unfold(2, _KERNEL, _STRIDE)  # N×H×W×L×4×4
    return seen.permute(0, 1, 2, 4, 5, 3).flatten(0, 2).flatten(1)
