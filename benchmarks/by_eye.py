"""Sum up verdicts by eye: verdicts.csv → by-eye.json, in results/packaged and in the folders of results/niji.

python benchmarks/by_eye.py

A share is the mean over both raters, each face once; its interval is Wilson's at 95 %, over the faces.
"""

import csv
import json
from math import sqrt
from pathlib import Path

import numpy as np

from nijigan.rate.tally import agree

RESULTS = Path(__file__).parents[1] / "results"
FOLDERS = (RESULTS / "packaged", *(RESULTS / "niji" / name for name in ("0200", "0298", "0358", "0428", "0478")))
_Z = 1.96


def kept(lines: list[dict[str, str]]) -> dict[str, float]:
    """The share of these faces that the raters would keep, with its interval."""
    n = len(lines)
    share = float(np.mean([line[f"verdict_{rater}"] == "good" for line in lines for rater in "ab"]))
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return {"kept": share, "low": middle - half, "high": middle + half}


def read(folder: Path) -> tuple[dict[str, list[dict[str, str]]], float | None]:
    """The verdicts on each generator's faces, each face once, and Cohen's κ of both raters."""
    with (folder / "verdicts.csv").open(newline="") as file:
        first = [line for line in csv.DictReader(file) if line["repeat"] == "0"]
    of: dict[str, list[dict[str, str]]] = {}
    for line in first:
        of.setdefault(line["generator"], []).append(line)
    kappa = agree(*(np.array([line[f"verdict_{rater}"] == "good" for line in first]) for rater in "ab")).kappa
    return of, None if kappa is None else kappa.value


def main() -> None:
    """Read, sum up, write."""
    for folder in FOLDERS:
        of, kappa = read(folder)
        found = {"kappa": kappa, **{name: {"faces": len(lines), **kept(lines)} for name, lines in of.items()}}
        (folder / "by-eye.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
