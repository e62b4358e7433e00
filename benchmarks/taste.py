"""Fit a judge that can tell a generator how to draw faces that people keep.

    OMP_NUM_THREADS=1 python benchmarks/taste.py --data FACES --out results/taste/fit.safetensors

It learns from the verdicts on faces of `niji`: those of generators in `results/niji`, which draw them again, and those
in `results/taste`, whose faces are on a sheet. Unlike `nijigan.judges.quality`, which measures, this judge has
gradients, and looks at faces shifted, mirrored and softened, so that no pattern of single pixels pleases it. Both
flatter a generator that was polished by it (`polish.py`).
"""

import argparse
import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.generator.generator import Generator
from nijigan.judges import anime
from nijigan.judges.feature_spaces import LITE0_RESOLUTION
from nijigan.judges.quality import BLOCKS
from nijigan.metrics.logistic import fit_logistic
from nijigan.networks.projected import soften
from nijigan.vision import lite0
from nijigan.vision.frozen import IMAGENET_MEAN, IMAGENET_STD, freeze

RESULTS = Path(__file__).parents[1] / "results"
FIT = RESULTS / "taste" / "fit.safetensors"
SHIFT = 4
"""Largest shift of a face, in pixels of Lite0's input."""
LAST = 5
"""The last ballot in `results/taste` that the fit learns from; those after it test what came out."""
BALLOTS = ("0200", "0298", "0358", "0428", "0478", "0510-averaged")
REAL, REAL_KEPT, PENALTY, BATCH = 800, 0.95, 3e-5, 16
"""Unrated real faces to learn from, the share of them that people are taken to keep, the fit's penalty, and the faces
that are looked at together."""
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """How faces are looked at."""

    soft: bool = False
    mirrored: bool = False
    down: int = SHIFT
    right: int = SHIFT


class Taste(nn.Module):
    """The statistics from which the judge reads its opinion: mean and deviation of channels, of Lite0 also maxima."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.small = lite0.load(), anime.load()[0]
        self.wide.head = nn.Identity()  # type: ignore[assignment]
        freeze(self.wide)
        freeze(self.small)

    def forward(self, faces: Tensor, view: View) -> Tensor:
        """N×3×64×64 faces in [0, 1] → N×3200 statistics."""
        faces = soften(faces) if view.soft else faces
        faces = faces.flip(3) if view.mirrored else faces
        wide = pad(interpolate(faces, size=LITE0_RESOLUTION, mode="bilinear"), (SHIFT,) * 4, mode="replicate")
        wide = wide[:, :, view.down : view.down + LITE0_RESOLUTION, view.right : view.right + LITE0_RESOLUTION]
        x, found = self.wide.stem((wide - IMAGENET_MEAN) / IMAGENET_STD), []
        for number, block in enumerate(self.wide.blocks, 1):
            x = block(x)
            if number in BLOCKS:
                found += [x.mean((2, 3)), _deviation(x), x.amax((2, 3))]
        for stage in self.small.with_stages(faces)[1]:
            found += [stage.mean((2, 3)), _deviation(stage)]
        return torch.cat(found, 1)


def _deviation(maps: Tensor) -> Tensor:
    """The deviation of each channel, with a gradient where a channel is flat."""
    return (maps.var((2, 3)) + 1e-4).sqrt()


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


@torch.inference_mode()
def statistics(taste: Taste, faces: Images, view: View) -> Floats:
    """uint8 N×64×64×3 → N×3200."""
    parts = np.array_split(faces, max(1, len(faces) // BATCH))
    images = (torch.from_numpy(part.copy()).permute(0, 3, 1, 2).float() / 255 for part in parts)
    return np.concatenate([taste(part, view).numpy() for part in images])


def main() -> None:
    """Fit, and write the judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="the dataset")
    parser.add_argument("--out", type=Path, default=FIT)
    options = parser.parse_args()
    taste, (faces, kept, _) = Taste(), rated()
    pixels = FaceDataset(options.data).pixels("train", 64)
    rows = np.sort(np.random.default_rng(3).choice(len(pixels), REAL, replace=False))
    real = np.stack([np.asarray(pixels[row]) for row in rows])
    views = [View(soft, mirrored) for soft in (False, True) for mirrored in (False, True)]
    looked = [statistics(taste, faces, view) for view in views]
    seen = np.concatenate([statistics(taste, real, View(soft)) for soft in (False, True)])
    fit = fit_logistic(
        np.concatenate([*looked, seen]),
        np.concatenate([np.tile(kept, len(views)), np.full(len(seen), REAL_KEPT)]),
        np.concatenate([np.full(len(views) * len(kept), 2 / len(views)), np.ones(len(seen))]),
        PENALTY,
    )
    found = {"weight": fit.weight, "offset": np.array([fit.offset]), "mean": seen.mean(0), "deviation": seen.std(0)}
    options.out.write_bytes(safetensors.torch.save({n: torch.from_numpy(v).float() for n, v in found.items()}))
    chances = 1 / (1 + np.exp(-(looked[0] @ fit.weight + fit.offset)))
    print(f"{options.out}: of {len(kept):,} faces people keep {kept.mean():.3f}, the judge says {chances.mean():.3f}")


if __name__ == "__main__":
    main()
