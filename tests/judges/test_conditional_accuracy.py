"""Conditional accuracy of generators that paint the code of the requested value, or of another one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

import nijigan
from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.generator.generator import Generator
from nijigan.judges import conditional_accuracy as module
from nijigan.judges.conditional_accuracy import accuracy, conditional_accuracy, judge_conditional_accuracy
from nijigan.judges.feature_spaces import FeatureSpace, open_feature_space
from nijigan.judges.readers import AttributeReader, AttributeReaderHeader, people
from nijigan.judges.real import RealFaces, real_faces
from nijigan.metrics.kid import kid
from small import small_generator

VALUES = {"hair": ("red", "blue", "pink"), "eyes": ("green", "brown")}
KNOWN = {"eyes": ("black", "brown", "green"), "hair": ("blue", "green", "pink", "red")}
STEP = 40  # grey levels between two codes


class Paints(Generator):
    """Paints flat pictures: the reader's code of hair in the red channel and of eyes in the green one.

    Args:
        painted: (seed, requested value) → the value that is painted.
    """

    def __init__(self, painted: Callable[[int, str], str]) -> None:
        small = small_generator()
        super().__init__(small.module, replace(small.header, attributes=VALUES, priors=((0, 0, 1),)))
        self.painted = painted
        self.calls: list[tuple[str, range]] = []

    def sample(self, n: int = 1, *, seed: int = 0, psi: float = 1.0, batch_size: int = 64, **requested: str) -> Images:
        ((name, value),) = requested.items()
        self.calls.append((f"{name}={value}", range(seed, seed + n)))
        faces = np.zeros((n, 32, 32, 3), np.uint8)
        codes = [KNOWN[name].index(self.painted(s, value)) for s in range(seed, seed + n)]
        faces[..., ("hair", "eyes").index(name)] = STEP * np.array(codes)[:, None, None]
        return faces


def right(seed: int, value: str) -> str:
    return value


def painted_reader() -> AttributeReader:
    """Reads what `Paints` paints."""

    def logits(pixels: torch.Tensor) -> torch.Tensor:
        codes = (pixels[:, :, 5, 5] * 255 / STEP).round()
        return torch.cat([-(codes[:, [1]] - torch.arange(3)).abs(), -(codes[:, [0]] - torch.arange(4)).abs()], 1)

    return AttributeReader(
        AttributeReaderHeader(KNOWN, {"eyes": 0.6, "hair": 0.8}, {}), FeatureSpace("painted", 7, "ab", None, logits)
    )


@pytest.fixture
def real(judged_faces: FaceDataset) -> RealFaces:
    return real_faces(judged_faces, "val", 32, open_feature_space("anime"))


def test_a_generator_that_is_always_right_scores_1_and_one_that_never_is_0() -> None:
    assert {name: score.value for name, score in conditional_accuracy(Paints(right), painted_reader()).items()} == {
        "hair": 1,
        "eyes": 1,
    }
    wrong = Paints(lambda seed, value: {"red": "blue", "blue": "pink", "pink": "green"}.get(value, "black"))
    assert {score.value for score in conditional_accuracy(wrong, painted_reader()).values()} == {0}


def test_a_generator_that_ignores_its_labels_scores_chance() -> None:
    scores = conditional_accuracy(Paints(lambda seed, value: "green"), painted_reader())  # for hair and eyes
    assert scores["eyes"].value == 1 / 2
    assert scores["hair"].value == 0  # a value that is never requested does not count
    constant = Paints(lambda seed, value: ("brown", "green")[seed % 2] if value in VALUES["eyes"] else "pink")
    assert [score.value for score in conditional_accuracy(constant, painted_reader()).values()] == [1 / 3, 1 / 2]


def test_the_confusion_matrix_counts_what_was_recognised(real: RealFaces) -> None:
    unreliable = Paints(lambda seed, value: "green" if value == "red" and seed % 4 == 0 else value)
    score, found = judge_conditional_accuracy(unreliable, painted_reader(), real, 20)["hair"]
    assert found.read == ("red", "blue", "pink", "green")
    assert found.confusion == ((15, 0, 0, 5), (0, 20, 0, 0), (0, 0, 20, 0))
    assert [scores.accuracy.value for scores in found.classes.values()] == [0.75, 1, 1]
    assert score.value == pytest.approx((0.75 + 1 + 1) / 3)
    assert found.chance == pytest.approx(1 / 3)


def test_every_value_has_its_own_seeds() -> None:
    generator = Paints(right)
    conditional_accuracy(generator, painted_reader(), m=10, seed=5)
    hair = [seeds for what, seeds in generator.calls if what.startswith("hair")]
    assert hair == [range(5, 15), range(15, 25), range(25, 35)]


def test_the_interval_is_wilsons_and_has_at_least_its_nominal_coverage() -> None:
    expected = binomtest(24, 30).proportion_ci(0.95, method="wilson")
    score = accuracy([(9, 1, 0), (2, 7, 1), (0, 2, 8)])
    assert (score.low, score.high) == pytest.approx((expected.low, expected.high))
    random = np.random.default_rng(0)
    for chances in ([0.7] * 6, [0.99, 0.9, 0.8, 0.5, 0.3, 0.1]):
        hits = random.binomial(50, chances, (4000, 6))
        scores = [accuracy([tuple(np.eye(6, dtype=int)[k] * h + (50 - h) * np.eye(6, dtype=int)[k - 1])
                            for k, h in enumerate(row)]) for row in hits.tolist()]  # fmt: skip
        held = np.mean([score.low <= np.mean(chances) <= score.high for score in scores])
        assert held > 0.94
    assert held > 0.97  # for probabilities that differ much


def test_the_floor_is_the_readers_accuracy_on_real_faces_with_the_same_label(
    real: RealFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = real.dataset.labels("val")
    vocabularies = real.dataset.attributes

    def knows_hair_and_reads_all_eyes_as_brown(self: AttributeReader, images: Images, progress: object = None) -> dict:
        if len(images) != real.dataset.count("val"):
            return {name: np.zeros(len(images), np.int64) for name in KNOWN}
        hair = [vocabularies["hair"][code] for code in labels["hair"]]
        return {
            "hair": np.array([KNOWN["hair"].index(v) if v in KNOWN["hair"] else 0 for v in hair]),
            "eyes": np.full(len(hair), KNOWN["eyes"].index("brown")),
        }

    monkeypatch.setattr(AttributeReader, "read", knows_hair_and_reads_all_eyes_as_brown)
    few = min(
        scores.n_real
        for scores in judge_conditional_accuracy(Paints(right), painted_reader(), real, 20)["eyes"][1].classes.values()
    )
    monkeypatch.setattr(module, "_MIN_FOR_CEILING", few + 1)
    assert (
        judge_conditional_accuracy(Paints(right), painted_reader(), real, 20)["eyes"][0].floor == 0
    )  # only the other value counts
    monkeypatch.setattr(module, "_MIN_FOR_CEILING", few)
    found = judge_conditional_accuracy(Paints(right), painted_reader(), real, 20)
    assert found["hair"][0].floor == 1
    assert found["eyes"][0].floor == 1 / 2
    assert [scores.accuracy.floor for scores in found["eyes"][1].classes.values()] == [0, 1]
    for name, (_, details) in found.items():
        for value, scores in details.classes.items():
            assert scores.n_real == (labels[name] == vocabularies[name].index(value)).sum() > 0


def test_values_without_real_faces_have_no_floor(real: RealFaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real.dataset, "attributes", {"hair": real.dataset.attributes["hair"]})
    found = judge_conditional_accuracy(Paints(right), painted_reader(), real, 20)
    score, details = found["eyes"]
    assert score.floor == 0.6  # the accuracy that the reader's file states
    assert all(scores.accuracy.floor is None and scores.n_real == 0 for scores in details.classes.values())


def test_distances_within_a_class_are_between_the_faces_of_that_class(
    real: RealFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, reader = Paints(right), painted_reader()
    few = judge_conditional_accuracy(generator, reader, real, 20)["hair"][1].classes
    assert all(scores.kid is None for scores in few.values())
    monkeypatch.setattr(module, "_MIN_WITHIN_CLASS", 5)
    scores = judge_conditional_accuracy(generator, reader, real, 20)["hair"][1].classes["blue"]
    rows = real.dataset.labels("val")["hair"] == real.dataset.attributes["hair"].index("blue")
    generated = generator.sample(20, seed=20, hair="blue")
    assert scores.n_real == rows.sum() >= 5
    assert scores.kid == kid(real.features[rows], real.space.extract(generated))
    assert scores.diversity is not None
    assert scores.diversity.value == pytest.approx(0, abs=1e-3)  # one picture per value


def test_the_packaged_generator_has_the_accuracy_that_its_file_states() -> None:
    generator = nijigan.load()
    scores = conditional_accuracy(generator, people(), m=16)
    assert set(scores) == {"hair", "eyes"}
    assert scores["hair"].value > 0.6  # chance: 1/12
    assert scores["eyes"].value > 2 / 7
    for name, score in scores.items():
        promised = generator.header.metrics[f"{name}/people/test"]
        assert score.value == pytest.approx(promised, abs=0.15)


def test_no_random_state_is_touched() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = conditional_accuracy(Paints(right), painted_reader())
    assert torch.equal(before, torch.random.get_rng_state())
    assert conditional_accuracy(Paints(right), painted_reader()) == first
