"""The residual networks of Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018.

At 128 px, width 64, max_width 1024 and latents of 128, they are those of the appendix; other resolutions follow the
same rule. A convolution has no bias where a norm would cancel it, or where the branch that it is added to has one.
"""

from itertools import pairwise
from math import sqrt

from torch import Tensor, nn

from nijigan.networks.blocks import (
    Critique,
    MinibatchStddev,
    ModulatedNorm,
    Residual,
    activation,
    add_spectral_norm,
    apply_layers,
    ladder,
    norm_layer,
    removes_bias,
    squash,
)
from nijigan.networks.convolutions import Conv3, EnlargeConv3
from nijigan.recipe.parts import DiscriminatorConfig, GeneratorConfig


class ResNetGenerator(nn.Module):
    """Latents to images: a linear layer, blocks that double the resolution, a norm and a convolution.

    At 64 px and width 64: 100 → 1024×4×4 → 512×8×8 → 256×16×16 → 128×32×32 → 64×64×64 → 3×64×64. The first of the
    `depth` blocks at a resolution doubles it.
    """

    def __init__(self, config: GeneratorConfig, latent_size: int, resolution: int) -> None:
        super().__init__()
        self.base, channels = ladder(config.width, config.max_width, resolution)
        self.dense = nn.Linear(latent_size, channels[0] * self.base**2)
        layers: list[nn.Module] = []
        modulation = latent_size if config.modulated else None
        for inner, outer in pairwise(channels):
            layers += [_up_block(inner, outer, config, modulation, double=True)]
            layers += [_up_block(outer, outer, config, modulation, double=False) for _ in range(config.depth - 1)]
        layers += [_norm(config.normalisation, channels[-1], modulation), activation(config.activation)]
        layers += [Conv3(channels[-1], 3), squash(config.output)]
        self.layers = nn.Sequential(*layers)
        _init_xavier(self)

    def forward(self, latents: Tensor) -> Tensor:
        """Generate images.

        Args:
            latents: N×latent_size.

        Returns:
            N×3×H×W in [-1, 1], or [0, 1] with a sigmoid output.
        """
        features = self.dense(latents).unflatten(1, (-1, self.base, self.base))
        return apply_layers(self.layers, features, latents)


class ResNetDiscriminator(nn.Module):
    """Images to logits: blocks that halve the resolution, one that does not, a sum over positions, a linear layer.

    At 64 px and width 64: 3×64×64 → 64×32×32 → 128×16×16 → 256×8×8 → 512×4×4 → 1024×4×4 → 1024 → 1. The last of the
    `depth` blocks at a resolution halves it; the full resolution has only one block. Norms other than spectral come
    before activations, except in the first block, whose input is pixels.

    Attributes:
        feature_size: C of `Critique.features`.
    """

    def __init__(self, config: DiscriminatorConfig, resolution: int) -> None:
        super().__init__()
        norm = config.normalisation
        channels = ladder(config.width, config.max_width, resolution)[1][::-1]
        layers: list[nn.Module] = [_first_block(channels[0])]
        for level, (inner, outer) in enumerate(pairwise(channels), start=2):
            layers += [_down_block(inner, inner, norm, halve=False) for _ in range(config.depth - 1)]
            layers += [_down_block(inner, outer, norm, halve=level < len(channels))]
        layers += [activation("relu")]
        layers += [MinibatchStddev()] if config.minibatch_stddev else []
        self.layers = nn.Sequential(*layers)
        self.feature_size = channels[-1] + config.minibatch_stddev
        self.dense = nn.Linear(self.feature_size, 1)
        _init_xavier(self)
        if norm == "spectral":
            add_spectral_norm(self)

    def forward(self, images: Tensor) -> Critique:
        """N×3×H×W images → `Critique`."""
        features = self.layers(images).sum(dim=(2, 3))
        return Critique(logits=self.dense(features).flatten(), features=features)  # N×C → N


def _norm(kind: str, channels: int, modulation: int | None) -> nn.Module:
    """A norm, which latents of the length `modulation` modulate unless that is None."""
    return norm_layer(kind, channels) if modulation is None else ModulatedNorm(channels, modulation)


def _up_block(inner: int, outer: int, config: GeneratorConfig, modulation: int | None, double: bool) -> Residual:
    """Norm, activation, upsampling, convolution; norm, activation, convolution."""
    norm = config.normalisation
    bias = not removes_bias(norm)  # the next norm cancels the bias of the sum too
    # In the files of generators, the weights of a layer are known by its place: enlarging was once a layer of its own.
    first = [nn.Identity(), EnlargeConv3(inner, outer, bias)] if double else [Conv3(inner, outer, bias)]
    main = [
        _norm(norm, inner, modulation),
        activation(config.activation, inplace=False),  # the shortcut needs its input
        *first,
        _norm(norm, outer, modulation),
        activation(config.activation),
        Conv3(outer, outer, bias=bias),
    ]
    # The paper upsamples first, which gives the same sum for four times the cost.
    shortcut: list[nn.Module] = [nn.Conv2d(inner, outer, 1, bias=False)] if double or inner != outer else []
    shortcut += [nn.Upsample(scale_factor=2)] if double else []
    return Residual(main, shortcut)


def _first_block(outer: int) -> Residual:
    """A block that halves the resolution of pixels. It starts without an activation, which would clip them at grey."""
    main = [
        Conv3(3, outer),
        activation("relu"),
        Conv3(outer, outer),
        nn.AvgPool2d(2),
    ]
    return Residual(main, [nn.AvgPool2d(2), nn.Conv2d(3, outer, 1, bias=False)])


def _down_block(inner: int, outer: int, norm: str, halve: bool) -> Residual:
    """Norm, activation, convolution, twice; then average pooling if it halves the resolution."""
    main = [
        norm_layer(norm, inner),
        activation("relu", inplace=False),
        Conv3(inner, inner, bias=not removes_bias(norm)),
        norm_layer(norm, inner),
        activation("relu"),
        Conv3(inner, outer),
        *_pool(halve),
    ]
    # Pooling commutes with a 1×1 convolution; in this order the cost is a quarter.
    shortcut = [*_pool(halve), nn.Conv2d(inner, outer, 1, bias=False)] if halve or inner != outer else []
    return Residual(main, shortcut)


def _pool(halve: bool) -> list[nn.Module]:
    return [nn.AvgPool2d(2)] if halve else []


def _init_xavier(network: nn.Module) -> None:
    """Initialise as in the authors' code: Xavier, with gain sqrt(2) in the main branch of a block and 1 elsewhere."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and not name.endswith(".affine"):
            nn.init.xavier_uniform_(layer.weight, gain=sqrt(2) if ".main." in name else 1.0)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
