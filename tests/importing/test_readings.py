"""Labels that an import reads, with a stand-in for the colour reader that knows the pictures it is shown."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from blobs import blob, encode, write
from conftest import forget_checksums
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.importing import readings as labelling
from nijigan.importing.importer import import_faces
from nijigan.importing.readings import parse_label, read_labels

HAIR = ("red", "green", "blue")


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hair is the channel with the largest sum; eyes are read where the first pixel is bright."""

    def read_colours(face: npt.NDArray[np.uint8]) -> dict[str, SimpleNamespace]:
        eyes = "black" if face[0, 0].mean() > 127 else None
        hair = HAIR[int(face.reshape(-1, 3).sum(0, dtype=np.int64).argmax())]
        return {"hair": SimpleNamespace(value=hair), "eyes": SimpleNamespace(value=eyes)}

    monkeypatch.setattr(labelling, "read_colours", read_colours)


def pictures(*seeds: int) -> dict[str, bytes]:
    return {f"{seed}_{1990 + seed}.png": encode(blob(seed)) for seed in seeds}


def expected(seed: int) -> tuple[str, str | None]:
    pixels = np.asarray(blob(seed))
    return HAIR[int(pixels.reshape(-1, 3).sum(0).argmax())], "black" if pixels[0, 0].mean() > 127 else None


def rows(path: Path) -> dict[int, dict]:
    """The dataset's rows by the seed of the picture."""
    table = pq.read_table(path / "faces-00000.parquet").to_pylist()
    return {int(Path(row["source"]).name.split("_")[0]): row for row in table}


@pytest.mark.parametrize("texts", [["hair,eyes"], ["hair", "eyes"], [" Hair ,eyes,", "hair"]])
def test_attributes_may_be_named_with_commas_or_spaces(texts: list[str]) -> None:
    assert parse_label(texts) == ("hair", "eyes")


def test_what_cannot_be_read_is_refused_with_the_list(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'nose' cannot be read .* hair, eyes, year"):
        import_faces([tmp_path], tmp_path / "faces", label=["hair,nose"])


@pytest.mark.parametrize(
    ("name", "year"),
    [
        ("a.zip/1_1980.jpg", "1980"), ("12_3_2009.jpg", "2009"), ("x_2099.png", "2099"), ("x_2004.jpg#3", "2004"),
        ("1_1979.jpg", None), ("1_2100.jpg", None), ("2004.jpg", None), ("_20041.jpg", None), ("1_2004_b.jpg", None),
        ("art_1999/1.jpg", None), ("x_2004#3", "2004"),
    ],
)  # fmt: skip
def test_years_are_read_from_names(name: str, year: str | None) -> None:
    assert read_labels(["year"], [None], [name], [0]) == {"year": [year]}


def test_faces_are_labelled_by_what_they_show_and_stay_unlabelled_where_they_cannot_be_read(tmp_path: Path) -> None:
    report = import_faces(
        [write(tmp_path / "pictures", pictures(*range(30)))], tmp_path / "faces", label=["hair,eyes", "year"]
    )
    for seed, row in rows(tmp_path / "faces").items():
        assert (row["hair"], row["eyes"], row["year"]) == (*expected(seed), str(1990 + seed))
    eyes = sum(expected(seed)[1] is not None for seed in range(30))
    assert 0 < eyes < 30
    assert report.read == {
        "hair": {"read": 30, "unread": 0},
        "eyes": {"read": eyes, "unread": 30 - eyes},
        "year": {"read": 30, "unread": 0},
    }
    assert f"eyes: read from {eyes} faces; {30 - eyes} stay unlabelled." in str(report)


def test_tags_win_over_readings_and_merges_hold_for_both(tmp_path: Path) -> None:
    tags = b"file,hair\n0_1990.png,silver\n1_1991.png,grey\n"
    folder = write(tmp_path / "pictures", {**pictures(*range(12)), "tags.csv": tags})
    report = import_faces(
        [folder], tmp_path / "faces", label=["hair"], merge=["grey=silver", "hair:green=blue", "pink=red"]
    )
    labels = {seed: row["hair"] for seed, row in rows(tmp_path / "faces").items()}
    assert labels.pop(0) == labels.pop(1) == "silver"
    assert labels == {seed: expected(seed)[0].replace("green", "blue") for seed in range(2, 12)}
    assert report.read["hair"] == {"read": 10, "unread": 0}
    assert report.notes == ("merge: no picture has 'pink' for any attribute.",)


def test_a_tag_that_says_unknown_says_nothing(tmp_path: Path) -> None:
    tags = b"file,hair\n0_1990.png,unknown\n1_1991.png,Unknown\n2_1992.png,silver\n3_1993.png,any\n"
    folder = write(tmp_path / "pictures", {**pictures(*range(4)), "tags.csv": tags})
    report = import_faces([folder], tmp_path / "tagged")
    assert report.labels == {"hair": {"silver": 1}}
    assert "'any' is a reserved word" in str(report)
    report = import_faces([folder], tmp_path / "read", label=["hair"], merge=["any=gold"])
    labels = {seed: row["hair"] for seed, row in rows(tmp_path / "read").items()}
    assert labels == {0: expected(0)[0], 1: expected(1)[0], 2: "silver", 3: "gold"}
    assert report.read["hair"] == {"read": 2, "unread": 0}
    report = import_faces([folder], tmp_path / "both", label=["hair"], merge=["silver=unknown"])
    labels = {seed: row["hair"] for seed, row in rows(tmp_path / "both").items()}
    assert labels == {seed: expected(seed)[0] for seed in range(4)}  # whatever is forgotten is read


@pytest.mark.parametrize("again", ["the same pictures", "others", "itself"])
def test_an_unlabelled_dataset_is_labelled_in_place(tmp_path: Path, again: str) -> None:
    folder = write(tmp_path / "pictures", pictures(*range(20)))
    import_faces([folder], tmp_path / "faces")
    before, fingerprint = rows(tmp_path / "faces"), FaceDataset(tmp_path / "faces").fingerprint
    others = write(tmp_path / "others", pictures(40))
    source = {"the same pictures": folder, "others": others, "itself": tmp_path / "faces"}[again]
    report = import_faces([source], tmp_path / "faces", label=["hair,eyes"], holdout=0.8)
    after = rows(tmp_path / "faces")
    assert report.new == len(after) - 20 == (again == "others")
    for seed, row in before.items():
        del row["read"]
        assert row.items() <= after[seed].items()  # picture, split and all
    assert {seed: (row["hair"], row["eyes"]) for seed, row in after.items()} == {seed: expected(seed) for seed in after}
    assert FaceDataset(tmp_path / "faces").fingerprint != fingerprint  # labels are content


def test_labels_that_are_there_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "pictures", pictures(*range(6)))
    import_faces([folder], tmp_path / "faces", label=["hair"])
    fingerprint = FaceDataset(tmp_path / "faces").fingerprint
    monkeypatch.setattr(labelling, "read_colours", None)  # nobody asks again
    report = import_faces([folder], tmp_path / "faces", label=["hair"])
    assert report.read == {"hair": {"read": 0, "unread": 0}}
    assert FaceDataset(tmp_path / "faces").fingerprint == fingerprint
    import_faces([folder], tmp_path / "faces", label=["hair", "year"])  # nor because another label is missing


def test_human_tags_overrule_what_an_earlier_import_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "pictures", pictures(*range(6)))
    import_faces([folder], tmp_path / "faces", label=["hair", "year"])
    assert {row["read"] for row in rows(tmp_path / "faces").values()} == {"hair,year"}
    write(folder, {"tags.csv": b"file,hair\n0_1990.png,silver\n1_1991.png,gold\n9_1999.png,red\n"})
    monkeypatch.setattr(labelling, "read_colours", None)  # nothing is read again
    copied = import_faces([tmp_path / "faces"], tmp_path / "copy")  # a copy knows what was read, too
    assert copied.tags is None
    for out in ("faces", "copy"):
        report = import_faces([folder], tmp_path / out)
        after = rows(tmp_path / out)
        tagged = {0: "silver", 1: "gold"}
        assert {seed: row["hair"] for seed, row in after.items()} == {
            seed: tagged.get(seed, expected(seed)[0]) for seed in range(6)
        }
        assert {seed: row["read"] for seed, row in after.items()} == {
            seed: "year" if seed in tagged else "hair,year" for seed in range(6)
        }
        assert report.tags
        assert (report.tags.matched, report.tags.missing) == (2, ["9_1999.png"])
    write(folder, {"tags.csv": b"file,hair\n0_1990.png,red\n1_1991.png,gold\n"})
    report = import_faces([folder], tmp_path / "faces")
    assert rows(tmp_path / "faces")[0]["hair"] == "silver"  # a tag does not overrule a tag, and the report says so
    assert "hair: 1 pictures have another tag" in str(report)


def test_tags_next_to_a_dataset_overrule_its_readings(tmp_path: Path) -> None:
    import_faces([write(tmp_path / "pictures", pictures(*range(4)))], tmp_path / "faces", label=["hair", "year"])
    tags = write(tmp_path, {"t.csv": b"file,hair\n0_1990,silver\n"}) / "t.csv"
    import_faces([tmp_path / "faces"], tmp_path / "copy", tags=tags)
    assert [(row["hair"], row["read"]) for _, row in sorted(rows(tmp_path / "copy").items())] == [
        ("silver", "year"), *((expected(seed)[0], "hair,year") for seed in range(1, 4)),
    ]  # fmt: skip


def test_labels_of_datasets_without_marks_count_as_tags(tmp_path: Path) -> None:
    folder = write(tmp_path / "pictures", pictures(*range(4)))
    import_faces([folder], tmp_path / "faces", label=["hair"])
    file = tmp_path / "faces" / "faces-00000.parquet"  # as an earlier version wrote it
    pq.write_table(pq.read_table(file).drop_columns("read"), file)
    forget_checksums(tmp_path / "faces")
    tags = write(tmp_path, {"t.csv": b"file,hair\n0_1990,silver\n"}) / "t.csv"
    import_faces([folder], tmp_path / "faces", tags=tags)
    assert {row["read"] for row in rows(tmp_path / "faces").values()} == {None}
    assert rows(tmp_path / "faces")[0]["hair"] == expected(0)[0]
