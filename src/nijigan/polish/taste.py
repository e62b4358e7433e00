"""The judge of polishing: a linear function of what `Sight` sees whose logistic function is the chance to be kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from torch import Tensor

from nijigan.aliases import Images, Progress
from nijigan.assets import ASSETS
from nijigan.errors import UserError
from nijigan.metrics.logistic import fit_logistic
from nijigan.polish.sight import VIEWS, Sight, statistics

WEIGHTS = ASSETS / "taste.safetensors"
"""The fit to the ratings in `results`, by `benchmarks/taste.py`: `weight` and `offset`, both fp32."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Taste:
    """The chance that people keep a face, as a function of its statistics."""

    weight: Tensor
    """3200, fp32."""
    offset: float

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Self:
        """Read a fit, by default that of the package.

        Raises:
            UserError: the file is damaged.
        """
        try:
            tensors = safetensors.torch.load(path.read_bytes())
            return cls(tensors["weight"], float(tensors["offset"]))
        except Exception as error:  # of safetensors, or a missing name
            raise UserError(f"{path} is damaged; install nijigan again.") from error

    def odds(self, statistics: Tensor) -> Tensor:
        """N×3200 statistics → N log-odds of being kept."""
        return statistics @ self.weight.to(statistics.device) + self.offset

    def adapted(self, sight: Sight, images: Images, kept: Doubles, progress: Progress | None = None) -> "Taste":
        """This judge, moved towards somebody's verdicts.

        What is added to the log-odds is fitted to the verdicts, with a penalty of 1/N, so that few of them change
        little: the maximum a posteriori where this judge is the prior. The mean over the faces stays, so that somebody
        strict teaches which faces are better, and not that none is good enough.

        Args:
            sight: what describes the faces.
            images: uint8, N×H×W×3, N ≥ 1.
            kept: N in [0, 1], the share of raters who would keep each face.
            progress: called with (looks taken, looks to take).
        """
        seen = statistics(sight, images, *VIEWS, progress=progress)
        before = self.odds(torch.from_numpy(seen)).numpy()
        change = fit_logistic(seen, np.tile(kept, len(VIEWS)), penalty=1 / len(kept), start=before)
        shift = float(change.logits(seen).mean()) - change.offset
        return Taste(self.weight + torch.from_numpy(change.weight).float(), self.offset - shift)
