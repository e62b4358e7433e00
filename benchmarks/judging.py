"""What it costs to judge a generator: seconds, CPU seconds and peak memory of `nijigan evaluate`.

    python benchmarks/judging.py [--data faces] [--n 500 1000] [--threads 2] [--avx2] [--cold] [--out FILE]

Judges the packaged generator in a process of its own, with the instructions of this machine; `--avx2` adds AVX2 only,
as most laptops have. Without `--data`, the real faces are procedural. The features of the real faces are computed
before anything is measured; with `--cold`, a run that computes them is measured too. Nothing else should be running; if
something is, trust the CPU time. The long form:

    python benchmarks/judging.py --data faces --n 500 1000 2000 5000 10000 --out results/scale/judging.json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nijigan.importing.importer import import_faces
from nijigan.procedural.faces import write_faces
from scale import AVX2, instructions, used, write

FACES = 600
"""Procedural faces that stand in for real ones."""
FEWEST = 100
"""Generated faces of the run that is not measured."""


def measured(command: list[str]) -> None:
    """In the new process: evaluate, and tell what it took."""
    from nijigan.cli import main as nijigan

    code = nijigan(command)
    print(json.dumps({"instructions": instructions(), **{name: round(value, 1) for name, value in used().items()}}))
    sys.exit(code)


def judge(data: Path, n: int, environment: dict[str, str]) -> dict[str, Any]:
    """Evaluate once."""
    with tempfile.TemporaryDirectory() as out:
        command = ["evaluate", "--data", str(data), "--n", str(n), "--device", "cpu", "--out", out]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, __file__, "--measure", *command], env=os.environ | environment, capture_output=True,
            text=True,
        )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    return {"n": n, **json.loads(done.stdout.splitlines()[-1]), "seconds": round(time.perf_counter() - start, 1)}


def procedural(folder: Path) -> Path:
    """A dataset of procedural faces."""
    write_faces(folder / "pictures", FACES)
    import_faces(folder / "pictures", folder / "faces")
    return folder / "faces"


def main() -> None:
    """Time, and print a Markdown table."""
    if sys.argv[1:2] == ["--measure"]:
        measured(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the real faces; default: procedural ones")
    parser.add_argument("--n", type=int, nargs="+", default=[500, 1000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--avx2", action="store_true")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the table as JSON")
    options = parser.parse_args()
    print(
        f"{options.threads} threads.\n\n| instructions | cache | n | s | CPU s | peak MB |\n|---|---|---|---|---|---|"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or procedural(Path(folder))
        for number, limits in enumerate(({}, AVX2) if options.avx2 else ({},)):
            threads = {"OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": "passive"}
            own = {"NIJIGAN_CACHE": str(Path(folder) / f"cache{number}")} if options.cold else {}
            first = ("empty", min(options.n)) if options.cold else ("", FEWEST)
            for cache, n in [first, *(("filled", n) for n in options.n)]:
                row = {"cache": cache, **judge(data, n, limits | threads | own)}
                if cache:
                    rows.append(row)
                    columns = ("instructions", "cache", "n", "seconds", "cpu_seconds", "megabytes")
                    print("| " + " | ".join(str(row[column]) for column in columns) + " |", flush=True)
                    write(options.out, rows, data="real" if options.data else "procedural", threads=options.threads)


if __name__ == "__main__":
    main()
