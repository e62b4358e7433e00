"""The search for the best checkpoint: highest yield on unseen latents, and when to give up."""

from dataclasses import dataclass

COLLAPSED = 0.5
"""A generator whose coverage is below this share of the highest so far draws too few kinds of faces to be the best."""


@dataclass
class BestSearch:
    """What the evaluations of a run have found so far; it is saved in the checkpoint.

    The best generator has the highest yield, by any margin, unless it has collapsed. Early stop needs more than that:
    among evaluations that differ only by chance, one is now and then the highest, and a run that has stopped learning
    would continue because of it. An evaluation therefore counts as progress only if its whole 95 % interval lies above
    the yield of the last progress. That mark stays until then, so that small steps add up.

    If two generators are equal and their errors normal and independent, the second evaluation counts as progress in
    1 - Φ(1.96 / √2) = 8 % of cases, and one of five in 25 %. If every higher yield counted, it would be 83 %.
    Evaluations share their latents, which makes it rarer.
    """

    score: float | None = None
    """The highest yield so far."""
    images: int = 0
    """Images seen when it was found."""
    mark: float | None = None
    """Yield of the last evaluation that was progress."""
    coverage: float = 0.0
    """The highest coverage so far."""
    stale: int = 0
    """Evaluations since the last progress."""
    stopped: bool = False
    """Whether the run was ended early."""

    def record(self, score: float, images: int, low: float | None = None, coverage: float | None = None) -> bool:
        """Record an evaluation; return whether it is the best so far.

        Args:
            score: its yield.
            images: images seen by the run.
            low: lower end of the yield's 95 % interval. None: any higher yield counts as progress.
            coverage: its coverage; None if unknown.
        """
        collapsed = coverage is not None and coverage < COLLAPSED * self.coverage
        self.coverage = max(self.coverage, coverage or 0.0)
        if not collapsed and (self.mark is None or (score if low is None else low) > self.mark):
            self.mark, self.stale = score, 0
        else:
            self.stale += 1
        best = not collapsed and (self.score is None or score > self.score)
        if best:
            self.score, self.images = score, images
        return best
