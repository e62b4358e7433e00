"""Feature arrays: their check before a score, and their division into blocks."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nijigan.errors import UserError

FeatureArray = npt.NDArray[np.float32]
"""One row per face: N×D."""


def check_features(*sets: FeatureArray, at_least: int) -> None:
    """Raise an error for arrays that would give a meaningless score.

    Args:
        *sets: The feature arrays of one score.
        at_least: Minimum number of rows of each.

    Raises:
        UserError: An array is not two-dimensional, has too few rows, differs from the first in its dimensions, or
            contains values that are not finite.
    """
    for features in sets:
        if features.ndim != 2 or features.shape[1:] != sets[0].shape[1:]:
            shapes = " and ".join(str(array.shape) for array in sets)
            raise UserError(f"Features of shape {shapes} cannot be compared; give N×D arrays of one feature space.")
        if len(features) < at_least:
            raise UserError(f"This score needs at least {at_least} faces; there are {len(features)}.")
        if not all(np.isfinite(features[rows]).all() for rows in blocks(len(features), 4096)):
            raise UserError("Some features are not finite numbers; check the pictures and the weights.")


def blocks(n: int, size: int) -> Iterator[slice]:
    """The slices that divide `n` rows into blocks of `size`; the last one may be shorter."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
