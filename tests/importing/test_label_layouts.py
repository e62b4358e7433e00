"""A sweep: the same labels of the same 40 pictures in twelve layouts and four formats give the same result or none."""

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


def parquet(rows: list[Row]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


FORMATS: dict[str, Callable[[list[Row]], bytes]] = {
    "csv": lambda rows: separated(rows, ","),
    "tsv": lambda rows: separated(rows, "\t"),
    "jsonl": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "json": lambda rows: json.dumps(rows).encode(),
    "parquet": parquet,
}


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
