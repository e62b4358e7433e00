import numpy as np
import pytest

from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.judges import selection as module
from nijigan.judges.feature_spaces import open_feature_space
from nijigan.judges.real import real_faces
from nijigan.judges.selection import best_seeds
from nijigan.metrics.neighbours import realism
from small import ATTRIBUTES, small_generator


@pytest.fixture(autouse=True)
def only_red_faces_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector finds nothing in faces of an untrained generator; here, it finds those more red than blue."""

    def found(images: np.ndarray) -> np.ndarray:
        means = images.mean((1, 2))
        return means[:, 0] > means[:, 2]

    monkeypatch.setattr(module, "have_faces", found)


def test_good_faces_come_first_and_the_most_realistic_of_them_foremost(judged_faces: FaceDataset) -> None:
    generator, seeds = small_generator(**ATTRIBUTES), [17, 3, *range(40, 50)]
    chosen = best_seeds(generator, seeds, 12, dataset=judged_faces, psi=0.5, attributes={"hair": "red"})
    real = real_faces(judged_faces, "val", 32, open_feature_space())
    images = np.concatenate([generator.sample(1, seed=seed, psi=0.5, hair="red") for seed in seeds])
    depth = realism(real.space.extract(images), real.train, real.radii)
    means = images.mean((1, 2))
    good = (means[:, 0] > means[:, 2]) & (depth >= real.threshold)
    expected = sorted(range(12), key=lambda index: (not good[index], -depth[index]))
    assert chosen.seeds == tuple(seeds[index] for index in expected)
    assert (chosen.candidates, chosen.good) == (12, good.sum())


def test_without_real_faces_other_faces_of_the_generator_take_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REFERENCES", 24)
    monkeypatch.setattr(module, "_CHUNK", 5)
    generator, done = small_generator(), []
    chosen = best_seeds(generator, range(12), 3, progress=lambda *now: done.append(now))
    assert done[-3:] == [(5, 12), (10, 12), (12, 12)]
    assert chosen == best_seeds(generator, range(12), 3)
    everything = best_seeds(generator, range(12), 12)
    assert everything.seeds[:3] == chosen.seeds
    means = generator.sample(12).mean((1, 2))
    red = means[:, 0] > means[:, 2]
    assert everything.good == red.sum()
    assert red[list(everything.seeds)].tolist() == sorted(red.tolist(), reverse=True)


@pytest.mark.parametrize(
    ("seeds", "keep", "sentence"),
    [
        ([], 1, "too few"),
        (range(4), 0, "choose 1 to 4"),
        (range(4), 5, "choose 1 to 4"),
        (range(100_001), 5, "at most 100,000"),
        ([1, 1], 1, "given twice"),
        ([-1, 1], 1, "out of range"),
    ],
)
def test_impossible_choices_are_refused(seeds: list[int], keep: int, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        best_seeds(small_generator(), seeds, keep)
