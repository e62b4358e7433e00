"""Logistic regression with a quadratic penalty, for more features than rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from nijigan.metrics.arrays import FeatureArray

Doubles = npt.NDArray[np.float64]

_LEAST_SPREAD = 1e-3  # added to a feature's deviation, so that constant features are not divided by 0


@dataclass(frozen=True)
class LogisticFit:
    """A linear function of features whose logistic function is the chance of 1."""

    weight: Doubles
    """D."""
    offset: float

    def logits(self, features: FeatureArray) -> Doubles:
        """N×D → N."""
        return np.asarray(features.astype(np.float64) @ self.weight + self.offset)


def fit_logistic(
    features: FeatureArray,
    target: FeatureArray,
    row_weight: FeatureArray | None = None,
    penalty: float = 1e-5,
    start: FeatureArray | None = None,
) -> LogisticFit:
    """Fit the chance of 1 to features.

    Features are centred, and divided by their deviation and by √D. The minimum of the mean cross-entropy plus `penalty`
    times the squared length of the weights is found with 200 steps of L-BFGS, without randomness.

    Args:
        features: N×D.
        target: N in [0, 1]; a value between is a row that is 1 with this chance.
        row_weight: N, what each row counts. Default: 1 each.
        penalty: of the weights on divided features.
        start: N log-odds that another fit gives the rows. What is fitted is what has to be added to them. Default: 0.
    """
    mean, spread = features.mean(0), (features.std(0) + _LEAST_SPREAD) * features.shape[1] ** 0.5
    share = np.ones(len(features)) if row_weight is None else row_weight
    before = np.zeros(len(features)) if start is None else start
    arrays = ((features - mean) / spread, target, share / share.sum(), before)
    with torch.inference_mode(False), torch.enable_grad():
        rows, goal, counts, known = (torch.from_numpy(np.asarray(array, np.float32)) for array in arrays)
        weight = torch.zeros(rows.shape[1], requires_grad=True)
        offset = torch.zeros(1, requires_grad=True)
        search = torch.optim.LBFGS([weight, offset], max_iter=200, history_size=20, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            search.zero_grad()
            value = F.binary_cross_entropy_with_logits(rows @ weight + offset + known, goal, counts, reduction="sum")
            value = value + penalty * weight.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        search.step(loss)  # type: ignore[no-untyped-call]
    scaled = weight.detach().numpy().astype(np.float64) / spread
    return LogisticFit(scaled, offset.item() - float(mean.astype(np.float64) @ scaled))
