"""Parquet files that claim more than they hold. Limits are lowered, so that small files reach them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nijigan.dataset import picture_rows
from nijigan.dataset.picture_rows import forget_rows, picture_names, read_row

PICTURE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A megabyte for a row group; ten rows for free."""
    monkeypatch.setattr(picture_rows, "SPARE_BYTES", 2**20)
    monkeypatch.setattr(picture_rows, "SPARE_ROWS", 10)
    yield
    forget_rows()


def save(path: Path, column: pa.Array, **options: object) -> Path:
    pq.write_table(pa.table({"image": column}), path, compression="zstd", **options)
    return path


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), PICTURE])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("length", [2**18, 2**22])
def test_bombs_are_not_unpacked(tmp_path: Path, kind: pa.DataType, dictionary: bool, length: int) -> None:
    data = bytes(length)
    values = [{"bytes": data, "path": "a"} if kind == PICTURE else data] * 8
    path = save(tmp_path / "bomb.parquet", pa.array(values, kind), use_dictionary=dictionary)
    assert path.stat().st_size < 20_000
    assert len(picture_names(path)) == 8
    peak = pa.default_memory_pool().max_memory()
    for row in (0, 7):
        with pytest.raises(OSError, match=r"a row group of [\d,]+ bytes (would unpack|unpacks) to"):
            read_row(path, 0, row)
    assert pa.default_memory_pool().max_memory() - peak < 12 * 2**20


def test_a_name_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "bomb.parquet", pa.array([{"bytes": b"1", "path": "a" * 2**18}] * 8, PICTURE))
    with pytest.raises(OSError, match="unpacks to more than"):
        picture_names(path)


def test_a_failure_is_found_once_for_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "bomb.parquet", pa.array([bytes(2**18)] * 8))
    opened = []
    real = picture_rows.open_parquet
    monkeypatch.setattr(picture_rows, "open_parquet", lambda path: opened.append(path) or real(path))
    for row in range(8):
        with pytest.raises(OSError, match="unpacks to more than"):
            read_row(path, 7, row)
    assert len(opened) == 2  # once for the number of rows in each group, once for the group


def test_more_rows_than_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(pa.ArrowInvalid, match=r"9,999 rows in [\d,]+ bytes cannot be pictures"):
        picture_names(save(tmp_path / "rows.parquet", pa.nulls(9_999, pa.binary())))
    assert picture_names(save(tmp_path / "few.parquet", pa.nulls(10, pa.binary()))) == [None] * 10


@pytest.mark.parametrize("groups", [3, 10, 1000])
def test_honest_pictures_are_read_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: int) -> None:
    monkeypatch.setattr(picture_rows, "CACHE_BYTES", 2**17)
    pictures = [os.urandom(40_000) for _ in range(60)]  # 2.4 MB: above what a small file may unpack to
    path = save(tmp_path / "a.parquet", pa.array([*pictures, None]), row_group_size=groups)
    for row in (0, 59, 30, 1, 58, *range(60)):
        assert read_row(path, 0, row) == pictures[row]
    assert len(picture_rows._groups) <= 2
    with pytest.raises(OSError, match="no picture"):
        read_row(path, 0, 60)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([{"bytes": 10**12, "path": "a"}]),
        pa.array([{"bytes": "text", "path": "a"}]),
        pa.array([[b"list"]]),
        pa.array(["text"]),
        pa.array([1]),
    ],
)
def test_other_columns_are_no_pictures(tmp_path: Path, column: pa.Array) -> None:
    with pytest.raises(pa.ArrowInvalid, match="no column of bytes"):
        picture_names(save(tmp_path / "a.parquet", column))


def test_names_may_be_anything(tmp_path: Path) -> None:
    broken = pa.StructArray.from_arrays(
        [
            pa.array([b"1", b"2", b"3"]),
            pa.Array.from_buffers(pa.string(), 3, pa.array([b"\xff", None, b"b"], pa.binary()).buffers()),
        ],
        ["bytes", "path"],
    )
    assert picture_names(save(tmp_path / "a.parquet", broken)) == ["\\xff", None, "b"]
    numbered = pa.array([{"bytes": b"1", "path": 7}])
    assert picture_names(save(tmp_path / "b.parquet", numbered)) == [None]
