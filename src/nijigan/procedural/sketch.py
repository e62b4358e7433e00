"""A sketch: filled shapes and lines in drawing order, in units of the picture's side, rendered at any size.

Pillow draws them with hard edges on a canvas that is larger by an integer factor. Averaging blocks of the canvas makes
the edges smooth. Curves are linear in their control points, so that each kind is one small cached matrix.
"""

from functools import lru_cache
from math import ceil, cos, hypot, radians, sin

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from nijigan.aliases import Images
from nijigan.procedural.palette import Colour

Points = npt.NDArray[np.float64]
Point = tuple[float, float]

_SAMPLES = 6  # points per segment of a curve: chords are within half a pixel of the curve at 512 px
_CANVAS = 192  # the smallest canvas: on smaller ones, thin lines appear and disappear with the resolution


class Sketch:
    """Shapes in drawing order. The centre of the picture is (0, 0), its side is 1, and y points down."""

    def __init__(self) -> None:
        self._paths: list[Points] = []
        self._paints: list[tuple[Colour, float]] = []  # colour and width of a line; width 0 fills the inside

    def fill(self, path: Points, colour: Colour) -> None:
        """Fill a closed path."""
        self._paths.append(path)
        self._paints.append((colour, 0.0))

    def line(self, path: Points, colour: Colour, width: float) -> None:
        """Draw along an open path."""
        self._paths.append(path)
        self._paints.append((colour, width))

    def shape(self, path: Points, colour: Colour, edge: Colour, width: float = 0.01) -> None:
        """Fill a closed path, and draw its edge in another colour."""
        self.fill(path, colour)
        self.line(path[_ring(len(path))], edge, width)

    def render(
        self,
        background: tuple[Colour, Colour],
        resolution: int,
        tilt: float = 0.0,
        scale: float = 1.0,
        shift: Point = (0.0, 0.0),
    ) -> Images:
        """Render everything on a vertical gradient.

        Args:
            background: the colours at the top and at the bottom.
            resolution: height and width in pixels.
            tilt: rotation of the whole sketch in degrees, clockwise.
            scale: scale factor about the centre.
            shift: shift of the centre, in units of the side.

        Returns:
            uint8, resolution×resolution×3.
        """
        factor = max(3, ceil(_CANVAS / resolution))
        side = factor * resolution
        column = Image.fromarray(np.linspace(*background, side).astype(np.uint8)[:, None])
        canvas = column.resize((side, side), Image.Resampling.NEAREST)
        brush = ImageDraw.Draw(canvas)
        zoom, angle = scale * side, radians(tilt)
        turn = zoom * np.array([[cos(angle), sin(angle)], [-sin(angle), cos(angle)]])
        pixels = (np.concatenate(self._paths) @ turn + side * (0.5 + np.array(shift))).astype(np.float32)
        start = 0
        for path, (colour, width) in zip(self._paths, self._paints, strict=True):
            points, start = pixels[start : start + len(path)], start + len(path)
            # Pillow accepts a float32 buffer, which avoids a list of numbers; its annotations do not mention it.
            if width:
                brush.line(points, colour, max(1, round(width * zoom)))  # type: ignore[arg-type]
            else:
                brush.polygon(points, colour)  # type: ignore[arg-type]
        return np.asarray(canvas.reduce(factor))


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0) -> Points:
    """An ellipse, or its arc between two angles in degrees, clockwise from the right."""
    path: Points = _circle(start, end) * (rx, ry) + (x, y)
    return path


def bezier(*points: Point) -> Points:
    """Connected quadratic Bézier segments: points on the curve and control points, alternately."""
    return pieces(np.array(points))


def pieces(points: Points) -> Points:
    """`bezier` for an array, (2n + 1)×2."""
    return _bezier(len(points)) @ points


def smooth(*points: Point) -> Points:
    """A closed Catmull-Rom curve through all points."""
    path: Points = _catmull_rom(len(points)) @ np.array(points)
    return path


def mirrored(path: Points) -> Points:
    """A path (the right half, from top to bottom), closed by its mirror image on the left."""
    return np.concatenate([path, path[::-1] * (-1, 1)])


def stroke(start: Point, control: Point, end: Point, width: float) -> Points:
    """A brush stroke along a quadratic Bézier curve: pointed at both ends, `width` wide in the middle."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    scale = width / hypot(dx, dy)
    x, y = -dy * scale, dx * scale
    return bezier(start, (control[0] + x, control[1] + y), end, (control[0] - x, control[1] - y), start)


@lru_cache
def _ring(count: int) -> npt.NDArray[np.intp]:
    return np.arange(count + 1) % count


@lru_cache
def _circle(start: float, end: float) -> Points:
    angles = np.radians(np.linspace(start, end, 4 * _SAMPLES + 1))
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
