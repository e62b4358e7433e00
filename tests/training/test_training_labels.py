"""Which labels a run learns from."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from nijigan.dataset.faces import FaceDataset, FaceStream
from nijigan.errors import UserError
from nijigan.recipe.named_recipes import RECIPES
from nijigan.training.labels import TrainingLabels, with_attributes


def test_codes_are_the_rows_of_the_faces(faces: FaceDataset) -> None:
    labels = TrainingLabels.of(faces, ("eyes", "hair"))
    assert list(labels.attributes) == ["eyes", "hair"]
    rows = faces.table.filter(np.asarray(faces.table["split"].to_pylist()) == "train")
    named = [[labels.attributes["eyes"][e], labels.attributes["hair"][h]] for e, h in labels.codes.tolist()]
    assert named == [list(pair) for pair in zip(rows["eyes"].to_pylist(), rows["hair"].to_pylist(), strict=True)]
    assert sum(row[-1] for row in labels.priors) == faces.count("train")


def test_faces_and_codes_are_read_together(faces: FaceDataset) -> None:
    labels, pixels = TrainingLabels.of(faces, ("hair",)), faces.pixels("train", 32)
    read = labels.batches(FaceStream(pixels, seed=3, flip=False))
    images, codes = read(5, 2 * len(pixels))  # across two ends of an epoch
    for image, code in zip(images, codes, strict=True):
        (row,) = np.flatnonzero((pixels == image).all(axis=(1, 2, 3)))
        assert labels.codes[row] == code


def test_without_attributes_nothing_is_known(faces: FaceDataset) -> None:
    labels = TrainingLabels.of(faces, ())
    assert (labels.attributes, labels.priors, labels.codes.shape) == ({}, (), (faces.count("train"), 0))


def test_the_commonest_faces_are_alike(faces: FaceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = TrainingLabels.of(faces, ("hair", "eyes"))
    assert (labels.most_common(3)[0], labels.most_common(3)[1].tolist()) == ({}, [0, 1, 2])  # no combination is common
    monkeypatch.setattr("nijigan.training.labels._ENOUGH", 1)
    values, rows = labels.most_common(3)
    column = faces.table.filter(np.asarray(faces.table["split"].to_pylist()) == "train")
    pairs = list(zip(column["hair"].to_pylist(), column["eyes"].to_pylist(), strict=True))
    assert pairs.count((values["hair"], values["eyes"])) == max(map(pairs.count, pairs))
    assert [pairs[row] for row in rows] == [(values["hair"], values["eyes"])] * min(3, max(map(pairs.count, pairs)))


def test_faces_of_which_something_is_unknown_are_the_commonest_only_for_want_of_others() -> None:
    codes = np.repeat([[0, -1], [1, 0], [0, 1]], [40, 16, 15], axis=0)
    labels = TrainingLabels({"hair": ("blue", "red"), "eyes": ("blue", "red")}, codes)
    assert labels.most_common(9)[0] == {"hair": "red", "eyes": "blue"}
    assert labels.most_common(9)[1].tolist() == list(range(40, 49))
    labels = TrainingLabels(labels.attributes, np.delete(codes, 50, axis=0))  # one less
    assert labels.most_common(9)[0] == {"hair": "blue", "eyes": "unknown"}
    assert TrainingLabels({}, np.empty((5, 0), np.int64)).most_common(2)[1].tolist() == [0, 1]


def test_the_distance_is_between_faces_of_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nijigan.training.labels._FEWEST_PAIRS", 1)
    codes = np.array([[0, 1], [1, 1], [0, 1], [1, 0], [0, 1], [-1, 1], [-1, 1]])
    grey = np.array([10, 200, 40, 90, 20, 100, 107], np.uint8)
    faces = np.broadcast_to(grey[:, None, None, None], (7, 4, 4, 3))
    labels = TrainingLabels({"hair": ("a", "b"), "eyes": ("c", "d")}, codes)
    assert labels.distance(faces) == pytest.approx((30 + 20 + 7) / 3)
    # No two alike: (1, 0), (0, 1), (1, 1) in the order of their values, the last one first.
    assert TrainingLabels(labels.attributes, codes[[0, 1, 3]]).distance(faces[[0, 1, 3]]) == pytest.approx(
        (80 + 190) / 2
    )
    assert labels.distance(np.zeros_like(faces)) is None
    assert TrainingLabels({}, np.empty((7, 0), np.int64)).distance(faces) is None


def test_the_distance_of_many_faces_is_that_of_a_sample(rng: np.random.Generator) -> None:
    codes = rng.integers(0, 3, (4000, 1))
    faces = rng.integers(0, 256, (4000, 8, 8, 3), np.uint8)
    assert TrainingLabels({"hair": ("a", "b", "c")}, codes).distance(faces) == pytest.approx(
        256 / 3, rel=0.01
    )  # of two uniforms


def test_attributes_left_out_are_all_of_the_datasets(faces: FaceDataset) -> None:
    assert with_attributes(RECIPES["reacgan"], faces).attributes == tuple(faces.attributes)
    assert with_attributes(replace(RECIPES["reacgan"], attributes=("eyes",)), faces).attributes == ("eyes",)
    assert with_attributes(RECIPES["dcgan"], faces) == RECIPES["dcgan"]


@pytest.mark.parametrize(
    ("attributes", "requested", "words"),
    [
        ({}, (), "has no labels; .*--label hair,eyes --out"),
        ({"hair": ("red", "blue")}, ("hair", "eyes"), "has no eyes; .*--label eyes --out"),
        ({"hair": ("red",), "eyes": ("blue",)}, (), "has the same: hair red, eyes blue; import other faces too"),
        ({"hair": ("red", "blue")}, ("smile",), "has no smile; .*--tags TAGS --out FACES`\\.$"),
    ],
)
def test_missing_labels_are_refused_with_the_command_that_brings_them(attributes, requested, words) -> None:
    dataset = SimpleNamespace(attributes=attributes, path="FACES")
    with pytest.raises(UserError, match=words):
        with_attributes(replace(RECIPES["acgan"], attributes=requested), dataset)


def test_labels_need_not_meet() -> None:
    dataset = SimpleNamespace(
        attributes={"hair": ["blue", "red"], "eyes": ["blue", "red"]}, path="FACES",
        labels=lambda split: {"hair": np.array([0, 1, -1, -1]), "eyes": np.array([-1, -1, 0, 1])},
        count=lambda split: 4,
    )  # fmt: skip
    assert TrainingLabels.of(dataset, ("hair", "eyes")).priors == ((-1, 0, 1), (-1, 1, 1), (0, -1, 1), (1, -1, 1))


def test_values_that_no_training_face_bears_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    dataset = SimpleNamespace(
        attributes={"hair": ["aqua", "blue", "green", "red"]}, path="FACES", count=lambda split: 5,
        labels=lambda split: {"hair": np.array([1, 3, -1, 3, 1])},
    )  # fmt: skip
    labels = TrainingLabels.of(dataset, ("hair",))
    assert labels.attributes == {"hair": ("blue", "red")}
    assert labels.codes[:, 0].tolist() == [0, 1, -1, 1, 0]
    assert "No training face has hair aqua, green" in caplog.text
    dataset.labels = lambda split: {"hair": np.array([1, 1, -1, -1, 1])}
    with pytest.raises(UserError, match="hair needs 2 to"):
        TrainingLabels.of(dataset, ("hair",))


def test_attributes_of_one_value_are_not_taken_unasked() -> None:
    dataset = SimpleNamespace(attributes={"hair": ["blue", "red"], "style": ["long"]}, path="FACES")
    assert with_attributes(RECIPES["acgan"], dataset).attributes == ("hair",)


def test_balance_shows_values_equally_often_and_leaves_unknown_ones_as_they_are() -> None:
    codes = np.array([[0]] * 90 + [[1]] * 8 + [[2]] * 2 + [[-1]] * 50)
    labels = TrainingLabels({"hair": ("black", "blue", "red")}, codes)
    stream = FaceStream(np.zeros((150, 1, 1, 3), np.uint8), seed=0, weights=labels.weights)
    seen = codes[stream.indices(0, 20 * 150)][:, 0]
    assert np.bincount(seen + 1).tolist() == pytest.approx([20 * 50] + [20 * 100 / 3] * 3, rel=0.05)
    first, second = (stream.indices(150 * epoch, 150) for epoch in range(2))
    assert not np.array_equal(first, second)
    for rows in (first, second):  # systematic sampling: a red face is there 16 or 17 times in every epoch
        assert np.count_nonzero(rows == 99) in (16, 17)
    rare = TrainingLabels({"hair": ("black", "red")}, np.array([[0]] * 999 + [[1]]))
    assert rare.weights.max() == 20  # in place of 500


def test_two_attributes_share_the_balance() -> None:
    codes = np.array([[0, 0]] * 8 + [[1, 1]] * 2)
    assert TrainingLabels({"hair": ("a", "b"), "eyes": ("c", "d")}, codes).weights == pytest.approx(
        [0.625] * 8 + [2.5] * 2
    )
    mixed = TrainingLabels({"hair": ("a", "b"), "eyes": ("c", "d")}, np.array([[0, 0]] * 5 + [[1, 0]] * 4 + [[1, 1]]))
    assert mixed.weights == pytest.approx([(1 + 5 / 9) / 2] * 5 + [(1 + 5 / 9) / 2] * 4 + [(1 + 5) / 2])


def test_equal_weights_read_every_face_once() -> None:
    stream = FaceStream(np.zeros((23, 1, 1, 3), np.uint8), seed=5, weights=np.ones(23))
    assert sorted(stream.indices(0, 23).tolist()) == list(range(23))


def test_balance_needs_attributes() -> None:
    with pytest.raises(UserError, match="balance is for values of attributes"):
        replace(RECIPES["dcgan"], balance=True)
    assert replace(RECIPES["reacgan"], balance=True).balance
