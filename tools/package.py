"""Make the networks of a run, or of a pair, those of the package: generator, discriminator and ONNX file.

python tools/package.py RUN "How it was trained, on what, what it draws." [KIMG, with those of the runs before it]
nijigan evaluate --data FACES --split test --manifold --out results/packaged
python tools/package.py --metrics   # write these scores into the packaged files
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from nijigan.assets import PACKAGED, PACKAGED_DISCRIMINATOR
from nijigan.export.description import JUDGED
from nijigan.export.onnx import write_onnx
from nijigan.generator.generator import Generator
from nijigan.generator.header import GeneratorHeader
from nijigan.training.transfer.pair import DISCRIMINATOR, GENERATOR, write_pair

METRICS = Path(__file__).parents[1] / "results" / "packaged" / "metrics.json"
STATED = {
    "yield": "yield", "kid-lite0@128": "kid", "recall": "recall", "coverage": "coverage",
    "hair/people": "accuracy-hair", "eyes/people": "accuracy-eyes",
}  # fmt: skip
"""Scores that the files state, and their names in the evaluation. Accuracies are stated for each value too."""


def package(run: str, description: str, kimg: str = "") -> None:
    """Replace the packaged networks by those of a run or pair, which saw `kimg` with the runs that it goes on from."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(run)
        if not (pair / DISCRIMINATOR).is_file():
            pair = Path(folder)
            write_pair(Path(run), pair, half=True)
        generator = Generator.load(pair / GENERATOR)
        PACKAGED_DISCRIMINATOR.write_bytes((pair / DISCRIMINATOR).read_bytes())
    total = float(kimg or generator.header.kimg)
    write(generator, replace(generator.header, licence="MIT", description=description, kimg=total))


def state_metrics() -> None:
    """Write the scores of the evaluation into the packaged files."""
    generator, found = Generator.load(PACKAGED), json.loads(METRICS.read_text())
    if found["weights"] != generator.weights_hash:
        raise SystemExit(f"{METRICS} has scores of another generator; evaluate the packaged one first.")
    metrics = {f"{name}/test": found["scores"][key]["value"] for name, key in STATED.items()}
    for attribute, section in found["conditional_accuracy"].items():
        for value, scores in section["classes"].items():
            metrics[f"{attribute}={value}/{JUDGED}"] = scores["accuracy"]["value"]
    metrics = {name: round(score, 4) for name, score in metrics.items() if score is not None}
    write(generator, replace(generator.header, metrics=metrics))


def write(generator: Generator, header: GeneratorHeader) -> None:
    """Write the packaged generator in both formats."""
    Generator(generator.module, header).save(PACKAGED, half=True)
    write_onnx(Generator.load(PACKAGED), PACKAGED.with_suffix(".onnx"), half=True, directions=True)
    for path in (PACKAGED, PACKAGED_DISCRIMINATOR, PACKAGED.with_suffix(".onnx")):
        print(path.name, f"{path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    state_metrics() if sys.argv[1:] == ["--metrics"] else package(*sys.argv[1:])
