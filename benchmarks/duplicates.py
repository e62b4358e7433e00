"""How many near-duplicates the search finds, and at what cost, against the size of a collection.

    python benchmarks/duplicates.py [--counts 1000 5000 20000] [--out FILE]

A collection consists of so many distinct pictures: procedural faces of 64×64 pixels and their mirror images. One in
seven has a copy: recompressed, resized, or shifted by a pixel. What is known of each collection:

- recall: of the copies that are near-duplicates of their pictures by `near`, the share that `survivors` finds
- one round: the same of a single round of the search; `survivors` runs at least two if anything is found
- of all: the share of all pairs of near-duplicates that a round finds, next to an exhaustive comparison (small
  collections only)
- false drops: dropped pictures that are not near the one that stays (must be 0)
- others: dropped pictures that are near one that they are no copy of

Each search is a process of its own; its memory is the peak of that process. The long form:

    python benchmarks/duplicates.py --counts 1000 5000 20000 100000 200000 --out results/scale/duplicates.json
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nijigan.importing.duplicates import MAX_BITS, SIDE, Hashes, _near_pairs, near, perceptual_hashes, survivors
from nijigan.pictures import resize
from scale import Part, as_jpeg, draw, on_all_cores, parts, used, write

KINDS = ("JPEG 90", "JPEG 75", "JPEG 50", "48 px", "96 px", "left", "right", "up", "down")
SHIFTS = {"left": (1, 2), "right": (1, 0), "up": (2, 1), "down": (0, 1)}
ONE_IN = 7
EXHAUSTIVE = 25_000
"""The largest collection in which all pictures are compared with all."""


def copy(picture: Image.Image, kind: str) -> Image.Image:
    """A near-duplicate of a picture. A shift repeats the pixels at the edge."""
    if kind.startswith("JPEG"):
        return Image.open(BytesIO(as_jpeg(picture, int(kind.split()[1]))))
    if kind.endswith("px"):
        side = int(kind.split()[0])
        return resize(picture, side, side)
    pixels, (y, x) = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge"), SHIFTS[kind]
    return Image.fromarray(pixels[y : y + picture.height, x : x + picture.width])


def hash_part(part: Part) -> tuple[Hashes, Hashes]:
    """Hashes of the pictures of a part, and of the copies."""
    originals, copies = [], []
    for number, picture in enumerate(draw(part), part[0]):
        originals.append(thumbnail(picture))
        if number % ONE_IN == 0:
            copies.append(thumbnail(copy(picture, KINDS[number // ONE_IN % len(KINDS)])))
    return tuple(perceptual_hashes(np.array(kind, np.uint8).reshape(-1, SIDE, SIDE, 3)) for kind in (originals, copies))


def thumbnail(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """What a hash is computed from."""
    return np.asarray(resize(picture, SIDE, SIDE))


def collection(hashes: Path, count: int) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """The hashes of a collection in random order, and for each the number of the picture that it is or is a copy of."""
    originals = np.load(hashes / "originals.npy", mmap_mode="r")[:count]
    copies = np.load(hashes / "copies.npy", mmap_mode="r")[: -(-count // ONE_IN)]
    picture = np.concatenate([np.arange(count), np.arange(0, count, ONE_IN)])
    order = np.random.default_rng(count).permutation(len(picture))
    return np.concatenate([originals, copies])[order], picture[order]


def measured(path: Path, count: int) -> dict[str, float | None]:
    """In the new process: search, and tell what was found."""
    hashes, picture = collection(path, count)
    order = np.lexsort((np.arange(len(picture)), picture))
    same = np.flatnonzero(np.diff(picture[order]) == 0)
    planted = np.stack([order[same], order[same + 1]], axis=1)  # earlier row, later row
    planted = planted[np.concatenate([near(*hashes[part.T]) for part in np.array_split(planted, 50)])]
    before, begun = used(), time.perf_counter()
    survivor = survivors(hashes)
    seconds, after = time.perf_counter() - begun, used()
    begun = used()["cpu_seconds"]
    pairs = _near_pairs(hashes, np.random.default_rng(1))
    seconds_of_a_round = used()["cpu_seconds"] - begun
    dropped = np.flatnonzero(survivor != np.arange(len(survivor)))
    right = [near(hashes[rows], hashes[survivor[rows]]) for rows in np.array_split(dropped, 50)]
    codes = pairs @ (len(hashes), 1)
    return {
        "n": count, "pictures": len(hashes), "planted": len(planted),
        "recall": 1 - float((survivor[planted] == planted).all(1).mean()),
        "recall_of_one_round": float(np.isin(planted @ (len(hashes), 1), codes).mean()),
        "recall_of_all": recall_of_all(hashes, codes) if len(hashes) <= EXHAUSTIVE else None,
        "false_drops": int((~np.concatenate(right)).sum()),
        "others": int((picture[survivor[dropped]] != picture[dropped]).sum()),
        "seconds": round(seconds, 3), "cpu_seconds": round(after["cpu_seconds"] - before["cpu_seconds"], 3),
        "cpu_seconds_of_one_round": round(seconds_of_a_round, 3), "megabytes": round(after["megabytes"], 1),
    }  # fmt: skip


def recall_of_all(hashes: Hashes, codes: npt.NDArray[np.int64]) -> float:
    """Of all near-duplicates that an exhaustive comparison finds, the share that is in `codes`."""
    words = np.ascontiguousarray(hashes[:, :32]).view(np.uint64).T.copy()
    truth = []
    for row in range(len(hashes) - 1):
        bits = sum(np.bitwise_count(word[row + 1 :] ^ word[row]).astype(np.uint16) for word in words)
        (close,) = np.nonzero(bits <= MAX_BITS)
        if len(close):
            later = close + row + 1
            truth.append(row * len(hashes) + later[near(hashes[later], hashes[row])])
    return float(np.isin(np.concatenate(truth), codes).mean())


def main() -> None:
    """Draw, search, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 5000, 20_000])
    parser.add_argument("--faces", type=Path, help="a .zip of drawn faces, named by their seeds; default: draw them")
    parser.add_argument("--hashes", type=Path, help="a folder that keeps the hashes for other runs; default: none")
    parser.add_argument("--out", type=Path, help="also write the table as JSON")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.measure:
        print(json.dumps(measured(words.hashes, words.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        hashes = words.hashes or Path(folder)
        if not (hashes / "copies.npy").exists():
            hashes.mkdir(parents=True, exist_ok=True)
            found = zip(*on_all_cores(hash_part, parts(max(words.counts), words.faces)), strict=True)
            for name, arrays in zip(("originals", "copies"), found, strict=True):
                np.save(hashes / f"{name}.npy", np.concatenate(arrays))
        rows = []
        columns = (
            "n",
            "pictures",
            "planted",
            "recall",
            "recall_of_one_round",
            "recall_of_all",
            "false_drops",
            "others",
        )
        clocks = ("seconds", "cpu_seconds", "cpu_seconds_of_one_round", "megabytes")
        print("| " + " | ".join(columns + clocks) + " |\n" + "|---" * (len(columns) + len(clocks)) + "|")
        for count in words.counts:
            command = [sys.executable, __file__, "--hashes", str(hashes), "--measure", str(count)]
            row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            rows.append(row)
            cells = [f"{row[name]:.4f}" if "recall" in name and row[name] else f"{row[name]}" for name in columns]
            print("| " + " | ".join(cells + [f"{row[name]:.2f}" for name in clocks]) + " |", flush=True)
            write(words.out, rows)


if __name__ == "__main__":
    main()
