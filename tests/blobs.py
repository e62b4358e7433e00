"""Small pictures for the tests, and ways to write them."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def blob(seed: int, width: int = 48, height: int = 48) -> Image.Image:
    """A smooth picture unlike that of any other seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def portrait(seed: int, hair: str, side: int = 64, eyes: str = "navy") -> Image.Image:
    """A line drawing of a face on white, whose colours do not depend on the seed."""
    random = np.random.default_rng(seed)
    x, y = random.uniform(-4, 4, 2)
    picture = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((40 + 4 * x, 30 + 4 * y, 216 + 4 * x, 236 + 4 * y), hair, "black", 4)
    draw.ellipse((70, 70, 186, 226), "bisque", "black", 4)
    for eye in (88, 138):
        top = 120 + 3 * y
        draw.ellipse((eye, top, eye + 32, top + random.uniform(25, 50)), eyes)
    for _ in range(6):  # strands of hair over the forehead
        left = random.uniform(60, 180)
        draw.polygon(
            [(left, 60), (left + 30, 60), (left + random.uniform(-20, 50), random.uniform(90, 150))], hair, "black"
        )
    shaded = Image.blend(picture, blob(seed, 256, 256), 0.15)
    return shaded.resize((side, side), Image.Resampling.LANCZOS)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The bytes of a picture file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_zip(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write files into an archive, under whatever names."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def png(width: int, height: int, depth: int, colour: int, data: bytes) -> bytes:
    """A PNG written by hand, so that its depth and header are what the test says."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
