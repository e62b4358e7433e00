"""The frames: sampled where they are said to lie, on faces that are moved, mirrored, enlarged or not there."""

from functools import cache

import numpy as np
import pytest
from PIL import Image

from nijigan.aliases import Images
from nijigan.procedural.faces import draw_face
from nijigan.vision.anatomy import HEAD_REACH, Anatomy, _cut, find_anatomy, sample
from nijigan.vision.finder import has_face

ROWS, COLUMNS = np.indices((100, 100)).astype(np.uint8)
PLACES = Image.fromarray(np.stack([2 * COLUMNS + 1, 2 * ROWS + 1, 0 * ROWS], -1))
"""A picture whose red and green, halved, say where the middle of a pixel is."""
HEAD = np.array([30.0, 20, 40, 40])


@cache
def face() -> Images:
    """The first procedural face that the detector finds."""
    return next(image for image in (draw_face(seed, 96)[0] for seed in range(20)) if has_face(image))


def anatomy(picture: Images) -> Anatomy:
    found = find_anatomy(picture)
    assert found is not None
    return found


def test_a_frame_over_the_whole_picture_is_the_picture(rng: np.random.Generator):
    pixels = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    centre, x, y = np.array([8.0, 8.0]), np.array([8.0, 0.0]), np.array([0.0, 8.0])
    picture = Image.fromarray(pixels)
    np.testing.assert_array_equal(sample(picture, centre, x, y, 16)[..., :3], pixels)
    np.testing.assert_array_equal(sample(picture, centre, -x, y, 16)[..., :3], pixels[:, ::-1])
    np.testing.assert_array_equal(sample(picture, centre, y, -x, 16)[..., :3], np.rot90(pixels))


def test_samples_outside_the_picture_are_marked():
    picture = Image.fromarray(np.full((10, 10, 3), 200, np.uint8))
    alpha = sample(picture, np.array([10.0, 5.0]), np.array([5.0, 0.0]), np.array([0.0, 5.0]), 10)[..., 3]
    assert (alpha[:, :5] == 255).all()
    assert (alpha[:, 5:] == 0).all()


def test_parts_have_the_same_shape_whatever_the_picture():
    tall = np.pad(face(), ((0, 30), (0, 0), (0, 0)), mode="edge")
    for picture in (face(), tall, np.asarray(Image.fromarray(face()).resize((300, 300)))):
        found = anatomy(picture)
        assert found.hair.shape == (1, 30, 30, 4)
        assert found.eyes.shape == (2, 16, 16, 4)


def test_the_head_lies_between_the_eyes_and_is_tilted_as_they_are():
    parts = _cut(PLACES, HEAD, np.array([60.0, 44, 10, 8]), np.array([40.0, 34, 10, 8]))
    places = parts.hair[0, ..., :2] / 2
    np.testing.assert_allclose(places.mean((0, 1)), (55, 43), atol=0.5)
    right, down = places[15, -1] - places[15, 0], places[-1, 15] - places[0, 15]
    np.testing.assert_allclose(right / np.hypot(*right), np.array([2, 1]) / np.sqrt(5), atol=0.03)
    np.testing.assert_allclose(down / np.hypot(*down), np.array([-1, 2]) / np.sqrt(5), atol=0.03)
    np.testing.assert_allclose(np.hypot(*right), 2 * HEAD_REACH * 40 * 29 / 30, atol=1)


def test_a_head_whose_eyes_are_misplaced_is_taken_to_be_upright():
    places = _cut(PLACES, HEAD, np.array([50.0, 70, 4, 4]), np.array([48.0, 40, 4, 4])).hair[0, ..., :2] / 2
    np.testing.assert_allclose(places[15, -1, 1], places[15, 0, 1], atol=0.5)


def test_one_eye_is_mirrored():
    eyes = _cut(PLACES, HEAD, np.array([60.0, 40, 10, 8]), np.array([40.0, 40, 10, 8])).eyes[..., :2] / 2
    np.testing.assert_allclose(eyes.mean((1, 2)), [(65, 44), (45, 44)], atol=0.5)
    assert (np.diff(eyes[0, 8, :, 0]) >= 0).all()
    assert (np.diff(eyes[1, 8, :, 0]) <= 0).all()
    assert (np.diff(eyes[:, :, 8, 1]) >= 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (63, 63), (20, 2000)])
def test_what_is_no_face_has_no_parts(shape: tuple[int, int], rng: np.random.Generator):
    assert find_anatomy(rng.integers(0, 256, (*shape, 3)).astype(np.uint8)) is None
    assert find_anatomy(np.full((*shape, 3), 128, np.uint8)) is None


@pytest.mark.parametrize("degrees", [-35, 35])
def test_a_tilted_face_is_found_in_the_picture_turned_and_its_frame_is_upright(
    degrees: int, monkeypatch: pytest.MonkeyPatch
):
    upright = draw_face(13, 96)[0]
    tilted = np.asarray(Image.fromarray(upright).rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white"))
    expected, found = anatomy(upright).hair[0], anatomy(tilted).hair[0]
    seen = (expected[..., 3] == 255) & (found[..., 3] == 255)
    difference = np.abs(expected[..., :3].astype(float) - found[..., :3])[seen].mean()
    upside_down = np.abs(expected[..., :3].astype(float) - found[::-1, :, :3])[seen].mean()
    assert difference < 0.55 * upside_down
    monkeypatch.setattr("nijigan.vision.anatomy.TURNS", ())
    assert find_anatomy(tilted) is None
