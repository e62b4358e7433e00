"""What changes in the course of a run: learning rates, β2, the penalty's weight, augmentation, noise, the average."""

import math
from dataclasses import dataclass

from nijigan.recipe.parts import BurnInConfig, OptimizerConfig
from nijigan.recipe.recipe import Recipe

_TAIL = 0.2
"""Share of a run over which the schedule `tail` falls."""


@dataclass(frozen=True)
class Schedule:
    """The factors of all schedules at one point of a run."""

    lr: float = 1.0
    """Factor of both learning rates."""
    penalty: float = 1.0
    """Factor of the penalty's weight."""
    noise: float = 0.0
    """Standard deviation of the noise added to what D sees, where pixels span 2."""
    augment: float = 1.0
    """Factor of augmentation's probability."""
    ramp: float = 1.0
    """Progress of burn-in, 0 to 1: factor of the moving average's half-life."""

    def beta2(self, config: OptimizerConfig, burn_in: BurnInConfig) -> float:
        """The β2 of one network's adam."""
        start = config.beta2 if burn_in.beta2 is None else burn_in.beta2
        return start + (config.beta2 - start) * self.ramp


def schedule_at(recipe: Recipe, images: int, total: int) -> Schedule:
    """The schedule of `recipe` after `images` of `total` real images."""
    lr = rate_factor(recipe.lr_schedule, images / total)
    tricks, burn_in = recipe.tricks, recipe.burn_in
    noise = tricks.instance_noise * max(0.0, 1 - images / (1000 * tricks.instance_noise_kimg))
    ramp = _risen(images, burn_in.kimg)
    return Schedule(
        lr=lr * (1 + (burn_in.lr - 1) * ramp), penalty=1 + (burn_in.penalty - 1) * ramp, noise=noise,
        augment=ramp * _risen(images, recipe.augment.ramp_kimg), ramp=ramp,
    )  # fmt: skip


def _risen(images: int, kimg: float) -> float:
    """How far a ramp of that length along half a cosine has risen, 0 to 1; 1 without a length."""
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, images / (1000 * kimg))) if kimg else 1.0


def rate_factor(schedule: str, progress: float) -> float:
    """Factor of the learning rate when a share `progress` of the run is done."""
    if schedule == "linear":
        return 1 - progress
    if schedule == "tail":
        return min(1.0, (1 - progress) / _TAIL)
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
