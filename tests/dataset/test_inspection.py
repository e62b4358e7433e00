import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blobs import blob, encode, write
from nijigan.cli.common import open_or_import
from nijigan.cli.entry import main
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


def test_counts_are_printed_whatever_becomes_of_the_sheet(
    dataset: FaceDataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # the dataset cannot be written
    assert main(["inspect", str(dataset.path), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["faces"] == 9
    assert "--sheet" in captured.err
    assert not (dataset.path / "contact-sheet.png").exists()
    assert main(["inspect", str(dataset.path), "--json", "--sheet", str(dataset.path / "dataset.json" / "x.png")]) == 2
    assert json.loads(capsys.readouterr().out)["faces"] == 9


def test_splits_change_from_the_command_line(dataset: FaceDataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["split", str(dataset.path), "--holdout", "0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"] == {"train": 5, "val": 2, "test": 2}


@pytest.mark.parametrize(
    ("options", "faces"),
    [([], 9), (["--keep-duplicates"], 10), (["--duplicates", "none"], 10), (["--duplicates", "exact"], 9)],
)
def test_duplicates_from_the_command_line(
    dataset: FaceDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], faces: int
) -> None:
    arguments = ["import", str(tmp_path / "pictures"), "--out", str(tmp_path / "other"), "--json", *options]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["faces"] == faces
    if options == ["--duplicates", "exact"]:
        assert main([*arguments, "--keep-duplicates"]) == 2


def test_pictures_in_a_folder_that_cannot_be_written_are_imported_here(
    dataset: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    access = os.access
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != tmp_path and access(place, mode))
    for _ in range(2):  # the second time, it is there
        assert open_or_import(tmp_path / "pictures").path == tmp_path / "here" / "pictures-faces"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces", "here", "pictures"]
