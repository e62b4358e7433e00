"""How fast importing is, and how it grows: images per second and peak memory on collections of procedural faces.

    python benchmarks/importing.py [--counts 5000 20000 60000]

Distinct procedural faces are packed into one .zip of JPEGs per count. Each import is a process of its own, as a user
would start it. The last two columns give the wall time and the CPU time per image, relative to the smallest collection:
at most 1 means growth no worse than linear. Nothing else should be running; if something is, trust the CPU time.
"""

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from PIL import Image

from nijigan.importing.importer import import_faces
from nijigan.procedural.faces import draw_faces

CHUNK = 1000


def pack(folder: Path, counts: list[int]) -> dict[int, Path]:
    """Draw faces once and pack the first so many of them for each count."""
    paths = {count: folder / f"{count}.zip" for count in counts}
    archives = {count: zipfile.ZipFile(path, "w") for count, path in paths.items()}
    for start in range(0, max(counts), CHUNK):
        faces, _ = draw_faces(min(CHUNK, max(counts) - start), seed=start, resolution=64)
        for number, face in enumerate(faces, start):
            stream = io.BytesIO()
            Image.fromarray(face).save(stream, "JPEG", quality=90)
            for count, archive in archives.items():
                if number < count:
                    archive.writestr(f"{number}.jpg", stream.getvalue())
        print(f"\rdrawn {min(start + CHUNK, max(counts)):,}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for archive in archives.values():
        archive.close()
    return paths


def measure(path: Path) -> dict[str, float]:
    """Import an archive in a new process, whose peak memory is its own."""
    command = [sys.executable, __file__, "--measure", str(path)]
    begun = time.perf_counter()
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {**json.loads(told), "seconds": time.perf_counter() - begun}


def measured(path: Path) -> None:
    """In the new process: import, and tell what it took."""
    report = import_faces([path], path.with_suffix(""))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    processor = usage.ru_utime + usage.ru_stime
    print(json.dumps({"faces": report.faces, "processor": processor, "megabytes": usage.ru_maxrss / 1024}))


def main() -> None:
    """Pack, import, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[5000, 20_000, 60_000])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measured(arguments.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = pack(Path(folder), sorted(arguments.counts))
        columns = ("images", "faces", "seconds", "processor", "images/s", "peak MB", "clock", "processor")
        print(" ".join(f"{column:>9}" for column in columns))
        base: dict[str, float] = {}
        for count, path in paths.items():
            took = measure(path)
            each = {clock: took[clock] / count for clock in ("seconds", "processor")}
            base = base or each
            numbers = (
                f"{count:,}", f"{took['faces']:,}", f"{took['seconds']:.1f}", f"{took['processor']:.1f}",
                f"{count / took['seconds']:,.0f}", f"{took['megabytes']:,.0f}",
                *(f"{each[clock] / base[clock]:.2f}" for clock in each),
            )  # fmt: skip
            print(" ".join(f"{number:>9}" for number in numbers), flush=True)


if __name__ == "__main__":
    main()
