"""`dropped.csv`: the files that imports did not use, and why."""

import csv
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

CSV = "dropped.csv"


class Dropped(NamedTuple):
    """A file that was not used: one row of `dropped.csv`."""

    file: str
    kind: str
    """exact duplicate, near-duplicate, no face, too small, too large, unreadable, or not a picture."""
    detail: str = ""
    survivor: str = ""
    """For a duplicate: the id of the face that was kept."""
    survivor_file: str = ""
    """For a duplicate: the file that this face came from."""


def unusable(file: str, error: str, too_large: bool) -> Dropped:
    """The row for a file that cannot be read."""
    return Dropped(file, "too large" if too_large else "unreadable", error)


def write_csv(folder: Path, rows: Iterable[Dropped], previous: Path, used: Collection[str]) -> None:
    """Write `dropped.csv` into `folder`: the given rows, and those of `previous` whose file is not `used` now."""
    earlier = [row for row in read_csv(previous) if row.file not in used]
    listed = {(row.file, row.kind): row for row in [*rows, *earlier]}
    with (folder / CSV).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(Dropped._fields)
        writer.writerows(sorted(listed.values()))


def read_csv(folder: Path) -> list[Dropped]:
    """The rows of `dropped.csv` below its header. Rows with a wrong number of cells are skipped; no file, no rows."""
    if not (folder / CSV).is_file():
        return []
    rows = []
    with suppress(csv.Error), (folder / CSV).open(newline="", encoding="utf-8", errors="replace") as stream:
        for row in csv.reader(stream):
            rows.append(row)
    return [Dropped(*row) for row in rows[1:] if len(row) == len(Dropped._fields)]
