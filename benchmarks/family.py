"""The family at equal kimg on faces drawn by code: one strip of faces for each recipe that a CPU can afford.

    OMP_NUM_THREADS=1 python benchmarks/family.py --runs runs/family --out docs/images/family.png [--kimg 20]
    python benchmarks/family.py --models runs/dcgan runs/lsgan ... --out docs/images/family-200.png

A run that is there already is not trained again, so that the picture can be made anew. The second form draws strips
from any models, under the names of their files or folders: of a folder the best generator, or RUN/last.safetensors.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.generator.generator import Generator
from nijigan.importing.importer import import_faces
from nijigan.procedural.faces import write_faces
from nijigan.recipe.named_recipes import find_recipe
from nijigan.training import train

RECIPES = (
    "dcgan", "dcgan-minimax", "lsgan", "wgan", "wgan-gp", "sngan-hinge-small", "r3gan-small", "stylegan-lite-small",
)  # fmt: skip
SHOWN = 20  # faces, in two rows


def main() -> None:
    """Train what is missing, then draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sources = parser.add_mutually_exclusive_group(required=True)
    sources.add_argument("--runs", type=Path, help="where the dataset and the runs go")
    sources.add_argument("--models", type=Path, nargs="+", help="runs or generator files that are there")
    parser.add_argument("--out", type=Path, required=True, help="the picture")
    parser.add_argument("--kimg", type=float, default=20.0)
    parser.add_argument("--resolution", type=int, default=32)
    options = parser.parse_args()
    strips: dict[str, Images] = {}
    if options.models:
        for model in options.models:
            name = model.parent.name if model.stem in ("best", "last") else model.stem
            if name in strips:
                parser.error(f"two models are called {name}; rename a file or a folder")
            strips[name] = Generator.load(model).sample(SHOWN, seed=0)
        draw(strips, options.out)
        return
    if not (options.runs / "faces").exists():
        write_faces(options.runs / "pictures", 8000, resolution=options.resolution)
        import_faces([options.runs / "pictures"], options.runs / "faces")
    dataset = FaceDataset(options.runs / "faces")
    strips["drawn by code"] = dataset.pixels("train", options.resolution)[:SHOWN]
    for name in RECIPES:
        run = options.runs / name
        if not (run / "last.safetensors").exists():
            train(
                replace(
                    find_recipe(name), resolution=options.resolution, kimg=options.kimg, snapshot_kimg=options.kimg,
                    tick_kimg=options.kimg / 20,
                ), dataset, run,
            )  # fmt: skip
        strips[name] = Generator.load(run).sample(SHOWN, seed=0)
    draw(strips, options.out)


def draw(strips: dict[str, Images], out: Path) -> None:
    """One strip below the other, its name on the left."""
    figure = Figure(figsize=(9, 1.35 * len(strips)), facecolor="white")
    for index, (name, faces) in enumerate(strips.items()):
        axes = figure.add_axes((0.19, 1 - (index + 0.95) / len(strips), 0.8, 0.9 / len(strips)))
        rows = [np.concatenate(list(row), axis=1) for row in np.split(faces, 2)]
        axes.imshow(np.concatenate(rows), interpolation="nearest", aspect="equal", extent=(0, SHOWN / 2, 0, 2))
        axes.set_axis_off()
        axes.text(-0.2, 1, name, ha="right", va="center", fontsize=10, weight="bold", color="#334155")
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
