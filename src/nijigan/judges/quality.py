"""Whether people would keep a face: a fit to thousands of ratings by eye.

    chances = keep_probability(images)

A face that people keep is whole, its eyes are alike, nothing is melted, and its outline is clean. The ratings are in
`results/ratings`; `benchmarks/train_quality.py` fits the judge to them, and `docs/judging.md` says how well it predicts
the ratings of generators that it has not seen.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch

from nijigan.aliases import Images, Progress
from nijigan.assets import ASSETS
from nijigan.errors import UserError
from nijigan.judges import anime
from nijigan.judges.feature_spaces import LITE0_RESOLUTION, check_images, to_pixels, to_sphere
from nijigan.metrics.arrays import FeatureArray
from nijigan.vision import lite0
from nijigan.vision.frozen import freeze

WEIGHTS = ASSETS / "quality.safetensors"
"""The fit: `weight`, one number for each channel statistic, and `offset`, both fp32."""
BLOCKS = (3, 5, 8, 11, 15, 16)
"""The blocks of Lite0 whose channels are described: the last ones at 32, 16, 8, 8, 4 and 4 px, for faces at 128 px."""
STATISTICS = 3200
"""Numbers that describe a face: mean, deviation and maximum of each of these channels over the places, then mean and
deviation of each channel of the anime network's three stages."""

LEAST_YIELD = 0.1
"""Below this yield, generators cannot be told apart by it: the judge's error is as large."""

_BATCH = 16  # as in FeatureSpace.extract


@dataclass(frozen=True)
class Impressions:
    """What the packaged networks see in N faces."""

    lite0: FeatureArray
    """N×1280: the features of the space lite0."""
    anime: FeatureArray
    """N×256: the features of the space anime."""
    statistics: FeatureArray
    """N×3200: means, deviations and maxima of channels; see `STATISTICS`."""

    @property
    def keep(self) -> FeatureArray:
        """The chance that a person keeps each face, N float32 in [0, 1]."""
        weight, offset = _fit()[:2]
        chances = 1 / (1 + np.exp(-(self.statistics.astype(np.float64) @ weight + offset)))
        return np.asarray(chances, np.float32)


def keep_probability(images: Images, progress: Progress | None = None) -> FeatureArray:
    """The chance that a person keeps each face.

    It is predicted from ratings by two vision models, whose strictness follows a count by a person, of faces of 64 and
    96 px. Other sizes are resized; there and for other styles, compare with what real faces get.

    Args:
        images: uint8 RGB, N×H×W×3.
        progress: called with (faces judged, N).

    Returns:
        N float32 in [0, 1]. Their mean over a generator's faces is its yield.

    Raises:
        ValueError: the images have another shape or type.
    """
    return look(images, progress).keep


def look(images: Images, progress: Progress | None = None) -> Impressions:
    """Run the packaged networks over faces, once for everything that judges them. Changes no random state.

    Arguments and errors are those of `keep_probability`.
    """
    check_images(images)
    count = len(images)
    found = Impressions(
        np.empty((count, lite0.FEATURES), np.float32),
        np.empty((count, anime.AnimeNet.size), np.float32),
        np.empty((count, STATISTICS), np.float32),
    )
    for start in range(0, count, _BATCH):
        part = slice(start, start + _BATCH)
        found.lite0[part], found.anime[part], found.statistics[part] = _look(images[part])
        if progress is not None:
            progress(min(start + _BATCH, count), count)
    return found


def weights_hash() -> str:
    """SHA-256 of the fit in hex: yields by different fits do not compare."""
    return _fit()[2]


@torch.inference_mode()
def _look(images: Images) -> tuple[npt.NDArray[np.float32], ...]:
    wide, small = _networks()
    with torch.autocast("cpu", enabled=False):
        features, blocks = wide.with_blocks(to_pixels(images, LITE0_RESOLUTION), BLOCKS)
        embedding, stages = small.with_stages(to_pixels(images, anime.RESOLUTION))
        pooled = [s for block in blocks for s in (block.mean((2, 3)), block.std((2, 3)), block.amax((2, 3)))]
        pooled += [s for stage in stages for s in (stage.mean((2, 3)), stage.std((2, 3)))]
        return tuple(t.numpy() for t in (to_sphere(features), to_sphere(embedding), torch.cat(pooled, 1)))


@cache
def _networks() -> tuple[lite0.Lite0, anime.AnimeNet]:
    wide, small = lite0.load(), anime.load()[0]
    freeze(wide)
    freeze(small)
    return wide, small


@cache
def _fit() -> tuple[npt.NDArray[np.float64], float, str]:
    """Weights, offset and SHA-256 of the file in hex."""
    data = WEIGHTS.read_bytes()
    try:
        tensors = safetensors.torch.load(data)
        weight, offset = tensors["weight"].double().numpy(), float(tensors["offset"])
    except Exception as error:  # of safetensors, or a missing name
        raise UserError(f"{WEIGHTS} is damaged; install nijigan again.") from error
    return weight, offset, hashlib.sha256(data).hexdigest()
