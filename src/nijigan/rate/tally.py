"""The result of a rating: yield by hand, and its agreement with the automatic yield."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Images
from nijigan.metrics.intervals import share
from nijigan.metrics.score import Score
from nijigan.rate.ballot import REAL, Ballot
from nijigan.rate.store import VoteStore

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Agreement:
    """The agreement of two raters on the same faces."""

    share: Score
    """The share of faces on which they agree."""
    kappa: float | None
    """Cohen's kappa: 0 is chance, 1 is always (Cohen 1960). None if both gave every face the same rating, so that
    agreement by chance is certain."""


@dataclass(frozen=True)
class Tally:
    """The votes on a ballot so far."""

    rated: int
    """Number of rated faces."""
    total: int
    """Number of faces on the ballot."""
    yields: dict[str, Score]
    """By model: the share of good faces with its 95 % Wilson interval. Models without rated faces are omitted."""
    real: Score | None
    """The same for real faces: the rater's ceiling. None if no real face is rated."""
    agreement: Agreement | None
    """The agreement with the automatic judge on all rated faces; None without a judge or without votes."""

    def rows(self) -> list[tuple[str, str]]:
        """Each source and its share of good faces as text, models before real faces."""
        scores = self.yields | ({REAL: self.real} if self.real else {})
        return [(name, _describe(score)) for name, score in scores.items()]

    def __str__(self) -> str:
        """A table for the terminal."""
        width = max(map(len, [*self.yields, REAL]))
        lines = [f"{self.rated} of {self.total} faces rated. Share rated as good:"]
        lines += [f"  {name:{width}}  {words}" for name, words in self.rows()]
        if self.agreement:
            agreed = _describe(self.agreement.share)
            kappa = "undefined" if self.agreement.kappa is None else f"{self.agreement.kappa:.2f}"
            lines.append(f"The automatic yield agrees with you on {agreed} of the faces; Cohen's kappa {kappa}")
        return "\n".join(lines)


def tally(ballot: Ballot, store: VoteStore, judge: Callable[[Images], npt.NDArray[np.bool_]] | None = None) -> Tally:
    """Count the votes on a ballot.

    Args:
        ballot: the faces to rate.
        store: the votes.
        judge: the automatic judge, N×H×W×3 → bool of length N. It sees only the rated faces.
    """
    votes = store.votes()
    rated = [index for index, face in enumerate(ballot.faces) if face in votes]
    good = np.array([votes[ballot.faces[index]] for index in rated], np.bool_)
    sources = np.array([ballot.sources[index] for index in rated])
    shares = {name: _share(good[sources == name]) for name in sorted(set(sources.tolist()))}
    real = shares.pop(REAL, None)
    agreement = agree(good, judge(ballot.images[rated])) if judge and rated else None
    return Tally(len(rated), len(ballot.faces), shares, real, agreement)


def agree(first: Bools, second: Bools) -> Agreement:
    """Compare the ratings of the same N ≥ 1 faces by two raters."""
    observed = float((first == second).mean())
    chance = float(first.mean() * second.mean() + (~first).mean() * (~second).mean())
    return Agreement(_share(first == second), (observed - chance) / (1 - chance) if chance < 1 else None)


def _share(ratings: npt.NDArray[Any]) -> Score:
    return share(int(ratings.sum()), len(ratings))


def _describe(score: Score) -> str:
    return f"{score.value:.1%} ({score.low:.1%} to {score.high:.1%})"
