"""Warnings in words, each once a run, when a run is failing: what is seen, what it means, which option to change.

    health = Health(recipe)
    for line in kept:  # when going on: says nothing, remembers what was said
        health.tick(line)
    line["diversity"] = diversity(drawn, real)  # where a sample grid is due
    line["at_clip"] = share_at_clip(discriminator, recipe.clip)  # where weights are clipped
    for warning in health.tick(line):
        log.warning(warning)

All that a warning rests on stands in the run's log lines, so nothing has to be kept beside them. The rules:

- *D has won.* Over the last five ticks D answers, on average, within a twentieth of what it is taught for both kinds of
  images (bce and minimax: 0.95 and more for real, 0.05 and less for drawn images; with softened or swapped labels, the
  same share of the way between them); or its loss is under a twentieth of what a D that cannot tell them apart would
  have (mse, hinge, relativistic). Not of wasserstein, whose critic is meant to be trained until it is sure.
- *Mode collapse.* Two sample grids in a row whose faces differ by less than half as much as real ones do, once they
  have differed by more, or after 20 kimg: young generators draw one grey. With attributes the faces are those of one
  combination of values: a generator that ignores its latents still draws as many faces as it knows combinations.
- *Clipping too tight.* More than nine in ten of the critic's weights sit at the bound.
- *Losses run away.* D's or G's loss, over the last five ticks, averages above 1,000 and ten times what it was in the
  first five, whichever its sign. Of wasserstein D's alone: G's is the critic's bare answer, whose zero is arbitrary.
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
_ALIKE = 0.5
_YOUNG = 20_000  # images


class Health:
    """Reads the log lines of one run, oldest first, and warns; pure logic, without input or output.

    Args:
        recipe: of the run.
        asked: attribute → value: what the faces were asked for whose diversity is in the lines; of the grid without.
    """

    def __init__(self, recipe: Recipe, asked: Mapping[str, str] = {}) -> None:
        self._recipe, self._asked = recipe, " and ".join(f"{name} {value}" for name, value in asked.items())
        self._given: set[str] = set()
        watched = ("d_loss",) if recipe.objective == "wasserstein" else ("d_loss", "g_loss")
        self._losses = {key: _Track() for key in watched}
        self._real, self._fake = _Track(), _Track()
        self._alike = 0  # sample grids in a row
        self._varied = False  # young generators draw one grey

    def tick(self, line: Mapping[str, Any]) -> list[str]:
        """Take in the next log line; what did not happen in it may be None or missing.

        Args:
            line: d_loss, g_loss, real_score and fake_score, as `Rounds.averages` gives them; diversity and at_clip
                where they were measured.

        Returns:
            Warnings that this line gives rise to and no earlier one did, each a few sentences.
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
            seen = f"D gives real faces {real:.2f} and drawn ones {fake:.2f}"
        else:
            undecided = _undecided_loss(recipe)
            if undecided is None or loss >= _SURE * undecided:
                return None
            seen = f"D's loss is {loss:.2g}, where one that cannot tell drawn faces from real ones has {undecided:.2g}"
        return (
            f"{seen}, over {_WINDOW} ticks: D has won, and the generator learns little from it. "
            f"Hold D back: {_holding_back(recipe)}."
        )

    def _collapse(self, ratio: float | None, images: int) -> str | None:
        if ratio is None:
            return None
        self._varied |= ratio >= _ALIKE or images >= _YOUNG
        if not self._varied:
            return None
        self._alike = self._alike + 1 if ratio < _ALIKE else 0
        if self._alike < 2:
            return None
        faces = f"Drawn faces of {self._asked}" if self._asked else "The faces of the sample grid"
        varied = ""
        if self._recipe.attributes:
            varied = f"--condition.diversity {2 * self._recipe.condition.diversity or 1:g}; or "
        weaker = ""
        if self._recipe.condition.kind in ("acgan", "reacgan"):  # which reward faces for being typical of their class
            weaker = f"a weaker class loss, --condition.weight {self._recipe.condition.strength / 2:g}; or "
        other = "--objective relativistic with " if _can_pair(self._recipe) else ""
        batch = "" if self._recipe.discriminator.minibatch_stddev else "; or --discriminator.minibatch-stddev"
        return (
            f"{faces} differ only {ratio:.0%} as much as real ones do: mode collapse, a few faces drawn over and over. "
            f"Try {varied}{weaker}{other}{_penalty(self._recipe)}{batch}."
        )

    def _clip(self, share: float | None) -> str | None:
        if share is None or share <= _BOUND_SHARE:
            return None
        bound = self._recipe.penalty.clip
        return (
            f"{share:.0%} of the critic's weights sit at the bound of {bound:g}: clipping leaves it little to learn "
            f"but their signs. Widen the bound, --penalty.clip {10 * bound:g}; or replace clipping, "
            f"{_penalty(self._recipe)}."
        )

    def _runaway(self) -> str | None:
        rates = {"d_loss": ("D", self._recipe.d_optimizer.lr), "g_loss": ("G", self._recipe.g_optimizer.lr)}
        for key, track in self._losses.items():
            player, rate = rates[key]
            now, start = track.recent, track.first
            if now is not None and start is not None and abs(now) > max(_RUNAWAY, 10 * abs(start)):
                return (
                    f"{player}'s loss has run away, from {start:.3g} in the first ticks to {now:.3g}, and will not "
                    f"stay a number for long: too little holds D's slope. Use {_penalty(self._recipe)}; or a lower "
                    f"learning rate, --{player.lower()}-optimizer.lr {rate / 2:g}."
                )
        return None


def diversity(drawn: Images, real: Images) -> float | None:
    """How much drawn faces differ from one another, as a share of how much real ones do.

    A difference is the Euclidean distance between the pixels of two pictures, averaged over all pairs. 1 is as varied
    as real faces, 0 the same face throughout. It sees few faces drawn over and over, not one pose in many colours.

    Args:
        drawn: uint8, N×H×W×3, N ≥ 2.
        real: uint8, M×H×W×3.

    Returns:
        None where there are not two different real faces to compare with.
    """
    distance = mean_distance(_flat(real)) if len(real) > 1 else 0.0
    return mean_distance(_flat(drawn)) / distance if distance > 0 else None


@torch.no_grad()
def share_at_clip(discriminator: nn.Module, bound: float) -> float:
    """The share of a critic's weights that sit at ±`bound`, to which they are clipped."""
    weights = torch.cat([p.detach().flatten().float() for p in discriminator.parameters()])
    return float((weights.abs() >= bound * (1 - 1e-6)).float().mean())


class _Track:
    """A number of each tick: what it averages over the first and over the last ticks."""

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
        """The mean of the last ticks, or None while there are too few."""
        return sum(self._last) / _WINDOW if len(self._last) == _WINDOW else None


def _targets(recipe: Recipe) -> tuple[float, float]:
    """The mean answers that bce and minimax teach D for drawn and for real images."""
    soft, swapped = recipe.tricks.soft_labels / 2, recipe.tricks.flipped_labels
    low, high = soft, 1 - recipe.label_smoothing - soft
    return low + swapped * (1 - 2 * low), high + swapped * (1 - 2 * high)


def _undecided_loss(recipe: Recipe) -> float | None:
    """The least that D's loss can be while it answers the same to every image."""
    drawn, real, _ = recipe.mse_targets
    losses = {"mse": (real - drawn) ** 2 / 4, "hinge": 2.0, "relativistic": log(2)}
    return losses.get(recipe.objective)


def _penalty(recipe: Recipe) -> str:
    """The flags of a penalty on D's slope that this recipe can have, or of a stronger one."""
    if recipe.penalty.kind not in ("auto", "none", "clip"):
        return f"a stronger penalty, --penalty.weight {5 * recipe.penalty.strength:g}"
    norm = "--discriminator.norm layer " if recipe.discriminator.normalisation == "batch" else ""
    return f"{norm}--penalty.kind {'wgan-gp' if recipe.objective == 'wasserstein' else 'r1'}"


def _can_pair(recipe: Recipe) -> bool:
    """Whether the relativistic game is another one than the recipe's, and its other fields allow it."""
    try:
        return replace(recipe, objective="relativistic") != recipe
    except UserError:
        return False


def _holding_back(recipe: Recipe) -> str:
    """Flags that make D's part harder and that this recipe does not use yet."""
    if recipe.alternate_epochs:
        return "both networks in every round, --alternate-epochs 0"
    ways = [_penalty(recipe)]
    if recipe.augment.p == 0:
        ways.append("--augment.p 1 if the faces are few")
    if recipe.n_critic > 1:
        ways.append("--n-critic 1")
    ways.append(f"--d-optimizer.lr {recipe.d_optimizer.lr / 2:g}")
    return "; or ".join(ways)


def _flat(images: Images) -> FeatureArray:
    """N×H×W×3 → N×D."""
    return images.reshape(len(images), -1).astype(np.float32)
