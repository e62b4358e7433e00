import io
import json
import os
import time
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from nijigan.errors import UserError
from nijigan.generator import saving as module
from nijigan.generator.enlarging import enlarge
from nijigan.generator.face import Face
from nijigan.generator.records import read_face
from nijigan.generator.request import Request
from nijigan.generator.saving import generate
from small import ATTRIBUTES, small_generator, smooth_generator


@pytest.fixture(scope="module")
def generator():
    return small_generator()


def pixels(path):
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def test_a_grid_shows_the_faces_in_rows(generator, tmp_path):
    generate(generator, tmp_path / "new" / "grid.png", n=5, seed=7, psi=0.5, columns=3)
    picture = pixels(tmp_path / "new" / "grid.png")
    assert picture.shape == (2 * 34 + 2, 3 * 34 + 2, 3)
    for index, face in enumerate(generator.sample(5, seed=7, psi=0.5)):
        top, left = 2 + index // 3 * 34, 2 + index % 3 * 34
        np.testing.assert_array_equal(picture[top : top + 32, left : left + 32], face)
    assert (picture[36:, 70:] == 255).all()  # where a sixth face would be


def test_a_grid_records_how_to_generate_it_again(generator, tmp_path):
    generate(generator, tmp_path / "grid.png", n=4, seed=7, psi=0.5, columns=3, scale=2)
    with Image.open(tmp_path / "grid.png") as image:
        record = json.loads(image.text["nijigan"])
    requested = {"n": 4, "seed": 7, "psi": 0.5, "attributes": {}, "each": None, "columns": 3, "scale": 2}
    requested["upscaler"] = "learnt"
    assert record == {"weights": generator.weights_hash} | requested
    with pytest.raises(UserError, match="shows many faces"):
        read_face(tmp_path / "grid.png")


@pytest.mark.parametrize("suffix", [".webp", ".jpg", ".JPEG"])
def test_a_grid_in_other_formats(tmp_path, suffix):
    generate(smooth_generator(), tmp_path / f"grid{suffix}", n=4)
    generate(smooth_generator(), tmp_path / "grid.png", n=4)
    difference = pixels(tmp_path / f"grid{suffix}").astype(int) - pixels(tmp_path / "grid.png")
    assert np.abs(difference).mean() < 3


def test_one_face_is_a_picture_without_a_frame(generator, tmp_path):
    generate(generator, tmp_path / "face.png", n=1, seed=3, scale=2)
    np.testing.assert_array_equal(pixels(tmp_path / "face.png"), enlarge(generator.sample(1, seed=3), 2)[0])
    assert read_face(tmp_path / "face.png") == Face(generator.weights_hash, 3, 1.0)


def test_a_folder_gets_one_png_per_face(generator, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 4)
    generate(generator, tmp_path, n=1, seed=11, psi=0)
    (tmp_path / "other.png").write_text("someone else's")
    done = []
    generate(generator, tmp_path, n=10, seed=7, psi=0.7, progress=lambda *now: done.append(now))
    assert done == [(4, 10), (8, 10), (10, 10)]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["other.png", *(f"seed-{seed:06d}.png" for seed in range(7, 17))]
    assert (tmp_path / "other.png").read_text() == "someone else's"
    for seed, expected in zip(range(7, 17), generator.sample(10, seed=7, psi=0.7), strict=True):
        path = tmp_path / f"seed-{seed:06d}.png"
        face = read_face(path)
        assert face == generator.face(seed, 0.7)
        assert np.abs(pixels(path).astype(int) - expected).max() <= 1
        again = generator.sample(1, seed=face.seed, psi=face.psi)[0]
        assert np.abs(pixels(path).astype(int) - again).max() <= 1


def test_a_stopped_folder_goes_on_where_it_was(tmp_path, monkeypatch):
    generator, drawn = small_generator(**ATTRIBUTES), []
    synthesise = generator.synthesise
    monkeypatch.setattr(generator, "synthesise", lambda z, *a, **k: (drawn.append(len(z)), synthesise(z, *a, **k))[1])
    monkeypatch.setattr(module, "BATCH", 4)
    generate(generator, tmp_path / "whole", n=10, attributes={"hair": "red"})
    generate(generator, tmp_path / "part", n=6, attributes={"hair": "red"})
    damaged, other = (tmp_path / "part" / f"seed-00000{seed}.png" for seed in (1, 3))
    damaged.write_bytes(damaged.read_bytes()[:-30])
    (tmp_path / "part" / "seed-000002.png").write_bytes(b"")  # a loss of power may leave this
    generate(generator, tmp_path / "part", n=1, seed=3, attributes={"hair": "blue"})
    drawn.clear()
    done = []
    generate(generator, tmp_path / "part", n=10, attributes={"hair": "red"}, progress=lambda *now: done.append(now))
    assert drawn == [3, 2, 2]  # damaged, empty, with other hair; then seeds 6 and 7; then 8 and 9
    assert done == [(4, 10), (8, 10), (10, 10)]
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "part" / path.name).read_bytes()
    generate(generator, tmp_path / "part", n=10, attributes={"hair": "red"}, scale=2)
    assert pixels(other).shape == (64, 64, 3)  # another size is drawn again


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_named_like_a_face_is_refused(generator, tmp_path):
    os.mkfifo(tmp_path / "seed-000001.png")
    with pytest.raises(UserError, match="not a file"):
        generate(generator, tmp_path, n=2)


def test_few_faces_wait_to_be_written(generator, tmp_path, monkeypatch):
    """Memory is constant, however slow the disk is."""
    monkeypatch.setattr(module, "BATCH", 3)
    synthesised, written, most = 0, 0, 0
    synthesise, encode = generator.synthesise, module.face_png

    def counted(latents, *arguments, **options):
        nonlocal synthesised, most
        synthesised += len(latents)
        most = max(most, synthesised - written)
        return synthesise(latents, *arguments, **options)

    def slow(face, image):
        nonlocal written
        time.sleep(0.005)
        written += 1
        return encode(face, image)

    monkeypatch.setattr(generator, "synthesise", counted)
    monkeypatch.setattr(module, "face_png", slow)
    generate(generator, tmp_path / "faces.zip", n=60)
    assert synthesised == written == 60
    assert most <= 4 * module.BATCH + 1


def test_a_folder_is_created(generator, tmp_path):
    generate(generator, tmp_path / "a" / "b", n=2)
    assert len(list((tmp_path / "a" / "b").iterdir())) == 2


def test_a_zip_holds_the_same_pngs_and_is_the_same_twice(generator, tmp_path):
    for name in ("one.zip", "two.zip"):
        generate(generator, tmp_path / name, n=70, seed=2**40)
    generate(generator, tmp_path / "folder", n=70, seed=2**40)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with ZipFile(tmp_path / "one.zip") as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {path.name for path in (tmp_path / "folder").iterdir()}
        for entry in archive.infolist():
            assert archive.read(entry) == (tmp_path / "folder" / entry.filename).read_bytes()
            assert entry.external_attr >> 16 == 0o644
        first = io.BytesIO(archive.read(archive.namelist()[0]))
        assert read_face(first).seed == 2**40


def test_many_faces_are_streamed(generator, tmp_path, monkeypatch):
    """Each batch is written before the next is generated: when the third fails, two have been written."""
    monkeypatch.setattr(module, "BATCH", 3)
    synthesise, calls = generator.synthesise, []

    def failing(latents, codes, **arguments):
        calls.append(len(latents))
        if len(calls) == 3:
            raise UserError("no more")
        return synthesise(latents, codes, **arguments)

    monkeypatch.setattr(generator, "synthesise", failing)
    with pytest.raises(UserError, match="no more"):
        generate(generator, tmp_path, n=100_000)
    assert len(list(tmp_path.iterdir())) == 6
    calls.clear()
    with pytest.raises(UserError, match="no more"):
        generate(generator, tmp_path / "faces.zip", n=100_000)
    assert len(list(tmp_path.iterdir())) == 6  # and no half zip


@pytest.mark.parametrize(
    ("out", "arguments", "sentence"),
    [
        ("grid.png", {"n": 0}, "1 or more"),
        ("grid.png", {"n": -5}, "1 or more"),
        ("grid.png", {"seed": -1}, "seed"),
        ("folder", {"n": 100, "seed": 2**63 - 99}, "seed"),
        ("folder", {"psi": -0.5}, "psi"),
        ("folder", {"psi": float("nan")}, "psi"),
        ("grid.png", {"scale": 0}, "scale"),
        ("folder", {"scale": 10**6}, "scale"),
        ("grid.png", {"columns": 0}, "columns"),
        ("folder", {"columns": 3}, "Columns apply only to a grid"),
        ("faces.zip", {"columns": 3}, "Columns apply only to a grid"),
        ("grid.png", {"n": 4097}, r"too large.*a folder or a \.zip"),
        ("grid.png", {"n": 4096, "scale": 8}, "too large"),
        ("grid.png", {"n": 600, "columns": 1}, "too large"),
        ("grid.png", {"n": 4, "columns": 10**9}, "too large"),
        ("grid.jpg", {"seeds": range(0, 2**62, 2**50)}, r"cannot record so many seeds.*\.png"),
        ("grid.png", {"scale": 2.5}, "scale must be an integer"),
        ("grid.png", {"columns": "3"}, "columns must be an integer"),
        ("grid.png", {"seeds": [1.5]}, "no integer"),
        ("a\0b.png", {}, "null"),
        ("grid.tiff", {}, r"grid\.tiff.*\.png, \.webp or \.jpg"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_generated(
    generator, tmp_path, monkeypatch, out, arguments, sentence
):
    monkeypatch.setattr(generator, "synthesise", lambda *_: pytest.fail("something was generated"))
    with pytest.raises(UserError, match=sentence):
        generate(generator, tmp_path / out, **arguments)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_a_user_error(generator, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="is a file"):
        generate(generator, tmp_path / "file", n=1)
    assert (tmp_path / "file").read_text() == "not a folder"


def test_the_largest_grid_is_within_its_bounds(generator, monkeypatch):
    Request(generator, range(4096)).check_canvas("advice")
    monkeypatch.setattr(Request, "side", 16_379)
    Request(generator, [1]).check_canvas("advice")
    monkeypatch.setattr(Request, "side", 16_380)
    with pytest.raises(UserError, match="too large.*advice"):
        Request(generator, [1]).check_canvas("advice")


@pytest.fixture(scope="module")
def conditional():
    return small_generator(**ATTRIBUTES)


def test_each_value_is_a_row_that_differs_only_in_it(conditional, tmp_path):
    generate(conditional, tmp_path / "matrix.png", n=4, seed=7, each="hair")
    picture = pixels(tmp_path / "matrix.png")
    assert picture.shape[0] == 3 * 34 + 2
    margin = picture.shape[1] - (4 * 34 + 2)
    assert picture.shape[:2] == Request(conditional, range(7, 11), each="hair").canvas
    assert (picture[:, :margin] < 128).any()  # names
    eyes = conditional.codes(range(7, 11))[:, 1]
    for row, hair in enumerate(("black", "blue", "red")):
        for column, eye in enumerate(eyes):
            face = conditional.sample(1, seed=7 + column, hair=hair, eyes=("green", "red")[eye])[0]
            top, left = 2 + row * 34, margin + 2 + column * 34
            np.testing.assert_array_equal(picture[top : top + 32, left : left + 32], face)
    with Image.open(tmp_path / "matrix.png") as image:
        record = json.loads(image.text["nijigan"])
    assert [record[key] for key in ("n", "seed", "each", "attributes")] == [4, 7, "hair", {}]


def test_faces_of_each_value_record_all_their_attributes(conditional, tmp_path):
    generate(conditional, tmp_path, n=2, seed=7, each="eyes", attributes={"hair": "blue"})
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "seed-000007-00-green.png", "seed-000007-01-red.png", "seed-000008-00-green.png", "seed-000008-01-red.png",
    ]  # fmt: skip
    face = read_face(tmp_path / "seed-000008-01-red.png")
    assert face == Face(conditional.weights_hash, 8, 1.0, {"hair": "blue", "eyes": "red"})
    np.testing.assert_array_equal(
        pixels(tmp_path / "seed-000008-01-red.png"), conditional.sample(1, seed=8, **face.attributes)[0]
    )


def test_requested_values_are_recorded_and_generated(conditional, tmp_path):
    generate(conditional, tmp_path / "face.png", n=1, seed=3, attributes={"hair": "red", "eyes": "any"})
    assert read_face(tmp_path / "face.png").attributes == {"hair": "red"}
    np.testing.assert_array_equal(pixels(tmp_path / "face.png"), conditional.sample(1, seed=3, hair="red")[0])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"each": "hat"}, "has no attribute hat; its attributes are hair, eyes"),
        ({"each": "hair", "attributes": {"hair": "red"}}, "one of the two"),
        ({"each": "hair", "n": 481}, "too large"),  # only with the names of the rows
        ({"attributes": {"hair": "mauve"}}, "hair cannot be mauve; choose black, blue, red or any"),
    ],
)
def test_impossible_attributes_are_refused(conditional, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.setattr(conditional, "synthesise", lambda *_: pytest.fail("something was generated"))
    with pytest.raises(UserError, match=sentence):
        generate(conditional, tmp_path / "grid.png", **arguments)
    assert not any(tmp_path.iterdir())


def test_the_faces_of_each_value_fill_whole_rows(conditional, tmp_path):
    generate(conditional, tmp_path / "matrix.png", each="eyes", columns=2, seeds=[9, 2, 5])
    picture = pixels(tmp_path / "matrix.png")
    margin = picture.shape[1] - (2 * 34 + 2)
    assert picture.shape[0] == 4 * 34 + 2
    hair = conditional.codes([9, 2, 5])[:, 0]
    for index, (seed, code) in enumerate(zip([9, 2, 5], hair, strict=True)):
        face = conditional.sample(1, seed=seed, eyes="red", hair=("black", "blue", "red")[code])[0]
        top, left = 2 + (2 + index // 2) * 34, margin + 2 + index % 2 * 34
        np.testing.assert_array_equal(picture[top : top + 32, left : left + 32], face)
    assert (picture[36:68, margin + 36 :] == 255).all()  # no face of the next value


def test_chosen_seeds_are_generated_in_their_order(generator, tmp_path):
    generate(generator, tmp_path / "grid.png", seeds=(17, 3), columns=2)
    np.testing.assert_array_equal(pixels(tmp_path / "grid.png")[2:34, 2:34], generator.sample(1, seed=17)[0])
    generate(generator, tmp_path / "faces", seeds=(17, 3))
    assert sorted(path.name for path in (tmp_path / "faces").iterdir()) == ["seed-000003.png", "seed-000017.png"]


def test_an_empty_name_is_not_the_current_folder(generator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is empty"):
        generate(generator, "", n=1)
    assert not list(tmp_path.iterdir())


def test_another_upscaler_is_refused(generator):
    with pytest.raises(UserError, match="There is no upscaler 'waifu2x'; choose one of learnt, lanczos, none"):
        Request(generator, [0], upscaler="waifu2x")
