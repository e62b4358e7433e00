"""What an import left out: `dropped.csv`, and sheets to judge it by eye.

`dropped.png` shows near-duplicates beside what stands for them, `no-face.png` what the detector did not take for faces.
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
    """Draw near-duplicates beside the faces that stand for them; without any, keep the sheet that `previous` has.

    Args:
        folder: where `dropped.png` goes.
        pairs: (dropped, survivor), the least similar first; the first 64 are drawn.
        previous: the dataset as it was.
        side: of each picture, in pixels.
    """
    if pairs:
        tiles = [np.concatenate([_tile(one, side), _tile(other, side)], axis=1) for one, other in pairs[:PAIRS]]
        Image.fromarray(grid(np.stack(tiles), columns=min(8, len(tiles)), gap=8)).save(folder / SHEET)
    else:
        keep_sheet(folder, SHEET, previous)


def write_faceless(folder: Path, entries: Sequence[SourceFile], previous: Path, side: int = 64) -> None:
    """Draw pictures that were set aside as no faces; without any, keep the sheet that `previous` has.

    Args:
        folder: where `no-face.png` goes.
        entries: the pictures; 400 are drawn, evenly spread.
        previous: the dataset as it was.
        side: of each picture, in pixels.
    """
    if entries:
        drawn = [entries[place] for place in spread(len(entries), FACELESS)]
        tiles = [_tile(Origin(entry.file, entry.position, plain=True), side) for entry in drawn]
        Image.fromarray(grid(np.stack(tiles))).save(folder / FACELESS_SHEET)
    else:
        keep_sheet(folder, FACELESS_SHEET, previous)


def keep_sheet(folder: Path, name: str, previous: Path) -> None:
    """Take over a sheet of the dataset `previous`, if it has it."""
    if (previous / name).is_file():
        (folder / name).write_bytes((previous / name).read_bytes())


def spread(total: int, count: int) -> list[int]:
    """At most `count` of the places 0 to `total` - 1, evenly spread."""
    return [place * total // min(total, count) for place in range(min(total, count))]


def _tile(origin: Origin, side: int) -> npt.NDArray[np.uint8]:
    return square(decode(picture(origin), None).image, side)
