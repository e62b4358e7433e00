"""The colour reader: on faces whose colours are known, on what is no face, and on every kind of call."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from nijigan.aliases import Images
from nijigan.errors import UserError
from nijigan.procedural.faces import ATTRIBUTES, draw_face
from nijigan.vision import colours
from nijigan.vision.anatomy import find_anatomy
from nijigan.vision.colour_names import EYES, HAIR, VALUES
from nijigan.vision.colour_net import colour_logits
from nijigan.vision.colours import MIN_CONFIDENCE, Reading, describe, oklab, read_colours
from nijigan.vision.finder import have_faces

TAGS = {"silver": ("gray", "white")}
"""What a drawn colour is called in tags, where not by its own name."""


@cache
def drawn(attribute: str) -> tuple[Images, list[str]]:
    """Procedural faces that the detector finds, up to three for every value of an attribute, and their values."""
    faces, values = [], []
    for place, value in enumerate(ATTRIBUTES[attribute]):
        tried = np.stack([draw_face(100 * place + i, 96, **{attribute: value, "glasses": "no"})[0] for i in range(6)])
        chosen = tried[have_faces(tried)][:3]
        faces.append(chosen)
        values += [value] * len(chosen)
    return np.concatenate(faces), values


@cache
def readings(attribute: str) -> list[Reading]:
    return [read_colours(face)[attribute] for face in drawn(attribute)[0]]


@pytest.mark.parametrize(("attribute", "least"), [("hair", 0.9), ("eyes", 0.7)])
def test_drawn_faces_are_read_right(attribute: str, least: float):
    _, values = drawn(attribute)
    right = [one.value in TAGS.get(value, (value,)) for one, value in zip(readings(attribute), values, strict=True)]
    assert np.mean(right) >= least


def test_values_are_those_of_tags_and_confidence_decides():
    for attribute, words in (("hair", HAIR), ("eyes", EYES)):
        for reading in readings(attribute):
            assert 1 / len(words) < reading.confidence <= 1
            assert (reading.value in words) == (reading.confidence >= MIN_CONFIDENCE)


def test_chances_are_those_of_the_sum_of_counts_and_network():
    face, model = drawn("hair")[0][0], json.loads(colours.MODEL.read_text())
    anatomy, seen = find_anatomy(face), colour_logits(face)
    assert anatomy is not None
    for name, part in model["parts"].items():
        palette, place = (np.array(one, np.float32) for one in (model["palette"], part["place"]))
        shares = describe(getattr(anatomy, name), place, palette, model["softness"])
        counted = [np.dot(part["weights"][word], shares) + part["bias"][word] for word in VALUES[name]]
        logits = part["trust"][0] * np.array(counted) + part["trust"][1] * seen[name]
        assert min(part["trust"]) > 0.1
        assert read_colours(face)[name].confidence == pytest.approx(softmax(logits).max(), abs=1e-4)


@pytest.mark.parametrize("margins", [((40, 0), (0, 0)), ((0, 40), (0, 0)), ((0, 0), (40, 0)), ((0, 0), (0, 40))])
def test_the_square_around_the_face_is_looked_at(margins: tuple[tuple[int, int], ...]):
    seen = 0
    for face in drawn("hair")[0][:12]:
        wide = np.pad(face, (*margins, (0, 0)), constant_values=(255,))
        if (anatomy := find_anatomy(wide)) is None:
            continue
        square = colours._square(wide, anatomy.middle)
        assert square.shape == face.shape
        offsets = [abs(int(one) - start) for one, (start, _) in zip(_corner(wide, square), margins, strict=True)]
        assert max(offsets) <= 15  # pixels; the centre square is 20 off
        seen += 1
    assert seen >= 6


def _corner(picture: Images, part: Images) -> tuple[int, int]:
    """Where a part lies in a picture that it is a view of: row, column."""
    offset = part.__array_interface__["data"][0] - picture.__array_interface__["data"][0]
    return offset // picture.strides[0], offset % picture.strides[0] // picture.strides[1]


def test_every_call_and_every_thread_reads_the_same():
    faces = list(drawn("hair")[0])
    colours._readers.cache_clear()
    with ThreadPoolExecutor(8) as threads:
        for _ in range(2):
            assert [both["hair"] for both in threads.map(read_colours, faces)] == readings("hair")


def bigger(face: Images) -> Images:
    return np.asarray(Image.fromarray(face).resize((200, 200), Image.Resampling.LANCZOS))


def smaller(face: Images) -> Images:
    return np.asarray(Image.fromarray(face).resize((64, 64), Image.Resampling.LANCZOS))


def darker(face: Images) -> Images:
    return (face * 0.93).round().astype(np.uint8)


def mirrored(face: Images) -> Images:
    return face[:, ::-1]


@pytest.mark.parametrize("change", [bigger, smaller, darker, mirrored])
def test_what_does_not_change_the_colour_changes_few_readings(change: Callable[[Images], Images]):
    after = [read_colours(change(face))["hair"].value for face in drawn("hair")[0]]
    assert np.mean([one.value == other for one, other in zip(readings("hair"), after, strict=True)]) >= 0.8


def test_pictures_without_a_face_are_not_read(rng: np.random.Generator):
    nothing = {"hair": Reading(None, 0.0), "eyes": Reading(None, 0.0)}
    blank = [np.full((96, 96, 3), colour, np.uint8) for colour in ((0, 0, 0), (255, 255, 255), (250, 222, 126))]
    noise = list(rng.integers(0, 256, (12, 96, 96, 3)).astype(np.uint8))
    for picture in (*blank, *noise, np.zeros((1, 300, 3), np.uint8)):
        assert read_colours(picture) == nothing


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((0, 64, 3), np.uint8),
        np.zeros((2, 64, 64, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_picture_is_refused(picture: Images):
    with pytest.raises(UserError, match="uint8 RGB"):
        read_colours(picture)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((255, 255, 255), (1, 0, 0)),
        ((255, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 255, 0), (0.86644, -0.23389, 0.1795)),
        ((0, 0, 255), (0.45201, -0.03246, -0.31153)),
    ],
)
def test_oklab_gives_the_published_values(rgb: tuple[int, int, int], lab: tuple[float, float, float]):
    np.testing.assert_allclose(oklab(np.array(rgb, np.uint8)), lab, atol=1e-3)


def test_a_part_is_told_from_its_surroundings_and_from_what_lies_outside():
    red, blue = oklab(np.array([[255, 0, 0], [0, 0, 255]], np.uint8)) * colours.EMPHASIS
    samples = np.zeros((1, 4, 4, 4), np.uint8)
    samples[:, :, :2] = (255, 0, 0, 255)
    samples[:, :, 2:] = (0, 0, 255, 255)
    samples[:, 3] = (0, 0, 255, 0)  # not on the picture
    place = np.array([[1, 0], [1, 0]], np.float32)
    shares = describe(samples, place, np.stack([red, blue]), 0.05)
    np.testing.assert_allclose(shares, [1, 0, 0, 1], atol=1e-6)
    half = describe(samples, np.full((2, 2), 0.5, np.float32), np.stack([red, blue]), 0.05)
    np.testing.assert_allclose(half**2, 0.5, atol=1e-6)
