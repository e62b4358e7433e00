"""Uploads: pictures of any size and kind become what a generator could have made, and hostile ones are refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from nijigan.dataset.decode import to_png
from nijigan.errors import UserError
from nijigan.inversion import uploads
from nijigan.inversion.uploads import prepare
from nijigan.procedural.faces import draw_faces
from nijigan.vision.finder import FoundFace, has_face
from nijigan.vision.framing import MARGIN, square_about


def faces() -> list[Image.Image]:
    drawn = draw_faces(12, resolution=192)[0]
    return [Image.fromarray(face) for face in drawn if has_face(face)]


def test_a_face_is_cut_out_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    face = faces()[0]
    canvas = Image.new("RGB", (900, 600), (225, 230, 240))
    canvas.paste(face, (60, 330))
    upload = prepare(to_png(canvas), 64)
    assert upload.found
    assert has_face(np.asarray(Image.fromarray(upload.pixels).resize((192, 192))))
    box = FoundFace(100, 380, 120, 120, 0.9)
    monkeypatch.setattr(uploads, "find_faces", lambda pixels: [box, FoundFace(0, 0, 300, 300, 0.6)])
    cut = canvas.crop(square_about(box, 900, 600, MARGIN)).resize((64, 64), Image.Resampling.LANCZOS)
    assert np.array_equal(prepare(canvas, 64).pixels, np.asarray(cut))


def test_a_picture_that_is_a_face_is_used_whole() -> None:
    face = faces()[0]
    upload = prepare(face, 64)
    assert np.array_equal(upload.pixels, np.asarray(face.resize((64, 64), Image.Resampling.LANCZOS)))
    exact = Image.fromarray(upload.pixels)
    assert np.array_equal(prepare(to_png(exact), 64).pixels, upload.pixels)


def test_without_a_face_or_a_finder_the_centre_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Image.linear_gradient("L").resize((300, 200)).convert("RGB")
    centre = np.asarray(plain.crop((50, 0, 250, 200)).resize((32, 32), Image.Resampling.LANCZOS))
    upload = prepare(plain, 32)
    assert not upload.found
    assert np.array_equal(upload.pixels, centre)

    def missing(picture: object) -> None:
        raise UserError("The face detector animeface cannot be loaded.")

    monkeypatch.setattr(uploads, "find_faces", missing)
    assert not prepare(faces()[0], 32).found


def test_kinds_of_pictures_are_treated_as_in_the_import() -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    assert (prepare(clear, 16).pixels == 255).all()  # transparent on white
    stream = io.BytesIO()
    turned = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(stream, "JPEG", exif=exif)
    assert prepare(stream.getvalue(), 16).pixels.shape == (16, 16, 3)
    for mode in ("L", "P", "1", "CMYK", "I;16", "LA", "F"):
        assert prepare(Image.new(mode, (20, 30)), 8).pixels.shape == (8, 8, 3)


def bomb(side: int) -> bytes:
    """A PNG of a few kB that would need side × side × 3 bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"GIF89a", "cannot be used"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "JPEG, PNG, WebP or GIF"),
        (bomb(50_000), "more than 67,108,864 pixels"),
        (bomb(400), "damaged"),
        (to_png(Image.effect_noise((64, 64), 50))[:900], "cannot be used"),
        (b"%PDF-1.4", "cannot be used"),
    ],
)
def test_hostile_pictures_are_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        prepare(data, 64)


def test_limits_hold_for_opened_pictures_too() -> None:
    with pytest.raises(UserError, match="200×200 is more than 10,000 pixels"):
        prepare(Image.new("RGB", (200, 200)), 64, max_pixels=10_000)
    broken = Image.open(io.BytesIO(bomb(400)))
    with pytest.raises(UserError, match="damaged"):
        prepare(broken, 64)
