"""Files of tags, and which picture each line of them speaks of.

Formats, told apart by their content:
    pairs: no header, `id,<hair> hair <eyes> eyes`
    columns: CSV with a header, one column of file names or ids, the others attributes; JSON lines likewise
    words: with a mapping file only: a file name or id, then booru-style tags separated by spaces or commas
"""

import csv
import json
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from nijigan.data.dataset import COLUMNS
from nijigan.data.sources import Entry, printable, read
from nijigan.errors import UserError

Labels = dict[str, str]
"""Attribute to value."""

KEYS = ("file_name", "filename", "file", "path", "image", "id", "name")
RESERVED = {
    *COLUMNS, "attributes", "batch_size", "columns", "count", "data", "device", "devices", "each", "epochs", "fps", "help",
    "format", "json", "kimg", "label", "labels", "latent", "model", "n", "name", "out", "psi", "recipe", "resolution",
    "rows", "scale", "seed", "tags", "truncation", "unknown",
}  # fmt: skip
"""What no attribute may be called: the columns of every dataset, and the options of commands that take attributes."""
PAIRS = re.compile(r"(?P<hair>.+?) hair (?P<eyes>.+?) eyes")

log = logging.getLogger("nijigan")


@dataclass
class TagReport:
    """How the lines of the tag files met the pictures."""

    files: list[str] = field(default_factory=list)
    matched: int = 0
    """Pictures that got a label."""
    untagged: int = 0
    """Pictures that got none."""
    missing: list[str] = field(default_factory=list)
    """Ids without a picture."""
    ambiguous: list[str] = field(default_factory=list)
    """Ids that fit several pictures, and so none."""
    repeated: int = 0
    """Lines that say again what an earlier one said."""
    conflicting: list[str] = field(default_factory=list)
    """Ids whose lines or tags contradict each other: unlabelled where they do."""
    malformed: int = 0
    """Lines that cannot be read."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Tags the mapping does not know."""

    def sentences(self) -> list[str]:
        """The same for people."""
        text = [
            f"Tags from {', '.join(self.files)}: {self.matched:,} pictures labelled, {self.untagged:,} without tags."
        ]
        for ids, what in (
            (self.missing, "ids have no picture"),
            (self.ambiguous, "ids fit several pictures and were left out; give their paths"),
            (self.conflicting, "ids contradict themselves and are unlabelled where they do"),
        ):
            if ids:
                text.append(f"{len(ids):,} {what}: {_few(ids)}.")
        if self.repeated:
            text.append(f"{self.repeated:,} lines repeat others.")
        if self.malformed:
            text.append(f"{self.malformed:,} lines could not be read.")
        if self.unknown:
            common = [f"{tag} ({count:,})" for tag, count in self.unknown.most_common(5)]
            text.append(f"{len(self.unknown):,} tags are not in the mapping: {_few(common)}.")
        return text


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def label(
    pictures: Sequence[Entry], tables: Sequence[Entry], tags: Path | None = None, tag_map: Path | None = None
) -> tuple[dict[int, Labels], TagReport | None]:
    """Label pictures from `tags`; without it, from any metadata.csv|jsonl, or a tags.csv in the root of a source.

    Args:
        pictures: what may be labelled.
        tables: CSV and JSON-lines files found beside them, asked when `tags` is not given.
        tags: a file in one of the formats above.
        tag_map: a CSV of `tag,attribute=value` lines, or JSON `{"tag": "attribute=value"}`, for booru-style tags.

    Returns:
        Labels by position in `pictures`, and a report when there were any tags.

    Raises:
        UserError: `tags` or `tag_map` is of no known format or names an attribute like one of our options.
    """
    mapping = _read_mapping(tag_map) if tag_map else None
    collector = _Collector(pictures)
    if tags:
        collector.add("", tags.name, _parse(tags, _read_bytes(tags), mapping, collector.report))
    else:
        for table in tables:
            inside = PurePosixPath(table.name)
            if inside.name in ("metadata.csv", "metadata.jsonl") or (
                inside.name == "tags.csv" and len(inside.parts) == 2
            ):
                try:
                    lines = _parse(Path(table.name), read(table.file, table.position), mapping, collector.report)
                except UserError as error:
                    log.warning("%s Its tags are not used.", error)
                else:
                    collector.add(f"{inside.parent}/", table.name, lines)
    return collector.finish()


class _Collector:
    """Meets lines with pictures and keeps count."""

    def __init__(self, pictures: Sequence[Entry]) -> None:
        self.pictures = pictures
        self.report = TagReport()
        self.labels: dict[int, Labels] = {}
        self.disputed: dict[int, set[str]] = {}

    def add(self, folder: str, name: str, lines: Sequence[tuple[str, Labels]]) -> None:
        self.report.files.append(name)
        index = _index(self.pictures, folder)
        for key, labels in lines:
            position = index.get(key.replace("\\", "/").removeprefix("./"))
            if position is None:
                self.report.missing.append(key)
            elif position < 0:
                self.report.ambiguous.append(key)
            elif self.labels.setdefault(position, labels) is not labels:
                self._combine(key, position, labels)

    def _combine(self, key: str, position: int, labels: Labels) -> None:
        before = self.labels[position]
        disputed = {name for name in labels.keys() & before.keys() if labels[name] != before[name]}
        if disputed:
            self.report.conflicting.append(key)
        else:
            self.report.repeated += 1
        self.disputed.setdefault(position, set()).update(disputed)
        self.labels[position] = labels | before

    def finish(self) -> tuple[dict[int, Labels], TagReport | None]:
        for position, names in self.disputed.items():
            self.labels[position] = {k: v for k, v in self.labels[position].items() if k not in names}
        labels = {position: labels for position, labels in self.labels.items() if labels}
        self.report.matched = len(labels)
        self.report.untagged = len(self.pictures) - len(labels)
        return labels, self.report if self.report.files else None


def _index(pictures: Sequence[Entry], folder: str) -> dict[str, int]:
    """What a line may call a picture below `folder`: its path there, its name or its stem; -1 where several fit."""
    paths: dict[str, int] = {}
    names: dict[str, int] = {}
    stems: dict[str, int] = {}
    for position, picture in enumerate(pictures):
        if picture.name.startswith(folder):
            path = PurePosixPath(picture.name.removeprefix(folder))
            below = path if folder else PurePosixPath(*path.parts[1:])  # without the source's own name
            for index, key in ((paths, str(below)), (names, path.name), (stems, path.stem)):
                index[key] = -1 if key in index else position
    return stems | names | paths


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"Could not read {path}: {error.strerror}.") from error


def _read_mapping(path: Path) -> dict[str, tuple[str, str]]:
    text = _text(path, _read_bytes(path))
    try:
        if path.suffix.lower() == ".json":
            pairs = [(tag, str(target)) for tag, target in json.loads(text).items()]
        else:
            pairs = [(row[0], row[1]) for row in csv.reader(text.splitlines()) if row]
        split = [
            (tag.strip(), *target.split("=", 1)) for tag, target in pairs if "=" in target or pairs[0] != (tag, target)
        ]
        mapping = {tag: (_attribute(path, attribute), _value(value)) for tag, attribute, value in split}
    except UserError:
        raise
    except (ValueError, IndexError, AttributeError, csv.Error) as error:
        raise UserError(
            f"{path} is no mapping; write lines of tag,attribute=value such as blue_hair,hair=blue."
        ) from error
    if not mapping:
        raise UserError(f"{path} maps no tag; write lines of tag,attribute=value such as blue_hair,hair=blue.")
    return mapping


def _parse(
    path: Path, data: bytes, mapping: Mapping[str, tuple[str, str]] | None, report: TagReport
) -> list[tuple[str, Labels]]:
    text = _text(path, data)
    if path.suffix.lower() == ".jsonl":
        return _parse_records(path, text, report)
    head = text.split("\n", 1)[0]
    delimiter = max(",\t;", key=head.count)
    try:
        rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UserError(f"{path} is no CSV file ({error}).") from error
    if mapping is not None:
        return _parse_words(rows, mapping, report)
    if any(len(row) == 2 and PAIRS.fullmatch(row[1].strip()) for row in rows[:2]):
        return _parse_pairs(rows, report)
    return _parse_columns(path, rows, report)


def _parse_pairs(rows: Sequence[Sequence[str]], report: TagReport) -> list[tuple[str, Labels]]:
    lines = []
    for number, row in enumerate(rows):
        match = PAIRS.fullmatch(row[1].strip()) if len(row) == 2 else None
        if match:
            lines.append((row[0].strip(), {name: _value(value) for name, value in match.groupdict().items()}))
        elif number:  # the first may be a header
            report.malformed += 1
    return lines


def _parse_columns(path: Path, rows: Sequence[Sequence[str]], report: TagReport) -> list[tuple[str, Labels]]:
    header = [cell.strip() for cell in rows[0]] if rows else []
    if len(header) < 2:
        raise UserError(f"{path} is no table of tags: a header with a file column and attribute columns is needed.")
    lowered = [cell.lower() for cell in header]
    key = next((lowered.index(name) for name in KEYS if name in lowered), 0)
    names = {column: _attribute(path, cell) for column, cell in enumerate(header) if column != key}
    lines = []
    for row in rows[1:]:
        if len(row) != len(header):
            report.malformed += 1
            continue
        labels = {name: _value(row[column]) for column, name in names.items() if row[column].strip()}
        lines.append((row[key].strip(), labels))
    return lines


def _parse_records(path: Path, text: str, report: TagReport) -> list[tuple[str, Labels]]:
    lines = []
    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            record = json.loads(line)
            key = str(next(record.pop(name) for name in KEYS if name in record))
        except (ValueError, AttributeError, TypeError, StopIteration):
            report.malformed += 1
            continue
        scalars = {
            name: value for name, value in record.items() if isinstance(value, str | int | float) and value != ""
        }
        lines.append((key, {_attribute(path, name): _value(str(value)) for name, value in scalars.items()}))
    if not lines:
        raise UserError(f"{path} is no table of tags: every line must be a JSON object with a file_name.")
    return lines


def _parse_words(
    rows: Sequence[Sequence[str]], mapping: Mapping[str, tuple[str, str]], report: TagReport
) -> list[tuple[str, Labels]]:
    lines = []
    for number, row in enumerate(rows):
        key, *words = row if len(row) > 1 else row[0].split(maxsplit=1)
        if number == 0 and key.strip().lower() in KEYS:
            continue
        labels: dict[str, set[str]] = {}
        for tag in re.split(r"[\s,]+", " ".join(words).strip()):
            target = mapping.get(tag) or mapping.get(re.sub(r":\d+$", "", tag))  # some collections append a count
            if target:
                labels.setdefault(target[0], set()).add(target[1])
            elif tag:
                report.unknown[printable(tag)] += 1
        if any(len(values) > 1 for values in labels.values()):
            report.conflicting.append(key.strip())
        lines.append((key.strip(), {name: values.pop() for name, values in labels.items() if len(values) == 1}))
    return lines


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8.") from error


def _attribute(path: Path, name: str) -> str:
    attribute = re.sub(r"\W+", "_", name.strip().lower()).strip("_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", attribute):
        raise UserError(f"{path} names an attribute {name!r}; use letters, digits and underscores.")
    if attribute in RESERVED:
        raise UserError(f"{path} names an attribute {name!r}, which means something else here; rename it.")
    return attribute


def _value(text: str) -> str:
    return printable(text).strip().lower()
