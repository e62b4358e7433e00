"""The type of every score: a number with its uncertainty. The scores themselves are the modules next to this one."""

from dataclasses import dataclass

from pydantic import FiniteFloat


@dataclass(frozen=True)
class Score:
    """A number and its uncertainty."""

    value: FiniteFloat
    low: FiniteFloat | None = None
    """Lower end of the 95 % interval. A Fréchet distance has no valid interval; its low and high are the minimum and
    maximum over disjoint subsets. None if unknown."""
    high: FiniteFloat | None = None
    """Upper end of the interval."""
    floor: FiniteFloat | None = None
    """The score of as many real faces in place of the generated ones. No generator can be expected to do better."""
