"""Type aliases that many packages use."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
"""uint8 RGB, N×H×W×3, or H×W×3 for one image."""
Codes = npt.NDArray[np.int64]
"""N×A: for each of N faces and A attributes, the index of the value in the attribute's vocabulary; -1 is unknown."""
Progress = Callable[[int, int], None]
"""Callback that is called with (done, total)."""
