"""How sharp faces are and what colours they have: six numbers for each, from the pixels alone."""

import numpy as np

from nijigan.aliases import Images
from nijigan.metrics.arrays import FeatureArray
from nijigan.vision.colours import oklab

SHARPNESS = 0
"""Column of the sharpness: the logarithm of the mean square of lightness' Laplacian, as a share of its variance. It
does not depend on contrast; blur lowers it, and noise raises it."""
COLOURS = {
    1: ("lightness", "dark", "light"),
    2: ("red and green", "green", "red"),
    3: ("blue and yellow", "blue", "yellow"),
    4: ("saturation", "pale", "colourful"),
    5: ("contrast", "flat", "harsh"),
}
"""Columns of the colours: mean lightness, mean green-red, mean blue-yellow and mean chroma in OKLab (Ottosson 2020),
and the deviation of lightness. With each its name, and what a face with a low and with a high value is."""
LOOKS = 6

_PIXELS = 2**21  # looked at in one step, so that memory does not grow with the number of faces


def looks(images: Images) -> FeatureArray:
    """Sharpness and colours of N faces of at least 3×3 pixels, uint8 N×H×W×3 → N×6 float32."""
    found = np.empty((len(images), LOOKS), np.float32)
    step = max(1, _PIXELS // (images.shape[1] * images.shape[2]))
    for start in range(0, len(images), step):
        lab = oklab(np.asarray(images[start : start + step]))
        light = lab[..., 0]
        inner = light[:, 1:-1, 1:-1]
        around = light[:, :-2, 1:-1] + light[:, 2:, 1:-1] + light[:, 1:-1, :-2] + light[:, 1:-1, 2:]
        edges = np.square(around - 4 * inner).mean((1, 2))
        sharpness = np.log((edges + 1e-8) / (light.var((1, 2)) + 1e-6))
        chroma = np.hypot(lab[..., 1], lab[..., 2]).mean((1, 2))
        found[start : start + step] = np.stack([sharpness, *lab.mean((1, 2)).T, chroma, light.std((1, 2))], 1)
    return found
