"""Read pictures from the rows of Parquet files of any origin, in bounded memory.

A small file may claim to hold much more: compressed zeros, a dictionary whose one entry counts for every row, or
millions of empty rows. Row groups are therefore read in parts, and what they unpack to is compared with their size on
disk. Pictures are compressed already, so that honest files hardly grow.
"""

import bisect
import threading
from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nijigan.dataset.manifest import open_parquet

MAX_ROWS = 5_000_000
SPARE_ROWS = 100_000
"""Rows that a file may have, however small it is. Beyond that it needs a byte on disk for every row."""
MAX_RATIO = 10
"""The largest ratio of unpacked to packed bytes of a row group."""
SPARE_BYTES = 2**28
"""Bytes to which a row group may unpack, however small it is. Also the largest part that is unpacked at once."""
MAX_GROUP_BYTES = 2**31
CACHE_BYTES = 2**29
PART_ROWS = 4096

_Key = tuple[str, int, int]
_groups: OrderedDict[_Key, tuple[int, list[bytes | None] | OSError]] = OrderedDict()
"""The row groups that were read last, with their sizes in bytes, or why they cannot be read."""
_lock = threading.Lock()


class NoPicturesError(pa.ArrowInvalid):  # type: ignore[misc]  # pyarrow has no types
    """A Parquet file has no column of bytes."""


def picture_names(path: Path) -> list[str | None]:
    """The name of the picture in each row; None where the file gives none.

    Raises:
        OSError: the file cannot be read.
        pa.ArrowException: it has no column of pictures, or exceeds a limit.
    """
    with open_parquet(path) as file:
        rows = file.metadata.num_rows
        pictures, names = _leaves(file.schema_arrow)
        packed = sum(_chunk(file, group, pictures).total_compressed_size for group in range(file.num_row_groups))
        if rows > MAX_ROWS:
            raise pa.ArrowInvalid(f"{rows:,} rows, more than the limit of {MAX_ROWS:,}")
        if rows > max(SPARE_ROWS, packed):
            raise pa.ArrowInvalid(f"{rows:,} rows in {packed:,} bytes cannot be pictures")
        if names is None:
            return [None] * rows
        groups = range(file.num_row_groups)
        return [_text(name) for group in groups for part in _parts(file, group, names) for name in part]


def read_row(path: Path, modified: int, position: int) -> bytes:
    """The picture in one row of a Parquet file. Row groups are cached.

    Args:
        path: the file.
        modified: when it was modified. It belongs to the key of the cache, because the file may be replaced.
        position: the index of the row.

    Raises:
        OSError: the row has no picture, or its row group is damaged or exceeds a limit.
    """
    ends = _row_group_ends(path, modified)
    group = bisect.bisect_right(ends, position)
    rows = _row_group(path, modified, group)
    data = rows[position - (ends[group - 1] if group else 0)]
    if data is None:
        raise OSError("no picture in this row")
    return data


def forget_rows() -> None:
    """Free the cached row groups."""
    with _lock:
        _groups.clear()


def _leaves(schema: pa.Schema) -> tuple[str, str | None]:
    """The column of pictures and that of their names: Hugging Face's {bytes, path}, or a column of plain bytes."""
    for field in schema:
        if pa.types.is_struct(field.type):
            inner = {field.type.field(i).name: field.type.field(i).type for i in range(field.type.num_fields)}
            if "bytes" in inner and _is_bytes(inner["bytes"]):
                named = inner.get("path") in (pa.string(), pa.large_string())
                return f"{field.name}.bytes", f"{field.name}.path" if named else None
    for field in schema:
        if _is_bytes(field.type):
            return field.name, None
    raise NoPicturesError("no column of bytes")


def _is_bytes(kind: pa.DataType) -> bool:
    return kind in (pa.binary(), pa.large_binary())


def _chunk(file: pq.ParquetFile, group: int, leaf: str) -> pq.ColumnChunkMetaData:
    described = file.metadata.row_group(group)
    chunks = (described.column(index) for index in range(described.num_columns))
    found = next((chunk for chunk in chunks if chunk.path_in_schema == leaf), None)
    if found is None:
        raise pa.ArrowInvalid(f"no column {leaf}")
    return found


def _parts(file: pq.ParquetFile, group: int, leaf: str) -> Iterator[list[bytes | None]]:
    """The values of a column in a row group, in parts that cannot fill the memory."""
    chunk = _chunk(file, group, leaf)
    limit = min(MAX_GROUP_BYTES, max(SPARE_BYTES, MAX_RATIO * chunk.total_compressed_size))
    unpacked = chunk.total_uncompressed_size
    if unpacked > limit:
        raise OSError(f"a row group of {chunk.total_compressed_size:,} bytes would unpack to {unpacked:,}")
    rows = min(PART_ROWS, max(1, SPARE_BYTES // max(1, unpacked)))  # each row may be as long as the whole dictionary
    unpacked = 0
    for batch in file.iter_batches(rows, row_groups=[group], columns=[leaf], use_threads=False):
        column = batch.column(0)
        if pa.types.is_struct(column.type):
            column = pc.struct_field(column, [0])
        unpacked += column.nbytes
        if unpacked > limit:
            raise OSError(f"a row group of {chunk.total_compressed_size:,} bytes unpacks to more than {limit:,}")
        yield column.cast(pa.large_binary()).to_pylist()


def _text(name: bytes | None) -> str | None:
    return None if name is None else name.decode("utf-8", "backslashreplace")


@lru_cache(maxsize=64)
def _row_group_ends(path: Path, modified: int) -> list[int]:
    with open_parquet(path) as file:
        return list(accumulate(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)))


def _row_group(path: Path, modified: int, group: int) -> list[bytes | None]:
    """The pictures of a row group, from the cache if it is there. A failure is cached too: each row would repeat it."""
    key = str(path), modified, group
    with _lock:
        if key not in _groups:
            _groups[key] = _load(path, group)
        _groups.move_to_end(key)
        _, rows = _groups[key]
        # At least two stay, because threads work on both sides of a boundary.
        while len(_groups) > 2 and sum(size for size, _ in _groups.values()) > CACHE_BYTES:
            _groups.popitem(last=False)
    if isinstance(rows, OSError):
        raise OSError(str(rows))
    return rows


def _load(path: Path, group: int) -> tuple[int, list[bytes | None] | OSError]:
    try:
        with open_parquet(path) as file:
            pictures, _ = _leaves(file.schema_arrow)
            rows = [data for part in _parts(file, group, pictures) for data in part]
    except (OSError, pa.ArrowException) as error:
        return 0, OSError(str(error))
    return sum(len(data or b"") for data in rows), rows
