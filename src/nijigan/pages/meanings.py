"""What each score is called, how it is printed, and what it says in a plain sentence."""

from collections.abc import Iterable
from dataclasses import dataclass

from nijigan.metrics.score import Score


@dataclass(frozen=True)
class Meaning:
    """How to show one score to a person."""

    label: str
    sentence: str
    better: int = 0
    """-1: lower is better; 1: higher is better; 0: the nearer to that of real faces the better."""
    scale: float = 1
    """Shown times this."""
    share: bool = False
    """It is a share of faces, shown as a percentage."""

    def show(self, value: float | None) -> str:
        """The value as people read it, to about three digits."""
        if value is None:
            return "–"
        if self.share:
            text = f"{100 * value:.1f} %"
        else:
            shown = self.scale * value
            text = f"{shown:,.{0 if abs(shown) >= 100 else 1 if abs(shown) >= 10 else 2}f}"
        return text.replace("-", "−")

    def show_interval(self, score: Score) -> str:
        """The ends of the score's interval, without the unit; nothing where it has none."""
        if score.low is None or score.high is None:
            return ""
        return f"{self.show(score.low)} to {self.show(score.high)}".replace(" %", "")


MEANINGS = {
    "kid": Meaning(
        "KID × 1000",
        "How far the drawn faces as a whole are from real ones; 0 is no difference. This one decides.",
        better=-1,
        scale=1000,
    ),
    "fd": Meaning(
        "FD",
        "Another distance from real faces. It depends on how many faces were used: compare it with that of real "
        "faces only. Its range is over disjoint parts of the faces, not an interval.",
        better=-1,
    ),
    "precision": Meaning("Precision", "The share of drawn faces that look like some real face.", better=1, share=True),
    "recall": Meaning("Recall", "The share of real faces that look like some drawn face.", better=1, share=True),
    "density": Meaning(
        "Density",
        "How deep the drawn faces lie among real ones: like precision, but outliers count for less.",
        better=1,
    ),
    "coverage": Meaning(
        "Coverage",
        "The share of real faces with a drawn face close by: it falls when kinds of faces are never drawn.",
        better=1,
        share=True,
    ),
    "diversity": Meaning(
        "Diversity",
        "How different the drawn faces are from each other: 1 is as varied as real ones, 0 one face always.",
    ),
    "yield": Meaning(
        "Yield",
        "The share of good faces: a face finder sees a face, and it lies within the range of real ones.",
        better=1,
        share=True,
    ),
    "originality": Meaning(
        "Originality",
        "The share of drawn faces that are farther from every training face than the closest 1 % of unseen real faces "
        "are: about 99 % is as new as real faces, clearly less means copying.",
        share=True,
    ),
}
"""By the names of `Metrics.scores`, in the order in which they are shown; `meanings_of` knows attributes as well."""

_ACCURACY = "accuracy-"


def meanings_of(scores: Iterable[str]) -> dict[str, Meaning]:
    """The meanings of scores by their names, in the order in which they are shown: attributes last."""
    names = list(scores)
    attributes = [name.removeprefix(_ACCURACY) for name in names if name.startswith(_ACCURACY)]
    return {name: meaning for name, meaning in MEANINGS.items() if name in names} | {
        f"{_ACCURACY}{attribute}": Meaning(
            f"Obeys: {attribute}",
            f"The share of faces that show the {attribute} they were asked for, in the eyes of a network that reads "
            "faces; every value counts alike. Real faces are read as they are labelled only so often.",
            better=1,
            share=True,
        )
        for attribute in attributes
    }
