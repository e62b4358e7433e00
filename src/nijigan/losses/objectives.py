"""Adversarial games, each a pair of losses over logits, in nats.

`real` and `fake` are the discriminator's N logits; every loss is a mean over them and is to be minimised. Where D is
spoken of as a probability, it is σ of the logit; elsewhere it is the logit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from nijigan.recipe.recipe import Recipe


@dataclass(frozen=True)
class Objective:
    """One game: what each side minimises, and how a logit reads as a score."""

    d_loss: Callable[[Tensor, Tensor], Tensor]
    """(real logits, fake logits) → the discriminator's loss."""
    g_loss: Callable[[Tensor, Tensor | None], Tensor]
    """(fake logits, real logits if the game is paired) → the generator's loss."""
    score: Callable[[Tensor], Tensor] = torch.sigmoid
    """Logits → what the monitor plots: D's probability of "real" for the cross-entropies, the bare logit elsewhere."""
    paired: bool = False
    """Each drawn image plays against a real one, so G's loss needs as many real logits as fake ones."""


def bce_d_loss(real: Tensor, fake: Tensor, smoothing: float = 0.0, soft: float = 0.0, flipped: float = 0.0) -> Tensor:
    """Binary cross-entropy: -log D(x) - log(1-D(G(z))). Goodfellow et al., "Generative Adversarial Nets", 2014, eq. 1.

    A share e of each answer may be asked the other way round: (e-1)·log D(x) - e·log(1-D(x)), and mirrored for drawn
    images. `smoothing` is e of real images (Salimans et al., "Improved Techniques for Training GANs", 2016, section
    3.4); `soft` adds a number drawn uniformly from [0, soft] to each image's e, and a share `flipped` of the images has
    1-e in its place (both Chintala et al., "How to Train a GAN?", 2016, tip 6).
    """
    real_loss = _cross_entropy(real, _doubt(real, smoothing, soft, flipped))
    return real_loss + _cross_entropy(-fake, _doubt(fake, 0.0, soft, flipped))


def _cross_entropy(right: Tensor, doubt: Tensor | float) -> Tensor:
    """(e-1)·log σ(l) - e·log(1-σ(l)), where l speaks for the right answer: softplus(-l) + e·l."""
    return (softplus(-right) + doubt * right).mean()


def _doubt(logits: Tensor, doubt: float, soft: float, flipped: float) -> Tensor | float:
    """Each image's e; without tricks no random number is drawn, so that a run without them does not depend on them."""
    if not (soft or flipped):
        return doubt
    doubts = doubt + soft * torch.rand_like(logits)
    return torch.where(torch.rand_like(logits) < flipped, 1 - doubts, doubts)


def bce_g_loss(fake: Tensor) -> Tensor:
    """Non-saturating: -log D(G(z)). Goodfellow et al. 2014, section 3."""
    return softplus(-fake).mean()


def minimax_g_loss(fake: Tensor) -> Tensor:
    """The original game's second half: log(1-D(G(z))). Goodfellow et al. 2014, equation 1 and algorithm 1."""
    return -softplus(fake).mean()


def mse_d_loss(real: Tensor, fake: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Least squares: ½(D(x)-b)² + ½(D(G(z))-a)². Mao et al., "Least Squares GANs", ICCV 2017, equation 2."""
    return 0.5 * (real - b).square().mean() + 0.5 * (fake - a).square().mean()


def mse_g_loss(fake: Tensor, c: float = 1.0) -> Tensor:
    """Least squares: ½(D(G(z))-c)². Mao et al. 2017, equation 2."""
    return 0.5 * (fake - c).square().mean()


def wasserstein_d_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The critic's: D(G(z)) - D(x), minus a lower bound of the Wasserstein distance up to the Lipschitz constant of D.

    Arjovsky, Chintala and Bottou, "Wasserstein GAN", ICML 2017, equation 3.
    """
    return fake.mean() - real.mean()


def wasserstein_g_loss(fake: Tensor) -> Tensor:
    """-D(G(z)). Arjovsky et al. 2017, equation 3."""
    return -fake.mean()


def hinge_d_loss(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1-D(x)) + max(0, 1+D(G(z))): answers beyond the margin count no more.

    Lim and Ye, "Geometric GAN", 2017; Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR
    2018, equation 16. The generator's half, equation 17, is the Wasserstein game's.
    """
    return relu(1 - real).mean() + relu(1 + fake).mean()


def relativistic_d_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-log σ(D(xᵢ) - D(G(zᵢ))): the real image of each pair is to look more real than the drawn one.

    Jolicoeur-Martineau, "The relativistic discriminator", ICLR 2019; Huang et al., "The GAN is dead; long live the
    GAN!", NeurIPS 2024, equation 2.
    """
    return softplus(fake - real).mean()


def relativistic_g_loss(fake: Tensor, real: Tensor | None) -> Tensor:
    """-log σ(D(G(zᵢ)) - D(xᵢ)), the discriminator's with the images swapped. Huang et al. 2024, section 2."""
    assert real is not None, "a paired game needs real logits"
    return relativistic_d_loss(fake, real)


def _logit(logits: Tensor) -> Tensor:
    return logits


def build_objective(recipe: Recipe) -> Objective:
    """The game a recipe asks for."""
    bce = partial(
        bce_d_loss,
        smoothing=recipe.label_smoothing,
        soft=recipe.tricks.soft_labels,
        flipped=recipe.tricks.flipped_labels,
    )
    a, b, c = recipe.mse_targets
    return {
        "bce": Objective(bce, lambda fake, _: bce_g_loss(fake)),
        "minimax": Objective(bce, lambda fake, _: minimax_g_loss(fake)),
        "mse": Objective(partial(mse_d_loss, a=a, b=b), lambda fake, _: mse_g_loss(fake, c), _logit),
        "wasserstein": Objective(wasserstein_d_loss, lambda fake, _: wasserstein_g_loss(fake), _logit),
        "hinge": Objective(hinge_d_loss, lambda fake, _: wasserstein_g_loss(fake), _logit),
        "relativistic": Objective(relativistic_d_loss, relativistic_g_loss, _logit, paired=True),
    }[recipe.objective]
