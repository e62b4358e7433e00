"""How well a linear fit over frozen features tells faces that people keep, on generators that it has not seen.

    OMP_NUM_THREADS=2 python benchmarks/ratings.py --data runs/faces64 runs/konachan [--out results/ratings]

Reads the verdicts in `results/ratings`. The faces come from the sheets there, or are generated again with the weights
in this repository and its history; `--data` names the datasets that have the rated real faces. For each generator, the
fit learns from all others and the real faces, once leaving out the generator itself, and once all generators of its
run. Prints, and writes as `table.json`, the shares kept by eye and by the fit, and the area under the curve.
"""

import argparse
import csv
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.stats import rankdata, spearmanr

from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.generator.generator import Generator
from nijigan.judges import anime
from nijigan.vision import lite0

Floats = npt.NDArray[np.float32]
RATINGS = Path(__file__).parents[1] / "results" / "ratings"
TAPS = (2, 4, 7, 10, 14, 15)  # blocks of Lite0 whose channels are averaged
PENALTY = 1e-5
FOLDS = 5  # of the real faces
FAMILIES = {"old-style": "box", "packaged": "box", "few-20": "few", "sngan96-100": "sngan96", "old-r3": "old-r3",
            "dcgan-500": "dcgan-500"}  # fmt: skip
"""Runs of rated generators whose names do not begin with that of the run."""


def rated_faces(datasets: Sequence[Path]) -> tuple[list[dict[str, str]], list[Images]]:
    """The lines of `ratings.csv` that show a face for the first time, and the faces."""
    with (RATINGS / "ratings.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["repeat"] == "0"]
    described = json.loads((RATINGS / "generators.json").read_text())
    generated = {}
    for name, about in described.items():
        seeds = sorted({int(line["seed"]) for line in lines if line["generator"] == name})
        faces = _sheet(about) if about["file"].startswith("sheets/") else _generate(about["file"], seeds)
        generated |= {(name, seed): face for seed, face in zip(seeds, faces, strict=False)}
    wanted = {line["sha256"] for line in lines if line["sha256"]}
    real: dict[str, Images] = {}
    for path in datasets:
        dataset = FaceDataset(path)
        hashes = dataset.table.filter(np.asarray(dataset.table["split"]) == "val")["sha256"].to_pylist()
        pixels = dataset.pixels("val", 64 if dataset.size <= 64 else 96)
        real |= {key: pixels[row] for row, key in enumerate(hashes) if key in wanted}
    kept = [line for line in lines if not line["sha256"] or line["sha256"] in real]
    print(f"{len(kept):,} of {len(lines):,} rated faces found")
    return kept, [real[x["sha256"]] if x["sha256"] else generated[x["generator"], int(x["seed"])] for x in kept]


def _sheet(about: dict[str, object]) -> Images:
    """The faces on a sheet of ten columns."""
    side, count = int(str(about["resolution"])), int(str(about["faces"]))
    sheet = np.asarray(Image.open(RATINGS / str(about["file"])).convert("RGB"))
    rows = sheet.reshape(sheet.shape[0] // side, side, 10, side, 3).transpose(0, 2, 1, 3, 4)
    return rows.reshape(-1, side, side, 3)[:count]


def _generate(file: str, seeds: Sequence[int]) -> Images:
    """Faces of the packaged generator, or of an earlier one: `COMMIT:PATH`."""
    root = RATINGS.parents[1]
    if ":" not in file:
        return Generator.load(root / file).sample_seeds(seeds)
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as place:
        place.write(subprocess.run(["git", "show", file], cwd=root, check=True, capture_output=True).stdout)
        place.flush()
        return Generator.load(Path(place.name)).sample_seeds(seeds)


@torch.inference_mode()
def features(faces: Sequence[Images]) -> Floats:
    """Means, deviations and maxima of channels: N×3200."""
    net, small = lite0.load().eval(), anime.load()[0].eval()
    parts = []
    for face in faces:
        pixels = torch.from_numpy(np.array(face)).permute(2, 0, 1)[None].float() / 255
        x = F.interpolate(pixels, (128, 128), mode="bicubic", antialias=True).clamp(0, 1)
        hidden, pooled = net.stem((x - lite0.IMAGENET_MEAN) / lite0.IMAGENET_STD), []
        for number, block in enumerate(net.blocks):
            hidden = block(hidden)
            if number in TAPS:
                pooled += [hidden.mean((2, 3)), hidden.std((2, 3)), hidden.amax((2, 3))]
        x = F.interpolate(pixels, (64, 64), mode="bicubic", antialias=True).clamp(0, 1)
        hidden = small.stem(x * 2 - 1).relu()
        for stage in small.stages:
            hidden = stage(hidden)
            pooled += [hidden.mean((2, 3)), hidden.std((2, 3))]
        parts.append(torch.cat(pooled, 1))
    return torch.cat(parts).numpy()


def fit(x: Floats, kept: Floats) -> tuple[Floats, float]:
    """Logistic regression with a quadratic penalty: weights and offset."""
    data, target = torch.from_numpy(x), torch.from_numpy(kept)
    weights, offset = torch.zeros(x.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, offset], max_iter=150, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.binary_cross_entropy_with_logits(data @ weights + offset, target) + PENALTY * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach().numpy(), offset.item()


def held_out(x: Floats, mirrored: Floats, kept: Floats, groups: npt.NDArray[np.str_]) -> Floats:
    """For each face, the logit by a fit that has not seen its group."""
    logits = np.zeros(len(x), np.float32)
    for group in np.unique(groups):
        test = groups == group
        mean, spread = x[~test].mean(0), (x[~test].std(0) + 1e-3) * x.shape[1] ** 0.5
        one, two = (x - mean) / spread, (mirrored - mean) / spread
        weights, offset = fit(np.concatenate([one[~test], two[~test]]), np.tile(kept[~test], 2))
        logits[test] = (one[test] + two[test]) @ weights / 2 + offset
    return logits


def area(scores: Floats, good: npt.NDArray[np.bool_]) -> float:
    """The area under the curve: the chance that a good face has the higher score."""
    ranks, count = rankdata(scores), int(good.sum())
    return float((ranks[good].sum() - count * (count + 1) / 2) / (count * (len(good) - count)))


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines, faces = rated_faces(options.data)
    x, mirrored = features(faces), features([face[:, ::-1] for face in faces])
    names = np.array([line["generator"] or f"real {row % FOLDS}" for row, line in enumerate(lines)])
    kept = np.array([(line["verdict_a"] == "good") + (line["verdict_b"] == "good") for line in lines], np.float32) / 2
    runs = np.array([FAMILIES.get(name, name.split("-")[0]) for name in names])
    fake = np.array([bool(line["generator"]) for line in lines])
    generators = sorted(set(names[fake]))
    by_eye = [float(kept[names == name].mean()) for name in generators]
    table: dict[str, object] = {"by eye": dict(zip(generators, by_eye, strict=True))}
    for title, groups in (("without the generator", names), ("without its run", runs)):
        logits = held_out(x, mirrored, kept, groups)
        shares = 1 / (1 + np.exp(-logits))
        fitted = [float(shares[names == name].mean()) for name in generators]
        table[title] = {
            "area": area(logits[fake], kept[fake] > 0.5),
            "mean absolute error": float(np.abs(np.subtract(fitted, by_eye)).mean()),
            "rank correlation": float(spearmanr(fitted, by_eye)[0]),
            "real faces": float(shares[~fake].mean()),
            "shares": dict(zip(generators, fitted, strict=True)),
        }
    text = json.dumps(table, indent=1)
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "table.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
