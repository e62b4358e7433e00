"""Tell which names in a table nearly are those of pictures. Such names label nothing: they can be wrong."""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import TypeVar
from urllib.parse import unquote

from nijigan.importing.labels.picture_names import LONGEST_PATH, PictureNames, Places, clean
from nijigan.importing.sources import printable
from nijigan.safe_text import loose, safe

_NEAR = re.compile("[0-9?#%/.]")
"""What a name has in it that can be near another."""
_QUERY = re.compile(r"[?#].*")
_SUFFIX = re.compile(r"\.[a-z][a-z0-9]{2,3}$")
_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_FRACTION = re.compile(r"(?<=[0-9])\.0$")
_LONGEST_SHOWN = 100  # characters

T = TypeVar("T")


def near_misses(names: PictureNames, cells: Sequence[str | None], places: Sequence[int | None]) -> tuple[int, str]:
    """Compare the cells that name no picture with the pictures that no cell names.

    Args:
        names: the pictures.
        cells: the cells of one column.
        places: the picture that each cell names, as `PictureNames.find` returns them.

    Returns:
        How many cells differ from the name of one picture only in leading zeros, the suffix, the query of a URL, the
        folder and the like; and what to say about them, empty if there are none.
    """
    taken = set(places)
    absent = [cell for cell, place in zip(cells, places, strict=True) if cell and place is None]
    keys = {clean(cell): printable(cell.strip()) for cell in absent if len(cell) <= LONGEST_PATH}
    keys = {key: cell for key, cell in keys.items() if _NEAR.search(key)}
    pictures = [(row, name) for row, name in names.paths() if row not in taken] if keys else []
    for without_folders in (False, True):
        found = _unique((_relaxed(name, without_folders), row) for row, name in pictures)
        wanted = _unique((_relaxed(_QUERY.sub("", key), without_folders), key) for key in keys)
        near = sorted((key, form) for form, key in wanted.items() if key and found.get(form) is not None)
        if near:
            key, form = near[0]
            name = next(name for _, name in pictures if _relaxed(name, without_folders) == form)
            shown = [quoted(text) for text in (keys[key], name)]
            return len(near), (
                f"{len(near):,} ids without a picture resemble the name of one, such as {shown[0]} and {shown[1]}, "
                f"which differ in {_differences(key, name)}. Correct the ids to use them."
            )
    return 0, ""


class NearNames:
    """The pictures by what people and programs leave of their names. This labels nothing, but raises doubts."""

    def __init__(self, names: PictureNames) -> None:
        self._names = names

    @cached_property
    def _forms(self) -> list[dict[str, int | None]]:
        """The pictures by their paths and by their names."""
        pictures = list(self._names.paths())
        return [_unique((_relaxed(name, short), row) for row, name in pictures) for short in (False, True)]

    def find(self, cells: Sequence[str | None]) -> Places:
        """The position of the one picture whose name each cell resembles."""
        near = {cell: self._place(cell) for cell in set(cells) if cell and len(cell) <= LONGEST_PATH}
        return [near.get(cell) if cell else None for cell in cells]

    def _place(self, cell: str) -> int | None:
        key = _QUERY.sub("", clean(cell))
        if not _NEAR.search(key):
            return None
        place = self._forms[0].get(_relaxed(key, without_folders=False))
        return self._forms[1].get(_relaxed(key, without_folders=True)) if place is None else place


def quoted(name: str | None) -> str:
    """A name as messages show it."""
    return repr(safe(name or "")[:_LONGEST_SHOWN])


def _unique(pairs: Iterable[tuple[str, T]]) -> dict[str, T | None]:
    """The value of each form; None for a form of several values."""
    forms: dict[str, T | None] = {}
    for form, value in pairs:
        forms[form] = value if forms.get(form, value) == value else None
    return forms


def _relaxed(name: str, without_folders: bool) -> str:
    """A name without what people and programs change."""
    return _ZEROS.sub("", _with_zeros(PurePosixPath(name).name if without_folders else name))


def _with_zeros(name: str) -> str:
    """A name without all of that but leading zeros."""
    return _SUFFIX.sub("", loose(_FRACTION.sub("", unquote(name))))


def _differences(cell: str, picture: str) -> str:
    """What differs between a cell and the path of a picture."""
    plain = _QUERY.sub("", cell)
    suffix, other = (_SUFFIX.search(loose(name)) for name in (plain, picture))
    one, two = (_with_zeros(PurePosixPath(name).name) for name in (plain, picture))
    parts = {
        "the query of the URL": plain != cell,
        "an escaped character": (unquote(plain) != plain) != (unquote(picture) != picture),
        "the .0 of the number": _FRACTION.search(plain) is not None,
        "the suffix": suffix is not None and (other is None or suffix[0] != other[0]),
        "the number of leading zeros": one != two,
    }
    *most, last = [part for part, differs in parts.items() if differs] or ["the folder"]
    return f"{', '.join(most)} and {last}" if most else last
