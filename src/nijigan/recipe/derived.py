"""Settings that follow from the resolution, the number of faces and their labels, for recipes that leave them open.

A recipe lists such fields in `Recipe.derived`, and has in them what the rules give for `REFERENCE`. A field with
another value was set, and stays. On the command line and in a sweep, setting a listed field, or a field of a listed
part, also takes it off the list. `Recipe.resolved` fills in the rest when a training begins: the recipe of a run has
only numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from nijigan.recipe.parts import ConditionConfig


@dataclass(frozen=True)
class Facts:
    """What settings are derived from."""

    resolution: int
    """Height and width of the faces in pixels."""
    faces: int
    """Number of training faces."""
    labelled: bool
    """Whether they have attributes to condition on, and the recipe uses them."""


REFERENCE = Facts(resolution=64, faces=10_000, labelled=True)
"""The facts that the named recipes are written for."""


def _width(at_64: int, step: int) -> Callable[[Facts], int]:
    """Channels that halve with every fourfold resolution, so that a face's cost grows like its side, not its area."""
    return lambda facts: max(8, step * round(at_64 * sqrt(64 / facts.resolution) / step))


def _length(facts: Facts) -> float:
    """Kimg: a hundred passes, at least 300 and at most 2,000 thousand images."""
    return float(round(min(2000.0, max(300.0, facts.faces / 10))))


_PASSES = 25
"""Passes over the faces after which augmentation has its full probability. It costs quality while D has seen each face
only a few times."""

RULES: Mapping[str, Callable[[Facts], Any]] = {
    "generator.width": _width(20, 4),
    "discriminator.width": _width(64, 8),
    # Gradients with respect to pixels shrink as their number grows: Karras et al. 2020 scale γ with the area.
    "penalty.weight": lambda facts: round(2 * (facts.resolution / 64) ** 2, 2),
    "condition": lambda facts: ConditionConfig("reacgan", weight=0.1) if facts.labelled else ConditionConfig(),
    # Colours that are changed at random teach the class loss wrong labels of colours.
    "augment.colour": lambda facts: not facts.labelled,
    "augment.ramp_kimg": lambda facts: max(1.0, round(_PASSES * facts.faces / 1000, 1)),
    "kimg": _length,
}
"""Field or part of a recipe → its rule."""
