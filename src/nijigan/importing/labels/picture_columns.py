"""Read the labels that are stored with pictures in Parquet files."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from nijigan.dataset.manifest import COLUMNS, DAMAGE, READ, open_parquet, read_table, stores_faces
from nijigan.errors import UserError
from nijigan.importing.labels.columns import find_attributes, texts
from nijigan.importing.labels.parquet_tables import parquet_table
from nijigan.importing.labels.tag_report import TagReport
from nijigan.importing.labels.vocabulary import PictureLabels, is_attribute, names_pictures, value
from nijigan.importing.sources import SourceFile, printable


def labels_of_parquet_files(
    pictures: Sequence[SourceFile], keep: Collection[str], report: TagReport
) -> tuple[dict[int, PictureLabels], dict[int, list[str]]]:
    """Read the labels of pictures that come from Parquet files.

    Args:
        pictures: all pictures; those from other files have no labels here.
        keep: values to keep although they usually stand for a missing one.
        report: gets a sentence for each file with columns that no dataset has.

    Returns:
        Labels by index in `pictures`, and further names of the pictures, from columns of file names or ids.

    Raises:
        UserError: a dataset is damaged.
    """
    aliases: dict[int, list[str]] = {}
    files: dict[str, list[int]] = {}
    for position, picture in enumerate(pictures):
        if picture.file.lower().endswith(".parquet"):
            files.setdefault(picture.file, []).append(position)
    found: dict[int, PictureLabels] = {}
    for file, positions in files.items():
        rows = {position: pictures[position].position for position in positions}
        stored, added = _labels_in_dataset(Path(file))
        if added is None or added:
            others = _labels_in_parquet(Path(file), rows, (stored, added), keep, report, aliases)
            stored = [other | own for other, own in zip(others, stored, strict=True)] if stored else others
        found |= {position: stored[row] for position, row in rows.items() if row < len(stored) and stored[row]}
    return found, aliases


def _labels_in_dataset(file: Path) -> tuple[list[PictureLabels], list[str] | None]:
    """The attributes in a Parquet file of a dataset, with their values as stored, and the columns that others added.

    For another Parquet file, there are no attributes, and None instead of the columns.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with open_parquet(file) as parquet:
            schema = parquet.schema_arrow
        if not stores_faces(schema.names):
            return [], None
        own = _own_columns(schema)
        columns = read_table(file, [*own, READ]).to_pydict()
    except DAMAGE as error:
        raise UserError(f"{file} is damaged ({error}), and its labels cannot be read. Import without it.") from error
    kept = {name: columns[name] for name in own if all(v is None or (v and value(v) == v) for v in columns[name])}
    labels = []
    for *values, read in zip(*kept.values(), columns[READ], strict=True):
        given = {name: v for name, v in zip(kept, values, strict=True) if v is not None}
        marked = [name for name in read.split(",") if name in given] if isinstance(read, str) else []
        labels.append(given | ({READ: ",".join(marked)} if marked else {}))
    return labels, [name for name in schema.names if name not in COLUMNS and name not in kept]


def _own_columns(schema: pa.Schema) -> list[str]:
    """The columns that nijigan may have written: those that the file's metadata lists as texts.

    The names of attributes are not compared with those that are reserved today: earlier versions reserved fewer.
    """
    try:
        listed = set(json.loads(schema.metadata[b"huggingface"])["info"]["features"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return []
    return [
        field.name
        for field in schema
        if field.name in listed - set(COLUMNS)
        and is_attribute(field.name)
        and pa.types.is_string(field.type)
        and schema.names.count(field.name) == 1
    ]


def _labels_in_parquet(
    file: Path,
    rows: Mapping[int, int],
    dataset: tuple[Sequence[PictureLabels], Collection[str] | None],
    keep: Collection[str],
    report: TagReport,
    aliases: dict[int, list[str]],
) -> list[PictureLabels]:
    """The labels next to the pictures of a Parquet file.

    Args:
        file: the file.
        rows: position of each picture to its row.
        dataset: the labels of a dataset and the only columns to read, as `_labels_in_dataset` returns them.
        keep: values to keep although they usually stand for a missing one.
        report: gets a sentence.
        aliases: gets further names of pictures, by position.
    """
    stored, wanted = dataset
    try:
        table = parquet_table(file.name, file, of_pictures=True)
    except UserError as error:
        report.unused.append((file.name, str(error)))
        return [{} for _ in stored]
    if wanted is not None:
        table = table.select([column for column, header in enumerate(table.header) if header in wanted])
    for column, header in enumerate(table.header):
        cells = texts(table, column)
        if names_pictures(header) and len(set(cells)) == len(cells):
            for position, row in rows.items():
                if isinstance(cell := cells[row], str):
                    aliases.setdefault(position, []).append(printable(cell))
    columns = find_attributes(table, None, keep)
    for name in columns.attributes.keys() & {name for given in stored for name in given}:
        del columns.attributes[name]
        columns.unused.append(f"{columns.renamed.pop(name, repr(name))} (the dataset has an attribute {name})")
    if table.header:
        report.columns.append(f"{file.name}: {columns.describe()}")
    return columns.rows(len(table.rows))
