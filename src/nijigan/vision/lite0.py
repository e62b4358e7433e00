"""EfficientNet-Lite0 (Tan and Le, "EfficientNet", ICML 2019, without squeeze and excitation), built from its table.

It embeds faces for the scores (`nijigan.judges.feature_spaces`), and its first blocks read colours
(`nijigan.vision.colour_net`).
"""

import hashlib
from collections.abc import Collection

import safetensors.torch
import torch
from torch import Tensor, nn

from nijigan.assets import ASSETS
from nijigan.errors import UserError
from nijigan.tensors.unallocated import unallocated
from nijigan.vision.frozen import IMAGENET_MEAN, IMAGENET_STD

WEIGHTS = ASSETS / "lite0.safetensors"
"""The ImageNet weights without the classification layer. Kernels, scales and shifts are fp16, the statistics of batch
norm are fp32."""
SHA256 = "c8b895c73c0c4d69a44460f6985d4376edb5744dffac3eddd166f1b4999eeeca"
"""SHA-256 of that file, in hex."""
FEATURES = 1280
"""Dimensions of a face's features."""
BLOCKS = 16
STEM = 32
"""Channels after the first convolution, which halves the resolution."""

_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
           (1, 3, 1, 6, 320))  # fmt: skip
"""Table 1 of the paper: blocks, kernel, stride of the first block, expansion, channels of the output."""


class Lite0(nn.Module):
    """Maps faces to ImageNet features. 3.4 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, STEM, kernel=3, stride=2)
        self.blocks = blocks(BLOCKS)
        self.head = convolution(channels_after(BLOCKS), FEATURES)

    def forward(self, faces: Tensor) -> Tensor:
        """Faces as float N×3×H×W in [0, 1], H and W multiples of 32 → N×1280, the mean over places."""
        return self.with_blocks(faces, ())[0]

    def with_blocks(self, faces: Tensor, kept: Collection[int]) -> tuple[Tensor, list[Tensor]]:
        """The features, as by `forward`, and the outputs of some blocks, counted from 1: N×C×h×w each."""
        x, outputs = self.stem((faces - IMAGENET_MEAN) / IMAGENET_STD), []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in kept:
                outputs.append(x)
        features: Tensor = self.head(x).mean((2, 3))
        return features, outputs


class Block(nn.Module):
    """An inverted residual block (Sandler et al., "MobileNetV2", CVPR 2018, figure 3b): expand, filter, project.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        kernel: height and width of the filters.
        stride: 1 or 2.
        expansion: how many times as many channels are filtered as come in.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        inside = inputs * expansion
        self.expand = convolution(inputs, inside) if expansion > 1 else nn.Identity()
        self.filter = convolution(inside, inside, kernel, stride, groups=inside)
        self.project = convolution(inside, outputs, activation=False)

    def forward(self, x: Tensor, drop: float = 0.0) -> Tensor:
        """Apply the block.

        Args:
            x: N×inputs×H×W.
            drop: in training, the chance per picture that the block is skipped (stochastic depth, Huang et al., ECCV
                2016). It affects only blocks with a residual connection.
        """
        y: Tensor = self.project(self.filter(self.expand(x)))
        if not self.residual:
            return y
        if drop and self.training:
            kept = (torch.rand(len(x), 1, 1, 1, dtype=x.dtype, device=x.device) + (1 - drop)).floor()
            y = y / (1 - drop) * kept
        return y + x


def blocks(count: int) -> nn.ModuleList:
    """The first `count` of Lite0's sixteen blocks."""
    shapes, inputs = [], STEM
    for repeats, kernel, stride, expansion, outputs in _STAGES:
        for repeat in range(repeats):
            shapes.append((inputs, outputs, kernel, 1 if repeat else stride, expansion))
            inputs = outputs
    return nn.ModuleList(Block(*shape) for shape in shapes[:count])


def channels_after(count: int) -> int:
    """The output channels of block number `count`, 1 to 16."""
    return [outputs for repeats, *_, outputs in _STAGES for _ in range(repeats)][count - 1]


def convolution(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, activation: bool = True
) -> nn.Sequential:
    """A convolution with batch norm and, if wanted, ReLU6.

    Padding is TensorFlow's "same" for an even input: at stride 2, one row more after the picture than before it.
    """
    before = (kernel - stride) // 2
    after = kernel - stride - before
    parts: list[nn.Module] = [nn.ZeroPad2d((before, after, before, after))] if after else []
    parts.append(nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False))
    parts.append(nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01))
    return nn.Sequential(*parts, *([nn.ReLU6()] if activation else []))


def load() -> Lite0:
    """The network with its ImageNet weights, in fp32. Changes no random state.

    Raises:
        UserError: the packaged weights are not the expected ones.
    """
    data = WEIGHTS.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise UserError(f"{WEIGHTS} is damaged; install nijigan again.")
    with unallocated():  # no random initialisation, which would disturb a training in this process
        net = Lite0()
    weights = safetensors.torch.load(data)
    net.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in weights.items()}, assign=True)
    return net.eval()
