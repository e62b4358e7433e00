import json
from pathlib import Path

import pytest

from nijigan.errors import UserError
from nijigan.importing.label_files import RESERVED, parse, read_mapping

MAPPING = {"blue_hair": ("hair", "blue"), "aqua_hair": ("hair", "aqua"), "red_eyes": ("eyes", "red")}


def test_pairs() -> None:
    table = parse("tags.csv", b"0,aqua hair red eyes\n1,light blue hair Green eyes\n\n2,something else\n")
    assert table.lines == [("0", {"hair": "aqua", "eyes": "red"}), ("1", {"hair": "light blue", "eyes": "green"})]
    assert table.malformed == 1
    assert parse("tags.csv", b"id,tags\n0,aqua hair red eyes\n").lines == [("0", {"hair": "aqua", "eyes": "red"})]


@pytest.mark.parametrize(
    "data",
    [
        b"file,Hair Colour,year\na.png,Blue,2003\nb.png,,2004\n",
        b"\xef\xbb\xbfHair Colour;file_name;year\r\nblue;a.png;2003\r\n;b.png;2004\r\n",
        b'whatever\tyear\thair colour\na.png\t2003\t"blue"\nb.png\t2004\t\n',
    ],
)
def test_columns(data: bytes) -> None:
    table = parse("labels.csv", data)
    assert table.lines == [("a.png", {"hair_colour": "blue", "year": "2003"}), ("b.png", {"year": "2004"})]


def test_columns_count_short_and_long_lines() -> None:
    assert parse("labels.csv", b"file,hair\na.png,red\nb.png\nc.png,red,extra\n").malformed == 2


def test_records() -> None:
    lines = [{"file_name": "a.png", "hair": "Blue", "year": 2003, "box": [1, 2]}, {"hair": "red"}, ["b.png"]]
    table = parse("metadata.jsonl", "\n".join(map(json.dumps, lines)).encode() + b"\n{broken\n")
    assert table.lines == [("a.png", {"hair": "blue", "year": "2003"})]
    assert table.malformed == 3


@pytest.mark.parametrize(
    "line",
    [
        "a.png,blue_hair red_eyes 1girl",
        'a.png,"blue_hair, red_eyes, 1girl"',
        "a.png,blue_hair,red_eyes,1girl",
        "a.png blue_hair red_eyes 1girl",
        "a.png\tblue_hair:120\tred_eyes:7\t1girl",
    ],
)
def test_words(line: str) -> None:
    table = parse("tags.txt", f"{line}\n{line.replace('a.png', 'b.png')}\n".encode(), MAPPING)
    assert table.lines == [(name, {"hair": "blue", "eyes": "red"}) for name in ("a.png", "b.png")]
    assert table.unknown == {"1girl": 2}


def test_words_that_contradict_each_other_label_nothing() -> None:
    table = parse("tags.csv", b"file,tags\na.png,blue_hair aqua_hair red_eyes\n", MAPPING)
    assert table.lines == [("a.png", {"eyes": "red"})]
    assert table.conflicting == ["a.png"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.csv", "blue_hair,hair=blue\naqua_hair,hair=aqua\nred_eyes,eyes=red\n"),
        ("map.csv", "tag,meaning\nblue_hair,Hair=blue\naqua_hair,hair=Aqua\nred_eyes,eyes=red\n"),
        ("map.json", json.dumps({tag: "=".join(target) for tag, target in MAPPING.items()})),
    ],
)
def test_mappings(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_mapping(tmp_path / name) == MAPPING


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", ""),
        ("m.csv", "a\nb\n"),
        ("m.csv", "t,hair=x\nu,hair\n"),
        ("m.csv", "a,seed=1\n"),
        ("m.json", "[1]"),
        ("m.json", "{"),
        ("m.json", '{"a": 1}'),
    ],
)
def test_broken_mappings_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=name):
        read_mapping(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.csv", b""),
        ("t.csv", b"one column\n"),
        ("t.csv", b"a.png,blue\nb.png,red\n"),  # no header
        ("t.csv", b"file,\xff\xfe\n"),
        ("t.csv", b"file,3d\n"),
        ("t.jsonl", b"nothing\n"),
        *(
            ("t.csv", f"file,{name}\n".encode())
            for name in ("n", "seed", "out", "psi", "device", "each", "scale", "Split", "no_x")
        ),
    ],
)
def test_tables_of_no_known_format_and_reserved_names_are_refused(name: str, data: bytes) -> None:
    with pytest.raises(UserError, match=name):
        parse(name, data)


def test_no_column_of_a_dataset_can_be_an_attribute() -> None:
    assert {"id", "image", "width", "height", "split", "source", "sha256", "phash"} <= RESERVED


def test_deeply_nested_json_is_malformed(tmp_path: Path) -> None:
    nested = '{"file_name": "a.png", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    table = parse("t.jsonl", f'{nested}\n{{"file_name": "b.png", "hair": "red"}}\n'.encode())
    assert (table.malformed, table.lines) == (1, [("b.png", {"hair": "red"})])
    (tmp_path / "map.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="not a mapping"):
        read_mapping(tmp_path / "map.json")
