"""The real side of an evaluation: features of real faces and what follows from them, computed once and kept.

Everything is cached inside the dataset's folder under a hash of the content it follows from (dataset, split,
resolution, feature space), and may be deleted at any time.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.files import replacing
from nijigan.judges.feature_spaces import FeatureSpace
from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.neighbours import nearest, radii, realism
from nijigan.vision.finder import have_faces

NEIGHBOURS = 5
"""k of every nearest-neighbour score."""

_FORMAT = 1  # of the cache; raise it when what is cached is computed in another way
_FEWEST = 20  # faces in a split that say anything


@dataclass(frozen=True)
class RealFaces:
    """What drawn faces are measured against."""

    dataset: FaceDataset
    split: str
    resolution: int
    space: FeatureSpace
    train: FeatureArray
    """Features of the training faces, N×D, memory-mapped: the manifold that realism and originality refer to."""
    radii: FeatureArray
    """Distance of each to its k-th neighbour among them, N."""
    features: FeatureArray
    """Features of the split's faces, n×D, memory-mapped."""
    realism: FeatureArray
    """Realism of each of them, n."""
    nearest: FeatureArray
    """Distance of each to its nearest training face, n."""
    found: npt.NDArray[np.bool_]
    """Whether the face finder sees a face in each, n."""
    threshold: float
    """Realism that 95 of 100 validation faces reach: what is below lies outside the real manifold."""

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Which of the split's faces pass as good: what real faces score as yield."""
        return self.are_good(self.found, self.realism)

    def are_good(self, found: npt.NDArray[np.bool_], realism: FeatureArray) -> npt.NDArray[np.bool_]:
        """Which faces are good, of equally many verdicts: those that the finder sees and that lie inside the manifold.

        Either alone is blind: muddy pictures pass the finder, clean blends of faces pass the manifold.
        """
        return np.asarray(found & (realism >= self.threshold))


def real_faces(
    dataset: FaceDataset, split: str, resolution: int, space: FeatureSpace, progress: Progress | None = None
) -> RealFaces:
    """Describe the real faces of a dataset, or read what was described before.

    Args:
        dataset: the faces.
        split: val or test.
        resolution: in pixels; both sides of a comparison must have passed the same resize.
        space: the features.
        progress: called with (done, total) while faces are described for the first time.

    Raises:
        UserError: a split has too few faces.
    """
    check_judgeable(dataset, split)
    train = _features(dataset, "train", resolution, space, progress)
    manifold = _cached(dataset, "radii", "train", resolution, space, lambda: radii(train, NEIGHBOURS))

    def depth(name: str) -> tuple[FeatureArray, FeatureArray]:
        described = _features(dataset, name, resolution, space, progress)
        real = _cached(dataset, "realism", name, resolution, space, lambda: realism(described, train, manifold))
        return described, real

    threshold = float(np.quantile(depth("val")[1], 0.05))
    described, real = depth(split)
    near = _cached(dataset, "nearest", split, resolution, space, lambda: nearest(described, train)[0][:, 0])
    found = _cached(
        dataset, "found", split, resolution, None,
        lambda: have_faces(dataset.pixels(split, resolution), progress=progress).astype(np.float32),
    )  # fmt: skip
    return RealFaces(
        dataset, split, resolution, space, train, manifold, described, real, near, found.astype(bool), threshold
    )


def check_judgeable(dataset: FaceDataset, split: str) -> None:
    """Refuse, with a `UserError`, a dataset with too few faces to judge against a split."""
    for name in ("train", "val", split):
        if dataset.count(name) < _FEWEST:
            raise UserError(
                f"{dataset.path} has {dataset.count(name)} faces in its {name} split; judging takes {_FEWEST} or more "
                "in each: import more pictures, or hold more out with --holdout."
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
    """What `compute` gives, kept in a file that is named for everything it follows from."""
    key = [_FORMAT, dataset.fingerprint, split, resolution, space.hash if space else "", NEIGHBOURS]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    path = dataset.path / "cache" / f"judge-{what}-{split}-{resolution}-{digest}.npy"
    kept = _open(path)
    if kept is None:
        values = np.ascontiguousarray(compute(), np.float32)
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, values, allow_pickle=False)
        kept = _open(path)
    assert kept is not None
    return kept


def _open(path: Path) -> FeatureArray | None:
    with suppress(OSError, ValueError, EOFError):  # not there, or cut short
        array: FeatureArray = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    return None
