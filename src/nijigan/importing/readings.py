"""Read missing labels: colours from the pixels of a face, the year from the name of its file."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nijigan.aliases import Progress
from nijigan.dataset.decode import UnreadableError
from nijigan.errors import UserError
from nijigan.importing.label_cleaning import Column
from nijigan.importing.measure import BATCH, each, open_entry
from nijigan.importing.sources import SourceFile
from nijigan.importing.store import Origin
from nijigan.vision.colours import read_colours
from nijigan.vision.finder import check_finder

COLOURS = ("hair", "eyes")
READABLE = (*COLOURS, "year")
YEAR = re.compile(r"_(19[89][0-9]|20[0-9]{2})$")
"""The year at the end of a file's stem, as in `8457_2004.jpg`."""

_READINGS = pa.struct([(name, pa.string()) for name in COLOURS])


def parse_label(texts: Sequence[str]) -> tuple[str, ...]:
    """Parse lists of attributes such as `hair,eyes`.

    Raises:
        UserError: an attribute cannot be read from pictures.
    """
    names = [name.strip().lower() for text in texts for name in text.split(",") if name.strip()]
    if texts and not names:
        raise UserError(f"label is empty; choose from {', '.join(READABLE)}, or omit it.")
    for name in names:
        if name not in READABLE:
            raise UserError(f"{name!r} cannot be read from pictures; choose from {', '.join(READABLE)}.")
    return tuple(dict.fromkeys(names))


def check_readable(names: Sequence[str]) -> None:
    """Raise a `UserError` if these attributes cannot be read here: colours need the face detector."""
    if set(names) & set(COLOURS):
        check_finder()


def read_unlabelled(
    names: Sequence[str],
    attributes: dict[str, Column],
    origins: Sequence[Origin],
    sources: Sequence[str],
    kept: npt.NDArray[np.int64],
    progress: Progress | None = None,
) -> dict[str, Column]:
    """Read attributes of the faces that have no label for them.

    Args:
        names: the attributes to read, of `READABLE`.
        attributes: the labels of all candidates; missing attributes are added, without values.
        origins: where the picture of each candidate is.
        sources: the name of the file that each candidate came from.
        kept: the candidates that become faces.
        progress: called with (faces read, faces in all).

    Returns:
        A column for each name; None for a face that has a label or cannot be read.
    """
    for name in names:
        attributes.setdefault(name, [None] * len(origins))
    readings: dict[str, Column] = {}
    # Colours are read together: one pass over the pictures.
    for group in ([name for name in names if name in COLOURS], [name for name in names if name not in COLOURS]):
        unlabelled = [row for row in kept.tolist() if any(attributes[name][row] is None for name in group)]
        readings |= read_labels(group, origins, sources, unlabelled, progress)
    return readings


def read_labels(
    names: Sequence[str],
    origins: Sequence[Origin],
    sources: Sequence[str],
    requested: Sequence[int],
    progress: Progress | None = None,
) -> dict[str, Column]:
    """Read attributes of faces.

    Args:
        names: the attributes to read, of `READABLE`.
        origins: where the picture of each candidate is.
        sources: the name of the file that each candidate came from.
        requested: the candidates to read.
        progress: called with (faces read, faces in all).

    Returns:
        A column for each name; None for a face that cannot be read or is not in `requested`.
    """
    columns: dict[str, Column] = {name: [None] * len(origins) for name in names}
    if "year" in columns:
        for row in requested:
            picture = re.sub(r"#\d+$", "", sources[row])  # without the number of a crop
            year = YEAR.search(PurePosixPath(picture).stem)
            columns["year"][row] = year[1] if year else None
    colours = [name for name in names if name in COLOURS]
    if colours:
        rows = sorted(
            requested, key=lambda row: (origins[row].file, origins[row].position)
        )  # in the order of their files
        entries = [SourceFile(sources[row], origins[row].file, origins[row].position) for row in rows]
        for part in each(entries, _read, _READINGS, BATCH, progress):
            for readings in part.to_pylist():
                for name in colours:
                    columns[name][rows[readings["row"]]] = readings[name]
    return columns


def _read(files: Sequence[bytes], positions: Sequence[int]) -> pa.Array:
    return pa.array([_read_one(*place) for place in zip(files, positions, strict=True)], _READINGS)


def _read_one(file: bytes, position: int) -> dict[str, Any]:
    try:
        image = open_entry(file, position, None)[1].image
    except UnreadableError:  # it was readable before; the import reports it when it stores the picture
        return {}
    return {name: reading.value for name, reading in read_colours(np.asarray(image)).items()}
