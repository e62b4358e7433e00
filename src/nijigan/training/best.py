"""The search for the best checkpoint: lowest KID on the validation split, and when to give up."""

from dataclasses import dataclass


@dataclass
class BestSearch:
    """What the evaluations of a run have found so far; it travels in the checkpoint.

    The best is the lowest KID, by whatever margin. Patience asks for more: of evaluations that differ by chance alone
    one is now and then the lowest, and a run that has stopped learning would go on for it. So an evaluation is progress
    only if its whole 95 % interval lies below the KID that was progress last. That mark stays until then, so that small
    steps add up.

    Of two evaluations of equal generators the second passes for progress in 1 - Φ(1.96 / √2) = 8 % of cases if their
    errors are normal and independent, and one of five in 25 %; counting every lower KID, that would be 83 %. Sharing
    their validation faces and latents makes it fewer.
    """

    kid: float | None = None
    """The lowest yet."""
    images: int = 0
    """Where it was found."""
    mark: float | None = None
    """KID of the last evaluation that was progress."""
    stale: int = 0
    """Evaluations since that one."""
    stopped: bool = False
    """Whether the run was ended early."""

    def record(self, kid: float, images: int, high: float | None = None) -> bool:
        """Take in an evaluation; say whether it is the best yet.

        Args:
            kid: its KID.
            images: where the run is.
            high: the upper end of the KID's 95 % interval; None counts any lower KID as progress.
        """
        if self.mark is None or (kid if high is None else high) < self.mark:
            self.mark, self.stale = kid, 0
        else:
            self.stale += 1
        best = self.kid is None or kid < self.kid
        if best:
            self.kid, self.images = kid, images
        return best
