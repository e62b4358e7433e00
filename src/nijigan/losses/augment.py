"""Differentiable augmentation: D sees only augmented images, real and generated; gradients flow through to G.

Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020, equations 4 and 5. D never
sees the same image twice, so it cannot memorise a small dataset. Generated images are augmented too, so G does not
learn to reproduce the augmentations.
"""

import math

import torch
from torch import Tensor

from nijigan.recipe.parts import AugmentConfig


def augment(images: Tensor, p: float, config: AugmentConfig, low: float = -1.0) -> Tensor:
    """Apply colour changes, a shift and a blank square, each to each image with probability p.

    Random numbers come from torch's global generator. Pixels are not clamped, so they may leave the range. The border
    that a shift uncovers and the square are mid-grey.

    Args:
        images: float, N×3×H×W, pixels from `low` to 1.
        p: 0 to 1; 0 returns the same tensor and uses no random numbers.
        config: which augmentations to apply.
        low: the value of a black pixel: -1 or 0.

    Returns:
        Images of the same shape and dtype.
    """
    if p == 0:
        return images
    grey = (low + 1) / 2
    if config.colour:
        changed = _change_colours(images, span=1 - low)
        images = torch.where(_chance(images, p)[:, None, None, None], changed, images)
    if config.translation:
        images = _translate(images, _chance(images, p), grey)
    if config.cutout:
        images = _cut_out(images, _chance(images, p), grey)
    return images


def probability(config: AugmentConfig, faces: int) -> float:
    """`config.p`, with "auto" resolved for a training split of `faces` images.

    "auto" falls with the logarithm of their number, from 1 at 5,000 to 0 at 80,000, as the benefit does: on FFHQ, Zhao
    et al. multiply the FID by 0.39 with 5,000 faces, 0.53 with 10,000 and 0.82 with 30,000, and their repository
    reports 1.11 with all 70,000.
    """
    if config.p != "auto":
        return config.p
    return min(1.0, max(0.0, math.log(80_000 / max(faces, 1)) / math.log(80_000 / 5_000)))


def _chance(images: Tensor, p: float) -> Tensor:
    """N booleans, each true with probability p."""
    return torch.rand(len(images), device=images.device) < p


def _change_colours(images: Tensor, span: float) -> Tensor:
    """Brightness plus or minus 1/4 of the range, then saturation times 0 to 2, then contrast times 0.5 to 1.5.

    Saturation scales the distance of a pixel from its grey value, contrast the distance of a pixel from the image's
    mean. Together the three give mean + brightness + contrast·(grey - mean) + contrast·saturation·(pixel - grey).
    """
    chance = torch.rand(3, len(images), 1, 1, 1, device=images.device).to(images.dtype)
    brightness, saturation, contrast = (chance[0] - 0.5) * (span / 2), chance[1] * 2, chance[2] + 0.5  # N×1×1×1
    grey = images.mean(1, keepdim=True)  # N×1×H×W
    mean = grey.mean((2, 3), keepdim=True)  # N×1×1×1
    return mean + brightness + contrast * (grey - mean) + contrast * saturation * (images - grey)


def _translate(images: Tensor, chosen: Tensor, grey: float) -> Tensor:
    """Shift the chosen images by up to an eighth of their height and width."""
    rows, from_rows = _shift(images.shape[2], chosen)
    columns, from_columns = _shift(images.shape[3], chosen)
    index = torch.arange(len(images), device=images.device)[:, None, None]
    shifted = images.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    inside = from_rows[:, None, :, None] & from_columns[:, None, None, :]  # N×1×H×W
    return torch.where(inside, shifted, grey)


def _shift(size: int, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """For each position along one side, the position of its source pixel and whether that is inside: both N×size."""
    limit = size // 8
    shift = torch.randint(-limit, limit + 1, (len(chosen), 1), device=chosen.device) * chosen[:, None]
    source = torch.arange(size, device=chosen.device) + shift
    return source.clamp(0, size - 1), (source >= 0) & (source < size)


def _cut_out(images: Tensor, chosen: Tensor, grey: float) -> Tensor:
    """Blank a square of half the side in the chosen images. Its centre is anywhere, so a part may fall outside."""
    rows, columns = _strip(images.shape[2], chosen), _strip(images.shape[3], chosen)
    square = chosen[:, None, None] & rows[:, :, None] & columns[:, None, :]  # N×H×W
    return torch.where(square[:, None], grey, images)


def _strip(size: int, chosen: Tensor) -> Tensor:
    """Whether each position along one side lies in a random strip of half its length: N×size."""
    half = size // 2
    start = torch.randint(-(half // 2), size - (half + 1) // 2 + 1, (len(chosen), 1), device=chosen.device)
    offsets = torch.arange(size, device=chosen.device) - start
    return (offsets >= 0) & (offsets < half)
