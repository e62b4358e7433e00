"""DCGAN: Radford, Metz and Chintala, ICLR 2016, in the shape of the authors' released code, at any resolution b·2^k."""

from torch import Tensor, nn

from nijigan.networks.blocks import Critique, init_dcgan
from nijigan.recipe import DiscriminatorConfig, GeneratorConfig, base_resolution

_WIDEST = 16  # times the width: 1,024 channels at the published width, where 256 px would otherwise ask for 2,048


def _channels(width: int, resolution: int) -> tuple[int, list[int]]:
    """The base resolution (4-7) and the channels from there up to half the full resolution."""
    base = base_resolution(resolution)
    if base is None:
        raise ValueError(f"{resolution} is not 4, 5, 6 or 7 times a power of two")
    doublings = (resolution // base).bit_length() - 1
    return base, [width * min(2**level, _WIDEST) for level in reversed(range(doublings))]


def _refine(channels: int, count: int, activation: nn.Module) -> list[nn.Module]:
    """`count` 3×3 convolutions that keep the resolution: what makes a network deeper than the published one."""
    layers: list[nn.Module] = []
    for _ in range(count):
        layers += [nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), activation]
    return layers


class DCGANGenerator(nn.Module):
    """Latents to images through transposed convolutions.

    At 64 px and width 64: 100 → 512×4×4 → 256×8×8 → 128×16×16 → 64×32×32 → 3×64×64, batch norm and ReLU between.
    """

    def __init__(self, config: GeneratorConfig, latent_size: int, resolution: int) -> None:
        super().__init__()
        base, channels = _channels(config.width, resolution)
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_size, channels[0], base, 1, 0, bias=False)]
        for inner, outer in zip(channels, [*channels[1:], 3], strict=True):
            layers += [nn.BatchNorm2d(inner), nn.ReLU(inplace=True)]
            layers += _refine(inner, config.depth - 1, nn.ReLU(inplace=True))
            layers += [nn.ConvTranspose2d(inner, outer, 4, 2, 1, bias=False)]
        layers += [nn.Tanh() if config.output == "tanh" else nn.Sigmoid()]
        self.layers = nn.Sequential(*layers)
        self.apply(init_dcgan)

    def forward(self, latents: Tensor) -> Tensor:
        """Draw images.

        Args:
            latents: N×latent_size.

        Returns:
            N×3×H×W in [-1, 1], or [0, 1] with a sigmoid output.
        """
        images: Tensor = self.layers(latents[:, :, None, None])  # N×latent → N×latent×1×1
        return images


class DCGANDiscriminator(nn.Module):
    """Images to one logit each through strided convolutions.

    At 64 px and width 64: 3×64×64 → 64×32×32 → 128×16×16 → 256×8×8 → 512×4×4 → 1, LeakyReLU 0.2 between and batch norm
    everywhere but after the first convolution.

    The first convolution has a bias, which the released code has not. Without it the network up to its first batch norm
    is homogeneous, D(a·x) = D(x) for a whole batch scaled by a > 0: nothing holds the generator to the contrast of the
    data, and it drifts.
    """

    def __init__(self, config: DiscriminatorConfig, resolution: int) -> None:
        super().__init__()
        base, channels = _channels(config.width, resolution)
        channels.reverse()
        layers: list[nn.Module] = []
        for inner, outer in zip([3, *channels[:-1]], channels, strict=True):
            layers += [nn.Conv2d(inner, outer, 4, 2, 1, bias=inner == 3)]
            layers += [nn.BatchNorm2d(outer)] if inner != 3 else []
            layers += [nn.LeakyReLU(0.2, inplace=True)]
            layers += _refine(outer, config.depth - 1, nn.LeakyReLU(0.2, inplace=True))
        layers += [nn.Conv2d(channels[-1], 1, base, 1, 0, bias=False)]
        self.layers = nn.Sequential(*layers)
        self.apply(init_dcgan)

    def forward(self, images: Tensor) -> Critique:
        """Judge N×3×H×W images."""
        return Critique(logits=self.layers(images).flatten())  # N×1×1×1 → N
