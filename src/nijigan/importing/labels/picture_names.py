"""Find the picture that a cell of a table names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from posixpath import commonpath, normpath

from nijigan.dataset.decode import SUFFIXES
from nijigan.importing.sources import SourceFile, printable
from nijigan.safe_text import composed, loose

LONGEST_PATH = 4096
"""The longest path of most systems, in characters. Longer cells name no picture."""

DEEPEST = 30
"""So many common folders are left out at most."""

SEVERAL = -1
"""The place of an id that names several pictures."""


def clean(cell: str) -> str:
    """A cell as a name with forward slashes, without detours such as `./`."""
    name = printable(cell.strip())
    return normpath(name) if "/" in name else name


def is_file_name(cell: str) -> bool:
    """Whether a cell looks like the name of a picture's file."""
    return PurePosixPath(cell.strip().lower()).suffix in SUFFIXES


class PictureNames:
    """The pictures in a folder by path, name and stem.

    Args:
        pictures: all pictures.
        folder: only pictures whose names start with this, such as `faces/`; empty for all.
        aliases: further names of pictures, by position.
    """

    def __init__(
        self, pictures: Sequence[SourceFile], folder: str = "", aliases: Mapping[int, Sequence[str]] | None = None
    ) -> None:
        self._pictures = {row: picture for row, picture in enumerate(pictures) if picture.name.startswith(folder)}
        self._folder, self._aliases = folder, aliases or {}
        self._indices: dict[Callable[[str], str], dict[str, int]] = {}

    def find(self, cells: Sequence[str | None]) -> list[int | None]:
        """The positions of the pictures that the cells of one column name.

        A cell is compared letter for letter first. Cells that match nothing are compared by NFC and then by their loose
        form, but only with pictures that no other cell names better. If no cell matches at all, folders that all cells
        have in common, such as `/home/me/data`, are left out from the left.

        Returns:
            For each cell, a position; None if it names no picture; `SEVERAL` if it names more than one.
        """
        keys = [clean(cell) if cell and len(cell) <= LONGEST_PATH else None for cell in cells]
        found = self._search(keys)
        if not any(place is not None for place in found):
            for shorter in _without_common_folders(keys):
                found = self._search(shorter)
                if any(place is not None for place in found):
                    break
        return found

    def _search(self, keys: Sequence[str | None]) -> list[int | None]:
        found: list[int | None] = [None] * len(keys)
        for form in (str, composed, loose):  # str: letter for letter
            left = [(row, key) for row, key in enumerate(keys) if key and found[row] is None]
            taken = {place for place in found if place != SEVERAL}
            index = self._index(form) if left else {}
            for row, key in left:
                place = index.get(form(key))
                found[row] = None if place in taken else place
        return found

    def _index(self, form: Callable[[str], str]) -> dict[str, int]:
        if form not in self._indices:
            paths: dict[str, int] = {}
            names: dict[str, int] = {}
            stems: dict[str, int] = {}
            for position, picture in self._pictures.items():
                below = picture.name.removeprefix(self._folder) if self._folder else picture.name.partition("/")[2]
                named = [PurePosixPath(name) for name in (picture.name, *self._aliases.get(position, ()))]
                for index, keys in (
                    (paths, [picture.name, below]),
                    (names, [path.name for path in named]),
                    (stems, [path.stem for path in named]),
                ):
                    for key in map(form, keys):
                        index[key] = position if index.get(key, position) == position else SEVERAL
            self._indices[form] = stems | names | paths
        return self._indices[form]


def _without_common_folders(keys: Sequence[str | None]) -> Iterable[list[str | None]]:
    """`keys` without the first, the first two, ... of the folders that all of them are in."""
    given = [key for key in keys if key]
    folders = {str(PurePosixPath(key).parent) for key in given if is_file_name(key) or "/" in key}
    if not folders or len({folder.startswith("/") for folder in folders}) > 1:
        return
    for count in range(1, min(DEEPEST, len(PurePosixPath(commonpath(folders)).parts)) + 1):
        yield [str(PurePosixPath(*PurePosixPath(key).parts[count:])) if key and "/" in key else key for key in keys]
