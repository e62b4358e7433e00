"""Type aliases that many packages use."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
"""uint8 RGB, N×H×W×3, or H×W×3 for one image."""
Codes = npt.NDArray[np.int64]
"""N×A: for each of N faces and A attributes, the index of the value in the attribute's vocabulary; -1 is unknown."""
Progress = Callable[[int, int], None]
"""Callback that is called with (done, total)."""


@runtime_checkable
class NamedProgress(Protocol):
    """A `Progress` that also shows what is in progress."""

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""

    def name(self, title: str) -> None:
        """Show that the pass `title` begins; nothing of it is done yet."""
