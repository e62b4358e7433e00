"""A score with its uncertainty."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """A number and how far it can be trusted."""

    value: float
    low: float | None = None
    """Lower end of the 95 % interval. A Fréchet distance has none that is honest: there it is the least of its disjoint
    subsets. None where there is nothing to say."""
    high: float | None = None
    """Upper end."""
    floor: float | None = None
    """What real faces score in the place of drawn ones, at the same number: no generator can be expected to pass it."""
