import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blobs import blob, encode, write
from nijigan.dataset.dropped import read_csv
from nijigan.dataset.faces import FaceDataset
from nijigan.dataset.inspection import contact_sheet, inspect
from nijigan.errors import UserError
from nijigan.importing.importer import import_faces


@pytest.fixture
def dataset(tmp_path: Path) -> FaceDataset:
    files = {f"{n}.png": encode(blob(n, 40 + n, 40 + n)) for n in range(9)}
    labels = "file_name,hair\n" + "".join(f"{n}.png,{'red' if n < 5 else 'blue'}\n" for n in range(8))
    write(tmp_path / "pictures", {**files, "copy.png": files["3.png"], "no.png": b"", "metadata.csv": labels.encode()})
    import_faces([tmp_path / "pictures"], tmp_path / "faces")
    return FaceDataset(tmp_path / "faces")


def test_summary_counts(dataset: FaceDataset) -> None:
    summary = inspect(dataset)
    assert summary.faces == sum(summary.splits.values()) == 9
    assert summary.sizes == {"smallest": 40, "median": 44, "largest": 48}
    assert summary.labels == {"hair": {"red": 5, "blue": 3, "": 1}}
    assert summary.left_out == {"exact duplicate": 1, "unreadable": 1}
    assert json.loads(summary.to_json())["fingerprint"] == dataset.fingerprint
    assert "red 5, blue 3, unknown 1" in str(summary)


def test_contact_sheet_shows_faces(dataset: FaceDataset, tmp_path: Path) -> None:
    path = contact_sheet(dataset, tmp_path / "sheet.png", count=4, side=32)
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (70, 70, 3)
    n = int(Path(dataset.table["source"][0].as_py()).stem)
    expected = blob(n, 40 + n, 40 + n).resize((32, 32), Image.Resampling.LANCZOS)
    assert np.array_equal(sheet[2:34, 2:34], expected)


@pytest.mark.parametrize("name", ["sheet", "thesis.docx", "sheet.fits", "sheet.pdf", ".png"])
def test_a_contact_sheet_needs_the_name_of_a_picture(dataset: FaceDataset, tmp_path: Path, name: str) -> None:
    (tmp_path / "thesis.docx").write_text("precious")
    with pytest.raises(UserError, match=r"choose a name that ends in \.png"):
        contact_sheet(dataset, tmp_path / name)
    assert (tmp_path / "thesis.docx").read_text() == "precious"


def test_a_damaged_list_of_dropped_files_does_not_matter(dataset: FaceDataset) -> None:
    (dataset.path / "dropped.csv").write_bytes(b'file,kind\n\xff\xfe\x00,"' + b"x" * 200_000)
    assert inspect(dataset).left_out == {}


@pytest.mark.parametrize("header", ["file,kind,detail,survivor,survivor_file", "file;ki\x00nd", "fil"])
def test_a_damaged_header_costs_no_row_of_dropped_files(tmp_path: Path, header: str) -> None:
    (tmp_path / "dropped.csv").write_text(f"{header}\na.png,unreadable,x,,\nb.png,too small,y,,\n")
    assert [row.file for row in read_csv(tmp_path)] == ["a.png", "b.png"]
