"""A faster gradient for frozen depthwise convolutions with a stride, in bf16 on CPUs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from nijigan.tensors.unallocated import unallocated


class FrozenDepthwise(nn.Conv2d):
    """A depthwise convolution without padding, whose weights never learn.

    In bf16, torch's gradient for the input takes 8 to 50 times as long as in fp32 if there is a stride (on a Xeon with
    AMX). It is computed in fp32 here, from weights in bf16; nothing else changes.
    """

    def forward(self, features: Tensor) -> Tensor:
        """N×C×H×W → N×C×h×w."""
        learning = torch.is_grad_enabled() and features.requires_grad
        if not (learning and features.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
            return super().forward(features)
        dtype = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            bias = None if self.bias is None else self.bias.to(dtype)
            inputs = (features.to(dtype), self.weight.to(dtype), bias, self.stride[0])
            filtered: Tensor = _Filtered.apply(*inputs)  # type: ignore[no-untyped-call]
        return filtered


class _Filtered(torch.autograd.Function):
    """The convolution, with a gradient for the features alone. It can be differentiated only once."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.stride, ctx.shape = stride, features.shape
        return conv2d(features, weight, bias, stride, groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,) = ctx.saved_tensors
        unseen = [(side - kernel) % ctx.stride for side, kernel in zip(ctx.shape[2:], weight.shape[2:], strict=True)]
        stretched = conv_transpose2d(gradient.float(), weight.float(), None, ctx.stride, 0, unseen, len(weight))
        return stretched.to(gradient.dtype), None, None, None


def speed_up(net: nn.Module) -> None:
    """Replace the depthwise convolutions in a frozen network that have a stride and no padding."""
    for part in list(net.modules()):
        for name, child in part.named_children():
            if type(child) is nn.Conv2d and child.stride[0] > 1 and child.groups == child.in_channels > 1:
                setattr(part, name, _replaced(child))


def _replaced(found: nn.Conv2d) -> FrozenDepthwise:
    assert found.padding == (0, 0)
    assert found.stride[0] == found.stride[1]
    assert found.groups == found.out_channels
    kernel = (found.kernel_size[0], found.kernel_size[1])
    with unallocated():
        frozen = FrozenDepthwise(found.in_channels, found.out_channels, kernel, found.stride[0], groups=found.groups)
    frozen.weight, frozen.bias = found.weight, found.bias
    return frozen.train(found.training)
