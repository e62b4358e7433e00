"""Match the lines of tables of labels with pictures."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from posixpath import dirname

from nijigan.dataset.manifest import READ
from nijigan.errors import UserError
from nijigan.importing.labels.columns import find_attributes, has_no_header, listed, shown, texts
from nijigan.importing.labels.csv_tables import csv_table, read_csv
from nijigan.importing.labels.json_tables import json_table
from nijigan.importing.labels.key_column import find_key
from nijigan.importing.labels.near_misses import near_misses
from nijigan.importing.labels.parquet_tables import parquet_table
from nijigan.importing.labels.picture_columns import labels_of_parquet_files
from nijigan.importing.labels.picture_names import SEVERAL, Location, PictureNames, Places, first_listings, locate
from nijigan.importing.labels.tables import Table, decode_text, read_file
from nijigan.importing.labels.tag_report import TagReport
from nijigan.importing.labels.tag_words import (
    Meaning,
    labels_of,
    pairs_table,
    read_tag_map,
    tag_columns,
    words_table,
)
from nijigan.importing.labels.vocabulary import PictureLabels
from nijigan.importing.sources import USUAL_NAMES, SourceFile, printable, read


def label(
    pictures: Sequence[SourceFile],
    tables: Sequence[SourceFile],
    tags: Path | None = None,
    tag_map: Path | None = None,
    id_column: str | None = None,
    keep: Collection[str] = (),
) -> tuple[dict[int, PictureLabels], TagReport | None]:
    """Label pictures from `tags`; without it, from every table in the sources with one of the usual names.

    Columns of Parquet files of pictures are labels, too; tags take precedence over them. Pictures from another dataset
    keep their labels there, and those that were read from pixels stay marked as such, in the pseudo-attribute `READ`.

    Args:
        pictures: the pictures to label.
        tables: tables in the sources. They speak of the pictures in their folder and below. A table that is a source
            itself is used under any name, and speaks of all pictures.
        tags: a table of any format.
        tag_map: the meaning of booru tags.
        id_column: the header of the column that names the pictures, instead of one that is chosen by its cells.
        keep: values to keep although they usually stand for a missing one, such as `none`.

    Returns:
        Labels by index in `pictures`, and a report if there were any tables.

    Raises:
        UserError: `tags` or `tag_map` is of no known format or cannot be used, or a dataset among the sources is
            damaged.
    """
    meaning = read_tag_map(tag_map) if tag_map else None
    matcher = _Matcher(pictures, meaning, id_column, keep)
    stored, matcher.aliases = labels_of_parquet_files(pictures, keep, matcher.report)
    if tags:
        matcher.add(None, printable(tags.name), _load(str(tags), tags, meaning))
    for table in tables:
        if tags and Path(table.file).resolve() == tags.resolve():
            continue
        try:
            if tags:
                raise UserError("--tags names another.")
            if "/" in table.name and PurePosixPath(table.name).stem.lower() not in USUAL_NAMES:
                raise UserError("name it with --tags to use it.")
            matcher.add(_scope(table, matcher.locations), table.name, _load(table.name, table, meaning), asked=False)
        except Exception as error:  # the user did not name this file
            reason = printable(str(error)).removeprefix(table.name).removeprefix(":").strip()
            matcher.report.unused.append((table.name, reason))
    if tag_map and not matcher.report.files:
        raise UserError(f"{tag_map} (tag_map) has no effect: there is no table of tags; name one with --tags.")
    return matcher.finish(stored)


def _load(name: str, source: Path | SourceFile, meaning: Meaning | None) -> Table:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".parquet":
        return parquet_table(name, source if isinstance(source, Path) else Path(source.file))
    data = read_file(source) if isinstance(source, Path) else read(source.file, source.position)
    text = decode_text(name, data)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return json_table(name, text)
    rows = read_csv(name, text)
    if meaning and (len({len(row) for row in rows}) != 1 or len(rows[0]) < 2):
        return words_table(rows)
    return (None if meaning else pairs_table(rows)) or csv_table(name, rows)


def _scope(table: SourceFile, pictures: Sequence[Location]) -> str | None:
    """The folder that a table speaks of: its own, or the next one above it with pictures; None if it is a source."""
    if "/" not in table.name:
        return None
    location = locate(table)
    folder = dirname(location.path)
    while folder != location.root and not any(picture.path.startswith(f"{folder}/") for picture in pictures):
        folder = dirname(folder)
    return folder


class _Matcher:
    """Matches lines with pictures, and counts."""

    def __init__(
        self, pictures: Sequence[SourceFile], meaning: Meaning | None, id_column: str | None, keep: Collection[str]
    ) -> None:
        self.pictures, self.meaning, self.id_column, self.keep = pictures, meaning, id_column, keep
        self.report = TagReport()
        self.labels: dict[int, PictureLabels] = {}
        self.disputed: dict[int, set[str]] = {}
        self.aliases: dict[int, list[str]] = {}
        self.locations = [locate(picture) for picture in pictures]

    def add(self, folder: str | None, name: str, table: Table, asked: bool = True) -> None:
        """Match a table with the pictures in `folder`.

        Args:
            folder: an absolute path; None for all pictures.
            name: the table's name.
            table: its content.
            asked: whether the user named the table. Any other must name at least one picture.

        Raises:
            UserError: the table cannot be used.
        """
        names = PictureNames(self.pictures, folder, self.aliases, self.locations)
        key, places = find_key(name, table, names, self.id_column)
        hint = self._near_misses(table, names, key, places)
        if not asked and all(place is None for place in places):
            raise UserError(f"no column names pictures of its folder. {hint}".strip())
        unheaded = has_no_header(table, key, places)
        if unheaded and self.meaning is None:
            raise UserError(
                f"{name}: the header is about a picture; add a line such as file_name,hair above it, or rename columns."
            )
        if not table.headed and not unheaded:
            table.rows, places = table.rows[1:], places[1:]
        labels = self._labels(name, table, key, places)
        if hint:
            self.report.hints.append(f"{name}: {hint}")
        self.report.files.append(name)
        self.report.malformed += table.malformed
        for cell, place, found in zip(texts(table, key), places, labels, strict=True):
            self._add_line(cell, place, found)

    def _near_misses(self, table: Table, names: PictureNames, key: int, places: Places) -> str:
        """What to say about ids that resemble names of pictures, in any column if none names pictures."""
        named = self.id_column is not None or any(place is not None for place in places)
        columns = [key] if named else [key, *(column for column in range(len(table.header)) if column != key)]
        misses = [near_misses(names, texts(table, column), places) for column in columns]
        return max(misses, key=lambda miss: miss[0])[1]

    def _labels(self, name: str, table: Table, key: int, places: Places) -> list[PictureLabels]:
        """The labels of each row."""
        if any(place is not None for place in places) or self.id_column is not None:
            pictures = f"the pictures are named in {_column(table, key)}"
        else:
            pictures = f"no column names a picture ({listed(table)})"
        if self.meaning is None:
            columns = find_attributes(table, key, self.keep)
            if not columns.attributes:
                raise UserError(f"{name} has no column that can be an attribute: {columns.list_unused() or 'none'}.")
            self.report.columns.append(f"{name}: {pictures}; {columns.describe()}")
            return columns.rows(len(table.rows))
        words = tag_columns(table, key)
        names = ", ".join(_column(table, column) for column in words[:5])
        self.report.columns.append(f"{name}: {pictures}; tags are in {names}{', …' if len(words) > 5 else ''}.")
        labels = []
        for row in table.rows:
            found, contradictory = labels_of([row[column] for column in words], self.meaning, self.report.unknown)
            if contradictory:
                self.report.conflicting.append(printable(str(row[key])))
            labels.append(found)
        return labels

    def _add_line(self, cell: str | None, place: int | None, labels: PictureLabels) -> None:
        if cell is None:
            self.report.malformed += 1
        elif place is None:
            self.report.missing.append(printable(cell))
        elif place == SEVERAL:
            self.report.ambiguous.append(printable(cell))
        elif place in self.labels:
            self._combine(printable(cell), place, labels)
        else:
            self.labels[place] = labels

    def _combine(self, key: str, position: int, labels: PictureLabels) -> None:
        before = self.labels[position]
        disputed = {name for name in labels.keys() & before.keys() if labels[name] != before[name]}
        if disputed:
            self.report.conflicting.append(key)
        else:
            self.report.repeated += 1
        self.disputed.setdefault(position, set()).update(disputed)
        self.labels[position] = labels | before

    def finish(self, stored: Mapping[int, PictureLabels]) -> tuple[dict[int, PictureLabels], TagReport | None]:
        """All labels but the contradictory ones, over those that are `stored` with the pictures; and the report."""
        for position, names in self.disputed.items():
            self.labels[position] = {k: v for k, v in self.labels[position].items() if k not in names}
        tagged = {position: labels for position, labels in self.labels.items() if labels}
        for position, first in enumerate(first_listings(self.pictures, self.locations)):
            if first in tagged:
                tagged[position] = tagged[first]
        self.report.matched, self.report.untagged = len(tagged), len(self.pictures) - len(tagged)
        both = {}
        for row in stored.keys() | tagged.keys():
            old, new = stored.get(row, {}), tagged.get(row, {})
            read_before = [name for name in old.get(READ, "").split(",") if name and name not in new]
            both[row] = {name: v for name, v in (old | new).items() if name != READ}
            if read_before:
                both[row][READ] = ",".join(read_before)
        report = self.report
        return both, report if report.files or report.columns or report.unused else None


def _column(table: Table, column: int) -> str:
    name = shown(table, column)
    return f"the column {name}" if name.startswith(("'", '"')) else name
