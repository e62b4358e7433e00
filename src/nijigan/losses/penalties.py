"""Regularisers of the discriminator: penalties on its gradient with respect to images, and weight clipping.

A penalty takes D as a `Critic` and N×3×H×W images (N points of any shape work too), and returns a scalar that is added
to D's loss. It differentiates D twice. No gradient flows back to the images or to the generator. The images are
converted to fp32 and the critic must not autocast, because 16 bits are too few for the gradient of a gradient.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nijigan.recipe.parts import PenaltyConfig

Critic = Callable[[Tensor], Tensor]
"""N×3×H×W images → N logits."""

Penalty = Callable[[Critic, Tensor, Tensor], Tensor]
"""(critic, real images, generated images) → a scalar that is added to D's loss."""


@torch.no_grad()
def clip_weights(module: nn.Module, bound: float) -> None:
    """Clip every parameter to [-bound, bound]; call it after each update of the critic.

    Arjovsky, Chintala and Bottou, "Wasserstein GAN", ICML 2017, algorithm 1. The authors call it "a clearly
    terrible way to enforce a Lipschitz constraint"; it is here for comparison.
    """
    torch._foreach_clamp_min_([p.data for p in module.parameters()], -bound)
    torch._foreach_clamp_max_([p.data for p in module.parameters()], bound)


def gradient_penalty(
    critic: Critic, real: Tensor, fake: Tensor, weight: float = 10.0, one_sided: bool = False
) -> Tensor:
    """λ·E[(‖∇D(x̂)‖ - 1)²], x̂ = εx + (1-ε)G(z), ε from U[0, 1] for each pair of images.

    Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017, equation 3 and algorithm 1. One-sided,
    λ·E[max(0, ‖∇D(x̂)‖ - 1)²]: Petzka et al., "On the regularization of Wasserstein GANs", ICLR 2018.
    """
    epsilon = _uniform(real)
    return _unit_slope(critic, epsilon * real + (1 - epsilon) * fake, weight, one_sided)


def dragan(critic: Critic, real: Tensor, weight: float = 10.0, one_sided: bool = False) -> Tensor:
    """λ·E[(‖∇D(x+δ)‖ - 1)²]: gradients near real images only.

    Kodali et al., "On Convergence and Stability of GANs", 2017. As in the authors' released code, δ is half
    the standard deviation of the batch, times a number from U[0, 1] per value and another one per image.
    """
    return _unit_slope(critic, real + _uniform(real) * 0.5 * real.std() * torch.rand_like(real), weight, one_sided)


def r1(critic: Critic, real: Tensor, gamma: float = 2.0) -> Tensor:
    """γ/2·E‖∇D(x)‖² on real images.

    Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML 2018, equation 9.
    """
    return gamma / 2 * slopes(critic, real).square().flatten(1).sum(1).mean()


def r2(critic: Critic, fake: Tensor, gamma: float = 2.0) -> Tensor:
    """γ/2·E‖∇D(G(z))‖² on generated images. Mescheder et al. 2018, equation 10."""
    return r1(critic, fake, gamma)


def _uniform(images: Tensor) -> Tensor:
    """One number from U[0, 1) per image, in a shape that broadcasts against the images."""
    return torch.rand(len(images), *[1] * (images.dim() - 1), device=images.device)


def _unit_slope(critic: Critic, images: Tensor, weight: float, one_sided: bool) -> Tensor:
    """weight·E[(‖∇D‖ - 1)²]; one-sided: only over norms above 1."""
    excess: Tensor = slopes(critic, images).flatten(1).norm(dim=1) - 1  # N
    return weight * (excess.relu() if one_sided else excess).square().mean()


def slopes(critic: Critic, images: Tensor) -> Tensor:
    """The gradient of each image's logit with respect to its pixels: fp32, shaped like the images, differentiable.

    It is computed from the sum of the logits, which is exact where no logit depends on another image. The minibatch
    standard deviation makes them depend on each other a little; Karras et al. 2020 ignore this too.
    """
    images = images.detach().float().requires_grad_()
    seen = images.view_as(images)  # torch's FLOP counter hooks the inputs of modules and fails on a leaf
    gradient: Tensor = torch.autograd.grad(critic(seen).sum(), images, create_graph=True)[0]
    return gradient


def build_penalty(config: PenaltyConfig) -> Penalty | None:
    """The gradient penalty of a recipe, at full weight in each call; None if it has none."""
    weight, one_sided = config.strength, config.one_sided
    penalties: dict[str, Penalty] = {
        "wgan-gp": lambda critic, real, fake: gradient_penalty(critic, real, fake, weight, one_sided),
        "dragan": lambda critic, real, _: dragan(critic, real, weight, one_sided),
        "r1": lambda critic, real, _: r1(critic, real, weight),
        "r2": lambda critic, _, fake: r2(critic, fake, weight),
        "r1r2": lambda critic, real, fake: r1(critic, real, weight) + r2(critic, fake, weight),
    }
    return penalties.get(config.kind)
