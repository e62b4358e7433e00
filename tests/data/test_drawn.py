import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nijigan.data import palette
from nijigan.data.drawn import ATTRIBUTES, PRIORS, draw_face, draw_faces, write_faces
from nijigan.data.sketch import Sketch, ellipse
from nijigan.errors import UserError


@given(seed=st.integers(0, 2**40), resolution=st.sampled_from([16, 28, 48, 64, 96]))
@settings(max_examples=25, deadline=None)
def test_a_face_is_its_seed(seed: int, resolution: int) -> None:
    image, labels = draw_face(seed, resolution)
    again, same = draw_face(seed, resolution)
    assert np.array_equal(image, again)
    assert labels == same
    assert image.shape == (resolution, resolution, 3)
    assert image.dtype == np.uint8
    assert all(labels[name] in values for name, values in ATTRIBUTES.items())


def test_many_faces_are_single_faces() -> None:
    images, labels = draw_faces(3, seed=40, resolution=32)
    for index in range(3):
        image, values = draw_face(40 + index, 32)
        assert np.array_equal(images[index], image)
        assert {name: column[index] for name, column in labels.items()} == values


def test_faces_differ() -> None:
    images, _ = draw_faces(40, resolution=32)
    assert len({image.tobytes() for image in images}) == 40


@pytest.mark.parametrize("seed", range(8))
def test_a_face_is_the_same_at_every_size(seed: int) -> None:
    small = draw_face(seed, 64)[0].astype(float)
    large = Image.fromarray(draw_face(seed, 256)[0]).resize((64, 64), Image.Resampling.BOX)
    assert np.corrcoef(small.ravel(), np.asarray(large, float).ravel())[0, 1] > 0.98


@pytest.mark.parametrize("seed", range(12))
def test_fixing_an_attribute_leaves_the_rest(seed: int) -> None:
    """Other eyes change pixels of the eyes alone; other hair leaves the mouth's rows under the eyes as they were."""
    size = 96
    plain = draw_face(seed, size, eyes="blue", glasses="no")[0].astype(int)
    other = draw_face(seed, size, eyes="red", glasses="no")[0].astype(int)
    rows, columns = np.nonzero(np.abs(plain - other).sum(-1))
    assert len(rows) > 20
    assert size * 0.4 < rows.min() < rows.max() < size * 0.8
    assert size * 0.15 < columns.min() < columns.max() < size * 0.85
    assert draw_face(seed, size, hair="green")[1] == {**draw_face(seed, size)[1], "hair": "green"}


def test_labels_tell_the_truth_about_hair() -> None:
    """The fringe, read from the middle of the forehead's hair, is nearest to its own class's colour."""
    names, colours = list(palette.HAIR), np.array(list(palette.HAIR.values()), float)
    right = 0
    for seed in range(300):
        image, labels = draw_face(seed, 64, ribbon="no")
        fringe = np.median(image[16:22, 22:42].reshape(-1, 3), axis=0)
        right += names[int(np.abs(colours - fringe).sum(1).argmin())] == labels["hair"]
    assert right >= 297


def test_labels_follow_the_priors() -> None:
    count = 600
    _, labels = draw_faces(count, resolution=16)
    for name, shares in PRIORS.items():
        assert sum(shares.values()) == pytest.approx(1)
        for value, share in shares.items():
            deviation = (share * (1 - share) / count) ** 0.5
            assert abs(labels[name].count(value) / count - share) < 4 * deviation


@pytest.mark.parametrize(("attribute", "value"), [(a, v) for a, values in ATTRIBUTES.items() for v in values])
def test_every_value_can_be_asked_for(attribute: str, value: str) -> None:
    image, labels = draw_face(3, 32, **{attribute: value})
    assert labels[attribute] == value
    others = [draw_face(3, 32, **{attribute: other})[0] for other in ATTRIBUTES[attribute] if other != value]
    assert not any(np.array_equal(image, other) for other in others)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": 0, "hair": "plaid"}, "choose from brown, blonde"),
        ({"seed": 0, "hat": "yes"}, "choose from hair, eyes"),
        ({"seed": -1}, "0 or more"),
        ({"seed": 0, "resolution": 8}, "16 to 1024"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        draw_face(**arguments)  # type: ignore[arg-type]


def test_written_faces_carry_their_labels(tmp_path: Path) -> None:
    calls = []
    write_faces(tmp_path / "out", 4, seed=9, resolution=32, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    rows = list(csv.DictReader((tmp_path / "out" / "metadata.csv").read_text().splitlines()))
    assert [row.pop("file_name") for row in rows] == [f"{seed:06d}.jpg" for seed in range(9, 13)]
    for seed, row in enumerate(rows, start=9):
        image, labels = draw_face(seed, 32)
        assert row == labels
        with Image.open(tmp_path / "out" / f"{seed:06d}.jpg") as written:
            assert np.abs(np.asarray(written, float) - image).mean() < 4
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_edges_are_smooth_and_areas_exact() -> None:
    """A disc of radius 0.3 covers π·0.09 of the picture, whatever its size."""
    for resolution in (16, 32, 64, 200):
        sketch = Sketch()
        sketch.fill(ellipse(0, 0, 0.3, 0.3), (255, 255, 255))
        image = sketch.render(((0, 0, 0), (0, 0, 0)), resolution, 0, 1, (0, 0))
        assert image.mean() / 255 == pytest.approx(np.pi * 0.09, rel=0.03)
        assert len(np.unique(image)) > 3
