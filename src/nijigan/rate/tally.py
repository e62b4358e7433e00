"""What the votes say: yield by a person, and how far the automatic yield agrees with them."""

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
    """How often two raters of the same faces say the same."""

    share: Score
    kappa: float | None
    """Cohen's: 0 is chance, 1 always (Cohen 1960); None if both said the same of every face, as chance then would."""


@dataclass(frozen=True)
class Tally:
    """The count so far."""

    rated: int
    total: int
    yields: dict[str, Score]
    """By model: the share of good faces with its 95 % Wilson interval. Models none of whose faces is rated are left
    out."""
    real: Score | None
    """The same of real faces: the rater's ceiling; None while none is rated."""
    agreement: Agreement | None
    """With the automatic judge, over all rated faces; None without one, or without votes."""

    def rows(self) -> list[tuple[str, str]]:
        """What was rated and the share of it that is good, models before real faces, in words."""
        scores = self.yields | ({REAL: self.real} if self.real else {})
        return [(name, _describe(score)) for name, score in scores.items()]

    def __str__(self) -> str:
        """Some lines for people."""
        width = max(map(len, [*self.yields, REAL]))
        lines = [f"{self.rated} of {self.total} faces rated; good, by your eyes, are"]
        lines += [f"  {name:{width}}  {words}" for name, words in self.rows()]
        if self.agreement:
            kappa = "undefined" if self.agreement.kappa is None else f"{self.agreement.kappa:.2f}"
            lines.append(
                f"The automatic yield agrees with you on {_describe(self.agreement.share)}; Cohen's kappa {kappa}"
            )
        return "\n".join(lines)


def tally(ballot: Ballot, store: VoteStore, judge: Callable[[Images], npt.NDArray[np.bool_]] | None = None) -> Tally:
    """Count the votes on a ballot.

    Args:
        ballot: what was asked.
        store: what was answered.
        judge: N×H×W×3 → bool of length N, the automatic verdict; shown the rated faces alone.
    """
    votes = store.votes()
    rated = [index for index, face in enumerate(ballot.faces) if face in votes]
    good = np.array([votes[ballot.faces[index]] for index in rated], np.bool_)
    sources = np.array([ballot.sources[index] for index in rated])
    shares = {name: _share(good[sources == name]) for name in sorted(set(sources.tolist()))}
    real = shares.pop(REAL, None)
    agreement = agree(good, judge(ballot.images[rated])) if judge and rated else None
    return Tally(len(rated), len(ballot.faces), shares, real, agreement)


def agree(one: Bools, other: Bools) -> Agreement:
    """Compare two raters' verdicts on the same faces, bool of length N ≥ 1."""
    observed = float((one == other).mean())
    chance = float(one.mean() * other.mean() + (~one).mean() * (~other).mean())
    return Agreement(_share(one == other), (observed - chance) / (1 - chance) if chance < 1 else None)


def _share(verdicts: npt.NDArray[Any]) -> Score:
    return share(int(verdicts.sum()), len(verdicts))


def _describe(score: Score) -> str:
    return f"{score.value:.1%} ({score.low:.1%} to {score.high:.1%})"
