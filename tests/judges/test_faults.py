import numpy as np
import pytest

from nijigan.judges.faults import find_faults, worst_fault
from nijigan.judges.looks import COLOURS, SHARPNESS, looks
from nijigan.metrics.score import Score
from nijigan.procedural.faces import draw_faces

N = 400


def found(**changes: object) -> dict[str, tuple[float, np.ndarray, str]]:
    """Faults of generated faces that are like real ones but for the changes."""
    random = np.random.default_rng(0)
    given = {
        "yields": Score(0.9, floor=0.9), "coverage": Score(0.9, floor=0.9),
        "keep": random.uniform(size=N).astype(np.float32),
        "generated": random.normal(size=(N, 6)).astype(np.float32),
        "real": random.normal(size=(N, 6)).astype(np.float32),
        "gaps": random.uniform(size=N).astype(np.float32),
    } | changes  # fmt: skip
    scores = {"yield": given["yields"], "coverage": given["coverage"]}
    faults = find_faults(scores, given["keep"], given["generated"], given["real"], given["gaps"])
    others = [fault.share for fault in faults if fault.name != "broken"]
    assert others == sorted(others, reverse=True)
    return {fault.name: (fault.share, fault.rows, worst_fault(faults)) for fault in faults}


def test_faces_like_real_ones_have_no_fault() -> None:
    for share, _, sentence in found().values():
        assert share < 0.05
        assert sentence.startswith("None of the four faults stands out")


def test_broken_faces_are_shown_worst_first() -> None:
    keep = np.linspace(1, 0, N, dtype=np.float32)
    share, rows, sentence = found(yields=Score(0.45, floor=0.9), keep=keep)["broken"]
    assert share == 0.5
    assert rows.tolist() == list(range(N - 1, N - 13, -1))
    assert sentence == "The worst fault: broken. People would throw away 55 % of the faces, and 10 % of real ones."


def test_blurred_faces_are_those_less_sharp_than_nearly_all_real_ones() -> None:
    faces = draw_faces(N, seed=1, resolution=32)[0]
    half = faces.copy()
    half[::2] = half[::2].reshape(-1, 16, 2, 16, 2, 3).mean((2, 4)).repeat(2, 1).repeat(2, 2).astype(np.uint8)
    half[::2] = (half[::2, [0, *range(31)]].astype(int) + half[::2]) // 2
    generated = looks(half)
    assert (generated[::2, SHARPNESS] < looks(faces)[::2, SHARPNESS]).mean() > 0.95
    generated[::2, SHARPNESS] -= 10
    share, rows, _ = found(generated=generated, real=looks(faces))["blurred"]
    assert share == pytest.approx(0.5, abs=0.05)
    assert (rows % 2 == 0).all()


def test_sharpness_does_not_depend_on_contrast_and_falls_with_blur() -> None:
    faces = draw_faces(30, seed=2, resolution=64)[0]
    soft = np.stack([(faces.astype(float) + np.roll(faces, 1, axis) + np.roll(faces, -1, axis)) / 3 for axis in (1, 2)])
    assert (looks(soft.mean(0).astype(np.uint8))[:, SHARPNESS] < looks(faces)[:, SHARPNESS]).all()
    flat = (127 + (faces.astype(float) - 127) / 2).astype(np.uint8)
    assert looks(flat)[:, SHARPNESS] == pytest.approx(looks(faces)[:, SHARPNESS], abs=0.5)


def test_narrow_shows_the_real_faces_farthest_from_generated_ones() -> None:
    gaps = np.arange(N, dtype=np.float32)
    share, rows, sentence = found(coverage=Score(0.09, floor=0.9), gaps=gaps)["narrow"]
    assert share == pytest.approx(0.9)
    assert rows.tolist() == list(range(N - 1, N - 13, -1))
    assert "90 % of the kinds of real faces are not generated" in sentence


def test_where_hardly_a_face_is_whole_broken_is_the_worst() -> None:
    generated = np.full((N, 6), 9, np.float32)
    shares = found(yields=Score(0.05, floor=0.9), coverage=Score(0.0, floor=0.9), generated=generated)
    assert list(shares) == ["broken", "narrow", "off-colour", "blurred"]
    assert shares["broken"][2].startswith("The worst fault: broken.")


@pytest.mark.parametrize("column", COLOURS)
@pytest.mark.parametrize("high", [False, True])
def test_off_colour_names_the_colour_and_its_direction(column: int, high: bool) -> None:
    generated = np.random.default_rng(3).normal(size=(N, 6)).astype(np.float32)
    generated[:, column] += 4 if high else -4
    share, rows, sentence = found(generated=generated)["off-colour"]
    assert share > 0.8
    assert f"too {COLOURS[column][1 + high]} for real ones" in sentence
    order = np.argsort(generated[:, column])
    assert set(rows) == set(order[-12:] if high else order[:12])


def test_grey_faces_are_pale_and_equal_ones_vary_less() -> None:
    faces = draw_faces(N, seed=4, resolution=32)[0]
    grey = np.broadcast_to(faces.mean(3, keepdims=True), faces.shape).astype(np.uint8)
    assert "too pale" in found(generated=looks(grey), real=looks(faces))["off-colour"][2]
    same = np.random.default_rng(5).normal(size=(N, 6)).astype(np.float32)
    same[:, 1] /= 10
    assert "lightness varies less than in real faces" in found(generated=same)["off-colour"][2]


def test_looks_of_plain_pictures_are_known() -> None:
    pictures = np.zeros((3, 16, 16, 3), np.uint8)
    pictures[1], pictures[2] = 255, (255, 0, 0)
    found = looks(pictures)
    assert found[:2, 1] == pytest.approx([0, 1], abs=1e-3)  # black and white
    assert found[2, 1:5] == pytest.approx([0.628, 0.225, 0.126, 0.258], abs=2e-3)  # OKLab of sRGB red, by its author
    assert (found[:, 5] < 1e-3).all()
    assert np.isfinite(found).all()
    assert looks(pictures[:0]).shape == (0, 6)
