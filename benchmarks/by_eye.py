"""Sum up verdicts by eye: verdicts.csv → by-eye.json, in the folders of `results` that `FOLDERS` names.

python benchmarks/by_eye.py

Verdicts with a column `ballot` are summed up for each ballot. A share is the mean over the raters, one or two, each
face once; its interval is Wilson's at 95 %, over the faces.
"""

import csv
import json
from math import sqrt
from pathlib import Path

import numpy as np

from nijigan.rate.tally import agree

RESULTS = Path(__file__).parents[1] / "results"
FOLDERS = (
    RESULTS / "packaged",
    RESULTS / "packaged-again",
    RESULTS / "taste",
    *(RESULTS / "niji" / name for name in ("0200", "0298", "0358", "0428", "0478", "0510-averaged")),
)
_Z = 1.96


def raters(lines: list[dict[str, str]]) -> str:
    """The letters of the raters."""
    return "ab" if "verdict_b" in lines[0] else "a"


def kept(lines: list[dict[str, str]]) -> dict[str, float]:
    """The share of these faces that the raters would keep, with its interval."""
    n = len(lines)
    share = float(np.mean([line[f"verdict_{rater}"] == "good" for line in lines for rater in raters(lines)]))
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return {"kept": share, "low": middle - half, "high": middle + half}


def read(path: Path) -> list[dict[str, str]]:
    """The verdicts, each face once."""
    with path.open(newline="") as file:
        return [line for line in csv.DictReader(file) if line["repeat"] == "0"]


def sums(lines: list[dict[str, str]]) -> dict[str, object]:
    """The share kept of each generator's faces, and Cohen's κ of both raters."""
    of: dict[str, list[dict[str, str]]] = {}
    for line in lines:
        of.setdefault(line["generator"], []).append(line)
    good = [np.array([line[f"verdict_{rater}"] == "good" for line in lines]) for rater in raters(lines)]
    kappa = agree(*good).kappa if len(good) == 2 else None
    found = {name: {"faces": len(faces), **kept(faces)} for name, faces in of.items()}
    return {"kappa": None if kappa is None else kappa.value, **found}


def main() -> None:
    """Read, sum up, write."""
    for folder in FOLDERS:
        lines = read(folder / "verdicts.csv")
        ballots = sorted({line["ballot"] for line in lines if "ballot" in line})
        found = {b: sums([line for line in lines if line["ballot"] == b]) for b in ballots} or sums(lines)
        (folder / "by-eye.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
