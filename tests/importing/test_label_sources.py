"""Labels of pictures from several sources: a table never speaks of another source, and no source goes first."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blobs import write, write_zip
from nijigan.importing.labels.matching import label
from nijigan.importing.labels.tag_report import TagReport
from nijigan.importing.sources import list_sources

Files = dict[str, bytes]
TABLE = "file_name,hair\n{}"


def labelled(sources: list[Path], tags: Path | None = None) -> tuple[dict[str, str], TagReport | None]:
    """The hair of each picture by the last three parts of its path, and the report."""
    listing = list_sources(sources)
    labels, report = label(listing.pictures, listing.tables, tags)
    paths = ["/".join(Path(picture.file).parts[-3:]) for picture in listing.pictures]
    return {paths[row]: values["hair"] for row, values in sorted(labels.items())}, report


def given(tmp_path: Path, *lines: str) -> Path:
    return write(tmp_path, {"given.csv": TABLE.format("\n".join(lines)).encode()}) / "given.csv"


def test_tables_of_sources_with_one_name_label_their_own_pictures(tmp_path: Path) -> None:
    for split, colour in (("train", "red"), ("val", "blue")):
        table = TABLE.format(f"1.png,{colour}\nfaces/2.png,{colour}").encode()
        write(tmp_path / split / "faces", {"1.png": b"", "2.png": b"", "metadata.csv": table})
    write(tmp_path / "val/faces", {"3.png": b""})
    write(tmp_path / "train/faces", {"tags.csv": TABLE.format("3.png,green").encode()})
    labels, report = labelled([tmp_path / "train/faces", tmp_path / "val/faces"])
    assert labels == {
        "train/faces/1.png": "red", "train/faces/2.png": "red", "val/faces/1.png": "blue", "val/faces/2.png": "blue",
    }  # fmt: skip
    assert report
    assert report.unused == [("faces/tags.csv", "no column names pictures of its folder.")]


def test_tables_of_archives_with_one_name_label_their_own_pictures(tmp_path: Path) -> None:
    sources = []
    for split, colour in (("train", "red"), ("val", "blue")):
        files = {"a/1.png": b"", "a/metadata.csv": TABLE.format(f"1.png,{colour}").encode()}
        (tmp_path / split).mkdir()
        sources.append(write_zip(tmp_path / split / "faces.zip", files))
    listing = list_sources(sources)
    labels, _ = label(listing.pictures, listing.tables)
    assert labels == {0: {"hair": "red"}, 1: {"hair": "blue"}}


def test_a_folder_and_an_archive_of_one_name_stay_apart(tmp_path: Path) -> None:
    table = TABLE.format("1.png,red").encode()
    folder = write(tmp_path / "train/faces.zip", {"1.png": b"", "metadata.csv": table})
    (tmp_path / "val").mkdir()
    archive = write_zip(tmp_path / "val/faces.zip", {"1.png": b""})
    listing = list_sources([archive, folder])
    labels, _ = label(listing.pictures, listing.tables)
    assert {listing.pictures[row].file: values for row, values in labels.items()} == {
        str(folder / "1.png"): {"hair": "red"}
    }


def test_a_parquet_file_belongs_to_the_folder_that_it_is_in(tmp_path: Path) -> None:
    rows = pa.table({"image": [{"bytes": b"x", "path": "1.png"}]})
    for split, colour in (("train", "red"), ("val", "blue")):
        folder = write(tmp_path / split / "faces", {"a/metadata.csv": TABLE.format(f"1.png,{colour}").encode()})
        pq.write_table(rows, folder / "a/pictures.parquet")
    assert labelled([tmp_path / "train/faces", tmp_path / "val/faces"])[0] == {"faces/a/pictures.parquet": "blue"}
    listing = list_sources([tmp_path / "train/faces", tmp_path / "val/faces"])
    assert label(listing.pictures, listing.tables)[0] == {0: {"hair": "red"}, 1: {"hair": "blue"}}


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"1.png": b""}, {"sub/1.png": b""}),  # the first was preferred, because it is at the top
        ({"sub/1.png": b""}, {"1.png": b""}),
        ({"1.png": b""}, {"sub/deep/1.png": b""}),
    ],
)
@pytest.mark.parametrize("cell", ["1.png", "1"])
def test_a_name_that_fits_pictures_of_two_sources_labels_none(
    tmp_path: Path, one: Files, two: Files, cell: str
) -> None:
    sources = [write(tmp_path / "one", {**one, "2.png": b""}), write(tmp_path / "two", two)]
    labels, report = labelled(sources, given(tmp_path, f"{cell},red", "2.png,blue"))
    assert list(labels.values()) == ["blue"]
    assert report
    assert report.ambiguous == [cell]


def test_rows_of_a_parquet_file_do_not_go_before_names_of_pictures(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [{"bytes": b"x", "path": None}]}), tmp_path / "t.parquet")
    sources = [tmp_path / "t.parquet", write(tmp_path / "pics", {"0.png": b"", "1.png": b""})]
    labels, report = labelled(sources, given(tmp_path, "0,red", "1,blue"))
    assert list(labels.values()) == ["blue"]
    assert report
    assert report.ambiguous == ["0"]


@pytest.mark.parametrize("start", ["", "/elsewhere/data/", "{tmp_path}/"])
def test_paths_tell_sources_of_one_name_apart(tmp_path: Path, start: str) -> None:
    sources = [write(tmp_path / split / "faces", {"1.png": b""}) for split in ("train", "val")]
    start = start.format(tmp_path=tmp_path)
    tags = given(tmp_path, f"{start}train/faces/1.png,red", f"{start}val/faces/1.png,blue")
    assert labelled(sources, tags)[0] == {"train/faces/1.png": "red", "val/faces/1.png": "blue"}


def test_in_one_source_the_path_of_a_picture_goes_before_its_name(tmp_path: Path) -> None:
    source = write(tmp_path / "one", {"1.png": b"", "sub/1.png": b""})
    assert labelled([source], given(tmp_path, "1.png,red", "sub/1.png,blue"))[0] == {
        f"{tmp_path.name}/one/1.png": "red",
        "one/sub/1.png": "blue",
    }


@pytest.mark.parametrize("again", ["pics", "pics/a"])
def test_pictures_that_are_listed_twice_keep_their_labels(tmp_path: Path, again: str) -> None:
    source = write(tmp_path / "pics", {"a/1.png": b"", "a/metadata.csv": TABLE.format("1.png,red").encode()})
    listing = list_sources([source, tmp_path / again])
    assert label(listing.pictures, listing.tables)[0] == {0: {"hair": "red"}, 1: {"hair": "red"}}
    assert label(listing.pictures, [], given(tmp_path, "1.png,blue"))[0] == {0: {"hair": "blue"}, 1: {"hair": "blue"}}


def test_pictures_named_one_by_one_belong_to_their_folders(tmp_path: Path) -> None:
    sources = [write(tmp_path / split, {"1.png": b""}) / "1.png" for split in ("train", "val")]
    tags = given(tmp_path, "train/1.png,red", "val/1.png,blue")
    assert list(labelled(sources, tags)[0].values()) == ["red", "blue"]
