"""Find the picture that a cell of a table names."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import basename, commonpath, dirname, normpath

from nijigan.dataset.decode import SUFFIXES
from nijigan.importing.sources import SourceFile, printable
from nijigan.safe_text import composed, loose

LONGEST_PATH = 4096
"""The longest path of most systems, in characters. Longer cells name no picture."""

DEEPEST = 30
"""So many common folders are left out at most."""

SEVERAL = -1
"""The place of an id that names several pictures."""

Places = list[int | None]
"""For each row, the position of the picture that it is about; None for no picture, `SEVERAL` for more than one."""

_UNREAD_SUFFIXES = (".avif", ".bmp", ".heic", ".heif", ".jp2", ".jxl", ".psd", ".svg", ".tga", ".tif", ".tiff")
"""Suffixes of pictures that are not read. Tables name them all the same, for pictures that were converted since."""

_FILE = re.compile(rf"\S(?:{'|'.join(map(re.escape, (*SUFFIXES, *_UNREAD_SUFFIXES)))})(?![a-z0-9])", re.IGNORECASE)


def clean(cell: str) -> str:
    """A cell as a name with forward slashes, without detours such as `./`."""
    name = printable(cell.strip())
    return normpath(name) if "/" in name else name


def is_file_name(cell: str) -> bool:
    """Whether a cell looks like the name of a picture's file."""
    return PurePosixPath(cell.strip().lower()).suffix in SUFFIXES


def mentions_file(cell: str) -> bool:
    """Whether the name of a picture's file is anywhere in a cell, such as in a URL with a query."""
    return _FILE.search(cell) is not None


def name_among(texts: Iterable[str]) -> str | None:
    """The name of a picture among the texts in a nested cell: the names of files, joined; or else the only text."""
    short = dict.fromkeys(text.strip() for text in texts if len(text) <= LONGEST_PATH)
    files = [text for text in short if mentions_file(text)]
    return ", ".join(files) or (next(iter(short)) if len(short) == 1 else None)


@dataclass(frozen=True)
class Location:
    """Where a file is on disk. Displayed names are not enough for that: two sources can have the same name."""

    root: str
    """The absolute path of the source: a folder, an archive or a Parquet file."""
    inside: str
    """The path in the source."""

    @property
    def path(self) -> str:
        """The absolute path, with archives and Parquet files as folders."""
        return f"{self.root}/{self.inside}"


def locate(entry: SourceFile) -> Location:
    """Find the source of a file. Files that are sources themselves belong to their folder."""
    path = normpath(printable(str(Path(entry.file).absolute())))
    inside = entry.name.partition("/")[2]
    if not inside:
        return Location(dirname(path), basename(path))
    if path.endswith(f"/{inside}"):
        return Location(path[: -len(inside) - 1], inside)
    root = path  # an archive, or a Parquet file: a source, or in a folder that is a source
    if not entry.name.startswith(f"{basename(path)}/"):
        while root != dirname(root):
            root = dirname(root)
            if inside.startswith(path[len(root) :].lstrip("/") + "/"):
                return Location(root, inside)
    return Location(path, inside)


class PictureNames:
    """The pictures in a folder by path, name and stem.

    Args:
        pictures: all pictures.
        folder: only pictures in this folder, an absolute path as of `Location.path`; None for all.
        aliases: further names of pictures, by position.
        locations: where the pictures are. A picture that is listed several times counts as the first of them.
    """

    def __init__(
        self,
        pictures: Sequence[SourceFile],
        folder: str | None = None,
        aliases: Mapping[int, Sequence[str]] | None = None,
        locations: Sequence[Location] | None = None,
    ) -> None:
        self._pictures, self._folder, self._aliases = pictures, folder, aliases or {}
        self._locations = locations or [locate(picture) for picture in pictures]
        self._first = first_listings(pictures, self._locations)
        self._sources: dict[str, list[int]] = {}
        for row, location in enumerate(self._locations):
            if folder is None:
                self._sources.setdefault(location.root, []).append(row)
            elif location.path.startswith(f"{folder}/"):
                self._sources.setdefault(folder, []).append(row)
        self._indices: dict[Callable[[str], str], dict[str, int]] = {}

    def find(self, cells: Sequence[str | None]) -> Places:
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

    def paths(self) -> Iterable[tuple[int, str]]:
        """Each picture and its paths: that in its source, and the further names of the picture."""
        for root, rows in self._sources.items():
            for row in rows:
                yield self._first[row], self._locations[row].path.removeprefix(f"{root}/")
                yield from ((self._first[row], name) for name in self._aliases.get(self._first[row], ()))

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
        """Every key to the position of its picture, or `SEVERAL`.

        In one source, a path goes before a name, and a name before a stem. Of different sources, none goes first.
        """
        if form not in self._indices:
            whole = self._indices[form] = {}
            tails = _distinct_tails(self._sources)
            for root, rows in self._sources.items():
                paths: dict[str, int] = {}
                names: dict[str, int] = {}
                stems: dict[str, int] = {}
                for row in rows:
                    position, picture = self._first[row], self._pictures[row]
                    below = self._locations[row].path.removeprefix(f"{root}/")
                    named = [PurePosixPath(name) for name in (picture.name, *self._aliases.get(position, ()))]
                    for index, keys in (
                        (paths, [picture.name, below, *(f"{tail}/{below}" for tail in tails[root])]),
                        (names, [path.name for path in named]),
                        (stems, [path.stem for path in named]),
                    ):
                        for key in map(form, keys):
                            index[key] = position if index.get(key, position) == position else SEVERAL
                for key, place in (stems | names | paths).items():
                    whole[key] = place if whole.get(key, place) == place else SEVERAL
        return self._indices[form]


def first_listings(pictures: Sequence[SourceFile], locations: Sequence[Location]) -> list[int]:
    """For each picture, the first position of the same picture: sources can overlap, or be given twice."""
    first: dict[tuple[str, int], int] = {}
    return [
        first.setdefault((location.path, picture.position), row)
        for row, (picture, location) in enumerate(zip(pictures, locations, strict=True))
    ]


def _distinct_tails(roots: Iterable[str]) -> dict[str, list[str]]:
    """Names that tell sources apart: their last folders, such as `train/faces`, and their whole paths."""
    parts = {root: root.strip("/").split("/") for root in roots}
    length = 1
    while len({tuple(folders[-length:]) for folders in parts.values()}) < len(parts):
        length += 1
    if len(parts) == 1:
        return {root: [] for root in parts}
    return {
        root: [*("/".join(folders[-count:]) for count in range(1, length + 1)), root] for root, folders in parts.items()
    }


def _without_common_folders(keys: Sequence[str | None]) -> Iterable[list[str | None]]:
    """`keys` without the first, the first two, ... of the folders that all of them are in."""
    given = [key for key in keys if key]
    folders = {str(PurePosixPath(key).parent) for key in given if is_file_name(key) or "/" in key}
    if not folders or len({folder.startswith("/") for folder in folders}) > 1:
        return
    for count in range(1, min(DEEPEST, len(PurePosixPath(commonpath(folders)).parts)) + 1):
        yield [str(PurePosixPath(*PurePosixPath(key).parts[count:])) if key and "/" in key else key for key in keys]
