"""Decode picture files to pixels. All other modules use this decoder."""

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
    """A file that cannot be read as a picture; the message says why."""


class TooLargeError(UnreadableError):
    """A picture with more pixels than allowed, by its header."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture file."""

    image: Image.Image
    """RGB, upright, without alpha."""
    plain: bool
    """Whether the file is an upright 8-bit RGB JPEG, PNG or WebP without alpha: all decoders agree on it."""


def decode(data: bytes, max_pixels: int | None = MAX_PIXELS) -> Picture:
    """Decode a JPEG, PNG, WebP or GIF (first frame) to upright RGB.

    Transparent pictures are composited on white. 16 bits per channel are scaled to 8. CMYK, greyscale and palette
    pictures are converted. The EXIF orientation is applied.

    Args:
        data: the content of the file.
        max_pixels: the largest width × height to decode, checked before decoding; None for no limit.

    Raises:
        TooLargeError: the picture has more than `max_pixels` pixels.
        UnreadableError: the file is empty, damaged or of another format.
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
    except Exception as error:  # for damaged files, Pillow raises OSError, SyntaxError, struct.error and others
        raise UnreadableError(f"damaged: {error}") from error
    orientation = 1
    with suppress(Exception):  # a picture with damaged EXIF data is still usable
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    deep = (
        kind == "PNG" and data[24] == 16
    )  # the bit depth in a PNG's first chunk; Pillow's mode is RGB for 8 and 16 bits
    opaque_rgb = image.mode == "RGB" and "transparency" not in image.info
    plain = kind != "GIF" and opaque_rgb and not deep and orientation == 1 and frames == 1
    if not plain:
        image = _to_rgb(image)
        if orientation != 1:
            image = ImageOps.exif_transpose(image)
    return Picture(image, plain)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit greyscale: Pillow's own conversion clips it at 255
        values = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


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
    side = max(width, height) if pad else min(width, height)
    if width != height:
        left, top = (width - side) // 2, (height - side) // 2
        canvas = Image.new("RGB", (side, side), "white")
        canvas.paste(image, (-left, -top))
        image = canvas
    return np.asarray(resize(image, resolution, resolution))
