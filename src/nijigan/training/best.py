"""The search for the best checkpoint: lowest KID on the validation split, and when to give up."""

from dataclasses import dataclass


@dataclass
class BestSearch:
    """What the evaluations of a run have found so far; it travels in the checkpoint."""

    kid: float | None = None
    """The lowest yet."""
    images: int = 0
    """Where it was found."""
    stale: int = 0
    """Evaluations since."""
    stopped: bool = False
    """Whether the run was ended early."""

    def record(self, kid: float, images: int) -> bool:
        """Take in an evaluation; say whether it is the best yet."""
        if self.kid is None or kid < self.kid:
            self.kid, self.images, self.stale = kid, images, 0
            return True
        self.stale += 1
        return False
