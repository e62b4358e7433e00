import numpy as np
import pytest

from nijigan.errors import UserError
from nijigan.judges import selection as module
from nijigan.judges.quality import keep_probability
from nijigan.judges.selection import best_seeds
from small import ATTRIBUTES, small_generator


def test_faces_that_people_probably_keep_come_first() -> None:
    generator, seeds = small_generator(**ATTRIBUTES), [17, 3, *range(40, 50)]
    chosen = best_seeds(generator, seeds, 12, psi=0.5, attributes={"hair": "red"})
    images = np.concatenate([generator.sample(1, seed=seed, psi=0.5, hair="red") for seed in seeds])
    chances = keep_probability(images)
    assert chosen.seeds == tuple(seeds[index] for index in np.argsort(-chances, kind="stable"))
    assert np.allclose(chosen.chances, sorted(chances, reverse=True), atol=1e-5)
    assert (chosen.candidates, chosen.good) == (12, (chances >= 0.5).sum())


def test_the_best_of_all_are_the_best_of_few_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that prefers red faces."""
    monkeypatch.setattr(module, "keep_probability", lambda images: images[..., 0].mean((1, 2)) / np.float32(255))
    everything = best_seeds(small_generator(), range(12), 12)
    monkeypatch.setattr(module, "_CHUNK", 5)
    generator, done = small_generator(), []
    chosen = best_seeds(generator, range(12), 3, progress=lambda *now: done.append(now))
    assert done == [(5, 12), (10, 12), (12, 12)]
    assert chosen.seeds == everything.seeds[:3]
    red = generator.sample(12)[..., 0].mean((1, 2))
    assert list(everything.seeds) == np.argsort(-red, kind="stable").tolist()
    assert everything.good == (red >= 127.5).sum()


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
