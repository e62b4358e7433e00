"""Parse tag files: which labels they give to which file name or id.

The content decides the format:
    pairs: no header, lines of `id,<hair> hair <eyes> eyes`
    columns: CSV with a header: one column with file names or ids, all others are attributes; or JSON lines likewise
    words: with a mapping: lines of a file name or id, then booru tags separated by spaces or commas
"""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from nijigan.dataset.decode import SUFFIXES
from nijigan.dataset.manifest import COLUMNS
from nijigan.errors import UserError
from nijigan.importing.sources import printable

PictureLabels = dict[str, str]
"""Attribute to value."""

KEYS = ("file_name", "filename", "file", "path", "image", "id", "name")
"""Possible headers of the column with file names or ids. Without any of them, it is the first column."""

PAIRS = re.compile(r"(?P<hair>.+?) hair (?P<eyes>.+?) eyes")

RESERVED = {
    *COLUMNS, "attributes", "batch_size", "columns", "count", "data", "device", "devices", "each", "epochs", "format",
    "fps", "frames_per_stop", "help", "json", "kimg", "label", "labels", "latent", "model", "n", "name", "out", "psi",
    "recipe", "resolution", "rows", "scale", "seed", "stops", "tags", "truncation", "unknown",
}  # fmt: skip
"""Names that no attribute may have: columns of every dataset, and options of commands that take attributes."""


@dataclass
class TagTable:
    """The content of a tag file."""

    lines: list[tuple[str, PictureLabels]] = field(default_factory=list)
    """(file name or id, labels), in the order of the file."""
    malformed: int = 0
    """Lines that cannot be read."""
    conflicting: list[str] = field(default_factory=list)
    """Ids with contradictory tags. The attributes in question stay unlabelled."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Tags that are not in the mapping, and how often they occur."""


def parse(name: str, data: bytes, mapping: Mapping[str, tuple[str, str]] | None = None) -> TagTable:
    """Parse a tag file.

    Args:
        name: the name of the file, for its suffix and for messages.
        data: its content.
        mapping: tag to (attribute, value), for booru tags; see `read_mapping`.

    Raises:
        UserError: the format is not known, or an attribute has a reserved name.
    """
    text = _text(name, data)
    if name.lower().endswith(".jsonl"):
        return _parse_records(name, text)
    head = text.split("\n", 1)[0]
    try:
        table = csv.reader(io.StringIO(text, newline=""), delimiter=max(",\t;", key=head.count))
        rows = [cells for row in table if any(cells := [cell.strip() for cell in row])]
    except csv.Error as error:
        raise UserError(f"{name} is not a CSV file ({error}).") from error
    if mapping is not None:
        return _parse_words(rows, mapping)
    if any(len(row) == 2 and PAIRS.fullmatch(row[1]) for row in rows[:2]):
        return _parse_pairs(rows)
    return _parse_columns(name, rows)


def read_mapping(path: Path) -> dict[str, tuple[str, str]]:
    """Read the meaning of booru tags: a CSV of `tag,attribute=value`, or JSON `{"tag": "attribute=value"}`.

    Returns:
        Tag to (attribute, value).

    Raises:
        UserError: the file is neither, or an attribute has a reserved name.
    """
    text = _text(path.name, read_file(path))
    try:
        if path.suffix.lower() == ".json":
            pairs = list(json.loads(text).items())
        else:
            pairs = [(row[0], row[1]) for row in csv.reader(io.StringIO(text, newline="")) if row]
            if pairs and "=" not in pairs[0][1]:  # the first line is a header
                pairs = pairs[1:]
        split = [(tag.strip(), *target.split("=")) for tag, target in pairs]
        mapping = {tag: (_attribute(path.name, attribute), _value(value)) for tag, attribute, value in split}
    except UserError:
        raise
    except (ValueError, IndexError, AttributeError, TypeError, RecursionError, csv.Error) as error:
        raise UserError(
            f"{path} is not a mapping; write lines of tag,attribute=value, such as blue_hair,hair=blue."
        ) from error
    if not mapping:
        raise UserError(f"{path} is empty; write lines of tag,attribute=value, such as blue_hair,hair=blue.")
    return mapping


def read_file(path: Path) -> bytes:
    """The content of a file that the user named.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"Could not read {path}: {error.strerror}.") from error


def _parse_pairs(rows: Sequence[Sequence[str]]) -> TagTable:
    table = TagTable()
    for number, row in enumerate(rows):
        match = PAIRS.fullmatch(row[1]) if len(row) == 2 else None
        if match:
            table.lines.append((row[0], {name: _value(value) for name, value in match.groupdict().items()}))
        elif number:  # the first may be a header
            table.malformed += 1
    return table


def _parse_columns(name: str, rows: Sequence[Sequence[str]]) -> TagTable:
    header = rows[0] if rows else []
    lowered = [cell.lower() for cell in header]
    key = next((lowered.index(word) for word in KEYS if word in lowered), 0)
    if len(header) < 2 or PurePosixPath(lowered[key]).suffix in SUFFIXES:
        raise UserError(
            f"{name} is not a table of tags; give it a header with a file column and attributes, or give the "
            "meaning of its words with --tag-map."
        )
    attributes = {column: _attribute(name, cell) for column, cell in enumerate(header) if column != key}
    table = TagTable()
    for row in rows[1:]:
        if len(row) == len(header):
            table.lines.append((row[key], {a: _value(row[column]) for column, a in attributes.items() if row[column]}))
        else:
            table.malformed += 1
    return table


def _parse_records(name: str, text: str) -> TagTable:
    table = TagTable()
    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            record = json.loads(line)
            key = str(next(record.pop(word) for word in KEYS if word in record))
        except (ValueError, AttributeError, TypeError, StopIteration, RecursionError):
            table.malformed += 1
            continue
        values = {column: str(value) for column, value in record.items() if isinstance(value, str | int | float)}
        table.lines.append((key, {_attribute(name, column): _value(v) for column, v in values.items() if v.strip()}))
    if not table.lines:
        raise UserError(f"{name} is not a table of tags; every line must be a JSON object with a file_name.")
    return table


def _parse_words(rows: Sequence[Sequence[str]], mapping: Mapping[str, tuple[str, str]]) -> TagTable:
    table = TagTable()
    for number, row in enumerate(rows):
        key, *words = row if len(row) > 1 else row[0].split(maxsplit=1)
        if number == 0 and key.lower() in KEYS:
            continue
        labels: dict[str, set[str]] = {}
        for tag in re.split(r"[\s,]+", " ".join(words).strip()):
            target = mapping.get(tag) or mapping.get(
                re.sub(r":\d+$", "", tag)
            )  # some collections append a count to each tag
            if target:
                labels.setdefault(target[0], set()).add(target[1])
            elif tag:
                table.unknown[printable(tag)] = table.unknown.get(printable(tag), 0) + 1
        if any(len(values) > 1 for values in labels.values()):
            table.conflicting.append(key)
        table.lines.append((key, {name: values.pop() for name, values in labels.items() if len(values) == 1}))
    return table


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text; save it as UTF-8.") from error


def _attribute(file: str, name: str) -> str:
    attribute = re.sub(r"\W+", "_", name.strip().lower()).strip("_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", attribute):
        raise UserError(
            f"{file} has an attribute {name!r}; start with a letter, and use letters, digits and underscores."
        )
    if attribute in RESERVED or attribute.startswith("no_"):  # options that start with no_ turn switches off
        raise UserError(f"{file} has an attribute {name!r}, which is a reserved name; rename it.")
    return attribute


def _value(text: str) -> str:
    return printable(text).strip().lower()
