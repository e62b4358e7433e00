import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from blobs import blob, encode, png
from nijigan.dataset import decode as decoder
from nijigan.dataset.decode import TooLargeError, UnreadableError, decode, square, to_png
from nijigan.pictures import resize


def colour(data: bytes) -> tuple[int, ...]:
    image = decode(data).image
    assert image.mode == "RGB"
    return image.getpixel((0, 0))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_plain_pictures_are_told_apart(kind: str) -> None:
    picture = decode(encode(blob(0), kind))
    assert picture.plain
    assert picture.image.size == (48, 48)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encode(Image.new("L", (4, 4), 77)), (77, 77, 77)),
        (encode(Image.new("L", (8, 8), 77), "JPEG"), (77, 77, 77)),
        (encode(Image.new("1", (4, 4), 1)), (255, 255, 255)),
        (encode(Image.new("RGBA", (4, 4), (255, 0, 0, 0))), (255, 255, 255)),
        (encode(Image.new("RGBA", (4, 4), (255, 0, 0, 51))), (255, 204, 204)),  # 20 % red over white
        (encode(Image.new("RGBA", (4, 4), (0, 0, 255, 204)), "WEBP", lossless=True), (51, 51, 255)),
        (encode(Image.new("LA", (4, 4), (0, 102))), (153, 153, 153)),
        (encode(Image.new("RGB", (4, 4), (9, 8, 7)).quantize(2)), (9, 8, 7)),
        (encode(Image.new("RGB", (4, 4), (9, 8, 7)), transparency=(9, 8, 7)), (255, 255, 255)),
        (encode(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG"), (255, 255, 255)),
        (encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100), (255, 0, 0)),
        (encode(Image.new("RGB", (4, 4), (0, 255, 0)), "GIF"), (0, 255, 0)),
        (png(1, 1, 16, 0, b"\0" + struct.pack(">H", 257 * 100)), (100, 100, 100)),  # deep grey: scaled, not clipped
        (png(1, 1, 16, 0, b"\0\xff\xff"), (255, 255, 255)),
        (png(1, 1, 16, 2, b"\0" + struct.pack(">HHH", 257 * 10, 257 * 20, 257 * 30)), (10, 20, 30)),
        (png(1, 1, 16, 6, b"\0" + struct.pack(">HHHH", 65535, 0, 0, 0)), (255, 255, 255)),
    ],
)  # fmt: skip
def test_other_pictures_are_converted(data: bytes, expected: tuple[int, ...]) -> None:
    assert colour(data) == pytest.approx(expected, abs=1)
    assert not decode(data).plain


def test_gif_and_webp_animations_give_their_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), name) for name in ("red", "blue")]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True})):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert colour(data) == (255, 0, 0)
        assert not decode(data).plain


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = Image.new("RGB", (24, 16), "white")
    upright.paste((255, 0, 0), (0, 0, 8, 8))
    # The transformations that undo the eight orientations, in the order of the EXIF standard.
    undo = [
        None,
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_90,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_270,
    ][orientation - 1]
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("JPEG", "PNG"):
        picture = decode(encode(stored, kind, exif=exif))
        assert picture.image.size == (24, 16)
        assert picture.image.getpixel((2, 2))[1] < 60
        assert picture.image.getpixel((20, 2))[1] > 200
        assert picture.plain == (orientation == 1)


def test_broken_exif_loses_no_picture() -> None:
    assert decode(encode(blob(0), "JPEG", exif=b"Exif\0\0 nonsense")).image.size == (48, 48)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"just some words",
        b"\x89PNG\r\n\x1a\n",
        encode(blob(1), "JPEG")[:300],
        encode(blob(1), "PNG")[:-40],
        encode(blob(1), "WEBP")[:200],
        encode(blob(1), "BMP"),
    ],
)  # fmt: skip
def test_damaged_files_are_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        decode(data)


def test_a_huge_header_is_refused_before_any_pixel() -> None:
    bomb = png(60_000, 60_000, 8, 2, b"")
    with pytest.raises(TooLargeError):
        decode(bomb)
    with pytest.raises(TooLargeError, match="40×30"):
        decode(encode(blob(0, 40, 30)), max_pixels=1199)
    assert decode(encode(blob(0, 40, 30)), max_pixels=1200).plain


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]), st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_whatever_is_in_a_file_decoding_ends_in_a_picture_or_a_reason(kind: str, place: int, patch: bytes) -> None:
    data = bytearray(encode(blob(3), kind))
    data[place % len(data) : place % len(data) + len(patch)] = patch
    try:
        image = decode(bytes(data), max_pixels=10**6).image
    except UnreadableError:
        return
    assert image.mode == "RGB"


def test_a_jpeg_with_thousands_of_scans_is_refused() -> None:
    data = encode(blob(0), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    assert decode(data[:-2] + data[last:-2] * 10 + data[-2:]).plain
    with pytest.raises(UnreadableError, match="more than 200 scans"):
        decode(data[:-2] + data[last:-2] * 5000 + data[-2:])


def test_a_gif_with_a_million_frames_is_not_read_to_its_end() -> None:
    frames = encode(Image.new("P", (4, 4)), "GIF")[:-1] + b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x4c\1\0" * 10**6 + b";"
    begun = time.monotonic()
    assert decode(frames).image.size == (4, 4)
    assert time.monotonic() - begun < 1  # reading all of them takes seven


@pytest.mark.parametrize(("width", "height"), [(65_500, 1), (9_000, 200), (3, 30_000)])
def test_long_strips_are_padded_in_little_memory(width: int, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nijigan.dataset.decode.MAX_PIXELS", 2**20)
    real, canvases = Image.new, []
    monkeypatch.setattr(Image, "new", lambda *args: canvases.append(args[1]) or real(*args))
    face = square(real("RGB", (width, height), "black"), 64, pad=True)
    assert face.shape == (64, 64, 3)
    assert face.min() < 250
    assert np.array_equal(face[0] == 255, face[-1] == 255)
    assert max(a * b for a, b in canvases) <= 2**20


@pytest.mark.parametrize(("large", "most"), [(47 * 48, 1), (48 * 48, 4)])
def test_large_pictures_are_decoded_one_at_a_time(large: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "LARGE", large)
    real, at_once, seen = decoder.to_rgb, [], []
    barrier = threading.Barrier(most)

    def to_rgb(image: Image.Image, data: bytes) -> tuple[Image.Image, bool]:
        at_once.append(0)
        barrier.wait(5)
        seen.append(len(at_once))
        at_once.pop()
        return real(image, data)

    monkeypatch.setattr(decoder, "to_rgb", to_rgb)
    with ThreadPoolExecutor(4) as threads:
        assert all(picture.plain for picture in threads.map(decode, [encode(blob(0))] * 4))
    assert max(seen) == most


def test_png_keeps_every_pixel() -> None:
    image = blob(5)
    assert np.array_equal(np.asarray(decode(to_png(image)).image), np.asarray(image))


def test_resize_is_lanczos_with_antialiasing() -> None:
    image = blob(6, 100, 80)
    assert np.array_equal(resize(image, 25, 20), image.resize((25, 20), Image.Resampling.LANCZOS))
    checks = Image.fromarray(np.indices((64, 64)).sum(0).astype(np.uint8) % 2 * 255).convert("RGB")
    assert np.ptp(np.asarray(resize(checks, 16, 16))) <= 4  # without antialiasing it would be black and white


@pytest.mark.parametrize(("width", "height"), [(60, 40), (40, 60), (40, 40)])
def test_square_crops_to_the_centre_or_pads(width: int, height: int) -> None:
    image = blob(7, width, height)
    centre = ImageOps.fit(image, (40, 40), Image.Resampling.LANCZOS)
    assert np.array_equal(square(image, 40), centre)
    padded = square(image, max(width, height), pad=True)
    assert np.array_equal(padded, ImageOps.pad(image, (max(width, height),) * 2, color="white"))
