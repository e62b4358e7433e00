"""The label, the format and a one-sentence explanation of each score."""

from collections.abc import Iterable
from dataclasses import dataclass

from nijigan.metrics.score import Score


@dataclass(frozen=True)
class Meaning:
    """How a page shows a score."""

    label: str
    sentence: str
    better: int = 0
    """-1: lower is better; 1: higher is better; 0: the closer to the score of real faces, the better."""
    scale: float = 1
    """The printed number is the score times this."""
    share: bool = False
    """Whether the score is a share of faces, printed as a percentage."""

    def show(self, value: float | None) -> str:
        """The value as printed, to about three digits; a dash for None."""
        if value is None:
            return "–"
        if self.share:
            text = f"{100 * value:.1f} %"
        else:
            shown = self.scale * value
            text = f"{shown:,.{0 if abs(shown) >= 100 else 1 if abs(shown) >= 10 else 2}f}"
        return text.replace("-", "−")

    def show_interval(self, score: Score) -> str:
        """The ends of the score's interval as printed, without a unit; empty if there is no interval."""
        if score.low is None or score.high is None:
            return ""
        return f"{self.show(score.low)} to {self.show(score.high)}".replace(" %", "")


FIRST = ("yield", "recall", "coverage", "kid")
"""The scores at the top of a page: how good the faces are, how varied, and how similar to real ones."""

MEANINGS = {
    "yield": Meaning(
        "Yield",
        "The share of faces that people would keep, as predicted from ratings of two vision models. Models are ranked "
        "by yield. The interval covers the choice of faces; the judge itself errs by 6 points on average.",
        better=1,
        share=True,
    ),
    "recall": Meaning("Recall", "The share of real faces that resemble a generated face.", better=1, share=True),
    "coverage": Meaning(
        "Coverage",
        "The share of real faces with a generated face nearby. It falls when the generator omits kinds of faces.",
        better=1,
        share=True,
    ),
    "kid": Meaning(
        "KID × 1000",
        "The distance between the distributions of generated and real faces; 0 means no difference.",
        better=-1,
        scale=1000,
    ),
    "precision": Meaning("Precision", "The share of generated faces that resemble a real face.", better=1, share=True),
    "density": Meaning(
        "Density",
        "How deep the generated faces lie among real ones: like precision, but less sensitive to outliers.",
        better=1,
    ),
    "distinguishability-lite0": Meaning(
        "Distinguishability",
        "How often a linear classifier tells unseen generated faces from real ones: 50 % is perfect, 100 % is always. "
        "It sees faces through a network that learnt from photographs.",
        better=-1,
        share=True,
    ),
    "distinguishability-anime": Meaning(
        "Distinguishability, anime",
        "The same through a network that learnt from anime faces.",
        better=-1,
        share=True,
    ),
    "diversity": Meaning(
        "Diversity",
        "How much the generated faces differ from each other: 1 is as varied as real faces, 0 is always the same face.",
    ),
    "originality": Meaning(
        "Originality",
        "The share of generated faces that are farther from every training face than the closest 1 % of unseen real "
        "faces. About 99 % is as new as real faces; clearly less means copying.",
        share=True,
    ),
    "fd": Meaning(
        "FD",
        "Another distance between generated and real faces. It depends on the number of faces: compare it only with "
        "the value for real faces. The range covers disjoint subsets of the faces; it is not an interval.",
        better=-1,
    ),
    "yield-manifold": Meaning(
        "Yield of version 0.1",
        "The share of faces in which a face detector finds a face, and which lie within the range of real faces. "
        "People do not agree with it; it is shown for comparison only.",
        share=True,
    ),
}
"""By the names of `Metrics.scores`, in display order; `meanings_of` adds the accuracy of attributes."""

_ACCURACY = "accuracy-"


def meanings_of(scores: Iterable[str]) -> dict[str, Meaning]:
    """The meanings of scores by name, in display order, with conditional accuracies last."""
    names = list(scores)
    attributes = [name.removeprefix(_ACCURACY) for name in names if name.startswith(_ACCURACY)]
    return {name: meaning for name, meaning in MEANINGS.items() if name in names} | {
        f"{_ACCURACY}{attribute}": Meaning(
            f"Accuracy: {attribute}",
            f"Conditional accuracy: the share of faces in which an attribute reader recognises the requested "
            f"{attribute}, every value weighted equally. The reader also errs on real faces, so compare it with their "
            "score.",
            better=1,
            share=True,
        )
        for attribute in attributes
    }
