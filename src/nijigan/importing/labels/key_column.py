"""Find the column of a table that names the pictures. A column of row numbers must not be taken for it."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from nijigan.errors import UserError
from nijigan.importing.labels.columns import is_nameless, listed, shown, texts
from nijigan.importing.labels.near_misses import NearNames, quoted
from nijigan.importing.labels.picture_names import SEVERAL, PictureNames, Places, is_file_name, mentions_file
from nijigan.importing.labels.tables import UNREAD, Table
from nijigan.importing.labels.vocabulary import names_files, names_pictures
from nijigan.safe_text import safe

_NUMBER = re.compile(r"\d+(\.0*)?")
_LONGEST = 19
"""More digits than row numbers have."""


def find_key(name: str, table: Table, names: PictureNames, id_column: str | None) -> tuple[int, Places]:
    """Find the column whose cells name the pictures.

    Columns with file names go before columns with ids or numbers. Of columns that match other pictures in the same
    row, only one that is surely no name is passed over. Numbers name no picture next to a column of files that does
    not agree with them: they could be the numbers of rows.

    Returns:
        The column, and the picture that its cell in each row names.

    Raises:
        UserError: two columns name different pictures, or there is no column `id_column`.
    """
    if id_column is not None:
        column = _chosen(name, table, id_column)
        return column, names.find(texts(table, column))
    cells = [texts(table, column) for column in range(len(table.header))]
    found = [names.find(column) for column in cells]
    rivals = [
        _Column(table, column, cells[column], places)
        for column, places in enumerate(found)
        if any(place is not None for place in places)
    ]
    if not rivals:
        usual = [column for column, header in enumerate(table.header) if names_pictures(header)]
        return (usual or [0])[0], [None] * len(table.rows)
    rivals.sort(key=lambda rival: (-rival.files, -rival.hits, not rival.usual))
    for best in rivals:
        if all(other is best or best.prevails(other) for other in rivals):
            others = (
                _Column(table, column, cells[column], places)
                for column, places in enumerate(found)
                if column != best.column
            )
            _check_others(name, table, best, others, names)
            return best.column, best.places
    one, two = (rival.column for rival in rivals[:2])
    raise UserError(
        f"{name}: the columns {shown(table, one)} and {shown(table, two)} both name pictures, but not the same ones. "
        f"{_how_to_choose(table, one, two)}"
    )


def _chosen(name: str, table: Table, id_column: str) -> int:
    """The column that the user chose. Upper and lower case count only where they tell columns apart."""
    wanted = id_column.strip()
    same = [column for column, header in enumerate(table.header) if header.strip().lower() == wanted.lower()]
    chosen = [column for column in same if table.header[column].strip() == wanted] or same
    if not chosen:
        raise UserError(f"{name} has no column {id_column!r} (id_column); its columns are {listed(table)}.")
    if len(chosen) > 1:
        raise UserError(
            f"{name} has more than one column {id_column!r} (id_column); rename all but the one that names the "
            f"pictures. Its columns are {listed(table)}."
        )
    return chosen[0]


def _how_to_choose(table: Table, one: int, two: int) -> str:
    """What the user can do about two columns that disagree."""
    headers = [safe(table.header[column].strip()) for column in (one, two)]
    if headers[0] == headers[1]:
        return "Rename the wrong one, such as to unused, or delete it."
    options = " or ".join(f"--id-column {header!r}" for header in headers if header)
    return f"Choose the right one with {options}."


class _Column:
    """A column as a candidate for the one that names the pictures."""

    def __init__(self, table: Table, column: int, cells: Sequence[str | None], places: Places) -> None:
        header = table.header[column]
        self.column, self.cells, self.places = column, cells, places
        matched = [cell or "" for cell, place in zip(cells, places, strict=True) if place is not None]
        self.hits = len(matched)
        self.files = sum(map(is_file_name, matched)) * 2 > self.hits
        self.numbers = sum(_NUMBER.fullmatch(cell) is not None for cell in matched) * 2 > self.hits
        self.row_numbers = self.numbers and _without_gaps(cells)
        self.distinct = len(set(matched))
        self.usual, self.nameless = names_pictures(header), is_nameless(header)
        self.headed_files = column not in table.places and names_files(header)

    def prevails(self, other: "_Column") -> bool:
        """Whether the other column is no rival: it names the same pictures, or it is surely no name at all."""
        pairs = zip(self.places, other.places, strict=True)
        if all(theirs in (None, SEVERAL, ours) or ours == SEVERAL for ours, theirs in pairs):
            return True
        covers = self.hits >= other.hits
        if self.files and not other.files:  # file names and numbers of rows
            return other.nameless or (covers and self.distinct == self.hits)
        # An attribute whose values happen to be numbers: few of them, under a header of its own.
        few = other.distinct * 2 <= other.hits
        return self.files == other.files and covers and few and self.usual and not other.usual

    def looks_like_files(self) -> bool:
        """Whether most of the cells look like names of files, of whatever pictures, or the header says that they are.

        The first cell may be the header.
        """
        counts = Counter(filter(None, self.cells))
        files = sum(count for cell, count in counts.items() if mentions_file(cell))
        words = sum(count for cell, count in counts.items() if not _NUMBER.fullmatch(cell)) - 1
        return files * 2 >= counts.total() > 0 or (self.headed_files and words * 2 >= counts.total() > 0)

    def contradicts(self, best: "_Column", near: NearNames) -> bool:
        """Whether the labels would land on other pictures than those that this column names, or nearly names."""
        looks = self.looks_like_files()
        if not looks and (best.files or self.hits or len(set(self.cells)) * 2 <= best.hits):
            return False
        nearly = near.find(self.cells)
        rows = zip(self.cells, best.places, self.places, nearly, strict=True)
        named = [(ours, exact if exact is not None else close) for cell, ours, exact, close in rows if cell]
        named = [(ours, theirs) for ours, theirs in named if ours not in (None, SEVERAL) and theirs != SEVERAL]
        agree = sum(theirs == ours for ours, theirs in named)
        differ = sum(theirs is not None and theirs != ours for ours, theirs in named)
        # Under the header of a column of files, numbers are no numbers of rows.
        if looks and best.row_numbers and (self.usual or not best.headed_files):
            return differ > 0 or agree * 2 < len(named)
        return differ > agree


def _without_gaps(cells: Sequence[str | None]) -> bool:
    """Whether nearly all numbers from the lowest to the highest occur, in any order, as numbers of rows do."""
    given = [cell for cell in cells if cell and len(cell) < _LONGEST and _NUMBER.fullmatch(cell)]
    numbers = {int(cell.partition(".")[0]) for cell in given}
    return len(numbers) * 10 >= (max(numbers, default=0) - min(numbers, default=0) + 1) * 9


def _check_others(name: str, table: Table, best: _Column, others: Iterable[_Column], names: PictureNames) -> None:
    """Refuse a table with a column that looks like one of file names, but does not agree with the best one."""
    near = NearNames(names)
    for other in others:
        unread = table.unusable.get(other.column) == UNREAD and other.usual and best.numbers
        if not unread and not other.contradicts(best, near):
            continue
        one, two = shown(table, best.column), shown(table, other.column)
        row = next((row for row, place in enumerate(best.places) if place is not None and other.cells[row]), None)
        if row is None:
            example = "whose type is not read"
        else:
            example = f"which has {quoted(other.cells[row])} in the row of {quoted(best.cells[row])}"
        raise UserError(
            f"{name}: the cells of {one} are names of pictures, but those of {two} name others or none, {example}. "
            f"{_how_to_choose(table, best.column, other.column)}"
        )
