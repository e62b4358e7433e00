"""Hair and eye colours read from a face's pixels, in the words that people tag anime pictures with.

The detector finds the face and its eyes (`nijigan.data.anatomy`). Of each part two histograms are taken over a palette of
colours in OKLab, one where the part usually is and one around it; multinomial logistic regression turns both into
chances. Palette, places and weights were fitted on people's tags by `benchmarks/colours.py`.

A reading is a function of the picture alone: nothing is drawn at random, nothing kept between calls.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nijigan.data.anatomy import Samples, find_anatomy
from nijigan.errors import UserError
from nijigan.pictures import Images
from nijigan.recipe import read_json

HAIR = ("aqua", "black", "blonde", "blue", "brown", "gray", "green", "orange", "pink", "purple", "red", "white")
EYES = ("aqua", "black", "blue", "brown", "gray", "green", "orange", "pink", "purple", "red", "yellow")

MIN_CONFIDENCE = 0.4
"""TODO"""

MODEL = Path(__file__).parents[1] / "assets" / "colours.json"

EMPHASIS = np.array([0.6, 1.5, 1.5], np.float32)
"""On lightness and the two axes of chroma when colours are compared: shading moves the first and not a colour's name."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reading:
    """What was read of one attribute."""

    value: str | None
    """None where there is no face or the confidence is below `MIN_CONFIDENCE`."""
    confidence: float
    """The chance that the likeliest value is what a person would tag, 0 to 1; 0 without a face."""


@dataclass(frozen=True)
class PartModel:
    """How one part of a face is read."""

    place: tuple[tuple[float, ...], ...]
    """A square map of the frame: how much a sample there counts as the part (the rest, to 1, as its surroundings)."""
    bias: dict[str, float]
    """Of each value, in nats: with nothing seen, how usual it is."""
    weights: dict[str, tuple[float, ...]]
    """Of each value on the square roots of the 2·K shares, in nats."""


@dataclass(frozen=True)
class ColourModel:
    """All that was fitted: `assets/colours.json`."""

    fitted_on: str
    palette: tuple[tuple[float, float, float], ...]
    """K colours in OKLab times `EMPHASIS`."""
    softness: float
    """Standard deviation of the Gaussian by which a sample is shared out among the colours near it."""
    parts: dict[str, PartModel]


def read_colours(face: Images) -> dict[str, Reading]:
    """Read the colours of a face.

    Args:
        face: uint8 RGB, H×W×3, any size: a picture that a face fills.

    Returns:
        A reading for "hair" (one of `HAIR`) and for "eyes" (one of `EYES`).

    Raises:
        UserError: this is no such array.
    """
    if face.dtype != np.uint8 or face.ndim != 3 or face.shape[-1] != 3 or 0 in face.shape:
        shape = "×".join(map(str, face.shape))
        raise UserError(f"Colours are read from uint8 RGB pictures, H×W×3; this is {face.dtype} {shape}.")
    anatomy = find_anatomy(face)
    if anatomy is None:
        return dict.fromkeys(("hair", "eyes"), Reading(None, 0.0))
    return {"hair": _read("hair", anatomy.hair), "eyes": _read("eyes", anatomy.eyes)}


def _read(part: str, samples: Samples) -> Reading:
    fitted = _load()
    reader = fitted.parts[part]
    logits = reader.bias + reader.weights @ shares(samples, reader.place, fitted.palette, fitted.softness)
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    best = int(chances.argmax())
    confidence = float(chances[best])
    return Reading(reader.values[best] if confidence >= MIN_CONFIDENCE else None, confidence)
