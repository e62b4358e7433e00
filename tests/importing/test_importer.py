import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from blobs import blob, encode, png, portrait, write, write_zip
from nijigan.dataset import splits
from nijigan.dataset.decode import decode
from nijigan.dataset.dropped import Dropped
from nijigan.dataset.faces import SPLITS, FaceDataset
from nijigan.dataset.manifest import OWNED
from nijigan.errors import UserError
from nijigan.files import folder_lock
from nijigan.importing import importer
from nijigan.importing.candidates import Candidates, Duplicates
from nijigan.importing.importer import import_faces
from nijigan.importing.report import nothing_usable
from nijigan.importing.store import split_faces
from nijigan.procedural.faces import ATTRIBUTES, draw_face


def pictures(*seeds: int) -> dict[str, bytes]:
    return {f"{seed}.png": encode(blob(seed)) for seed in seeds}


def rows(path: Path) -> dict[str, dict]:
    """The dataset's rows by the name of the file they came from."""
    return {Path(row["source"]).name: row for row in pq.read_table(path / "faces-00000.parquet").to_pylist()}


def dropped(path: Path) -> dict[str, dict[str, str]]:
    with (path / "dropped.csv").open() as stream:
        return {Path(row["file"]).name: row for row in csv.DictReader(stream)}


def test_hostile_files_are_counted_named_and_set_aside(tmp_path: Path) -> None:
    bad = {
        "truncated.jpg": encode(blob(90), "JPEG")[:400],
        "text.png": b"this is no picture",
        "empty.png": b"",
        "bomb.png": png(60_000, 60_000, 8, 2, b""),
        "tiny.png": encode(blob(91, 15, 40)),
        "notes.txt": b"hello",
        "inner.zip": b"PK",
    }
    folder = write(tmp_path / "pictures", {**pictures(0, 1), **bad})
    (folder / "broken.png").symlink_to(folder / "nowhere")
    (folder / os.fsdecode(b"\xff\xfe.png")).symlink_to(folder / "0.png")
    ticks: list[tuple[int, int]] = []
    report = import_faces([folder], tmp_path / "faces", progress=lambda done, total: ticks.append((done, total)))
    assert report.faces == report.new == 2
    assert report.files == 11
    assert report.left_out == {
        "unreadable": 4, "too large": 1, "too small": 1, "not a picture": 2, "exact duplicate": 1,
    }  # fmt: skip
    assert {name for name, _ in report.unusable} == {
        f"pictures/{name}" for name in ("truncated.jpg", "text.png", "empty.png", "broken.png")
    }
    kinds = {name: row["kind"] for name, row in dropped(tmp_path / "faces").items()}
    assert kinds["bomb.png"] == "too large"
    assert kinds["tiny.png"] == "too small"
    assert kinds["inner.zip"] == "not a picture"
    assert (9, 9) in ticks
    assert "unreadable 4" in str(report)
    assert json.loads(report.to_json())["left_out"]["unreadable"] == 4


@pytest.mark.parametrize(
    "files", [{}, {"text.png": b"words"}, {"notes.txt": b""}, {"small.png": encode(blob(0, 8, 8))}]
)
def test_a_source_without_a_usable_picture_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UserError, match="no usable picture"):
        import_faces([write(tmp_path / "pictures", files)], tmp_path / "faces")
    assert not (tmp_path / "faces").exists()


def test_one_unusable_file_is_named_in_one_sentence() -> None:
    told = nothing_usable("pictures", [Dropped("a.png", "unreadable", "It is outside the folder.")])
    assert "; it holds 1 other file: a.png (It is outside the folder). Give" in told
    assert "; it holds 2 other files: " in nothing_usable("pictures", [Dropped("a.txt", "not a picture")] * 2)


def test_a_row_holds_what_the_file_says(tmp_path: Path) -> None:
    data = encode(blob(0, 50, 40), "JPEG")
    write_zip(tmp_path / "a.zip", {"deep/x.jpeg": data})
    import_faces([tmp_path / "a.zip"], tmp_path / "faces")
    (row,) = rows(tmp_path / "faces").values()
    digest = hashlib.sha256(data).hexdigest()
    assert row["image"] == {"bytes": data, "path": "x.jpg"}
    assert (row["width"], row["height"], row["source"]) == (50, 40, "a.zip/deep/x.jpeg")
    assert (row["sha256"], row["id"]) == (digest, digest[:16])
    features = json.loads(pq.read_schema(tmp_path / "faces" / "faces-00000.parquet").metadata[b"huggingface"])
    assert features["info"]["features"]["image"] == {"_type": "Image"}
    assert list(features["info"]["features"]) == list(row)


def test_only_plain_pictures_keep_their_bytes(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        "plain.jpg": encode(blob(0), "JPEG"),
        "plain.webp": encode(blob(1), "WEBP"),
        "turned.jpg": encode(blob(2), "JPEG", exif=exif),
        "cmyk.jpg": encode(blob(3).convert("CMYK"), "JPEG"),
        "alpha.png": encode(blob(4).convert("RGBA")),
        "frames.gif": encode(blob(5), "GIF"),
    }
    import_faces([write(tmp_path / "pictures", files)], tmp_path / "faces")
    for name, row in rows(tmp_path / "faces").items():
        assert row["sha256"] == hashlib.sha256(files[name]).hexdigest()
        if name.startswith("plain"):
            assert row["image"] == {"bytes": files[name], "path": name}
        else:
            assert row["image"]["path"] == f"{Path(name).stem}.png"
            assert decode(row["image"]["bytes"]).plain
            assert np.array_equal(decode(row["image"]["bytes"]).image, decode(files[name]).image)


def copies(seed: int) -> dict[str, bytes]:
    face = portrait(seed, "royalblue", 192)
    crop = face.crop((0, 0, 188, 188))
    return {
        "face.png": encode(face),
        "again.png": encode(face),
        "recompressed.jpg": encode(face, "JPEG", quality=60),
        "smaller.png": encode(face.resize((96, 96), Image.Resampling.LANCZOS)),
        "cut.png": encode(crop),
        "shifted.png": encode(face.crop((2, 2, 190, 190))),
    }


def test_of_duplicates_the_largest_stays(tmp_path: Path) -> None:
    others = {"recoloured.png": encode(portrait(3, "hotpink", 192)), "other.png": encode(portrait(4, "royalblue", 192))}
    report = import_faces([write(tmp_path / "pictures", {**copies(3), **others})], tmp_path / "faces")
    assert set(rows(tmp_path / "faces")) == {"again.png", "recoloured.png", "other.png"}
    assert report.left_out == {"near-duplicate": 4, "exact duplicate": 1}
    assert {row["survivor_file"] for row in dropped(tmp_path / "faces").values()} == {"pictures/again.png"}
    sheet = np.asarray(Image.open(tmp_path / "faces" / "dropped.png"))
    assert sheet.shape == (96 + 16, 4 * (192 + 8) + 8, 3)


def test_the_names_and_order_of_files_do_not_matter(tmp_path: Path) -> None:
    files = [*copies(3).values(), *copies(5).values(), *pictures(*range(20)).values()]
    prints = set()
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(files))
        folder = write(tmp_path / f"pictures{seed}", {f"{place}.png": files[n] for place, n in enumerate(order)})
        import_faces([folder], tmp_path / f"faces{seed}")
        prints.add(FaceDataset(tmp_path / f"faces{seed}").fingerprint)
    assert len(prints) == 1


@pytest.mark.parametrize("ranked_below", [0, 500])
def test_a_face_never_leaves_its_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranked_below: int) -> None:
    monkeypatch.setattr(splits, "RANKED_BELOW", ranked_below)
    some, more = pictures(*range(60)), pictures(*range(60, 120))
    import_faces([write(tmp_path / "some", some)], tmp_path / "faces")
    before = {name: row["split"] for name, row in rows(tmp_path / "faces").items()}
    report = import_faces([write(tmp_path / "more", {**some, **more})], tmp_path / "faces", holdout=0.8)
    assert (report.new, report.known_already, report.faces) == (60, 60, 120)
    assert f"nijigan split {tmp_path / 'faces'} --holdout 0.8" in str(report)
    after = {name: row["split"] for name, row in rows(tmp_path / "faces").items()}
    assert before.items() <= after.items()
    if not ranked_below:  # where only the hash decides, one step leads to the same splits as two
        import_faces([tmp_path / "more"], tmp_path / "fresh")
        fresh = {name: row["split"] for name, row in rows(tmp_path / "fresh").items()}
        assert before.items() <= fresh.items()
    assert set(before.values()) == set(SPLITS)


def test_known_faces_win_over_larger_newcomers(tmp_path: Path) -> None:
    files = copies(3)
    import_faces([write(tmp_path / "first", {"smaller.png": files["smaller.png"]})], tmp_path / "faces")
    report = import_faces([write(tmp_path / "second", {"face.png": files["face.png"]})], tmp_path / "faces")
    assert set(rows(tmp_path / "faces")) == {"smaller.png"}
    assert report.left_out == {"near-duplicate": 1}


def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "pictures", {**copies(3), **pictures(*range(9)), "text.png": b"words"})
    write(folder, {"x.gif": encode(blob(33), "GIF"), "metadata.csv": b"file_name,hair\nsmaller.png,blue\n"})
    first = import_faces([folder], tmp_path / "faces")
    files = {path.name: path.read_bytes() for path in (tmp_path / "faces").iterdir()}
    second = import_faces([folder], tmp_path / "faces")
    assert (second.new, second.faces, second.labels) == (0, first.faces, first.labels)
    assert {path.name: path.read_bytes() for path in (tmp_path / "faces").iterdir()} == files


def test_a_dataset_is_a_source(tmp_path: Path) -> None:
    tags = "".join(f"{n},{('red', 'blue')[n % 2]} hair brown eyes\n" for n in range(0, 20, 3))
    import_faces(
        [write_zip(tmp_path / "a.zip", {**pictures(*range(20)), "tags.csv": tags.encode()})], tmp_path / "faces"
    )
    FaceDataset(tmp_path / "faces").pixels("train", 16)
    import_faces([tmp_path / "faces"], tmp_path / "copy")
    assert FaceDataset(tmp_path / "copy").fingerprint == FaceDataset(tmp_path / "faces").fingerprint


def test_labels_reach_the_dataset(tmp_path: Path) -> None:
    tags = ["file,hair,eyes", "0,orange,blue", "1,red,blue", "2,blue,orange", "3,blue,teal", "9,red,red"]
    folder = write(tmp_path / "pictures", pictures(0, 1, 2, 3, 4))
    write(tmp_path, {"tags.csv": "\n".join(tags).encode()})
    report = import_faces(
        [folder], tmp_path / "faces", tags=tmp_path / "tags.csv", merge=["hair:orange=red"], min_count=2
    )  # fmt: skip
    labels = {name[0]: (row["eyes"], row["hair"]) for name, row in rows(tmp_path / "faces").items()}
    both, hair = ("blue", "red"), (None, "blue")
    assert labels == {"0": both, "1": both, "2": hair, "3": hair, "4": (None, None)}
    assert report.labels == {"eyes": {"blue": 2}, "hair": {"red": 2, "blue": 2}}
    assert report.tags
    assert report.tags.missing == ["9"]
    manifest = json.loads((tmp_path / "faces" / "dataset.json").read_text())
    assert manifest["attributes"] == {"eyes": ["blue"], "hair": ["blue", "red"]}
    train = [row for row in rows(tmp_path / "faces").values() if row["split"] == "train"]
    for prior in manifest["priors"]:
        wanted = (prior["labels"].get("eyes"), prior["labels"].get("hair"))
        assert prior["count"] == sum((row["eyes"], row["hair"]) == wanted for row in train)
    assert sum(prior["count"] for prior in manifest["priors"]) == len(train)


def test_labels_may_come_later_and_from_duplicates(tmp_path: Path) -> None:
    folder = write(tmp_path / "pictures", copies(3))
    import_faces([folder], tmp_path / "faces")
    write(folder, {"metadata.csv": b"file_name,hair\nsmaller.png,blue\n"})
    report = import_faces([folder], tmp_path / "faces")
    assert report.new == 0
    assert report.labels == {"hair": {"blue": 1}}


def test_names_and_values_with_wide_spaces_reach_the_dataset(tmp_path: Path) -> None:
    names = ["初音\u3000ミク", "鏡音\u3000リン"]
    tables = {
        "metadata.csv": f"file_name,hair\n{names[0]}.png,灰色\u3000薄い\n{names[1]}.png,yellow\n".encode(),
        "other.csv": b"file_name,hair\n",
    }
    files = {f"{name}.png": encode(blob(seed)) for seed, name in enumerate(names)}
    report = import_faces([write(tmp_path / "pictures", files | tables)], tmp_path / "faces")
    assert {name: row["hair"] for name, row in rows(tmp_path / "faces").items()} == {
        f"{names[0]}.png": "灰色\u3000薄い", f"{names[1]}.png": "yellow",
    }  # fmt: skip
    assert FaceDataset(tmp_path / "faces").attributes == {"hair": ("yellow", "灰色\u3000薄い")}
    assert dropped(tmp_path / "faces")["other.csv"]["detail"].startswith("a table that is not used")
    assert "Tables not used: pictures/other.csv: name it with --tags" in str(report)


@pytest.mark.parametrize("fails", ["write_faces", "write_csv", "write_sheet"])
def test_until_the_end_the_old_dataset_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    import_faces([write(tmp_path / "some", pictures(0, 1))], tmp_path / "faces")
    before = FaceDataset(tmp_path / "faces").fingerprint

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importer, fails, interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_faces([write(tmp_path / "more", pictures(2, 3))], tmp_path / "faces")
    assert FaceDataset(tmp_path / "faces").fingerprint == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces", "more", "some"]


def test_a_source_that_changes_meanwhile_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "pictures", pictures(0, 1))
    real = importer.measure

    def measure(*arguments: object, **options: object) -> object:
        measures = real(*arguments, **options)
        write(folder, {"0.png": encode(blob(7))})
        return measures

    monkeypatch.setattr(importer, "measure", measure)
    with pytest.raises(UserError, match=r"0\.png changed"):
        import_faces([folder], tmp_path / "faces")
    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"holdout": 1},
        {"holdout": -0.1},
        {"max_pixels": 0},
        {"max_pixels": 10**9},
        {"merge": ["red"]},
        {"duplicates": "all"},
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: dict) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        import_faces([write(tmp_path / "pictures", pictures(0))], tmp_path / "faces", **options)


def test_only_a_dataset_is_replaced(tmp_path: Path) -> None:
    folder = write(tmp_path / "pictures", pictures(0))
    precious = write(tmp_path / "precious", {"thesis.txt": b"..."})
    with pytest.raises(UserError, match="is not a dataset"):
        import_faces([folder], precious)
    assert (precious / "thesis.txt").exists()
    with pytest.raises(UserError, match="is not a dataset"):
        import_faces([folder], folder / "0.png")
    import_faces([folder], tmp_path / "faces", pad=True)
    with pytest.raises(UserError, match="pad=True"):
        import_faces([folder], tmp_path / "faces")


def test_whole_columns_are_read_a_few_times_however_many_pictures_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(name: str) -> Callable[[Candidates], object]:
        column = getattr(Candidates, name)
        return lambda candidates: calls.append(name) or column(candidates)

    for name in ("families", "sources", "sha256", "attributes", "readings"):
        monkeypatch.setattr(Candidates, name, counted(name))
    pictures = {f"{seed}.png": encode(blob(seed)) for seed in range(60)}
    assert import_faces(write(tmp_path / "pictures", pictures), tmp_path / "faces").faces == 60
    assert {"families", "sources", "sha256"} <= set(calls)
    assert len(calls) < 25


def test_many_files_and_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nijigan.importing.store.FILE_BYTES", 20_000)
    monkeypatch.setattr("nijigan.importing.store.GROUP_ROWS", 3)
    files = pictures(*range(20))
    import_faces([write(tmp_path / "pictures", files)], tmp_path / "faces")
    dataset = FaceDataset(tmp_path / "faces")
    assert len(dataset.files) > 2
    images = [image["bytes"] for file in dataset.files for image in pq.read_table(file)["image"].to_pylist()]
    assert sorted(images) == sorted(files.values())
    assert dataset.table["id"].to_pylist() == sorted(dataset.table["id"].to_pylist())
    train = [n for n, split in enumerate(dataset.table["split"].to_pylist()) if split == "train"]
    assert [face.tobytes() for face in dataset.pixels("train", 48)] == [
        decode(images[n]).image.tobytes() for n in train
    ]
    import_faces([write(tmp_path / "more", pictures(30))], tmp_path / "faces")
    assert len(FaceDataset(tmp_path / "faces").table) == 21


def test_daft_is_imported_late_and_does_not_phone_home() -> None:
    code = """
import sys, nijigan.importing.importer as importer
assert "daft" not in sys.modules
from nijigan.importing.measure import _daft
_daft()
from daft.scarf_telemetry import opted_out
assert opted_out()
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("DO_NOT_TRACK", "DAFT_ANALYTICS_ENABLED")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def variants(folder: Path, attribute: str, values: tuple[str, str], count: int = 6) -> Path:
    """Pairs of procedural faces that differ in one attribute only, with their labels."""
    lines = [f"file_name,{attribute}"]
    for seed in range(count):
        for value in values:
            write(
                folder, {f"{seed}-{value}.png": encode(Image.fromarray(draw_face(seed, 64, **{attribute: value})[0]))}
            )
            lines.append(f"{seed}-{value}.png,{value}")
    return write(folder, {"metadata.csv": "\n".join(lines).encode()})


@pytest.mark.parametrize("attribute", ["glasses", "blush", "mouth"])
def test_near_duplicates_whose_tags_differ_stay_and_share_a_split(tmp_path: Path, attribute: str) -> None:
    values = ATTRIBUTES[attribute][:2]
    folder = variants(tmp_path / "pictures", attribute, values)
    report = import_faces([folder], tmp_path / "faces", holdout=0.6)
    assert report.labels == {attribute: dict.fromkeys(values, 6)}
    assert (report.faces, report.left_out, report.lost_to_duplicates) == (12, {}, {})
    faces = rows(tmp_path / "faces")
    for seed in range(6):
        pair = [faces[f"{seed}-{value}.png"] for value in values]
        assert len({(row["split"], row["split_family"]) for row in pair}) == 1
    again = import_faces([folder], tmp_path / "faces")
    assert (again.known_already, again.faces, again.left_out) == (12, 12, {})


def test_a_year_does_not_make_another_picture(tmp_path: Path) -> None:
    folder = variants(tmp_path / "pictures", "glasses", ATTRIBUTES["glasses"][:2])
    lines = (folder / "metadata.csv").read_text().replace("glasses", "year").replace(",no", ",2004")
    (folder / "metadata.csv").write_text(lines.replace(",yes", ",2005"))
    report = import_faces([folder], tmp_path / "faces")
    assert report.left_out == {"near-duplicate": 6}
    assert sum(report.lost_to_duplicates["year"].values()) == 6
    assert "Dropped duplicates with a label for year: " in str(report)


def test_values_that_are_merged_do_not_differ(tmp_path: Path) -> None:
    one, other = ATTRIBUTES["glasses"][:2]
    folder = variants(tmp_path / "pictures", "glasses", (one, other))
    report = import_faces([folder], tmp_path / "faces", merge=[f"{one}={other}"])
    assert report.left_out == {"near-duplicate": 6}
    assert report.lost_to_duplicates == {"glasses": {other: 6}}


@pytest.mark.parametrize(("remove", "faces"), [("near", 4), ("exact", 8), ("none", 9)])
def test_which_duplicates_are_removed(tmp_path: Path, remove: Duplicates, faces: int) -> None:
    folder = write(tmp_path / "pictures", {**copies(3), **pictures(0, 1, 2)})
    report = import_faces([folder], tmp_path / "faces", duplicates=remove, holdout=0.5)
    assert (report.faces, report.new, sum(report.left_out.values())) == (faces, faces, 9 - faces)
    stored = rows(tmp_path / "faces")
    assert len({row["id"] for row in stored.values()}) == len(stored) == faces
    alike = [row for name, row in stored.items() if name in copies(3)]
    assert len({(row["split_family"], row["split"]) for row in alike}) == 1
    before = FaceDataset(tmp_path / "faces").fingerprint
    for sources in ([folder], [tmp_path / "faces"]):
        again = import_faces(sources, tmp_path / "faces", duplicates=remove)
        assert (again.new, again.faces) == (0, faces)
        assert FaceDataset(tmp_path / "faces").fingerprint == before
    import_faces([tmp_path / "faces"], tmp_path / "copy", duplicates=remove)
    assert FaceDataset(tmp_path / "copy").fingerprint == before
    assert import_faces([folder], tmp_path / "faces").faces == faces  # known faces stay
    assert f"--duplicates is {remove}" in str(report) or remove == "near"


def test_splits_change_on_purpose_only(tmp_path: Path) -> None:
    folder = write(tmp_path / "pictures", {**pictures(*range(38)), **copies(3), "note.txt": b"words"})
    import_faces([folder], tmp_path / "faces", holdout=0.2)
    faces = tmp_path / "faces"
    FaceDataset(faces).pixels("train", 16)
    write(faces, {"cache/thesis.txt": b"precious"})
    kept = {name: (faces / name).read_bytes() for name in ("dropped.csv", "dropped.png")}
    before = rows(faces)
    report = split_faces(faces, 0.5)
    after = rows(faces)
    assert report.before == {"train": 31, "val": 4, "test": 4}
    assert report.splits == {split: FaceDataset(faces).count(split) for split in SPLITS}
    assert [abs(report.splits[split] - 39 / 4) < 1 for split in ("val", "test")] == [True, True]
    assert report.moved == sum(row["split"] != after[name]["split"] for name, row in before.items()) > 0
    assert all({**row, "split": ""} == {**after[name], "split": ""} for name, row in before.items())
    assert {name: (faces / name).read_bytes() for name in kept} == kept
    assert [path.name for path in (faces / "cache").iterdir()] == ["thesis.txt"]
    assert "faces changed their split" in str(report)
    assert json.loads(report.to_json())["moved"] == report.moved
    stamp = (faces / "dataset.json").stat().st_mtime_ns
    assert "No face changed" in str(split_faces(faces, 0.5))
    assert (faces / "dataset.json").stat().st_mtime_ns == stamp
    import_faces([folder], faces)
    assert rows(faces) == after


def test_splits_are_refused_for_what_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a dataset"):
        split_faces(tmp_path / "nothing", 0.2)
    import_faces([write(tmp_path / "pictures", pictures(0, 1))], tmp_path / "faces")
    with pytest.raises(UserError, match=r"holdout is 1\.0"):
        split_faces(tmp_path / "faces", 1.0)
    with folder_lock(tmp_path / "faces", OWNED), pytest.raises(UserError, match="Another process"):
        split_faces(tmp_path / "faces", 0.5)


def test_files_of_others_in_the_cache_stay(tmp_path: Path) -> None:
    folder, faces = write(tmp_path / "pictures", pictures(*range(20))), tmp_path / "faces"
    import_faces([folder], faces)
    FaceDataset(faces).pixels("train", 16)
    foreign = {"cache/thesis.txt": b"1", "cache/deep/a.npy": b"2", "cache/train-16.npy": b"3", "run/log.jsonl": b"4"}
    write(faces, foreign)
    write(faces, {"cache/judge-features-val-16-0123456789abcdef.npy": b"", "cache/.judge-reader-00.0123abcd.npy": b""})
    import_faces([folder], faces)
    assert {name: (faces / name).read_bytes() for name in foreign} == foreign
    assert sorted(path.name for path in (faces / "cache").iterdir()) == ["deep", "thesis.txt", "train-16.npy"]


def test_files_that_are_used_later_are_not_listed_as_dropped(tmp_path: Path) -> None:
    folder = write(tmp_path / "pictures", {**copies(3), "text.png": b"words"})
    import_faces([folder], tmp_path / "faces")
    assert len(dropped(tmp_path / "faces")) == 6
    import_faces([folder], tmp_path / "faces", duplicates="exact")
    assert {row["kind"] for row in dropped(tmp_path / "faces").values()} == {"exact duplicate", "unreadable"}
