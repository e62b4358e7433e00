"""Types that many rooms speak."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
"""uint8 RGB, N×H×W×3; of one picture H×W×3."""
Codes = npt.NDArray[np.int64]
"""N×A: for each of N faces the index of its value in each of A vocabularies; -1 is unknown."""
Progress = Callable[[int, int], None]
"""Called with (done, total)."""
