"""Keep latents that are optimised where those of a generator's prior lie."""

from math import erf, exp, pi, sqrt

import torch
from torch import Tensor

from nijigan.recipe.parts import LatentConfig

_SIGMAS = 3.0  # of the lengths of random latents: all but one in 400 keep within
_CUT = 2.0  # of the truncated normal distribution


def projected(latents: Tensor, config: LatentConfig) -> Tensor:
    """The nearest latents, N×size, that the prior may well have drawn.

    Latents are scaled to the sphere, or into the shell in which normal latents of many dimensions lie; the numbers of
    uniform and truncated-normal latents are cut at their bounds.
    """
    if config.prior == "uniform":
        return latents.clamp(-1, 1)
    length = latents.square().mean(1, keepdim=True).sqrt().clamp_min(1e-8)
    typical = _length(config)
    slack = 0.0 if config.prior == "sphere" else _SIGMAS / sqrt(2 * config.size)
    latents = latents * (length.clamp(max(0.0, typical - slack), typical + slack) / length)
    return latents.clamp(-_CUT, _CUT) if config.prior == "truncated-normal" else latents


def unlikeliness(latents: Tensor, config: LatentConfig) -> Tensor:
    """How far the lengths of N latents are from that of typical ones: N squares; 0 where every length is as likely."""
    if config.prior == "uniform":
        return torch.zeros(len(latents))
    return (latents.square().mean(1).sqrt() - _length(config)).square()


def _length(config: LatentConfig) -> float:
    """The root mean square of a prior's numbers."""
    if config.prior == "truncated-normal":  # 1 - 2aφ(a) / (2Φ(a) - 1), the variance of a normal number within ±a
        return sqrt(1 - 2 * _CUT * exp(-(_CUT**2) / 2) / sqrt(2 * pi) / erf(_CUT / sqrt(2)))
    return 1.0
