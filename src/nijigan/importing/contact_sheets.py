"""Sheets of the pictures that an import did not use, to check them by eye.

`dropped.png` shows near-duplicates next to the faces that were kept, `no-face.png` pictures without a detected face.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nijigan.dataset.decode import decode, square
from nijigan.importing.sources import SourceFile
from nijigan.importing.store import Origin, picture
from nijigan.pictures import grid

SHEET = "dropped.png"
PAIRS = 64
FACELESS_SHEET = "no-face.png"
FACELESS = 400


def write_sheet(folder: Path, pairs: Sequence[tuple[Origin, Origin]], previous: Path, side: int = 96) -> None:
    """Write `dropped.png`: near-duplicates next to the faces that were kept. Without any, copy the sheet of `previous`.

    Args:
        folder: the folder for the sheet.
        pairs: (dropped, kept), the least similar first; the first 64 are shown.
        previous: the dataset before this import.
        side: height and width of each picture, in pixels.
    """
    if pairs:
        tiles = [np.concatenate([_tile(dropped, side), _tile(kept, side)], axis=1) for dropped, kept in pairs[:PAIRS]]
        Image.fromarray(grid(np.stack(tiles), columns=min(8, len(tiles)), gap=8)).save(folder / SHEET)
    else:
        keep_sheet(folder, SHEET, previous)


def write_faceless(folder: Path, entries: Sequence[SourceFile], previous: Path, side: int = 64) -> None:
    """Write `no-face.png`: pictures without a detected face. Without any, copy the sheet of `previous`.

    Args:
        folder: the folder for the sheet.
        entries: the pictures; 400 evenly spaced ones are shown.
        previous: the dataset before this import.
        side: height and width of each picture, in pixels.
    """
    if entries:
        shown = [entries[place] for place in spread(len(entries), FACELESS)]
        tiles = [_tile(Origin(entry.file, entry.position, plain=True), side) for entry in shown]
        Image.fromarray(grid(np.stack(tiles))).save(folder / FACELESS_SHEET)
    else:
        keep_sheet(folder, FACELESS_SHEET, previous)


def keep_sheet(folder: Path, name: str, previous: Path) -> None:
    """Copy a sheet of the dataset `previous`, if there is one."""
    if (previous / name).is_file():
        (folder / name).write_bytes((previous / name).read_bytes())


def spread(total: int, count: int) -> list[int]:
    """At most `count` of the indices 0 to `total` - 1, evenly spaced."""
    return [place * total // min(total, count) for place in range(min(total, count))]


def _tile(origin: Origin, side: int) -> npt.NDArray[np.uint8]:
    return square(decode(picture(origin), None).image, side)
