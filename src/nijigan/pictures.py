"""Grids and scaling of images, which are uint8 RGB, N×H×W×3."""

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nijigan.aliases import Images

_NAME_PAD = 6  # pixels on either side of a row's name


def grid(images: Images, columns: int | None = None, gap: int = 2, background: int = 255) -> Images:
    """Lay out images row by row on one canvas.

    Args:
        images: uint8, N×H×W×3, N ≥ 1.
        columns: images per row. Default: the nearest to a square.
        gap: pixels between images and around them.
        background: grey value of the gaps, 0 to 255.

    Returns:
        uint8, H'×W'×3.
    """
    count, height, width, _ = images.shape
    columns = columns or ceil(sqrt(count))
    rows = ceil(count / columns)
    canvas = np.full((gap + rows * (height + gap), gap + columns * (width + gap), 3), background, np.uint8)
    for index, image in enumerate(images):
        top, left = (gap + (index // columns) * (height + gap), gap + (index % columns) * (width + gap))
        canvas[top : top + height, left : left + width] = image
    return canvas


def name_rows(canvas: Images, names: Sequence[str]) -> Images:
    """Widen a canvas, uint8 H×W×3, on the left and write the name of each of its equally high rows there."""
    height, width = canvas.shape[0] / len(names), names_width(canvas.shape[0], names)
    picture = Image.fromarray(np.pad(canvas, ((0, 0), (width, 0), (0, 0)), constant_values=255))
    draw = ImageDraw.Draw(picture)
    for row, name in enumerate(names):
        place = (width - _NAME_PAD, (row + 0.5) * height)
        draw.text(place, name, fill=(40, 40, 40), font=_name_font(height), anchor="rm")
    return np.asarray(picture)


def names_width(height: int, names: Sequence[str]) -> int:
    """Number of pixels by which `name_rows` widens a canvas of a given height."""
    font = _name_font(height / len(names))
    return ceil(max(font.getlength(name) for name in names)) + 2 * _NAME_PAD


def _name_font(row_height: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(min(24, max(9, round(row_height / 5))))


def enlarge(images: Images, scale: int) -> Images:
    """Enlarge N×H×W×3 images by an integer factor with Lanczos; a factor of 1 returns them unchanged."""
    return resize_all(images, images.shape[1] * scale, images.shape[2] * scale)


def resize_all(images: Images, height: int, width: int) -> Images:
    """Resize N×H×W×3 images as `resize` does; images of that size are returned unchanged."""
    if images.shape[1:3] == (height, width):
        return images
    return np.stack([np.asarray(resize(Image.fromarray(image), width, height)) for image in images])


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Resize with Lanczos, with antialiasing when shrinking.

    Everything that resizes faces uses this function: the choice of filter moves FID by several points (Parmar et al.
    2022, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation").
    """
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.LANCZOS)
