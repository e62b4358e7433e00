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
import numpy.typing as npt

from nijigan.aliases import Progress
from nijigan.dataset.cache import FLOATS, cache_file, open_cache, write_cache
from nijigan.dataset.faces import FaceDataset
from nijigan.dataset.manifest import SPLITS
from nijigan.dataset.splits import split_advice
from nijigan.errors import UserError
from nijigan.files import replacing
from nijigan.judges.feature_spaces import FeatureSpace
from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.neighbours import nearest, radii, realism
from nijigan.vision.finder import have_faces

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
    """Features of the training faces, N×D, memory-mapped: the manifold of realism and originality."""
    radii: FeatureArray
    """Distance from each training face to its k-th neighbour among them, N."""
    features: FeatureArray
    """Features of the split's faces, n×D, memory-mapped."""
    realism: FeatureArray
    """Realism of each face of the split, n."""
    nearest: FeatureArray
    """Distance from each face of the split to its nearest training face, n."""
    found: npt.NDArray[np.bool_]
    """Whether the face detector finds a face in each, n."""
    threshold: float
    """The realism that 95 % of the validation faces reach: faces below it lie outside the real manifold."""

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Which of the split's faces are good; their share is the ceiling of yield."""
        return self.are_good(self.found, self.realism)

    def are_good(self, found: npt.NDArray[np.bool_], realism: FeatureArray) -> npt.NDArray[np.bool_]:
        """Which of N faces are good: the detector finds a face, and it lies within the manifold.

        Each criterion misses something: the detector accepts muddy pictures, the manifold accepts clean blends of two
        faces.

        Args:
            found: whether the detector finds a face in each, N.
            realism: realism of each, N.
        """
        return np.asarray(found & (realism >= self.threshold))


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
    train = _features(dataset, "train", resolution, space, progress)
    manifold = _cached(
        dataset, "radii", "train", resolution, space, lambda: radii(train, NEIGHBOURS, progress=progress)
    )

    def features_and_realism(name: str) -> tuple[FeatureArray, FeatureArray]:
        features = _features(dataset, name, resolution, space, progress)
        depth = _cached(
            dataset, "realism", name, resolution, space, lambda: realism(features, train, manifold, progress=progress)
        )
        return features, depth

    finite = np.minimum(features_and_realism("val")[1], np.finfo(np.float32).max)  # copies of training faces
    threshold = float(np.quantile(finite, 0.05))
    features, depth = features_and_realism(split)
    near = _cached(
        dataset, "nearest", split, resolution, space, lambda: nearest(features, train, progress=progress)[0][:, 0]
    )
    found = _cached(
        dataset, "found", split, resolution, None,
        lambda: have_faces(dataset.pixels(split, resolution), progress=progress).astype(np.float32),
    )  # fmt: skip
    return RealFaces(
        dataset, split, resolution, space, train, manifold, features, depth, near, found.astype(bool), threshold
    )


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


def _features(
    dataset: FaceDataset, split: str, resolution: int, space: FeatureSpace, progress: Progress | None
) -> FeatureArray:
    def compute() -> FeatureArray:
        return space.extract(dataset.pixels(split, resolution), progress=progress)

    return _cached(dataset, "features", split, resolution, space, compute)


def _cached(
    dataset: FaceDataset,
    what: str,
    split: str,
    resolution: int,
    space: FeatureSpace | None,
    compute: Callable[[], FeatureArray],
) -> FeatureArray:
    """The result of `compute`, cached in a file whose name is a hash of everything that the result depends on."""
    key = [_FORMAT, dataset.fingerprint, split, resolution, space.hash if space else "", NEIGHBOURS]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    name = f"judge-{what}-{split}-{resolution}-{digest}.npy"
    shape: tuple[int, ...] = (
        (dataset.count(split), space.size) if space and what == "features" else (dataset.count(split),)
    )
    kept = open_cache(cache_file(dataset.path, name), shape, FLOATS)
    if kept is None:
        log.info(_STAGES[what], f"{dataset.count(split):,} {split} faces")
        path = cache_file(dataset.path, name, write=True)
        with replacing(path) as temporary:
            write_cache(temporary, shape, [np.ascontiguousarray(compute(), np.float32)], FLOATS)
        kept = open_cache(path, shape, FLOATS)
        if kept is None:
            raise UserError(f"{path} cannot be read back; check the disk.")
    return kept
