"""Fit the judge of `nijigan polish` to verdicts on faces of `niji`.

    OMP_NUM_THREADS=1 python benchmarks/taste.py --data FACES

The generators in `results/niji` draw their faces again; the faces of `results/taste` are on a sheet.
"""

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from PIL import Image

from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.generator.generator import Generator
from nijigan.metrics.logistic import fit_logistic
from nijigan.polish.polishing import real_faces
from nijigan.polish.sight import VIEWS, Sight, View, statistics
from nijigan.polish.taste import WEIGHTS

RESULTS = Path(__file__).parents[1] / "results"
LAST = 5
"""The last ballot in `results/taste` that the fit learns from; those after it test what came out."""
BALLOTS = ("0200", "0298", "0358", "0428", "0478", "0510-averaged")
REAL_KEPT, PENALTY = 0.95, 3e-5
"""The share of unrated real faces that people are taken to keep, and the fit's penalty."""


def rated() -> tuple[Images, npt.NDArray[np.float64], list[str]]:
    """The rated generated faces, the share of raters who keep each, and the generator of each."""
    faces: list[Images] = []
    lines: list[dict[str, str]] = []
    for ballot in BALLOTS:
        for name, of in _grouped(_read(RESULTS / "niji" / ballot / "verdicts.csv")).items():
            psi = 0.7 if name.endswith("psi-0.7") else 1.0
            if name == "niji-0510":  # on the sheet
                continue
            generator = Generator.load(RESULTS / "niji" / ("0200" if name == "niji" else name.split("-")[1]))
            faces.append(generator.sample_seeds([int(line["seed"]) for line in of], psi=psi))
            lines += of
    sheet = np.asarray(Image.open(RESULTS / "taste" / "faces.webp").convert("RGB"))
    cells = sheet.reshape(sheet.shape[0] // 64, 64, -1, 64, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 64, 64, 3)
    last = [line for line in _read(RESULTS / "taste" / "verdicts.csv") if int(line["ballot"]) <= LAST]
    faces.append(cells[: len(last)])
    lines += last
    kept = [np.mean([line["verdict_a"] == "good", line["verdict_b"] == "good"]) for line in lines]
    return np.concatenate(faces), np.array(kept), [line["generator"] for line in lines]


def _read(path: Path) -> list[dict[str, str]]:
    """The verdicts on faces of `niji`, each face once."""
    with path.open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["repeat"] == "0"]
    return [line for line in lines if line["generator"] not in ("real", "reacgan", "")]


def _grouped(lines: Iterable[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for line in lines:
        found.setdefault(line["generator"], []).append(line)
    return found


def main() -> None:
    """Fit, and write the judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="the dataset")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    sight, (faces, kept, _) = Sight(), rated()
    real = real_faces(FaceDataset(options.data), 64)
    looked = statistics(sight, faces, *VIEWS)
    seen = statistics(sight, real, View(), View(True))
    fit = fit_logistic(
        np.concatenate([looked, seen]),
        np.concatenate([np.tile(kept, len(VIEWS)), np.full(len(seen), REAL_KEPT)]),
        np.concatenate([np.full(len(VIEWS) * len(kept), 2 / len(VIEWS)), np.ones(len(seen))]),
        PENALTY,
    )
    found = {"weight": torch.from_numpy(fit.weight).float(), "offset": torch.tensor([fit.offset]).float()}
    options.out.write_bytes(safetensors.torch.save(found))
    chances = 1 / (1 + np.exp(-fit.logits(looked[: len(kept)])))
    print(f"{options.out}: of {len(kept):,} faces people keep {kept.mean():.3f}, the judge says {chances.mean():.3f}")


if __name__ == "__main__":
    main()
