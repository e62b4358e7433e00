"""Measure how fast procedural faces are drawn, on one core.

OMP_NUM_THREADS=1 python benchmarks/drawing.py [--out FILE]
"""

import argparse
import time
from pathlib import Path

from nijigan.procedural.faces import draw_face
from scale import write


def main() -> None:
    """Print faces per second at several resolutions, the best of three repetitions each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="also write the table as JSON")
    words = parser.parse_args()
    print("   px   faces/s")
    rows = []
    for resolution in (32, 64, 128, 256):
        best = 0.0
        for _ in range(3):
            start = time.perf_counter()
            for seed in range(200):
                draw_face(seed, resolution)
            best = max(best, 200 / (time.perf_counter() - start))
        print(f"{resolution:5} {best:9.0f}")
        rows.append({"resolution": resolution, "faces_per_second": round(best, 1)})
    write(words.out, rows)


if __name__ == "__main__":
    main()
