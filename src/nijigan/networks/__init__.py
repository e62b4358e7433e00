"""Generators and discriminators as `nn.Module`s, built from the parts of a recipe."""

from collections.abc import Mapping, Sequence

from torch import nn

from nijigan.errors import check
from nijigan.networks.blocks import Critique
from nijigan.networks.conditioning import ConditionalDiscriminator, ConditionalGenerator, Discriminator
from nijigan.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from nijigan.networks.r3 import R3Discriminator, R3Generator
from nijigan.networks.resnet import ResNetDiscriminator, ResNetGenerator
from nijigan.networks.style import StyleGenerator
from nijigan.recipe.parts import ConditionConfig, DiscriminatorConfig, GeneratorConfig, LatentConfig

__all__ = ["ConditionalGenerator", "Critique", "build_discriminator", "build_generator", "learning_parameters"]


def build_generator(
    config: GeneratorConfig,
    latent: LatentConfig,
    resolution: int,
    attributes: Mapping[str, Sequence[str]] = {},
) -> nn.Module:
    """Build a generator with newly initialised weights.

    Args:
        config: the architecture.
        latent: the input.
        resolution: height and width of its images in pixels.
        attributes: attribute → values; empty for an unconditional generator.

    Returns:
        A module, N×latent.size → N×3×resolution×resolution. With attributes it is a `ConditionalGenerator`,
        (N×latent.size, N×A codes) → N×3×resolution×resolution.
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
    """Build a discriminator with newly initialised weights.

    Args:
        config: the architecture.
        resolution: height and width of the images in pixels.
        attributes: attribute → values; empty for an unconditional discriminator.
        condition: how it is conditioned; required with attributes, and then of a kind other than `none`.

    Returns:
        A module, N×3×resolution×resolution → `Critique`. With attributes it is a `ConditionalDiscriminator`,
        (N×3×resolution×resolution, N×A codes) → `Critique`.

    Raises:
        ValueError: there are attributes but no condition.
    """
    base = _discriminator(config, resolution)
    if not attributes:
        return base
    if condition is None or condition.kind == "none":
        raise ValueError("a discriminator with attributes needs a kind of condition")
    return ConditionalDiscriminator(base, attributes, condition, spectral=config.normalisation == "spectral")


def learning_parameters(discriminator: nn.Module, frozen: int) -> list[nn.Parameter]:
    """The parameters of a discriminator that a training changes: all but those of its first layers.

    Mo, Cho and Shin, "Freeze the Discriminator: a Simple Baseline for Fine-Tuning GANs", 2020.

    Args:
        discriminator: as `build_discriminator` makes it.
        frozen: number of layers, or blocks, with weights that stay as they are, from the image on.

    Raises:
        UserError: it has not so many before its last one.
    """
    base = discriminator.base if isinstance(discriminator, ConditionalDiscriminator) else discriminator
    weighted = [layer for layer in base.layers if any(True for _ in layer.parameters())]  # type: ignore[union-attr]
    check(
        frozen < len(weighted),
        f"discriminator.frozen is {frozen}, and this discriminator has {len(weighted)} layers, of which the last must "
        f"learn; choose at most {len(weighted) - 1}.",
    )
    kept = {parameter for layer in weighted[:frozen] for parameter in layer.parameters()}
    return [parameter for parameter in discriminator.parameters() if parameter not in kept]


def _discriminator(config: DiscriminatorConfig, resolution: int) -> Discriminator:
    match config.kind:
        case "dcgan":
            return DCGANDiscriminator(config, resolution)
        case "resnet":
            return ResNetDiscriminator(config, resolution)
        case "r3":
            return R3Discriminator(config, resolution)
