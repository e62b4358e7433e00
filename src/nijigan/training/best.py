"""The search for the best checkpoint: lowest KID on the validation split, and when to give up."""

from dataclasses import dataclass


@dataclass
class BestSearch:
    """What the evaluations of a run have found so far; it is saved in the checkpoint.

    The best generator has the lowest KID, by any margin. Early stop needs more than that: among evaluations that differ
    only by chance, one is now and then the lowest, and a run that has stopped learning would continue because of it. An
    evaluation therefore counts as progress only if its whole 95 % interval lies below the KID of the last progress.
    That mark stays until then, so that small steps add up.

    If two generators are equal and their errors normal and independent, the second evaluation counts as progress in
    1 - Φ(1.96 / √2) = 8 % of cases, and one of five in 25 %. If every lower KID counted, it would be 83 %. Evaluations
    share their validation faces and latents, which makes it rarer.
    """

    kid: float | None = None
    """The lowest KID so far."""
    images: int = 0
    """Images seen when it was found."""
    mark: float | None = None
    """KID of the last evaluation that was progress."""
    stale: int = 0
    """Evaluations since then."""
    stopped: bool = False
    """Whether the run was ended early."""

    def record(self, kid: float, images: int, high: float | None = None) -> bool:
        """Record an evaluation; return whether it is the best so far.

        Args:
            kid: its KID.
            images: images seen by the run.
            high: upper end of the KID's 95 % interval. None: any lower KID counts as progress.
        """
        if self.mark is None or (kid if high is None else high) < self.mark:
            self.mark, self.stale = kid, 0
        else:
            self.stale += 1
        best = self.kid is None or kid < self.kid
        if best:
            self.kid, self.images = kid, images
        return best
