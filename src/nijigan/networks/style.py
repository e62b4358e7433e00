"""The style-based generator: Karras, Laine and Aila, "A Style-Based Generator Architecture for GANs", CVPR 2019.

A mapping network turns a latent into a style, which sets the scale and shift of every channel at every layer. From the
paper: the mapping network, the learnt constant, adaptive instance normalisation, noise, style mixing, truncation. From
the papers before and after it: equalised learning rates, and an output that is the sum of images of all resolutions,
which needs no progressive growing. Two choices are for speed. The last convolution at each resolution reduces the
channels before they are upsampled, at a quarter of the cost. And styles modulate activations, not weights, which needs
only ordinary operations and works for any batch.
"""

from collections.abc import Iterable
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu, linear

from nijigan.networks.blocks import ladder, squash
from nijigan.networks.convolutions import convolve3
from nijigan.recipe.parts import GeneratorConfig

_WIDEST_STYLE = 512  # as published
_MAPPING_RATE = 0.01  # factor on the learning rate: section C of the appendix


class Equalised(nn.Module):
    """A dense layer or convolution whose weights are initialised with N(0, 1) and scaled at each use.

    Adam then moves all layers at the same relative speed: Karras et al., "Progressive Growing of GANs for Improved
    Quality, Stability, and Variation", ICLR 2018, section 4.1, "equalized learning rate".

    Args:
        inner: number of input channels.
        outer: number of output channels.
        kernel: height and width of a convolution, 1 or 3; None for a dense layer.
        gain: standard deviation of the output for inputs of mean square 1.
        rate: factor on the optimizer's learning rate.
    """

    def __init__(
        self, inner: int, outer: int, kernel: int | None = None, *, gain: float = sqrt(2), rate: float = 1.0
    ) -> None:
        super().__init__()
        shape = (outer, inner) if kernel is None else (outer, inner, kernel, kernel)
        self.weight = nn.Parameter(torch.randn(shape) / rate)
        self.bias = nn.Parameter(torch.zeros(outer))
        self.scale = gain * rate / sqrt(inner * (kernel or 1) ** 2)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """N×inner → N×outer, or N×inner×H×W → N×outer×H×W."""
        weight, bias = self.weight * self.scale, self.bias * self.rate
        if weight.ndim == 2:
            return linear(x, weight, bias)
        return convolve3(x, weight, bias) if weight.shape[2] == 3 else conv2d(x, weight, bias)


class MappingNetwork(nn.Module):
    """Latents to styles: dense layers. Latents are first scaled to mean square 1, so their length has no effect."""

    def __init__(self, latent_size: int, style_size: int, depth: int) -> None:
        super().__init__()
        sizes = [latent_size] + [style_size] * depth
        self.layers = nn.ModuleList(Equalised(inner, outer, rate=_MAPPING_RATE) for inner, outer in pairwise(sizes))

    def forward(self, latents: Tensor) -> Tensor:
        """N×latent → N×style."""
        w = latents * (latents.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            w = leaky_relu(layer(w), 0.2)
        return w


class Modulation(nn.Module):
    """Noise, leaky ReLU and style; applied to the constant and after every convolution.

    Adaptive instance normalisation, Karras et al. 2019, equation 1: every channel of every image is normalised to
    mean 0 and variance 1, then scaled and shifted by an affine function of the style. The noise, one number per pixel
    times a learnt strength per channel, is added during training only.
    """

    def __init__(self, channels: int, style_size: int, noise: bool) -> None:
        super().__init__()
        self.affine = Equalised(style_size, 2 * channels, gain=1)
        self.strength = nn.Parameter(torch.zeros(channels)) if noise else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """N×C×H×W (or 1×C×H×W, equal for all images) and N×style → N×C×H×W."""
        if self.strength is not None and self.training:
            noise = torch.randn(len(w), 1, *x.shape[2:], device=x.device, dtype=x.dtype)
            x = x + self.strength[:, None, None].to(x.dtype) * noise
        scale, shift = self.affine(w).float()[:, :, None, None].chunk(2, dim=1)  # N×C×1×1
        active = leaky_relu(x, 0.2).float()
        pixels = x.shape[2] * x.shape[3]
        # The gradient of a sum is a view, that of a mean a copy: with means and squares this would take twice as long.
        centred = active - active.sum((2, 3), keepdim=True) / pixels
        variance = (centred * centred).sum((2, 3), keepdim=True) / pixels
        return torch.addcmul(shift, centred, (1 + scale) * (variance + 1e-5).rsqrt()).to(x.dtype)


class StyledConvolution(nn.Module):
    """A 3×3 convolution followed by a `Modulation`."""

    def __init__(self, inner: int, outer: int, style_size: int, noise: bool) -> None:
        super().__init__()
        self.convolution = Equalised(inner, outer, 3)
        self.modulation = Modulation(outer, style_size, noise)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """N×inner×H×W and N×style → N×outer×H×W."""
        styled: Tensor = self.modulation(self.convolution(x), w)
        return styled


class StyleGenerator(nn.Module):
    """Latents to images, by way of styles.

    At 64 px, width 32, max_width 256 and depth 1: a constant of 256×4×4, convolutions to 256×4×4, 128×8×8, 64×16×16,
    32×32×32 and 32×64×64 with bilinear upsampling in between. A 1×1 convolution turns each into an image, and the
    output is their sum: the skip generator of Karras et al., "Analyzing and Improving the Image Quality of StyleGAN",
    CVPR 2020, figure 7b.

    Attributes:
        mapping: N×latent_size → N×style.
        style_size: length of a style.
        w_mean: the mean style, the centre of truncation; zero until `estimate_mean_style` is called.
    """

    w_mean: Tensor

    def __init__(self, config: GeneratorConfig, latent_size: int, resolution: int) -> None:
        super().__init__()
        base, channels = ladder(config.width, config.max_width, resolution)
        levels = len(channels)
        self.style_size = style_size = min(channels[0], _WIDEST_STYLE)
        self.mapping = MappingNetwork(latent_size, style_size, config.mapping_depth)
        self.register_buffer("w_mean", torch.zeros(style_size))
        self.constant = nn.Parameter(torch.randn(channels[0], base, base))
        self.start = Modulation(channels[0], style_size, config.noise)
        self.blocks = nn.ModuleList()
        self.to_rgb = nn.ModuleList()
        for inner, outer in zip(channels, [*channels[1:], channels[-1]], strict=True):
            widths = [inner] * config.depth + [outer]
            self.blocks.append(
                nn.ModuleList(StyledConvolution(a, b, style_size, config.noise) for a, b in pairwise(widths))
            )
            self.to_rgb.append(Equalised(outer, 3, 1, gain=1 / levels))  # the initial sum is within tanh's range
        self.styles = 1 + levels * config.depth
        self.mixing = config.style_mixing
        self.output = squash(config.output)

    def forward(self, latents: Tensor, psi: float = 1.0, shift: Tensor | None = None) -> Tensor:
        """Generate images.

        Args:
            latents: N×latent_size.
            psi: truncation ψ: styles become w_mean + ψ(w - w_mean). Karras et al. 2019, appendix B.
            shift: N×style, added to the styles of an image at all layers, after mixing and truncation.

        Returns:
            N×3×H×W in [-1, 1], or [0, 1] with a sigmoid output.
        """
        w = self.w_mean.lerp(self.mapping(latents).float(), psi)
        chosen = self._mix(w) if self.training and self.mixing > 0 else [w] * self.styles
        styles = iter(chosen if shift is None else [style + shift for style in chosen])
        x = self.start(self.constant[None], next(styles))
        images = None
        for block, to_rgb in zip(self.blocks, self.to_rgb, strict=True):
            if images is not None:
                x, images = _upsample(x), _upsample(images)
            for layer in block:  # type: ignore[attr-defined]
                x = layer(x, next(styles))
            images = to_rgb(x) if images is None else images + to_rgb(x)
        pixels: Tensor = self.output(images)
        return pixels

    @torch.no_grad()
    def estimate_mean_style(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Set `w_mean` to the mean style of all latents in `batches`, which are tuples of one N×latent_size tensor."""
        self.w_mean.copy_(torch.cat([self.mapping(latents) for (latents,) in batches]).mean(0))

    def _mix(self, w: Tensor) -> list[Tensor]:
        """The style of each layer. Images chosen at random take the style of another one from a random layer on.

        Karras et al. 2019, section 3.1. The other style is that of the previous image in the batch, as random as a
        new one.
        """
        cut = torch.randint(1, self.styles, (len(w), 1), device=w.device)
        cut = cut.where(torch.rand(len(w), 1, device=w.device) < self.mixing, self.styles)
        other = w.roll(1, 0)
        return [w.where(layer < cut, other) for layer in range(self.styles)]


def _upsample(x: Tensor) -> Tensor:
    """N×C×H×W → N×C×2H×2W."""
    return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
