"""What can be measured in pictures of faces without any network: a few numbers that people have words for.

Pictures are float, N×H×W×3 in [0, 1].
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Pictures = npt.NDArray[np.float64]
Measured = npt.NDArray[np.float64]
"""One number for each of N pictures."""

SIDE = 64
"""Larger pictures are reduced to this height and width before they are measured."""

_BORDER, _MIDDLE = 8, 4  # fractions of the side: the outer eighths, and all but the outer quarters
_DARKEST = 0.25  # share of the weight of darkness that places the eyes and the hair's lines
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def reduce(pictures: npt.NDArray[np.uint8], side: int) -> Pictures:
    """Average uint8 pictures, N×H×W×3, down to side×side; those that are not larger keep their size."""
    height = pictures.shape[1]
    scaled = pictures.astype(np.float64) / 255
    if height <= side:
        return scaled
    weights = _overlap(height, side)
    reduced: Pictures = np.einsum("ah,nhwc,bw->nabc", weights, scaled, weights, optimize=True)
    return reduced


def measure(pictures: Pictures) -> dict[str, Measured]:
    """Every measure of N pictures, by its name."""
    luma = pictures @ _LUMA  # N×H×W
    return {name: of(pictures, luma) for name, of in _MEASURES.items()}


def _overlap(size: int, side: int) -> npt.NDArray[np.float64]:
    """side×size: the share that each pixel has in each average."""
    edges = np.linspace(0, size, side + 1)
    places = np.arange(size)
    shared = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    weights: npt.NDArray[np.float64] = shared.clip(0) * side / size
    return weights


def _saturation(pictures: Pictures, luma: Measured) -> Measured:
    """Distance between the strongest and the weakest channel."""
    return np.asarray((pictures.max(axis=3) - pictures.min(axis=3)).mean(axis=(1, 2)))


def _border(pictures: Pictures, luma: Measured) -> Measured:
    """Brightness at the left and right edge, where most faces have the background."""
    width = max(1, luma.shape[2] // _BORDER)
    return np.asarray(np.concatenate([luma[:, :, :width], luma[:, :, -width:]], axis=2).mean(axis=(1, 2)))


def _middle(luma: Measured) -> Measured:
    edge = luma.shape[1] // _MIDDLE
    return luma[:, edge:-edge, edge:-edge]


def _skin(pictures: Pictures, luma: Measured) -> Measured:
    return np.asarray(_middle(luma).mean(axis=(1, 2)))


def _hair(pictures: Pictures, luma: Measured) -> Measured:
    """Brightness of the upper fifth, between the corners."""
    side = luma.shape[1]
    return np.asarray(luma[:, : side // 5, side // 4 : -(side // 4)].mean(axis=(1, 2)))


def _forehead(pictures: Pictures, luma: Measured) -> Measured:
    """How much brighter than the hair above the forehead is: a fringe covers it."""
    side = luma.shape[1]
    forehead = luma[:, side // 4 : side // 4 + max(1, side // 6), side * 3 // 8 : side * 5 // 8]
    return np.asarray(forehead.mean(axis=(1, 2)) - _hair(pictures, luma))


def _light_above(pictures: Pictures, luma: Measured) -> Measured:
    """How high the centre of all light lies."""
    rows = luma.mean(axis=2)
    return np.asarray(-(rows * _places(luma.shape[1])).sum(axis=1) / (rows.sum(axis=1) + 1e-6))


def _turn(pictures: Pictures, luma: Measured) -> Measured:
    """Where the light of the middle rows has its centre: a face that is turned shows its skin on that side."""
    rows = luma[:, luma.shape[1] // 3 :]
    return np.asarray((rows * _places(luma.shape[2])).sum(axis=(1, 2)) / (rows.sum(axis=(1, 2)) + 1e-6))


def _height_of_dark(pictures: Pictures, luma: Measured) -> Measured:
    """How high the darkest pixels of the middle lie, which are mostly those of eyes and fringe."""
    middle = _middle(luma)
    limit = np.quantile(middle, _DARKEST, axis=(1, 2), keepdims=True)
    dark = (limit - middle).clip(0) + 1e-9
    return np.asarray(-(dark * _places(middle.shape[1])[:, None]).sum(axis=(1, 2)) / dark.sum(axis=(1, 2)))


def _detail(pictures: Pictures, luma: Measured) -> Measured:
    """Mean difference between neighbouring pixels."""
    across, down = np.abs(np.diff(luma, axis=2)), np.abs(np.diff(luma, axis=1))
    return np.asarray(across.mean(axis=(1, 2)) + down.mean(axis=(1, 2)))


def _places(size: int) -> npt.NDArray[np.float64]:
    return np.linspace(-1, 1, size)


_MEASURES: dict[str, Callable[[Pictures, Measured], Measured]] = {
    "brightness": lambda pictures, luma: np.asarray(luma.mean(axis=(1, 2))),
    "contrast": lambda pictures, luma: np.asarray(luma.std(axis=(1, 2))),
    "saturation": _saturation,
    "warmth": lambda pictures, luma: np.asarray((pictures[..., 0] - pictures[..., 2]).mean(axis=(1, 2))),
    "background brightness": _border,
    "face brightness": _skin,
    "hair brightness": _hair,
    "bare forehead": _forehead,
    "light on the right": _turn,
    "light above": _light_above,
    "height of the dark parts": _height_of_dark,
    "detail": _detail,
}
