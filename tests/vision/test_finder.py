"""The face finder: on faces at known places, on pictures without any, and on shapes that are no picture."""

from functools import cache

import numpy as np
import pytest
from PIL import Image

import nijigan
from nijigan.aliases import Images
from nijigan.errors import UserError
from nijigan.procedural.faces import draw_faces
from nijigan.vision.finder import FoundFace, find_faces, has_face, have_faces, may_be_face


@cache
def generated() -> Images:
    return nijigan.load().sample(48, seed=100)


@cache
def findable(count: int) -> Images:
    """Procedural faces that the detector finds. It was trained on another style, and misses some."""
    faces = draw_faces(20, resolution=96)[0]
    return faces[have_faces(faces)][:count]


def paste(canvas: Images, face: Images, x: int, y: int, side: int) -> None:
    canvas[y : y + side, x : x + side] = np.asarray(Image.fromarray(face).resize((side, side)))


def is_at(found: FoundFace, x: int, y: int, side: int) -> bool:
    """Whether a box lies on a face crop, whose middle and lower part are what the detector calls the face."""
    centre_x, centre_y = found.x + found.width / 2, found.y + found.height / 2
    return (
        abs(centre_x - x - side / 2) < side / 5
        and abs(centre_y - y - side / 2) < side / 3
        and 0.4 * side < found.width < 1.1 * side
    )


def test_generated_faces_are_found():
    assert have_faces(generated()).mean() >= 0.8


def test_most_drawn_faces_are_found():
    assert have_faces(draw_faces(40, seed=50, resolution=96)[0]).mean() >= 0.6


def test_every_call_and_every_thread_says_the_same():
    images = np.concatenate([generated()[:16], draw_faces(16)[0]])
    one_by_one = [has_face(image) for image in images]
    assert 0 < sum(one_by_one) < len(images)
    for _ in range(2):
        np.testing.assert_array_equal(have_faces(images), one_by_one)


def test_a_whole_picture_gives_the_same_boxes_on_every_call():
    canvas = np.full((300, 400, 3), 230, np.uint8)
    paste(canvas, findable(1)[0], 100, 60, 150)
    assert find_faces(canvas) == find_faces(canvas.copy())


@pytest.mark.parametrize(("side", "x", "y"), [(64, 300, 200), (100, 12, 7), (180, 400, 100), (320, 80, 30)])
def test_a_pasted_face_is_found_where_it_is(side: int, x: int, y: int):
    canvas = np.full((360, 600, 3), (200, 220, 255), np.uint8)
    paste(canvas, findable(1)[0], x, y, side)
    (found,) = find_faces(canvas)
    assert is_at(found, x, y, side)
    assert 0.5 < found.likelihood <= 1


@pytest.mark.parametrize("side", [64, 96, 256, 700])
def test_a_face_that_fills_the_picture_is_found_once_and_within_it(side: int):
    picture = np.asarray(Image.fromarray(findable(1)[0]).resize((side, side)))
    (found,) = find_faces(picture)
    assert is_at(found, 0, 0, side)
    assert 0 <= found.x < found.x + found.width <= side
    assert 0 <= found.y < found.y + found.height <= side


def test_faces_of_several_sizes_are_found_in_one_large_picture():
    places = [(100, 100, 200), (900, 150, 500), (400, 800, 350), (1500, 1000, 250)]
    canvas = np.full((1400, 2000, 3), 240, np.uint8)
    for face, place in zip(findable(4), places, strict=True):
        paste(canvas, face, *place)
    found = find_faces(canvas)
    assert len(found) == len(places)
    assert all(any(is_at(face, *place) for face in found) for place in places)
    assert [face.likelihood for face in found] == sorted((face.likelihood for face in found), reverse=True)


def test_noise_and_blank_pictures_hold_no_face():
    noise = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3)).astype(np.uint8)
    blank = np.stack([np.full((64, 64, 3), value, np.uint8) for value in (0, 128, 255)])
    assert not have_faces(np.concatenate([noise, blank])).any()
    assert find_faces(np.random.default_rng(1).integers(0, 256, (150, 200, 3)).astype(np.uint8)) == []
    assert find_faces(np.zeros((1500, 900, 3), np.uint8)) == []


def test_a_blurred_face_is_no_face():
    blurred = np.stack([np.asarray(Image.fromarray(image).resize((10, 10)).resize((64, 64))) for image in findable(8)])
    assert not have_faces(blurred).any()


def test_what_may_be_a_face_holds_what_is_one_and_more_but_not_noise():
    faces = np.concatenate([draw_faces(20, resolution=96)[0], draw_faces(20, resolution=96)[0] // 4 + 190])
    strictly, patiently = have_faces(faces), np.array([may_be_face(face) for face in faces])
    assert not (strictly & ~patiently).any()
    assert patiently[20:].mean() >= strictly[20:].mean() + 0.2  # the second half is washed out
    noise = np.random.default_rng(3).integers(0, 256, (12, 64, 64, 3)).astype(np.uint8)
    assert not any(may_be_face(tile) for tile in noise)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 63), (63, 63), (20, 2000)])
def test_pictures_too_small_or_too_thin_hold_no_face(shape: tuple[int, int]):
    picture = np.random.default_rng(2).integers(0, 256, (*shape, 3)).astype(np.uint8)
    assert find_faces(picture) == []
    assert not may_be_face(picture)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 1), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((0, 64, 3), np.uint8),
        np.zeros((2, 64, 64, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_picture_is_refused(picture: Images):
    for function in (find_faces, has_face, may_be_face):
        with pytest.raises(UserError, match="uint8 RGB"):
            function(picture)


def test_views_that_are_not_contiguous_are_read_right():
    face = findable(1)[0]
    canvas = np.zeros((96, 192, 3), np.uint8)
    canvas[:, ::2] = face
    assert find_faces(canvas[:, ::2]) == find_faces(face)


def test_no_crops_have_no_faces_and_progress_counts_them_all():
    assert have_faces(np.zeros((0, 64, 64, 3), np.uint8)).shape == (0,)
    with pytest.raises(UserError, match="uint8 RGB"):
        have_faces(np.zeros((64, 64, 3), np.uint8))
    seen: list[tuple[int, int]] = []
    have_faces(generated()[:3], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
