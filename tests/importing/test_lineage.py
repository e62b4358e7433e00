"""Identity, family and split of a face, from pictures of every kind through copies of the dataset."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from blobs import blob, encode, portrait, write, write_zip
from conftest import forget_checksums
from nijigan.dataset import splits
from nijigan.dataset.faces import FaceDataset
from nijigan.dataset.manifest import FAMILY
from nijigan.errors import UserError
from nijigan.importing.importer import import_faces
from nijigan.procedural.faces import draw_faces
from nijigan.vision.finder import has_face

Seeds = tuple[int, ...]


def turned(seed: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(blob(seed), "JPEG", exif=exif)


def deep(seed: int) -> bytes:
    grey = np.asarray(blob(seed).convert("L")).astype(np.uint16) * 257
    return encode(Image.fromarray(grey))


KINDS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "jpeg": ("jpg", lambda seed: encode(blob(seed), "JPEG")),
    "png": ("png", lambda seed: encode(blob(seed))),
    "rgba": ("png", lambda seed: encode(blob(seed).convert("RGBA"))),
    "cmyk": ("jpg", lambda seed: encode(blob(seed).convert("CMYK"), "JPEG")),
    "deep": ("png", deep),
    "exif": ("jpg", turned),
    "gif": ("gif", lambda seed: encode(blob(seed), "GIF")),
    "webp": ("webp", lambda seed: encode(blob(seed), "WEBP")),
    "palette": ("png", lambda seed: encode(blob(seed).convert("P"))),
}


def every_kind(folder: Path, seeds: Seeds) -> Path:
    """Pictures of all kinds in a folder, a zip archive and a Parquet file."""
    files, packed, column = {}, {}, []
    for number, (name, (suffix, make)) in enumerate(KINDS.items()):
        for seed in seeds:
            files[f"{name} #{seed} .{suffix}"] = make(100 * number + seed)
            packed[f"{name}/{seed}#0.{suffix}"] = make(1000 + 100 * number + seed)
            column.append({"bytes": make(2000 + 100 * number + seed), "path": f"{name}-{seed}#1.{suffix}"})
    write(folder, files)
    write_zip(folder / "packed.zip", packed)
    pq.write_table(pa.table({"image": column}), folder / "rows.parquet")
    return folder


def import_pictures(folder: Path, out: Path, seeds: Seeds) -> None:
    every_kind(folder, seeds)
    import_faces([folder, folder / "packed.zip"], out, holdout=0.5)


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    """Procedural faces that the detector finds in an illustration."""
    faces = draw_faces(24, resolution=96)[0]
    return [Image.fromarray(face) for face in faces if has_face(face)]


def import_crops(faces: list[Image.Image], folder: Path, out: Path, seeds: Seeds) -> None:
    """Import crops of illustrations with two faces each; the names have `#` in them."""
    for seed in seeds:
        art = Image.new("RGB", (320, 160), (225, 230, 240))
        art.paste(faces[2 * seed], (30, 40))
        art.paste(faces[2 * seed + 1], (190, 40))
        write(folder, {f"{seed}/#{seed % 2} art.png": encode(art.convert("RGBA"))})
    import_faces([folder], out, crop=True, holdout=0.5)


def lineages(path: Path) -> set[tuple[str, str, str]]:
    table = FaceDataset(path).table
    return set(zip(*(table[name].to_pylist() for name in ("sha256", FAMILY, "split")), strict=True))


@pytest.mark.parametrize("kind", ["pictures", "crops"])
def test_splits_survive_copies_of_copies_and_imports_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: list[Image.Image], kind: str
) -> None:
    def fill(out: Path, seeds: Seeds) -> None:
        if kind == "pictures":
            import_pictures(tmp_path / "pictures", out, seeds)
        else:
            import_crops(drawn, tmp_path / "pictures", out, seeds)

    faces, copy, again = (tmp_path / name for name in ("faces", "copy", "again"))
    fill(faces, (0,))
    first = lineages(faces)
    fill(faces, (0, 1, 2, 3))
    before = lineages(faces)
    assert first < before
    assert len({split for _, _, split in before}) > 1
    assert len({family for _, family, _ in before}) == len(before) / (1 if kind == "pictures" else 2)
    report = import_faces([faces], copy)
    assert (report.new, report.left_out) == (len(before), {})
    import_faces([copy], again)
    for other in (copy, again):
        assert lineages(other) == before
        assert FaceDataset(other).fingerprint == FaceDataset(faces).fingerprint
    import_faces([faces, tmp_path / "pictures"], tmp_path / "mixed", crop=False, duplicates="exact")
    mixed = {digest: split for digest, _, split in lineages(tmp_path / "mixed")}
    assert {(digest, split) for digest, _, split in before} <= mixed.items()
    fill(again, (0, 1, 2, 3, 4))
    assert before < lineages(again)
    assert len(lineages(again)) == len(before) * 5 / 4

    monkeypatch.setattr(splits, "RANKED_BELOW", 0)  # without ranks, one step and two are the same
    fill(tmp_path / "one step", (0, 1, 2, 3))
    fill(tmp_path / "two steps", (0,))
    import_faces([tmp_path / "two steps"], tmp_path / "two steps")
    fill(tmp_path / "two steps", (0, 1, 2, 3))
    assert lineages(tmp_path / "one step") == lineages(tmp_path / "two steps")


def test_labelling_in_place_finds_no_duplicates(tmp_path: Path) -> None:
    face = portrait(3, "royalblue", 96)
    files = {"a_2004.png": encode(face.convert("RGBA")), "b.jpg": encode(face, "JPEG", quality=60)}
    files |= {f"{seed}_2005.png": encode(blob(seed).convert("RGBA")) for seed in range(8)}
    import_faces([write(tmp_path / "pictures", files)], tmp_path / "faces")
    before = lineages(tmp_path / "faces")
    kept = {name: (tmp_path / "faces" / name).read_bytes() for name in ("dropped.csv", "dropped.png")}
    report = import_faces([tmp_path / "faces"], tmp_path / "faces", label=["year"])
    assert (report.new, report.known_already, report.left_out) == (0, 9, {})
    assert report.labels == {"year": {"2005": 8, "2004": 1}}
    assert lineages(tmp_path / "faces") == before
    assert {name: (tmp_path / "faces" / name).read_bytes() for name in kept} == kept


def as_version_01(path: Path) -> None:
    """Remove the column that nijigan 0.1 did not write."""
    for file in path.glob("faces-*.parquet"):
        pq.write_table(pq.read_table(file).drop_columns([FAMILY]), file)
    forget_checksums(path)


@pytest.mark.parametrize("kind", ["pictures", "crops"])
def test_datasets_of_version_01_keep_their_splits(tmp_path: Path, drawn: list[Image.Image], kind: str) -> None:
    seeds = (0, 1, 2)
    faces, copy = tmp_path / "faces", tmp_path / "copy"
    if kind == "pictures":
        import_pictures(tmp_path / "art", faces, seeds)
    else:
        import_crops(drawn, tmp_path / "art", faces, seeds)
    as_version_01(faces)
    before = {(digest, split) for digest, _, split in lineages(faces)}
    families = {family for _, family, _ in lineages(faces)}
    assert len(families) == len(before) / (1 if kind == "pictures" else 2)
    print_ = FaceDataset(faces).fingerprint
    import_faces([faces], copy)
    import_faces([faces], faces)
    assert {(digest, split) for digest, _, split in lineages(copy)} == before
    assert lineages(copy) == lineages(faces)
    assert FaceDataset(copy).fingerprint == FaceDataset(faces).fingerprint == print_


def test_crops_join_those_that_version_01_cut_from_the_same_illustration(
    tmp_path: Path, drawn: list[Image.Image]
) -> None:
    import_crops(drawn, tmp_path / "art", tmp_path / "faces", (0, 1, 2))
    as_version_01(tmp_path / "faces")
    before = {digest: (family, split) for digest, family, split in lineages(tmp_path / "faces")}
    import_faces([tmp_path / "art"], tmp_path / "faces", crop=True, crop_margin=0.6, holdout=0.9)
    after = lineages(tmp_path / "faces")
    assert len(after) > len(before)
    assert {(family, split) for _, family, split in after} == set(before.values())


@pytest.mark.parametrize(("column", "value"), [("sha256", "x"), (FAMILY, "../.."), ("split", "all"), ("sha256", None)])
def test_a_dataset_with_other_words_in_its_columns_is_refused(tmp_path: Path, column: str, value: str | None) -> None:
    import_faces([write(tmp_path / "art", {"a.png": encode(blob(0))})], tmp_path / "faces")
    (file,) = (tmp_path / "faces").glob("*.parquet")
    table = pq.read_table(file)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array([value], pa.string())), file)
    forget_checksums(tmp_path / "faces")
    with pytest.raises(UserError, match=re.escape(str(file)) + ".* not valid"):
        import_faces([file], tmp_path / "copy")


def test_numbers_signs_in_names_do_not_matter(tmp_path: Path, drawn: list[Image.Image]) -> None:
    names = [f"#{n} a.png" for n in range(4)]
    for name, face in zip(names, drawn, strict=False):
        art = Image.new("RGB", (160, 160), (225, 230, 240))
        art.paste(face, (30, 40))
        write(tmp_path / "A", {name: encode(art)})
    import_faces([tmp_path / "A"], tmp_path / "faces", crop=True, holdout=0.5)
    found = lineages(tmp_path / "faces")
    wanted = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "A").iterdir()}
    assert {family for _, family, _ in found} == wanted
    assert sorted(split for _, _, split in found) == ["test", "train", "train", "val"]
