"""Decide which columns of a table are attributes, and whether it has a header."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from nijigan.importing.labels.picture_names import Places, is_file_name, mentions_file
from nijigan.importing.labels.tables import Cell, Table
from nijigan.importing.labels.vocabulary import MISSING, TAG_COLUMNS, PictureLabels, attribute, names_pictures, value
from nijigan.safe_text import safe

FEW = 8
"""From this many labels on, a column with another value for nearly every picture is not an attribute."""

MOST = 10
"""Unused columns that the report names."""

LONGEST_CELL = 1000
"""Longer values are cut off, in characters. They are longer than any value of an attribute, and take memory."""


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
    if is_nameless(header):
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
    """The cells of a column as names of pictures: texts, lists of one text, and lists with names of files."""
    return [_joined(cell) if isinstance(cell, tuple) else cell for cell in table.column(column)]


def _joined(items: tuple[str, ...]) -> str | None:
    """One item itself. Several name no picture, but can show that the column is one of files."""
    text = ", ".join(items)
    return text if len(items) == 1 or mentions_file(text) else None


def _shape(cell: str) -> str:
    """A cell with `0` for every number in it."""
    return re.sub(r"\d+", "0", cell)


def is_nameless(header: str) -> bool:
    """Whether a column has no name, or one that pandas gave to a column of row numbers."""
    return re.fullmatch(r"(unnamed: ?\d+|__index_level_\d+__)?", header.strip().lower()) is not None


def shown(table: Table, column: int) -> str:
    """What to call a column: by its header, or by where it is if the file gives it none."""
    header = table.header[column]
    return table.places.get(column) or (repr(safe(header)[:50]) if header else f"column {column + 1}")


def listed(table: Table) -> str:
    """The columns that are there."""
    names = [shown(table, column) for column in range(len(table.header))]
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
