"""The Fréchet distance against closed forms, scipy's matrix root and torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from torchmetrics.image.fid import FrechetInceptionDistance

from nijigan.errors import UserError
from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.frechet import Moments, frechet_distance, frechet_score, merge, moments

DIMS = 12


def correlated(rng: np.random.Generator, n: int) -> FeatureArray:
    return (rng.standard_normal((n, DIMS)) @ rng.standard_normal((DIMS, DIMS)) + 1).astype(np.float32)


def same(a: Moments, b: Moments) -> bool:
    return a.n == b.n and np.allclose(a.mean, b.mean) and np.allclose(a.cov, b.cov)


@given(st.integers(2, 40), st.integers(1, 50))
def test_moments_are_numpys_for_every_block_size(n: int, block: int) -> None:
    # Values far from zero, where one-pass sums of squares lose their digits.
    features = np.random.default_rng(n).standard_normal((n, 3)).astype(np.float32) + 1000
    wide = features.astype(np.float64)
    assert same(moments(features, block), Moments(n, wide.mean(0), np.cov(wide.T)))


def test_moments_merge(rng: np.random.Generator) -> None:
    features = correlated(rng, 50)
    assert same(merge(moments(features[:30]), moments(features[30:])), moments(features))


def test_is_zero_against_itself(rng: np.random.Generator) -> None:
    full, singular = moments(correlated(rng, 100)), moments(correlated(rng, 5))
    assert frechet_distance(full, full) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(singular, singular) == pytest.approx(0, abs=1e-10)


@given(st.floats(-5, 5), st.floats(0.1, 3))
def test_shifted_and_scaled_gaussians_have_a_closed_form(shift: float, scale: float) -> None:
    variances = np.linspace(0.5, 2, DIMS)
    a = Moments(10, np.zeros(DIMS), np.diag(variances))
    b = Moments(10, np.full(DIMS, shift), np.diag(variances * scale**2))
    expected = DIMS * shift**2 + (1 - scale) ** 2 * variances.sum()
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-9)


def test_agrees_with_scipys_matrix_root(rng: np.random.Generator) -> None:
    a, b = moments(correlated(rng, 100)), moments(correlated(rng, 80))
    root = np.trace(sqrtm(a.cov @ b.cov)).real
    expected = np.sum((a.mean - b.mean) ** 2) + np.trace(a.cov) + np.trace(b.cov) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_singular_covariances_are_no_special_case(rng: np.random.Generator) -> None:
    # For points on a plane in 12 dimensions, the distance equals that in the plane.
    plane, _ = np.linalg.qr(rng.standard_normal((DIMS, 2)))
    a, b = (rng.standard_normal((50, 2)) @ rng.standard_normal((2, 2)) for _ in range(2))
    flat = frechet_distance(*(Moments(50, x.mean(0), np.cov(x.T)) for x in (a, b)))
    embedded = frechet_distance(*(Moments(50, plane @ x.mean(0), plane @ np.cov(x.T) @ plane.T) for x in (a, b)))
    assert embedded == pytest.approx(flat, rel=1e-9)


def test_a_single_point_is_a_distribution() -> None:
    point = moments(np.ones((3, DIMS), np.float32))
    cloud = Moments(10, np.zeros(DIMS), np.eye(DIMS))
    assert frechet_distance(point, cloud) == pytest.approx(2 * DIMS)


@pytest.mark.filterwarnings("ignore:Metric `Frechet:UserWarning")
def test_agrees_with_torchmetrics(rng: np.random.Generator) -> None:
    x, y = correlated(rng, 60), correlated(rng, 40)
    feature = torch.nn.Identity()
    feature.num_features = DIMS  # type: ignore[assignment]
    metric = FrechetInceptionDistance(feature=feature)
    metric.set_dtype(torch.float64)
    metric.update(torch.from_numpy(x), real=True)
    metric.update(torch.from_numpy(y), real=False)
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(float(metric.compute()), rel=1e-4)


def test_score_is_of_disjoint_subsets(rng: np.random.Generator) -> None:
    features, real = correlated(rng, 70), moments(correlated(rng, 100))
    each = [frechet_distance(real, moments(features[rows])) for rows in (slice(0, 30), slice(30, 60))]
    score = frechet_score(features, real, 30)
    assert (score.value, score.low, score.high) == pytest.approx((np.mean(each), min(each), max(each)))


def test_score_of_one_subset_has_no_spread(rng: np.random.Generator) -> None:
    features, real = correlated(rng, 50), moments(correlated(rng, 100))
    score = frechet_score(features, real, 50)
    assert score.value == pytest.approx(frechet_distance(real, moments(features)))
    assert score.low is score.high is None


def test_refuses_nonsense(rng: np.random.Generator) -> None:
    features = correlated(rng, 50)
    with pytest.raises(UserError, match="at least 2"):
        moments(features[:1])
    with pytest.raises(UserError, match="at least 51"):
        frechet_score(features, moments(features), 51)
    with pytest.raises(UserError, match="finite"):
        moments(np.where(features > 2, np.inf, features))
