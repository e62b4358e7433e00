import json
import subprocess
import sys
from math import cos, pi, sin, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nijigan.errors import UserError
from nijigan.generator.latents import interpolate, latents, philox, slerp, truncate

# The Philox vectors are Random123's own. The latents were computed by an implementation in JavaScript that was
# written from the specification only.
PRIORS = ["normal", "truncated-normal", "uniform", "sphere"]
VECTORS = json.loads((Path(__file__).parent / "latents_vectors.json").read_text())


def words(hexadecimal):
    return tuple(np.array([int(word, 16)], np.uint64) for word in hexadecimal)


@pytest.mark.parametrize("vector", VECTORS["philox4x32-10"], ids=lambda vector: vector["words"][0])
def test_philox_gives_the_published_words(vector):
    found = philox(words(vector["counter"]), words(vector["key"]))
    assert [f"{int(word[0]):08x}" for word in found] == vector["words"]


@pytest.mark.parametrize("vector", VECTORS["latents"], ids=lambda vector: f"{vector['prior']}-{vector['seed']}")
def test_latents_are_those_of_another_implementation(vector):
    expected = np.array(vector["latent"], np.float32)
    found = latents([int(vector["seed"])], len(expected), vector["prior"])[0]
    np.testing.assert_array_max_ulp(found, expected, maxulp=1)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5), st.integers(1, 40), st.sampled_from(PRIORS))
@settings(deadline=None)  # a busy machine is no failure
def test_a_row_depends_only_on_its_seed(seeds, size, prior):
    together = latents(seeds, size, prior)
    assert together.shape == (len(seeds), size)
    assert together.dtype == np.float32
    for seed, row in zip(seeds, together, strict=True):
        np.testing.assert_array_equal(row, latents([seed], size, prior)[0])
        if prior != "sphere":
            np.testing.assert_array_equal(row, latents([seed], size + 3, prior)[0, :size])


@given(st.integers(0, 2**63 - 1), st.integers(1, 200))
@settings(deadline=None)  # a busy machine is no failure
def test_truncated_latents_are_normal_ones_without_the_far_numbers(seed, size):
    normal = latents([seed], 2 * size + 50)[0]
    np.testing.assert_array_equal(latents([seed], size, "truncated-normal")[0], normal[abs(normal) <= 2][:size])


def test_a_few_far_numbers_in_a_row_do_not_run_out():
    """Among this many seeds, some have 4 or more of their first 6 numbers outside [-2, 2]."""
    z = latents(range(30_000), 2, "truncated-normal")
    far = (abs(latents(range(30_000), 6)) > 2).sum(axis=1)
    assert far.max() >= 4
    assert abs(z).max() <= 2


def test_latents_on_the_sphere_point_where_normal_ones_do():
    normal, sphere = latents(range(50), 17).astype(np.float64), latents(range(50), 17, "sphere").astype(np.float64)
    lengths = np.linalg.norm(normal, axis=1, keepdims=True)
    np.testing.assert_allclose(sphere, normal / lengths * sqrt(17), rtol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), sqrt(17), rtol=1e-7)


def test_every_way_to_give_seeds_is_the_same():
    expected = latents([3, 4, 5], 6)
    np.testing.assert_array_equal(latents(range(3, 6), 6), expected)
    np.testing.assert_array_equal(latents(np.array([3, 4, 5]), 6), expected)


def test_latents_are_standard_normal():
    z = latents(range(2000), 100).astype(np.float64)
    n = z.size
    # Four standard errors each: 1/n, 2/n and 96/n are the variances of these estimates for a normal sample.
    assert abs(z.mean()) < 4 * sqrt(1 / n)
    assert abs(z.var() - 1) < 4 * sqrt(2 / n)
    assert abs((z**4).mean() - 3) < 4 * sqrt(96 / n)


@pytest.mark.parametrize(
    ("prior", "distribution"),
    [
        ("normal", stats.norm()),
        ("truncated-normal", stats.truncnorm(-2, 2)),
        ("uniform", stats.uniform(-1, 2)),
    ],
)
def test_numbers_follow_their_distribution(prior, distribution):
    z = latents(range(2000), 100, prior).astype(np.float64)
    assert stats.kstest(z.ravel(), distribution.cdf).pvalue > 1e-3


def test_latents_lie_all_over_the_sphere():
    z = latents(range(20_000), 10, "sphere").astype(np.float64)
    share = z**2 / 10  # of the squared length: Beta(1/2, (size - 1)/2)
    for place in range(10):
        assert stats.kstest(share[:, place], stats.beta(0.5, 4.5).cdf).pvalue > 1e-4
    assert abs(np.mean(z > 0) - 0.5) < 4 * 0.5 / sqrt(z.size)


@pytest.mark.parametrize("prior", PRIORS)
def test_neighbouring_seeds_and_places_are_unrelated(prior):
    z = latents(range(4000), 16, prior)
    z /= z.std()
    between_seeds = (z[:-1] * z[1:]).mean()
    between_places = np.corrcoef(z, rowvar=False) - np.eye(16)
    assert abs(between_seeds) < 4 / sqrt(z.size)
    assert np.abs(between_places).max() < 4.5 / sqrt(len(z))


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(UserError, match="out of range"):
        latents([0, seed], 4)


def test_truncation_scales_towards_the_mean():
    z = latents(range(3), 8)
    np.testing.assert_array_equal(truncate(z, 1.0), z)
    np.testing.assert_array_equal(truncate(z, 0.0), np.zeros_like(z))
    np.testing.assert_array_equal(truncate(z, 0.5), z / 2)
    assert truncate(z, 0.7).dtype == np.float32


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("psi", [-0.1, 2.1, float("nan"), float("inf")])
def test_truncation_out_of_range_is_refused(prior, psi):
    with pytest.raises(UserError, match="choose 0"):
        truncate(latents([0], 4, prior), psi, prior)


def test_only_normal_priors_can_be_truncated():
    z = latents([0], 4)
    np.testing.assert_array_equal(truncate(z, 0.5, "truncated-normal"), z / 2)
    for prior in ("uniform", "sphere"):
        np.testing.assert_array_equal(truncate(z, 1.0, prior), z)
        with pytest.raises(UserError, match=rf"psi is 0\.5.*{prior}.*leave psi at 1"):
            truncate(z, 0.5, prior)


def test_slerp_of_a_right_angle_is_a_quarter_circle():
    x, y = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    t = np.linspace(0, 1, 7)
    expected = [[cos(s * pi / 2), sin(s * pi / 2)] for s in t]
    np.testing.assert_allclose(slerp(x, y, t), expected, atol=1e-7)


@given(st.integers(0, 2**63 - 1), st.floats(0, 1), st.integers(16, 64))
@settings(deadline=None)  # a busy machine is no failure
def test_slerp_keeps_the_norm_and_turns_evenly(seed, t, size):
    a, b = latents([seed, (seed + 1) % 2**63], size).astype(np.float64)
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    between = slerp(a.astype(np.float32), b.astype(np.float32), t).astype(np.float64)
    assert np.linalg.norm(between) == pytest.approx(1, abs=1e-5)
    # arctan2 gives the angle accurately where arccos does not.
    turned, whole = (2 * np.arctan2(np.linalg.norm(v - a), np.linalg.norm(v + a)) for v in (between, b))
    assert turned == pytest.approx(t * whole, abs=1e-5)


def test_slerp_begins_and_ends_at_its_ends():
    a, b = latents([1, 2], 100)
    np.testing.assert_array_equal(slerp(a, b, 0.0), a)
    np.testing.assert_array_equal(slerp(a, b, 1.0), b)


@pytest.mark.parametrize("factor", [1.0, 2.0, 1 + 1e-7, -1.0, 0.0])
def test_slerp_without_an_arc_is_straight(factor):
    a = latents([5], 10)[0]
    b = (factor * a).astype(np.float32)
    np.testing.assert_allclose(slerp(a, b, 0.25), 0.75 * a + 0.25 * b, atol=1e-6)


def test_slerp_takes_many_latents_at_once():
    a, b = latents([1, 2, 3], 8), latents([4, 5, 6], 8)
    t = np.array([0.0, 0.3, 1.0])
    expected = np.stack([slerp(a[i], b[i], float(t[i])) for i in range(3)])
    np.testing.assert_array_equal(slerp(a, b, t), expected)


@pytest.mark.parametrize("prior", PRIORS)
def test_interpolation_stays_within_its_prior(prior):
    a, b = latents(range(40), 32, prior), latents(range(40, 80), 32, prior)
    t = np.linspace(0, 1, 9)
    between = interpolate(a[:, None], b[:, None], t, prior).astype(np.float64)  # latents×t×size
    np.testing.assert_array_equal(between[:, 0], a)
    np.testing.assert_array_equal(between[:, -1], b)
    lengths = np.linalg.norm(between, axis=-1)
    if prior == "uniform":
        np.testing.assert_allclose(between, (1 - t[:, None]) * a[:, None] + t[:, None] * b[:, None], atol=1e-6)
        assert abs(between).max() <= 1
    else:
        low, high = lengths[:, [0, -1]].min(axis=1), lengths[:, [0, -1]].max(axis=1)
        assert (lengths.min(axis=1) > 0.97 * low).all()
        assert (lengths.max(axis=1) < 1.03 * high).all()
    if prior == "sphere":
        np.testing.assert_allclose(lengths, sqrt(32), rtol=1e-6)


def test_latents_need_no_torch():
    code = "import sys, nijigan.generator.latents; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
