"""What an import left out: `dropped.csv`, and `dropped.png` to judge near-duplicates by eye."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from nijigan.data.decode import decode, square
from nijigan.data.store import Origin, picture
from nijigan.pictures import grid

CSV = "dropped.csv"
SHEET = "dropped.png"
PAIRS = 64


class Dropped(NamedTuple):
    """A file left out."""

    file: str
    kind: str
    """exact duplicate, near-duplicate, too small, too large, unreadable, or not a picture."""
    detail: str = ""
    survivor: str = ""
    """Id of the face that stands for a duplicate."""
    survivor_file: str = ""


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


def write_sheet(folder: Path, pairs: Sequence[tuple[Origin, Origin]], previous: Path, side: int = 96) -> None:
    """Draw near-duplicates beside the faces that stand for them; without any, keep the sheet that `previous` has.

    Args:
        folder: where `dropped.png` goes.
        pairs: (dropped, survivor), the least similar first; the first 64 are drawn.
        previous: the dataset as it was.
        side: of each picture, in pixels.
    """

    def draw(origin: Origin) -> npt.NDArray[np.uint8]:
        return square(decode(picture(origin), None).image, side)

    if pairs:
        tiles = [np.concatenate([draw(one), draw(other)], axis=1) for one, other in pairs[:PAIRS]]
        Image.fromarray(grid(np.stack(tiles), columns=min(8, len(tiles)), gap=8)).save(folder / SHEET)
    elif (previous / SHEET).is_file():
        (folder / SHEET).write_bytes((previous / SHEET).read_bytes())
