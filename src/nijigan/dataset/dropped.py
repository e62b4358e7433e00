"""`dropped.csv`: every file that an import left out, and why."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

CSV = "dropped.csv"


class Dropped(NamedTuple):
    """A file left out."""

    file: str
    kind: str
    """exact duplicate, near-duplicate, no face, too small, too large, unreadable, or not a picture."""
    detail: str = ""
    survivor: str = ""
    """Id of the face that stands for a duplicate."""
    survivor_file: str = ""


def unusable(file: str, error: str, too_large: bool) -> Dropped:
    """A file that cannot be read."""
    return Dropped(file, "too large" if too_large else "unreadable", error)


def write_csv(folder: Path, rows: Iterable[Dropped], previous: Path) -> None:
    """List files left out, after those that earlier imports listed in the dataset `previous`."""
    listed = {(row.file, row.kind): row for row in [*rows, *read_csv(previous)]}
    with (folder / CSV).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(Dropped._fields)
        writer.writerows(sorted(listed.values()))


def read_csv(folder: Path) -> list[Dropped]:
    """The rows of `dropped.csv`; none where there is no such file, and none that somebody has broken."""
    if not (folder / CSV).is_file():
        return []
    with (folder / CSV).open(newline="", encoding="utf-8") as stream:
        return [Dropped(*row) for row in csv.reader(stream) if len(row) == len(Dropped._fields)][1:]
