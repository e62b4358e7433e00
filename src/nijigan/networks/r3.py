"""R3GAN: a residual generator and discriminator without normalisation.

Huang et al., "The GAN is dead; long live the GAN! A Modern Baseline GAN", NeurIPS 2024. At 64 px, width 384,
max_width 768, depth 2 and latents of 64, the networks are the paper's for FFHQ-64, with two differences: pixels pass
through the recipe's output function, and resampling is plain bilinear interpolation, whose samples lie half way between
pixels, whereas those of the paper's [1, 2, 1] filter lie on every second pixel.
"""

import torch
from torch import Tensor, nn

from nijigan.networks.blocks import Critique, MinibatchStddev, Residual, activation, init_he, ladder, squash
from nijigan.recipe.parts import DiscriminatorConfig, GeneratorConfig

_GROUP = 16  # channels per group of a 3×3 convolution; gives the paper's number of groups at its widths


class R3Generator(nn.Module):
    """Latents to images: a learnt constant, its channels scaled by the latent, then `depth` blocks at every resolution.

    At 64 px, width 384 and max_width 768: 64 → 768×4×4 → 768×8×8 → 768×16×16 → 768×32×32 → 384×64×64 → 3×64×64.
    """

    def __init__(self, config: GeneratorConfig, latent_size: int, resolution: int) -> None:
        super().__init__()
        base, channels = ladder(config.width, config.max_width, resolution)
        blocks = config.depth * len(channels)
        self.basis = nn.Parameter(torch.randn(1, channels[0], base, base))
        self.embed = _linear(nn.Linear(latent_size, channels[0], bias=False))
        layers: list[nn.Module] = []
        for inner, outer in zip([None, *channels[:-1]], channels, strict=True):
            if inner is not None:
                layers += [*_widen(inner, outer), nn.Upsample(scale_factor=2, mode="bilinear")]
            layers += [_block(outer, blocks) for _ in range(config.depth)]
        layers += [_linear(nn.Conv2d(channels[-1], 3, 1, bias=False)), squash(config.output)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        """Generate images.

        Args:
            latents: N×latent_size.

        Returns:
            N×3×H×W in [-1, 1], or [0, 1] with a sigmoid output.
        """
        scales = self.embed(latents)[:, :, None, None]  # N×latent → N×C×1×1
        images: Tensor = self.layers(self.basis.to(scales.dtype) * scales)
        return images


class R3Discriminator(nn.Module):
    """Images to logits: the layers of the generator in reverse, then a learnt weight for each position.

    At 64 px, width 384 and max_width 768: 3×64×64 → 384×64×64 → 768×32×32 → 768×16×16 → 768×8×8 → 768×4×4 → 768 → 1.

    Attributes:
        feature_size: C of `Critique.features`, which are sums over positions with those learnt weights.
    """

    def __init__(self, config: DiscriminatorConfig, resolution: int) -> None:
        super().__init__()
        base, channels = ladder(config.width, config.max_width, resolution)
        channels.reverse()
        blocks = config.depth * len(channels)
        layers: list[nn.Module] = []
        for inner, outer in zip([None, *channels[:-1]], channels, strict=True):
            if inner is None:
                layers += [_linear(nn.Conv2d(3, outer, 1, bias=False))]
            else:
                layers += [nn.AvgPool2d(2), *_widen(inner, outer)]
            layers += [_block(outer, blocks) for _ in range(config.depth)]
        layers += [MinibatchStddev()] if config.minibatch_stddev else []
        self.feature_size = last = channels[-1] + config.minibatch_stddev
        layers += [_linear(nn.Conv2d(last, last, base, groups=last, bias=False))]
        self.layers = nn.Sequential(*layers)
        self.dense = _linear(nn.Linear(last, 1, bias=False))

    def forward(self, images: Tensor) -> Critique:
        """N×3×H×W images → `Critique`."""
        features = self.layers(images).flatten(1)  # N×C×1×1 → N×C
        return Critique(logits=self.dense(features).flatten(), features=features)


def _block(channels: int, blocks: int) -> Residual:
    """A bottleneck: 1×1, grouped 3×3 and 1×1 convolutions. Its output is 0 at first, because its last kernel is.

    Zhang, Dauphin and Ma, "Fixup Initialization: Residual Learning Without Normalization", ICLR 2019: in a block of
    m = 3 layers, the standard deviation of all but the last kernel is multiplied by blocks^(-1/(2m-2)), so that the sum
    of the updates of all blocks does not grow with their number.
    """
    hidden = 2 * channels
    widen = nn.Conv2d(channels, hidden, 1)
    mix = nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden // _group(hidden))
    project = nn.Conv2d(hidden, channels, 1, bias=False)
    for layer in (widen, mix):
        init_he(layer, scale=blocks ** (-1 / 4))
    nn.init.zeros_(project.weight)
    return Residual([widen, activation("leaky"), mix, activation("leaky"), project], [])


def _group(channels: int) -> int:
    """Channels per group: the largest divisor of `channels` up to 16."""
    return max(size for size in range(1, _GROUP + 1) if channels % size == 0)


def _widen(inner: int, outer: int) -> list[nn.Module]:
    """A 1×1 convolution where the width changes between resolutions, on the cheaper side of the resampling."""
    return [_linear(nn.Conv2d(inner, outer, 1, bias=False))] if inner != outer else []


def _linear(layer: nn.Module) -> nn.Module:
    """Initialise a layer without an activation before it so that it preserves variance."""
    init_he(layer, slope=1.0)
    return layer
