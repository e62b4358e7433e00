"""What keeps a discriminator from growing too steep: weight clipping, and penalties on its slope at images.

The penalties take D as a `Critic` and N×3×H×W images (N points of any shape will do), and return a scalar to be added
to D's loss. They differentiate D twice; images are taken as given, so that nothing flows back to them or to the
generator that drew them. In 16 bits a slope's gradient drowns in rounding: images are turned to fp32 here, and a critic
must not autocast.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nijigan.recipe.parts import PenaltyConfig

Critic = Callable[[Tensor], Tensor]
"""N×3×H×W images → N logits."""

Penalty = Callable[[Critic, Tensor, Tensor], Tensor]
"""(critic, real images, drawn images) → what is added to D's loss."""


@torch.no_grad()
def clip_weights(module: nn.Module, bound: float) -> None:
    """Cut every parameter to [-bound, bound], after each update of the critic.

    Arjovsky, Chintala and Bottou, "Wasserstein GAN", ICML 2017, algorithm 1: "a clearly terrible way to enforce a
    Lipschitz constraint", in its authors' words, kept for what it teaches.
    """
    torch._foreach_clamp_min_([p.data for p in module.parameters()], -bound)
    torch._foreach_clamp_max_([p.data for p in module.parameters()], bound)


def gradient_penalty(
    critic: Critic, real: Tensor, fake: Tensor, weight: float = 10.0, one_sided: bool = False
) -> Tensor:
    """λ·E[(‖∇D(x̂)‖ - 1)²], x̂ = εx + (1-ε)G(z), ε uniform in [0, 1] for each pair of images.

    Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017, equation 3 and algorithm 1. One-sided,
    λ·E[max(0, ‖∇D(x̂)‖ - 1)²]: Petzka et al., "On the regularization of Wasserstein GANs", ICLR 2018.
    """
    epsilon = _uniform(real)
    return _unit_slope(critic, epsilon * real + (1 - epsilon) * fake, weight, one_sided)


def dragan(critic: Critic, real: Tensor, weight: float = 10.0, one_sided: bool = False) -> Tensor:
    """λ·E[(‖∇D(x+δ)‖ - 1)²]: slopes near real images alone.

    Kodali et al., "On Convergence and Stability of GANs", 2017. δ is drawn as in the authors' released code: half the
    batch's standard deviation, times a uniform number in [0, 1] for each value and another for each image.
    """
    return _unit_slope(critic, real + _uniform(real) * 0.5 * real.std() * torch.rand_like(real), weight, one_sided)


def r1(critic: Critic, real: Tensor, gamma: float = 2.0) -> Tensor:
    """γ/2·E‖∇D(x)‖² on real images.

    Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML 2018, equation 9.
    """
    return gamma / 2 * slopes(critic, real).square().flatten(1).sum(1).mean()


def r2(critic: Critic, fake: Tensor, gamma: float = 2.0) -> Tensor:
    """γ/2·E‖∇D(G(z))‖² on drawn images. Mescheder et al. 2018, equation 10."""
    return r1(critic, fake, gamma)


def _uniform(images: Tensor) -> Tensor:
    """A number in [0, 1) for each image, in a shape that multiplies them."""
    return torch.rand(len(images), *[1] * (images.dim() - 1), device=images.device)


def _unit_slope(critic: Critic, images: Tensor, weight: float, one_sided: bool) -> Tensor:
    """weight·E[(‖∇D‖ - 1)²]; one-sided, of slopes above 1 alone."""
    excess: Tensor = slopes(critic, images).flatten(1).norm(dim=1) - 1  # N
    return weight * (excess.relu() if one_sided else excess).square().mean()


def slopes(critic: Critic, images: Tensor) -> Tensor:
    """The gradient of each image's logit by its pixels, in the images' shape and fp32, differentiable by D's weights.

    The gradient of the summed logits is that of each where no logit depends on another image. (The minibatch's standard
    deviation ties them together a little; Karras et al. 2020 overlook it as this does.)
    """
    images = images.detach().float().requires_grad_()
    seen = images.view_as(images)  # torch's FLOP counter hooks what modules are given, and stumbles over a leaf
    gradient: Tensor = torch.autograd.grad(critic(seen).sum(), images, create_graph=True)[0]
    return gradient


def build_penalty(config: PenaltyConfig) -> Penalty | None:
    """The penalty a recipe asks for, at full strength at each call; None if not on slopes."""
    weight, one_sided = config.strength, config.one_sided
    penalties: dict[str, Penalty] = {
        "wgan-gp": lambda critic, real, fake: gradient_penalty(critic, real, fake, weight, one_sided),
        "dragan": lambda critic, real, _: dragan(critic, real, weight, one_sided),
        "r1": lambda critic, real, _: r1(critic, real, weight),
        "r2": lambda critic, _, fake: r2(critic, fake, weight),
        "r1r2": lambda critic, real, fake: r1(critic, real, weight) + r2(critic, fake, weight),
    }
    return penalties.get(config.kind)
