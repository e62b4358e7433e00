"""A sketch: filled shapes and lines in the order they are painted, in units of the picture's side, drawn at any size.

Pillow paints them with hard edges on a canvas a whole number of times too large, and averaging blocks of that canvas
makes the edges smooth. Curves are linear in their control points, so each kind is one small cached matrix.
"""

from functools import lru_cache
from math import ceil, cos, radians, sin

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from nijigan.data.palette import Colour
from nijigan.pictures import Images

Points = npt.NDArray[np.float64]

_SAMPLES = 8  # points on each piece of a curve: corners stay under half a pixel at 512
_CANVAS = 192  # the smallest canvas: below it thin lines would come and go with the resolution


class Sketch:
    """Shapes in painting order. Coordinates: the picture's centre is (0, 0), its side 1, and y points down."""

    def __init__(self) -> None:
        self._paths: list[Points] = []
        self._paints: list[
            tuple[Colour | tuple[int, int, int, int], float]
        ] = []  # fill where the width is 0, else a line

    def fill(self, path: Points, colour: Colour, opacity: float = 1.0) -> None:
        """Paint the inside of a closed path."""
        self._paths.append(path)
        self._paints.append((colour if opacity == 1 else (*colour, round(255 * opacity)), 0.0))

    def line(self, path: Points, colour: Colour, width: float) -> None:
        """Paint along an open path."""
        self._paths.append(path)
        self._paints.append((colour, width))

    def shape(self, path: Points, colour: Colour, edge: Colour, width: float = 0.01) -> None:
        """Paint the inside of a closed path, and its edge in another colour."""
        self.fill(path, colour)
        self.line(path[_ring(len(path))], edge, width)

    def render(
        self,
        background: tuple[Colour, Colour],
        resolution: int,
        tilt: float,
        scale: float,
        shift: tuple[float, float],
    ) -> Images:
        """Draw everything on a vertical gradient.

        Args:
            background: colours at the top and at the bottom.
            resolution: height and width in pixels.
            tilt: turn of the whole sketch in degrees, clockwise.
            scale: enlargement about the centre.
            shift: where the centre goes, in units of the side.

        Returns:
            uint8, resolution×resolution×3.
        """
        factor = max(3, ceil(_CANVAS / resolution))
        side = factor * resolution
        gradient = np.linspace(*background, side).astype(np.uint8)  # side×3
        canvas = Image.fromarray(np.repeat(gradient[:, None], side, axis=1))
        opaque, blended = ImageDraw.Draw(canvas), ImageDraw.Draw(canvas, "RGBA")
        cosine, sine = cos(radians(tilt)), sin(radians(tilt))
        turn = scale * side * np.array([[cosine, sine], [-sine, cosine]])
        pixels = (np.concatenate(self._paths) @ turn + side * (0.5 + np.array(shift))).astype(np.float32)
        start = 0
        for path, (colour, width) in zip(self._paths, self._paints, strict=True):
            points, start = pixels[start : start + len(path)], start + len(path)
            if width:
                opaque.line(points, colour, max(1, round(width * scale * side)))  # type: ignore[arg-type]
            else:
                (opaque if len(colour) == 3 else blended).polygon(points, colour)  # type: ignore[arg-type]
        return np.asarray(canvas.reduce(factor))


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0) -> Points:
    """An ellipse, or its arc between two angles in degrees, clockwise from the right."""
    return _circle(start, end) * (rx, ry) + (x, y)


def bezier(*points: tuple[float, float]) -> Points:
    """Quadratic Bézier pieces end to end: on the curve, control, on the curve, control, ... on the curve."""
    return pieces(np.array(points))


def pieces(points: Points) -> Points:
    """`bezier` of an array, (2n + 1)×2."""
    return _bezier(len(points)) @ points


def smooth(*points: tuple[float, float]) -> Points:
    """A closed Catmull-Rom curve through all points."""
    return _catmull_rom(len(points)) @ np.array(points)


def symmetric(*points: tuple[float, float]) -> Points:
    """`smooth` through the points, given from top to bottom, and their mirror images; ends at x = 0 stand once."""
    left = [(-x, y) for x, y in reversed(points) if x != 0]
    return smooth(*points, *left)


@lru_cache
def _ring(count: int) -> npt.NDArray[np.intp]:
    return np.arange(count + 1) % count


@lru_cache
def _circle(start: float, end: float) -> Points:
    angles = np.radians(np.linspace(start, end, 33))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@lru_cache
def _bezier(count: int) -> Points:
    t = np.linspace(0, 1, _SAMPLES, endpoint=False)[:, None]
    weights = np.hstack([(1 - t) ** 2, 2 * t * (1 - t), t**2])
    segments = count // 2
    matrix = np.zeros((segments * _SAMPLES + 1, count))
    for segment in range(segments):
        matrix[segment * _SAMPLES : (segment + 1) * _SAMPLES, 2 * segment : 2 * segment + 3] = weights
    matrix[-1, -1] = 1
    return matrix


@lru_cache
def _catmull_rom(count: int) -> Points:
    t = np.linspace(0, 1, _SAMPLES, endpoint=False)[:, None]
    weights = 0.5 * np.hstack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2])
    matrix = np.zeros((count * _SAMPLES, count))
    for segment in range(count):
        for column in range(4):
            matrix[segment * _SAMPLES : (segment + 1) * _SAMPLES, (segment + column - 1) % count] += weights[:, column]
    return matrix
