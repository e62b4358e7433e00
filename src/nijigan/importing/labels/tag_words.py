"""Booru tags and their meaning, and sentences such as `blue hair red eyes`."""

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nijigan.errors import UserError
from nijigan.importing.labels.csv_tables import csv_rows
from nijigan.importing.labels.tables import NESTED, Cell, Table, decode_text, read_file
from nijigan.importing.labels.vocabulary import TAG_COLUMNS, PictureLabels, attribute, value
from nijigan.safe_text import LONGEST_VALUE, safe

Meaning = Mapping[str, tuple[str, str]]
"""Tag to (attribute, value)."""

_PAIRS = re.compile(r"(?P<hair>.+?) hair (?P<eyes>.+?) eyes")


def read_tag_map(path: Path) -> dict[str, tuple[str, str]]:
    """Read the meaning of booru tags: a CSV of `tag,attribute=value`, or JSON `{"tag": "attribute=value"}`.

    Returns:
        Tag to (attribute, value).

    Raises:
        UserError: the file is neither, gives a tag two meanings, or an attribute has a reserved name.
    """
    text = decode_text(str(path), read_file(path))
    try:
        if path.suffix.lower() == ".json":
            pairs = json.loads(text, object_pairs_hook=list)  # repeated keys, too
        else:
            pairs = [(row[0], row[1]) for row in csv_rows(str(path), list(io.StringIO(text, newline="")), ",")]
            if pairs and "=" not in pairs[0][1]:  # the first line is a header
                pairs = pairs[1:]
        split = [(tag.strip(), *target.split("=")) for tag, target in pairs]
        meanings = [(tag, name, value(word)) for tag, name, word in split]
        if not all(word for _, _, word in meanings):
            raise ValueError("a tag without a value")
    except (ValueError, IndexError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} is not a mapping; write lines of tag,attribute=value, such as blue_hair,hair=blue."
        ) from error
    if not meanings:
        raise UserError(f"{path} is empty; write lines of tag,attribute=value, such as blue_hair,hair=blue.")
    mapping: dict[str, tuple[str, str]] = {}
    for tag, name, word in meanings:
        try:
            target = attribute(name), word
        except ValueError as error:
            raise UserError(f"{path} maps {safe(tag)!r} to an attribute {safe(name)[:50]!r}: {error}.") from error
        if mapping.setdefault(tag, target) != target:
            raise UserError(f"{path} gives {safe(tag)!r} more than one meaning; keep one.")
    return mapping


def pairs_table(rows: Sequence[Sequence[str]]) -> Table | None:
    """The table of lines such as `0,blue hair red eyes`, with or without a header; None for other rows."""
    if not any(map(_pair, rows[:2])):
        return None
    table = Table(["id", "hair", "eyes"], [])
    table.places = {0: "the first column" if _pair(rows[0]) else repr(safe(rows[0][0])[:50])}
    for number, row in enumerate(rows):
        if match := _pair(row):
            table.rows.append([row[0], match["hair"], match["eyes"]])
        elif number:  # the first may be a header
            table.malformed += 1
    return table


def _pair(row: Sequence[str]) -> re.Match[str] | None:
    short = len(row) == 2 and len(row[1]) <= 2 * LONGEST_VALUE + len(" hair  eyes")
    return _PAIRS.fullmatch(row[1]) if short else None


def words_table(rows: Sequence[Sequence[str]]) -> Table:
    """The table of lines of an id and any number of tags, separated by anything."""
    split = [row if len(row) > 1 else row[0].split(maxsplit=1) for row in rows]
    places = {0: "the first word of each line", 1: "the words after it"}
    return Table(
        ["file_name", "tags"], [[key, tuple(words) or None] for key, *words in split], headed=False, places=places
    )


def tag_columns(table: Table, key: int) -> list[int]:
    """The columns of tags: those that are called so, otherwise all but the key."""
    named = [column for column, header in enumerate(table.header) if header.strip().lower() in TAG_COLUMNS]
    flat = [column for column in range(len(table.header)) if table.unusable.get(column) != NESTED]
    return [column for column in named or flat if column != key]


def labels_of(cells: Sequence[Cell], meaning: Meaning, unknown: dict[str, int]) -> tuple[PictureLabels, bool]:
    """The labels that the tags of one picture give.

    Args:
        cells: texts of tags separated by spaces or commas, or lists of tags.
        meaning: what the tags mean.
        unknown: counts tags that are not in `meaning`; updated in place.

    Returns:
        Labels, and whether tags contradict each other. The attributes in question are left out.
    """
    found: dict[str, set[str]] = {}
    for cell in cells:
        for item in cell if isinstance(cell, tuple) else (cell or "",):
            whole = item if item in meaning else item.replace(" ", "_")
            for tag in [whole] if whole in meaning else filter(None, re.split(r"[\s,]+", item.strip())):
                # Some collections append a count to each tag.
                target = meaning.get(tag) or meaning.get(re.sub(r":\d+$", "", tag))
                if target:
                    found.setdefault(target[0], set()).add(target[1])
                else:
                    unknown[safe(tag)] = unknown.get(safe(tag), 0) + 1
    contradictory = any(len(values) > 1 for values in found.values())
    return {name: values.pop() for name, values in found.items() if len(values) == 1}, contradictory
