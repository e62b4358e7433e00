"""A picture from outside as a generator's faces are: decoded within limits, cut out around the face, resized."""

import logging
from dataclasses import dataclass

import numpy as np
from PIL import Image

from nijigan.aliases import Images
from nijigan.dataset.decode import UnreadableError, decode, square, to_png
from nijigan.dataset.limits import MAX_PIXELS
from nijigan.errors import UserError
from nijigan.vision.finder import find_faces
from nijigan.vision.framing import MARGIN, square_about

WHOLE = 0.8
"""A square around the face that is at least this share of the picture's shorter side is not cut out: the picture is
framed like the faces of collections already, and the finder's boxes are not that exact."""

log = logging.getLogger("nijigan")


@dataclass(frozen=True)
class Upload:
    """A picture, ready for `nijigan.inversion.search.invert`."""

    pixels: Images
    """uint8, resolution×resolution×3."""
    found: bool
    """Whether the face finder found a face. If not, the pixels are the centre of the picture."""


def prepare(picture: Image.Image | bytes, resolution: int, *, max_pixels: int = MAX_PIXELS) -> Upload:
    """Make a picture of any size and kind into one that a generator could have made.

    The likeliest face in it is cut out with the margin that the import uses. Where no face is found, or where there is
    no face finder (on Windows), the centre square is used. A picture of exactly the generator's size stays as it is.

    Args:
        picture: the content of a JPEG, PNG, WebP or GIF, or an opened picture.
        resolution: height and width of the generator's faces in pixels.
        max_pixels: the largest width × height that is decoded.

    Raises:
        UserError: the picture is damaged, of another format, or too large.
    """
    try:
        image = decode(picture if isinstance(picture, bytes) else _encoded(picture, max_pixels), max_pixels).image
    except UnreadableError as error:
        raise UserError(f"The picture cannot be used ({error}); choose a JPEG, PNG or WebP.") from error
    if image.size == (resolution, resolution):
        return Upload(np.asarray(image), found=True)
    try:
        faces = find_faces(np.asarray(image))
    except UserError as error:
        log.debug("%s", error)
        faces = []
    if faces:
        place = square_about(faces[0], *image.size, MARGIN)
        if place[2] - place[0] < WHOLE * min(image.size):
            image = image.crop(place)
    return Upload(square(image, resolution), found=bool(faces))


def _encoded(picture: Image.Image, max_pixels: int) -> bytes:
    """An opened picture as a file, so that transparency, orientation and profiles are treated as in any other."""
    if picture.width * picture.height > max_pixels:
        raise UnreadableError(f"{picture.width}×{picture.height} is more than {max_pixels:,} pixels")
    try:
        kept = picture if picture.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else picture.convert("RGB")
        return to_png(kept)
    except (OSError, ValueError, SyntaxError, MemoryError) as error:
        raise UnreadableError(f"damaged: {error}") from error
