"""The result of a rating: yield by eye, and its agreement with repeats, other raters and the judge of yield."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Images
from nijigan.metrics.intervals import share, wilson
from nijigan.metrics.score import Score
from nijigan.rate.ballot import REAL, Ballot, BallotKey
from nijigan.rate.store import VoteStore

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Agreement:
    """How far two sets of ratings of the same faces agree."""

    share: Score
    """The share of faces on which they agree."""
    kappa: Score | None
    """Cohen's kappa with its 95 % interval: 0 is chance, 1 is always (Cohen 1960); see `agree`. None if
    both gave every face the same rating, so that agreement by chance is certain."""

    def __str__(self) -> str:
        """Both numbers with their intervals."""
        kappa = self.kappa
        words = "undefined" if kappa is None else f"{kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f})"
        return f"{_describe(self.share)}, Cohen's kappa {words}"


@dataclass(frozen=True)
class Tally:
    """The votes on a ballot so far."""

    rated: int
    """Number of rated faces, repeats included."""
    total: int
    """Number of faces on the ballot, repeats included."""
    yields: dict[str, Score]
    """By model: the share of good faces with its 95 % Wilson interval, of first showings. Models without rated
    faces are omitted."""
    real: Score | None
    """The same for real faces: the rater's ceiling. None if no real face is rated."""
    themself: Agreement | None
    """The rater's agreement with themself on repeated faces; None without such faces."""
    others: dict[str, Agreement]
    """The agreement with each other rater on the faces that both rated."""
    judge: Agreement | None
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
        if self.themself:
            lines.append(f"Repeated faces on which you agree with yourself: {self.themself}")
        lines += [f"Faces on which {name or 'a rater without a name'} agrees: {a}" for name, a in self.others.items()]
        if self.judge:
            lines.append(f"Faces on which the judge of yield agrees with you: {self.judge}")
        return "\n".join(lines)


def tally(ballot: BallotKey, store: VoteStore) -> Tally:
    """Count the votes of the store's rater on a ballot."""
    votes = store.votes()
    rated = [
        (showing, source) for showing, source in zip(ballot.showings, ballot.sources, strict=True) if showing in votes
    ]
    first = [(votes[showing], source) for showing, source in rated if not showing[1]]
    good, sources = np.array([vote for vote, _ in first], np.bool_), np.array([source for _, source in first])
    shares = {
        name: share(int(good[sources == name].sum()), int((sources == name).sum())) for name in sorted(set(sources))
    }
    real = shares.pop(REAL, None)
    mine = {showing: votes[showing] for showing, _ in rated}
    themself = _on_common({face: vote for (face, repeat), vote in mine.items() if not repeat},
                          {face: vote for (face, repeat), vote in mine.items() if repeat})  # fmt: skip
    others = {name: found for name, theirs in store.other_raters().items() if (found := _on_common(mine, theirs))}
    return Tally(len(rated), len(ballot.faces), shares, real, themself, others, None)


def with_judge(count: Tally, ballot: Ballot, store: VoteStore, judge: Callable[[Images], Bools]) -> Tally:
    """Add the agreement with an automatic judge, N×H×W×3 → bool of length N. It sees only the rated faces, once."""
    votes = store.votes()
    rated = [index for index, showing in enumerate(ballot.showings) if showing in votes and not showing[1]]
    if not rated:
        return count
    good = np.array([votes[ballot.showings[index]] for index in rated], np.bool_)
    return replace(count, judge=agree(good, judge(ballot.images[rated])))


def agree(first: Bools, second: Bools) -> Agreement:
    """Compare two ratings of the same N ≥ 1 faces.

    The interval of kappa is Wilson's interval of the observed agreement (Wilson 1927), carried through the definition
    of kappa with the agreement by chance held at its estimate, as in the standard error of Cohen 1960. In contrast to
    ±1.96 standard errors and to the bootstrap, it has a width when the ratings agree on every face or on none, and it
    covers the true value in about 95 % of cases with few faces too. If few faces have one of the two ratings, it is
    wider than necessary.
    """
    n, same = len(first), int((first == second).sum())
    rates = float(first.mean()), float(second.mean())
    chance = rates[0] * rates[1] + (1 - rates[0]) * (1 - rates[1])
    observed = share(same, n)
    if chance > 1 - 1e-12:
        return Agreement(observed, None)
    value, low, high = ((p - chance) / (1 - chance) for p in (same / n, *wilson(same, n)))
    return Agreement(observed, Score(value, max(-1.0, low), min(1.0, high)))


def _on_common(first: Mapping[Any, bool], second: Mapping[Any, bool]) -> Agreement | None:
    """The agreement on what both have rated; None if there is nothing."""
    common = [key for key in first if key in second]
    if not common:
        return None
    return agree(np.array([first[key] for key in common]), np.array([second[key] for key in common]))


def _describe(score: Score) -> str:
    return f"{score.value:.1%} ({score.low:.1%} to {score.high:.1%})"
