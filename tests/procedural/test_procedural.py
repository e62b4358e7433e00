import csv
from colorsys import rgb_to_hsv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nijigan.errors import UserError
from nijigan.procedural import palette
from nijigan.procedural.faces import ATTRIBUTES, PRIORS, draw_face, draw_faces, write_faces
from nijigan.procedural.sketch import Sketch, ellipse


@given(seed=st.integers(0, 2**40), resolution=st.sampled_from([16, 28, 48, 64, 96, 512]))
@settings(max_examples=20, deadline=None)
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


def changed(seed: int, size: int, attribute: str, value: str, other: str) -> npt.NDArray[np.bool_]:
    """Where a face with one value differs from the same face with another."""
    faces = [draw_face(seed, size, **{attribute: v})[0].astype(int) for v in (value, other)]
    return np.abs(faces[0] - faces[1]).sum(-1) > 60


# Parts of the picture, as shares of its side, outside of which nothing may change: top, bottom, left, right.
PLACES = [
    ("eyes", "blue", "red", (0.4, 0.8, 0.15, 0.85)),
    ("mouth", "smile", "open", (0.6, 0.95, 0.3, 0.7)),
    ("blush", "no", "yes", (0.55, 0.95, 0.2, 0.8)),
    ("glasses", "no", "yes", (0.4, 0.85, 0.05, 0.95)),
    ("ribbon", "no", "yes", (0.0, 0.45, 0.0, 1.0)),
]


@pytest.mark.parametrize(("attribute", "value", "other", "place"), PLACES, ids=[place[0] for place in PLACES])
def test_fixing_an_attribute_leaves_the_rest(
    attribute: str, value: str, other: str, place: tuple[float, float, float, float]
) -> None:
    size, (top, bottom, left, right) = 96, place
    for seed in range(12):
        rows, columns = np.nonzero(changed(seed, size, attribute, value, other))
        assert len(rows) > 10
        assert size * top <= rows.min() < rows.max() < size * bottom
        assert size * left <= columns.min() < columns.max() < size * right
        assert draw_face(seed, 16, **{attribute: value})[1] == {**draw_face(seed, 16)[1], attribute: value}


def test_other_hair_leaves_the_eyes() -> None:
    for seed in range(12):
        hair, eyes = changed(seed, 96, "hair", "green", "pink"), changed(seed, 96, "eyes", "blue", "red")
        assert hair.sum() > 0.15 * hair.size
        assert (hair & eyes).sum() < 0.1 * eyes.sum()  # where a strand's smooth edge lies on an iris


def test_hair_has_the_colour_of_its_label() -> None:
    """The typical colour of all that changes with the hair is nearest to that of the label."""
    names, colours = list(palette.HAIR), np.array(list(palette.HAIR.values()))
    for seed in range(200):
        image, labels = draw_face(seed, 48)
        hair = image[changed(seed, 48, "hair", "black", "silver")]
        distances = np.square(colours - np.median(hair, axis=0)).sum(1)
        assert names[distances.argmin()] == labels["hair"], seed


def test_eyes_have_the_colour_of_their_label() -> None:
    """The mean colour of the irises has the hue of the label, or next to none where that is gray."""
    hues = {name: rgb_to_hsv(*colour)[0] for name, colour in palette.EYES.items() if name != "gray"}
    for seed in range(200):
        image, labels = draw_face(seed, 48)
        red, green, blue = image[changed(seed, 48, "eyes", "green", "pink")].mean(0)
        hue, saturation, _ = rgb_to_hsv(red, green, blue)
        nearest = min(hues, key=lambda name: abs((hue - hues[name] + 0.5) % 1 - 0.5))
        assert ("gray" if saturation < 0.15 else nearest) == labels["eyes"], seed


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
