"""Networks: `nn.Module`s and nothing else, built from a recipe's parts."""

from collections.abc import Mapping, Sequence

from torch import nn

from nijigan.networks.blocks import Critique
from nijigan.networks.conditioning import ConditionalDiscriminator, ConditionalGenerator, Discriminator
from nijigan.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from nijigan.networks.r3 import R3Discriminator, R3Generator
from nijigan.networks.resnet import ResNetDiscriminator, ResNetGenerator
from nijigan.networks.style import StyleGenerator
from nijigan.recipe.parts import ConditionConfig, DiscriminatorConfig, GeneratorConfig, LatentConfig

__all__ = ["ConditionalGenerator", "Critique", "build_discriminator", "build_generator"]


def build_generator(
    config: GeneratorConfig,
    latent: LatentConfig,
    resolution: int,
    attributes: Mapping[str, Sequence[str]] = {},
) -> nn.Module:
    """A new generator.

    Args:
        config: the network.
        latent: its input.
        resolution: height and width of its images in pixels.
        attributes: what it can be asked for: every attribute's values.

    Returns:
        N×latent.size → N×3×resolution×resolution; with attributes a `ConditionalGenerator`, N×latent.size and N×A codes
        → N×3×resolution×resolution.
    """
    if not attributes:
        return _generator(config, latent.size, resolution)
    if config.kind == "style":
        style = StyleGenerator(config, latent.size, resolution)
        return ConditionalGenerator(style, attributes, style.style_size)
    base = _generator(config, latent.size + config.embedding, resolution)
    return ConditionalGenerator(base, attributes, config.embedding)


def _generator(config: GeneratorConfig, latent_size: int, resolution: int) -> nn.Module:
    match config.kind:
        case "dcgan":
            return DCGANGenerator(config, latent_size, resolution)
        case "resnet":
            return ResNetGenerator(config, latent_size, resolution)
        case "r3":
            return R3Generator(config, latent_size, resolution)
        case "style":
            return StyleGenerator(config, latent_size, resolution)


def build_discriminator(
    config: DiscriminatorConfig,
    resolution: int,
    attributes: Mapping[str, Sequence[str]] = {},
    condition: ConditionConfig | None = None,
) -> nn.Module:
    """A new discriminator.

    Args:
        config: the network.
        resolution: height and width of the images in pixels.
        attributes: what it judges beside: every attribute's values.
        condition: how; needed with attributes, and then of another kind than `none`.

    Returns:
        N×3×resolution×resolution → `Critique`; with attributes a `ConditionalDiscriminator`, N×3×resolution×resolution
        and N×A codes → `Critique`.
    """
    base = _discriminator(config, resolution)
    if not attributes:
        return base
    if condition is None or condition.kind == "none":
        raise ValueError("a discriminator needs a kind of condition to judge attributes by")
    return ConditionalDiscriminator(base, attributes, condition, spectral=config.normalisation == "spectral")


def _discriminator(config: DiscriminatorConfig, resolution: int) -> Discriminator:
    match config.kind:
        case "dcgan":
            return DCGANDiscriminator(config, resolution)
        case "resnet":
            return ResNetDiscriminator(config, resolution)
        case "r3":
            return R3Discriminator(config, resolution)
