"""How unlike two pictures are, as a loss with useful gradients: features of a frozen network, and pixels."""

from functools import cache
from math import sqrt

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from nijigan.aliases import Images
from nijigan.judges import anime
from nijigan.vision.frozen import freeze

_SIDE = anime.RESOLUTION
_COARSE = 4
_FINE_WEIGHT, _COARSE_WEIGHT, _STAGE_WEIGHT = 4.0, 8.0, 1.0
"""Of the mean squares of pixels in [0, 1], at 64 and at 16 px, and of those of the features, whose vectors have the
length 1. Without pixels, colours drift; without features, a blurred average is found."""


def describe(images: Tensor) -> Tensor:
    """Describe pictures so that their loss is the squared distance of their descriptions.

    The features are those of the network that was trained on anime faces (`nijigan.judges.anime`), at each place of its
    three stages. Each vector is scaled to the length 1: Zhang et al., "The Unreasonable Effectiveness of Deep Features
    as a Perceptual Metric", CVPR 2018, equation 1, without learnt weights. The features by which distances are reported
    (lite0) are left out: what is optimised does not measure itself.

    Args:
        images: N×3×H×W in [0, 1].

    Returns:
        N×D; D does not depend on H and W.
    """
    if images.shape[2] != _SIDE:
        images = interpolate(images, size=(_SIDE, _SIDE), mode="bilinear", antialias=True)
    parts = [_weighted(images, _FINE_WEIGHT), _weighted(avg_pool2d(images, _COARSE), _COARSE_WEIGHT)]
    for stage in _network().with_stages(images)[1]:
        unit = stage / (stage.square().sum(1, keepdim=True) + 1e-8).sqrt()
        parts.append(_weighted(unit, _STAGE_WEIGHT))
    return torch.cat(parts, 1)


def loss(one: Tensor, other: Tensor) -> Tensor:
    """The loss, N, of N descriptions against N others."""
    return (one - other).square().sum(1)


def as_pixels(images: Images) -> Tensor:
    """uint8 N×H×W×3 → N×3×H×W in [0, 1]."""
    writable = np.array(images)  # decoded pictures are read-only
    return torch.from_numpy(writable).permute(0, 3, 1, 2).float() / 255


def _weighted(values: Tensor, weight: float) -> Tensor:
    """N×C×H×W → N×CHW, so that squares sum to `weight` times their mean over places, summed over channels."""
    places = values.shape[2] * values.shape[3]
    return values.flatten(1) * sqrt(weight / places)


@cache
def _network() -> anime.AnimeNet:
    network = anime.load()[0]
    freeze(network)
    return network
