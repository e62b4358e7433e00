"""Measure how near inversion comes: to a generator's own faces, and to real ones.

    OMP_NUM_THREADS=1 python benchmarks/inversion.py --data FACES --out LOOK [--results results/inversion.json]

(a) 32 faces of the packaged generator are searched for. The distance of what is found, in the feature space lite0, is
compared with that of two neighbours in a morph of 16 steps. (b) The same for 32 real faces of the test split. LOOK gets
two sheets to look at, each picture with the found face below it; that of real faces must not enter the repository. The
JSON has the figures alone.
"""

import argparse
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.generator.generator import Generator
from nijigan.inversion import STEPS
from nijigan.inversion.nearness import yardsticks
from nijigan.inversion.search import Inversion, invert
from nijigan.judges.readers import people
from nijigan.pictures import enlarge, grid
from scale import write

FIRST_SEED = 2**40
PER_ROW = 16


def main() -> None:
    """Search, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a dataset with a test split")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sheets, outside of the repository")
    parser.add_argument("--results", type=Path, help="also write the figures as JSON")
    parser.add_argument("--n", type=int, default=32)
    parser.add_argument("--model")
    words = parser.parse_args()
    generator = Generator.load(words.model)
    side = generator.header.resolution
    neighbours, random = yardsticks(generator)
    print(f"neighbours in a morph {neighbours:.3f}, random faces {random:.3f}")
    words.out.mkdir(parents=True, exist_ok=True)
    real = np.stack(list(islice(FaceDataset(words.data).decoded(side, "test"), words.n)))
    own = generator.sample_seeds(range(FIRST_SEED, FIRST_SEED + words.n))
    rows = []
    for name, pictures in (("own", own), ("real", real)):
        start = time.process_time()
        found = invert(generator, pictures)
        seconds = (time.process_time() - start) / len(pictures)
        rows.append(figures(name, pictures, found, seconds))
        print(rows[-1])
        sheet(pictures, found).save(words.out / f"{name}.png")
    start = time.process_time()
    invert(generator, real[:1])
    alone = time.process_time() - start
    print(f"one picture alone: {alone:.1f} s of CPU")
    about = {"weights": generator.weights_hash, "steps": STEPS, "neighbours": neighbours, "random": random}
    write(words.results, rows, **about, seconds_alone=round(alone, 1))


def figures(name: str, pictures: Images, found: list[Inversion], seconds: float) -> dict[str, Any]:
    """The figures of one set of pictures."""
    distances = np.array([inversion.distance for inversion in found])
    reader = people()
    read, again = reader.read(pictures), reader.read(np.stack([inversion.picture for inversion in found]))
    levels = [inversion.nearness.level for inversion in found]
    return {
        "pictures": name,
        "n": len(found),
        "median": round(float(np.median(distances)), 4),
        "quartiles": [round(float(value), 4) for value in np.quantile(distances, (0.25, 0.75))],
        **{level: levels.count(level) for level in ("close", "similar", "far")},
        **{f"same_{attribute}": int((read[attribute] == again[attribute]).sum()) for attribute in read},
        "seconds": round(seconds, 2),
    }


def sheet(pictures: Images, found: list[Inversion]) -> Image.Image:
    """Rows of pictures, each with a row of the found faces below it."""
    rows = []
    for start in range(0, len(pictures), PER_ROW):
        part = slice(start, start + PER_ROW)
        rows += [pictures[part], np.stack([inversion.picture for inversion in found[part]])]
    return Image.fromarray(enlarge(grid(np.concatenate(rows), min(PER_ROW, len(pictures)))[None], 2)[0])


if __name__ == "__main__":
    main()
