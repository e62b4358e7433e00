"""The order of the steps from a file to sRGB: turn, profile, key, alpha."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from blobs import blob, encode, png, write
from nijigan.dataset.decode import decode, to_png
from nijigan.dataset.faces import FaceDataset
from nijigan.importing.importer import import_faces

SIZE = (24, 16)
TRANSPOSED = {  # what undoes each orientation, with the axes and steps of an array: the EXIF standard's table
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1), 6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1], 8: lambda a: a.swapaxes(0, 1)[::-1],
}  # fmt: skip


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data).image)


def with_alpha() -> Image.Image:
    image = blob(0, *SIZE)
    image.putalpha(blob(1, *SIZE).convert("L"))
    return image


def palette_with_alpha() -> Image.Image:
    image = blob(0, *SIZE).quantize(8)
    image.info["transparency"] = bytes(range(0, 240, 30))
    return image


KINDS = {
    "RGB": ("PNG", blob(0, *SIZE), {}),
    "L": ("PNG", blob(0, *SIZE).convert("L"), {}),
    "1": ("PNG", blob(0, *SIZE).convert("1"), {}),
    "P": ("PNG", blob(0, *SIZE).quantize(8), {}),
    "P+tRNS": ("PNG", palette_with_alpha(), {"transparency": bytes(range(0, 240, 30))}),
    "key": ("PNG", blob(0, *SIZE).convert("L"), {"transparency": 100}),
    "LA": ("PNG", with_alpha().convert("LA"), {}),
    "RGBA": ("PNG", with_alpha(), {}),
    "I;16": ("PNG", Image.fromarray(np.asarray(blob(0, *SIZE).convert("L")).astype(np.uint16) * 256), {}),
    "JPEG": ("JPEG", blob(0, *SIZE), {"quality": 100, "subsampling": 0}),
    "JPEG L": ("JPEG", blob(0, *SIZE).convert("L"), {}),
    "JPEG CMYK": ("JPEG", blob(0, *SIZE).convert("CMYK"), {}),
    "WebP": ("WEBP", blob(0, *SIZE), {"lossless": True}),
    "WebP RGBA": ("WEBP", with_alpha(), {"lossless": True}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_turned(kind: str) -> None:
    name, image, options = KINDS[kind]
    unturned = pixels(encode(image, name, **options))
    for orientation, transposed in TRANSPOSED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture = decode(encode(image, name, exif=exif, **options))
        assert np.array_equal(np.asarray(picture.image), transposed(unturned))
        assert picture.plain == (orientation == 1 and kind in ("RGB", "JPEG", "WebP"))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode(encode(blob(0), exif=exif)).plain


def keyed(depth: int, colour: int, key: bytes, row: bytes, width: int) -> bytes:
    """A PNG of one row with a key colour."""
    data = png(width, 1, depth, colour, b"\0" + row)
    chunk = struct.pack(">I", len(key)) + b"tRNS" + key + struct.pack(">I", zlib.crc32(b"tRNS" + key))
    return data.replace(struct.pack(">I", len(zlib.compress(b"\0" + row))) + b"IDAT", chunk + struct.pack(
        ">I", len(zlib.compress(b"\0" + row))) + b"IDAT")  # fmt: skip


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # 16 bits: the samples must agree in both bytes, so the second pixel stays opaque
        (keyed(16, 2, struct.pack(">3H", 770, 1800, 2900), struct.pack(">6H", 770, 1800, 2900, 770, 1800, 2901), 2),
         [[255, 255, 255], [3, 7, 11]]),
        (keyed(16, 0, struct.pack(">H", 1028), struct.pack(">2H", 1028, 1029), 2), [[255] * 3, [4] * 3]),
        (keyed(8, 2, struct.pack(">3H", 9, 8, 7), bytes([9, 8, 7, 9, 8, 6]), 2), [[255] * 3, [9, 8, 6]]),
        (keyed(8, 0, struct.pack(">H", 9), bytes([9, 8]), 2), [[255] * 3, [8] * 3]),
        # fewer bits: the key counts in samples of the file, not in those scaled to 8 bits
        (keyed(4, 0, struct.pack(">H", 3), bytes([0x34]), 2), [[255] * 3, [68] * 3]),
        (keyed(2, 0, struct.pack(">H", 1), bytes([0b01100000]), 2), [[255] * 3, [170] * 3]),
        (keyed(1, 0, struct.pack(">H", 0), bytes([0b01000000]), 2), [[255] * 3, [255] * 3]),
        (keyed(1, 0, struct.pack(">H", 1), bytes([0b01000000]), 2), [[0] * 3, [255] * 3]),
    ],
)  # fmt: skip
def test_a_key_colour_is_transparent_at_every_depth(data: bytes, expected: list[list[int]]) -> None:
    assert pixels(data).tolist() == [expected]
    assert not decode(data).plain


def swapped_profile() -> bytes:
    """An RGB profile in which red and green are exchanged."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data.replace(b"rXYZ", b"\0tmp", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"\0tmp", b"gXYZ", 1)


def profile(space: bytes, pcs: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A colour profile written by hand."""
    offset, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s12x4s28x3I48x", offset + len(body), b"lcms", 0x02400000, kind, space, pcs, b"acsp",
                         63190, 65536, 54061)  # fmt: skip
    return header + table + body


WHITE = b"XYZ " + struct.pack(">4x3I", 63190, 65536, 54061)
LINEAR_GREY = profile(b"GRAY", b"XYZ ", b"mntr", {b"wtpt": WHITE, b"kTRC": b"curv" + struct.pack(">4xI", 0)})


def black_only() -> bytes:
    """A CMYK profile of a press that prints black ink only."""
    ramp = bytes(range(256))
    cells = b"".join(bytes([255 * (1 - cell % 2), 128, 128]) for cell in range(16))  # black varies fastest
    matrix = struct.pack(">9I", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1" + struct.pack(">4x4B", 4, 3, 2, 0) + matrix + ramp * 4 + cells + ramp * 3
    return profile(b"CMYK", b"Lab ", b"prtr", {b"wtpt": WHITE, b"A2B0": table})


@pytest.mark.parametrize(
    ("image", "kind", "icc", "expected"),
    [
        (Image.new("RGB", (8, 8), (255, 0, 0)), "PNG", swapped_profile(), (0, 255, 0)),
        (Image.new("RGB", (8, 8), (255, 0, 0)), "JPEG", swapped_profile(), (0, 255, 0)),
        (Image.new("RGB", (8, 8), (255, 0, 0)), "WEBP", swapped_profile(), (0, 255, 0)),
        (Image.new("RGB", (8, 8), (255, 0, 0)).quantize(2), "PNG", swapped_profile(), (0, 255, 0)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 51)), "PNG", swapped_profile(), (204, 255, 204)),
        (Image.new("L", (8, 8), 128), "PNG", LINEAR_GREY, (188, 188, 188)),  # sRGB's value of half the light
        (Image.new("LA", (8, 8), (128, 0)), "PNG", LINEAR_GREY, (255, 255, 255)),
        (Image.fromarray(np.full((8, 8), 128 * 257, np.uint16)), "PNG", LINEAR_GREY, (188, 188, 188)),
        (Image.new("CMYK", (8, 8), (255, 255, 0, 0)), "JPEG", black_only(), (255, 255, 255)),
    ],
)  # fmt: skip
def test_colour_profiles_are_applied(image: Image.Image, kind: str, icc: bytes, expected: tuple[int, ...]) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = decode(encode(image, kind, icc_profile=icc, **options))
    assert picture.image.getpixel((4, 4)) == pytest.approx(expected, abs=4)
    assert not picture.plain
    stored = decode(to_png(picture.image))  # without the profile, which would be applied twice
    assert stored.plain
    assert np.array_equal(np.asarray(stored.image), np.asarray(picture.image))


@pytest.mark.parametrize(
    ("mode", "icc"), [("RGB", b"nonsense"), ("RGB", LINEAR_GREY), ("RGB", swapped_profile()[:300]), ("L", black_only())]
)
def test_profiles_that_do_not_fit_are_ignored(mode: str, icc: bytes) -> None:
    image = blob(0).convert(mode)
    picture = decode(encode(image, icc_profile=icc))
    assert picture.plain == (mode == "RGB")
    assert np.array_equal(np.asarray(picture.image), np.asarray(image.convert("RGB")))


def test_a_picture_with_the_usual_profile_is_plain_and_its_crops_carry_none() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = decode(encode(blob(0), icc_profile=icc))
    assert picture.plain
    assert np.array_equal(np.asarray(picture.image), np.asarray(blob(0)))
    assert icc[:64] not in to_png(picture.image.crop((0, 0, 9, 9)))
    assert b"iCCP" not in to_png(picture.image.crop((0, 0, 9, 9)))


def test_an_imported_picture_with_a_profile_looks_as_in_its_file(tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 32), (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, 16, 16))
    import_faces([write(tmp_path / "p", {"a.png": encode(image, icc_profile=swapped_profile())})], tmp_path / "faces")
    ((pixel, other),) = [(f[24, 24].tolist(), f[4, 4].tolist()) for f in FaceDataset(tmp_path / "faces").decoded(32)]
    assert (pixel, other) == ([0, 255, 0], pytest.approx([0, 0, 255], abs=2))
