"""Read hair and eye colours from the pixels of a face, as the colour names that are common in human tags.

The detector finds the face and its eyes (`nijigan.vision.anatomy`). For each part, two histograms are computed over a
palette of colours in OKLab: one of the area where the part usually is, one of the area around it. Multinomial logistic
regression maps both to logits. A small network adds logits of the whole face (`nijigan.vision.colour_net`). The
probabilities are the softmax of a weighted sum of the two. Palette, areas and weights were fitted to human tags by
`benchmarks/colours.py`.

A reading depends only on the picture, except for rounding with another number of threads. There are no random numbers
and no state between calls.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Images
from nijigan.assets import ASSETS
from nijigan.jsonio import read_json
from nijigan.vision.anatomy import Samples, find_anatomy
from nijigan.vision.colour_names import VALUES
from nijigan.vision.finder import check_pixels

MIN_CONFIDENCE = 0.3
"""The lowest confidence of a label. Below it, a value agrees with human tags three times in ten, which is too rare to
learn from; just above it, three to four times. Tags themselves often name a neighbouring colour, or the colour of the
character instead of that of the drawing."""

MODEL = ASSETS / "colours.json"

EMPHASIS = np.array([0.6, 1.5, 1.5], np.float32)
"""Weights of lightness and the two axes of chroma in comparisons. Shading changes lightness but not the name."""


Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reading:
    """The reading of one attribute."""

    value: str | None
    """None if there is no face, or the confidence is below `MIN_CONFIDENCE`."""
    confidence: float
    """The probability that a person would tag the likeliest value, 0 to 1; 0 without a face."""


@dataclass(frozen=True)
class PartModel:
    """The fitted model of one part of a face."""

    place: tuple[tuple[float, ...], ...]
    """A square map of the frame: how much a sample there counts as the part. The rest, up to 1,
    counts as its surroundings."""
    bias: dict[str, float]
    """Bias of each value, in nats. It contains the values' shares among tagged faces. With equal shares, confidence
    would no longer be the probability of being right on a random face."""
    weights: dict[str, tuple[float, ...]]
    """Weights of each value for the square roots of the 2·K shares, in nats."""
    trust: tuple[float, float]
    """Factors of the logits of the histograms and of the network in their sum."""


@dataclass(frozen=True)
class ColourModel:
    """The fitted model: `assets/colours.json`."""

    fitted_on: str
    palette: tuple[tuple[float, float, float], ...]
    """K colours in OKLab times `EMPHASIS`."""
    softness: float
    """Standard deviation of the Gaussian that distributes a sample among the colours near it."""
    parts: dict[str, PartModel]


def read_colours(face: Images) -> dict[str, Reading]:
    """Read the colours of a face.

    Args:
        face: a picture that a face fills, of any size: uint8 RGB, H×W×3.

    Returns:
        A reading for "hair" (one of `HAIR`) and for "eyes" (one of `EYES`).

    Raises:
        UserError: `face` is not such an array.
    """
    check_pixels(face, 3, "Colours are read from")
    anatomy = find_anatomy(face)
    if anatomy is None:
        return dict.fromkeys(VALUES, Reading(None, 0.0))
    from nijigan.vision.colour_net import colour_logits

    seen = colour_logits(_square(face, anatomy.middle))
    return {name: reader.read(getattr(anatomy, name), seen[name]) for name, reader in _readers().items()}


def _square(face: Images, middle: tuple[float, float]) -> Images:
    """The largest square of a picture, as near to the middle of the face as possible."""
    height, width = face.shape[:2]
    side = min(height, width)
    top = min(max(round(middle[1] * height - side / 2), 0), height - side)
    left = min(max(round(middle[0] * width - side / 2), 0), width - side)
    return face[top : top + side, left : left + side]


@dataclass(frozen=True)
class _ColourReader:
    """The model of one part, as arrays."""

    values: tuple[str, ...]
    palette: Floats
    softness: float
    place: Floats
    weights: Floats
    bias: Floats
    trust: tuple[float, float]

    def read(self, samples: Samples, seen: Floats) -> Reading:
        """The reading, given the network's logits."""
        counted = self.weights @ describe(samples, self.place, self.palette, self.softness) + self.bias
        logits = self.trust[0] * counted + self.trust[1] * seen
        chances = np.exp(logits - logits.max())
        chances /= chances.sum()
        best = int(chances.argmax())
        confidence = float(chances[best])
        return Reading(self.values[best] if confidence >= MIN_CONFIDENCE else None, confidence)


@cache
def _readers() -> dict[str, _ColourReader]:
    """The packaged models. Two threads may both load them, with the same result."""
    model = read_json(ColourModel, MODEL)
    palette = np.array(model.palette, np.float32)
    return {
        name: _ColourReader(
            values=VALUES[name],
            palette=palette,
            softness=model.softness,
            place=np.array(part.place, np.float32),
            weights=np.array([part.weights[value] for value in VALUES[name]], np.float32),
            bias=np.array([part.bias[value] for value in VALUES[name]], np.float32),
            trust=part.trust,
        )
        for name, part in model.parts.items()
    }


def oklab(rgb: npt.NDArray[np.uint8]) -> Floats:
    """SRGB to OKLab (Ottosson, "A perceptual color space for image processing", 2020): ...×3, L from 0 to 1."""
    light: Floats = _LINEAR[rgb]
    lab: Floats = np.cbrt(light @ _TO_CONES) @ _TO_LAB
    return lab


def describe(samples: Samples, place: Floats, palette: Floats, softness: float) -> Floats:
    """Colour histograms of a part and of its surroundings.

    Args:
        samples: a part, N×S×S×4.
        place: weights of the part in its frames, 0 to 1: S×S, or coarser by an integer factor.
        palette: K colours, K×3, as in `ColourModel`.
        softness: see `ColourModel`.

    Returns:
        2·K: the square roots of the palette's shares in the part, then in its surroundings. Euclidean distances between
        such roots are Hellinger distances, in which small shares still count.
    """
    colours = (oklab(samples[..., :3]) * EMPHASIS).reshape(-1, 3)
    affinity = (colours @ palette.T - (palette**2).sum(1) / 2) / np.float32(softness**2)  # -½d², up to a constant
    affinity = np.exp(affinity - affinity.max(1, keepdims=True))
    affinity /= affinity.sum(1, keepdims=True)
    cell = samples.shape[1] // len(place)
    part = np.kron(place, np.ones((cell, cell), np.float32))
    seen = samples[..., 3].astype(np.float32) / 255
    amounts = np.stack([(seen * part).ravel(), (seen * (1 - part)).ravel()]) @ affinity
    shares: Floats = np.sqrt(amounts / np.maximum(amounts.sum(1, keepdims=True), 1e-6)).ravel()
    return shares


_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""Linear light for each of the 256 levels of sRGB."""
_TO_CONES = np.array([[0.4122214708, 0.2119034982, 0.0883024619],
                      [0.5363325363, 0.6806995451, 0.2817188376],
                      [0.0514459929, 0.1073969566, 0.6299787005]], np.float32)  # fmt: skip
_TO_LAB = np.array([[0.2104542553, 1.9779984951, 0.0259040371],
                    [0.7936177850, -2.4285922050, 0.7827717662],
                    [-0.0040720468, 0.4505937099, -0.8086757660]], np.float32)  # fmt: skip
