"""Damage to real faces as generators do it: eyes that do not match, mouths that are missing, hair and features melted.

The places of eyes and mouth come from the face detector. A face in which it finds nothing stays as it is.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from nijigan.aliases import Images
from nijigan.pictures import resize
from nijigan.vision.finder import BORDER, detect_windows

Floats = npt.NDArray[np.float32]
Box = npt.NDArray[np.float64]
Flaw = Callable[[Images, float, np.random.Generator], Images]

_SIDE = 96  # at which the detector looks


@dataclass(frozen=True)
class Places:
    """Where the parts of a face are: left, upper, width and height in pixels of the face."""

    right_eye: Box
    """The one on the viewer's right."""
    left_eye: Box
    mouth: Box


def find_places(faces: Images) -> list[Places | None]:
    """Where the parts of each of N faces are, uint8 N×S×S×3."""
    with ThreadPoolExecutor() as threads:
        return list(threads.map(_places, faces))


def _places(face: Images) -> Places | None:
    side, border = face.shape[0], round(BORDER * _SIDE)
    picture = np.asarray(resize(Image.fromarray(np.ascontiguousarray(face)), _SIDE, _SIDE))
    windows = detect_windows(np.pad(picture, ((border, border), (border, border), (0, 0)), mode="reflect"))
    if not windows:
        return None
    parts = max(windows, key=lambda window: (window.likelihood, window.box.width)).parts
    right, left, mouth = (
        np.array([part.x - border, part.y - border, part.width, part.height]) * side / _SIDE
        for part in (parts[0], parts[1], parts[3])
    )
    return Places(right, left, mouth)


def eye_of_another(faces: Images, percent: float, random: np.random.Generator) -> Images:
    """Give `percent` of the faces the right eye of another."""
    damaged, places = faces.copy(), find_places(faces)
    for row in range(round(len(faces) * percent / 100)):
        here, donor = places[row], (row + len(faces) // 2) % len(faces)
        there = places[donor]
        if here and there:
            _paste(damaged[row], _cut(faces[donor], _grown(there.right_eye, 1.3)), _grown(here.right_eye, 1.3))
    return damaged


def eye_erased(faces: Images, percent: float, random: np.random.Generator) -> Images:
    """Paint skin over one eye of `percent` of the faces."""
    return _erase(faces, percent, lambda places: _grown(places.left_eye, 1.2))


def mouth_erased(faces: Images, percent: float, random: np.random.Generator) -> Images:
    """Paint skin over the mouth of `percent` of the faces."""
    return _erase(faces, percent, lambda places: _grown(places.mouth, 1.6))


def eye_smeared(faces: Images, percent: float, random: np.random.Generator) -> Images:
    """Blur one eye of `percent` of the faces beyond recognition."""
    damaged, places = faces.copy(), find_places(faces)
    for row in range(round(len(faces) * percent / 100)):
        if here := places[row]:
            box = _grown(here.right_eye, 1.2)
            soft = gaussian_filter(faces[row].astype(np.float32), (2.5, 2.5, 0))
            _paste(damaged[row], _cut(soft.clip(0, 255).astype(np.uint8), box), box)
    return damaged


def melted_hair(faces: Images, pixels: float, random: np.random.Generator) -> Images:
    """Displace everything above the eyes and beside the face by short waves whose root mean square is `pixels`."""
    return _melt(faces, pixels, random, hair=True)


def melted_features(faces: Images, pixels: float, random: np.random.Generator) -> Images:
    """Displace eyes, nose and mouth by short waves whose root mean square is `pixels`."""
    return _melt(faces, pixels, random, hair=False)


def _melt(faces: Images, pixels: float, random: np.random.Generator, hair: bool) -> Images:
    damaged, side = faces.copy(), faces.shape[1]
    grid = np.indices((side, side)).astype(np.float32)
    for row, places in enumerate(find_places(faces)):
        field = gaussian_filter(random.normal(size=(2, side, side)), (0, side / 24, side / 24))
        field *= pixels / np.sqrt((field**2).sum(0).mean())
        if places is None:
            continue
        boxes = np.stack([places.right_eye, places.left_eye, places.mouth])
        low, high = (boxes[:, :2] - boxes[:, 2:] * 0.3).min(0), (boxes[:, :2] + boxes[:, 2:] * 1.3).max(0)
        inside = (grid[1] > low[0]) & (grid[1] < high[0]) & (grid[0] > low[1]) & (grid[0] < high[1])
        mask = gaussian_filter((~inside if hair else inside).astype(np.float32), 1)
        at = grid + field * mask
        damaged[row] = to_uint8(
            np.stack(
                [map_coordinates(faces[row, ..., c], at, np.float32, order=1, mode="nearest") for c in range(3)], -1
            )
        )
    return damaged


def _erase(faces: Images, percent: float, box_of: Callable[[Places], Box]) -> Images:
    """Paint over a part of `percent` of the faces: with the median colour around it."""
    damaged, places = faces.copy(), find_places(faces)
    for row in range(round(len(faces) * percent / 100)):
        if here := places[row]:
            box = box_of(here)
            left, upper, right, lower = _edges(box, faces.shape[1])
            rim = np.concatenate([faces[row, lower - 1 : lower, left:right].reshape(-1, 3),
                                  faces[row, upper:lower, left].reshape(-1, 3),
                                  faces[row, upper:lower, right - 1].reshape(-1, 3)])  # fmt: skip
            skin = np.broadcast_to(np.median(rim, 0).astype(np.uint8), (8, 8, 3))
            _paste(damaged[row], np.ascontiguousarray(skin), box)
    return damaged


def _grown(box: Box, factor: float) -> Box:
    """A box with the same centre, `factor` times as wide and high, and at least four pixels."""
    size = np.maximum(box[2:] * factor, 4)
    return np.concatenate([box[:2] + box[2:] / 2 - size / 2, size])


def _edges(box: Box, side: int) -> tuple[int, int, int, int]:
    """Left, upper, right, lower in whole pixels, within the face, at least two apart."""
    left, upper = (int(np.clip(round(v), 0, side - 3)) for v in box[:2])
    right, lower = (
        int(np.clip(round(v), low + 3, side)) for v, low in zip(box[:2] + box[2:], (left, upper), strict=True)
    )
    return left, upper, right, lower


def _cut(face: Images, box: Box) -> Images:
    left, upper, right, lower = _edges(box, face.shape[0])
    return face[upper:lower, left:right]


def _paste(face: Images, patch: Images, box: Box) -> None:
    """Paste a patch into a face, in place, with an edge that fades over a sixth of the box."""
    left, upper, right, lower = _edges(box, face.shape[0])
    fitted = np.asarray(resize(Image.fromarray(np.ascontiguousarray(patch)), right - left, lower - upper))
    ramps = [np.minimum(1, (0.5 + np.minimum(np.arange(n), np.arange(n)[::-1])) / (n / 6)) for n in fitted.shape[:2]]
    alpha = np.outer(*ramps)[..., None]
    face[upper:lower, left:right] = to_uint8(alpha * fitted + (1 - alpha) * face[upper:lower, left:right])


def to_uint8(pixels: npt.NDArray[np.floating]) -> Images:
    """Round and clip."""
    return pixels.round().clip(0, 255).astype(np.uint8)


PERCENT, PIXELS = (25, 50, 100), (1, 2, 4)
STRUCTURAL: dict[str, tuple[Flaw, Sequence[float]]] = {
    "eye of another face, % of faces": (eye_of_another, PERCENT),
    "eye erased, % of faces": (eye_erased, PERCENT),
    "eye smeared, % of faces": (eye_smeared, PERCENT),
    "mouth erased, % of faces": (mouth_erased, PERCENT),
    "melted hair, px": (melted_hair, PIXELS),
    "melted features, px": (melted_features, PIXELS),
}
