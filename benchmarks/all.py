"""Run every benchmark of speed in its short form, and write one table of ratios to docs/performance.md.

    OMP_WAIT_POLICY=passive python benchmarks/all.py [--only training starting] [--table]

Each benchmark is a process of its own that is stopped after five minutes. What they measured is kept in
results/performance.json, so that a part can be run again with `--only`; `--table` runs nothing and writes the page from
that file. All need neither a network nor real faces. Nothing else should be running.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "results" / "performance.json", ROOT / "docs" / "performance.md"
SECONDS = 300
Found = dict[str, Any]
Line = tuple[str, str]
"""What is compared, and the ratio in words."""


@dataclass(frozen=True)
class Benchmark:
    """A script with its options, and how its results become lines of the table."""

    script: str
    options: tuple[str, ...]
    lines: Callable[[Found], list[Line]]


def times(value: float) -> str:
    """A ratio as the table shows it."""
    return f"{value:.2f}"


def training(found: Found) -> list[Line]:
    """The ratio to the tutorial's loop, and the shares of the product rates."""
    how = f"{found['instructions']}, {found['precision']}, {found['threads']} threads"
    slow = found["bf16_to_fp32"] < 1
    return [
        (f"Training the 64 px DCGAN relative to the tutorial's loop: images/s ({how})", times(found["ratio"])),
        (f"Training relative to fp32 matrix products: arithmetic/s ({how})", times(found["share_of_fp32"])),
        (
            f"Training relative to bf16 matrix products: arithmetic/s ({how})",
            "–" if slow else times(found["share_of_bf16"]),
        ),
    ]


def command(title: str) -> str:
    """A command in code quotes, and what was done with it."""
    words, _, what = title.partition(", ")
    return f"`{words}`" + f" of {what}" * bool(what)


def starting(found: Found) -> list[Line]:
    """Times relative to importing torch."""
    return [
        (f"Time of {command(row['command'])} relative to importing torch and reading the weights", times(row["ratio"]))
        for row in found["rows"][1:]
    ]


def generating(found: Found) -> list[Line]:
    """The ratio to the plain loop, and growth."""
    what = (
        f"`generate` into a folder relative to a plain loop of torch and Pillow: faces/s ({found['threads']} threads)"
    )
    return [(what, times(median(found["ratios"]))), *growth("`generate`,", "faces", found["rows"])]


def growth(title: str, items: str, rows: list[Found]) -> list[Line]:
    """CPU time per item and peak memory of the largest size, relative to the smallest."""
    first, last = rows[0], rows[-1]
    each = [row["cpu_seconds"] / row["n"] for row in (first, last)]
    sizes = f"{last['n']:,} {items} relative to {first['n']:,}"
    return [
        (f"{title} {sizes}: CPU time for each", times(each[1] / each[0])),
        (f"{title} {sizes}: peak memory", times(last["megabytes"] / first["megabytes"])),
    ]


def duplicates(found: Found) -> list[Line]:
    """What the search finds, and growth."""
    last = found["rows"][-1]
    line = (f"Near-duplicates found relative to those planted ({last['pictures']:,} pictures)", times(last["recall"]))
    return [line, growth("The search for near-duplicates,", "pictures", found["rows"])[0]]


def memory(found: Found) -> list[Line]:
    """How good the estimate of memory is."""
    ratios = [row["ratio"] for row in found["rows"]]
    return [
        ("Memory of training: estimate of `--dry-run` relative to the peak", f"{min(ratios):.2f} to {max(ratios):.2f}")
    ]


def judging(found: Found) -> list[Line]:
    """Growth, and what AVX2 costs."""
    first, last = found["rows"][0], found["rows"][-1]
    own = [row for row in found["rows"] if row["instructions"] == first["instructions"]]
    lines = growth("`evaluate`,", "faces", own)
    if last["instructions"] != first["instructions"]:
        what = f"`evaluate` with {last['instructions']} relative to {first['instructions']}: CPU time"
        lines.append((what, times(last["cpu_seconds"] / own[-1]["cpu_seconds"])))
    return lines


def drawing(found: Found) -> list[Line]:
    """How the time of the artist grows with the resolution."""
    rate = {row["resolution"]: row["faces_per_second"] for row in found["rows"]}
    small, large = min(rate), max(rate)
    title = f"Drawing a procedural face at {large} px relative to {small} px ({large**2 // small**2} times the pixels)"
    return [(title, times(rate[small] / rate[large]))]


BENCHMARKS = {
    "training": Benchmark("training.py", (), training),
    "training with AVX2": Benchmark("training.py", ("--avx2",), training),
    "starting": Benchmark("starting.py", (), starting),
    "generating": Benchmark("generating.py", (), generating),
    "importing": Benchmark("importing.py", (), lambda found: growth("`import`,", "pictures", found["rows"])),
    "duplicates": Benchmark("duplicates.py", (), duplicates),
    "memory": Benchmark("memory.py", (), memory),
    "judging": Benchmark("judging.py", ("--avx2",), judging),
    "drawing": Benchmark("drawing.py", (), drawing),
}


def run(benchmark: Benchmark) -> Found:
    """Run one benchmark, with its output on this terminal; what it measured."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        command = [sys.executable, str(ROOT / "benchmarks" / benchmark.script), *benchmark.options, "--out", str(out)]
        subprocess.run(command, check=True, timeout=SECONDS)
        found: Found = json.loads(out.read_text(encoding="utf-8"))
        return found


def page(found: dict[str, Found]) -> str:
    """The text of docs/performance.md."""
    about = next(results["machine"] for results in found.values() if "machine" in results)
    table = "\n".join(
        f"| {what} | {ratio} | `{benchmark.script}` |"
        for name, benchmark in BENCHMARKS.items()
        if name in found
        for what, ratio in benchmark.lines(found[name])
    )
    start = json.loads((ROOT / "results" / "install" / "start.json").read_text(encoding="utf-8"))["rows"]
    ratio = next(row["ratio"] for row in start if row["command"] == "nijigan generate --n 1")
    return HEAD.replace("MACHINE", about) + table + "\n" + TAIL.replace("START", times(ratio))


HEAD = """# Performance

`benchmarks/all.py` wrote this page. It runs every benchmark of speed in its short form, of five minutes at most, and
shows ratios only: they carry over to other machines better than seconds do. The two sides of a ratio alternate in one
run.

```
OMP_WAIT_POLICY=passive python benchmarks/all.py     # make bench; nothing else running
```

Measured on: MACHINE. The lines with AVX2 switch off newer instructions, so that the machine computes as most
laptops do.

| what | ratio | script |
|---|---|---|
"""

TAIL = """
How to read it:

- images/s, faces/s and arithmetic/s: more is better. Time and memory: less is better.
- AVX2, AVX512, BF16 and AMX are instructions of processors: most laptops have AVX2 only. fp32 and bf16 are numbers of
  32 and 16 bits; without BF16 or AMX, bf16 is emulated and of no use.
- The tutorial's loop is that of PyTorch's DCGAN tutorial: fp32, without compilation, pictures from files.
- Matrix products: how fast this processor multiplies large matrices, the most that a training could reach.
- The arithmetic of training is counted as torch's own convolutions would need it. In fp32 on a CPU, nijigan's
  convolutions need fewer products (`networks/winograd.py`), so the ratio can exceed 1.
- `generate` and `sample` draw with onnxruntime here. Without it (extra `studio`), `nijigan generate --n 1` takes START
  times as long as importing torch and reading the weights (a wheel in a new environment, without a network:
  `results/install/start.json`). There, an import is faster too: it finds no Ray to load.
- CPU time for each: below 1, what a command does once weighs more than what it does for each face or picture.
- The plain loop synthesises face after face with torch and saves each with Pillow.
- Cost against size, up to 200,000 pictures: [scaling](scaling.md#cost-against-size).
- The other scripts in `benchmarks/` measure quality, most of them on real faces.
"""


def main() -> None:
    """Run, keep, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--table", action="store_true", help="run nothing, write the page")
    words = parser.parse_args()
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in [] if words.table else words.only:
        print(f"\n== {name}", flush=True)
        found[name] = run(BENCHMARKS[name])
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(found), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
