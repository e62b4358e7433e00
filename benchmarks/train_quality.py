"""Fit the judge of yield, `nijigan.judges.quality`, to the ratings by eye.

    OMP_NUM_THREADS=2 python benchmarks/train_quality.py --data runs/faces64 runs/konachan

Reads the verdicts in `results/ratings`, and writes the weights into the package. Beside the rated faces, the fit learns
from unrated training faces of both datasets, which people are taken to keep, and from damaged ones (`TAUGHT`), which
they are taken to throw away. `ratings.py` says how well such a fit does on generators that it has not seen, and
`sensitivity.py` what it makes of damage in doses.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch

from damage import STRUCTURAL, Flaw, find_places
from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.judges.quality import STATISTICS, WEIGHTS, look
from nijigan.metrics.logistic import LogisticFit, fit_logistic
from rated_faces import RatedFaces, rated_faces
from sensitivity import blur, chequer, halves, noise

Floats = npt.NDArray[np.float32]
PENALTY = 3e-6
REAL, REAL_KEPT, REAL_WEIGHT = 5400, 0.97, 0.5
"""Unrated real faces, the share of them that people are taken to keep (of rated ones they kept 98 %), and what each
counts beside a rated face."""
DAMAGED, DAMAGED_KEPT, DAMAGED_WEIGHT = 450, 0.05, 0.03
"""The same of damaged faces, for each kind of damage. A greater weight makes the judge throw away more real faces."""
TAUGHT: list[tuple[Flaw, float]] = [
    (noise, 40), (blur, 2), (halves, 100), (chequer, 8), (chequer, 16),
    *((STRUCTURAL[name][0], dose) for name, dose in (
        ("eye of another face, % of faces", 100), ("eye smeared, % of faces", 100), ("mouth erased, % of faces", 100),
        ("melted hair, px", 4), ("melted features, px", 4),
    )),
]  # fmt: skip
"""Damage that the fit learns from. Erased eyes, smooth warps and lost contrast are left to the test."""


@dataclass(frozen=True)
class Lessons:
    """Faces from which a fit learns, as statistics of their channels."""

    statistics: Floats
    """N×3200."""
    kept: npt.NDArray[np.float64]
    """The share of people who keep each, N."""
    weight: npt.NDArray[np.float64]
    """What each counts, N."""

    def __add__(self, other: "Lessons") -> "Lessons":
        pairs = ((self.statistics, other.statistics), (self.kept, other.kept), (self.weight, other.weight))
        return Lessons(*(np.concatenate(pair) for pair in pairs))

    def fit(self) -> LogisticFit:
        """The fit to these faces."""
        return fit_logistic(self.statistics, self.kept, self.weight, PENALTY)


def statistics(faces: Sequence[Images]) -> Floats:
    """The statistics of faces of any sizes: N×3200."""
    sides = np.array([face.shape[0] for face in faces])
    found = np.empty((len(faces), STATISTICS), np.float32)
    for side in np.unique(sides):
        rows = np.flatnonzero(sides == side)
        found[rows] = look(np.stack([faces[row] for row in rows])).statistics
    return found


def both_ways(faces: Sequence[Images]) -> Floats:
    """Statistics of the faces and of their mirror images: 2N×3200."""
    return np.concatenate([statistics(faces), statistics([face[:, ::-1] for face in faces])])


def rated_lessons(rated: RatedFaces, described: Floats, rows: npt.NDArray[np.bool_]) -> Lessons:
    """What the rated faces in some rows teach. `described` is `both_ways` of all."""
    twice = np.tile(rows, 2)
    return Lessons(described[twice], np.tile(rated.kept, 2)[twice], np.ones(int(twice.sum())))


def unrated_lessons(datasets: Sequence[Path]) -> Lessons:
    """What real faces and damaged ones teach."""
    random, sets = np.random.default_rng(1), [FaceDataset(path) for path in datasets]
    # Larger pictures are shown at two sizes.
    shown = [(dataset, side) for dataset in sets for side in sorted({64, 96 if dataset.size > 64 else 64})]
    each = REAL // len(shown)
    real = statistics([face for dataset, side in shown for face in _some(dataset, side, each, random)])
    lessons = Lessons(real, np.full(len(real), REAL_KEPT), np.full(len(real), REAL_WEIGHT))
    faces = np.stack([face for dataset in sets for face in _some(dataset, 64, DAMAGED // len(sets), random)])
    faces = faces[random.permutation(len(faces))]
    faces = faces[[places is not None for places in find_places(faces)]]
    for flaw, dose in TAUGHT:
        found = statistics(flaw(faces, dose, random))
        lessons += Lessons(found, np.full(len(found), DAMAGED_KEPT), np.full(len(found), DAMAGED_WEIGHT))
    found = statistics(_blanks(200, random))
    return lessons + Lessons(found, np.zeros(len(found)), np.full(len(found), DAMAGED_WEIGHT))


def _blanks(count: int, random: np.random.Generator) -> Images:
    """Pictures without a face: two colours of the RGB cube that blend from one edge to the other, or one colour."""
    ends = random.integers(0, 256, (2, count, 1, 1, 3)).astype(np.float32)
    ends[1, ::2] = ends[0, ::2]
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None, None]
    return np.broadcast_to(ends[0] * (1 - ramp) + ends[1] * ramp, (count, 64, 64, 3)).round().astype(np.uint8)


def _some(dataset: FaceDataset, side: int, count: int, random: np.random.Generator) -> list[Images]:
    """Training faces of a dataset."""
    pixels = dataset.pixels("train", side)
    return [np.asarray(pixels[row]) for row in np.sort(random.choice(len(pixels), count, replace=False))]


def main() -> None:
    """Fit, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    rated = rated_faces(options.data)
    every = np.ones(len(rated.images), np.bool_)
    fit = (rated_lessons(rated, both_ways(rated.images), every) + unrated_lessons(options.data)).fit()
    tensors = {"weight": torch.from_numpy(fit.weight).float(), "offset": torch.tensor([fit.offset]).float()}
    options.out.write_bytes(safetensors.torch.save(tensors))
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
