"""Conditional accuracy as a section of a page: every value with its scores and faces, and the confusion matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nijigan.aliases import Images
from nijigan.judges.results import ClassScores, Metrics
from nijigan.metrics.score import Score
from nijigan.pages.layout import Picture, seeded
from nijigan.pages.meanings import MEANINGS, Meaning, meanings_of


@dataclass(frozen=True)
class ConfusionCell:
    """A cell of the confusion matrix."""

    shade: int
    """The share of the row in tenths, rounded: the larger, the darker."""
    percent: str
    """The share of the row in per cent, rounded; empty for 0 faces."""


@dataclass(frozen=True)
class ValueRow:
    """One value of an attribute."""

    value: str
    scores: ClassScores
    pictures: Sequence[Picture]
    """Generated faces for which the value was requested."""
    confusion: Sequence[ConfusionCell]
    """What they were recognised as, one cell for each of `AttributeTable.recognised`."""


@dataclass(frozen=True)
class AttributeTable:
    """One attribute of a generator, as `templates/conditional_accuracy.html` shows it."""

    name: str
    balanced: Score
    """The balanced accuracy."""
    chance: float
    recognised: Sequence[str]
    """The columns of the confusion matrix."""
    rows: Sequence[ValueRow]
    share: Meaning
    """How accuracies are printed."""
    kid: Meaning = MEANINGS["kid"]
    diversity: Meaning = MEANINGS["diversity"]


def attribute_tables(metrics: Metrics, requested: Mapping[str, Images]) -> list[AttributeTable]:
    """A table for each attribute; none for an unconditional generator.

    Args:
        metrics: the evaluation.
        requested: by attribute uint8 K×n×H×W×3: n faces for each of its K values, with seeds from `Protocol.seed` on.
    """
    return [_table(name, metrics, requested[name]) for name in metrics.conditional_accuracy]


def _table(name: str, metrics: Metrics, requested: Images) -> AttributeTable:
    found, key = metrics.conditional_accuracy[name], f"accuracy-{name}"
    return AttributeTable(
        name=name,
        balanced=metrics.scores[key],
        chance=found.chance,
        recognised=found.read,
        rows=[
            ValueRow(value, scores, seeded(faces, metrics.protocol.seed), _cells(counts))
            for (value, scores), faces, counts in zip(found.classes.items(), requested, found.confusion, strict=True)
        ],
        share=meanings_of([key])[key],
    )


def _cells(counts: Sequence[int]) -> list[ConfusionCell]:
    total = sum(counts)
    return [ConfusionCell(round(10 * n / total), str(round(100 * n / total)) if n else "") for n in counts]
