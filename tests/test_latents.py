import json
import subprocess
import sys
from math import cos, erf, pi, sin, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nijigan.errors import UserError
from nijigan.latents import latents, philox, slerp, truncate

# Shared with the page's JavaScript. The Philox vectors are Random123's own; the latents were computed by an
# implementation in JavaScript, from the specification alone.
VECTORS = json.loads((Path(__file__).parent / "latents_vectors.json").read_text())


def words(hexadecimal):
    return tuple(np.array([int(word, 16)], np.uint64) for word in hexadecimal)


@pytest.mark.parametrize("vector", VECTORS["philox4x32-10"], ids=lambda vector: vector["words"][0])
def test_philox_gives_the_published_words(vector):
    found = philox(words(vector["counter"]), words(vector["key"]))
    assert [f"{int(word[0]):08x}" for word in found] == vector["words"]


@pytest.mark.parametrize("vector", VECTORS["latents"], ids=lambda vector: vector["seed"])
def test_latents_are_those_of_another_implementation(vector):
    expected = np.array(vector["latent"], np.float32)
    np.testing.assert_array_max_ulp(latents([int(vector["seed"])], len(expected))[0], expected, maxulp=1)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5), st.integers(1, 40))
@settings(deadline=None)  # a busy machine is no failure
def test_a_row_depends_on_its_seed_alone(seeds, size):
    together = latents(seeds, size)
    assert together.shape == (len(seeds), size)
    assert together.dtype == np.float32
    for seed, row in zip(seeds, together, strict=True):
        np.testing.assert_array_equal(row, latents([seed], size + 3)[0, :size])


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
    # Kolmogorov and Smirnov: beyond 1.95 once in a thousand samples.
    cumulative = np.array([0.5 * (1 + erf(x / sqrt(2))) for x in np.sort(z.ravel())])
    distance = np.abs(cumulative - (np.arange(n) + 0.5) / n).max() + 0.5 / n
    assert distance * sqrt(n) < 1.95


def test_neighbouring_seeds_and_places_are_unrelated():
    z = latents(range(4000), 16)
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


@pytest.mark.parametrize("psi", [-0.1, 2.1, float("nan"), float("inf")])
def test_truncation_out_of_range_is_refused(psi):
    with pytest.raises(UserError, match="psi"):
        truncate(latents([0], 4), psi)


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
    # The angle by arctan2, which stays accurate where arccos is not.
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


def test_latents_need_no_torch():
    code = "import sys, nijigan.latents; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
