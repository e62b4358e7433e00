"""Latents for training: the distributions of `nijigan.generator.latents`, drawn on any device by torch's generator."""

from math import erf, sqrt

import torch
from torch import Tensor

from nijigan.recipe.parts import LatentConfig


def random_latents(n: int, config: LatentConfig, device: torch.device) -> Tensor:
    """Draw latents from their prior.

    Args:
        n: how many.
        config: their size and prior.
        device: where torch's default generator draws them.

    Returns:
        float32, n×size.
    """
    shape = (n, config.size)
    if config.prior == "uniform":
        return 2 * torch.rand(shape, device=device) - 1
    if config.prior == "truncated-normal":
        # By inversion: erf(2/√2) is the share of a normal distribution within ±2.
        share = erf(2 / sqrt(2)) * (2 * torch.rand(shape, device=device) - 1)
        return (sqrt(2) * torch.erfinv(share)).clamp(-2, 2)
    normal = torch.randn(shape, device=device)
    if config.prior == "sphere":
        normal *= sqrt(config.size) / torch.linalg.vector_norm(normal, dim=1, keepdim=True)
    return normal
