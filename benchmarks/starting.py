"""How long commands take to start, against importing torch and reading the weights, which drawing a face needs.

    python benchmarks/starting.py [--python PYTHON] [--turns 5] [--offline] [--out FILE]

Each turn runs every command once, in a process of its own: help, one face by the command line, one face in Python, the
import of one picture, and the measure of the others. The home folder is not set, and nothing in the package's folder
may be written. `--python` names the interpreter of another environment, such as one with only the wheel. `--offline`
runs the commands without a network, where the system allows that (Linux, as root). Nothing else should be running.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from nijigan.procedural.faces import write_faces
from scale import write

MEASURE = """
import torch
from safetensors.torch import load_file
load_file(PATH)
""".strip()
UNSET = ("HOME", "XDG_CACHE_HOME", "PYTHONPATH")  # the package is the one that is installed
FIND = "import nijigan, pathlib; print(pathlib.Path(nijigan.__file__).parent)"


def environment() -> dict[str, str]:
    """The environment of the commands."""
    return {name: value for name, value in os.environ.items() if name not in UNSET}


def commands(python: str, folder: Path) -> dict[str, list[str]]:
    """What is timed, by name."""
    found = subprocess.run([python, "-c", FIND], capture_output=True, text=True, check=True, env=environment())
    package = Path(found.stdout.strip())
    weights = next(path for path in sorted(package.rglob("*.safetensors")) if path.name == "default.safetensors")
    nijigan = [python, "-m", "nijigan"]
    return {
        "import torch and read the weights": [python, "-c", MEASURE.replace("PATH", repr(str(weights)))],
        "nijigan --help": [*nijigan, "--help"],
        "nijigan generate --n 1": [*nijigan, "generate", "--n", "1", "--out", str(folder / "face.png")],
        "nijigan.load().sample(1)": [python, "-c", "import nijigan; nijigan.load().sample(1)"],
        "nijigan import, one picture": [*nijigan, "import", str(folder / "pictures"), "--out", str(folder / "faces")],
    }


def run(command: list[str], folder: Path, offline: bool) -> float:
    """Run a command; the seconds that it took."""
    shutil.rmtree(folder / "faces", ignore_errors=True)
    start = time.perf_counter()
    done = subprocess.run(
        ["unshare", "--net", *command] if offline else command, env=environment(), cwd=folder, capture_output=True,
        text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return seconds


def main() -> None:
    """Time all commands in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the table as JSON")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_faces(folder / "pictures", 1, resolution=64)
        timed = commands(words.python, folder)
        for command in timed.values():
            run(command, folder, words.offline)  # the disk's cache is filled
        seconds: dict[str, list[float]] = {title: [] for title in timed}
        for _ in range(words.turns):
            for title, command in timed.items():
                seconds[title].append(run(command, folder, words.offline))
    base = seconds["import torch and read the weights"]
    rows = [
        {
            "command": title,
            "seconds": round(median(took), 3),
            "ratio": round(median(a / b for a, b in zip(took, base, strict=True)), 3),
        }
        for title, took in seconds.items()
    ]
    print("| command | s | relative |\n|---|---|---|")
    for row in rows:
        print(f"| {row['command']} | {row['seconds']:.2f} | {row['ratio']:.2f} |")
    write(words.out, rows)


if __name__ == "__main__":
    main()
