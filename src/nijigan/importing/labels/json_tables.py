"""Read JSON and JSON lines as tables of labels."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from nijigan.errors import UserError
from nijigan.importing.labels.picture_names import is_file_name, mentions_file, name_among
from nijigan.importing.labels.tables import MAX_OBJECTS, NESTED, Cell, Table, check_size
from nijigan.importing.labels.vocabulary import names_pictures
from nijigan.safe_text import safe

_NO_TABLE = (
    "write one JSON object per line, or an array of objects, each with a file_name and its labels: "
    '{"file_name": "1.png", "hair": "blue"}'
)

_NO_ATTRIBUTE = (
    'they belong to no attribute; write {"1.png": {"hair": "blue"}}, or, if they are tags, give their '
    "meaning with --tag-map"
)

_FIRST = "the first item of each pair"
"""The column of names in the `dataset.json` of StyleGAN."""


class _RepeatedKeyError(ValueError):
    """A key occurs twice in one object. Which of its values would count is not defined."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {safe(key)[:50]!r} occurs twice in one object; keep one of them")


def json_table(name: str, text: str) -> Table:
    """Read a JSON document or JSON lines.

    These documents are tables: an array of objects, one per picture; an object of file names, each with an object of
    labels, a list of tags or one value; an object of columns; and the `dataset.json` of StyleGAN, whose labels may be
    objects, too.

    Raises:
        UserError: it holds no table, or an object with a repeated key.
    """
    try:
        document = _loads(text)
    except _RepeatedKeyError as error:
        if _is_document(text):
            raise UserError(f"{name}: {error}.") from error
        table = _lines(name, text)
    except (ValueError, RecursionError):
        table = _lines(name, text)
    else:
        lines = isinstance(document, dict) and not name.lower().endswith(".json")
        table = _records(name, [document]) if lines else _document(name, document)
    if not table.rows:
        raise UserError(f"{name} is not a table of tags; {_NO_TABLE}.")
    return table


def _loads(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _RepeatedKeyError(next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1))
    return result


def _is_document(text: str) -> bool:
    """Whether a text is one JSON document, rather than JSON lines."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _lines(name: str, text: str) -> Table:
    records, malformed, repeated = [], 0, None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = _loads(line)
        except (ValueError, RecursionError) as error:
            record = None
            if isinstance(error, _RepeatedKeyError):
                repeated = repeated or f"{name}, line {number:,}: {error}."
        if isinstance(record, dict):
            records.append(record)
        else:
            malformed += 1
    if repeated and not records:
        raise UserError(repeated)
    return _records(name, records, malformed)


def _document(name: str, document: Any) -> Table:
    if isinstance(document, list):
        if document and all(isinstance(row, list) for row in document):
            return _pairs(name, document)
        records = [record for record in document if isinstance(record, dict)]
        return _records(name, records, len(document) - len(records))
    if not isinstance(document, dict):
        return Table([], [])
    if isinstance(document.get("labels"), list) and all(isinstance(row, list) for row in document["labels"]):
        table = _pairs(name, [["file_name", "label"], *document["labels"]])  # as StyleGAN's tools write it
        return replace(table, places={0: _FIRST})
    tables = [inner for inner in document.values() if _is_table(inner)]
    if tables:
        return _document(name, tables[0]) if len(tables) == 1 else Table([], [])
    if any(map(names_pictures, document)) or all(isinstance(v, dict) and "0" in v for v in document.values()):
        return _columns(name, document)
    return _by_name(name, document.items())


def _is_table(inner: Any) -> bool:
    """Whether a part of a document is an array of records or an object of file names."""
    return (isinstance(inner, list) and bool(inner) and isinstance(inner[0], dict)) or _is_by_name(inner)


def _is_by_name(document: Any) -> bool:
    return isinstance(document, dict) and bool(document) and all(map(is_file_name, document))


def _by_name(name: str, entries: Iterable[tuple[str, Any]], malformed: int = 0) -> Table:
    """The table of pictures and their labels: an object, or else tags or one value."""
    records, values = [], []
    entries = list(entries)
    if len(entries) > MAX_OBJECTS:
        raise UserError(f"{name} names more than the limit of {MAX_OBJECTS:,} pictures; save it as Parquet.")
    taken = {header for _, labels in entries if isinstance(labels, dict) for header in labels}
    names = "file_name" if "file_name" not in taken else "keys"
    while names in taken:
        names += "s"
    for key, labels in entries:
        if isinstance(labels, dict):
            records.append({names: key} | labels)
        else:
            records.append({names: key} | ({"tags": labels} if labels is not None else {}))
            values.append(labels)
    table = _as_records(name, records, malformed)
    table.places = {0: "the keys"}
    if any(labels is not None for labels in values):
        column = table.header.index("tags")
        table.places[column] = "the values"
        if not all(isinstance(labels, list | None) for labels in values):
            table.unusable[column] = _NO_ATTRIBUTE
    return table


def _columns(name: str, document: dict[str, Any]) -> Table:
    """A single record, or an object of columns: lists, or objects of cells as pandas writes them."""
    columns = {}
    for header, column in document.items():
        if isinstance(column, dict):
            columns[header] = column
        elif isinstance(column, list):
            columns[header] = dict(enumerate(column))
        else:
            return _records(name, [document])
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    check_size(name, len(rows), len(columns))
    return _records(name, [{header: column.get(row) for header, column in columns.items()} for row in rows])


def _pairs(name: str, rows: list[list[Any]]) -> Table:
    """A list of rows, whose first may be a header. Two cells may be a name and an object of labels."""
    width = len(rows[0])
    if width == 2 and all(len(row) != 2 or isinstance(row[1], dict | None) for row in rows[1:]) and _has_object(rows):
        body = rows if isinstance(rows[0][1], dict) else rows[1:]
        whole = [(row[0], row[1]) for row in body if len(row) == 2 and isinstance(row[0], str)]
        return replace(_by_name(name, whole, len(body) - len(whole)), places={0: _FIRST})
    table = Table([], [], headed=False)
    check_size(name, len(rows), width)
    for row in rows:
        if len(row) == width:
            table.rows.append([_cell(table, column, value) for column, value in enumerate(row)])
        else:
            table.malformed += 1
    table.header = [cell if isinstance(cell, str) else "" for cell in table.rows[0]]
    return table


def _has_object(rows: list[list[Any]]) -> bool:
    return any(isinstance(row[1], dict) for row in rows if len(row) == 2)


def _records(name: str, records: Sequence[dict[str, Any]], malformed: int = 0) -> Table:
    """The table of objects with the same keys, or of objects of file names."""
    if records and all(map(_is_by_name, records)):
        return _by_name(name, (entry for record in records for entry in record.items()), malformed)
    return _as_records(name, records, malformed)


def _as_records(name: str, records: Sequence[dict[str, Any]], malformed: int) -> Table:
    header = list(dict.fromkeys(key for record in records for key in record))
    check_size(name, len(records), len(header))
    table = Table(header, [], malformed=malformed)
    for record in records:
        table.rows.append([_cell(table, column, record.get(key)) for column, key in enumerate(header)])
    return table


def _cell(table: Table, column: int, value: Any) -> Cell:
    """A value of JSON as a cell, as a CSV file would write it."""
    if isinstance(value, list):
        items = [scalar(item) for item in value if not isinstance(item, list | dict)]
        if len(items) == len(value):
            return tuple(filter(None, items)) or None
    elif not isinstance(value, dict):
        return scalar(value)
    table.unusable[column] = NESTED
    return _name_inside(value)


def _name_inside(value: list[Any] | dict[str, Any]) -> str | None:
    """The name of a picture in a nested cell, such as `{"path": "1.png"}`. Names of several files are joined."""
    texts: list[str] = []
    left: list[tuple[str, Any]] = [("", value)]
    while left:
        key, item = left.pop()
        if isinstance(item, dict):
            left += item.items()
        elif isinstance(item, list):
            left += [(key, inner) for inner in item]
        elif (isinstance(item, str) and mentions_file(item)) or (names_pictures(key) and scalar(item)):
            texts.append(str(item))
    return name_among(texts)


def scalar(value: Any) -> str | None:
    """A number, truth value or text as text; None for nothing, an empty text or a number that is not one."""
    if value is None or value != value:  # NaN
        return None
    return str(value).strip() or None
