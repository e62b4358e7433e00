"""Networks: `nn.Module`s and nothing else, built from a recipe's parts."""

from torch import nn

from nijigan.networks.blocks import Critique
from nijigan.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from nijigan.recipe import DiscriminatorConfig, GeneratorConfig, LatentConfig

__all__ = ["Critique", "build_discriminator", "build_generator"]


def build_generator(config: GeneratorConfig, latent: LatentConfig, resolution: int) -> nn.Module:
    """A new generator: N×latent.size → N×3×resolution×resolution."""
    return {"dcgan": DCGANGenerator}[config.kind](config, latent.size, resolution)


def build_discriminator(config: DiscriminatorConfig, resolution: int) -> nn.Module:
    """A new discriminator: N×3×resolution×resolution → `Critique`."""
    return {"dcgan": DCGANDiscriminator}[config.kind](config, resolution)
