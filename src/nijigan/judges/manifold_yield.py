"""The yield of version 0.1: the share of faces that a detector finds and that lie among real ones.

It is kept for comparison. People do not agree with it: faces that they throw away pass both tests, and it ranks
generators in another order than they do (`docs/judging.md`). `nijigan.judges.quality` took its place.
"""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Images, Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.judges.feature_spaces import FeatureSpace
from nijigan.judges.real import NEIGHBOURS, Kept, features_of
from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.intervals import share
from nijigan.metrics.neighbours import radii, realism
from nijigan.metrics.score import Score
from nijigan.vision.finder import have_faces

FACES = 2000
"""Generated faces that are judged: the detector is slow."""

log = logging.getLogger("nijigan")

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Manifold:
    """The training faces, around which good faces lie."""

    space: FeatureSpace
    train: FeatureArray
    """Their features, N×D."""
    radii: FeatureArray
    """Distance from each to its k-th neighbour among them, N."""
    threshold: float
    """The realism that 95 % of the validation faces reach."""

    def realism(self, features: FeatureArray, progress: Progress | None = None) -> FeatureArray:
        """How deep within the manifold each face lies; see `nijigan.metrics.neighbours.realism`."""
        return realism(features, self.train, self.radii, progress=progress)

    def judge(self, images: Images, features: FeatureArray, progress: Progress | None = None) -> Score:
        """The share of good faces: the detector finds a face, and it lies within the manifold.

        Args:
            images: uint8 N×H×W×3.
            features: of these faces, N×D.
            progress: called with (faces shown to the detector, N).
        """
        inside = self.realism(features) >= self.threshold
        log.info("Running the face detector on %s faces", f"{len(images):,}")
        good = have_faces(images, progress=progress) & inside
        return share(int(good.sum()), len(good))

    def judge_split(self, dataset: FaceDataset, split: str, resolution: int, progress: Progress | None) -> Score:
        """The same for the faces of a split, val or test: the ceiling."""
        features = features_of(dataset, split, resolution, self.space, progress)
        found = Kept(dataset, "found", split, resolution).get(
            lambda: have_faces(dataset.pixels(split, resolution), progress=progress).astype(np.float32)
        )
        good = found.astype(bool) & (self.realism(features) >= self.threshold)
        return share(int(good.sum()), len(good))


def open_manifold(
    dataset: FaceDataset, resolution: int, space: FeatureSpace, progress: Progress | None = None
) -> Manifold:
    """Measure the manifold of a dataset's training faces, or read it from the cache."""
    train = features_of(dataset, "train", resolution, space, progress)
    reach = Kept(dataset, "radii", "train", resolution, space.hash).get(
        lambda: radii(train, NEIGHBOURS, progress=progress)
    )
    val = features_of(dataset, "val", resolution, space, progress)
    depth = Kept(dataset, "realism", "val", resolution, space.hash).get(
        lambda: realism(val, train, reach, progress=progress)
    )
    finite = np.minimum(depth, np.finfo(np.float32).max)  # copies of training faces are infinitely realistic
    return Manifold(space, train, reach, float(np.quantile(finite, 0.05)))
