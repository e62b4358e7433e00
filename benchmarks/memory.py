r"""What memory training needs: peak memory of a process of its own, against batch size and resolution.

    python benchmarks/memory.py [--recipes dcgan] [--batches 16 64] [--resolutions 32 64] [--out FILE]

Batch sizes are compared at 64 px, and resolutions with batches of 64. Each point trains two rounds on procedural faces
with `nijigan.train`, as a user's run would, in a new process. Beside it stands the estimate that
`nijigan train --dry-run` prints. The ratio is estimate / measured. Memory does not depend on what else is running. The
default is a short form; the long one is

    python benchmarks/memory.py --batches 16 32 64 128 256 --resolutions 32 64 96 128 \
        --out results/scale/training-memory.json
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from nijigan.dataset.faces import FaceDataset
from nijigan.importing.importer import import_faces
from nijigan.procedural.faces import write_faces
from nijigan.recipe.named_recipes import find_recipe
from nijigan.recipe.recipe import Recipe
from nijigan.training import train
from nijigan.training.dry_run import estimate_memory
from nijigan.training.session import Session
from scale import used, write

FACES, SIDE = 400, 128
ROUNDS = 2
CENTRE = 64
"""The batch size at which resolutions are compared, and the resolution at which batch sizes are."""


def point(name: str, batch: int, resolution: int) -> Recipe:
    """The recipe of one point: few rounds, and no evaluation."""
    kimg = ROUNDS * batch / 1000
    return replace(
        find_recipe(name), batch_size=batch, resolution=resolution, kimg=kimg, epochs=None, snapshot_kimg=kimg,
        tick_kimg=kimg,
    )  # fmt: skip


def measured(data: Path, name: str, batch: int, resolution: int) -> None:
    """In the new process: train, and tell what it took."""
    with tempfile.TemporaryDirectory() as folder:
        train(point(name, batch, resolution), FaceDataset(data), Path(folder) / "run", device="cpu")
        print(json.dumps(used()))


def measure(data: Path, name: str, batch: int, resolution: int) -> dict[str, str | float]:
    """One point: what was measured, and what was predicted."""
    words = ["--measure", str(data), "--recipes", name, "--batches", str(batch), "--resolutions", str(resolution)]
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    session = Session.new(point(name, batch, resolution), FaceDataset(data), "cpu")
    predicted = 1000 * estimate_memory(session)
    return {
        "recipe": name, "precision": session.recipe.precision, "batch": batch, "resolution": resolution,
        "megabytes": round(found["megabytes"] * 1.024**2), "predicted": round(predicted),
        "ratio": round(predicted / found["megabytes"] / 1.024**2, 3), "cpu_seconds": round(found["cpu_seconds"], 1),
    }  # fmt: skip


def main() -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["dcgan", "sngan-hinge-small", "r3gan-small"])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--resolutions", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--out", type=Path, help="also write the table as JSON")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.measure:
        measured(words.measure, words.recipes[0], words.batches[0], words.resolutions[0])
        return
    print("| recipe | px | batch | peak MB | predicted MB | ratio |\n|---|---|---|---|---|---|")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "faces"
        write_faces(Path(folder) / "pictures", FACES, resolution=SIDE)
        import_faces(Path(folder) / "pictures", data)
        shapes = {(batch, CENTRE) for batch in words.batches} | {(CENTRE, side) for side in words.resolutions}
        for name in words.recipes:
            for batch, resolution in sorted(shapes, key=lambda shape: shape[0] * shape[1] ** 2):
                row = measure(data, name, batch, resolution)
                rows.append(row)
                columns = ("recipe", "resolution", "batch", "megabytes", "predicted", "ratio")
                print("| " + " | ".join(str(row[column]) for column in columns) + " |", flush=True)
                write(words.out, rows)


if __name__ == "__main__":
    main()
