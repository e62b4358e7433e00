"""DCGAN: Radford, Metz and Chintala, ICLR 2016, as in the authors' released code, at any resolution of `ladder`."""

from torch import Tensor, nn

from nijigan.networks.blocks import (
    Critique,
    MinibatchStddev,
    activation,
    add_spectral_norm,
    init_dcgan,
    init_he,
    ladder,
    norm_layer,
    removes_bias,
    squash,
)
from nijigan.networks.convolutions import Conv3, Double, Halve
from nijigan.recipe.parts import DiscriminatorConfig, GeneratorConfig


class DCGANGenerator(nn.Module):
    """Latents to images, by transposed convolutions or by pixel shuffle.

    At 64 px and width 64: 100 → 512×4×4 → 256×8×8 → 128×16×16 → 64×32×32 → 3×64×64, with batch norm and
    ReLU after each hidden layer.
    """

    def __init__(self, config: GeneratorConfig, latent_size: int, resolution: int) -> None:
        super().__init__()
        norm = config.normalisation
        bias = not removes_bias(norm)

        def after(channels: int) -> list[nn.Module]:
            """The layers after a convolution."""
            dropout: list[nn.Module] = [nn.Dropout2d(config.dropout)] if config.dropout else []
            return [norm_layer(norm, channels), activation(config.activation), *dropout]

        base, channels = ladder(config.width, config.max_width, resolution)
        channels = channels[1:]  # the last hidden layer has half the resolution
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_size, channels[0], base, 1, 0, bias=bias)]
        for inner, outer in zip(channels, [*channels[1:], None], strict=True):
            layers += after(inner)
            for _ in range(config.depth - 1):
                layers += [Conv3(inner, inner, bias=bias), *after(inner)]
            layers += _double(inner, outer or 3, config.upsample, bias if outer else norm != "batch")
        layers += [squash(config.output)]
        self.layers = nn.Sequential(*layers)
        self.apply(init_he if norm == "none" else init_dcgan)

    def forward(self, latents: Tensor) -> Tensor:
        """Generate images.

        Args:
            latents: N×latent_size.

        Returns:
            N×3×H×W in [-1, 1], or [0, 1] with a sigmoid output.
        """
        images: Tensor = self.layers(latents[:, :, None, None])  # N×latent → N×latent×1×1
        return images


def _double(inner: int, outer: int, upsample: str, bias: bool) -> list[nn.Module]:
    """The layers that double the resolution."""
    if upsample == "transposed":
        return [Double(inner, outer, bias)]
    return [Conv3(inner, 4 * outer, bias=bias), nn.PixelShuffle(2)]


class DCGANDiscriminator(nn.Module):
    """Images to logits, by strided convolutions or by average pooling.

    At 64 px and width 64: 3×64×64 → 64×32×32 → 128×16×16 → 256×8×8 → 512×4×4 → 1, with leaky ReLU (slope 0.2) after
    each hidden layer, and batch norm after each but the first.

    Unlike in the released code, the first convolution has a bias. Without it, the layers up to the first batch norm are
    homogeneous, so D(a·x) = D(x) when a whole batch is scaled by a > 0. D would not see the contrast of images, and the
    contrast of generated images would drift.

    Attributes:
        feature_size: C of `Critique.features`.
    """

    def __init__(self, config: DiscriminatorConfig, resolution: int) -> None:
        super().__init__()
        norm = config.normalisation
        bias = not removes_bias(norm)

        def after(channels: int) -> list[nn.Module]:
            """The layers after a convolution other than the first."""
            return [norm_layer(norm, channels), activation("leaky")]

        base, channels = ladder(config.width, config.max_width, resolution)
        channels = channels[:0:-1]  # the first hidden layer has half the resolution

        def pool() -> list[nn.Module]:
            """The pooling after a convolution, if there is any."""
            return [nn.AvgPool2d(2)] if config.downsample == "average" else []

        layers: list[nn.Module] = []
        for inner, outer in zip([None, *channels[:-1]], channels, strict=True):
            if inner is None:
                layers += [_halve(3, outer, config.downsample, True), activation("leaky"), *pool()]
            else:
                layers += [_halve(inner, outer, config.downsample, bias), *after(outer), *pool()]
            for _ in range(config.depth - 1):
                layers += [Conv3(outer, outer, bias=bias), *after(outer)]
        layers += [MinibatchStddev()] if config.minibatch_stddev else []
        self.feature_size = channels[-1] + config.minibatch_stddev
        layers += [nn.Conv2d(self.feature_size, 1, base, 1, 0, bias=norm != "batch")]
        self.layers = nn.Sequential(*layers)
        self.apply(init_he if norm == "none" else init_dcgan)
        if norm == "spectral":
            add_spectral_norm(self)

    def forward(self, images: Tensor) -> Critique:
        """N×3×H×W images → `Critique`."""
        maps = self.layers[:-1](images)  # N×C×4×4
        return Critique(logits=self.layers[-1](maps).flatten(), features=maps.sum(dim=(2, 3)))  # N×1×1×1 → N


def _halve(inner: int, outer: int, downsample: str, bias: bool) -> nn.Module:
    """The convolution that halves the resolution, or that is followed by average pooling."""
    return Halve(inner, outer, bias) if downsample == "stride" else Conv3(inner, outer, bias=bias)
