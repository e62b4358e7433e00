"""Checks that every generator and every discriminator must pass, whatever its options."""

import torch
from torch import Tensor, nn

from nijigan.networks import build_discriminator, build_generator
from nijigan.recipe.parts import DiscriminatorConfig, GeneratorConfig, LatentConfig

RESOLUTIONS = [28, 32, 48, 64, 80, 96, 112, 128, 256]
LATENT = LatentConfig(size=10)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def wake(module: nn.Module) -> None:
    """Replace zeros by other values, because a layer of zeros would hide the layers before it."""
    for parameter in module.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)


def check_sizes(generator: GeneratorConfig, discriminator: DiscriminatorConfig, resolution: int) -> None:
    with torch.device("meta"):
        images = build_generator(generator, LATENT, resolution)(torch.empty(2, LATENT.size))
        assert images.shape == (2, 3, resolution, resolution)
        assert build_discriminator(discriminator, resolution)(images).logits.shape == (2,)


def check_generator(config: GeneratorConfig, resolution: int = 16) -> None:
    torch.manual_seed(0)
    generator = build_generator(config, LATENT, resolution)
    wake(generator)
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # so that one batch sets the running statistics
    z = torch.randn(8, LATENT.size)
    images = generator(z)
    low = -1 if config.output == "tanh" else 0
    assert images.shape == (8, 3, resolution, resolution)
    assert low <= images.min().item() < images.max().item() <= 1

    (images * torch.randn_like(images)).sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 1e-6, name

    generator.eval()
    with torch.no_grad():
        single, batch = generator(z[:1]), generator(z[:7])
        torch.testing.assert_close(single, batch[:1], atol=1e-5, rtol=0)
        assert float((batch[0] - batch[1]).abs().max()) > 1e-3
        with torch.device("meta"):
            other = build_generator(config, LATENT, resolution)
        other.load_state_dict(generator.state_dict(), assign=True)
        torch.testing.assert_close(other.eval()(z[:7]), batch, atol=0, rtol=0)
        check_bf16(generator, z, generator(z))


def check_discriminator(config: DiscriminatorConfig, resolution: int = 16) -> None:
    torch.manual_seed(0)
    discriminator = build_discriminator(config, resolution)
    wake(discriminator)
    images = torch.randn(8, 3, resolution, resolution)
    logits = discriminator(images).logits
    assert logits.shape == (8,)
    (logits * torch.randn(8)).sum().backward()
    for name, parameter in discriminator.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 1e-8, name
    if config.normalisation != "batch":
        check_second_derivative(discriminator.double().eval(), images.double())
        discriminator.float()
    check_bf16(discriminator, images, discriminator(images).logits.detach())


def check_second_derivative(discriminator: nn.Module, images: Tensor) -> None:
    """Compare the derivative of E‖∇D‖² along a direction in weight space with a difference quotient."""
    images.requires_grad_()
    parameters = list(discriminator.parameters())
    direction = [torch.randn_like(p) * p.detach().abs().mean() for p in parameters]

    def penalty() -> Tensor:
        (slopes,) = torch.autograd.grad(discriminator(images).logits.sum(), images, create_graph=True)
        return slopes.square().sum(dim=(1, 2, 3)).mean()

    gradients = torch.autograd.grad(penalty(), parameters, materialize_grads=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        assert gradient.isfinite().all()
        assert parameter.ndim == 1 or gradient.any()
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True))

    step = 1e-7  # so small that hardly an activation passes its kink
    ends = []
    for sign in (1, -2, 1):  # there, to the other side, and back
        with torch.no_grad():
            torch._foreach_add_(parameters, direction, alpha=sign * step)
        ends.append(float(penalty().detach()))
    quotient = (ends[0] - ends[1]) / (2 * step)
    assert abs(quotient - slope) < 1e-3 * max(abs(slope), ends[2]), (quotient, slope)


def check_bf16(module: nn.Module, inputs: Tensor, expected: Tensor) -> None:
    """Check that half precision and channels-last memory give nearly the same output."""
    module.to(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        outputs = module(inputs)
    outputs = outputs if isinstance(outputs, Tensor) else outputs.logits
    assert float((outputs.float() - expected).abs().mean()) < 0.05 * float(expected.abs().mean()) + 0.01
