"""Decide what the columns of a table are: the one that names pictures, and the attributes."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from nijigan.errors import UserError
from nijigan.importing.labels.picture_names import SEVERAL, PictureNames, is_file_name
from nijigan.importing.labels.tables import Cell, Table
from nijigan.importing.labels.vocabulary import MISSING, TAG_COLUMNS, PictureLabels, attribute, names_pictures, value
from nijigan.safe_text import safe

FEW = 8
"""From this many labels on, a column with another value for nearly every picture is not an attribute."""

MOST = 10
"""Unused columns that the report names."""

LONGEST_CELL = 1000
"""Longer values are cut off, in characters. They are longer than any value of an attribute, and take memory."""

Places = list[int | None]
"""For each row, the position of the picture that it is about; None for no picture, `SEVERAL` for more than one."""


@dataclass
class Columns:
    """The attributes of a table, and what the report says about its columns."""

    attributes: dict[str, list[str | None]] = field(default_factory=dict)
    """Attribute to value for each row."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Attribute to the name of its column, where they differ."""
    unused: list[str] = field(default_factory=list)
    """Columns that are no attributes, and why."""
    missing: Counter[str] = field(default_factory=Counter)
    """Cells that stand for a missing value, such as `nan`, and how often they occur."""

    def rows(self, count: int) -> list[PictureLabels]:
        """The labels of each of `count` rows."""
        return [
            {name: text for name, values in self.attributes.items() if (text := values[row]) is not None}
            for row in range(count)
        ]

    def list_unused(self) -> str:
        """The first unused columns, and why."""
        more = f"; and {len(self.unused) - MOST:,} more" if len(self.unused) > MOST else ""
        return "; ".join(self.unused[:MOST]) + more

    def describe(self) -> str:
        """What the columns were taken for, as the end of a sentence."""
        names = [f"{name} ({self.renamed[name]})" if name in self.renamed else name for name in self.attributes]
        text = f"attributes: {', '.join(names) or 'none'}."
        if self.unused:
            text += f" Not used: {self.list_unused()}."
        if self.missing:
            words = ", ".join(f"{word!r} ({count:,})" for word, count in self.missing.most_common(5))
            text += f" Cells that count as no tag, unless --merge renames them: {words}."
        return text


def find_key(name: str, table: Table, names: PictureNames, id_column: str | None) -> tuple[int, Places]:
    """Find the column whose cells name the pictures.

    Columns with file names go before columns with ids or numbers. Of columns that match other pictures in the same
    row, only one that is surely no name is passed over.

    Returns:
        The column, and the picture that its cell in each row names.

    Raises:
        UserError: two columns name different pictures, or there is no column `id_column`.
    """
    if id_column is not None:
        chosen = [column for column, header in enumerate(table.header) if _same_header(header, id_column)]
        if len(chosen) != 1:
            raise UserError(
                f"{name} has {'no' if not chosen else 'more than one'} column {id_column!r} (id_column); its columns "
                f"are {listed(table)}."
            )
        return chosen[0], names.find(texts(table, chosen[0]))
    found = {column: names.find(texts(table, column)) for column in range(len(table.header))}
    found = {column: places for column, places in found.items() if any(place is not None for place in places)}
    if not found:
        usual = [column for column, header in enumerate(table.header) if names_pictures(header)]
        return (usual or [0])[0], [None] * len(table.rows)
    rivals = [_Rival(table, column, places) for column, places in found.items()]
    rivals.sort(key=lambda rival: (-rival.files, -rival.hits, not rival.usual))
    for best in rivals:
        if all(other is best or best.prevails(other) for other in rivals):
            return best.column, best.places
    one, two = (shown(table, rival.column) for rival in rivals[:2])
    raise UserError(
        f"{name}: the columns {one} and {two} both name pictures, but not the same ones. Choose the right one with "
        "--id-column."
    )


class _Rival:
    """A column whose cells name pictures."""

    def __init__(self, table: Table, column: int, places: Places) -> None:
        header, cells = table.header[column], texts(table, column)
        self.column, self.places = column, places
        matched = [(cell, place) for cell, place in zip(cells, places, strict=True) if place is not None]
        self.hits = len(matched)
        self.files = sum(is_file_name(cell or "") for cell, _ in matched) * 2 > self.hits
        self.distinct = len({cell for cell, _ in matched})
        self.usual, self.nameless = names_pictures(header), _is_nameless(header)

    def prevails(self, other: "_Rival") -> bool:
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


def has_no_header(table: Table, key: int, places: Places) -> bool:
    """Whether the header is about a picture like all other rows.

    It is if its id names a picture, or looks like those that do: `girl_0001` like `girl_0017`.
    """
    header = table.header[key] if table.headed or not table.rows else table.rows[0][key]
    if not isinstance(header, str) or names_pictures(header):
        return False
    named = not table.headed and bool(places) and places[0] is not None
    body = slice(0 if table.headed else 1, None)
    matched = zip(texts(table, key)[body], places[body], strict=True)
    shapes = {_shape(cell) for cell, place in matched if cell and place is not None}
    return named or is_file_name(header) or (any(map(str.isdigit, header)) and _shape(header) in shapes)


def find_attributes(table: Table, key: int | None, keep: Collection[str] = ()) -> Columns:
    """Find the columns that are attributes, and their values.

    Args:
        table: the table, without its header among the rows.
        key: the column that names the pictures, if there is one.
        keep: values to keep although they usually stand for a missing one.
    """
    result = Columns()
    found: dict[str, list[tuple[int, list[str | None]]]] = {}
    for column, header in enumerate(table.header):
        if column != key and (header.strip() or any(table.column(column))):  # not what a trailing comma leaves
            try:
                name, values = _attribute(table, column, keep, result.missing)
                found.setdefault(name, []).append((column, values))
            except ValueError as error:
                result.unused.append(f"{shown(table, column)} ({error})")
    for name, columns in found.items():
        first, values = columns[0]
        if any(other != values for _, other in columns):
            names = " and ".join(shown(table, column) for column, _ in columns)
            result.unused.append(f"{names} (all would be the attribute {name}, and their values differ)")
            continue
        result.attributes[name] = values
        if table.header[first] != name:
            result.renamed[name] = shown(table, first)
    return result


def _attribute(table: Table, column: int, keep: Collection[str], missing: Counter[str]) -> tuple[str, list[str | None]]:
    """The name and the values of an attribute.

    Raises:
        ValueError: the column is no attribute; the message says why.
    """
    header = table.header[column]
    if _is_nameless(header):
        raise ValueError("it has no name")
    if column in table.unusable:
        raise ValueError(table.unusable[column])
    cells = table.column(column)
    if header.strip().lower() in TAG_COLUMNS or any(isinstance(cell, tuple) and len(cell) > 1 for cell in cells):
        raise ValueError("its cells are lists of tags; give their meaning with --tag-map")
    name = attribute(header)
    if names_pictures(header):
        raise ValueError("its name is that of a column of file names or ids")
    return name, _values(cells, keep, missing)


def _values(cells: Sequence[Cell], keep: Collection[str], missing: Counter[str]) -> list[str | None]:
    """The values of a column.

    Raises:
        ValueError: the column is no attribute; the message says why.
    """
    values: list[str | None] = []
    absent: Counter[str] = Counter()
    written: dict[str, str] = {}  # equal cells share one text, in a small file up to millions of long ones
    for item in cells:
        cell = (item[0] if isinstance(item, tuple) else item) or ""
        text = written[cell] if cell in written else written.setdefault(cell, value(cell))
        if text in MISSING and text not in keep:
            absent[text] += 1
        values.append(None if text in absent else text or None)
    given = [text for text in values if text is not None]
    if all(
        re.fullmatch(r"-?\d+\.0", text) for text in given
    ):  # whole numbers, as pandas writes them if some are missing
        values = [text and text.removesuffix(".0") for text in values]
    if not given:
        raise ValueError("it is empty")
    distinct = len(set(given))
    fractions = sum(re.fullmatch(r"-?\d*\.\d+(e[-+]?\d+)?", text) is not None for text in given) * 2 > len(given)
    if len(given) >= FEW and (distinct >= 0.9 * len(given) or (fractions and distinct * 2 > len(given))):
        raise ValueError("it has another value for nearly every picture")
    missing.update(absent)
    short = {text: text[:LONGEST_CELL] for text in filter(None, values)}
    return [text and short[text] for text in values]


def texts(table: Table, column: int) -> list[str | None]:
    """The cells of a column that are texts."""
    return [cell if isinstance(cell, str) else None for cell in table.column(column)]


def _shape(cell: str) -> str:
    """A cell with `0` for every number in it."""
    return re.sub(r"\d+", "0", cell)


def _is_nameless(header: str) -> bool:
    """Whether a column has no name, or one that pandas gave to a column of row numbers."""
    return re.fullmatch(r"(unnamed: ?\d+|__index_level_\d+__)?", header.strip().lower()) is not None


def _same_header(header: str, wanted: str) -> bool:
    return header.strip().lower() == wanted.strip().lower()


def shown(table: Table, column: int) -> str:
    """What to call a column: by its header, or by where it is if the file gives it none."""
    header = table.header[column]
    return table.places.get(column) or (repr(safe(header)[:50]) if header else f"column {column + 1}")


def listed(table: Table) -> str:
    """The columns that are there."""
    names = [shown(table, column) for column in range(len(table.header))]
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
