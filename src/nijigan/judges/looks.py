"""How sharp faces are and what colours they have: four numbers for each, from the pixels alone."""

import numpy as np

from nijigan.aliases import Images
from nijigan.metrics.arrays import FeatureArray
from nijigan.vision.colours import oklab

SHARPNESS = 0
"""Column of the sharpness: the logarithm of the mean square of lightness' Laplacian, as a share of its variance. It
does not depend on contrast; blur lowers it, and noise raises it."""
COLOURS = {1: ("dark", "light"), 2: ("green", "red"), 3: ("blue", "yellow"), 4: ("flat", "harsh")}
"""Columns of the colours, and what a face with a low and with a high value is: mean lightness, mean green-red and mean
blue-yellow in OKLab (Ottosson 2020), and the deviation of lightness."""
LOOKS = 5

_CHUNK = 512


def looks(images: Images) -> FeatureArray:
    """Sharpness and colours of N faces, uint8 N×H×W×3 → N×5 float32."""
    found = np.empty((len(images), LOOKS), np.float32)
    for start in range(0, len(images), _CHUNK):
        lab = oklab(np.asarray(images[start : start + _CHUNK]))
        light = lab[..., 0]
        inner = light[:, 1:-1, 1:-1]
        around = light[:, :-2, 1:-1] + light[:, 2:, 1:-1] + light[:, 1:-1, :-2] + light[:, 1:-1, 2:]
        edges = np.square(around - 4 * inner).mean((1, 2))
        sharpness = np.log((edges + 1e-8) / (light.var((1, 2)) + 1e-6))
        part = [sharpness, *lab.mean((1, 2)).T, light.std((1, 2))]
        found[start : start + _CHUNK] = np.stack(part, 1)
    return found
