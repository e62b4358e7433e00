"""Grids and scaling of images, which are uint8 RGB, N×H×W×3."""

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nijigan.aliases import Images


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
    height, pad = canvas.shape[0] / len(names), 6
    font = ImageFont.load_default(min(24, max(9, round(height / 5))))
    width = ceil(max(font.getlength(name) for name in names)) + 2 * pad
    picture = Image.fromarray(np.pad(canvas, ((0, 0), (width, 0), (0, 0)), constant_values=255))
    draw = ImageDraw.Draw(picture)
    for row, name in enumerate(names):
        draw.text((width - pad, (row + 0.5) * height), name, fill=(40, 40, 40), font=font, anchor="rm")
    return np.asarray(picture)


def enlarge(images: Images, scale: int) -> Images:
    """Enlarge N×H×W×3 images by an integer factor with Lanczos; a factor of 1 returns them unchanged."""
    if scale == 1:
        return images
    height, width = images.shape[1] * scale, images.shape[2] * scale
    return np.stack([np.asarray(resize(Image.fromarray(image), width, height)) for image in images])


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Resize with Lanczos, with antialiasing when shrinking.

    Everything that resizes faces uses this function: the choice of filter moves FID by several points (Parmar et al.
    2022, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation").
    """
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.LANCZOS)
