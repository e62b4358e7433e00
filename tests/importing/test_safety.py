"""What an import must not lose: the dataset before it, what other people keep in its folder, and other imports."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blobs import blob, encode, write
from conftest import forget_checksums
from nijigan.cli.common import open_or_import
from nijigan.cli.data import Import
from nijigan.cli.entry import parse
from nijigan.dataset.faces import FaceDataset
from nijigan.dataset.limits import MAX_PIXELS
from nijigan.dataset.manifest import is_dataset
from nijigan.errors import UserError
from nijigan.files import folder_lock
from nijigan.importing import importer
from nijigan.importing.importer import ImportOptions, import_faces
from nijigan.importing.store import split_faces


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A dataset of ten faces."""
    import_faces([pictures(tmp_path / "ten", range(10))], tmp_path / "work" / "faces")
    return tmp_path / "work" / "faces"


def pictures(folder: Path, seeds: range) -> Path:
    return write(folder, {f"{seed}.png": encode(blob(seed)) for seed in seeds})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def size(path: Path) -> int:
    return len(FaceDataset(path).table)


def test_a_dataset_that_lost_its_name_is_found_by_every_reader(out: Path, tmp_path: Path) -> None:
    more = pictures(tmp_path / "more", range(20, 25))
    readers = {
        "open": lambda: size(out),
        "open_or_import": lambda: len(open_or_import(out).table),
        "open_or_import, of pictures": lambda: len(open_or_import(out.with_name("fac")).table),
        "import into it": lambda: import_faces([more], out).faces - 5,
        "import from it": lambda: import_faces([out], tmp_path / "copy").faces,
    }
    for name, read in readers.items():
        target = out.with_name("fac-faces") if "of pictures" in name else out
        shutil.copytree(out, out.with_name("backup"))
        pictures(out.with_name("fac"), range(3))
        out.rename(target.with_name(f".{target.name}.0a0a0a0a.old"))
        assert read() == 10, name
        assert names(target.parent) == sorted(["backup", "fac", target.name]), name
        shutil.rmtree(target)
        out.with_name("backup").rename(out)


def test_a_deleted_dataset_does_not_come_back(out: Path) -> None:
    shutil.copytree(out, out.with_name(".faces.0a0a0a0a.old"))
    shutil.copytree(out, out.with_name(".faces.0b0b0b0b.new"))
    assert size(out) == 10
    assert names(out.parent) == ["faces"]
    shutil.rmtree(out)
    with pytest.raises(UserError, match="is not a dataset"):
        FaceDataset(out)


def test_what_else_lies_in_the_folder_stays(out: Path, tmp_path: Path) -> None:
    FaceDataset(out).pixels("train", 16)
    others = {
        "run/checkpoints/1.safetensors": b"weights", "run/dataset.json": b"{}", "NOTES.txt": b"mine", ".git/HEAD": b"x",
        "faces-mine.parquet": b"mine", "cache.bak/train.npy": b"mine", "pictures.tmp": b"mine", "dataset.json.bak": b"",
        "my-contact-sheet.png": b"mine",
    }  # fmt: skip
    write(out, others)
    (out / "link").symlink_to(tmp_path)
    (out / "dangling").symlink_to(tmp_path / "nowhere")
    import_faces([pictures(tmp_path / "more", range(20, 25))], out)
    assert size(out) == 15
    for name, data in others.items():
        assert (out / name).read_bytes() == data
    assert (out / "link").is_symlink()
    assert (out / "dangling").is_symlink()
    assert not (out / "cache").exists()  # of the faces before; it may be deleted at any time
    assert names(out.parent) == ["faces"]


@pytest.mark.parametrize("name", ["faces-00001.parquet", "faces-7.parquet", "faces-1.parquet/notes.txt"])
def test_files_named_like_faces_are_not_replaced(out: Path, tmp_path: Path, name: str) -> None:
    write(out, {name: b"mine"})
    assert size(out) == 10
    more = pictures(tmp_path / "more", range(20, 25))
    for change in (lambda: import_faces([more], out), lambda: split_faces(out, 0.5)):
        with pytest.raises(UserError, match=f"{name.split('/')[0]} is not part of the dataset there.* move it"):
            change()
    assert (out / name).read_bytes() == b"mine"
    report = import_faces([out], tmp_path / "copy")
    assert report.faces == 10
    assert report.left_out == ({} if "/" in name else {"not a picture": 1})
    assert size(out) == 10


def test_a_dataset_that_lost_a_file_is_not_half_copied(out: Path, tmp_path: Path) -> None:
    (out / "faces-00000.parquet").rename(out / "faces-00001.parquet")
    with pytest.raises(UserError, match="faces is damaged .faces-00000.parquet is missing"):
        import_faces([out], tmp_path / "copy")


def test_a_folder_that_holds_no_dataset_is_still_refused(tmp_path: Path) -> None:
    write(tmp_path / "out", {"run/log.jsonl": b""})
    with pytest.raises(UserError, match="is not a dataset"):
        import_faces([pictures(tmp_path / "p", range(2))], tmp_path / "out")
    assert names(tmp_path) == ["out", "p"]


def test_a_second_import_into_the_same_folder_is_refused(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more, others = pictures(tmp_path / "more", range(20, 25)), pictures(tmp_path / "others", range(30, 35))
    (tmp_path / "alias").symlink_to(out)
    real = importer.write_faces

    def write_faces(*arguments: object) -> None:
        monkeypatch.setattr(importer, "write_faces", real)
        for place in (out, tmp_path / "alias", out.parent / "." / "faces"):
            with pytest.raises(UserError, match="Another process is using .*faces; wait for it to end, or stop it"):
                import_faces([others], place)
        assert size(out) == 10  # readers are not kept waiting
        import_faces([others], out.with_name("other"))
        real(*arguments)

    monkeypatch.setattr(importer, "write_faces", write_faces)
    assert import_faces([more], out).faces == 15
    assert import_faces([others], out).faces == 20
    assert names(out.parent) == ["faces", "other"]


def test_a_failed_import_leaves_nothing_behind(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no usable picture"):
        import_faces([write(tmp_path / "words", {"a.png": b"words"})], out.with_name("new"))
    assert names(out.parent) == ["faces"]


KILLED = """
import os, sys
from pathlib import Path
from nijigan.importing import importer
setattr(importer, sys.argv[3], lambda *_, **__: os._exit(9))
importer.import_faces([Path(sys.argv[1])], Path(sys.argv[2]), crop=len(sys.argv) > 4)
"""


@pytest.mark.parametrize("step", ["measure", "write_csv"])
def test_a_killed_import_is_cleaned_up_by_the_next_command(out: Path, tmp_path: Path, step: str) -> None:
    write(out, {"run/log.jsonl": b"mine"})
    more = pictures(tmp_path / "more", range(20, 25))
    done = subprocess.run([sys.executable, "-c", KILLED, more, out, step], check=False)
    assert done.returncode == 9
    assert size(out) == 10
    assert import_faces([more], out).faces == 15
    assert (out / "run" / "log.jsonl").read_bytes() == b"mine"
    assert names(out.parent) == ["faces"]


def test_reading_does_not_disturb_an_import_under_way(out: Path) -> None:
    unfinished = out.with_name(".faces.0a0a0a0a.new")
    unfinished.mkdir()
    with folder_lock(out.with_name("other")):
        pass
    with folder_lock(out):
        unfinished.mkdir()
        assert is_dataset(out)
        assert unfinished.exists()
    assert is_dataset(out)
    assert not unfinished.exists()


def test_a_damaged_dataset_among_the_sources_is_named(out: Path, tmp_path: Path) -> None:
    import_faces([write(tmp_path / "t", {**{f"{n}.png": encode(blob(n)) for n in range(40, 45)},
                                         "tags.csv": b"file,hair\n40.png,red\n"})], out)  # fmt: skip
    parquet = out / "faces-00000.parquet"
    data = parquet.read_bytes()
    place = data.index(b"red")  # in the page; the others are statistics
    parquet.write_bytes(data[:place] + b"rad" + data[place + 3 :])
    with pytest.raises(UserError, match="damaged"):
        import_faces([out], tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_the_options_for_mixed_collections_and_links_reach_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, object] = {}
    monkeypatch.setattr(importer, "import_faces", lambda *_, **options: seen.update(options))
    command = parse(["import", "art", "--out", "faces", "--crop", "--keep-faces", "--follow-links"])
    command.run()
    assert seen["crop"] is seen["keep_faces"] is seen["follow_links"] is True


def test_the_command_line_and_the_library_have_the_same_limit_of_pixels(tmp_path: Path) -> None:
    assert Import((tmp_path,), tmp_path).max_pixels == ImportOptions().max_pixels == MAX_PIXELS


def test_the_current_folder_is_not_replaced(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = pictures(tmp_path / "more", range(20, 25))
    (tmp_path / "empty").mkdir()
    (out / "run").mkdir()
    for here, there in ((out, Path()), (out, out), (out / "run", Path("..")), (tmp_path / "empty", Path())):
        monkeypatch.chdir(here)
        with pytest.raises(UserError, match=r"The current folder is in .*, which an import replaces\."):
            import_faces([more], there)
    monkeypatch.chdir(out)
    assert import_faces([more], Path("new")).faces == 5
    assert size(out) == 10


def test_a_folder_whose_name_is_not_unicode_is_refused_as_target_and_read_as_source(out: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xe9t\xe9")
    with pytest.raises(UserError, match=r"'.*\\udce9t\\udce9' is not Unicode; choose another name"):
        import_faces([out], odd)
    shutil.copytree(out, odd / os.fsdecode(b"faces\xff"))
    shutil.copy(out / "faces-00000.parquet", odd / os.fsdecode(b"\xff.parquet"))
    (odd / "data.parquet").mkdir()
    shutil.copy(tmp_path / "ten" / "0.png", odd / "data.parquet" / os.fsdecode(b"\xff.png"))
    report = import_faces([odd], tmp_path / "copy")
    assert (report.faces, report.files, report.left_out) == (10, 21, {"exact duplicate": 11})
    assert size(odd / os.fsdecode(b"faces\xff")) == 10


@pytest.mark.parametrize("kind", ["pipe", "folder", "nothing"])
def test_a_dataset_without_its_file_is_damaged(out: Path, kind: str) -> None:
    file = out / "faces-00000.parquet"
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    with pytest.raises(UserError, match=r"damaged \(faces-00000.parquet is (not a regular file|missing)\)"):
        FaceDataset(out)


def test_links_out_of_a_folder_are_in_the_report(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", range(2))
    secret = pictures(tmp_path / "secret", range(5, 8))
    (folder / "link").symlink_to(secret)
    (folder / "one.png").symlink_to(secret / "5.png")
    report = import_faces([folder], tmp_path / "faces")
    assert (report.faces, report.files, report.left_out) == (2, 4, {"link": 2})
    assert "not followed: p/link, p/one.png. --follow-links follows them." in str(report)
    assert import_faces([folder], tmp_path / "faces", follow_links=True).faces == 5
    only = write(tmp_path / "only", {})
    only.mkdir()
    (only / "link").symlink_to(secret)
    with pytest.raises(UserError, match=r"only/link \(leads out of its folder; --follow-links follows it\)"):
        import_faces([only], tmp_path / "none")


def test_labels_that_fill_the_memory_are_damage(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nijigan.dataset.manifest.TABLE_BYTES", 2**20)
    file = out / "faces-00000.parquet"
    table = pq.read_table(file)
    cells = pa.array(["a" * 2**18] * len(table))
    bomb = table.set_column(table.column_names.index("read"), "read", cells)
    pq.write_table(bomb, file, compression="zstd")
    forget_checksums(out)
    with pytest.raises(UserError, match="damaged .*unpack to more than"):
        import_faces([file], tmp_path / "copy")
    pq.write_table(table.set_column(5, "source", cells), file, compression="zstd")
    with pytest.raises(UserError, match="damaged .*unpack to more than"):
        FaceDataset(out)
