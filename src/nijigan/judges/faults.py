"""What is most wrong with a generator's faces: broken, blurred, narrow or off-colour.

Each fault is a share of what real faces reach, so that the four compare: how much is missing from their yield and from
their coverage, and how many faces are less sharp, or of other colours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nijigan.judges.looks import COLOURS, SHARPNESS
from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.score import Score

Rows = npt.NDArray[np.int64]

_SHOWN = 12  # faces that show a fault
_BLURRIEST = 0.05  # a face is blurred if it is less sharp than all but this share of real faces
SLIGHT = 0.05
"""A share below this is no fault worth naming."""
_HOPELESS = 0.8
_SHIFTED = 0.25  # deviations by which the median differs if most faces differ in the same direction


@dataclass(frozen=True)
class Fault:
    """One fault, and the faces that show it."""

    name: str
    """broken, blurred, narrow or off-colour."""
    share: float
    """How much of it there is, 0 to 1."""
    sentence: str
    """What the share says."""
    rows: Rows
    """The faces that show it, the worst first: rows of the generated faces; of the split's real faces if narrow."""


def find_faults(
    scores: Mapping[str, Score], keep: FeatureArray, generated: FeatureArray, real: FeatureArray, gaps: FeatureArray
) -> list[Fault]:
    """The four faults, the worst first.

    Args:
        scores: yield and coverage, with what real faces score as their floor.
        keep: the chance that a person keeps each generated face, N.
        generated: looks of the generated faces, N×6; see `nijigan.judges.looks`.
        real: looks of real faces, M×6.
        gaps: distance from each real face of the split to its nearest generated face, over its radius.
    """
    found = [
        _broken(scores["yield"], keep),
        _blurred(generated[:, SHARPNESS], real[:, SHARPNESS]),
        _narrow(scores["coverage"], gaps),
        _off_colour(generated, real),
    ]
    # Where hardly a face is whole, the other three say little.
    return sorted(found, key=lambda fault: (fault.name != "broken" or fault.share < _HOPELESS, -fault.share))


def worst_fault(faults: list[Fault]) -> str:
    """What is worst, in a sentence."""
    worst = faults[0]
    if worst.share < SLIGHT:
        return "None of the four faults stands out: the faces are not broken, blurred, narrow or off-colour."
    return f"The worst fault: {worst.name}. {worst.sentence}"


def _broken(score: Score, keep: FeatureArray) -> Fault:
    """What is missing from the yield of real faces."""
    sentence = f"People would throw away {100 * (1 - score.value):.0f} % of the faces"
    sentence += "." if score.floor is None else f", and {100 * (1 - score.floor):.0f} % of real ones."
    return Fault("broken", _shortfall(score), sentence, np.argsort(keep, kind="stable")[:_SHOWN])


def _blurred(generated: FeatureArray, real: FeatureArray) -> Fault:
    """How many more faces are blurred than the 5 % of real faces."""
    blurred = float((generated < np.quantile(real, _BLURRIEST)).mean())
    share = max(0.0, (blurred - _BLURRIEST) / (1 - _BLURRIEST))
    sentence = f"{100 * blurred:.0f} % of the faces are less sharp than 95 % of real faces are."
    return Fault("blurred", share, sentence, np.argsort(generated, kind="stable")[:_SHOWN])


def _narrow(score: Score, gaps: FeatureArray) -> Fault:
    """What is missing from the coverage of real faces."""
    share = _shortfall(score)
    sentence = f"{100 * share:.0f} % of the kinds of real faces are not generated."
    return Fault("narrow", share, sentence, np.argsort(-gaps, kind="stable")[:_SHOWN])


def _off_colour(generated: FeatureArray, real: FeatureArray) -> Fault:
    """How many faces would have to change in the colour that differs most.

    For each colour it is the Kolmogorov-Smirnov distance, the greatest difference between the shares of generated and
    of real faces below a value, less what equal distributions of as many faces reach in one of twenty cases.
    """
    chance = 1.36 * np.sqrt(1 / len(generated) + 1 / len(real))
    most, column = max((_greatest_gap(generated[:, number], real[:, number]), number) for number in COLOURS)
    share = max(0.0, most - float(chance))
    name, low, high = COLOURS[column]
    values, middle = generated[:, column], float(np.median(real[:, column]))
    shift = (float(np.median(values)) - middle) / max(float(real[:, column].std()), 1e-6)
    if abs(shift) < _SHIFTED:  # the spread differs, not the middle
        order = np.argsort(-np.abs(values - middle), kind="stable")
        wide = float(values.std()) > float(real[:, column].std())
        how = f"{name} varies {'more' if wide else 'less'} than in real faces, for about {100 * share:.0f} % of them"
        return Fault("off-colour", share, f"Their {how}.", order[:_SHOWN])
    order = np.argsort(-values if shift > 0 else values, kind="stable")
    word = high if shift > 0 else low
    sentence = f"About {100 * share:.0f} % of the faces are too {word} for real ones; these are the extreme ones."
    return Fault("off-colour", share, sentence, order[:_SHOWN])


def _greatest_gap(generated: FeatureArray, real: FeatureArray) -> float:
    """The Kolmogorov-Smirnov distance of two samples."""
    values = np.concatenate([generated, real])
    return float(np.abs(_below(generated, values) - _below(real, values)).max())


def _below(sample: FeatureArray, values: FeatureArray) -> npt.NDArray[np.float64]:
    """The share of a sample that is not above each value."""
    return np.searchsorted(np.sort(sample), values, side="right") / len(sample)


def _shortfall(score: Score) -> float:
    """How much of what real faces score is missing, 0 to 1."""
    ceiling = 1.0 if score.floor is None else score.floor
    return min(1.0, max(0.0, 1 - score.value / ceiling)) if ceiling > 0 else 0.0
