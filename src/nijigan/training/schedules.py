"""What changes in the course of a run: learning rates, β2, the penalty's weight, augmentation, noise, the average."""

import math
from dataclasses import dataclass

from nijigan.recipe.parts import BurnInConfig, OptimizerConfig
from nijigan.recipe.recipe import Recipe


@dataclass(frozen=True)
class Pace:
    """Where the schedules of a run stand."""

    lr: float = 1.0
    """What both learning rates are multiplied by."""
    penalty: float = 1.0
    """What the penalty's weight is multiplied by."""
    noise: float = 0.0
    """Standard deviation of the noise added to what D sees, where pixels span 2."""
    risen: float = 1.0
    """How far burn-in has come: what augmentation's probability and the average's half-life are multiplied by."""

    def beta2(self, config: OptimizerConfig, burn_in: BurnInConfig) -> float:
        """The β2 of one network's adam."""
        start = config.beta2 if burn_in.beta2 is None else burn_in.beta2
        return start + (config.beta2 - start) * self.risen


def pace(recipe: Recipe, images: int, total: int) -> Pace:
    """Where the schedules of `recipe` stand after `images` of `total` real images."""
    lr = rate_factor(recipe.lr_schedule, images / total)
    tricks, burn_in = recipe.tricks, recipe.burn_in
    noise = tricks.instance_noise * max(0.0, 1 - images / (1000 * tricks.instance_noise_kimg))
    if not burn_in.kimg:
        return Pace(lr=lr, noise=noise)
    risen = 0.5 - 0.5 * math.cos(math.pi * min(1.0, images / (1000 * burn_in.kimg)))
    return Pace(
        lr=lr * (1 + (burn_in.lr - 1) * risen), penalty=1 + (burn_in.penalty - 1) * risen, noise=noise, risen=risen
    )


def rate_factor(schedule: str, progress: float) -> float:
    """What the learning rate is multiplied by when a share `progress` of the run is done."""
    if schedule == "linear":
        return 1 - progress
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0


def turns(alternate_epochs: int, epoch: float) -> tuple[bool, bool]:
    """Whether (D, G) train at this point: both, or one after the other for `alternate_epochs` epochs each, D first.

    Anik et al.: "We also train the discriminator for a few epochs, then train the generator for a few epochs, and
    repeat."
    """
    if not alternate_epochs:
        return True, True
    d_turn = int(epoch / alternate_epochs) % 2 == 0
    return d_turn, not d_turn
