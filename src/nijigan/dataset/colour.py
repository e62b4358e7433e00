"""Turn what Pillow reads from a file into upright sRGB without alpha."""

import io
from contextlib import suppress
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageChops, ImageCms

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""

SAME = 2
"""A profile that changes no colour by more than this, of 255, counts as sRGB. The sRGB profiles in use differ by 1."""


def to_rgb(image: Image.Image, data: bytes) -> tuple[Image.Image, bool]:
    """Turn a picture upright, apply its colour profile, and composite it on white.

    The steps have one order for every kind of picture. The key colour of a PNG is compared with the samples in the
    file, so it becomes an alpha channel first. Then follow the EXIF orientation, the profile, and the alpha channel.
    A profile that is damaged or belongs to another number of channels is ignored.

    Args:
        image: what Pillow loaded from `data`.
        data: the content of the file.

    Returns:
        The RGB picture, and whether it is what every decoder reads from the file.
    """
    orientation = 1
    with suppress(Exception):  # a picture with damaged EXIF data is still usable
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    turn = TURNS.get(orientation)
    profile = image.info.get("icc_profile") or b""
    deep = image.format == "PNG" and data[24] == 16  # the bit depth in a PNG's first chunk; Pillow reduces RGB to 8
    plain = image.mode == "RGB" and "transparency" not in image.info and not deep and turn is None

    picture, alpha = _separate(image, data)
    if turn is not None:
        picture, alpha = picture.transpose(turn), alpha and alpha.transpose(turn)
    conversion = _conversion(profile, picture.mode)
    if conversion is not None:
        picture, plain = ImageCms.applyTransform(picture, conversion) or picture, False
    picture = picture.convert("RGB")
    if alpha is not None:
        picture.paste((255, 255, 255), mask=ImageChops.invert(alpha))
    picture.info = {}  # Pillow would write the profile into a copy of the picture, where it is wrong
    return picture, plain


def _separate(image: Image.Image, data: bytes) -> tuple[Image.Image, Image.Image | None]:
    """The colours of a picture in mode L, RGB or CMYK, as the profile expects them, and its alpha channel in mode L."""
    depth, kind = (data[24], data[25]) if image.format == "PNG" else (8, None)
    key = image.info.get("transparency")
    alpha: Image.Image | None = None
    if image.mode.startswith("I"):  # 16-bit greyscale: Pillow's own conversion clips it at 255
        values = np.asarray(image)
        alpha = None if key is None else _mask(values != key)
        return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8)), alpha
    if image.mode == "RGB" and key is not None and depth == 16:
        return image, _deep_key(image, data, key)
    if image.mode in ("1", "L", "RGB") and key is not None:
        if depth < 8:  # Pillow scales the samples to 8 bits, but not the key
            image.info["transparency"] = key if image.mode == "1" else (key % 2**depth) * 255 // (2**depth - 1)
        image = image.convert("RGBA" if image.mode == "RGB" else "LA")
    elif image.mode.startswith("P"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in ("LA", "RGBA"):
        alpha = image.getchannel("A")
    if image.mode in ("1", "LA"):
        image = image.convert("L")
    elif image.mode == "RGBA":  # Pillow also reads 16-bit greyscale with alpha (colour type 4) as RGBA
        image = image.getchannel("R") if kind == 4 else image.convert("RGB")
    return image, alpha


def _deep_key(image: Image.Image, data: bytes, key: tuple[int, int, int]) -> Image.Image:
    """The alpha channel of a 16-bit RGB PNG with a key colour.

    Pillow keeps the upper byte of each sample. Reading the file as if its bytes were swapped gives the lower one.
    """
    low = Image.open(io.BytesIO(data), formats=["PNG"])
    low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]
    low.load()
    opaque = np.zeros((image.height, image.width), np.bool_)
    for channel, sample in enumerate(key):
        opaque |= np.asarray(image.getchannel(channel)) != sample >> 8
        opaque |= np.asarray(low.getchannel(channel)) != sample & 255
    return _mask(opaque)


def _mask(opaque: npt.NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(opaque.astype(np.uint8) * 255)


@lru_cache(maxsize=16)
def _conversion(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The conversion of pixels from a colour profile to sRGB; None if there is nothing to convert."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != {"L": "GRAY"}.get(mode, mode):
            return None
        conversion = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        probe = _probe(mode)
        changed = np.asarray(ImageCms.applyTransform(probe, conversion)).astype(int) - np.asarray(probe.convert("RGB"))
    except Exception:  # for damaged profiles, Pillow raises PyCMSError, OSError and others
        return None
    return conversion if np.abs(changed).max() > SAME else None


def _probe(mode: str) -> Image.Image:
    """A picture with colours from the whole range of a mode."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    bands = len(Image.new(mode, (1, 1)).getbands())
    colours = np.stack(np.meshgrid(*[levels] * bands), axis=-1).reshape(1, -1, bands)
    return Image.frombytes(mode, (colours.shape[1], 1), colours.tobytes())
