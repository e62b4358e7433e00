"""Decode picture files to pixels. All other modules use this decoder."""

import io
import threading
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from nijigan.dataset.colour import to_rgb
from nijigan.dataset.limits import MAX_PIXELS
from nijigan.pictures import resize

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif")
LARGE = 2**24
"""Pictures with more pixels than this are decoded one at a time: the largest take up to 1 GB each."""

MAX_SCANS = 200
"""The largest number of scans of a JPEG. Progressive ones have about ten; each takes as long as the whole picture."""

_one_at_a_time = threading.Lock()


class UnreadableError(ValueError):
    """A file that cannot be read as a picture; the message says why."""


class TooLargeError(UnreadableError):
    """A picture with more pixels than allowed, by its header."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture file."""

    image: Image.Image
    """sRGB, upright, without alpha."""
    plain: bool
    """Whether the file is an upright 8-bit JPEG, PNG or WebP in sRGB without alpha: all decoders agree on it."""


def decode(data: bytes, max_pixels: int | None = MAX_PIXELS) -> Picture:
    """Decode a JPEG, PNG, WebP or GIF (first frame) to upright RGB.

    The EXIF orientation is applied. Colours are converted from the embedded profile to sRGB. Transparent pictures are
    composited on white. 16 bits per channel are scaled to 8. CMYK, greyscale and palette pictures are converted.

    Args:
        data: the content of the file.
        max_pixels: the largest width × height to decode, checked before decoding; None for no limit.

    Raises:
        TooLargeError: the picture has more than `max_pixels` pixels.
        UnreadableError: the file is empty, damaged or of another format, or there is too little memory for it.
    """
    if not data:
        raise UnreadableError("the file is empty")
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        pixels = image.width * image.height
        if max_pixels and pixels > max_pixels:
            raise TooLargeError(f"{image.width}×{image.height} is more than {max_pixels:,} pixels")
        if image.format in ("JPEG", "MPO") and data.count(b"\xff\xda") > MAX_SCANS:
            raise UnreadableError(f"more than {MAX_SCANS} scans")
        with _one_at_a_time if pixels > LARGE else nullcontext():
            # Of a GIF, all frames would have to be read to count them. A GIF is not plain in any case.
            still = image.format != "GIF" and getattr(image, "n_frames", 1) == 1
            image.load()
            rgb, plain = to_rgb(image, data)
    except UnreadableError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooLargeError(f"more than {max_pixels or MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise UnreadableError("not a JPEG, PNG, WebP or GIF picture") from None
    except MemoryError:
        raise UnreadableError("there is too little memory to decode it") from None
    except Exception as error:  # for damaged files, Pillow raises OSError, SyntaxError, struct.error and others
        raise UnreadableError(f"damaged: {error}") from error
    return Picture(rgb, still and plain)


def to_png(image: Image.Image) -> bytes:
    """The picture as a PNG file."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def square(image: Image.Image, resolution: int, pad: bool = False) -> npt.NDArray[np.uint8]:
    """Crop or pad a picture to a square, and resize it.

    Args:
        image: RGB, any size.
        resolution: height and width of the result, in pixels.
        pad: pad with white instead of cropping to the centre square.

    Returns:
        uint8, resolution×resolution×3.
    """
    width, height = image.size
    if pad and max(width, height) ** 2 > MAX_PIXELS:  # the square around a long strip would not fit into memory
        scale = MAX_PIXELS**0.5 / max(width, height)
        image = resize(image, *(max(1, int(side * scale)) for side in image.size))
        width, height = image.size
    side = max(width, height) if pad else min(width, height)
    if width != height:
        left, top = (width - side) // 2, (height - side) // 2
        canvas = Image.new("RGB", (side, side), "white")
        canvas.paste(image, (-left, -top))
        image = canvas
    return np.asarray(resize(image, resolution, resolution))
