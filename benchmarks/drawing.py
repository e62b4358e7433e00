"""Measure how fast procedural faces are drawn, on one core.

OMP_NUM_THREADS=1 python benchmarks/drawing.py
"""

import time

from nijigan.procedural.faces import draw_face


def main() -> None:
    """Print faces per second at several resolutions, the best of three repetitions each."""
    print("   px   faces/s")
    for resolution in (32, 64, 128, 256):
        best = 0.0
        for _ in range(3):
            start = time.perf_counter()
            for seed in range(200):
                draw_face(seed, resolution)
            best = max(best, 200 / (time.perf_counter() - start))
        print(f"{resolution:5} {best:9.0f}")


if __name__ == "__main__":
    main()
