"""The moving average of a generator's weights."""

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import Tensor, nn

from nijigan.networks import ConditionalGenerator
from nijigan.networks.style import StyleGenerator
from nijigan.recipe.parts import EmaConfig


class Ema:
    """An exponential moving average of parameters, with a half-life in images that is short early in training.

    After an update of b images, θ̄ ← β·θ̄ + (1-β)·θ with β = 0.5^(b / min(half-life, warm-up share · images seen)):
    Yazıcı et al., "The Unusual Effectiveness of Averaging in GAN Training", ICLR 2019; the ramp is that of Karras et
    al., "Analyzing and Improving the Image Quality of StyleGAN", 2020. A half-life of 0 copies the weights.

    Attributes:
        module: a copy of the network with the averaged parameters. Its buffers keep their initial values until
            `recalibrate` is called.
    """

    def __init__(self, module: nn.Module, config: EmaConfig) -> None:
        self.module = deepcopy(module).eval().requires_grad_(False)
        self.config = config

    def decay(self, batch: int, images: int, ramp: float = 1.0) -> float:
        """β for an update of `batch` images after which `images` have been seen in all, the half-life times `ramp`."""
        half_life = ramp * min(self.config.half_life_kimg * 1000, self.config.warmup * images)
        return float(0.5 ** (batch / half_life)) if half_life > 0 else 0.0

    @torch.no_grad()
    def update(self, module: nn.Module, batch: int, images: int, ramp: float = 1.0) -> None:
        """Move the average towards the parameters of `module`."""
        averaged = [p.data for p in self.module.parameters()]
        torch._foreach_lerp_(averaged, [p.data for p in module.parameters()], 1 - self.decay(batch, images, ramp))


@torch.no_grad()
def recalibrate(module: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> None:
    """Re-estimate the statistics that a generator has in addition to its weights.

    These are batch norm's statistics, as plain averages, and the mean style that truncation pulls towards. A network
    with neither does not change. The averaged weights did not produce the running statistics of the trained network;
    without this step a moving average generates washed-out pictures.

    Args:
        module: a generator.
        batches: the generator's inputs: latents, and codes if there are attributes.
    """
    if isinstance(module, StyleGenerator | ConditionalGenerator):
        module.estimate_mean_style(batches)
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
        norm.train()  # only these: dropout would use random numbers of the training
    for batch in batches:
        module(*batch)
    module.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
