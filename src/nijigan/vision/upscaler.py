"""A small network that doubles the height and width of faces.

Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural
Network", CVPR 2016: all layers work at the small size, and the last one computes the four pixels that replace each
pixel. Here they are corrections of a bilinear enlargement, and pairs of layers have shortcuts.
"""

import safetensors.torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle

from nijigan.assets import ASSETS
from nijigan.tensors.unallocated import unallocated

WEIGHTS = ASSETS / "upscaler.safetensors"
"""The weights in fp16, made by `benchmarks/train_upscaler.py`."""

_CHANNELS, _PAIRS = 32, 3


class Upscaler(nn.Module):
    """Doubles the height and width of faces. 60 thousand parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.first = _convolution(3, _CHANNELS)
        self.pairs = nn.ModuleList(
            nn.Sequential(_convolution(_CHANNELS, _CHANNELS), nn.LeakyReLU(0.2), _convolution(_CHANNELS, _CHANNELS))
            for _ in range(_PAIRS)
        )
        self.last = _convolution(_CHANNELS, 12)
        nn.init.zeros_(self.last.weight)  # it starts as the bilinear enlargement

    def forward(self, faces: Tensor) -> Tensor:
        """Faces as float N×3×H×W in [0, 1] → N×3×2H×2W, which may leave the range a little."""
        x = self.first(faces - 0.5)
        for pair in self.pairs:
            x = x + pair(x)
        rough = interpolate(faces, scale_factor=2, mode="bilinear", align_corners=False)
        return rough + pixel_shuffle(self.last(x), 2)


def _convolution(inner: int, outer: int) -> nn.Conv2d:
    """A 3×3 convolution. Beyond its border a face goes on as at the border, so that no dark frame is learnt."""
    return nn.Conv2d(inner, outer, 3, padding=1, padding_mode="replicate")


def load() -> Upscaler:
    """The network with its packaged weights, in fp32. Changes no random state."""
    with unallocated():
        net = Upscaler()
    weights = safetensors.torch.load_file(WEIGHTS)
    net.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
    return net.eval().requires_grad_(False)
