"""How fast importing is, and how it grows: images per second and peak memory on collections of procedural faces.

    python benchmarks/importing.py [--counts 1000 5000] [--out FILE]

Distinct procedural faces and their mirror images are packed into one .zip of JPEGs per count. Each import is a process
of its own, as a user would start it. The last two columns give the wall time and the CPU time per image, relative to
the smallest collection: at most 1 means growth no worse than linear. Nothing else should be running; if something is,
trust the CPU time. The long form:

    python benchmarks/importing.py --counts 1000 5000 20000 60000 200000 --out results/scale/importing.json
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from nijigan.importing.importer import import_faces
from scale import pictures, used, write


def pack(folder: Path, counts: list[int], faces: Path | None) -> dict[int, Path]:
    """Draw pictures once and pack the first so many of them for each count."""
    paths = {count: folder / f"{count}.zip" for count in counts}
    archives = {count: zipfile.ZipFile(path, "w") for count, path in paths.items()}
    for number, picture in enumerate(pictures(max(counts), faces)):
        for count, archive in archives.items():
            if number < count:
                archive.writestr(f"{number}.jpg", picture)
    for archive in archives.values():
        archive.close()
    return paths


def measure(path: Path) -> dict[str, float]:
    """Import an archive in a new process, whose peak memory is its own."""
    command = [sys.executable, __file__, "--measure", str(path)]
    begun = time.perf_counter()
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {**json.loads(told), "seconds": round(time.perf_counter() - begun, 2)}


def measured(path: Path) -> None:
    """In the new process: import, and tell what it took."""
    report = import_faces([path], path.with_suffix(""))
    print(json.dumps({"faces": report.faces, **{name: round(value, 2) for name, value in used().items()}}))


def main() -> None:
    """Pack, import, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--faces", type=Path, help="a .zip of drawn faces, named by their seeds; default: draw them")
    parser.add_argument("--out", type=Path, help="also write the table as JSON")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measured(arguments.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = pack(Path(folder), sorted(arguments.counts), arguments.faces)
        columns = ("images", "faces", "seconds", "processor", "images/s", "peak MB", "clock", "processor")
        print(" ".join(f"{column:>9}" for column in columns))
        base: dict[str, float] = {}
        rows = []
        for count, path in paths.items():
            took = measure(path)
            rows.append({"n": count, **took})
            each = {clock: took[clock] / count for clock in ("seconds", "cpu_seconds")}
            base = base or each
            numbers = (
                f"{count:,}", f"{took['faces']:,}", f"{took['seconds']:.1f}", f"{took['cpu_seconds']:.1f}",
                f"{count / took['seconds']:,.0f}", f"{took['megabytes']:,.0f}",
                *(f"{each[clock] / base[clock]:.2f}" for clock in each),
            )  # fmt: skip
            print(" ".join(f"{number:>9}" for number in numbers), flush=True)
            write(arguments.out, rows)


if __name__ == "__main__":
    main()
