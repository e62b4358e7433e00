"""Locate the hair and eyes of a face: sampling frames with the size and the tilt of the face.

The detector (see `nijigan.vision.finder`) reports the eyes of each face. The place of the hair follows from them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from nijigan.aliases import Images
from nijigan.pictures import resize
from nijigan.vision.finder import BORDER, detect_windows

SIDE = 96
"""Longer side in pixels at which faces are read. All faces are resized to it."""
SEARCHED_SIDES = (96, 112, 80)
"""Longer sides in pixels at which the detector is tried, one after the other."""
TURNS = (-25, 25)
"""Degrees by which a picture is rotated, anticlockwise, if no face is found in it. The detector finds only upright
faces, and half of those that it misses are tilted."""

HEAD_REACH = 0.75
"""Distance from the point between the eyes to the edges of the head's frame, in widths of the face. The frame reaches
up to the crown, down to the neck, and to the hair on both sides."""
EYE_REACH = 0.6
"""Distance from the centre of an eye to the edges of its frame, in widths and heights of the eye."""
HEAD_SAMPLES, EYE_SAMPLES = 30, 16
"""Samples along each side of a frame."""
STEEPEST = 60
"""Degrees. If the line through the eyes is steeper, one of them is misplaced, and the head is assumed to be upright."""

Samples = npt.NDArray[np.uint8]
"""N×S×S×4: a part of a face in N frames, as RGB and an alpha channel. Alpha is 0 outside the picture."""
_Point = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Anatomy:
    """The parts of a face, upright and at a fixed size."""

    hair: Samples
    """1×30×30×4: the head, with the eyes in the middle. The colour reader decides which samples are hair."""
    middle: tuple[float, float]
    """The point between the eyes, as shares of the picture's width and height."""
    eyes: Samples
    """2×16×16×4: both eyes. One is mirrored, so that the nose is on the same side."""


def find_anatomy(face: Images) -> Anatomy | None:
    """Find the parts of a face.

    Args:
        face: a picture that a face fills, of any size: uint8 RGB, H×W×3.

    Returns:
        The parts of the likeliest face, or None if the detector finds no face.
    """
    image = Image.fromarray(np.ascontiguousarray(face))
    for degrees, turned, searched in _searches(image):
        boxes = _likeliest(searched)
        if boxes is not None:
            picture = _fit(turned, SIDE)
            head, right, left = boxes * (picture.width / searched.width)
            return _cut(picture, head, right, left, degrees)
    return None


def _fit(image: Image.Image, side: int) -> Image.Image:
    """The picture, resized so that its longer side has `side` pixels."""
    scale = side / max(image.size)
    return resize(image, max(1, round(image.width * scale)), max(1, round(image.height * scale)))


def _searches(image: Image.Image) -> Iterator[tuple[int, Image.Image, Image.Image]]:
    """Versions of a picture to search: degrees of rotation, the rotated picture, and the version for the detector."""
    for side in SEARCHED_SIDES:
        yield 0, image, _fit(image, side)
    equalised = ImageOps.equalize(image.convert("L")).convert("RGB")  # for dark and pale faces
    for side in SEARCHED_SIDES:
        yield 0, image, _fit(equalised, side)
    # Rotating a large picture would need much memory.
    limited = image if max(image.size) <= 2 * SIDE else _fit(image, 2 * SIDE)
    for degrees in TURNS:
        turned = limited.convert("RGBA").rotate(degrees, Image.Resampling.BICUBIC)
        on_white = Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned).convert("RGB")
        for side in SEARCHED_SIDES:
            yield degrees, turned, _fit(on_white, side)


def _likeliest(picture: Image.Image) -> npt.NDArray[np.float64] | None:
    """The boxes (left, upper, width, height) of the likeliest face and its two eyes: 3×4, in pixels."""
    border = round(BORDER * max(picture.size))
    padded = np.pad(np.asarray(picture), ((border, border), (border, border), (0, 0)), mode="reflect")
    found = []
    for window in detect_windows(padded):
        parts = (window.box, *window.parts[:2])
        boxes = np.array([(part.x - border, part.y - border, part.width, part.height) for part in parts], np.float64)
        centre = boxes[0, :2] + boxes[0, 2:] / 2
        if ((centre >= 0) & (centre < picture.size)).all():  # otherwise it is in the mirrored border
            found.append((window.likelihood, window.box.width, boxes))
    return max(found, key=lambda face: face[:2])[2] if found else None


def _cut(picture: Image.Image, head: _Point, right: _Point, left: _Point, degrees: int = 0) -> Anatomy:
    """Sample the parts of a rotated picture, given their boxes; `right` is the eye on the viewer's right."""
    eyes = [(box[:2] + box[2:] / 2, EYE_REACH * box[2:]) for box in (right, left)]
    line = eyes[0][0] - eyes[1][0]
    length = np.hypot(*line)
    tilted = line[0] > length * np.cos(np.radians(STEEPEST))
    x, y = HEAD_REACH * head[2] * (line / length if tilted else np.array([1.0, 0.0]))
    middle = (eyes[0][0] + eyes[1][0]) / 2
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    upright = np.array([[cos, -sin], [sin, cos]]) @ (middle - np.array(picture.size) / 2) / picture.size + 0.5
    return Anatomy(
        middle=(float(upright[0]), float(upright[1])),
        hair=np.stack([sample(picture, middle, np.array([x, y]), np.array([-y, x]), HEAD_SAMPLES)]),
        eyes=np.stack([
            sample(picture, centre, np.array([side * width, 0]), np.array([0, height]), EYE_SAMPLES)
            for side, (centre, (width, height)) in zip((1, -1), eyes, strict=True)
        ]),
    )  # fmt: skip


def sample(picture: Image.Image, centre: _Point, across: _Point, down: _Point, count: int) -> Samples:
    """Sample a picture on a grid inside a parallelogram, bilinearly.

    Args:
        picture: RGB.
        centre: centre of the parallelogram, (x, y) in pixels.
        across: vector from the centre to the middle of the edge that becomes the right one.
        down: vector from the centre to the middle of the edge that becomes the lower one.
        count: samples along each side.

    Returns:
        count×count×4: RGB and alpha, which is 0 for samples outside the picture.
    """
    origin = centre - across - down
    matrix = np.stack([2 * across / count, 2 * down / count, origin], 1).ravel().tolist()
    grid = picture.convert("RGBA").transform(
        (count, count), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=(0, 0, 0, 0)
    )
    return np.asarray(grid)
