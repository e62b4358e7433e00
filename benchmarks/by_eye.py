"""Sum up the verdicts by eye on the packaged generator: results/packaged/verdicts.csv → by-eye.json.

python benchmarks/by_eye.py

A share is the mean over both raters, each face once; its interval is Wilson's at 95 %, over the faces.
"""

import csv
import json
from math import sqrt
from pathlib import Path

import numpy as np

from nijigan.rate.tally import agree

FOLDER = Path(__file__).parents[1] / "results" / "packaged"
_Z = 1.96


def kept(lines: list[dict[str, str]]) -> dict[str, float]:
    """The share of these faces that the raters would keep, with its interval."""
    n = len(lines)
    share = float(np.mean([line[f"verdict_{rater}"] == "good" for line in lines for rater in "ab"]))
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return {"kept": share, "low": middle - half, "high": middle + half}


def main() -> None:
    """Read, sum up, write."""
    with (FOLDER / "verdicts.csv").open(newline="") as file:
        first = [line for line in csv.DictReader(file) if line["repeat"] == "0"]
    of = {name: [line for line in first if line["generator"] == name] for name in ("niji", "reacgan", "real")}
    verdicts = (np.array([line[f"verdict_{rater}"] == "good" for line in first]) for rater in "ab")
    kappa = agree(*verdicts).kappa
    found = {"faces": len(of["niji"]), **kept(of["niji"]), "reacgan": kept(of["reacgan"]),
             "real": kept(of["real"])["kept"], "kappa": None if kappa is None else kappa.value}  # fmt: skip
    (FOLDER / "by-eye.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
