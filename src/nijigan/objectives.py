"""Adversarial games, each a pair of losses over logits, in nats.

`real` and `fake` are the discriminator's N logits; every loss is a mean over them and is to be minimised.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import softplus

from nijigan.recipe import Recipe


@dataclass(frozen=True)
class Objective:
    """One game: what each side minimises, and how a logit reads as a score."""

    d_loss: Callable[[Tensor, Tensor], Tensor]
    """(real logits, fake logits) → the discriminator's loss."""
    g_loss: Callable[[Tensor], Tensor]
    """(fake logits) → the generator's loss."""
    score: Callable[[Tensor], Tensor] = torch.sigmoid
    """Logits → what the monitor plots: D's probability of "real" here."""


def bce_d_loss(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Binary cross-entropy: -(1-s)·log D(x) - s·log(1-D(x)) - log(1-D(G(z))), s on real images alone.

    Goodfellow et al., "Generative Adversarial Nets", 2014, equation 1; one-sided smoothing from Salimans et al.,
    "Improved Techniques for Training GANs", 2016, section 3.4. With -log σ(l) = softplus(-l), the smoothed real term is
    softplus(-l) + s·l.
    """
    return (softplus(-real) + smoothing * real).mean() + softplus(fake).mean()


def bce_g_loss(fake: Tensor) -> Tensor:
    """Non-saturating: -log D(G(z)). Goodfellow et al. 2014, section 3."""
    return softplus(-fake).mean()


def minimax_g_loss(fake: Tensor) -> Tensor:
    """The original game's second half: log(1-D(G(z))). Goodfellow et al. 2014, equation 1 and algorithm 1."""
    return -softplus(fake).mean()


def build_objective(recipe: Recipe) -> Objective:
    """The game a recipe asks for."""
    d_loss = partial(bce_d_loss, smoothing=recipe.label_smoothing)
    return Objective(d_loss, {"bce": bce_g_loss, "minimax": minimax_g_loss}[recipe.objective])
