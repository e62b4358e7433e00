"""Draw cost against size, one picture each, from the files that the benchmarks wrote to `results/scale`.

    python benchmarks/plot_scale.py [--results results/scale] [--out docs/images]

Axes are logarithmic, but for memory and shares. The dotted line is linear growth through the last point. A file that is
missing is left out.
"""

import argparse
import json
from collections.abc import Callable
from itertools import groupby
from math import inf
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

ROOT = Path(__file__).parents[1]
Rows = list[dict[str, Any]]
COLOURS = ("#1f5fa8", "#c2541b", "#3d7d3a")
MARKS = ("o", "s", "^")


def curve(axes: Axes, xs: list[float], ys: list[float], number: int = 0, label: str = "", linear: bool = True) -> None:
    """A curve with its points, and linear growth through the last of them."""
    if linear:
        line = [ys[-1] * x / xs[-1] for x in xs]
        axes.plot(xs, line, ":", color="0.45", linewidth=1.6, label="linear growth" if number == 0 else None)
    axes.plot(xs, ys, color=COLOURS[number], marker=MARKS[number], markersize=5, linewidth=1.8, label=label or None)


def finish(axes: Axes, title: str, x: str, y: str, ticks: list[float]) -> None:
    """Scales, labels, grid and legend."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(title, loc="left", fontsize=12)
    axes.set_xlabel(x, fontsize=11)
    axes.set_ylabel(y, fontsize=11)
    span = ticks[-1] / ticks[0]
    axes.set_xticks([tick for tick, after in zip(ticks, [*ticks[1:], inf], strict=True) if after / tick > span**0.14])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    low, high = axes.get_ylim()
    if high / low < 100:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=10)
    axes.grid(which="major", color="0.88")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=10)


def time_and_memory(figure: Figure, rows: Rows, what: str, unit: str) -> None:
    """CPU time and peak memory against the number of pictures."""
    rows = sorted(rows, key=lambda row: row["n"])
    sizes = [row["n"] for row in rows]
    clock = "cpu_seconds" if "cpu_seconds" in rows[0] else "seconds"
    left, right = figure.subplots(1, 2)
    for axes, field, label in (
        (left, clock, "CPU seconds" if clock != "seconds" else "seconds"),
        (right, "megabytes", "MB"),
    ):
        values = [max(row[field], 0.01) for row in rows]
        curve(axes, sizes, values, label=what, linear=axes is left)
        title = "CPU time" if field == "cpu_seconds" else "Time" if field == "seconds" else "Peak memory"
        finish(axes, title, unit, label, sizes)
    right.set_yscale("linear")
    right.set_ylim(0, 1.25 * max(row["megabytes"] for row in rows))
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def duplicates(figure: Figure, rows: Rows) -> None:
    """Time of the search, and what it misses."""
    sizes = [row["n"] for row in rows]
    left, right = figure.subplots(1, 2)
    curve(left, sizes, [row["cpu_seconds"] for row in rows], label="search")
    finish(left, "CPU time", "pictures", "CPU seconds", sizes)
    curve(right, sizes, [row["recall"] for row in rows], label="found", linear=False)
    finish(right, "Near-duplicates found", "pictures", "share of added copies", sizes)
    right.axhline(0.99, color="0.45", linestyle="--", linewidth=1.2, label="aim: 99 %")
    right.set_yscale("linear")
    right.set_ylim(0.98, 1.0015)
    right.set_yticks([0.98, 0.985, 0.99, 0.995, 1])
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.1f} %"))
    right.legend(frameon=False, fontsize=10, loc="lower left")


def memory(figure: Figure, rows: Rows) -> None:
    """Memory of training against batch size and against resolution."""
    left, right = figure.subplots(1, 2, sharey=True)
    panels: list[tuple[Axes, str, str, Callable[[dict[str, Any]], bool], str]] = [
        (left, "batch", "batch size", lambda row: row["resolution"] == 64, "at 64 px"),
        (right, "resolution", "resolution in pixels", lambda row: row["batch"] == 64, "with batches of 64"),
    ]
    for axes, field, label, wanted, title in panels:
        shown = sorted(filter(wanted, rows), key=lambda row: (row["recipe"], row[field]))
        ticks = sorted({row[field] for row in shown})
        for number, (recipe, points) in enumerate(groupby(shown, key=lambda row: row["recipe"])):
            line = list(points)
            xs = [row[field] for row in line]
            curve(axes, xs, [row["megabytes"] for row in line], number, recipe, linear=number == 0)
            axes.plot(xs, [row["predicted"] for row in line], "x", color=COLOURS[number], markersize=7)
        axes.plot([], [], "x", color="0.3", label="estimate of --dry-run")
        finish(axes, f"Peak memory {title}", label, "MB" if axes is left else "", ticks)


def main() -> None:
    """Draw every picture whose file exists."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "scale")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    words = parser.parse_args()
    pictures: dict[str, tuple[str, Callable[[Figure, Rows], None]]] = {
        "scale-import": ("importing", lambda figure, rows: time_and_memory(figure, rows, "import", "pictures")),
        "scale-duplicates": ("duplicates", duplicates),
        "scale-memory": ("training-memory", memory),
        "scale-evaluate": (
            "judging",
            lambda figure, rows: time_and_memory(figure, rows, "evaluate", "generated faces"),
        ),
        "scale-generate": ("generate", lambda figure, rows: time_and_memory(figure, rows, "generate", "faces")),
    }
    for name, (source, draw) in pictures.items():
        file = words.results / f"{source}.json"
        if not file.exists():
            continue
        found = json.loads(file.read_text())
        figure = Figure(figsize=(8, 3.6), dpi=100, layout="constrained")
        draw(figure, found["rows"])
        if "machine" in found:
            figure.supxlabel(found["machine"], fontsize=8, color="0.45", x=0.99, ha="right")
        figure.savefig(words.out / f"{name}.png", dpi=150, metadata={"Software": None})
        print(words.out / f"{name}.png")


if __name__ == "__main__":
    main()
