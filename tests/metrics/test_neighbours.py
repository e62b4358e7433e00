"""Nearest-neighbour scores against brute force in numpy, and on cases with a known result."""

import numpy as np
import pytest
import torch

from nijigan.errors import UserError
from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.neighbours import diversity, manifold_scores, mean_distance, nearest, originality, radii, realism

DIMS = 6
BLOCKS = pytest.mark.parametrize("block", [1, 7, 16, 2048])


def cloud(rng: np.random.Generator, n: int, centre: float = 0) -> FeatureArray:
    return rng.standard_normal((n, DIMS), dtype=np.float32) + np.float32(centre)


def modes(rng: np.random.Generator, n: int, kept: int) -> FeatureArray:
    """Faces of the first `kept` of eight kinds."""
    centres = 10 * np.eye(8, DIMS + 2, dtype=np.float32)
    return centres[rng.integers(kept, size=n)] + rng.standard_normal((n, DIMS + 2), dtype=np.float32)


def all_distances(a: FeatureArray, b: FeatureArray) -> np.ndarray:
    return np.linalg.norm(a[:, None].astype(np.float64) - b, axis=2)


@BLOCKS
def test_nearest_equals_brute_force(rng: np.random.Generator, block: int) -> None:
    queries, references = cloud(rng, 30), cloud(rng, 41)
    expected = all_distances(queries, references)
    distances, indices = nearest(queries, references, k=3, block=block)
    np.testing.assert_array_equal(indices, expected.argsort(axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :3], rtol=1e-6)


@BLOCKS
def test_radii_equal_brute_force(rng: np.random.Generator, block: int) -> None:
    features = cloud(rng, 37)
    expected = np.sort(all_distances(features, features), axis=1)[:, 4]  # the first is the face itself
    np.testing.assert_allclose(radii(features, 4, block), expected, rtol=1e-6)


def test_all_other_rows_can_be_neighbours(rng: np.random.Generator) -> None:
    features = cloud(rng, 5)
    np.testing.assert_allclose(radii(features, 4, block=2), all_distances(features, features).max(1), rtol=1e-6)


def test_close_neighbours_far_from_zero_keep_their_digits() -> None:
    # |x|² + |y|² - 2x·y in float32 cannot resolve a distance of 0.01 if the rows span 4000.
    ends = np.array([[0.0], [4000.0]], np.float32)
    references = np.concatenate([ends, ends + np.float32(0.0625), ends + np.float32(0.1875)])
    distances, indices = nearest(ends + np.float32(0.015625), references, k=2)
    np.testing.assert_array_equal(indices, [[0, 2], [1, 3]])
    np.testing.assert_array_equal(distances, [[0.015625, 0.046875]] * 2)
    np.testing.assert_array_equal(radii(references, 1), np.float32([0.0625, 0.0625, 0.0625, 0.0625, 0.125, 0.125]))


@BLOCKS
def test_manifold_scores_equal_brute_force(rng: np.random.Generator, block: int) -> None:
    real, fake, k = cloud(rng, 40), cloud(rng, 33, centre=0.5), 3
    apart = all_distances(real, fake)
    real_radii, fake_radii = (np.sort(all_distances(x, x), axis=1)[:, k] for x in (real, fake))
    in_real = apart < real_radii[:, None]
    expected = {
        "precision": in_real.any(0).mean(),
        "recall": (apart < fake_radii).any(1).mean(),
        "density": in_real.sum() / (k * 33),
        "coverage": in_real.any(1).mean(),
    }
    scores = manifold_scores(real, radii(real, k), fake, k, block)
    assert {name: score.value for name, score in scores.items()} == pytest.approx(expected)
    assert 0 < expected["precision"] < 1  # otherwise the line above checks little


@BLOCKS
def test_manifold_scores_of_identical_sets_are_one(rng: np.random.Generator, block: int) -> None:
    # Every k-th neighbour lies exactly on the border of a ball, where rounding must not decide.
    features = cloud(rng, 60, centre=5)
    scores = manifold_scores(features, radii(features, 5, block), features, 5, block)
    assert [score.value for score in scores.values()] == [1, 1, 1, 1]


def test_manifold_scores_of_distant_sets_are_zero(rng: np.random.Generator) -> None:
    real = cloud(rng, 50)
    scores = manifold_scores(real, radii(real, 3), cloud(rng, 50, centre=100), 3)
    assert [score.value for score in scores.values()] == [0, 0, 0, 0]


def test_dropped_modes_lower_coverage_and_recall_not_precision(rng: np.random.Generator) -> None:
    real = modes(rng, 400, kept=8)
    reach = radii(real, 5)
    all_kinds, half, one = (manifold_scores(real, reach, modes(rng, 400, kept), 5) for kept in (8, 4, 1))
    for name in ("recall", "coverage"):
        assert all_kinds[name].value > 0.9
        assert half[name].value == pytest.approx(0.5, abs=0.1)
        assert one[name].value == pytest.approx(1 / 8, abs=0.05)
    assert min(all_kinds["precision"].value, half["precision"].value, one["precision"].value) > 0.85


@BLOCKS
def test_mean_distance_equals_brute_force(rng: np.random.Generator, block: int) -> None:
    features = cloud(rng, 31)
    assert mean_distance(features, block) == pytest.approx(all_distances(features, features).sum() / (31 * 30))


def test_diversity_is_relative_to_real_faces(rng: np.random.Generator) -> None:
    real = cloud(rng, 50)
    assert diversity(real, real).value == 1
    assert diversity(real, 0.5 * real + 3).value == pytest.approx(0.5)
    assert diversity(real, real[:1].repeat(20, axis=0)).value == pytest.approx(0, abs=1e-3)


@BLOCKS
def test_realism_equals_brute_force(rng: np.random.Generator, block: int) -> None:
    real, faces = cloud(rng, 40), cloud(rng, 25, centre=1)
    reach = radii(real, 3)
    kept = reach <= np.median(reach)
    expected = (reach[kept] / all_distances(faces, real[kept])).max(1)
    np.testing.assert_allclose(realism(faces, real, reach, block), expected, rtol=1e-5)


def test_realism_of_a_real_face_is_without_bound(rng: np.random.Generator) -> None:
    real = cloud(rng, 40, centre=5)
    reach = radii(real, 3)
    pruned = reach > np.median(reach)
    np.testing.assert_array_equal(np.isinf(realism(real, real, reach)), ~pruned)


def test_originality_finds_planted_copies(rng: np.random.Generator) -> None:
    train, test, generated = cloud(rng, 300), cloud(rng, 200), cloud(rng, 400)
    generated[::4] = train[:100]
    near_test, near_generated = (nearest(faces, train)[0][:, 0] for faces in (test, generated))
    assert not near_generated[::4].any()
    score = originality(near_generated, near_test)
    assert score.value == pytest.approx(0.75 * 0.99, abs=0.02)
    assert score.low < score.value < score.high  # type: ignore[operator]
    assert originality(near_generated[::4], near_test).value == 0


def test_unseen_real_faces_are_original_by_construction(rng: np.random.Generator) -> None:
    distances = rng.random(500).astype(np.float32)
    assert originality(distances, distances).value == 0.99


def test_memory_is_that_of_blocks(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = cloud(rng, 50), cloud(rng, 30)
    shapes = set()

    def spying(*arguments, **options):
        product = addmm(*arguments, **options)
        shapes.add(product.shape)
        return product

    addmm = torch.addmm
    monkeypatch.setattr(torch, "addmm", spying)
    reach = radii(real, 3, block=16)
    manifold_scores(real, reach, fake, 3, block=16)
    diversity(real, fake, block=16)
    realism(fake, real, reach, block=16)
    nearest(fake, real, block=16)
    assert {size for shape in shapes for size in shape} <= {16, 50 % 16, 30 % 16, 25 % 16}


def test_reads_memory_maps(tmp_path, rng: np.random.Generator) -> None:
    np.save(tmp_path / "x.npy", cloud(rng, 20))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    reach = radii(x, 3)
    reach.flags.writeable = False
    assert manifold_scores(x, reach, x, 3)["density"].value == 1
    assert np.isinf(realism(x, x, reach)).any()
    assert not nearest(x, x)[0].any()
    assert diversity(x, x).value == 1


def test_refuses_nonsense(rng: np.random.Generator) -> None:
    features = cloud(rng, 10)
    with pytest.raises(UserError, match="at least 11"):
        radii(features, 10)
    with pytest.raises(UserError, match="at least 11"):
        nearest(features[:2], features, k=11)
    with pytest.raises(UserError, match="one feature space"):
        manifold_scores(features, radii(features, 3), features[:, :2], 3)
    with pytest.raises(UserError, match="finite"):
        mean_distance(np.where(features > 1, np.nan, features))
    with pytest.raises(UserError, match="at least 1"):
        originality(np.zeros(0, np.float32), np.ones(5, np.float32))
