"""Latents for training: the distributions of `nijigan.generator.latents`, sampled by torch on any device."""

from math import erf, sqrt

import torch
from torch import Tensor

from nijigan.recipe.parts import LatentConfig


def random_latents(n: int, config: LatentConfig, device: torch.device) -> Tensor:
    """Sample latents from their prior.

    Args:
        n: number of latents.
        config: their size and prior.
        device: device to sample on, with its default generator.

    Returns:
        float32, n×size.
    """
    shape = (n, config.size)
    if config.prior == "uniform":
        return 2 * torch.rand(shape, device=device) - 1
    if config.prior == "truncated-normal":
        # Inverse transform sampling: erf(2/√2) is the mass of a normal distribution within ±2.
        share = erf(2 / sqrt(2)) * (2 * torch.rand(shape, device=device) - 1)
        return (sqrt(2) * torch.erfinv(share)).clamp(-2, 2)
    normal = torch.randn(shape, device=device)
    if config.prior == "sphere":
        normal *= sqrt(config.size) / torch.linalg.vector_norm(normal, dim=1, keepdim=True)
    return normal
