"""Objectives: pairs of losses, for the discriminator and the generator, computed from logits, in nats.

`real` and `fake` are N logits each. Every loss is a mean over them and is minimised. In the equations of the
cross-entropies, D(x) is a probability, σ of the logit; in the others it is the logit itself.
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
    """The two losses, and how the monitor shows a logit."""

    d_loss: Callable[[Tensor, Tensor], Tensor]
    """(real logits, fake logits) → the discriminator's loss."""
    g_loss: Callable[[Tensor, Tensor | None], Tensor]
    """(fake logits, real logits if `paired`) → the generator's loss."""
    score: Callable[[Tensor], Tensor] = torch.sigmoid
    """Logits → what the monitor plots: D's probability of "real" for the cross-entropies, otherwise the logit."""
    paired: bool = False
    """Whether each fake is compared with a real image, so that G's loss needs as many real logits as fake ones."""


def bce_d_loss(real: Tensor, fake: Tensor, smoothing: float = 0.0, soft: float = 0.0, flipped: float = 0.0) -> Tensor:
    """Binary cross-entropy: -log D(x) - log(1-D(G(z))). Goodfellow et al., "Generative Adversarial Nets", 2014, eq. 1.

    Each target may be moved by e towards the opposite one: (e-1)·log D(x) - e·log(1-D(x)) for real images, and likewise
    for fakes. `smoothing` is e for real images (Salimans et al., "Improved Techniques for Training GANs", 2016, section
    3.4). `soft` adds a number from U[0, soft] to the e of each image, and for a fraction `flipped` of the images e is
    replaced by 1-e (both: Chintala et al., "How to Train a GAN?", 2016, tip 6).
    """
    real_loss = _cross_entropy(real, _target_errors(real, smoothing, soft, flipped))
    return real_loss + _cross_entropy(-fake, _target_errors(fake, 0.0, soft, flipped))


def _cross_entropy(logits: Tensor, errors: Tensor | float) -> Tensor:
    """(e-1)·log σ(l) - e·log(1-σ(l)) = softplus(-l) + e·l, where l is the logit of the correct class."""
    return (softplus(-logits) + errors * logits).mean()


def _target_errors(logits: Tensor, smoothing: float, soft: float, flipped: float) -> Tensor | float:
    """The e of each image. No random number is used without `soft` and `flipped`, so that other runs stay the same."""
    if not (soft or flipped):
        return smoothing
    errors = smoothing + soft * torch.rand_like(logits)
    return torch.where(torch.rand_like(logits) < flipped, 1 - errors, errors)


def bce_g_loss(fake: Tensor) -> Tensor:
    """Non-saturating: -log D(G(z)). Goodfellow et al. 2014, section 3."""
    return softplus(-fake).mean()


def minimax_g_loss(fake: Tensor) -> Tensor:
    """Saturating: log(1-D(G(z))). Goodfellow et al. 2014, equation 1 and algorithm 1."""
    return -softplus(fake).mean()


def mse_d_loss(real: Tensor, fake: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Least squares: ½(D(x)-b)² + ½(D(G(z))-a)². Mao et al., "Least Squares GANs", ICCV 2017, equation 2."""
    return 0.5 * (real - b).square().mean() + 0.5 * (fake - a).square().mean()


def mse_g_loss(fake: Tensor, c: float = 1.0) -> Tensor:
    """Least squares: ½(D(G(z))-c)². Mao et al. 2017, equation 2."""
    return 0.5 * (fake - c).square().mean()


def wasserstein_d_loss(real: Tensor, fake: Tensor) -> Tensor:
    """D(G(z)) - D(x). Its negative is a lower bound of the Wasserstein distance, up to the Lipschitz constant of D.

    Arjovsky, Chintala and Bottou, "Wasserstein GAN", ICML 2017, equation 3.
    """
    return fake.mean() - real.mean()


def wasserstein_g_loss(fake: Tensor) -> Tensor:
    """-D(G(z)). Arjovsky et al. 2017, equation 3."""
    return -fake.mean()


def hinge_d_loss(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1-D(x)) + max(0, 1+D(G(z))): logits beyond the margin have no gradient.

    Lim and Ye, "Geometric GAN", 2017; Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR
    2018, equation 16. G's loss, equation 17, is that of Wasserstein GANs.
    """
    return relu(1 - real).mean() + relu(1 + fake).mean()


def relativistic_d_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-log σ(D(xᵢ) - D(G(zᵢ))): the real image of each pair should look more realistic than the fake.

    Jolicoeur-Martineau, "The relativistic discriminator", ICLR 2019; Huang et al., "The GAN is dead; long live the
    GAN!", NeurIPS 2024, equation 2.
    """
    return softplus(fake - real).mean()


def relativistic_g_loss(fake: Tensor, real: Tensor | None) -> Tensor:
    """-log σ(D(G(zᵢ)) - D(xᵢ)): the discriminator's loss with real and fake swapped. Huang et al. 2024, section 2."""
    assert real is not None, "a paired objective needs real logits"
    return relativistic_d_loss(fake, real)


def _logit(logits: Tensor) -> Tensor:
    return logits


def build_objective(recipe: Recipe) -> Objective:
    """The objective of a recipe."""
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
