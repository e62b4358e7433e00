"""Does this checkout import and train exactly as another commit does?

    python benchmarks/golden.py --against COMMIT   # both sides run here, one after the other
    python benchmarks/golden.py --import-hashes    # of this checkout alone, as tests/golden.json has them

Two hundred procedural pictures are drawn once and imported by each side; then each side trains six small recipes for
twelve rounds, in fp32 on one thread. Both speak to the command line alone, so that modules may move between them. The
hashes of the import are the same on every machine; those of the weights differ between kinds of processor, so that
they are compared within one run.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from safetensors import safe_open

ROOT = Path(__file__).parents[1]
PICTURES, ROUNDS = 200, 12
_SMALL = "--resolution 16 --latent.size 8 --generator.width 4 --generator.max-width 16 --generator.depth 1"
_SMALL += " --discriminator.width 4 --discriminator.max-width 16 --discriminator.depth 1 --precision fp32"
_SMALL += " --tick-kimg 0.1 --device cpu"
RECIPES = {
    "conditional": ("reacgan --attributes hair,eyes", 8, 1),
    "lazy penalty": ("r3gan-small", 8, 1),
    "n_critic 5": ("wgan-gp", 8, 5),
    "accumulate 2": ("dcgan --accumulate 2", 8, 1),
    "alternate epochs": ("dcgan --alternate-epochs 1", 24, 1),
    "style": ("stylegan-lite-small", 8, 1),
}
"""What each run is called: its words on the command line, its batch size, and D's updates in a round."""


def main() -> None:
    """Compare, and exit with 1 where the two sides differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", metavar="COMMIT")
    parser.add_argument("--import-hashes", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        draw_pictures(place / "pictures")
        if words.import_hashes:
            print(json.dumps(import_hashes(ROOT, place, place / "pictures"), indent=2))
            return
        other = place / "other"
        subprocess.run(["git", "-C", str(ROOT), "worktree", "add", "--detach", other, words.against], check=True)
        try:
            sys.exit(compare(place, other))
        finally:
            subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", other], check=True)


def compare(place: Path, other: Path) -> int:
    """Print a line for each thing compared; 1 if anything differs."""
    ours, theirs = place / "ours", place / "theirs"
    pictures = place / "pictures"
    mine, others = import_hashes(ROOT, ours, pictures), import_hashes(other, theirs, pictures)
    pairs = {f"import: {key}": (mine.get(key, "-"), others.get(key, "-")) for key in mine | others}
    for name, (words, batch, critics) in RECIPES.items():
        kimg = ROUNDS * batch * critics / 1000
        option = f"{words} {_SMALL} --batch-size {batch} --kimg {kimg} --snapshot-kimg {kimg}"
        pairs[f"train: {name}"] = (weights(ROOT, ours, name, option), weights(other, theirs, name, option))
    for name, (a, b) in pairs.items():
        print(f"{'same' if a == b else 'DIFFERENT':<10} {name:<24} {a[:16]} {b[:16]}")
    return int(any(a != b for a, b in pairs.values()))


def draw_pictures(folder: Path) -> None:
    """The pictures that all sides import, drawn by this checkout."""
    from nijigan.procedural.faces import write_faces

    write_faces(folder, PICTURES, resolution=32)


def import_hashes(checkout: Path, place: Path, pictures: Path) -> dict[str, str]:
    """Import `pictures` into `place`/faces; what each column of the dataset holds, row by row, as a hash."""
    faces = place / "faces"
    _nijigan(checkout, f"import {pictures} --out {faces}")
    table = pq.ParquetDataset(sorted(faces.glob("faces-*.parquet"))).read().to_pylist()
    rows = sorted(table, key=lambda row: row["id"])
    hashes = {name: _hash([_plain(row[name]) for row in rows]) for name in rows[0]}
    return hashes | {"fingerprint": json.loads((faces / "dataset.json").read_text())["fingerprint"]}


def weights(checkout: Path, place: Path, name: str, option: str) -> str:
    """Train with these words; a hash of every tensor of the last checkpoint, moments included."""
    run = place / name.replace(" ", "-")
    _nijigan(checkout, f"train {option} --data {place / 'faces'} --out {run}")
    digest = hashlib.sha256()
    with safe_open(max((run / "checkpoints").glob("*.safetensors")), framework="numpy") as file:
        for key in sorted(file.keys()):
            tensor = file.get_tensor(key)
            digest.update(f"{key} {tensor.shape} {tensor.dtype}".encode() + tensor.tobytes())
    return digest.hexdigest()


def _nijigan(checkout: Path, words: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "nijigan", *words.split()], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{checkout}: nijigan {words}\n{done.stderr}")


def _plain(value: object) -> object:
    """What JSON can hold, so that a hash depends on nothing but the content."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else value


def _hash(values: list[object]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


if __name__ == "__main__":
    main()
