"""A sweep: the same labels of the same 40 pictures in many layouts and all formats give the same result or none."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nijigan.errors import UserError
from nijigan.importing.labels.matching import label
from nijigan.importing.sources import SourceFile

Row = dict[str, Any]
HAIR = ("blue", "red", "green", "silver")
ORDER = [(17 * row + 5) % 40 for row in range(40)]
"""The picture of each row: tables are rarely in the order of the names."""
PICTURES = [SourceFile(f"pics/{n}.jpg", f"pics/{n}.jpg") for n in range(40)]
TRUTH = {n: {"hair": HAIR[n % 4], "year": str(2000 + n % 7)} for n in range(40)}


def base(n: int) -> Row:
    return {"hair": HAIR[n % 4], "year": 2000 + n % 7}


LAYOUTS: dict[str, Callable[[int, int], Row]] = {
    "plain": lambda row, n: {"file_name": f"{n}.jpg", **base(n)},
    "stems": lambda row, n: {"id": str(n), **base(n)},
    "numbers": lambda row, n: {"id": n, **base(n)},
    "pandas index": lambda row, n: {"Unnamed: 0": row, "image_path": f"/data/pics/{n}.jpg", **base(n)},
    "row number and file": lambda row, n: {"id": row, "img_name": f"{n}.jpg", **base(n)},
    "two ids": lambda row, n: {"id": row, "image_id": n, **base(n)},
    "labels first": lambda row, n: {**base(n), "url": f"https://x.org/{n}.jpg"},
    "capitals and floats": lambda row, n: {
        "File": f"{n}.jpg", "HAIR": HAIR[n % 4].title(), "Year": float(2000 + n % 7),
    },
    "extra columns": lambda row, n: {
        "file_name": f"{n}.jpg", "width": 64, "caption": f"girl {row}", "score": row / 7, **base(n), "": row,
    },
    "missing": lambda row, n: {"file_name": f"{n}.jpg", **base(n), "hair": None if n % 5 == 0 else HAIR[n % 4]},
    "words for missing": lambda row, n: {
        "file_name": f"{n}.jpg", **base(n), "hair": "N/A" if n % 5 == 0 else HAIR[n % 4],
    },
    "numbers for labels": lambda row, n: {"name": f"{n}.jpg", "code": n % 4, **base(n)},
    "no header": lambda row, n: {f"{ORDER[0]}.jpg": f"{n}.jpg", HAIR[ORDER[0] % 4]: HAIR[n % 4]},
    "backslashes": lambda row, n: {"file_name": f"pics\\{n}.jpg", **base(n)},
}  # fmt: skip
REFUSED = {"two ids": "--id-column", "no header": "the header is about a picture"}

NUMBERED: dict[str, Callable[[int, int], Row]] = {
    "another suffix": lambda row, n: {"": row, "image_path": f"{n}.png", **base(n)},
    "an unread suffix": lambda row, n: {"id": row, "source": f"old_{n}.tiff", **base(n)},
    "padded": lambda row, n: {"": row, "file": f"{n:05}.jpg", **base(n)},
    "padded stems": lambda row, n: {"id": row, "key": f"{n:05}", **base(n)},
    "query": lambda row, n: {"id": row, "url": f"https://x.org/p/{n}.jpg?s=1", **base(n)},
    "query without suffix": lambda row, n: {"id": row, "url": f"https://x.org/p/{n}?s=1", **base(n)},
    "two files": lambda row, n: {"original": f"{row}.jpg", "renamed": f"{n}.png", **base(n)},
    "some of the files": lambda row, n: {"id": row, "file": f"{n}.{'jpg' if n == row else 'png'}", **base(n)},
    "unlike": lambda row, n: {"id": row, "image": f"girl-{n}", **base(n)},
    "unlike file": lambda row, n: {"row": row, "source": f"https://x.org/{n}/big.jpeg#top", **base(n)},
    "annotation": lambda row, n: {"id": row, "xml": f"{n}.xml", **base(n)},
    "floats": lambda row, n: {"id": row, "image_id": float(n), **base(n)},
    "markup": lambda row, n: {"id": row, "x": f'<img src="{n}.jpg">', **base(n)},
    "record": lambda row, n: {"id": row, "image": {"path": f"{n}.jpg", "bytes": None}, **base(n)},
    "record of a stem": lambda row, n: {"id": row, "image": {"path": str(n), "width": 64}, **base(n)},
    "deep record": lambda row, n: {"id": row, "meta": {"files": [{"url": f"{n}.jpg"}], "width": 64}, **base(n)},
    "list": lambda row, n: {"id": row, "images": [f"{n}.jpg"], **base(n)},
    "list of a record": lambda row, n: {"id": row, "images": [{"path": f"{n}.jpg"}], **base(n)},
    "list of several": lambda row, n: {"id": row, "images": [f"{n}.jpg", f"{(n + 1) % 40}.jpg"], **base(n)},
    "list of lists": lambda row, n: {"id": row, "file": [[f"{n}.jpg"]], **base(n)},
    "map": lambda row, n: {"id": row, "file": [("path", f"{n}.jpg")], **base(n)},
    "bytes": lambda row, n: {"id": row, "file_name": f"{n}.jpg".encode(), **base(n)},
    "list of bytes": lambda row, n: {"id": row, "file_name": [f"{n}.jpg".encode()], **base(n)},
    "record of bytes": lambda row, n: {"id": row, "image": {"path": f"{n}.jpg".encode()}, **base(n)},
}  # fmt: skip
"""Layouts with numbers of rows, which happen to be the names of other pictures."""
READ = {
    "record",
    "deep record",
    "list",
    "list of a record",
    "list of lists",
    "bytes",
    "list of bytes",
    "record of bytes",
}
"""Those of them that are read in formats that have such cells."""


def expected(layout: str) -> dict[int, dict[str, str]]:
    if layout in ("missing", "words for missing"):
        return {n: labels if n % 5 else {"year": labels["year"]} for n, labels in TRUTH.items()}
    if layout == "numbers for labels":
        return {n: {"code": str(n % 4), **labels} for n, labels in TRUTH.items()}
    return TRUTH


def separated(rows: list[Row], delimiter: str) -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def kind_of(cell: Any) -> pa.DataType | None:
    """The type of a column of pairs; None to infer that of others."""
    return pa.map_(pa.string(), pa.string()) if isinstance(cell, list) and isinstance(cell[0], tuple) else None


def parquet(rows: list[Row]) -> bytes:
    stream = io.BytesIO()
    table = pa.table({header: pa.array([row[header] for row in rows], kind_of(rows[0][header])) for header in rows[0]})
    pq.write_table(table, stream)
    return stream.getvalue()


def json_bytes(document: object) -> bytes:
    return json.dumps(document, default=bytes.decode).encode()


def by_row(rows: list[Row]) -> bytes:
    """The rows as `DataFrame.to_json(orient="index")` writes them."""
    kept = [{header: cell for header, cell in row.items() if header not in ("", "id", "row")} for row in rows]
    return json_bytes(dict(enumerate(kept)))


def of_columns(rows: list[Row]) -> bytes:
    """The rows as `DataFrame.to_json()` writes them."""
    return json_bytes({header: {number: row[header] for number, row in enumerate(rows)} for header in rows[0]})


FORMATS: dict[str, Callable[[list[Row]], bytes]] = {
    "csv": lambda rows: separated(rows, ","),
    "tsv": lambda rows: separated(rows, "\t"),
    "jsonl": lambda rows: b"\n".join(map(json_bytes, rows)),
    "json": json_bytes,
    "parquet": parquet,
}
MORE_FORMATS = {**FORMATS, "json by row": by_row, "json of columns": of_columns}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_format_gives_the_same_labels_or_a_refusal(tmp_path: Path, layout: str, suffix: str) -> None:
    rows = [LAYOUTS[layout](row, n) for row, n in enumerate(ORDER)][layout == "no header" :]
    path = tmp_path / f"given.{suffix}"
    path.write_bytes(FORMATS[suffix](rows))
    if layout in REFUSED:
        with pytest.raises(UserError, match=REFUSED[layout]):
            label(PICTURES, [], path)
    else:
        assert label(PICTURES, [], path)[0] == expected(layout)


@pytest.mark.parametrize("suffix", MORE_FORMATS)
@pytest.mark.parametrize("layout", NUMBERED)
def test_numbers_of_rows_never_stand_in_for_names_of_files(tmp_path: Path, layout: str, suffix: str) -> None:
    rows = [NUMBERED[layout](row, n) for row, n in enumerate(ORDER)]
    path = tmp_path / f"given.{suffix.split()[0]}"
    path.write_bytes(MORE_FORMATS[suffix](rows))
    if layout in READ and suffix not in ("csv", "tsv"):
        labels, _ = label(PICTURES, [], path)
        assert {n: {name: found[name] for name in ("hair", "year")} for n, found in labels.items()} == TRUTH
    elif layout == "map" and "json" in suffix:  # pairs there
        assert label(PICTURES, [], path)[0] == TRUTH
    else:
        with pytest.raises(UserError, match="--id-column") as refusal:
            label(PICTURES, [], path)
        for column in list(rows[0])[:2]:
            assert repr(column) in str(refusal.value) or column in ("", "id", "row")


def test_numbers_of_rows_are_names_if_the_user_says_so(tmp_path: Path) -> None:
    path = tmp_path / "given.csv"
    path.write_text("id,file,hair\n0,17.png,red\n1,3.png,blue\n")
    with pytest.raises(UserError, match=r"the cells of 'id' .* 'file' .*'17.png' in the row of '0'.*--id-column 'id'"):
        label(PICTURES, [], path)
    assert label(PICTURES, [], path, id_column="id")[0] == {0: {"hair": "red"}, 1: {"hair": "blue"}}
    path = path.rename(tmp_path / "metadata.csv")
    assert label(PICTURES, [SourceFile("pics/metadata.csv", str(path))])[0] == {}


@pytest.mark.parametrize(
    "text",
    [
        "id,file_url,hair\n{n},https://x.org/{n}.png?s=1,{hair}",  # the pictures have another suffix now
        "id,name,hair\n{n},Miku {row},{hair}",
        "id,box,hair\n{n},{row}.0,{hair}",
        "file,source,hair\n{n},https://x.org/x{row}.png,{hair}",
        "key,source,hair\n{n}.jpg,https://x.org/x{row}.png,{hair}",
    ],
)
def test_other_columns_do_not_make_ids_doubtful(tmp_path: Path, text: str) -> None:
    header, line = text.split("\n")
    rows = [line.format(row=row // 8, n=n, hair=HAIR[n % 4]) for row, n in enumerate(ORDER)]
    path = tmp_path / "given.csv"
    path.write_text("\n".join([header, *rows]))
    labels = label(PICTURES, [], path)[0]
    assert {n: found["hair"] for n, found in labels.items()} == {n: found["hair"] for n, found in TRUTH.items()}


def test_ids_with_gaps_are_no_numbers_of_rows(tmp_path: Path) -> None:
    pictures = [SourceFile(f"pics/{100_003 + 7 * n}.jpg", f"{n}.jpg") for n in range(40)]
    rows = [f"{100_003 + 7 * n},https://x.org/{n}_p0.jpg,{HAIR[n % 4]}" for n in ORDER]
    path = tmp_path / "given.csv"
    path.write_text("\n".join(["id,source,hair", *rows]))
    labels = label(pictures, [], path)[0]
    assert {n: found["hair"] for n, found in labels.items()} == {n: found["hair"] for n, found in TRUTH.items()}
