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
    """Logits → what the monitor plots: D's probability of "real" for the cross-entropies, the bare logit elsewhere."""


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


def mse_d_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Least squares: ½(D(x)-1)² + ½D(G(z))². Mao et al., "Least Squares GANs", ICCV 2017, equation 9."""
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def mse_g_loss(fake: Tensor) -> Tensor:
    """Least squares: ½(D(G(z))-1)². Mao et al. 2017, equation 9."""
    return 0.5 * (fake - 1).square().mean()


def wasserstein_d_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The critic's: D(G(z)) - D(x), minus a lower bound of the Wasserstein distance up to the Lipschitz constant of D.

    Arjovsky, Chintala and Bottou, "Wasserstein GAN", ICML 2017, equation 3.
    """
    return fake.mean() - real.mean()


def wasserstein_g_loss(fake: Tensor) -> Tensor:
    """-D(G(z)). Arjovsky et al. 2017, equation 3."""
    return -fake.mean()


def _logit(logits: Tensor) -> Tensor:
    return logits


def build_objective(recipe: Recipe) -> Objective:
    """The game a recipe asks for."""
    bce = partial(bce_d_loss, smoothing=recipe.label_smoothing)
    return {
        "bce": Objective(bce, bce_g_loss),
        "minimax": Objective(bce, minimax_g_loss),
        "mse": Objective(mse_d_loss, mse_g_loss, _logit),
        "wasserstein": Objective(wasserstein_d_loss, wasserstein_g_loss, _logit),
    }[recipe.objective]
