"""Bytes to pixels: the one decoder and the one resize that every other module uses."""

import io
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from nijigan.dataset.limits import MAX_PIXELS
from nijigan.pictures import resize

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif")


class UnreadableError(ValueError):
    """A file that is no picture we can read; its text says why."""


class TooLargeError(UnreadableError):
    """A picture whose header claims more pixels than allowed."""


@dataclass(frozen=True)
class Picture:
    """A decoded file."""

    image: Image.Image
    """Mode RGB, upright, without alpha."""
    plain: bool
    """Whether any decoder gets the same pixels from the file: an upright 8-bit RGB JPEG, PNG or WebP without alpha."""


def decode(data: bytes, max_pixels: int | None = MAX_PIXELS) -> Picture:
    """Decode a JPEG, PNG, WebP or GIF (its first frame) to upright RGB.

    Alpha is laid over white, 16 bits per channel are scaled to 8, CMYK, greyscale and palettes are converted, and the
    EXIF orientation is applied.

    Args:
        data: the whole file.
        max_pixels: the most width × height that will be decoded; the header is asked before any pixel is.

    Raises:
        TooLargeError: the header claims more pixels than `max_pixels`.
        UnreadableError: the file is empty, damaged or of another kind.
    """
    if not data:
        raise UnreadableError("the file is empty")
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        if max_pixels and image.width * image.height > max_pixels:
            raise TooLargeError(f"{image.width}×{image.height} is more than {max_pixels:,} pixels")
        kind, frames = image.format, getattr(image, "n_frames", 1)
        image.load()
    except UnreadableError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooLargeError(f"more than {max_pixels or MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise UnreadableError("not a JPEG, PNG, WebP or GIF picture") from None
    except (
        Exception
    ) as error:  # damaged files make Pillow's decoders raise nearly anything: OSError, SyntaxError, struct.error
        raise UnreadableError(f"damaged: {error}") from error
    orientation = 1
    with suppress(Exception):  # damaged EXIF is no reason to lose a picture
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    deep = kind == "PNG" and data[24] == 16  # the bit depth in a PNG's first chunk; Pillow's mode does not tell for RGB
    opaque_rgb = image.mode == "RGB" and "transparency" not in image.info
    plain = kind != "GIF" and opaque_rgb and not deep and orientation == 1 and frames == 1
    if not plain:
        image = _to_rgb(image)
        if orientation != 1:
            image = ImageOps.exif_transpose(image)
    return Picture(image, plain)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(
        "I"
    ):  # 16-bit greyscale, which Pillow's own conversion would clip at 255 rather than scale
        values = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def to_png(image: Image.Image) -> bytes:
    """Encode losslessly."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def square(image: Image.Image, resolution: int, pad: bool = False) -> npt.NDArray[np.uint8]:
    """Bring a picture to a square of `resolution` pixels.

    Args:
        image: RGB, any size.
        resolution: the side of the result in pixels.
        pad: keep all of it and fill up with white, rather than crop to the centre square.

    Returns:
        uint8, resolution×resolution×3.
    """
    width, height = image.size
    side = max(width, height) if pad else min(width, height)
    if width != height:
        left, top = (width - side) // 2, (height - side) // 2
        canvas = Image.new("RGB", (side, side), "white")
        canvas.paste(image, (-left, -top))
        image = canvas
    return np.asarray(resize(image, resolution, resolution))
