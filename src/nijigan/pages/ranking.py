"""Compared models and their ranks: a model is ahead of another only where their intervals separate them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from nijigan.aliases import Images
from nijigan.judges.results import Metrics
from nijigan.metrics.score import Score
from nijigan.pages.charts import Line

Rank = tuple[int, int]
"""The first and the last rank that a model may hold, counted from 1."""


@dataclass(frozen=True)
class ComparedModel:
    """One model of a comparison."""

    name: str
    metrics: Metrics | None
    """None if its training failed."""
    samples: Images | None
    """uint8 RGB, N×H×W×3, from the seeds 0, 1, ..., which are the same for every model; None if its training failed."""
    seconds: float | None
    """The duration of its training; None if unknown."""
    curve: Sequence[Line]
    """The log of its run; empty if there is none."""
    error: str | None
    """Why its training failed, in a sentence; None if it did not fail."""

    @property
    def scores(self) -> Mapping[str, Score]:
        """By name; empty if its training failed."""
        return {} if self.metrics is None else self.metrics.scores


def ranks(scores: Sequence[Score], lower_is_better: bool) -> list[Rank]:
    """The ranks that each score may hold.

    One score is certainly before another only if their intervals do not overlap. A score without an interval is
    certainly before or behind none.
    """
    sign = 1 if lower_is_better else -1
    intervals = [sorted(sign * end for end in _interval(score)) for score in scores]
    return [
        (1 + sum(other_high < low for _, other_high in intervals), sum(other_low <= high for other_low, _ in intervals))
        for low, high in intervals
    ]


def may_be_best(name: str, better: int, models: Sequence[ComparedModel]) -> list[bool]:
    """Which models may be the best by a score; none of them where the score does not separate the models.

    Args:
        name: the name of the score.
        better: as in `Meaning`; by a score with 0 no model is the best.
        models: the models.
    """
    # The range of FD is no interval, so it separates nothing.
    if not better or name == "fd" or any(name not in model.scores for model in models):
        return [False] * len(models)
    first = [rank[0] == 1 for rank in ranks([model.scores[name] for model in models], better < 0)]
    return [may and not all(first) for may in first]


def show_rank(rank: Rank) -> str:
    """A rank as printed: 2, or 2–3."""
    return str(rank[0]) if rank[0] == rank[1] else f"{rank[0]}–{rank[1]}"


def _interval(score: Score) -> tuple[float, float]:
    if score.low is None or score.high is None:
        return -inf, inf
    return min(score.low, score.value), max(score.high, score.value)
