"""What pictures, films and archives record, and what is taken for a file of nijigan's own."""

import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from nijigan.errors import UserError
from nijigan.generator.face import Face
from nijigan.generator.records import MARK, check_replaceable, read_face, save_picture
from nijigan.generator.saving import generate
from small import ATTRIBUTES, small_generator

SUFFIXES = [".png", ".jpg", ".JPEG", ".webp"]
WEIGHTS = "ab" * 32
FACE = Face(WEIGHTS, 7)


@pytest.fixture(scope="module")
def conditional():
    return small_generator(**ATTRIBUTES)


def picture(record=None, suffix=".png"):
    buffer = io.BytesIO()
    image = Image.new("RGB", (4, 4))
    if record is None:
        image.save(buffer, Image.registered_extensions()[suffix])
    else:
        save_picture(image, buffer, suffix, record)
    return buffer.getvalue()


def png_with(*chunks):
    """A PNG with more chunks after its first."""
    data = picture()
    packed = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return data[:33] + packed + data[33:]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_records_the_face_that_it_shows(conditional, tmp_path, suffix):
    path = tmp_path / f"face{suffix}"
    generate(conditional, path, n=1, seed=2**62, psi=0.7, attributes={"hair": "blue"})
    assert read_face(path) == Face(conditional.weights_hash, 2**62, 0.7, {"hair": "blue"})
    generate(conditional, path, n=2)
    with pytest.raises(UserError, match="shows many faces"):
        read_face(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_value_in_any_script_is_recorded(tmp_path, suffix):
    face = Face(WEIGHTS, 7, 1.0, {"hair": "灰色　薄い", "eyes": "🏳️‍🌈"})
    (tmp_path / f"face{suffix}").write_bytes(picture(face.to_json(), suffix.lower()))
    assert read_face(tmp_path / f"face{suffix}") == face


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (picture(), "has no record of the face"),
        (picture(suffix=".jpg"), "has no record of the face"),
        (picture(suffix=".webp"), "has no record of the face"),
        (picture(suffix=".bmp"), "Could not read"),
        (picture(""), "not valid"),
        (picture("{}", ".jpg"), "not valid"),
        (picture("{}", ".webp"), "not valid"),
        (picture('{"n": 4, "weights": "a", "seed": 7, "psi": 1.0}'), "shows many faces"),
        (picture(f'{{"weights": "{WEIGHTS}", "seed": 7, "psi": 1.0, "size": 4}}'), "size"),
        (picture(f'{{"weights": "{WEIGHTS}", "seed": -7, "psi": 1.0}}'), "seed"),
        (picture(f'{{"weights": "{WEIGHTS}", "seed": {"9" * 5000}}}'), "not valid"),
        (picture(f'{{"weights": "{WEIGHTS}", "seed": 7, "psi": 1e999}}'), "psi"),
        (picture(f'{{"weights": "{WEIGHTS}", "seed": 7, "psi": NaN}}'), "psi"),
        (picture('{"weights": "../../etc/passwd", "seed": 7}'), "hash of weights"),
        (picture(FACE.to_json().replace("{}", r'{"hair": "\u001b]0;owned\u0007"}')), "control character"),
        (picture(FACE.to_json().replace("{}", r'{"hair": "\ud800"}')), "not valid"),
        (picture(FACE.to_json().replace("{}", r'{"a\u0000b": "red"}')), "no valid name"),
        (picture(FACE.to_json().replace("{}", f'{{"hair": "{"x" * 101}"}}')), "more than 100"),
        (picture("[" * 100_000), "not valid"),
        (picture('{"a":' * 100_000), "not valid"),
        (b"", "Could not read"),
        (b"text named .png", "Could not read"),
        (picture("{}")[:30], "Could not read|does not say"),
        (png_with((b"zTXt", b"nijigan\0\0" + zlib.compress(bytes(200 << 20), 1))), "Could not read"),
        (png_with((b"tEXt", b"nijigan\0" + b"\xff" * 50)), "not valid"),
        (png_with((b"tEXt", b"nijigan\0" + b"9" * (2 << 20))), "Could not read|not valid"),
        (png_with((b"eXIf", b"Exif\0\0MM\0*\xff\xff\xff\xff")), "has no record"),
        (picture(FACE.to_json(), ".jpg").replace(b"MM\0*\0\0\0\x08", b"MM\0*\xff\xff\xff\xff"), "record|Could not"),
    ],
)
def test_pictures_without_a_face_are_a_user_error(tmp_path, content, sentence):
    (tmp_path / "face.png").write_bytes(content)
    with pytest.raises(UserError, match=sentence) as raised:
        read_face(tmp_path / "face.png")
    assert len(str(raised.value)) < 600
    assert "\x1b" not in str(raised.value)


def test_damage_anywhere_in_a_picture_is_a_face_or_a_user_error(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "face"
    for suffix in (".png", ".jpg", ".webp"):
        whole = picture(FACE.to_json(), suffix)
        for _ in range(60):
            data = bytearray(whole)
            data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
            path.write_bytes(data[: rng.integers(len(data) // 2, len(data) + 1)])
            with suppress(UserError):
                assert isinstance(read_face(path), Face)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (Path("none.png"), tmp_path, tmp_path / "pipe.png"):
        with pytest.raises(UserError, match="no such file|not a regular file"):
            read_face(path)
    with pytest.raises(UserError, match="device or a pipe"):
        check_replaceable(tmp_path / "pipe.png", overwrite=True)


@pytest.mark.parametrize("name", ["face.png", "face.jpg", "grid.webp", "faces.zip"])
def test_only_files_of_nijigan_are_replaced(conditional, tmp_path, name):
    path, foreign = tmp_path / name, tmp_path / "foreign"
    with ZipFile(foreign, "w") as archive:
        archive.writestr("thesis.txt", MARK + "{}")
    for content in (foreign.read_bytes() if name.endswith(".zip") else picture(suffix=path.suffix), b"a thesis"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"{name} was not written by nijigan.*--overwrite"):
            generate(conditional, path, n=2)
        assert path.read_bytes() == content
    generate(conditional, path, n=2, overwrite=True)
    first = path.read_bytes()
    generate(conditional, path, n=2, seed=9)  # its own file, without being asked
    assert path.read_bytes() != first


def test_faces_are_not_written_among_those_of_a_dataset(conditional, tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(UserError, match="is a dataset of real faces; choose another folder"):
        generate(conditional, tmp_path, n=2)
    generate(conditional, tmp_path, n=2, overwrite=True)


def test_a_folder_keeps_foreign_faces_and_those_of_other_generators(conditional, tmp_path):
    generate(conditional, tmp_path, n=2)
    generate(conditional, tmp_path, n=2, attributes={"hair": "red"})  # its own files
    with pytest.raises(UserError, match="has faces of another generator"):
        generate(small_generator(), tmp_path, n=1, seed=500)
    (tmp_path / "seed-000000.png").write_bytes(picture())
    with pytest.raises(UserError, match=r"seed-000000\.png was not written by nijigan"):
        generate(conditional, tmp_path, n=2)
    assert (tmp_path / "seed-000000.png").read_bytes() == picture()
    assert len(list(tmp_path.iterdir())) == 2
    generate(conditional, tmp_path, n=2, overwrite=True)
    assert read_face(tmp_path / "seed-000000.png").weights == conditional.weights_hash


def test_a_jpeg_refuses_a_record_that_it_cannot_hold():
    with pytest.raises(UserError, match=r"write a \.png"):
        picture("x" * 70_000, ".jpg")
