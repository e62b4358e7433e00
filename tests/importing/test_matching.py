import logging
from pathlib import Path

import pytest

from blobs import write, write_zip
from nijigan.errors import UserError
from nijigan.importing.matching import label
from nijigan.importing.sources import list_sources

PICTURES = {"a/1.png": b"", "a/2.png": b"", "b/2.jpg": b"", "3.png": b""}


def matched(tmp_path: Path, text: str, name: str = "given.csv"):
    listing = list_sources([write(tmp_path / "pictures", PICTURES)])
    labels, report = label(listing.pictures, [], write(tmp_path, {name: text.encode()}) / name)
    return {listing.pictures[row].name: values for row, values in labels.items()}, report


def test_lines_find_pictures_by_path_name_or_stem(tmp_path: Path) -> None:
    lines = ["3,red", "1.png,blue", "a/2.png,green", "./b/2.jpg,white"]
    labels, report = matched(tmp_path, "\n".join(["file,hair", *lines]))
    colours = {"3.png": "red", "a/1.png": "blue", "a/2.png": "green", "b/2.jpg": "white"}
    assert labels == {f"pictures/{name}": {"hair": colour} for name, colour in colours.items()}
    assert (report.matched, report.untagged) == (4, 0)


def test_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    lines = ["2,red", "9,red", "1,red", "1,red", "3,red", "3,blue", "short"]
    labels, report = matched(tmp_path, "\n".join(["file,hair", *lines]))
    assert labels == {"pictures/a/1.png": {"hair": "red"}}
    assert report.ambiguous == ["2"]
    assert report.missing == ["9"]
    assert report.repeated == 1
    assert report.conflicting == ["3"]
    assert report.malformed == 1
    assert report.untagged == 3
    text = " ".join(report.sentences())
    for part in ("1 pictures labelled", "3 without tags", "no picture: 9", "several pictures", "contradict", "repeat"):
        assert part in text


def test_a_conflict_costs_only_the_attribute_in_question(tmp_path: Path) -> None:
    labels, _ = matched(tmp_path, "file,hair,eyes\n1,red,blue\n1,red,green\n")
    assert labels == {"pictures/a/1.png": {"hair": "red"}}


def test_metadata_is_found_and_speaks_of_its_own_folder(tmp_path: Path) -> None:
    tables = {
        "a/metadata.csv": b"file_name,hair\n2.png,red\n",
        "b/metadata.jsonl": b'{"file_name": "2.jpg", "hair": "blue"}',
    }
    listing = list_sources([write(tmp_path / "pictures", {**PICTURES, **tables})])
    labels, report = label(listing.pictures, listing.tables)
    assert {listing.pictures[row].name: values["hair"] for row, values in labels.items()} == {
        "pictures/a/2.png": "red",
        "pictures/b/2.jpg": "blue",
    }
    assert report.files == ["pictures/a/metadata.csv", "pictures/b/metadata.jsonl"]


def test_tags_in_the_root_of_an_archive_are_found_but_not_deeper(tmp_path: Path) -> None:
    tags = {"tags.csv": b"3,aqua hair blue eyes\n", "a/tags.csv": b"1,red hair red eyes\n"}
    listing = list_sources([write_zip(tmp_path / "a.zip", {**PICTURES, **tags})])
    labels, _ = label(listing.pictures, listing.tables)
    assert {listing.pictures[row].name: v for row, v in labels.items()} == {
        "a.zip/3.png": {"hair": "aqua", "eyes": "blue"}
    }


def test_tags_that_nobody_asked_for_may_be_broken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listing = list_sources([write(tmp_path / "pictures", {**PICTURES, "metadata.csv": b"file_name,seed\n1.png,3\n"})])
    with caplog.at_level(logging.WARNING, "nijigan"):
        assert label(listing.pictures, listing.tables) == ({}, None)
    assert "not used" in caplog.text
    with pytest.raises(UserError, match="seed"):
        label(listing.pictures, [], tmp_path / "pictures" / "metadata.csv")
    with pytest.raises(UserError, match="Could not read"):
        label(listing.pictures, [], tmp_path / "nowhere.csv")


def test_given_tags_replace_those_found(tmp_path: Path) -> None:
    listing = list_sources([write(tmp_path / "pictures", {**PICTURES, "metadata.csv": b"file_name,hair\n3.png,red\n"})])
    given = write(tmp_path, {"given.csv": b"file,eyes\n3,blue\n"}) / "given.csv"
    labels, _ = label(listing.pictures, listing.tables, given)
    assert list(labels.values()) == [{"eyes": "blue"}]


def test_ids_are_safe_to_print(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07x"
    _, report = matched(tmp_path, f"file,hair\n{evil},red\n")
    assert report.missing == ["�]0;owned�x"]
    _, report = matched(tmp_path, '{"file_name": "\\ud800", "hair": "red"}\n', "given.jsonl")
    assert report.missing == ["�"]
    report.sentences()[1].encode()
