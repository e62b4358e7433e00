"""Features of real faces and the values derived from them, computed once and cached.

`nijigan.dataset.cache` says where the cache is. Each file is named by a hash of everything that its content depends on
(dataset, split, resolution, feature space), and may be deleted at any time.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nijigan.aliases import Progress
from nijigan.dataset.cache import FLOATS, cache_file, open_cache, write_cache
from nijigan.dataset.faces import FaceDataset
from nijigan.dataset.manifest import SPLITS
from nijigan.dataset.splits import split_advice
from nijigan.errors import UserError
from nijigan.files import replacing
from nijigan.judges.feature_spaces import FeatureSpace, open_feature_space
from nijigan.judges.quality import BLOCKS, STATISTICS, Impressions, look
from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.neighbours import nearest

NEIGHBOURS = 5
"""The k of every nearest-neighbour score."""

_FORMAT = 1  # of the cache; increase it when a cached value is computed differently
_MIN_FACES = 20  # in a split
_STAGES = {
    "features": "Computing the features of %s",
    "radii": "Measuring the distances between %s",
    "realism": "Comparing %s with the training faces",
    "nearest": "Finding the nearest training face of %s",
    "found": "Running the face detector on %s",
}  # what is computed, and the message while it is

log = logging.getLogger("nijigan")


@dataclass(frozen=True)
class RealFaces:
    """The real faces that generated faces are compared with."""

    dataset: FaceDataset
    split: str
    resolution: int
    space: FeatureSpace
    train: FeatureArray
    """Features of the training faces, N×D, memory-mapped."""
    features: FeatureArray
    """Features of the split's faces, n×D, memory-mapped."""
    nearest: FeatureArray
    """Distance from each face of the split to its nearest training face, n."""
    seen: Impressions
    """What the packaged networks see in the split's faces."""


def real_faces(
    dataset: FaceDataset, split: str, resolution: int, space: FeatureSpace, progress: Progress | None = None
) -> RealFaces:
    """Compute the features of a dataset's real faces and what is derived from them, or read them from the cache.

    Args:
        dataset: the faces.
        split: val or test.
        resolution: in pixels. Real and generated faces must be compared at the same resolution.
        space: the feature space.
        progress: called with (done, total) while faces are processed for the first time.

    Raises:
        UserError: a split has too few faces.
    """
    check_judgeable(dataset, split)
    train = features_of(dataset, "train", resolution, space, progress)
    seen = _impressions(dataset, split, resolution, progress)
    features = features_of(dataset, split, resolution, space, progress)
    near = Kept(dataset, "nearest", split, resolution, space.hash).get(
        lambda: nearest(features, train, progress=progress)[0][:, 0]
    )
    return RealFaces(dataset, split, resolution, space, train, features, near, seen)


def check_judgeable(dataset: FaceDataset, split: str) -> None:
    """Raise a `UserError` if a dataset has too few faces to judge against a split, or no such split."""
    if split not in SPLITS:
        raise UserError(f"There is no split {split!r}; choose {' or '.join(SPLITS[1:])}.")
    for name in ("train", "val", split):
        if dataset.count(name) < _MIN_FACES:
            raise UserError(
                f"Judging needs at least {_MIN_FACES} faces in the {name} split; {dataset.path} has "
                f"{dataset.count(name)}. {split_advice(dataset.path, len(dataset.table), _MIN_FACES)}"
            )


def features_of(
    dataset: FaceDataset, split: str, resolution: int, space: FeatureSpace, progress: Progress | None = None
) -> FeatureArray:
    """The features of a split's faces, N×D, memory-mapped from the cache."""
    return Kept(dataset, "features", split, resolution, space.hash, space.size).get(
        lambda: space.extract(dataset.pixels(split, resolution), progress=progress)
    )


def _impressions(dataset: FaceDataset, split: str, resolution: int, progress: Progress | None) -> Impressions:
    """What the packaged networks see in a split's faces. All of it is computed in one pass, and cached."""
    spaces = open_feature_space("lite0"), open_feature_space("anime")
    files = [Kept(dataset, "features", split, resolution, space.hash, space.size) for space in spaces]
    both = f"{spaces[0].hash} {spaces[1].hash} {BLOCKS}"
    files.append(Kept(dataset, "statistics", split, resolution, both, STATISTICS))
    kept = [file.read() for file in files]
    if any(array is None for array in kept):
        log.info(_STAGES["features"], f"{dataset.count(split):,} {split} faces")
        seen = look(dataset.pixels(split, resolution), progress)
        for file, array in zip(files, (seen.lite0, seen.anime, seen.statistics), strict=True):
            file.write(array)
        return seen
    return Impressions(*(array for array in kept if array is not None))


@dataclass(frozen=True)
class Kept:
    """One array of numbers for each face of a split, kept in a file that may be deleted at any time."""

    dataset: FaceDataset
    what: str
    """What the numbers are; a key of `_STAGES`, or told otherwise."""
    split: str
    resolution: int
    depends: str = ""
    """What they depend on besides the faces: the hash of a feature space."""
    width: int = 0
    """Numbers for each face; 0: one, as an array without a second dimension."""

    @property
    def _name(self) -> str:
        key = [_FORMAT, self.dataset.fingerprint, self.split, self.resolution, self.depends, NEIGHBOURS]
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        return f"judge-{self.what}-{self.split}-{self.resolution}-{digest}.npy"

    @property
    def _shape(self) -> tuple[int, ...]:
        count = self.dataset.count(self.split)
        return (count, self.width) if self.width else (count,)

    def get(self, compute: Callable[[], FeatureArray]) -> FeatureArray:
        """The array from its file, memory-mapped, or computed and written first."""
        kept = self.read()
        if kept is None:
            log.info(_STAGES[self.what], f"{self.dataset.count(self.split):,} {self.split} faces")
            kept = self.write(compute())
        return kept

    def read(self) -> FeatureArray | None:
        """The array, memory-mapped; None if it is not kept or damaged."""
        return open_cache(cache_file(self.dataset.path, self._name), self._shape, FLOATS)

    def write(self, array: FeatureArray) -> FeatureArray:
        """Keep the array, and return it memory-mapped.

        Raises:
            UserError: the disk is full or cannot be written to.
        """
        path = cache_file(self.dataset.path, self._name, write=True)
        with replacing(path) as temporary:
            write_cache(temporary, self._shape, [np.ascontiguousarray(array, np.float32)], FLOATS)
        kept = open_cache(path, self._shape, FLOATS)
        if kept is None:
            raise UserError(f"{path} cannot be read back; check the disk.")
        return kept
