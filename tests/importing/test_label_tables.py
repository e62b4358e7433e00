import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nijigan.errors import UserError
from nijigan.importing.labels.csv_tables import csv_table, read_csv
from nijigan.importing.labels.json_tables import json_table
from nijigan.importing.labels.parquet_tables import parquet_table
from nijigan.importing.labels.tables import Table, decode_text
from nijigan.importing.labels.tag_words import labels_of, pairs_table, read_tag_map, words_table
from nijigan.importing.labels.vocabulary import LONGEST_NAME, RESERVED, attribute, names_pictures, value

MEANING = {"blue_hair": ("hair", "blue"), "aqua_hair": ("hair", "aqua"), "red_eyes": ("eyes", "red")}
RECORDS = [["a.png", "blue"], ["b.png", None]]


def test_pairs() -> None:
    lines = "0,aqua hair red eyes\n1,light blue hair Green eyes\n\n2,something else\n"
    table = pairs_table(read_csv("tags.csv", lines))
    assert table
    assert table.rows == [["0", "aqua", "red"], ["1", "light blue", "Green"]]
    assert table.malformed == 1
    headed = pairs_table(read_csv("tags.csv", "id,tags\n0,aqua hair red eyes\n"))
    assert headed
    assert headed.rows == [["0", "aqua", "red"]]
    assert pairs_table([["file", "hair"], ["a.png", "blue"]]) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "file,hair\na.png,blue\nb.png,\n"),
        ("t.csv", 'file;"hair"\r\na.png;blue\r\nb.png;\r\n\r\n'),
        ("t.tsv", "file\thair\na.png\tblue\nb.png\t\n"),
        ("t.csv", "file,hair\na.png,blue,\nb.png,,\n"),
    ],
)
def test_csv(name: str, text: str) -> None:
    table = csv_table(name, read_csv(name, text))
    assert (table.header, table.rows, table.headed) == (["file", "hair"], [["file", "hair"], *RECORDS], False)


def test_short_and_long_lines_are_malformed_and_tables_of_r_have_a_column_more() -> None:
    assert csv_table("t.csv", read_csv("t.csv", "file,hair\na.png,red\nb.png\nc.png,red,extra\n")).malformed == 2
    table = csv_table("t.csv", read_csv("t.csv", '"file" , "hair"\n1,a.png,red\n2,b.png,blue\n'))
    assert (table.header[0], table.rows[1]) == ("", ["1", "a.png", "red"])


@pytest.mark.parametrize(
    "text",
    [
        '{"file": "a.png", "hair": "blue"}\n\n{"file": "b.png", "hair": null}\n',
        '[{"file": "a.png", "hair": "blue"}, {"file": "b.png"}]',
        '{"file": ["a.png", "b.png"], "hair": ["blue", ""]}',
        '{"file": {"0": "a.png", "1": "b.png"}, "hair": {"0": "blue", "1": NaN}}',
        '{"version": "1", "pictures": [{"file": "a.png", "hair": "blue"}, {"file": "b.png"}]}',
    ],
)
def test_json(text: str) -> None:
    table = json_table("t.json", text)
    assert (table.header, table.rows, table.headed) == (["file", "hair"], RECORDS, True)


def test_json_by_file_name_and_of_stylegan() -> None:
    assert json_table("t.json", '{"a.png": {"hair": "blue"}, "b.png": {"hair": ["red"]}}').rows == [
        ["a.png", "blue"],
        ["b.png", ("red",)],
    ]
    assert json_table("t.json", '{"a.png": ["blue_hair", "smile"]}').rows == [["a.png", ("blue_hair", "smile")]]
    stylegan = json_table("dataset.json", '{"labels": [["00/a.png", 0], ["00/b.png", 1]]}')
    assert (stylegan.header, stylegan.rows[1:]) == (["file_name", "label"], [["00/a.png", "0"], ["00/b.png", "1"]])
    assert json_table("t.jsonl", '{"pic": "a.png", "hair": "blue"}').header == ["pic", "hair"]  # one line is no map


def test_what_json_cannot_say_is_counted() -> None:
    nested = '{"file": "a.png", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    huge = '{"file": "b.png", "x": ' + "9" * 10_000 + "}"
    twice = '{"file": "c.png", "hair": "red", "hair": "blue"}'
    good = '{"file": "d.png", "hair": true, "box": {"x": 1}, "ids": [[1]]}'
    table = json_table("t.jsonl", "\n".join([nested, huge, twice, '["e.png"]', "{broken", good]))
    assert table.malformed == 5
    assert table.rows == [["d.png", "True", None, None]]
    assert set(table.unusable) == {2, 3}


@pytest.mark.parametrize(
    "text", ["", "nothing", "[]", "3", "[" * 100_000, '{"images": [{"id": 1}], "boxes": [{"a": 2}]}']
)
def test_json_without_a_table_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"t\.json is not a table"):
        json_table("t.json", text)


def write_parquet(path: Path, columns: dict, features: dict | None = None) -> Path:
    table = pa.table(columns)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[" + b'{"a":1},' * 1_000_001 + b"{}]", "1,000,002 objects, more than the limit of 1,000,000"),
        (b"[" * 1_000_001, "1,000,001 lists"),
        (b"\n" * 3_000_001, "3,000,001 lines"),
        (b"\r" * 3_000_001, "3,000,001 lines"),
        (b"," * 10_000_001, "10,000,001 commas"),
    ],
)
def test_tables_with_too_many_values_are_refused_before_they_are_read(text: bytes, said: str) -> None:
    with pytest.raises(UserError, match=f"t.json has {said}"):
        decode_text("t.json", text)


def test_parquet_gives_the_cells_of_csv(tmp_path: Path) -> None:
    columns = {
        "file": ["a.png", "b.png", "c.png"],
        "hair": pa.array(["blue", None, " red "]).dictionary_encode(),
        "year": [2003.0, None, 2004.0],
        "share": pa.array([0.1, 1, 2.5], pa.float32()),
        "hat": [True, False, None],
        "tags": [["x", "y"], None, ["z"]],
        "kind": pa.array([0, 2, -1], pa.int8()),
        "kinds": [[0], [1], []],
        "day": pa.array([0, 86_400, None], pa.timestamp("s")),
        "box": [{"x": 1}, {"x": 2}, {"x": 3}],
        "image": [{"bytes": b"", "path": "a"}] * 3,
    }
    classes = {"_type": "ClassLabel", "names": ["safe", "odd", "art"]}
    path = write_parquet(
        tmp_path / "t.parquet", columns, {"kind": classes, "kinds": {"_type": "Sequence", "feature": classes}}
    )
    table = parquet_table("t.parquet", path)
    assert table.header == [name for name in columns if name != "box"] + ["box"]
    assert table.rows == [
        ["a.png", "blue", "2003.0", "0.1", "True", ("x", "y"), "safe", ("safe",), "1970-01-01", "a", None],
        ["b.png", None, None, "1.0", "False", None, "art", ("odd",), "1970-01-02", "a", None],
        ["c.png", "red", "2004.0", "2.5", None, ("z",), None, None, None, "a", None],
    ]
    assert table.unusable == dict.fromkeys((9, 10), "its cells are nested")
    assert parquet_table("t.parquet", path, of_pictures=True).header == [name for name in columns if name != "image"]


def test_parquet_files_of_other_writers(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table({"file": ["a.png"], "hair.dyed": ["x"], "tags": [["y"]]})
    pq.write_table(table, path, use_compliant_nested_type=False)  # lists are called item, not element
    assert parquet_table("t.parquet", path).rows == [["a.png", "x", ("y",)]]
    twice = pa.Table.from_arrays([pa.array(["a.png"]), pa.array(["x"]), pa.array(["y"])], ["file", "hair", "hair"])
    pq.write_table(twice, path)
    assert parquet_table("t.parquet", path).rows == [["a.png", "x", "y"]]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"t\.parquet is not a Parquet file, or is damaged"):
        parquet_table("t.parquet", path)


def test_a_small_parquet_file_cannot_grow_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "x" * 10_000
    path = write_parquet(tmp_path / "t.parquet", {"hair": [long] * 300, "tags": [[long]] * 300})
    assert path.stat().st_size < 10_000
    table = parquet_table("t.parquet", path)
    assert len({id(row[0]) for row in table.rows}) == 1  # one text, not 300 copies
    monkeypatch.setattr("nijigan.importing.labels.parquet_tables.MAX_GROWTH", 1000)
    with pytest.raises(UserError, match=r"t\.parquet grows by more than 1,000 bytes"):
        parquet_table("t.parquet", path)
    with pytest.raises(UserError, match="not a file"):
        parquet_table("t.parquet", tmp_path)


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
    table = words_table(read_csv("tags.txt", f"{line}\n{line.replace('a.png', 'b.png')}\n"))
    unknown: dict[str, int] = {}
    for name, row in zip(("a.png", "b.png"), table.rows, strict=True):
        assert row[0] == name
        assert labels_of(row[1:], MEANING, unknown) == ({"hair": "blue", "eyes": "red"}, False)
    assert unknown == {"1girl": 2}


def test_words_that_contradict_each_other_label_nothing() -> None:
    assert labels_of([("blue hair", "aqua_hair", "red_eyes")], MEANING, {}) == ({"eyes": "red"}, True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.csv", "blue_hair,hair=blue\naqua_hair,hair=aqua\nred_eyes,eyes=red\n"),
        ("map.csv", "tag,meaning\nblue_hair,Hair=blue\naqua_hair,hair=Aqua\nred_eyes,eyes=red\n"),
        ("map.json", json.dumps({tag: "=".join(target) for tag, target in MEANING.items()})),
    ],
)
def test_tag_maps(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_tag_map(tmp_path / name) == MEANING


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", ""),
        ("m.csv", "a\nb\n"),
        ("m.csv", "t,hair=x\nu,hair\n"),
        ("m.csv", "t,hair=\n"),
        ("m.csv", "a,seed=1\n"),
        ("m.csv", "a,hair=red\na,hair=blue\n"),
        ("m.csv", f"a,{'x' * (LONGEST_NAME + 1)}=1\n"),
        ("m.json", "[1]"),
        ("m.json", "{"),
        ("m.json", '{"a": 1}'),
        ("m.json", "[" * 100_000),
    ],
)
def test_broken_tag_maps_are_refused_by_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=name):
        read_tag_map(tmp_path / name)


def test_no_column_of_a_dataset_and_no_option_can_be_an_attribute() -> None:
    assert {"id", "image", "width", "height", "split", "source", "sha256", "phash", "read", "h", "help"} <= RESERVED
    for name in ("n", "seed", "out", "psi", "device", "each", "scale", "Split", "no_x", "h", "image", "3d", "", "髪"):
        with pytest.raises(ValueError, match="name"):
            attribute(name)
    with pytest.raises(ValueError, match="more than 50"):
        attribute("x" * 300)
    assert [attribute(name) for name in ("Hair Colour", "<script>", "-x", "label")] == [
        "hair_colour", "script", "x", "label",
    ]  # fmt: skip


def test_values_are_kept_as_written_but_safe() -> None:
    assert value(" 灰色\u3000薄い ") == "灰色\u3000薄い"
    assert value("Light\u00a0Blue") == "light\u00a0blue"
    assert value("a\x1b[2J\ud800") == "a<u+001b>[2j<u+d800>"


def test_headers_of_picture_names() -> None:
    names = ("file_name", "Filename", "img", "image path", "image_id", "url", "path", "id", "name", "picture-name")
    others = ("index", "", "Unnamed: 0", "hair", "image_style", "number", "video")
    assert [names_pictures(header) for header in (*names, *others)] == [True] * len(names) + [False] * len(others)


def test_a_table_without_a_second_column_is_refused() -> None:
    for rows in ([], [["one column"]]):
        with pytest.raises(UserError, match=r"t\.csv is not a table"):
            csv_table("t.csv", rows)
    assert Table(["a"], [["1"]]).column(0) == ["1"]


def test_tables_within_limits_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nijigan.importing.labels.tables.MAX_CELLS", 100)
    for text in ("a," * 200, "a,b\n" * 60):
        with pytest.raises(UserError, match=r"t\.csv has more than 100 cells"):
            read_csv("t.csv", text)
    with pytest.raises(UserError, match="more than 100 cells"):
        json_table("t.json", json.dumps([{str(n): n} for n in range(50)]))
    monkeypatch.setattr("nijigan.importing.labels.tables.MAX_BYTES", 100)
    with pytest.raises(UserError, match=r"t\.csv is larger than 100 bytes"):
        decode_text("t.csv", b"x" * 101)
    assert pairs_table([["1", " hair " * 20_000]]) is None  # at once
