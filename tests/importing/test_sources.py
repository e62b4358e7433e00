import os
import struct
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blobs import blob, encode, write, write_zip
from nijigan.dataset import picture_rows
from nijigan.errors import UserError
from nijigan.importing import sources
from nijigan.importing.sources import Listing, list_sources, overlooked_labels, read

PICTURE = encode(blob(0))


def names(listing: Listing) -> list[str]:
    return sorted(entry.name for entry in listing.pictures)


def contents(listing: Listing) -> dict[str, bytes]:
    return {entry.name: read(entry.file, entry.position) for entry in listing.pictures}


def test_folders_are_walked_to_the_bottom(tmp_path: Path) -> None:
    files = {"a.png": b"1", "deep/er/B.JPG": b"2", "deep/c.webp": b"3", "notes.txt": b"", "tags.csv": b""}
    listing = list_sources([write(tmp_path / "pictures", {**files, ".thumbnails/a.png": b"4", "._a.png": b"5"})])
    assert contents(listing) == {"pictures/a.png": b"1", "pictures/deep/er/B.JPG": b"2", "pictures/deep/c.webp": b"3"}
    assert [entry.name for entry in listing.tables] == ["pictures/tags.csv"]
    assert [name for name, _ in listing.aside] == ["pictures/notes.txt"]


def test_links_that_lead_out_of_a_folder_are_named_and_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", {"a.png": b"1", "b/c.png": b"2", "faces.parquet": b"", "a.csv": b""})
    folder = write(tmp_path / "pictures", {"b.png": b"2", "inner/c.png": b"3"})
    for link, target in {
        "elsewhere": "../elsewhere", "a.png": "../elsewhere/a.png", "faces.parquet": "../elsewhere/faces.parquet",
        "tags.csv": "../elsewhere/a.csv", "chain.png": "a.png", "passwd.png": "/etc/passwd", "gone.png": "../gone",
        "inner/up": "../..", "inside.png": "inner/c.png", "self": ".", "again": "inner", "loop.png": "loop.png",
        ".hidden": "../elsewhere", "pictures2.png": "../pictures2/a.png",
    }.items():  # fmt: skip
        (folder / link).symlink_to(target)
    listing = list_sources([folder])
    # A link that points to itself leads nowhere, and cannot be read.
    assert names(listing) == ["pictures/b.png", "pictures/inner/c.png", "pictures/inside.png", "pictures/loop.png"]
    assert sorted(listing.links) == [
        f"pictures/{name}" for name in (
            "a.png", "chain.png", "elsewhere", "faces.parquet", "gone.png", "inner/up", "passwd.png", "pictures2.png",
            "tags.csv",
        )
    ]  # fmt: skip
    assert listing.tables == []
    with pytest.raises(OSError, match="symbolic links"):
        read(str(folder / "loop.png"), 0)


def test_a_source_that_is_a_link_is_followed(tmp_path: Path) -> None:
    folder = write(tmp_path / "elsewhere", {"a.png": b"1", "b.png": b"2"})
    (tmp_path / "link").symlink_to(folder)
    (folder / "c.png").symlink_to(folder / "b.png")
    (tmp_path / "one.png").symlink_to(folder / "a.png")
    listing = list_sources([tmp_path / "link", tmp_path / "one.png"])
    assert names(listing) == ["elsewhere/a.png", "elsewhere/b.png", "elsewhere/c.png", "one.png"]
    assert listing.links == []


def test_links_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", {"a.png": b"1"})
    folder = write(tmp_path / "pictures", {"b.png": b"2"})
    (folder / "elsewhere").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    (folder / "broken.png").symlink_to(tmp_path / "nowhere")
    listing = list_sources([folder], follow_links=True)
    assert names(listing) == ["pictures/b.png", "pictures/broken.png", "pictures/elsewhere/a.png"]
    assert listing.links == []


def test_a_folder_that_cannot_be_read_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "pictures", {"a.png": b"1", "locked/b.png": b"2"})
    real = os.scandir

    def scandir(path: str) -> object:  # root may read everything, so permissions alone prove nothing
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    listing = list_sources([folder])
    assert names(listing) == ["pictures/a.png"]
    assert listing.aside == [("pictures/locked", "unreadable folder: Permission denied")]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_archives_are_read_in_place(tmp_path: Path, compression: int) -> None:
    files = {"faces/a.jpg": b"1" * 99, "faces/a.JPG": b"2", "x.txt": b"", "tags.csv": b"", "__MACOSX/faces/a.jpg": b""}
    listing = list_sources([write_zip(tmp_path / "a.zip", files, compression)])
    assert contents(listing) == {"a.zip/faces/a.jpg": b"1" * 99, "a.zip/faces/a.JPG": b"2"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_entries_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", b"2")
    assert [read(entry.file, entry.position) for entry in list_sources([tmp_path / "a.zip"]).pictures] == [b"1", b"2"]


@pytest.mark.parametrize(
    "name", ["../../evil.png", "/etc/evil.png", "C:\\evil.png", "a/../../../evil.png", "evil\x1b[2J.png"]
)
def test_names_in_archives_are_only_names(tmp_path: Path, name: str) -> None:
    (tmp_path / "inner").mkdir()
    listing = list_sources([write_zip(tmp_path / "inner" / "a.zip", {name: b"1"})])
    assert list(contents(listing).values()) == [b"1"]
    assert all(entry.name.isprintable() and entry.file.endswith("a.zip") for entry in listing.pictures)
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", "a.zip"]


def test_what_an_archive_must_not_hold_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 1000)
    path = write_zip(
        tmp_path / "a.zip", {"inner.zip": b"", "big.png": bytes(1001), "locked.png": b"1", "good.png": b"2"}
    )
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # set the flag that says: encrypted
        place = data.index(b"locked.png", data.index(signature)) - (30 if offset == 6 else 46)
        place = place if data[place : place + 4] == signature else data.rindex(b"locked.png") - 46
        struct.pack_into("<H", data, place + offset, 1)
    path.write_bytes(data)
    listing = list_sources([path])
    assert contents(listing) == {"a.zip/good.png": b"2"}
    assert dict(listing.aside) == {
        "a.zip/inner.zip": "an archive within a source; import it on its own",
        "a.zip/big.png": "larger than 1,000 bytes",
        "a.zip/locked.png": "encrypted",
    }


def test_archive_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = write_zip(tmp_path / "bomb.zip", {f"{n}.png": bytes(2**26) for n in range(4)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="would unpack"):
        list_sources([bomb])
    path = write_zip(tmp_path / "a.zip", {f"{n}.png": b"1" for n in range(4)})
    monkeypatch.setattr(sources, "MAX_ENTRIES", 3)
    with pytest.raises(UserError, match="holds 4 files"):
        list_sources([path])
    monkeypatch.setattr(sources, "MAX_ARCHIVE_BYTES", 3)
    with pytest.raises(UserError, match="3"):
        list_sources([path])


def test_an_entry_that_lies_about_its_size_is_cut_off(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.png": bytes(10**6)}, zipfile.ZIP_DEFLATED)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 10**6), struct.pack("<I", 10)))
    (entry,) = list_sources([path]).pictures
    with pytest.raises(zipfile.BadZipFile):
        read(entry.file, entry.position)


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_damaged_archives_are_set_aside(tmp_path: Path, data: bytes) -> None:
    listing = list_sources([*(write(tmp_path, {"a.zip": data, "b.png": b"1"}) / name for name in ("a.zip", "b.png"))])
    assert names(listing) == ["b.png"]
    assert "not a zip archive" in dict(listing.aside)["a.zip"]


def test_parquet_with_hugging_face_pictures_or_plain_bytes(tmp_path: Path) -> None:
    pictures = [str(n).encode() for n in range(25)]
    structs = pa.array([{"bytes": data, "path": f"{n}.jpg"} for n, data in enumerate(pictures)])
    pq.write_table(pa.table({"label": range(25), "image": structs}), tmp_path / "hf.parquet", row_group_size=10)
    pq.write_table(pa.table({"jpg": pictures}), tmp_path / "plain.parquet", row_group_size=7)
    pq.write_table(pa.table({"text": ["none"]}), tmp_path / "text.parquet")
    listing = list_sources([tmp_path])
    found = contents(listing)
    assert [found[f"{tmp_path.name}/hf.parquet/{n}.jpg"] for n in range(25)] == pictures
    assert [found[f"{tmp_path.name}/plain.parquet/{n}"] for n in range(25)] == pictures
    assert [table.name for table in listing.tables] == [f"{tmp_path.name}/text.parquet"]  # it may hold labels


def test_sources_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        list_sources([tmp_path / "nowhere"])


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (entry,) = list_sources([tmp_path]).pictures
    with pytest.raises(OSError, match="regular"):
        read(entry.file, entry.position)


@pytest.mark.parametrize("name", ["pipe.zip", "pipe.parquet", "pipe.png", "faces"])
def test_a_source_that_is_no_regular_file_is_set_aside(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert list_sources([tmp_path / name]).aside == [(name, "not a regular file")]


def test_a_link_in_an_archive_is_set_aside(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        entry = zipfile.ZipInfo("link.png")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    assert list_sources([tmp_path / "a.zip"]).aside == [("a.zip/link.png", "a symbolic link")]


def test_a_source_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be opened: File name too long\."):
        list_sources([tmp_path / ("x" * 300)])


def test_a_large_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(2**40)  # sparse: it takes no space on the disk
    with pytest.raises(OSError, match="larger than 268,435,456 bytes"):
        read(str(tmp_path / "a.png"), 0)


def test_a_pipe_with_the_name_of_a_parquet_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.parquet")
    assert list_sources([tmp_path]).aside == [(f"{tmp_path.name}/pipe.parquet", "not a regular file")]


def test_a_parquet_file_with_too_many_rows_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"image": pa.nulls(5, pa.binary())}), tmp_path / "rows.parquet")
    monkeypatch.setattr(picture_rows, "MAX_ROWS", 4)
    ((_, reason),) = list_sources([tmp_path]).aside
    assert "5 rows, more than the limit of 4" in reason


def test_an_archive_of_another_kind_is_not_called_an_archive_within_a_source(tmp_path: Path) -> None:
    (tmp_path / "pictures.tar").write_bytes(b"")
    listing = list_sources([tmp_path / "pictures.tar"])
    assert [reason for _, reason in listing.aside] == ["only .zip archives are read"]


def test_names_keep_their_characters_and_stay_apart(tmp_path: Path) -> None:
    names = [
        "初音\u3000ミク",
        "a\u00a0b",
        "\U0001f469\u200d\U0001f4bb",
        "so\u00adft",
        "tab\there",
        "new\nline",
        "e\u0301",
    ]
    folder = write(tmp_path / "p", {f"{name}.png": b"1" for name in names})
    (folder / os.fsdecode(b"\xff.png")).write_bytes(b"1")
    listed = {picture.name for picture in list_sources([folder]).pictures}
    expected = {name.replace("\t", "<U+0009>").replace("\n", "<U+000A>") for name in names} | {"<U+DCFF>"}
    assert listed == {f"p/{name}.png" for name in expected}
    for name in listed:
        name.encode()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([("ソ初音.png", "cp932"), ("a.png", "ascii")], ["ソ初音.png", "a.png"]),  # ソ ends in the byte of a backslash
        ([("初音.png", "utf-8")], ["初音.png"]),
        ([("café.png", "cp437")], ["café.png"]),
    ],
)
def test_archives_of_other_systems_have_readable_names(
    tmp_path: Path, names: list[tuple[str, str]], expected: list[str]
) -> None:
    path = write_zip(tmp_path / "a.zip", {f"{n}{'x' * (len(t.encode(c)) - 1)}": b"1" for n, (t, c) in enumerate(names)})
    data = path.read_bytes()
    for n, (text, encoding) in enumerate(names):
        raw = text.encode(encoding)
        data = data.replace(f"{n}{'x' * (len(raw) - 1)}".encode(), raw)
    path.write_bytes(data)
    assert [picture.name for picture in list_sources([path]).pictures] == [f"a.zip/{name}" for name in expected]


def test_parquet_files_in_archives_have_a_reason_of_their_own(tmp_path: Path) -> None:
    listing = list_sources(
        [write_zip(tmp_path / "x.zip", {"set/faces-00000.parquet": b"PAR1", "set/dataset.json": b""})]
    )
    assert listing.aside == [
        ("x.zip/set/faces-00000.parquet", "Parquet files in archives are not read; unpack the archive")
    ]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["labels.xlsx"], ["Not read: labels.xlsx; save it as CSV."]),
        (
            ["Tags.feather", "labels.csv.gz", "a/labels.csv.bak", "list_attr_celeba.txt", "metadata"],
            [
                "Not read: Tags.feather, labels.csv.gz, list_attr_celeba.txt, metadata, labels.csv.bak; save them as "
                "CSV."
            ],
        ),
        (
            ["0.txt", "a/1.png.txt", "a/2.txt", "0.json"],
            [
                "Not read: 1 .json files that are named like pictures; put their tags into one table to use them.",
                "Not read: 2 .txt files that are named like pictures; put their tags into one table to use them.",
            ],
        ),
        (["train.zip", "train.tar.gz", "train.py", "labels.csv", "notes.txt", "data.parquet"], []),
        (
            ["red/3.png", "blue/4.png"],
            [
                "Names of folders, such as a and blue, are not labels. To use them, write a table with the header "
                "file_name,label and lines such as a/1.jpg,a, and name it with --tags."
            ],
        ),
        (["train/3.png", "0001/4.png", "b/c/5.png"], []),
    ],
)
def test_what_may_hold_labels_and_is_not_read_is_named(tmp_path: Path, files: list[str], said: list[str]) -> None:
    listing = list_sources([write(tmp_path / "p", dict.fromkeys(["0.png", "a/1.png", *files], b""))])
    assert overlooked_labels(listing, None, labelled=False) == said
    packed = list_sources([write_zip(tmp_path / "p.zip", dict.fromkeys(["0.png", "a/1.png", *files], b""))])
    assert (
        sorted(overlooked_labels(packed, None, labelled=False)) == sorted(said) or len(files) == 5
    )  # in another order
    assert [line for line in overlooked_labels(listing, None, labelled=True) if "folders" in line] == []


def test_a_table_that_the_user_named_is_not_called_unread(tmp_path: Path) -> None:
    listing = list_sources([write(tmp_path / "p", {"0.png": b"", "tags.txt": b""})])
    assert overlooked_labels(listing, tmp_path / "p" / "tags.txt", labelled=True) == []
