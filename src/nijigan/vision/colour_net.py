"""A small network that classifies hair and eye colours, for the colour reader (`nijigan.vision.colours`).

It is the first half of EfficientNet-Lite0 (Tan and Le, "EfficientNet", ICML 2019, without squeeze and excitation),
pre-trained on ImageNet and trained on human tags by `benchmarks/train_colours.py`. Unlike a colour histogram, it can
tell hair from a hat, and brown in shadow from black.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn

from nijigan.aliases import Images
from nijigan.assets import ASSETS
from nijigan.pictures import resize
from nijigan.tensors.unallocated import unallocated
from nijigan.vision import lite0
from nijigan.vision.colour_names import VALUES
from nijigan.vision.frozen import IMAGENET_MEAN, IMAGENET_STD, freeze

SIDE = 96
"""Height and width of the network's input, in pixels."""
BLOCKS = 11
"""The number of Lite0's sixteen blocks that are used. They have a sixth of its 4.7 million weights, and most of its
multiplications."""
WEIGHTS = ASSETS / "colour-net.safetensors"
"""The trained weights: kernels in fp16, batch norm in fp32."""

_SUMMARY = 384


class ColourNet(nn.Module):
    """Maps faces to the logits of each attribute's values. 0.75 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = lite0.convolution(3, lite0.STEM, kernel=3, stride=2)
        self.blocks = lite0.blocks(BLOCKS)
        width = lite0.channels_after(BLOCKS)
        self.summary = nn.Sequential(nn.Conv2d(width, _SUMMARY, 1, bias=False), nn.BatchNorm2d(_SUMMARY), nn.ReLU6())
        self.dropout = nn.Dropout(0.2)
        self.heads = nn.ModuleList(nn.Linear(_SUMMARY, len(words)) for words in VALUES.values())

    def forward(self, faces: Tensor) -> list[Tensor]:
        """Faces as float N×3×96×96 in [0, 1] → for each attribute in `VALUES`, N×(number of values)."""
        x = self.stem((faces - IMAGENET_MEAN) / IMAGENET_STD)
        for depth, block in enumerate(self.blocks):
            x = block(x, drop=0.1 * depth / BLOCKS)  # stochastic depth, only in training
        summary = self.dropout(self.summary(x).mean((2, 3)))
        return [head(summary) for head in self.heads]


def colour_logits(face: Images) -> dict[str, npt.NDArray[np.float32]]:
    """The logits of one face. A batch of one gives the same result whatever other faces are read.

    Args:
        face: uint8 RGB, H×H×3, any size.

    Returns:
        For "hair" and "eyes", the logits of their `VALUES`: the mean over the face and its mirror image.
    """
    picture = np.asarray(resize(Image.fromarray(face), SIDE, SIDE), np.float32) / 255
    pixels = torch.from_numpy(picture).permute(2, 0, 1)
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        heads = _net()(torch.stack([pixels, pixels.flip(2)]))
    return {name: logits.mean(0).numpy() for name, logits in zip(VALUES, heads, strict=True)}


@cache
def _net() -> ColourNet:
    with unallocated():  # uses no random numbers: a training may be running in the same process
        net = ColourNet()
    net.load_state_dict({n: v.float() for n, v in safetensors.torch.load_file(WEIGHTS).items()}, assign=True)
    freeze(net)
    return net
