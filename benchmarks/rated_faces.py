"""The faces that were rated by eye, with their verdicts, from `results/ratings`."""

import csv
import json
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.generator.generator import Generator
from nijigan.rate.tally import agree

RATINGS = Path(__file__).parents[1] / "results" / "ratings"
RUNS = {
    "few-20": "few", "sngan96-100": "sngan96", "grid-dcgan": "dcgan-500",
    **dict.fromkeys(("old-r3", "grid-r3gan-small", "grid-reacgan-r3gan-small"), "r3 of version 0.1"),
    **dict.fromkeys(("old-style", "packaged", "grid-reacgan", "grid-acgan", "grid-cgan-projection",
                     "grid-stylegan-lite-small"), "style of version 0.1"),
}  # fmt: skip
"""The training runs of rated generators, with those that start from their weights, where the name does not begin with
that of the run: `sngan-200` is of the run `sngan`."""
SAME = {"grid-dcgan": "dcgan-500"}
"""Rated generators with the weights of another. They count as one, whose faces were on two ballots."""
EXTRA = ("grid-reacgan",)
"""Faces of the generator `packaged` with requested attributes, from ten latents: the fit learns from them, but they are
no sample of the generator, so that they count in no table."""
PARTS = 5  # into which the real faces are divided, each to be judged by a fit to the others


@dataclass(frozen=True)
class RatedFaces:
    """N faces with their verdicts."""

    images: list[Images]
    """uint8 H×W×3; sizes differ."""
    kept: npt.NDArray[np.float64]
    """The share of raters who would keep each face, N."""
    generators: npt.NDArray[np.str_]
    """The generator of each face; `real 0` to `real 4` for real faces, N."""
    runs: npt.NDArray[np.str_]
    """The training run that each came from, N."""
    batches: npt.NDArray[np.int64]
    """The ballot that each was on, N."""

    @property
    def fake(self) -> npt.NDArray[np.bool_]:
        """Which of the faces are generated."""
        return ~np.char.startswith(self.generators, "real ")

    def names(self) -> list[str]:
        """The rated generators."""
        return sorted(set(self.generators[self.fake].tolist()) - set(EXTRA))

    def by_eye(self) -> dict[str, float]:
        """The yield of each generator by eye."""
        return {name: float(self.kept[self.generators == name].mean()) for name in self.names()}


def rated_faces(datasets: Sequence[Path]) -> RatedFaces:
    """The rated faces, each once. Real ones are found in the val splits of the datasets, by their hash."""
    with (RATINGS / "ratings.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["repeat"] == "0"]
    described = json.loads((RATINGS / "generators.json").read_text())
    generated = {}
    for name, about in described.items():
        seeds = sorted({int(line["seed"]) for line in lines if line["generator"] == name})
        generated |= {(name, seed): face for seed, face in zip(seeds, _faces(about, seeds), strict=True)}
    wanted = {line["sha256"] for line in lines if line["sha256"]}
    side_of = {line["batch"]: described[line["generator"]]["resolution"] for line in lines if line["generator"]}
    real: dict[tuple[str, int], Images] = {}
    for path in datasets:
        dataset = FaceDataset(path)
        hashes = dataset.table.filter(np.asarray(dataset.table["split"]) == "val")["sha256"].to_pylist()
        for side in sorted(set(side_of.values())):
            pixels = dataset.pixels("val", side)
            real |= {(key, side): np.asarray(pixels[row]) for row, key in enumerate(hashes) if key in wanted}
    found = [line for line in lines if not line["sha256"] or (line["sha256"], side_of[line["batch"]]) in real]
    print(f"{len(found):,} of {len(lines):,} rated faces found")
    names = np.array([_name(line) for line in found])
    return RatedFaces(
        images=[
            real[line["sha256"], side_of[line["batch"]]]
            if line["sha256"]
            else generated[line["generator"], int(line["seed"])]
            for line in found
        ],
        kept=np.array([np.mean([line["verdict_a"] == "good", line["verdict_b"] == "good"]) for line in found]),
        generators=names,
        runs=np.array([_run(name) for name in names]),
        batches=np.array([int(line["batch"]) for line in found]),
    )


def agreements() -> dict[str, dict[str, float]]:
    """How far the raters agree with each other, and each with themself: share, and kappa where it is defined."""
    with (RATINGS / "ratings.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    first = {_showing(line): line for line in lines if line["repeat"] == "0"}
    again = [line for line in lines if line["repeat"] == "1"]

    def verdicts(lines: Iterable[dict[str, str]], rater: str) -> npt.NDArray[np.bool_]:
        return np.array([line[f"verdict_{rater}"] == "good" for line in lines])

    pairs = {"of both raters": agree(*(verdicts(first.values(), rater) for rater in "ab"))}
    for rater in "ab":
        shown = [first[_showing(line)] for line in again]
        pairs[f"of rater {rater} with themself"] = agree(verdicts(shown, rater), verdicts(again, rater))
    # The same faces of one generator were on two ballots, a cell of the grid being the seed less 7.
    other = {line["seed"]: line for line in first.values() if line["generator"] == "grid-dcgan"}
    twice = [(line, other[cell]) for line in first.values()
             if line["generator"] == "dcgan-500" and (cell := str(int(line["seed"]) - 7)) in other]  # fmt: skip
    for rater in "ab":
        before, after = (verdicts([pair[side] for pair in twice], rater) for side in (0, 1))
        pairs[f"of rater {rater} with themself, {len(twice)} faces of a DCGAN on two ballots"] = agree(before, after)
    return {
        name: {"share": found.share.value}
        | ({"kappa": found.kappa.value, "low": found.kappa.low, "high": found.kappa.high} if found.kappa else {})
        for name, found in pairs.items()
    }


def _showing(line: dict[str, str]) -> tuple[str, ...]:
    return tuple(line[name] for name in ("batch", "generator", "seed", "attributes", "sha256"))


def _name(line: dict[str, str]) -> str:
    """The generator of a face, or the part of the real faces to which it belongs on every ballot."""
    if not line["generator"]:
        return f"real {int(line['sha256'], 16) % PARTS}"
    return SAME.get(line["generator"], line["generator"])


def _run(name: str) -> str:
    whole = name.startswith(("real ", "grid-", "old-")) or name == "dcgan-500"
    return RUNS.get(name, name if whole else name.split("-")[0])


def _faces(about: dict[str, str], seeds: Sequence[int]) -> Images:
    """The rated faces of a generator: from a sheet of ten columns, cells of a grid, or generated again."""
    place, side = about["file"], int(about["resolution"])
    if place.startswith("../"):
        return _cells(RATINGS / place, side, int(about["columns"]), seeds)
    if place.startswith("sheets/"):
        sheet = np.asarray(Image.open(RATINGS / place).convert("RGB"))
        rows = sheet.reshape(sheet.shape[0] // side, side, 10, side, 3).transpose(0, 2, 1, 3, 4)
        return rows.reshape(-1, side, side, 3)[: len(seeds)]
    return _generate(place, seeds)


def _cells(path: Path, side: int, columns: int, cells: Sequence[int]) -> Images:
    """Cells of a grid, counted along its rows. Gaps are two pixels wide; names of rows may stand on the left."""
    grid = np.asarray(Image.open(path).convert("RGB"))
    step = side + 2
    left = grid.shape[1] - columns * step
    corners = [(2 + cell // columns * step, left + cell % columns * step) for cell in cells]
    return np.stack([grid[y : y + side, x : x + side] for y, x in corners])


def _generate(file: str, seeds: Sequence[int]) -> Images:
    """Faces of a generator in this repository, or of an earlier one: `COMMIT:PATH`."""
    root = RATINGS.parents[1]
    if ":" not in file:
        return Generator.load(root / file).sample_seeds(seeds)
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as place:
        place.write(subprocess.run(["git", "show", file], cwd=root, check=True, capture_output=True).stdout)
        place.flush()
        return Generator.load(Path(place.name)).sample_seeds(seeds)
