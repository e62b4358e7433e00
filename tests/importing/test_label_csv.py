"""CSV files as people and programs write them: quotes, spaces, comments and empty lines."""

from pathlib import Path

import pytest

from nijigan.errors import UserError
from nijigan.importing.labels.csv_tables import csv_rows, read_csv
from nijigan.importing.labels.tag_words import read_tag_map

ROWS = [["file", "hair"], ["a.png", "blue"], ["b.png", "red"]]


@pytest.mark.parametrize(
    "text",
    [
        'file, hair\n"a.png", "blue"\n"b.png", "red"\n',
        '"file" , "hair"\n "a.png" ,"blue" \n"b.png" , "red"',
        "# made by a script\nfile,hair\na.png,blue\nb.png,red\n",
        "# made by a script, on Monday\n\n#\nfile,hair\na.png,blue\nb.png,red\n",
        "#made;by\nfile,hair\na.png,blue\nb.png,red\n",
        "\n  \n;;\nfile;hair\na.png;blue\nb.png;red\n",
        ",,,\n\t\nfile\thair\na.png\tblue\nb.png\tred\n",
        "sep=;\nfile;hair\na.png;blue\nb.png;red\n",
        "file,hair\r\n\r\na.png,blue\r\n,\r\nb.png,red\r\n",
    ],
)
def test_spaces_comments_and_empty_lines_do_not_matter(text: str) -> None:
    assert read_csv("t.csv", text) == ROWS


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("#file,hair\na.png,blue\n", ["#file", "hair"]),
        ("# file, hair\na.png,blue\n", ["# file", "hair"]),
        ("#,hair\na.png,blue\n", ["#", "hair"]),
        ("#1.png blue_hair\n#2.png red_eyes\n", ["#1.png blue_hair"]),
        ("#1.png,blue\n#2.png,red\n", ["#1.png", "blue"]),
    ],
)
def test_a_header_and_names_of_pictures_may_start_like_a_comment(text: str, header: list[str]) -> None:
    assert read_csv("t.csv", text)[0] == header


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('file,hair\na.png,"blue\nb.png,red\n', 2),  # to the end of the file
        ('file,hair\na.png,blue\nb.png,"red', 3),
        ('file,hair\na.png,"blue\nb.png,red\nc.png,"green"\n', 2),  # to the next quote
        ('file,hair\na.png,"blue\n2,red"\nc.png,green\n', 2),  # no name of a file, and a second stray quote
        ('file,hair\na.png,"blue\nb.png, red"\nc.png,green\n', 2),
        ('# made by\n\nfile,hair\na.png,blue\n"b.png,red\nc.png,green\n', 5),
        ('file,hair\na.png, "blue\nb.png, red\n', 2),
        ('file;hair;eyes\na.png;"blue;red\nb.png;red;red"\n', 2),
        ('file,"hair\na.png,blue\nb.png,red\n', 1),
        ('file,hair\na.png,"blue\n' + "b.png,red\n" * 20_000, 2),  # longer than a cell may be
    ],
)
def test_a_quote_that_is_not_closed_is_refused_by_its_line(text: str, line: int) -> None:
    with pytest.raises(UserError, match=rf"t\.csv.*line {line}\b"):
        read_csv("t.csv", text)


def test_cells_may_have_several_lines_and_quotes() -> None:
    text = 'file,hair,text\na.png,blue,"A girl, smiling,\nwith blue hair, outside"\nb.png,"re""d",5" "tall"\n'
    assert read_csv("t.csv", text)[1:] == [
        ["a.png", "blue", "A girl, smiling,\nwith blue hair, outside"],
        ["b.png", 're"d', '5" "tall"'],
    ]
    assert csv_rows("t.csv", ['"a" b,c'], ",") == [["a b", "c"]]  # in one line, nothing is lost


def test_a_tag_map_with_an_open_quote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text('blue_hair,hair=blue\n"red_eyes,eyes=red\nsmile,mouth=smile\n')
    with pytest.raises(UserError, match=r"m\.csv: the quote in line 2"):
        read_tag_map(tmp_path / "m.csv")
