"""JSON that people write by hand or with other tools: what is read, and one sentence about what is not."""

import json
from pathlib import Path

import pytest

from nijigan.errors import UserError
from nijigan.importing.labels.json_tables import json_table
from nijigan.importing.labels.matching import label
from nijigan.importing.labels.tag_words import read_tag_map
from nijigan.importing.sources import SourceFile

PICTURES = [SourceFile(f"pics/{n}.png", f"pics/{n}.png") for n in range(30)]
COLOURS = ("blue", "red", "green")
HAIR = {n: {"hair": COLOURS[n % 3]} for n in range(30)}
BY_NAME = {f"{n}.png": labels for n, labels in HAIR.items()}


def labelled(tmp_path: Path, text: str, name: str = "t.json") -> dict[int, dict[str, str]]:
    (tmp_path / name).write_text(text)
    return label(PICTURES, [], tmp_path / name)[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.json", json.dumps({"labels": list(BY_NAME.items())})),
        ("t.json", json.dumps({"labels": BY_NAME})),
        ("t.json", json.dumps({"version": 1, "pictures": BY_NAME})),
        ("t.json", json.dumps(list(BY_NAME.items()))),
        ("t.json", json.dumps([["file", "labels"], *BY_NAME.items()])),
        ("t.json", json.dumps([{key: labels} for key, labels in BY_NAME.items()])),
        ("t.jsonl", "\n".join(json.dumps({key: labels}) for key, labels in BY_NAME.items())),
        ("t.jsonl", json.dumps(BY_NAME)),
    ],
)
def test_names_with_objects_of_labels_are_read_wherever_they_are(tmp_path: Path, name: str, text: str) -> None:
    assert labelled(tmp_path, text, name) == HAIR


def test_pictures_without_labels_among_others_are_no_error() -> None:
    table = json_table("dataset.json", '{"labels": [["a.png", {"hair": "blue"}], ["b.png", null], ["c.png"]]}')
    assert (table.header, table.rows, table.malformed) == (
        ["file_name", "hair"],
        [["a.png", "blue"], ["b.png", None]],
        1,
    )


@pytest.mark.parametrize("value", ["blue", 3, True])
@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_values_without_an_attribute_are_refused_with_the_form_that_is_read(
    tmp_path: Path, name: str, value: object
) -> None:
    with pytest.raises(
        UserError, match=r'belong to no attribute; write \{"1.png": \{"hair": "blue"\}\}, or.*--tag-map'
    ):
        labelled(tmp_path, json.dumps({"1.png": value, "2.png": None}), name)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.json", '{"1.png": {"hair": "blue"},\n "1.png": {"hair": "red"}}', "the key '1.png' occurs twice"),
        ("t.json", '[{"file": "1.png", "hair": "blue", "hair": "red"}]', "the key 'hair' occurs twice"),
        ("t.json", '{"1.png": 1, "\\u001b": 1, "\\u001b": 2}', r"the key '<U\+001B>' occurs twice"),
        ("t.jsonl", '{"file": "1.png", "hair": "red", "hair": "red"}', "the key 'hair' occurs twice"),
        (
            "t.jsonl",
            '\n{"file": "1", "a": 1, "a": 2}\n{"file": "2", "a": 1, "a": 2}',
            "line 2: the key 'a' occurs twice",
        ),
    ],
)
def test_a_repeated_key_gets_one_sentence(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        labelled(tmp_path, text, name)
    assert "JSON object per line" not in str(caught.value)


def test_a_repeated_tag_in_a_map_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"blue_hair": "hair=blue", "blue_hair": "hair=red"}')
    with pytest.raises(UserError, match="gives 'blue_hair' more than one meaning"):
        read_tag_map(tmp_path / "m.json")


def test_a_table_with_many_useless_columns_is_told_in_one_short_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="and 21 more") as caught:
        labelled(tmp_path, json.dumps([{"file": "1.png"} | {f"{n} x": {"a": 1} for n in range(31)}]))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (json.dumps(BY_NAME), "t.json", "the pictures are named in the keys; attributes: hair."),
        (
            json.dumps({"labels": [[f"{n}.png", n % 3] for n in range(30)]}),
            "t.json",
            "the pictures are named in the first item of each pair; attributes: label.",
        ),
        ("0,blue hair red eyes\n1,red hair red eyes\n", "t.csv", "named in the first column; attributes: hair, eyes."),
        (
            "nr,words\n0,blue hair red eyes\n",
            "t.csv",
            "the pictures are named in the column 'nr'; attributes: hair, eyes.",
        ),
        ("nr;hair\n99;red\n", "t.csv", "no column names a picture ('nr', 'hair'); attributes: hair."),
        ('{"99.png": {"hair": "red"}}', "t.json", "no column names a picture (the keys, 'hair'); attributes: hair."),
    ],
)
def test_the_report_names_only_columns_that_the_file_has(tmp_path: Path, text: str, name: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    report = label(PICTURES, [], tmp_path / name)[1]
    assert report
    assert said in report.columns[0]


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (
            "1.png blue_hair\n2.png blue_hair\n",
            "t.txt",
            "named in the first word of each line; tags are in the words after it.",
        ),
        ('{"1.png": ["blue_hair"]}', "t.json", "the pictures are named in the keys; tags are in the values."),
    ],
)
def test_the_report_names_words_and_keys(tmp_path: Path, text: str, name: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "map.csv").write_text("blue_hair,hair=blue\n")
    report = label(PICTURES, [], tmp_path / name, tmp_path / "map.csv")[1]
    assert report
    assert said in report.columns[0]


def test_a_refusal_lists_the_columns_that_the_file_has(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(BY_NAME))
    with pytest.raises(UserError, match=r"has no column 'nr' .*its columns are the keys, 'hair'\."):
        label(PICTURES, [], tmp_path / "t.json", id_column="nr")
