"""Layers, normalisation and initialisation that the architectures share."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from nijigan.resolutions import base_resolution


@dataclass(frozen=True)
class Critique:
    """The output of a discriminator for N images."""

    logits: Tensor
    """N unbounded scores; higher means more realistic."""
    features: Tensor
    """N×C: the input of the last layer, summed over positions."""
    class_logits: tuple[Tensor, ...] = ()
    """For each attribute N×values: unbounded scores, or fp32 cosines. Empty if the discriminator has no classifier."""
    embeddings: tuple[Tensor, ...] = ()
    """For each attribute N×E: fp32 vectors of length 1. Empty if the discriminator has no embeddings."""


class ModulatedNorm(nn.Module):
    """Batch norm whose scale and shift of every channel are affine functions of the latent.

    Chen, Lucic, Houlsby and Gelly, "On Self Modulation for Generative Adversarial Networks", ICLR 2019, equation 3,
    with one layer in place of two. At first the latent changes them by a tenth.
    """

    def __init__(self, channels: int, latent_size: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.affine = nn.Linear(latent_size, 2 * channels)
        nn.init.normal_(self.affine.weight, std=0.1 / sqrt(latent_size))
        nn.init.zeros_(self.affine.bias)

    def forward(self, features: Tensor, latents: Tensor) -> Tensor:
        """N×C×H×W and N×latent → N×C×H×W."""
        scale, shift = self.affine(latents).to(features.dtype)[:, :, None, None].chunk(2, dim=1)  # N×C×1×1
        return torch.addcmul(shift, self.norm(features), 1 + scale)


class Residual(nn.Module):
    """The sum of two branches: the layers of `main`, and those of `shortcut`, which may be empty (the identity)."""

    def __init__(self, main: list[nn.Module], shortcut: list[nn.Module]) -> None:
        super().__init__()
        self.main = nn.Sequential(*main)
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, features: Tensor, latents: Tensor | None = None) -> Tensor:
        """N×C×H×W → N×C'×H'×W', depending on the layers. Modulated norms need the latents, N×latent."""
        total: Tensor = apply_layers(self.main, features, latents) + self.shortcut(features)
        return total


def apply_layers(layers: Iterable[nn.Module], features: Tensor, latents: Tensor | None) -> Tensor:
    """Apply layers in turn; those that depend on the latents get them."""
    for layer in layers:
        features = layer(features, latents) if isinstance(layer, ModulatedNorm | Residual) else layer(features)
    return features


class MinibatchStddev(nn.Module):
    """Appends a channel that measures how much the images of a batch differ.

    Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018, section 3:
    the standard deviation over a group of images, for every feature at every position, averaged into one number. A
    group has four images; a batch whose size is not a multiple of four is one group.
    """

    def forward(self, features: Tensor) -> Tensor:
        """N×C×H×W → N×(C+1)×H×W; the new channel is the last and has one number per group."""
        n, channels, height, width = features.shape
        size = 4 if n % 4 == 0 else n
        # In fp16 the 1e-8 that keeps the gradient of the root finite would be 0.
        exact = features.to(torch.promote_types(features.dtype, torch.float32))
        groups = exact.view(-1, size, channels, height, width)
        deviations = (groups.var(dim=1, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))  # M×4×C×H×W → M
        channel = deviations.to(features.dtype).repeat_interleave(size).view(n, 1, 1, 1)
        return torch.cat([features, channel.expand(n, 1, height, width)], dim=1)


def ladder(width: int, max_width: int, resolution: int) -> tuple[int, list[int]]:
    """The base resolution (4 to 7), and the channels of every resolution up to the full one, which has `width`."""
    base = base_resolution(resolution)
    if base is None:
        raise ValueError(f"{resolution} is not 4, 5, 6 or 7 times a power of two")
    doublings = (resolution // base).bit_length() - 1
    return base, [min(width * 2**level, max_width) for level in reversed(range(doublings + 1))]


def norm_layer(norm: str, channels: int) -> nn.Module:
    """A normalisation of N×C×H×W features with a learnt scale and shift per channel; `none`, `spectral` = the identity.

    batch = over N, H and W; layer = over C, H and W; instance = over H and W.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "layer":
        return nn.GroupNorm(1, channels)
    if norm == "instance":
        return nn.GroupNorm(channels, channels)
    return nn.Identity()


def removes_bias(norm: str) -> bool:
    """Whether a normalisation cancels a bias in the layer before it."""
    return norm in ("batch", "instance")


def activation(kind: str, inplace: bool = True) -> nn.Module:
    """ReLU, or leaky ReLU with slope 0.2."""
    return nn.ReLU(inplace) if kind == "relu" else nn.LeakyReLU(0.2, inplace)


def squash(output: str) -> nn.Module:
    """The output function of a generator: tanh gives pixels in [-1, 1], sigmoid in [0, 1]."""
    return nn.Tanh() if output == "tanh" else nn.Sigmoid()


def add_spectral_norm(network: nn.Module) -> None:
    """Divide every kernel by an estimate of its largest singular value, one step of power iteration per forward pass.

    Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, algorithm 1. Call it after
    the weights are initialised. The vectors of the iteration are buffers; they do not change in evaluation mode.
    """
    for layer in [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]:
        spectral_norm(layer)


def init_dcgan(module: nn.Module) -> None:
    """Initialise as in the released code of DCGAN: weights N(0, 0.02), batch-norm scales N(1, 0.02), biases 0.

    Use with `Module.apply`. Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks", ICLR 2016, section 4.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def init_he(module: nn.Module, slope: float = 0.2, scale: float = 1.0) -> None:
    """Initialise a layer so that it preserves the variance of its input, the output of a leaky ReLU; biases 0.

    Use with `Module.apply`, or layer by layer. He et al., "Delving Deep into Rectifiers", ICCV 2015, equation 15.

    Args:
        module: a convolution or linear layer; others are not changed.
        slope: negative slope of the activation before the layer; 1 = no activation.
        scale: factor on the standard deviation.
    """
    if isinstance(module, nn.ConvTranspose2d):
        # With stride 2, each output pixel of the 4×4 kernel sums 2×2 inputs; in the first layer, stride 1, it sums one.
        fan_in = module.in_channels * module.stride[0] ** 2
    elif isinstance(module, nn.Conv2d | nn.Linear):
        fan_in = module.weight[0].numel()
    else:
        return
    nn.init.normal_(module.weight, 0.0, scale * sqrt(2 / (1 + slope**2) / fan_in))
    if module.bias is not None:
        nn.init.zeros_(module.bias)
