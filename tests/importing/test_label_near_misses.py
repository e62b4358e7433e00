"""Names in a table that nearly are those of pictures label nothing, and the report says so once."""

import re
from pathlib import Path

import pytest

from blobs import write
from nijigan.importing.labels.matching import label
from nijigan.importing.labels.tag_report import TagReport
from nijigan.importing.sources import list_sources


def report_on(tmp_path: Path, pictures: list[str], cells: list[str]) -> tuple[int, TagReport]:
    """How many pictures a table with these names labels, and the report."""
    listing = list_sources([write(tmp_path / "p", dict.fromkeys(pictures, b""))])
    text = "file,hair\n" + "".join(f'"{cell}",{("red", "blue")[row % 2]}\n' for row, cell in enumerate(cells))
    labels, report = label(listing.pictures, [], write(tmp_path, {"t.csv": text.encode()}) / "t.csv")
    assert report
    return len(labels), report


@pytest.mark.parametrize(
    ("pictures", "cells", "said"),
    [
        (["0001.png", "0002.png"], ["1.png", "2.png"], "number of leading zeros"),
        (["1.png", "2.png"], ["0001", "0002"], "number of leading zeros"),
        (["a/01.png", "b/01.png"], ["a/1.png", "b/1.png"], "number of leading zeros"),
        (["a.png", "b.png"], ["a.jpg", "b.jpg"], "suffix"),
        (["a.png", "b.png"], ["A.TIFF", "B.TIFF"], "suffix"),
        (["a.png", "b.png"], ["a.png?x=1", "b.png?x=1"], "query of the URL"),
        (["a.png", "b.png"], ["https://x.org/i/a.png?x=1", "https://x.org/i/b.png#f"], "query of the URL"),
        (["a b.png", "c.png"], ["a%20b.png"], "escaped character"),
        (["0%20x.png", "b.png"], ["0 x.jpg"], "escaped character and the suffix"),
        (["0%20x.png", "b.png"], ["0 x.png"], "escaped character"),
        (["a%20b.png", "c.png"], ["a%20b.jpg"], "suffix"),
        (["1.png", "2.png"], ["1.0", "2.0"], ".0 of the number"),
        (["a.png", "b.png"], ["x/a.png", "y/b.png"], "folder"),
        (["001.png", "2.png"], ["1.jpg?x"], "query of the URL, the suffix and the number of leading zeros"),
    ],
)
def test_names_that_nearly_match_are_told_with_one_example(
    tmp_path: Path, pictures: list[str], cells: list[str], said: str
) -> None:
    count, report = report_on(tmp_path, pictures, cells)
    assert count == 0
    assert len(report.hints) == 1
    assert (
        f"t.csv: {len(cells):,} ids without a picture resemble the name of one, such as {cells[0]!r} and"
        in report.hints[0]
    )
    assert re.search(rf" which differ in (the|an) {re.escape(said)}\. Correct", report.hints[0])
    assert report.hints[0] in report.sentences()


@pytest.mark.parametrize(
    ("pictures", "cells"),
    [
        (["1.png", "2.png"], ["1.png", "01.png"]),  # the picture has a better name
        (["0001.png", "001.png"], ["1.png"]),  # two pictures resemble it
        (["1.png"], ["01.png", "001.png"]),  # two ids resemble it
        (["1.png", "2.png"], ["1.png", "girl.png"]),
    ],
)
def test_nothing_is_said_about_names_that_can_mean_something_else(
    tmp_path: Path, pictures: list[str], cells: list[str]
) -> None:
    assert report_on(tmp_path, pictures, cells)[1].hints == []


def test_the_column_with_most_near_names_gives_the_hint(tmp_path: Path) -> None:
    source = write(tmp_path / "p", {f"{n:04}.png": b"" for n in range(10, 20)})
    rows = "".join(f"{n - 5},{n}.jpg,red\n" for n in range(10, 20))
    write(source, {"metadata.csv": f"id,img,hair\n{rows}".encode()})
    listing = list_sources([source])
    labels, report = label(listing.pictures, listing.tables)
    assert labels == {}
    assert report
    assert report.unused == [
        (
            "p/metadata.csv",
            "no column names pictures of its folder. 10 ids without a picture resemble the name of one, such as "
            "'10.jpg' and '0010.png', which differ in the suffix and the number of leading zeros. "
            "Correct the ids to use them.",
        )
    ]
