"""Read the columns of a Parquet file that may be labels."""

import json
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nijigan.dataset.manifest import DAMAGE, open_parquet
from nijigan.errors import UserError
from nijigan.importing.labels.json_tables import scalar
from nijigan.importing.labels.tables import Cell, Table, check_size

MAX_GROWTH = 2**28
"""By so many bytes a file may grow when it is decompressed."""


def parquet_table(name: str, path: Path) -> Table:
    """Read all columns but pictures: texts, numbers, truth values, and lists of these.

    The numbers of Hugging Face `ClassLabel`s are replaced by their names.

    Raises:
        UserError: the file is damaged, is not a Parquet file, or is too large.
    """
    if not path.is_file():  # opening a pipe could wait forever
        raise UserError(f"{path} is not a file.")
    try:
        with open_parquet(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            check_size(name, rows, len(schema))
            _check_growth(name, path, file.metadata)
            fields = [field for field in schema if _is_label(field.type)]
            leaves = [file.schema.column(number).path for number in range(len(file.schema))]
        names = [field.name for field in fields]
        # Dictionaries are read as such. Otherwise a small file could grow to any size in memory.
        texts = [path for path in leaves if path in names or any(path.startswith(f"{field}.") for field in names)]
        with open_parquet(path, texts) as file:
            table = file.read(names)
        columns = [_cells(column, _classes(schema, name)) for column, name in zip(table.columns, names, strict=True)]
    except (LookupError, ValueError, *DAMAGE) as error:
        raise UserError(f"{name} is not a Parquet file, or is damaged ({error}).") from error
    others = [field for field in schema if field not in fields and not _is_picture(field.type)]
    columns += [[None] * rows for _ in others]
    return Table(
        [field.name for field in (*fields, *others)],
        [list(row) for row in zip(*columns, strict=True)],
        unusable=dict.fromkeys(range(len(fields), len(fields) + len(others)), "its cells are nested"),
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_label(kind: pa.DataType) -> bool:
    """Whether a column can be labels: no bytes, no records, no lists of lists."""
    kind = kind.value_type if _is_list(kind) else kind
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(text or number or pa.types.is_boolean(kind) or pa.types.is_temporal(kind) or pa.types.is_null(kind))


def _is_picture(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _check_growth(name: str, path: Path, metadata: pq.FileMetaData) -> None:
    """Refuse a file that grows too much when it is decompressed. Pictures are compressed already.

    The sizes of single columns are not asked for: Arrow ends the process if they are damaged.
    """
    sizes = (metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if sum(sizes) > path.stat().st_size + MAX_GROWTH:
        raise UserError(
            f"{name} grows by more than {MAX_GROWTH:,} bytes when it is read; keep only file names and labels."
        )


def _classes(schema: pa.Schema, column: str) -> list[str] | None:
    """The names of a Hugging Face `ClassLabel`, also of a list of them; None for another column."""
    with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        feature = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]
        while isinstance(feature, list) or "feature" in feature:  # Sequence or List
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        if feature["_type"] == "ClassLabel" and all(isinstance(name, str) for name in feature["names"]):
            return list(feature["names"])
    return None


def _cells(column: pa.ChunkedArray, classes: list[str] | None) -> list[Cell]:
    cells: list[Cell] = []
    for chunk in column.chunks:
        if _is_list(chunk.type):
            texts = _texts(chunk.flatten(), classes)
            lengths = pc.list_value_length(chunk).to_pylist()
            start = 0
            for length in lengths:
                stop = start + (length or 0)
                cells.append(tuple(text for text in texts[start:stop] if text) or None)
                start = stop
        else:
            cells += _texts(chunk, classes)
    return cells


def _texts(array: pa.Array, classes: list[str] | None) -> list[str | None]:
    """The values of an array as text, each distinct value of a dictionary once."""
    if pa.types.is_dictionary(array.type):
        words = _texts(array.dictionary, classes)
        return [None if index is None else words[index] for index in array.indices.to_pylist()]
    if pa.types.is_floating(array.type) and not pa.types.is_float64(array.type):
        array = array.cast(pa.string()).cast(pa.float64())  # the shortest number that is the same in 32 or 16 bits
    values = array.to_pylist()
    if classes and pa.types.is_integer(array.type):
        return [scalar(classes[v]) if v is not None and 0 <= v < len(classes) else None for v in values]
    if pa.types.is_timestamp(array.type):
        return [None if value is None else str(value).removesuffix(" 00:00:00") for value in values]
    return [scalar(value) for value in values]
