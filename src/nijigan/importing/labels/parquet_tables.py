"""Read the columns of a Parquet file that may be labels."""

import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nijigan.dataset.manifest import DAMAGE, open_parquet
from nijigan.errors import UserError
from nijigan.importing.labels.json_tables import scalar
from nijigan.importing.labels.picture_names import name_among
from nijigan.importing.labels.tables import NESTED, UNREAD, Cell, Table, check_size
from nijigan.importing.labels.vocabulary import names_pictures

MAX_GROWTH = 2**28
"""By so many bytes a file may grow when it is decompressed."""

_PROBED = 16
"""Rows that are read at once to tell texts from pictures."""


def parquet_table(name: str, path: Path, of_pictures: bool = False) -> Table:
    """Read all columns but pictures: texts, numbers, truth values, lists of these, and names of files in records.

    The numbers of Hugging Face `ClassLabel`s are replaced by their names. Bytes that are UTF-8 are text, as old
    programs write it.

    Args:
        name: the table's name.
        path: the file.
        of_pictures: whether the file holds pictures. Their paths are not read then: they are the pictures' names.

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
            kinds = {field.name: field.type for field in schema}
            leaves = [file.schema.column(number) for number in range(len(file.schema))]
        hidden = {header for header, kind in kinds.items() if of_pictures and _is_picture(kind)}
        read = {header: _read_for(path, leaves, header, kind) for header, kind in kinds.items() if header not in hidden}
        # Dictionaries are read as such. Otherwise a small file could grow to any size in memory.
        wanted = [leaf for names in read.values() for leaf in names]
        with open_parquet(path, wanted) as file:
            table = file.read(wanted)
        cells = [
            _cells(column, _classes(schema, header)) if _is_label(kinds[header]) else _names(column)
            for header, column in zip(table.column_names, table.columns, strict=True)
        ]
    except (LookupError, ValueError, *DAMAGE) as error:
        raise UserError(f"{name} is not a Parquet file, or is damaged ({error}).") from error
    others = [header for header, kind in kinds.items() if not read.get(header) and not _is_picture(kind)]
    headers = [*table.column_names, *others]
    cells += [[None] * rows for _ in others]
    unusable = {column: NESTED for column, header in enumerate(headers) if not _is_label(kinds[header])}
    for column in range(len(table.column_names), len(headers)):
        if any(leaf.physical_type == "BYTE_ARRAY" for leaf in _inside(leaves, headers[column])):
            unusable[column] = UNREAD
    return Table(headers, [list(row) for row in zip(*cells, strict=True)], unusable=unusable)


def _inside(leaves: Sequence[pq.ColumnSchema], header: str) -> list[pq.ColumnSchema]:
    """The leaves of the file that make up a column."""
    return [leaf for leaf in leaves if leaf.path == header or leaf.path.startswith(f"{header}.")]


def _read_for(path: Path, leaves: Sequence[pq.ColumnSchema], header: str, kind: pa.DataType) -> list[str]:
    """The leaves to read for a column: those of a label; of nested records, only texts that may be names."""
    inside = _inside(leaves, header)
    if not _is_label(kind):
        inside = [leaf for leaf in inside if leaf.physical_type == "BYTE_ARRAY" and _may_name(header, leaf)]
    elif not _is_bytes(_item(kind)):
        return [leaf.path for leaf in inside]
    return [leaf.path for leaf in inside if leaf.converted_type == "UTF8" or _is_text(path, leaf.path)]


def _may_name(header: str, leaf: pq.ColumnSchema) -> bool:
    return leaf.name != "bytes" and (names_pictures(header) or names_pictures(leaf.name))


def _is_text(path: Path, leaf: str) -> bool:
    """Whether the first bytes in a column are texts rather than pictures."""
    with open_parquet(path, [leaf]) as file:
        for batch in file.iter_batches(_PROBED, columns=[leaf]):
            array = batch.column(0)
            while _is_list(array.type) or pa.types.is_struct(array.type):
                array = array.flatten() if _is_list(array.type) else array.flatten()[0]
            values = array.drop_null().to_pylist()
            if values:
                return all(isinstance(value, str) or _decoded(value) is not None for value in values)
    return False


def _decoded(value: bytes) -> str | None:
    """Bytes as text; None if they are none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _item(kind: pa.DataType) -> pa.DataType:
    """The type of the values themselves: in lists, and behind a dictionary."""
    kind = kind.value_type if _is_list(kind) else kind
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_label(kind: pa.DataType) -> bool:
    """Whether a column can be labels: no records, no lists of lists."""
    kind = _item(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    other = pa.types.is_boolean(kind) or pa.types.is_temporal(kind) or pa.types.is_null(kind)
    return bool(text or number or other or _is_bytes(kind))


def _is_picture(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return _is_bytes(_item(kind))


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


def _names(column: pa.ChunkedArray) -> list[Cell]:
    """The name of a picture in each row of a nested column."""
    return [name_among(candidates) for chunk in column.chunks for candidates in _candidates(chunk)]


def _candidates(array: pa.Array) -> list[list[str]]:
    """The texts in each row of an array."""
    if pa.types.is_struct(array.type):
        fields = [_candidates(field) for field in array.flatten()]
        return [[text for texts in row for text in texts] for row in zip(*fields, strict=True)]
    if _is_list(array.type):
        items = iter(_candidates(array.flatten()))
        lengths = pc.list_value_length(array).to_pylist()
        return [[text for texts in islice(items, length or 0) for text in texts] for length in lengths]
    return [[text] if text else [] for text in _texts(array, None)]


def _texts(array: pa.Array, classes: list[str] | None) -> list[str | None]:
    """The values of an array as text, each distinct value of a dictionary once."""
    if pa.types.is_dictionary(array.type):
        words = _texts(array.dictionary, classes)
        return [None if index is None else words[index] for index in array.indices.to_pylist()]
    if pa.types.is_floating(array.type) and not pa.types.is_float64(array.type):
        array = array.cast(pa.string()).cast(pa.float64())  # the shortest number that is the same in 32 or 16 bits
    values = array.to_pylist()
    if _is_bytes(array.type):
        values = [None if value is None else _decoded(value) for value in values]
    if classes and pa.types.is_integer(array.type):
        return [scalar(classes[v]) if v is not None and 0 <= v < len(classes) else None for v in values]
    if pa.types.is_timestamp(array.type):
        return [None if value is None else str(value).removesuffix(" 00:00:00") for value in values]
    return [scalar(value) for value in values]
