"""Match the lines of tag files with pictures."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pyarrow.parquet as pq

from nijigan.dataset.manifest import COLUMNS, DAMAGE, read_table, stores_faces
from nijigan.errors import UserError
from nijigan.importing.label_files import PictureLabels, TagTable, parse, read_file, read_mapping
from nijigan.importing.sources import SourceFile, printable, read

NAMED = 5

log = logging.getLogger("nijigan")


@dataclass
class TagReport:
    """How many lines of tag files matched pictures."""

    files: list[str] = field(default_factory=list)
    matched: int = 0
    """Pictures that got a label."""
    untagged: int = 0
    """Pictures that got none."""
    missing: list[str] = field(default_factory=list)
    """Ids without a picture."""
    ambiguous: list[str] = field(default_factory=list)
    """Ids that match several pictures. They label none."""
    repeated: int = 0
    """Lines that repeat earlier ones."""
    conflicting: list[str] = field(default_factory=list)
    """Ids with contradictory lines or tags. The attributes in question stay unlabelled."""
    malformed: int = 0
    """Lines that cannot be read."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Tags that are not in the mapping, and how often they occur."""

    def sentences(self) -> list[str]:
        """The report as sentences."""
        files = ", ".join(self.files)
        text = [f"Tags from {files}: {self.matched:,} pictures labelled, {self.untagged:,} without tags."]
        for ids, what in (
            (self.missing, "ids have no picture"),
            (self.ambiguous, "ids match several pictures and label none; give their paths"),
            (self.conflicting, "ids have contradictory tags, and stay unlabelled for those attributes"),
        ):
            if ids:
                text.append(f"{len(ids):,} {what}: {_few(ids)}.")
        if self.repeated:
            text.append(f"{self.repeated:,} lines repeat others.")
        if self.malformed:
            text.append(f"{self.malformed:,} lines could not be read.")
        if self.unknown:
            common = [f"{tag} ({count:,})" for tag, count in Counter(self.unknown).most_common(NAMED + 1)]
            text.append(f"{len(self.unknown):,} tags are not in the mapping: {_few(common)}.")
        return text


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


def label(
    pictures: Sequence[SourceFile], tables: Sequence[SourceFile], tags: Path | None = None, tag_map: Path | None = None
) -> tuple[dict[int, PictureLabels], TagReport | None]:
    """Label pictures from `tags`; without it, from any metadata.csv|jsonl, or a tags.csv in the root of a source.

    Pictures from another dataset keep their labels there; tags take precedence over them.

    Args:
        pictures: the pictures to label.
        tables: CSV and JSON-lines files in the sources, used if `tags` is not given.
        tags: a file in a format of `tags.py`.
        tag_map: the meaning of booru tags.

    Returns:
        Labels by index in `pictures`, and a report if there were any tags.

    Raises:
        UserError: `tags` or `tag_map` is of no known format, an attribute has a reserved name, or a dataset among the
            sources is damaged.
    """
    mapping = read_mapping(tag_map) if tag_map else None
    matcher = _Matcher(pictures)
    if tags:
        matcher.add("", tags.name, parse(tags.name, read_file(tags), mapping))
    else:
        for table in filter(_holds_tags, tables):
            try:
                data = read(table.file, table.position)
                matcher.add(f"{PurePosixPath(table.name).parent}/", table.name, parse(table.name, data, mapping))
            except Exception as error:  # the user did not name this file
                log.warning("The tags in %s are not used: %s", table.name, error)
    return matcher.finish()


def _holds_tags(table: SourceFile) -> bool:
    path = PurePosixPath(table.name)
    return path.name in ("metadata.csv", "metadata.jsonl") or (path.name == "tags.csv" and len(path.parts) == 2)


class _Matcher:
    """Matches lines with pictures, and counts."""

    def __init__(self, pictures: Sequence[SourceFile]) -> None:
        self.pictures = pictures
        self.report = TagReport()
        self.labels: dict[int, PictureLabels] = {}
        self.disputed: dict[int, set[str]] = {}

    def add(self, folder: str, name: str, table: TagTable) -> None:
        """Match a table with the pictures whose names start with `folder`."""
        self.report.files.append(name)
        self.report.malformed += table.malformed
        self.report.conflicting += map(printable, table.conflicting)
        for tag, count in table.unknown.items():
            self.report.unknown[tag] = self.report.unknown.get(tag, 0) + count
        index = _index(self.pictures, folder)
        for key, labels in table.lines:
            key = printable(key.replace("\\", "/"))  # as in the names of pictures
            position = index.get(key.removeprefix("./"))
            if position is None:
                self.report.missing.append(key)
            elif position < 0:
                self.report.ambiguous.append(key)
            elif position in self.labels:
                self._combine(key, position, labels)
            else:
                self.labels[position] = labels

    def _combine(self, key: str, position: int, labels: PictureLabels) -> None:
        before = self.labels[position]
        disputed = {name for name in labels.keys() & before.keys() if labels[name] != before[name]}
        if disputed:
            self.report.conflicting.append(key)
        else:
            self.report.repeated += 1
        self.disputed.setdefault(position, set()).update(disputed)
        self.labels[position] = labels | before

    def finish(self) -> tuple[dict[int, PictureLabels], TagReport | None]:
        """All labels but the contradictory ones, and the report."""
        for position, names in self.disputed.items():
            self.labels[position] = {k: v for k, v in self.labels[position].items() if k not in names}
        tagged = {position: labels for position, labels in self.labels.items() if labels}
        self.report.matched, self.report.untagged = len(tagged), len(self.pictures) - len(tagged)
        stored = _stored_labels(self.pictures)
        both = {row: stored.get(row, {}) | tagged.get(row, {}) for row in stored.keys() | tagged.keys()}
        return both, self.report if self.report.files else None


def _index(pictures: Sequence[SourceFile], folder: str) -> dict[str, int]:
    """Pictures in `folder` by path, name and stem, as a line may give them; -1 if several match."""
    paths: dict[str, int] = {}
    names: dict[str, int] = {}
    stems: dict[str, int] = {}
    for position, picture in enumerate(pictures):
        if picture.name.startswith(folder):
            path = PurePosixPath(picture.name)
            below = picture.name.removeprefix(folder) if folder else str(PurePosixPath(*path.parts[1:]))
            for index, key in ((paths, picture.name), (paths, below), (names, path.name), (stems, path.stem)):
                index[key] = position if index.get(key, position) == position else -1
    return stems | names | paths


def _stored_labels(pictures: Sequence[SourceFile]) -> dict[int, PictureLabels]:
    """The labels of pictures that come from the Parquet files of a dataset."""
    attributes: dict[str, dict[str, list[str | None]]] = {}
    found = {}
    for position, picture in enumerate(pictures):
        if picture.file.lower().endswith(".parquet"):
            if picture.file not in attributes:
                attributes[picture.file] = _read_attributes(Path(picture.file))
            columns = attributes[picture.file].items()
            found[position] = {n: v for n, values in columns if (v := values[picture.position]) is not None}
    return found


def _read_attributes(file: Path) -> dict[str, list[str | None]]:
    """The columns of labels in a Parquet file of a dataset; of another Parquet file, none."""
    try:
        names = pq.read_schema(file).names
        extra = [name for name in names if name not in COLUMNS] if stores_faces(names) else []
        columns: dict[str, list[str | None]] = read_table(file, extra).to_pydict()
    except DAMAGE as error:
        raise UserError(f"{file} is damaged ({error}), and its labels cannot be read. Import without it.") from error
    return columns
