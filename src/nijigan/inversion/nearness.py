"""How near a found face is to its picture, in distances that people can imagine."""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Images
from nijigan.generator.generator import Generator
from nijigan.generator.latents import interpolate, latents
from nijigan.judges.feature_spaces import FeatureSpace, open_feature_space

Level = Literal["close", "similar", "far"]

MORPH_STEPS = 16
"""From one random face to another in that many steps, two neighbours are hard to tell apart."""

_PAIRS = 24
_SEED = 2**41  # of the first face that is measured, far from those of sample grids and reports

_SENTENCES: dict[Level, str] = {
    "close": "Close: it differs from the picture no more than two neighbouring frames of a morph differ.",
    "similar": "Similar: it differs from the picture clearly less than two random faces of this generator do.",
    "far": "Far: it differs from the picture about as much as two random faces of this generator do. Colours and pose "
    "may agree all the same, but no nearer face was found.",
}


@dataclass(frozen=True)
class Nearness:
    """A distance beside two others of the same generator. All are in the feature space lite0."""

    distance: float
    """Between the found face and the picture."""
    neighbours: float
    """The median between neighbours in a morph of `MORPH_STEPS` steps."""
    random: float
    """The median between random faces."""

    @property
    def level(self) -> Level:
        """`close` up to the distance of neighbours, `similar` up to the middle of the two, else `far`."""
        if self.distance <= self.neighbours:
            return "close"
        return "similar" if self.distance <= (self.neighbours + self.random) / 2 else "far"

    @property
    def sentence(self) -> str:
        """What to tell people: one or two sentences."""
        return _SENTENCES[self.level]


def distances(one: Images, other: Images) -> npt.NDArray[np.float32]:
    """Measure the distance of each of N faces from another one.

    It is the root of the mean squared difference of lite0's features, which have the mean square 1.

    Args:
        one: uint8, N×H×W×3.
        other: as many.

    Returns:
        N numbers of 0 or more.
    """
    space = _space()
    difference = space.extract(one) - space.extract(other)
    return np.asarray(np.sqrt(np.square(difference).mean(1)), np.float32)


@lru_cache(maxsize=4)
def yardsticks(generator: Generator) -> tuple[float, float]:
    """The distances of neighbours and of random faces: see `Nearness`. Computed once for a generator."""
    latent, seeds = generator.header.latent, range(_SEED, _SEED + _PAIRS)
    starts = latents(seeds, latent.size, latent.prior)
    ends = latents(range(_SEED + _PAIRS, _SEED + 2 * _PAIRS), latent.size, latent.prior)
    codes = generator.codes(seeds)
    along = np.arange(_PAIRS) % MORPH_STEPS / MORPH_STEPS
    first = generator.synthesise(interpolate(starts, ends, along, latent.prior), codes)
    second = generator.synthesise(interpolate(starts, ends, along + 1 / MORPH_STEPS, latent.prior), codes)
    neighbours, random = distances(first, second), distances(first, np.roll(first, 1, axis=0))
    return float(np.median(neighbours)), float(np.median(random))


@cache
def _space() -> FeatureSpace:
    return open_feature_space("lite0")
