"""When a run is logged, saved and judged."""

from dataclasses import dataclass
from typing import Self

from nijigan.recipe.recipe import Recipe


@dataclass(frozen=True)
class Recording:
    """What is to be recorded after a round."""

    tick: bool
    """A log line."""
    snapshot: bool
    """Also a sample grid, the generator and a checkpoint."""
    evaluation: bool
    """Also scores on the validation split."""

    @classmethod
    def after_round(cls, recipe: Recipe, before: int, images: int, faces: int, *, done: bool, stop: bool) -> Self:
        """What to record after the round from `before` to `images`, which ends the run (`done`) or is interrupted.

        An epoch has as many images as there are `faces` in the training split.
        """

        def passed(kimg: float) -> bool:
            return images // (kimg * 1000) > before // (kimg * 1000)

        every = recipe.evaluation_every
        evaluation = every is not None and (done or passed(every))
        epoch = any(before < round(epoch * faces) <= images for epoch in recipe.snapshot_epochs)
        snapshot = done or stop or evaluation or epoch or passed(recipe.snapshot_every)
        return cls(snapshot or passed(recipe.tick_every), snapshot, evaluation)
