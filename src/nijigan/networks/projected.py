"""A second discriminator, which sees faces through a frozen network: what is wrong with them, not only that it is.

Sauer, Chitta, Müller and Geiger, "Projected GANs Converge Faster", NeurIPS 2021; beside a discriminator of pixels, as
in Kumari, Zhang, Shechtman and Zhu, "Ensembling Off-the-shelf Models for GAN Training", CVPR 2022.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad

from nijigan.networks.blocks import activation, add_spectral_norm
from nijigan.networks.convolutions import Conv3, Halve, convolve3
from nijigan.vision import lite0
from nijigan.vision.frozen import IMAGENET_MEAN, IMAGENET_STD, freeze

BLOCKS = (3, 5, 11, 15)
"""The blocks of Lite0 whose outputs are seen: one for each resolution of its maps, from 1/4 to 1/32 of the input's."""
_CHANNELS = 64
"""Channels of the mixed maps and of the heads."""
_SHIFT = 4
"""Largest shift of the input, in its pixels. Without it, the network would look at the same grid of places each time,
and G could hide faults between them."""


@dataclass(frozen=True)
class Sight:
    """The frozen network, and what standardises the channels of its maps and mixes them to 64."""

    network: lite0.Lite0
    kernels: tuple[Tensor, ...]
    """For each block in `BLOCKS`, 64×C×1×1."""
    biases: tuple[Tensor, ...]
    """For each block in `BLOCKS`, 64."""


@cache
def _sight(device: torch.device) -> Sight:
    """Lite0 on a device, without the layers after the last block that is seen.

    Its batch norms tell mean and deviation on ImageNet: a block's output has their shift and scale, and a sum of blocks
    the sum of their shifts and variances, as far as the blocks are independent. On faces, deviations are 1.1 to 1.4
    times as large. The result is the same in whichever mode it is first asked for.
    """
    with torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", enabled=False):
        return _prepared(lite0.load(), device)


def _prepared(network: lite0.Lite0, device: torch.device) -> Sight:
    means, variances = [torch.zeros(())], [torch.zeros(())]
    for block in network.blocks:
        assert isinstance(block, lite0.Block)
        norm = block.project[1]
        assert isinstance(norm, nn.BatchNorm2d)
        mean, variance = norm.bias.detach(), norm.weight.detach().square()
        means.append(means[-1] + mean if block.residual else mean)
        variances.append(variances[-1] + variance if block.residual else variance)
    network.blocks, network.head = network.blocks[: BLOCKS[-1]], nn.Identity()  # type: ignore[assignment]
    freeze(network)
    cpu = torch.device("cpu")
    mixes = [_random((_CHANNELS, len(means[n])), i, cpu) / variances[n].sqrt() for i, n in enumerate(BLOCKS)]
    return Sight(
        network.to(device),
        tuple(mix[:, :, None, None].to(device) for mix in mixes),
        tuple((-mix @ means[n]).to(device) for mix, n in zip(mixes, BLOCKS, strict=True)),
    )


class ProjectedDiscriminator(nn.Module):
    """Heads on the maps of Lite0, which fixed random weights have mixed. Only the heads learn.

    The channels of each map are standardised and mixed at random; then, from the coarsest map to the finest, each is
    added to the next and mixed again: sections 3.2 (CCM and CSM) of Sauer et al. Otherwise a head would attend to few
    channels. Each head judges places of one map, with batch norm and spectral norm as in the authors' code.

    Args:
        size: height and width to which faces are resized, a multiple of 32.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.heads = nn.ModuleList(_head(size // 2 ** (level + 2)) for level in range(len(BLOCKS)))

    def look(self, faces: Tensor) -> tuple[Tensor, ...]:
        """What the heads see of N×3×H×W faces: for each block in `BLOCKS`, N×64×h×w, the finest first.

        Black is 0 and white is 1; augmented faces may lie a little outside.
        """
        sight = _sight(faces.device)
        mean, deviation = IMAGENET_MEAN.to(faces.device), IMAGENET_STD.to(faces.device)
        x = sight.network.stem((self._resized(faces) - mean) / deviation)
        seen: list[Tensor] = []
        for number, block in enumerate(sight.network.blocks, 1):
            x = block(x)
            if number in BLOCKS:
                kernel, bias = sight.kernels[len(seen)], sight.biases[len(seen)]
                seen.append(conv2d(x, kernel.to(x.dtype), bias.to(x.dtype)))
        maps = [seen[-1]]
        for place in reversed(range(len(seen) - 1)):
            coarse = interpolate(maps[0], scale_factor=2.0, mode="bilinear")
            kernel = _random((_CHANNELS, _CHANNELS, 3, 3), len(BLOCKS) + place, x.device).to(x.dtype)
            maps.insert(0, convolve3((seen[place] + coarse) / 2**0.5, kernel, None))
        return tuple(maps)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps as `look` gives them → for each, N×places logits in fp32."""
        return tuple(head(seen).flatten(1).float() for head, seen in zip(self.heads, maps, strict=True))

    def _resized(self, faces: Tensor) -> Tensor:
        """Faces of `size` pixels, softened, all shifted by the same random distance.

        Softened at their own resolution, they show no pattern that alternates from pixel to pixel. G would learn such
        patterns, which move the features of a frozen network far and are hardly seen by eye; the pixels are the other
        discriminator's concern. Small faces lose most: the heads see less of what is fine at 28 px than at 128 px.
        """
        faces = soften(faces)
        if faces.shape[2] != self.size:
            faces = interpolate(faces, size=self.size, mode="bilinear", antialias=faces.shape[2] > self.size)
        top, left = torch.randint(2 * _SHIFT + 1, (2,), device="cpu").tolist()
        wide = pad(faces, (_SHIFT,) * 4, mode="replicate")
        return wide[:, :, top : top + self.size, left : left + self.size]


def soften(faces: Tensor) -> Tensor:
    """N×C×H×W averaged over 3×3 pixels with the weights 1, 2, 1 along each side: the finest pattern becomes grey."""
    wide = pad(faces, (1,) * 4, mode="replicate")
    wide = (wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]) / 4
    return (wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]) / 4


@cache
def _random(shape: tuple[int, ...], number: int, device: torch.device) -> Tensor:
    """Fixed random weights that preserve variance. They follow from their number and are never stored."""
    values = np.random.default_rng(number).standard_normal(shape) / np.prod(shape[1:]) ** 0.5
    return torch.from_numpy(values.astype(np.float32)).to(device)


def _head(side: int) -> nn.Sequential:
    """64×side×side → logits for up to 4×4 places."""
    layers: list[nn.Module] = []
    for _ in range(max(1, (side - 1).bit_length() - 2)):
        halves = side > 4
        convolution = Halve(_CHANNELS, _CHANNELS, False) if halves else Conv3(_CHANNELS, _CHANNELS, False)
        layers += [convolution, nn.BatchNorm2d(_CHANNELS), activation("leaky")]
    head = nn.Sequential(*layers, Conv3(_CHANNELS, 1))
    add_spectral_norm(head)
    return head
