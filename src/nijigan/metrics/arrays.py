"""What every score asks of its feature arrays, and how they are walked through."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nijigan.errors import UserError

FeatureArray = npt.NDArray[np.float32]
"""One row per face: N×D."""


def check_features(*sets: FeatureArray, at_least: int) -> None:
    """Refuse arrays that a score would turn into nonsense.

    Args:
        *sets: The feature arrays of one score.
        at_least: How many rows each must have.

    Raises:
        UserError: One is not two-dimensional, has too few rows, other dimensions than the first, or values that are
            not finite.
    """
    for features in sets:
        if features.ndim != 2 or features.shape[1:] != sets[0].shape[1:]:
            shapes = " and ".join(str(one.shape) for one in sets)
            raise UserError(f"Features of shape {shapes} cannot be compared; give N×D arrays of one feature space.")
        if len(features) < at_least:
            raise UserError(f"{len(features)} faces are too few for this score; give at least {at_least}.")
        if not all(np.isfinite(features[rows]).all() for rows in blocks(len(features), 4096)):
            raise UserError("Some features are not finite numbers; look for broken pictures or weights.")


def blocks(n: int, size: int) -> Iterator[slice]:
    """The slices that cut `n` rows into blocks of `size`, the last one shorter."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
