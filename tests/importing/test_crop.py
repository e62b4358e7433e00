"""Faces cut out of illustrations: procedural faces pasted at known places."""

import csv
import hashlib
import io
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from blobs import blob, encode, write
from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.importing.importer import import_faces
from nijigan.procedural.faces import draw_faces
from nijigan.vision.finder import FoundFace, has_face
from nijigan.vision.framing import square_about

PLACES = [(40, 60, 180), (340, 90, 240), (200, 340, 150)]  # left, upper, side


@pytest.fixture(scope="module")
def findable() -> Images:
    faces = draw_faces(24, resolution=192)[0]
    return faces[[has_face(face) for face in faces]]


def illustration(faces: Images, places: Sequence[tuple[int, int, int]] = PLACES) -> bytes:
    canvas = Image.new("RGB", (640, 520), (225, 230, 240))
    for face, (x, y, side) in zip(faces, places, strict=False):
        canvas.paste(Image.fromarray(face).resize((side, side)), (x, y))
    return encode(canvas)


def rows(path: Path) -> dict[str, dict]:
    return {row["source"]: row for row in pq.read_table(path / "faces-00000.parquet").to_pylist()}


def dropped(path: Path) -> dict[str, str]:
    with (path / "dropped.csv").open() as stream:
        return {row["file"]: row["kind"] for row in csv.DictReader(stream)}


def pixels(row: dict) -> Images:
    return np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))


def parts_like(canvas: Images, crop: Images) -> list[Images]:
    """The parts of a picture that look like `crop` in its middle."""
    middle = len(crop) // 2
    windows = np.lib.stride_tricks.sliding_window_view(canvas, (8, 8, 3))[:, :, 0]
    alike = np.argwhere((windows == crop[middle : middle + 8, middle : middle + 8]).all((2, 3, 4))) - middle
    return [canvas[y : y + len(crop), x : x + len(crop)] for y, x in alike if min(x, y) >= 0]


def test_every_face_becomes_a_square_of_its_own(tmp_path: Path, findable: Images) -> None:
    files = {
        "crowd.png": illustration(findable[:3]), "one.png": illustration(findable[3:4]),
        "none.png": encode(blob(0, 300, 200)), "broken.png": b"words",
    }  # fmt: skip
    report = import_faces([write(tmp_path / "art", files)], tmp_path / "faces", crop=True)
    assert (report.files, report.crops, report.new, report.faces) == (4, 4, 4, 4)
    assert report.left_out == {"no face": 1, "unreadable": 1}
    assert dropped(tmp_path / "faces") == {"art/none.png": "no face", "art/broken.png": "unreadable"}
    assert "4 faces cut out" in str(report)
    faces = rows(tmp_path / "faces")
    assert set(faces) == {"art/one.png#0", *(f"art/crowd.png#{n}" for n in range(3))}
    canvases = {name: np.asarray(Image.open(io.BytesIO(data))) for name, data in files.items() if name != "broken.png"}
    for source, row in faces.items():
        crop, canvas = pixels(row), canvases[source.removeprefix("art/").partition("#")[0]]
        assert row["sha256"] == hashlib.sha256(row["image"]["bytes"]).hexdigest()
        assert row["width"] == row["height"] == len(crop)
        assert any(np.array_equal(part, crop) for part in parts_like(canvas, crop))  # pixels as they were
    sheet = np.asarray(Image.open(tmp_path / "faces" / "crops.png")).astype(int)
    red = (sheet[..., 0] > 200) & (sheet[..., 1:].max(-1) < 50)
    assert red.sum() > 4 * 4 * 20  # four squares of lines
    assert sorted(path.name for path in tmp_path.iterdir()) == ["art", "faces"]


def test_crops_keep_their_id_and_split_and_are_not_imported_twice(tmp_path: Path, findable: Images) -> None:
    folder = write(tmp_path / "art", {"crowd.png": illustration(findable[:3])})
    import_faces([folder], tmp_path / "faces", crop=True)
    before = {path.name: path.read_bytes() for path in (tmp_path / "faces").iterdir()}
    report = import_faces([folder], tmp_path / "faces", crop=True)
    assert (report.new, report.known_already, report.faces) == (0, 3, 3)
    assert {path.name: path.read_bytes() for path in (tmp_path / "faces").iterdir()} == before
    splits = {source: row["split"] for source, row in rows(tmp_path / "faces").items()}
    write(folder, {"more.png": illustration(findable[2:5])})
    report = import_faces([folder], tmp_path / "faces", crop=True, holdout=0.9)
    assert (report.known_already, report.new, report.faces) == (3, 2, 5)
    assert report.left_out == {"near-duplicate": 1}
    assert splits.items() <= {source: row["split"] for source, row in rows(tmp_path / "faces").items()}.items()
    import_faces([tmp_path / "faces"], tmp_path / "copy")
    assert FaceDataset(tmp_path / "copy").table["id"] == FaceDataset(tmp_path / "faces").table["id"]


def test_a_mixed_collection_is_imported_at_once(tmp_path: Path, findable: Images) -> None:
    tiles = {f"tile{n}.png": encode(Image.fromarray(findable[n])) for n in range(3)}
    tiles["small.png"] = encode(Image.fromarray(findable[3]).resize((64, 64)))
    art = {"crowd.png": illustration(findable[4:7]), "none.png": encode(blob(0, 300, 200))}
    tags = {"tags.csv": b"file,hair\ntile0.png,red\ncrowd.png,blue\n"}
    folder = write(tmp_path / "mixed", tiles | art | tags)
    report = import_faces([folder], tmp_path / "faces", crop=True, keep_faces=True)
    faces = rows(tmp_path / "faces")
    assert set(faces) == {f"mixed/{name}" for name in tiles} | {f"mixed/crowd.png#{n}" for n in range(3)}
    for name, data in tiles.items():
        assert faces[f"mixed/{name}"]["image"]["bytes"] == data
    assert faces["mixed/tile0.png"]["hair"] == "red"
    assert (report.files, report.crops, report.new) == (6, 3, 7)
    assert report.left_out == {"no face": 1}
    assert "4 pictures already are a face and stayed whole." in report.notes
    assert import_faces([folder], tmp_path / "faces", crop=True, keep_faces=True).known_already == 7
    whole = import_faces([write(tmp_path / "tiles", tiles)], tmp_path / "whole")
    assert {row["id"] for row in rows(tmp_path / "whole").values()} <= {row["id"] for row in faces.values()}
    assert whole.crops is None


def test_keep_faces_without_crop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="keep_faces has an effect only with crop"):
        import_faces([tmp_path], tmp_path / "faces", keep_faces=True)


def test_illustrations_among_faces_lead_to_a_hint(tmp_path: Path, findable: Images) -> None:
    tiles = {f"{n}.png": encode(Image.fromarray(findable[n]).resize((260, 260))) for n in range(3)}
    folder = write(tmp_path / "p", tiles)
    assert "--crop" not in str(import_faces([folder], tmp_path / "faces"))
    write(folder, {"crowd.png": illustration(findable[4:7])})
    report = import_faces([folder], tmp_path / "faces")  # what the dataset has already is not examined again
    assert any("1 of the 1 largest new pictures show smaller faces" in note for note in report.notes)
    assert "--crop" not in str(import_faces([folder], tmp_path / "faces"))


def test_a_clock_before_1980_does_not_matter(tmp_path: Path, findable: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.localtime
    monkeypatch.setattr(time, "localtime", lambda *_: real(0))
    folder = write(tmp_path / "art", {"crowd.png": illustration(findable[:3])})
    assert import_faces([folder], tmp_path / "faces", crop=True).faces == 3


def test_faces_of_one_illustration_go_to_one_split(tmp_path: Path, findable: Images) -> None:
    places = PLACES[:2]
    files = {f"{n}.png": illustration(findable[2 * n : 2 * n + 2], places) for n in range(6)}
    import_faces([write(tmp_path / "art", files)], tmp_path / "faces", crop=True, holdout=0.6)
    splits: dict[str, list[str]] = {}
    for source, row in rows(tmp_path / "faces").items():
        splits.setdefault(source.partition("#")[0], []).append(row["split"])
        assert row["image"]["path"] == source.removeprefix("art/").replace(".png", "") + ".png"
    assert all(len(found) == 2 and len(set(found)) == 1 for found in splits.values())
    assert len({found[0] for found in splits.values()}) == 3


def test_a_face_that_is_cut_out_later_goes_where_others_of_its_illustration_are(
    tmp_path: Path, findable: Images
) -> None:
    files = {f"{n}.png": illustration(findable[2 * n : 2 * n + 2], [(40, 60, 140), (300, 90, 240)]) for n in range(4)}
    folder = write(tmp_path / "art", files)
    import_faces([folder], tmp_path / "faces", crop=True, holdout=0, min_size=170)
    assert len(rows(tmp_path / "faces")) == 4
    import_faces([folder], tmp_path / "faces", crop=True, holdout=0.9)
    found = [row["split"] for row in rows(tmp_path / "faces").values()]
    assert found == ["train"] * 8


def test_crops_that_are_too_small_are_refused(tmp_path: Path, findable: Images) -> None:
    folder = write(tmp_path / "art", {"crowd.png": illustration(findable[:3])})
    report = import_faces([folder], tmp_path / "faces", crop=True, min_size=160)
    assert report.crops == 3
    assert 0 < report.left_out["too small"] < 3
    assert all("#" in name for name in dropped(tmp_path / "faces"))


def test_a_wider_margin_cuts_wider(tmp_path: Path, findable: Images) -> None:
    folder = write(tmp_path / "art", {"one.png": illustration(findable[:1], [(200, 180, 160)])})
    sides = []
    for margin in (0.0, 0.25, 0.5):
        import_faces([folder], tmp_path / f"faces{margin}", crop=True, crop_margin=margin)
        (row,) = rows(tmp_path / f"faces{margin}").values()
        sides.append(row["width"])
    assert np.allclose(np.array(sides) / sides[0], [1, 1.5, 2], atol=0.02)


def test_tags_go_to_the_face_when_there_is_only_one(tmp_path: Path, findable: Images) -> None:
    files = {"crowd.png": illustration(findable[:3]), "one.png": illustration(findable[3:4])}
    folder = write(tmp_path / "art", {**files, "tags.csv": b"file,hair\ncrowd.png,red\none.png,blue\n"})
    import_faces([folder], tmp_path / "faces", crop=True)
    labels = {source: row["hair"] for source, row in rows(tmp_path / "faces").items()}
    assert labels.pop("art/one.png#0") == "blue"
    assert set(labels.values()) == {None}


def test_pictures_without_any_face_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No face was found in the pictures .*0\.png\); import them without --crop"):
        import_faces([write(tmp_path / "art", {"0.png": encode(blob(0))})], tmp_path / "faces", crop=True)
    with pytest.raises(UserError, match="crop_margin"):
        import_faces([tmp_path / "art"], tmp_path / "faces", crop=True, crop_margin=-0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["art"]


@given(st.data(), st.integers(1, 500), st.integers(1, 500), st.floats(0, 1))
def test_squares_lie_within_the_picture_and_hold_the_face(
    data: st.DataObject, width: int, height: int, m: float
) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    face = FoundFace(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)), 1.0)
    left, upper, right, lower = square_about(face, width, height, m)
    assert 0 <= left < right <= width
    assert 0 <= upper < lower <= height
    side = right - left
    assert side == lower - upper == min(round(max(face.width, face.height) * (1 + 2 * m)), width, height)
    if side >= max(face.width, face.height):
        assert left <= x
        assert x + face.width <= right
        assert upper <= y
        assert y + face.height <= lower


def test_there_is_more_room_above_a_face_than_below_it() -> None:
    assert square_about(FoundFace(400, 400, 100, 100, 1.0), 1000, 1000, 0.25) == (375, 362, 525, 512)


def test_what_is_no_face_is_set_aside_and_shown(tmp_path: Path, findable: Images) -> None:
    faces = {f"face{n}.png": encode(Image.fromarray(face).resize((96, 96))) for n, face in enumerate(findable[:4])}
    others = {f"blob{n}.png": encode(blob(n)) for n in range(3)}
    folder = write(tmp_path / "pictures", {**faces, **others})
    report = import_faces([folder], tmp_path / "faces", faces_only=True)
    assert (report.new, report.left_out) == (4, {"no face": 3})
    assert dropped(tmp_path / "faces") == {f"pictures/{name}": "no face" for name in others}
    with Image.open(tmp_path / "faces" / "no-face.png") as sheet:
        assert sheet.size == (2 * 66 + 2, 2 * 66 + 2)
    first = (tmp_path / "faces" / "no-face.png").read_bytes()
    import_faces([write(tmp_path / "more", {"more.png": faces["face0.png"]})], tmp_path / "faces")
    assert (tmp_path / "faces" / "no-face.png").read_bytes() == first


def test_faces_that_are_known_are_not_looked_at_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "pictures", {f"{n}.png": encode(blob(n)) for n in range(3)})
    import_faces([folder], tmp_path / "faces")
    report = import_faces([folder], tmp_path / "faces", faces_only=True)
    assert (report.faces, report.known_already, report.left_out) == (3, 3, {})
