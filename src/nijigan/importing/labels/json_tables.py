"""Read JSON and JSON lines as tables of labels."""

import json
from collections.abc import Sequence
from typing import Any

from nijigan.errors import UserError
from nijigan.importing.labels.tables import Cell, Table, check_size
from nijigan.importing.labels.vocabulary import names_pictures

_NO_TABLE = (
    "write one JSON object per line, or an array of objects, each with a file_name and its labels: "
    '{"file_name": "1.png", "hair": "blue"}'
)


def json_table(name: str, text: str) -> Table:
    """Read a JSON document or JSON lines.

    These documents are tables: an array of objects, one per picture; an object of file names, each with an object of
    labels, a list of tags or one value; an object of columns; and the `dataset.json` of StyleGAN.

    Raises:
        UserError: it holds no table.
    """
    try:
        document = _loads(text)
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
    """An object whose keys differ. Which of two values would count is not defined."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return result


def _lines(name: str, text: str) -> Table:
    records, malformed = [], 0
    for line in filter(None, map(str.strip, text.split("\n"))):
        try:
            record = _loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            records.append(record)
        else:
            malformed += 1
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
        return _pairs(name, [["file_name", "label"], *document["labels"]])  # as StyleGAN's tools write it
    tables = [inner for inner in document.values() if isinstance(inner, list) and inner and isinstance(inner[0], dict)]
    if tables:
        return _document(name, tables[0]) if len(tables) == 1 else Table([], [])
    if any(map(names_pictures, document)) or all(isinstance(v, dict) and "0" in v for v in document.values()):
        return _columns(name, document)
    return _records(name, [_entry(key, labels) for key, labels in document.items()])


def _entry(key: str, labels: Any) -> dict[str, Any]:
    """One picture of an object of file names."""
    if isinstance(labels, dict):
        return {"file_name": key} | {name: value for name, value in labels.items() if name != "file_name"}
    return {"file_name": key, "tags": labels}


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
    """A list of rows, whose first may be a header."""
    width = len(rows[0])
    table = Table([], [], headed=False)
    check_size(name, len(rows), width)
    for row in rows:
        if len(row) == width:
            table.rows.append([_cell(table, column, value) for column, value in enumerate(row)])
        else:
            table.malformed += 1
    table.header = [cell if isinstance(cell, str) else "" for cell in table.rows[0]]
    return table


def _records(name: str, records: Sequence[dict[str, Any]], malformed: int = 0) -> Table:
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
    table.unusable[column] = "its cells are nested"
    return None


def scalar(value: Any) -> str | None:
    """A number, truth value or text as text; None for nothing, an empty text or a number that is not one."""
    if value is None or value != value:  # NaN
        return None
    return str(value).strip() or None
