"""Columns that people add to the Parquet file of a dataset, when the file is read without its `dataset.json`."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nijigan.dataset.manifest import COLUMNS, READ
from nijigan.importing.labels.matching import label
from nijigan.importing.labels.tag_report import TagReport
from nijigan.importing.labels.vocabulary import PictureLabels
from nijigan.importing.sources import list_sources

ROWS = 10
HAIR = [None if row == 9 else ("blue", "none")[row % 2] for row in range(ROWS)]


def file_of_dataset(path: Path, own: dict[str, list[str | None]], **added: object) -> Path:
    """The Parquet file of a dataset with the attributes `own`, and columns that its metadata does not list."""
    cells = {name: pa.nulls(ROWS, kind) for name, kind in COLUMNS.items()}
    cells["image"] = pa.array([{"bytes": bytes([row]), "path": None} for row in range(ROWS)], COLUMNS["image"])
    cells |= {name: pa.array(values, pa.string()) for name, values in own.items()}
    features = {name: {"dtype": "string", "_type": "Value"} for name in cells}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(pa.table({**cells, **added}).replace_schema_metadata(metadata), path)
    return path


def labels_in(path: Path) -> tuple[list[PictureLabels], TagReport | None]:
    pictures = list_sources([path]).pictures
    labels, report = label(pictures, [])
    return [labels.get(row, {}) for row in range(ROWS)], report


@pytest.mark.parametrize(
    ("column", "cells", "expected"),
    [
        ("age", [row % 3 for row in range(ROWS)], {"age": "1"}),
        ("hat", [row % 2 == 1 for row in range(ROWS)], {"hat": "true"}),
        ("year", [2000.0 + row % 3 for row in range(ROWS)], {"year": "2001"}),
        ("tags", [["a", "b"]] * ROWS, {}),
        ("one", [["a"]] * ROWS, {"one": "a"}),
        ("box", [{"x": 1}] * ROWS, {}),
        ("Eye Colour", [" Red ", " GREEN "] * 5, {"eye_colour": "green"}),
        ("eyes", ["red", "nan"] * 5, {}),
        ("caption", [f"girl {row}" for row in range(ROWS)], {}),
        ("<b>", ["x", "a\x1b[2J"] * 5, {"b": "a<u+001b>[2j"}),
        ("seed", ["x"] * ROWS, {}),
        ("Hair", ["red"] * ROWS, {}),
        ("file_name", [f"{row}.png" for row in range(ROWS)], {}),
    ],
)
def test_added_columns_obey_the_rules_of_attributes(
    tmp_path: Path, column: str, cells: list[object], expected: PictureLabels
) -> None:
    labels, report = labels_in(file_of_dataset(tmp_path / "faces-00000.parquet", {"hair": HAIR}, **{column: cells}))
    assert labels[1] == {"hair": "none", **expected}
    assert [given.get("hair") for given in labels] == HAIR
    assert report
    assert report.columns[0].startswith("faces-00000.parquet: attributes: ")


def test_attributes_of_a_dataset_are_kept_as_stored(tmp_path: Path) -> None:
    own = {
        "hair": HAIR,
        "name": [f"girl {row}" for row in range(ROWS)],  # reserved today, and different for each picture
        READ: ["hair,\x1b,eyes" if row == 0 else None for row in range(ROWS)],
    }
    labels, report = labels_in(file_of_dataset(tmp_path / "faces-00000.parquet", own))
    assert labels[0] == {"hair": "blue", "name": "girl 0", READ: "hair"}
    assert labels[1] == {"hair": "none", "name": "girl 1"}
    assert labels[9] == {"name": "girl 9"}
    assert report is None


@pytest.mark.parametrize("values", [["Blue", "a\x1bb"] * 5, ["", "red"] * 5])
def test_listed_columns_whose_values_no_dataset_holds_obey_the_rules(tmp_path: Path, values: list[str]) -> None:
    labels, _ = labels_in(file_of_dataset(tmp_path / "faces-00000.parquet", {"eyes": values}))
    assert labels[:2] == ([{"eyes": "blue"}, {"eyes": "a<u+001b>b"}] if values[0] else [{}, {"eyes": "red"}])


def test_a_file_without_metadata_obeys_the_rules(tmp_path: Path) -> None:
    path = file_of_dataset(tmp_path / "faces-00000.parquet", {"hair": HAIR, "eyes": ["red"] * ROWS}, age=[1] * ROWS)
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    assert labels_in(path)[0][:2] == [{"hair": "blue", "eyes": "red", "age": "1"}, {"eyes": "red", "age": "1"}]


def test_rows_of_a_dataset_are_named_by_an_added_column(tmp_path: Path) -> None:
    names = [f"girl_{row}.png" for row in range(ROWS)]
    pictures = list_sources([file_of_dataset(tmp_path / "t.parquet", {"hair": HAIR}, file_name=names)]).pictures
    (tmp_path / "t.csv").write_text("file,eyes\ngirl_3.png,red\n")
    assert label(pictures, [], tmp_path / "t.csv")[0][3] == {"hair": "none", "eyes": "red"}


def test_long_cells_of_an_added_column_take_the_memory_of_one(tmp_path: Path) -> None:
    path = file_of_dataset(tmp_path / "faces-00000.parquet", {"hair": HAIR}, text=["A" * 2**18] * ROWS)
    labels, _ = labels_in(path)
    assert {len(given["text"]) for given in labels} == {1000}  # too long for a value: later steps drop it, with a note
    assert len({id(given["text"]) for given in labels}) == 1
