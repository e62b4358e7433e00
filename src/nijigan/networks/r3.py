"""The norm-free residual pair of R3GAN.

Huang et al., "The GAN is dead; long live the GAN! A Modern Baseline GAN", NeurIPS 2024. At 64 px, width 384,
max_width 768, depth 2 and latents of 64 it is the paper's for FFHQ-64, with two liberties: pixels pass through the
recipe's output function, and resampling is plain bilinear interpolation, which puts samples half way between pixels
where the paper's [1, 2, 1] filter puts them on every second one.
"""

import torch
from torch import Tensor, nn

from nijigan.networks.blocks import Critique, MinibatchStddev, Residual, activation, init_he, ladder, squash
from nijigan.recipe.parts import DiscriminatorConfig, GeneratorConfig

_GROUP = 16  # channels that a 3×3 convolution mixes; the paper's count of groups at its published widths


class R3Generator(nn.Module):
    """Latents to images: a learnt map, each channel scaled by the latent; `depth` blocks at every resolution.

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
        """Draw images.

        Args:
            latents: N×latent_size.

        Returns:
            N×3×H×W in [-1, 1], or [0, 1] with a sigmoid output.
        """
        scales = self.embed(latents)[:, :, None, None]  # N×latent → N×C×1×1
        images: Tensor = self.layers(self.basis.to(scales.dtype) * scales)
        return images


class R3Discriminator(nn.Module):
    """Images to one logit each: the generator's layers in reverse, with a learnt weight for each place at the end.

    At 64 px, width 384 and max_width 768: 3×64×64 → 384×64×64 → 768×32×32 → 768×16×16 → 768×8×8 → 768×4×4 → 768 → 1.

    Attributes:
        feature_size: C of the critique's features, which are summed over places by those learnt weights.
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
        """Judge N×3×H×W images."""
        features = self.layers(images).flatten(1)  # N×C×1×1 → N×C
        return Critique(logits=self.dense(features).flatten(), features=features)


def _block(channels: int, blocks: int) -> Residual:
    """Widen, mix within groups, project back: nothing at the start, for its last kernel is 0.

    Zhang, Dauphin and Ma, "Fixup Initialization: Residual Learning Without Normalization", ICLR 2019: the m-1 kernels
    before the last of m = 3 start blocks^(-1/(2m-2)) times as wide, so that the steps of all blocks together do not
    grow with their number.
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
    """Channels in a group: 16 where that divides them, else the most below that do."""
    return max(size for size in range(1, _GROUP + 1) if channels % size == 0)


def _widen(inner: int, outer: int) -> list[nn.Module]:
    """A 1×1 convolution between resolutions of different widths. It stands on the cheaper side of the resampling."""
    return [_linear(nn.Conv2d(inner, outer, 1, bias=False))] if inner != outer else []


def _linear(layer: nn.Module) -> nn.Module:
    """Start a layer that no activation precedes with its variance kept."""
    init_he(layer, slope=1.0)
    return layer
