"""Warnings when a run is failing, once per run: what was measured, what it means, which option to change.

    health = Health(recipe)
    for line in kept:  # when a run is resumed: remembers which warnings were given
        health.tick(line)
    line["diversity"] = diversity(fake, real)  # if a sample grid is due
    line["at_clip"] = share_at_clip(discriminator, recipe.clip)  # if weights are clipped
    for warning in health.tick(line):
        log.warning(warning)

Every warning follows from the run's log lines, so there is no other state to keep. The rules:

- *D has won.* With bce and minimax: D's mean score over the last five ticks is within 5 % of its targets (0.95 or more
  for real images and 0.05 or less for fakes; with softened or flipped labels, 5 % of the distance between the targets).
  With mse, hinge and relativistic: D's loss is below 5 % of the loss of a D that cannot tell fakes from real images.
  Not with wasserstein, whose critic is meant to be trained close to its optimum.
- *Mode collapse.* In two sample grids in a row, faces differ less than half as much as real ones. The rule applies once
  they have differed by more, or after 20 kimg, because a young generator's faces are all grey. If the run is
  conditional, the faces share one combination of values: a generator that ignores its latents still makes a different
  face for each combination.
- *Clipping too tight.* More than 90 % of the critic's weights are at the bound.
- *Losses run away.* D's or G's loss, averaged over the last five ticks, is above 1,000 and above ten times its value in
  the first five, with either sign. With wasserstein only D's loss counts: G's is the critic's output, whose zero is
  arbitrary.
- *Copies.* Originality on the validation split is below 90 %; that of new faces is about 99 %.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import torch
from torch import nn

from nijigan.aliases import Images
from nijigan.errors import UserError
from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.neighbours import mean_distance
from nijigan.recipe.recipe import Recipe

_WINDOW = 5  # ticks
_SURE = 0.05
_RUNAWAY = 1000.0
_BOUND_SHARE = 0.9
_LOW_DIVERSITY = 0.5
_YOUNG = 20_000  # images
_ORIGINAL = 0.9


class Health:
    """Reads the log lines of one run, oldest first, and returns warnings; it does no input or output.

    Args:
        recipe: the run's recipe.
        requested: attribute → value, for the faces whose diversity is logged. Empty: those of the sample grid.
    """

    def __init__(self, recipe: Recipe, requested: Mapping[str, str] = {}) -> None:
        self._recipe, self._requested = recipe, " and ".join(f"{name} {value}" for name, value in requested.items())
        self._given: set[str] = set()
        watched = ("d_loss",) if recipe.objective == "wasserstein" else ("d_loss", "g_loss")
        self._losses = {key: _Track() for key in watched}
        self._real, self._fake = _Track(), _Track()
        self._uniform = 0  # sample grids in a row with too little diversity
        self._varied = False  # not yet: a young generator's faces are all grey

    def tick(self, line: Mapping[str, Any]) -> list[str]:
        """Take the next log line.

        Args:
            line: d_loss, g_loss, real_score and fake_score, as `Rounds.averages` gives them; diversity, at_clip and
                originality if they were measured. Values may be None or missing.

        Returns:
            The warnings that this line is the first to cause, each a few sentences.
        """
        for key, track in self._losses.items():
            track.add(line.get(key))
        self._real.add(line.get("real_score"))
        self._fake.add(line.get("fake_score"))
        found = {
            "won": self._won(),
            "collapse": self._collapse(line.get("diversity"), line["images"]),
            "clip": self._clip(line.get("at_clip")),
            "runaway": self._runaway(),
            "copies": self._copies(line.get("originality")),
        }
        new = {key: warning for key, warning in found.items() if warning is not None and key not in self._given}
        self._given |= new.keys()
        return list(new.values())

    def _won(self) -> str | None:
        recipe, loss, real, fake = self._recipe, self._losses["d_loss"].recent, self._real.recent, self._fake.recent
        if loss is None or real is None or fake is None:
            return None
        if recipe.objective in ("bce", "minimax"):
            low, high = _targets(recipe)
            if (high - real) >= _SURE * (high - low) or (fake - low) >= _SURE * (high - low):
                return None
            seen = f"D scores real faces {real:.2f} and generated ones {fake:.2f}"
        else:
            undecided = _undecided_loss(recipe)
            if undecided is None or loss >= _SURE * undecided:
                return None
            seen = f"D's loss is {loss:.2g}; a D that cannot tell generated faces from real ones has {undecided:.2g}"
        return (
            f"{seen}, averaged over {_WINDOW} ticks. D has won, and the generator learns little from it. "
            f"Weaken D: {_weaker_d(recipe)}."
        )

    def _collapse(self, ratio: float | None, images: int) -> str | None:
        if ratio is None:
            return None
        self._varied |= ratio >= _LOW_DIVERSITY or images >= _YOUNG
        if not self._varied:
            return None
        self._uniform = self._uniform + 1 if ratio < _LOW_DIVERSITY else 0
        if self._uniform < 2:
            return None
        faces = f"Generated faces of {self._requested}" if self._requested else "The faces of the sample grid"
        varied = ""
        if self._recipe.attributes:
            varied = f"--condition.diversity {2 * self._recipe.condition.diversity or 1:g}; or "
        weaker = ""
        if self._recipe.condition.kind in ("acgan", "reacgan"):  # their class losses reward the typical face of a class
            weaker = f"a weaker class loss, --condition.weight {self._recipe.condition.strength / 2:g}; or "
        other = "--objective relativistic with " if _can_pair(self._recipe) else ""
        batch = "" if self._recipe.discriminator.minibatch_stddev else "; or --discriminator.minibatch-stddev"
        return (
            f"{faces} differ only {ratio:.0%} as much as real ones: mode collapse, the generator repeats a few faces. "
            f"Try {varied}{weaker}{other}{_penalty(self._recipe)}{batch}."
        )

    def _clip(self, share: float | None) -> str | None:
        if share is None or share <= _BOUND_SHARE:
            return None
        bound = self._recipe.penalty.clip
        return (
            f"{share:.0%} of the critic's weights are at the bound of {bound:g}: clipping fixes nearly everything "
            f"except their signs. Widen the bound, --penalty.clip {10 * bound:g}; or replace clipping, "
            f"{_penalty(self._recipe)}."
        )

    def _runaway(self) -> str | None:
        rates = {"d_loss": ("D", self._recipe.d_optimizer.lr), "g_loss": ("G", self._recipe.g_optimizer.lr)}
        for key, track in self._losses.items():
            network, rate = rates[key]
            now, start = track.recent, track.first
            if now is not None and start is not None and abs(now) > max(_RUNAWAY, 10 * abs(start)):
                return (
                    f"{network}'s loss has run away, from {start:.3g} in the first ticks to {now:.3g}, and will soon "
                    f"overflow: nothing limits D's slope enough. Use {_penalty(self._recipe)}; or a lower "
                    f"learning rate, --{network.lower()}-optimizer.lr {rate / 2:g}."
                )
        return None

    def _copies(self, original: float | None) -> str | None:
        if original is None or original >= _ORIGINAL:
            return None
        more = "" if self._recipe.augment.p == 1 else "augment what D sees, --augment.p 1; or "
        return (
            f"{1 - original:.0%} of the generated faces are nearer to a training face than nearly all unseen real "
            f"faces are: the generator copies. Train on more faces; or {more}keep an earlier checkpoint."
        )


def diversity(fake: Images, real: Images) -> float | None:
    """How much generated faces differ from one another, as a share of how much real ones do.

    The difference of two pictures is the Euclidean distance between their pixels; it is averaged over all pairs. 1: as
    varied as real faces; 0: the same face throughout. This detects a few repeated faces, not one pose in many colours.

    Args:
        fake: generated faces, uint8, N×H×W×3, N ≥ 2.
        real: real faces, uint8, M×H×W×3.

    Returns:
        None if there are not two different real faces to compare with.
    """
    distance = mean_distance(_flat(real)) if len(real) > 1 else 0.0
    return mean_distance(_flat(fake)) / distance if distance > 0 else None


@torch.no_grad()
def share_at_clip(discriminator: nn.Module, bound: float) -> float:
    """The share of a critic's weights that are at ±`bound`, the bound they are clipped to."""
    weights = torch.cat([p.detach().flatten().float() for p in discriminator.parameters()])
    return float((weights.abs() >= bound * (1 - 1e-6)).float().mean())


class _Track:
    """One number per tick: its mean over the first ticks and over the last ones."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_WINDOW)
        self.first: float | None = None

    def add(self, value: float | None) -> None:
        if value is not None:
            self._last.append(value)
            if self.first is None:
                self.first = self.recent

    @property
    def recent(self) -> float | None:
        """The mean over the last ticks; None while there are too few."""
        return sum(self._last) / _WINDOW if len(self._last) == _WINDOW else None


def _targets(recipe: Recipe) -> tuple[float, float]:
    """The mean targets of bce and minimax for D: for fakes, for real images."""
    soft, swapped = recipe.tricks.soft_labels / 2, recipe.tricks.flipped_labels
    low, high = soft, 1 - recipe.label_smoothing - soft
    return low + swapped * (1 - 2 * low), high + swapped * (1 - 2 * high)


def _undecided_loss(recipe: Recipe) -> float | None:
    """The lowest loss of a D that gives every image the same logit."""
    fake, real, _ = recipe.mse_targets
    losses = {"mse": (real - fake) ** 2 / 4, "hinge": 2.0, "relativistic": log(2)}
    return losses.get(recipe.objective)


def _penalty(recipe: Recipe) -> str:
    """Flags that add a penalty on D's slope to this recipe, or strengthen its own."""
    if recipe.penalty.kind not in ("auto", "none", "clip"):
        return f"a stronger penalty, --penalty.weight {5 * recipe.penalty.strength:g}"
    norm = "--discriminator.norm layer " if recipe.discriminator.normalisation == "batch" else ""
    return f"{norm}--penalty.kind {'wgan-gp' if recipe.objective == 'wasserstein' else 'r1'}"


def _can_pair(recipe: Recipe) -> bool:
    """Whether the recipe is not relativistic yet and its other fields allow it to be."""
    try:
        return replace(recipe, objective="relativistic") != recipe
    except UserError:
        return False


def _weaker_d(recipe: Recipe) -> str:
    """Flags that weaken D and that this recipe does not use yet."""
    if recipe.alternate_epochs:
        return "train both networks in every round, --alternate-epochs 0"
    ways = [_penalty(recipe)]
    if recipe.augment.p == 0:
        ways.append("--augment.p 1 if there are few faces")
    if recipe.n_critic > 1:
        ways.append("--n-critic 1")
    ways.append(f"--d-optimizer.lr {recipe.d_optimizer.lr / 2:g}")
    return "; or ".join(ways)


def _flat(images: Images) -> FeatureArray:
    """N×H×W×3 → N×D."""
    return images.reshape(len(images), -1).astype(np.float32)
