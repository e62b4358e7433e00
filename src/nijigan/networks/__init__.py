"""Networks: `nn.Module`s and nothing else, built from a recipe's parts."""

from torch import nn

from nijigan.networks.blocks import Critique
from nijigan.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from nijigan.networks.r3 import R3Discriminator, R3Generator
from nijigan.networks.resnet import ResNetDiscriminator, ResNetGenerator
from nijigan.networks.style import StyleGenerator
from nijigan.parts import DiscriminatorConfig, GeneratorConfig, LatentConfig

__all__ = ["Critique", "build_discriminator", "build_generator"]


def build_generator(config: GeneratorConfig, latent: LatentConfig, resolution: int) -> nn.Module:
    """A new generator: N×latent.size → N×3×resolution×resolution."""
    match config.kind:
        case "dcgan":
            return DCGANGenerator(config, latent.size, resolution)
        case "resnet":
            return ResNetGenerator(config, latent.size, resolution)
        case "r3":
            return R3Generator(config, latent.size, resolution)
        case "style":
            return StyleGenerator(config, latent.size, resolution)


def build_discriminator(config: DiscriminatorConfig, resolution: int) -> nn.Module:
    """A new discriminator: N×3×resolution×resolution → `Critique`."""
    match config.kind:
        case "dcgan":
            return DCGANDiscriminator(config, resolution)
        case "resnet":
            return ResNetDiscriminator(config, resolution)
        case "r3":
            return R3Discriminator(config, resolution)
