"""Prepare trained networks for fast inference."""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nijigan.vision.depthwise import speed_up

IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
IMAGENET_STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
"""Mean and standard deviation of ImageNet's channels in [0, 1], 3×1×1. Networks trained on it expect inputs normalised
with these."""


def freeze(net: nn.Module) -> None:
    """Switch a network to evaluation, fold batch norm into the convolutions before it, and use channels-last memory.

    For Lite0 on one thread, this is 3 times as fast as the loaded network. Features agree within 2e-5.

    Args:
        net: changed in place. Its modules must list their parts in order of use.
    """
    net.eval().requires_grad_(False)
    _fold_batch_norm(net)
    speed_up(net)
    for part in net.modules():
        if isinstance(part, nn.ReLU6):
            part.inplace = True
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _fold_batch_norm(net: nn.Module) -> None:
    before, convolution = "", None
    for name, part in list(net.named_children()):
        if isinstance(part, nn.BatchNorm2d) and isinstance(convolution, nn.Conv2d):
            setattr(net, before, fuse_conv_bn_eval(convolution, part))
            setattr(net, name, nn.Identity())
        else:
            _fold_batch_norm(part)
        before, convolution = name, part
