"""Tables find their pictures, and the report says what was taken for what."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blobs import write, write_zip
from nijigan.errors import UserError
from nijigan.importing.labels.matching import label
from nijigan.importing.labels.vocabulary import PictureLabels
from nijigan.importing.sources import list_sources

PICTURES = {"a/1.png": b"", "a/2.png": b"", "b/2.jpg": b"", "3.png": b""}


def matched(tmp_path: Path, text: str, name: str = "given.csv", pictures: dict[str, bytes] | None = None, **options):
    listing = list_sources([write(tmp_path / "pictures", pictures or PICTURES)])
    labels, report = label(listing.pictures, [], write(tmp_path, {name: text.encode()}) / name, **options)
    return {listing.pictures[row].name: values for row, values in labels.items()}, report


def found(source: Path) -> tuple[dict[str, PictureLabels], list[tuple[str, str]]]:
    """The labels of a source's pictures by their names, and the tables that are not used."""
    listing = list_sources([source])
    labels, report = label(listing.pictures, listing.tables)
    return {listing.pictures[row].name: values for row, values in labels.items()}, report.unused if report else []


def numbered(count: int, pattern: str = "{}.jpg") -> dict[str, bytes]:
    return {pattern.format(number): b"" for number in range(count)}


def test_lines_find_pictures_by_path_name_or_stem(tmp_path: Path) -> None:
    lines = ["3,red", "1.png,blue", "a/2.png,green", "./b/2.jpg,white"]
    labels, report = matched(tmp_path, "\n".join(["file,hair", *lines]))
    colours = {"3.png": "red", "a/1.png": "blue", "a/2.png": "green", "b/2.jpg": "white"}
    assert labels == {f"pictures/{name}": {"hair": colour} for name, colour in colours.items()}
    assert (report.matched, report.untagged) == (4, 0)


@pytest.mark.parametrize(
    "start", ["/data/me/pictures/", "/data/other/", "pictures/../", "elsewhere/", "..\\x\\", "https://x.org/y/"]
)
def test_paths_of_another_machine_find_pictures(tmp_path: Path, start: str) -> None:
    labels, _ = matched(tmp_path, f"file,hair\n{start}a/2.png,red\n{start}b/2.jpg,blue\n")
    assert labels == {"pictures/a/2.png": {"hair": "red"}, "pictures/b/2.jpg": {"hair": "blue"}}


def test_folders_that_tell_pictures_apart_are_never_left_out(tmp_path: Path) -> None:
    text = "file,hair\na/0.jpg,red\nb/0.jpg,blue\na/1.jpg,red\n"
    labels, report = matched(tmp_path, text, pictures=numbered(3))
    assert labels == {}
    assert report.missing == ["a/0.jpg", "b/0.jpg", "a/1.jpg"]


def test_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    lines = ["2,red", "9,red", "1,red", "1,red", "3,red", "3,blue", "short", ",red"]
    labels, report = matched(tmp_path, "\n".join(["file,hair", *lines]))
    assert labels == {"pictures/a/1.png": {"hair": "red"}}
    assert report.ambiguous == ["2"]
    assert report.missing == ["9"]
    assert report.repeated == 1
    assert report.conflicting == ["3"]
    assert report.malformed == 2
    assert report.untagged == 3
    text = " ".join(report.sentences())
    for part in ("1 pictures labelled", "3 without tags", "no picture: 9", "several pictures", "contradict", "repeat"):
        assert part in text


def test_a_conflict_costs_only_the_attribute_in_question(tmp_path: Path) -> None:
    labels, _ = matched(tmp_path, "file,hair,eyes\n1,red,blue\n1,red,green\n")
    assert labels == {"pictures/a/1.png": {"hair": "red"}}


COLOURS = ("blue", "red", "green")


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("Unnamed: 0,image_path,hair", "{row},pictures/{n}.jpg,{hair}"),
        ("index,img_name,hair", "{row},{n}.jpg,{hair}"),
        ("id,file_path,hair", "{row},pictures/{n}.jpg,{hair}"),
        ("number,file,hair", "{row},{n}.jpg,{hair}"),
        ("name,image,hair", "girl{row},{n}.jpg,{hair}"),
        ("hair,url", "{hair},{n}.jpg"),
        (",pic,hair", "{row},{n}.jpg,{hair}"),
        ("hair,whatever", "{hair},{n}"),
        ("id,hair_code,hair", "{n},{code},{hair}"),  # codes happen to be the names of three pictures
        ("id,file_name,hair", "{n},{n}.jpg,{hair}"),
        ("id,hair,", "{n},{hair},"),
    ],
)
def test_the_column_whose_cells_are_names_of_pictures_names_them(tmp_path: Path, header: str, line: str) -> None:
    order = [(7 * row + 3) % 30 for row in range(30)]
    rows = [line.format(row=row, n=n, code=n % 3, hair=COLOURS[n % 3]) for row, n in enumerate(order)]
    labels, report = matched(tmp_path, "\n".join([header, *rows]), pictures=numbered(30))
    assert {name: values["hair"] for name, values in labels.items()} == {
        f"pictures/{n}.jpg": COLOURS[n % 3] for n in range(30)
    }
    assert "the pictures are named in the column" in report.columns[0]


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("id,image_id,hair", "{row},{n},{hair}"),
        ("image_id,number,hair", "{row},{n},{hair}"),
        ("file_name,original,hair", "{row}.jpg,{n}.jpg,{hair}"),
        ("id,original,hair", "{row},{half}.jpg,{hair}"),
    ],
)
def test_two_columns_that_name_different_pictures_are_refused(tmp_path: Path, header: str, line: str) -> None:
    rows = [line.format(row=row, n=29 - row, half=row // 2, hair=COLOURS[row % 3]) for row in range(30)]
    text = "\n".join([header, *rows])
    with pytest.raises(UserError, match="both name pictures, but not the same ones.*--id-column"):
        matched(tmp_path, text, pictures=numbered(30))
    for number, column in enumerate(header.split(",")[:2]):
        labels, _ = matched(tmp_path, text, pictures=numbered(30), id_column=column.upper())
        names = [row.split(",")[number].removesuffix(".jpg") for row in rows]
        once = {name: COLOURS[row % 3] for row, name in enumerate(names) if names.count(name) == 1}
        assert {f"pictures/{name}.jpg": hair for name, hair in once.items()}.items() <= {
            name: values.get("hair") for name, values in labels.items()
        }.items()
    with pytest.raises(UserError, match="no column 'nothing'"):
        matched(tmp_path, text, pictures=numbered(30), id_column="nothing")


@pytest.mark.parametrize(
    "rows", ["00001,blue\n00002,red\n", "1.jpg,blue\n99.jpg,red\n", "00099,blue\n00001,red\n00002,red\n"]
)
def test_a_table_without_a_header_is_refused(tmp_path: Path, rows: str) -> None:
    pictures = numbered(3, "{:05}.jpg") | numbered(3)
    with pytest.raises(UserError, match="the header is about a picture"):
        matched(tmp_path, rows, pictures=pictures)


def test_columns_of_one_name_that_disagree_have_to_be_renamed(tmp_path: Path) -> None:
    rows = "".join(f"{n}.jpg,{29 - n}.jpg,red\n" for n in range(30))
    with pytest.raises(UserError, match="both name pictures, but not the same ones. Rename the wrong one"):
        matched(tmp_path, f"file,file,hair\n{rows}", pictures=numbered(30))
    with pytest.raises(UserError, match=r"more than one column 'file' \(id_column\); rename all but the one"):
        matched(tmp_path, f"file,file,hair\n{rows}", pictures=numbered(30), id_column="file")
    with pytest.raises(UserError, match="--id-column 'file' or --id-column 'File'"):
        matched(tmp_path, f"file,File,hair\n{rows}", pictures=numbered(30))
    labels, _ = matched(tmp_path, f"file,File,hair\n{rows.splitlines()[0]}", pictures=numbered(30), id_column="File")
    assert list(labels) == ["pictures/29.jpg"]


def test_the_report_says_what_became_of_each_column(tmp_path: Path) -> None:
    header = [
        "file",
        "Hair Colour",
        "hair",
        "Hair",
        "<eyes>",
        "seed",
        "caption",
        "age",
        "x" * 60,
        "Unnamed: 7",
        "3d",
        "",
    ]
    rows = [
        [f"{n}.jpg", COLOURS[n % 3], "red", "blue", ("brown", "-", "NaN")[n % 3], "3", f"girl {n}", f"{n / 7:.3f}", "1",
         str(n), "1", ""]
        for n in range(12)
    ]  # fmt: skip
    labels, report = matched(tmp_path, "\n".join(map(",".join, [header, *rows])), pictures=numbered(12))
    assert labels["pictures/0.jpg"] == {"hair_colour": "blue", "eyes": "brown"}
    assert labels["pictures/1.jpg"] == {"hair_colour": "red"}
    said = report.columns[0]
    for part in (
        "hair_colour ('Hair Colour')", "eyes ('<eyes>')", "'hair' and 'Hair' (all would be the attribute hair",
        "'seed' (its name is reserved", "'caption' (it has another value for nearly every picture)",
        "'age' (it has another value", "more than 50 characters", "'Unnamed: 7' (it has no name)", "'3d' (the name of",
        "'-' (4), 'nan' (4)",
    ):  # fmt: skip
        assert part in said
    assert "column 12" not in said  # what a trailing comma leaves
    labels, _ = matched(tmp_path, "file,glasses\n1,none\n2,round\n", pictures=numbered(3), keep={"none"})
    assert labels["pictures/1.jpg"] == {"glasses": "none"}


@pytest.mark.parametrize("column", ["label", "hair", "width"])
def test_one_reserved_column_costs_only_itself(tmp_path: Path, column: str) -> None:
    labels, _ = matched(tmp_path, f"file,{column},eyes\n1,red,blue\n2,red,red\n", pictures=numbered(3))
    expected = {"eyes": "blue"} if column == "width" else {"eyes": "blue", column: "red"}
    assert labels["pictures/1.jpg"] == expected


def test_equal_columns_of_one_name_are_one(tmp_path: Path) -> None:
    labels, _ = matched(tmp_path, "file,hair,Hair\n1,red,red\n2,blue,blue\n", pictures=numbered(3))
    assert labels["pictures/1.jpg"] == {"hair": "red"}


def test_tables_are_found_and_speak_of_their_own_folder(tmp_path: Path) -> None:
    tables = {
        "a/metadata.csv": b"file_name,hair\n2.png,red\n",
        "b/Labels.JSONL": b'{"file_name": "2.jpg", "hair": "blue"}',
        "notes.csv": b"file_name,hair\n3.png,green\n",
        "tables/train.json": b'[{"file_name": "3.png", "hair": "white"}]',  # no pictures in its folder: the one above
        "b/test.csv": b"file_name,hair\n77.png,red\n",
        "a/tags.tsv": b"file_name\tseed\n2.png\t3\n",
    }
    pictures = {**PICTURES, **tables}
    labels, unused = found(write(tmp_path / "p", pictures))
    colours = {"a/2.png": "red", "b/2.jpg": "blue", "3.png": "white"}
    assert labels == {f"p/{name}": {"hair": colour} for name, colour in colours.items()}
    assert dict(unused) == {
        "p/notes.csv": "name it with --tags to use it.",
        "p/b/test.csv": "no column names pictures of its folder.",
        "p/a/tags.tsv": "has no column that can be an attribute: 'seed' (its name is reserved; rename it).",
    }
    packed, _ = found(write_zip(tmp_path / "p.zip", {f"mydata/{name}": data for name, data in pictures.items()}))
    assert {name.replace("p.zip/mydata", "p"): values for name, values in packed.items()} == labels


def test_a_table_may_be_a_source_itself(tmp_path: Path) -> None:
    table = write(tmp_path, {"mine.csv": b"file_name,hair\n3.png,red\n"}) / "mine.csv"
    listing = list_sources([write(tmp_path / "p", PICTURES), table])
    assert list(label(listing.pictures, listing.tables)[0].values()) == [{"hair": "red"}]


def test_found_tables_may_be_broken_but_named_ones_may_not(tmp_path: Path) -> None:
    broken = {"metadata.csv": b"file_name,seed\n1.png,3\n", "labels.json": b"[" * 100_000, "tags.csv": b"\xff\xfe"}
    labels, unused = found(write(tmp_path / "pictures", {**PICTURES, **broken}))
    assert labels == {}
    assert {name for name, _ in unused} == {f"pictures/{name}" for name in broken}
    listing = list_sources([tmp_path / "pictures"])
    for name in broken:
        with pytest.raises(UserError, match=name):
            label(listing.pictures, [], tmp_path / "pictures" / name)
    with pytest.raises(UserError, match="Could not read"):
        label(listing.pictures, [], tmp_path / "nowhere.csv")
    with pytest.raises(UserError, match="not a file"):
        label(listing.pictures, [], tmp_path / "pictures")


def test_given_tags_replace_those_found(tmp_path: Path) -> None:
    listing = list_sources([write(tmp_path / "pictures", {**PICTURES, "metadata.csv": b"file_name,hair\n3.png,red\n"})])
    given = write(tmp_path / "pictures", {"tags.csv": b"file,eyes\n3,blue\n"}) / "tags.csv"
    labels, report = label(listing.pictures, list_sources([tmp_path / "pictures"]).tables, given)
    assert list(labels.values()) == [{"eyes": "blue"}]
    assert report
    assert report.unused == [("pictures/metadata.csv", "--tags names another.")]


@pytest.mark.parametrize(
    ("picture", "cell"),
    [
        ("初音\u3000ミク", "初音\u3000ミク"), ("初音\u3000ミク", "初音 ミク"), ("a\u00a0b", "a b"), ("e\u0301", "é"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"), ("so\u00adft", "soft"), ("Girl", "GIRL"),
        ("a\tb", "a\tb"),
    ],
)  # fmt: skip
def test_names_are_compared_as_people_see_them(tmp_path: Path, picture: str, cell: str) -> None:
    text = f'file,hair\n"{cell}.png",灰色\u3000薄い\n'
    labels, _ = matched(tmp_path, text, pictures={f"{picture}.png": b"", "other.png": b""})
    assert list(labels.values()) == [{"hair": "灰色\u3000薄い"}]
    assert len(labels) == 1


def test_names_that_look_alike_stay_apart(tmp_path: Path) -> None:
    pictures = {"a b.png": b"", "a\u3000b.png": b"", "c d.png": b""}
    text = "file,hair\na b.png,red\na\u3000b.png,blue\nc d.png,red\nc\u3000d.png,blue\na\u00a0b.png,green\n"
    labels, report = matched(tmp_path, text, pictures=pictures)
    assert labels == {
        "pictures/a b.png": {"hair": "red"},
        "pictures/a\u3000b.png": {"hair": "blue"},
        "pictures/c d.png": {"hair": "red"},  # not contradicted by the line of a picture that is not there
    }
    assert report.missing == ["c\u3000d.png"]
    assert report.ambiguous == ["a\u00a0b.png"]


def test_ids_are_safe_to_print(tmp_path: Path) -> None:
    _, report = matched(tmp_path, "file,hair\n\x1b]0;owned\x07x,red\n")
    assert report.missing == ["<U+001B>]0;owned<U+0007>x"]
    _, report = matched(tmp_path, '{"file_name": "\\ud800", "hair": "red"}\n', "given.jsonl")
    assert report.missing == ["<U+D800>"]
    report.sentences()[1].encode()


MAP = "blue_hair,hair=blue\nred_eyes,eyes=red\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "file,tags\n1.jpg,blue_hair red_eyes smile\n2.jpg,red_eyes\n"),
        ("t.csv", "1.jpg,blue_hair,red_eyes,smile\n2.jpg,red_eyes\n"),
        ("t.csv", "row,file,tags\n0,1.jpg,blue_hair red_eyes smile\n1,2.jpg,red_eyes\n"),
        ("t.txt", "1 blue_hair red_eyes smile\n2 red_eyes\n"),
        (
            "t.jsonl",
            '{"file": "1.jpg", "tags": ["blue hair", "red_eyes", "smile"]}\n{"file": "2.jpg", "tags": ["red_eyes"]}',
        ),
        ("t.json", '{"1.jpg": ["blue_hair", "red_eyes", "smile"], "2.jpg": "red_eyes"}'),
    ],
)
def test_a_tag_map_holds_for_every_format(tmp_path: Path, name: str, text: str) -> None:
    mapping = write(tmp_path, {"map.csv": MAP.encode()}) / "map.csv"
    labels, report = matched(tmp_path, text, name, numbered(3), tag_map=mapping)
    assert labels == {"pictures/1.jpg": {"hair": "blue", "eyes": "red"}, "pictures/2.jpg": {"eyes": "red"}}
    assert report.unknown == {"smile": 1}


def test_a_tag_map_without_tags_is_refused(tmp_path: Path) -> None:
    mapping = write(tmp_path, {"map.csv": MAP.encode()}) / "map.csv"
    listing = list_sources([write(tmp_path / "pictures", PICTURES)])
    with pytest.raises(UserError, match=r"map\.csv .*no effect"):
        label(listing.pictures, [], None, mapping)


def parquet_of_pictures(tmp_path: Path, **columns: object) -> Path:
    pictures = [{"bytes": bytes([n]), "path": None} for n in range(4)]
    pq.write_table(pa.table({"image": pictures, **columns}), tmp_path / "hf.parquet")
    return tmp_path / "hf.parquet"


def test_columns_next_to_the_pictures_of_a_parquet_file_are_labels(tmp_path: Path) -> None:
    path = parquet_of_pictures(
        tmp_path, label=["a", "b", "b", None], width=[1, 2, 3, 4], eyes=["red", "", "blue", "red"]
    )
    listing = list_sources([path])
    labels, report = label(listing.pictures, [])
    assert labels == {
        0: {"label": "a", "eyes": "red"},
        1: {"label": "b"},
        2: {"label": "b", "eyes": "blue"},
        3: {"eyes": "red"},
    }
    assert report
    assert report.sentences() == [
        "hf.parquet: attributes: label, eyes. Not used: 'width' (its name is reserved; rename it)."
    ]
    tags = write(tmp_path, {"t.csv": b"row,eyes\n1,green\n2,green\n"}) / "t.csv"
    labels, _ = label(listing.pictures, [], tags)
    assert [labels[row].get("eyes") for row in range(4)] == ["red", "green", "green", "red"]


def test_rows_of_a_parquet_file_are_named_by_its_own_ids(tmp_path: Path) -> None:
    listing = list_sources([parquet_of_pictures(tmp_path, file_name=[f"girl_{n}.png" for n in range(4)])])
    tags = write(tmp_path, {"t.csv": b"file,eyes\ngirl_1.png,green\ngirl_3,red\n"}) / "t.csv"
    assert label(listing.pictures, [], tags)[0] == {1: {"eyes": "green"}, 3: {"eyes": "red"}}


def test_a_parquet_file_without_pictures_is_a_table(tmp_path: Path) -> None:
    source = write(tmp_path / "p", PICTURES)
    for name in ("train.parquet", "notes.parquet"):
        pq.write_table(pa.table({"file_name": ["a/1.png", "3.png"], "hair": ["red", "blue"]}), source / name)
    (source / "val.parquet").write_bytes(b"PAR1")
    labels, unused = found(source)
    assert labels == {"p/a/1.png": {"hair": "red"}, "p/3.png": {"hair": "blue"}}
    assert [name for name, _ in unused] == ["p/notes.parquet"]
    assert [name for name, _ in list_sources([source]).aside] == ["p/val.parquet"]
