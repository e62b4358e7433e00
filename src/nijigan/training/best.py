"""The search for the best checkpoint: highest yield, and when to give up."""

from dataclasses import dataclass

from nijigan.judges.quality import LEAST_YIELD

COLLAPSED = 0.25
"""A generator repeats a few faces if its coverage is below this share of the highest so far, or `LEAST_COVERAGE`."""
LEAST_COVERAGE = 0.02


@dataclass(frozen=True)
class Judged:
    """One evaluation."""

    score: float
    """Yield."""
    kid: float = 0.0
    coverage: float = 1.0
    low: float | None = None
    """Lower end of the yield's 95 % interval. None: any higher yield counts as progress."""
    kid_high: float | None = None
    """Upper end of the KID's 95 % interval. None: any lower KID counts as progress."""


@dataclass
class BestSearch:
    """What the evaluations of a run have found so far; it is saved in the checkpoint.

    The best generator has the highest yield, by any margin; of those below `LEAST_YIELD`, it has the lowest KID. One
    that has collapsed is the best only if all have.

    Early stop needs more than that: among evaluations that differ only by chance, one is now and then the best, and a
    run that has stopped learning would continue because of it. An evaluation counts as progress only if the whole 95 %
    interval of its yield lies above the yield of the last progress, or that of its KID below the KID of the last
    progress in KID. These marks stay until then, so that small steps add up.

    If two generators are equal and their errors normal and independent, the second evaluation passes for progress in
    one of the scores in 1 - Φ(1.96 / √2) = 8 % of cases, and one of five in 25 %. If every better score counted, it
    would be 83 %. Evaluations share their latents, which makes it rarer.
    """

    score: float | None = None
    """Yield of the best so far."""
    kid: float = 0.0
    """Its KID."""
    collapsed: bool = False
    """Whether it has collapsed."""
    images: int = 0
    """Images seen when it was found."""
    mark: float | None = None
    """Yield of the last evaluation that was progress in yield."""
    kid_mark: float | None = None
    """KID of the last evaluation that was progress in KID."""
    coverage: float = 0.0
    """The highest coverage so far."""
    stale: int = 0
    """Evaluations since the last progress."""
    stopped: bool = False
    """Whether the run was ended early."""

    def record(self, judged: Judged, images: int) -> bool:
        """Record an evaluation after so many images; return whether it is the best so far."""
        self.coverage = max(self.coverage, judged.coverage)
        collapsed = judged.coverage < max(LEAST_COVERAGE, COLLAPSED * self.coverage)
        progress = not collapsed and self._is_progress(judged)
        self.stale = 0 if progress else self.stale + 1
        rank = (not collapsed, max(judged.score, LEAST_YIELD), -judged.kid)
        best = self.score is None or rank > (not self.collapsed, max(self.score, LEAST_YIELD), -self.kid)
        if best:
            self.score, self.kid, self.collapsed, self.images = judged.score, judged.kid, collapsed, images
        return best

    def _is_progress(self, judged: Judged) -> bool:
        """Whether yield or KID is better by more than chance; then it is the new mark."""
        low = judged.score if judged.low is None else judged.low
        high = judged.kid if judged.kid_high is None else judged.kid_high
        better_yield = self.mark is None or low > max(self.mark, LEAST_YIELD)
        better_kid = self.kid_mark is None or high < self.kid_mark
        if better_yield:
            self.mark = judged.score
        if better_kid:
            self.kid_mark = judged.kid
        return better_yield or better_kid
