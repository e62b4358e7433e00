"""Enlarging faces: three ways, each against an independent one."""

import numpy as np
import pytest
from PIL import Image

from nijigan.generator import enlarging
from nijigan.generator.enlarging import enlarge
from nijigan.pictures import enlarge as resample
from nijigan.procedural.faces import draw_faces


@pytest.fixture(scope="module")
def faces():
    return draw_faces(4)[0]


def error(a, b):
    return np.abs(a.astype(int) - b).mean()


def test_a_factor_of_one_changes_nothing(faces):
    assert all(enlarge(faces, 1, how) is faces for how in ("learnt", "lanczos", "none"))


def test_without_an_upscaler_every_pixel_becomes_a_square(faces):
    larger = enlarge(faces, 3, "none")
    assert np.array_equal(larger, np.kron(faces, np.ones((1, 3, 3, 1), np.uint8)))


def test_lanczos_is_that_of_pillow(faces):
    assert np.array_equal(enlarge(faces, 3, "lanczos"), resample(faces, 3))


@pytest.mark.parametrize("scale", [2, 3, 4, 6])
def test_the_learnt_one_keeps_what_was_there(faces, scale):
    larger = enlarge(faces, scale)
    assert larger.shape == (4, 64 * scale, 64 * scale, 3)
    assert larger.dtype == np.uint8
    back = [np.asarray(Image.fromarray(face).resize((64, 64), Image.Resampling.BOX)) for face in larger]
    assert error(np.stack(back), faces) < 4


def test_the_learnt_one_sees_faces_of_every_size_and_number(faces):
    wide = np.concatenate([faces[0], faces[1]], axis=1)[None, :50]
    assert enlarge(wide, 2).shape == (1, 100, 256, 3)
    together = enlarge(faces, 2)
    apart = np.concatenate([enlarge(face[None], 2) for face in faces])
    assert np.abs(together.astype(int) - apart).max() <= 1


def test_a_plain_colour_stays_plain_up_to_its_border():
    plain = np.full((1, 16, 16, 3), (200, 40, 90), np.uint8)
    assert np.abs(enlarge(plain, 2).astype(int) - (200, 40, 90)).max() <= 2


def test_torch_and_onnxruntime_agree(faces, monkeypatch):
    pytest.importorskip("onnxruntime")
    fast = enlarge(faces, 2)
    monkeypatch.setattr(enlarging, "is_available", lambda: False)
    assert np.abs(fast.astype(int) - enlarge(faces, 2)).max() <= 1
