import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from blobs import blob, encode, write
from conftest import forget_checksums
from nijigan.dataset import faces
from nijigan.dataset.faces import SPLITS, FaceDataset, FaceStream, fingerprint
from nijigan.dataset.inspection import contact_sheet
from nijigan.errors import UserError
from nijigan.importing.importer import import_faces


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures of 48×40, most of them labelled."""
    folder = tmp_path_factory.mktemp("made")
    write(folder / "pictures", {f"{n}.png": encode(blob(n, 48, 40)) for n in range(60)})
    lines = [f"{n}.png,{('red', 'blue', 'green')[n % 3]},{'' if n % 5 == 0 else 'brown'}" for n in range(50)]
    write(folder / "pictures", {"metadata.csv": "\n".join(["file_name,hair,eyes", *lines]).encode()})
    import_faces([folder / "pictures"], folder / "faces", holdout=0.4)
    return folder / "faces"


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(made, tmp_path / "faces"))


def numbers(dataset: FaceDataset, split: str) -> list[int]:
    """Which pictures a split holds."""
    rows = zip(dataset.table["split"].to_pylist(), dataset.table["source"].to_pylist(), strict=True)
    return [int(Path(source).stem) for place, source in rows if place == split]


def centre(number: int) -> Image.Image:
    return blob(number, 48, 40).crop((4, 0, 44, 40))


def test_pixels_and_labels_go_together(path: Path) -> None:
    dataset = FaceDataset(path)
    assert dataset.attributes == {"eyes": ("brown",), "hair": ("blue", "green", "red")}
    assert dataset.size == 40
    assert sum(map(dataset.count, SPLITS)) == 60
    for split in SPLITS:
        pixels, labels, rows = dataset.pixels(split, 40), dataset.labels(split), numbers(dataset, split)
        assert len(rows) == len(pixels) == dataset.count(split) > 0
        assert np.array_equal(pixels, np.stack([centre(number) for number in rows]))
        assert labels["hair"].tolist() == [-1 if number >= 50 else (2, 0, 1)[number % 3] for number in rows]
        assert labels["eyes"].tolist() == [-1 if number >= 50 or number % 5 == 0 else 0 for number in rows]


def test_pixels_are_resized_with_lanczos(path: Path) -> None:
    dataset = FaceDataset(path)
    expected = [centre(number).resize((16, 16), Image.Resampling.LANCZOS) for number in numbers(dataset, "val")]
    assert np.array_equal(dataset.pixels("val", 16), np.stack(expected))


def test_the_cache_is_built_once_and_rebuilt_when_it_is_gone_or_spoilt(path: Path) -> None:
    dataset = FaceDataset(path)
    pixels = dataset.pixels("train", 16)
    assert isinstance(pixels, np.memmap)
    assert not pixels.flags.writeable
    (cache,) = (path / "cache").iterdir()
    stamp, expected = cache.stat().st_mtime_ns, pixels.tobytes()
    assert dataset.pixels("train", 16).tobytes() == expected
    assert cache.stat().st_mtime_ns == stamp
    for spoil in (b"", b"nonsense", cache.read_bytes()[:-5]):
        cache.write_bytes(spoil)
        assert dataset.pixels("train", 16).tobytes() == expected
    shutil.rmtree(path / "cache")
    assert dataset.pixels("train", 16).tobytes() == expected


def test_the_cache_of_other_content_is_not_used(path: Path) -> None:
    (path / "cache").mkdir()
    stale = path / "cache" / "train-16-0123456789abcdef.npy"
    np.save(stale, np.zeros((FaceDataset(path).count("train"), 16, 16, 3), np.uint8))
    assert FaceDataset(path).pixels("train", 16).any()
    assert not stale.exists()


def test_two_may_build_the_cache_at_once(path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        arrays = list(threads.map(lambda _: FaceDataset(path).pixels("train", 24), range(4)))
    assert all(np.array_equal(arrays[0], other) for other in arrays)
    assert len(list((path / "cache").iterdir())) == 1


def test_a_split_may_be_empty(path: Path, tmp_path: Path) -> None:
    write(tmp_path / "one", {"a.png": encode(blob(0))})
    import_faces([tmp_path / "one"], tmp_path / "faces1", holdout=0)
    dataset = FaceDataset(tmp_path / "faces1")
    assert dataset.pixels("val", 16).shape == (0, 16, 16, 3)
    with pytest.raises(UserError, match="no face"):
        FaceStream(dataset.pixels("val", 16), 0)


def test_fingerprint_sees_content_splits_and_labels_but_no_order(path: Path) -> None:
    dataset = FaceDataset(path)
    table, names = dataset.table, tuple(dataset.attributes)
    base = fingerprint(table, names, False)
    assert base == dataset.fingerprint
    assert fingerprint(table.take(np.random.default_rng(0).permutation(60)), names[::-1], False) == base
    others = [
        fingerprint(table, names, True),
        fingerprint(table, names[:1], False),
        fingerprint(table[1:], names, False),
    ]
    for name in ("sha256", "split", "hair"):
        moved = table[name].take([*range(1, 60), 0])
        others.append(fingerprint(table.set_column(table.column_names.index(name), name, moved), names, False))
    assert len({base, *others}) == len(others) + 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged"),
        ("[]", "damaged"),
        ('{"format": 1}', "damaged"),
        ('{"format": "x"}', "damaged"),
        ('{"format": 99}', "newer"),
    ],
)
def test_a_broken_manifest_is_refused(path: Path, text: str, message: str) -> None:
    (path / "dataset.json").write_text(text)
    with pytest.raises(UserError, match=message):
        FaceDataset(path)


def test_damage_is_noticed(path: Path, tmp_path: Path) -> None:
    manifest = json.loads((path / "dataset.json").read_text())
    for change in (
        {"files": ["../../faces-00000.parquet"]},
        {"files": []},
        {"fingerprint": "0" * 64},
        {"attributes": {"no": ["a"]}},
    ):
        (path / "dataset.json").write_text(json.dumps(manifest | change))
        with pytest.raises(UserError, match="damaged"):
            FaceDataset(path)
    (path / "dataset.json").write_text(json.dumps(manifest))
    parquet = path / "faces-00000.parquet"
    whole = parquet.read_bytes()
    parquet.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged"):
        FaceDataset(path)
    parquet.unlink()
    with pytest.raises(UserError, match="damaged"):
        FaceDataset(path)
    with pytest.raises(UserError, match="is not a dataset"):
        FaceDataset(tmp_path)


def test_a_damaged_picture_is_reported(path: Path) -> None:
    parquet = path / "faces-00000.parquet"
    table = pq.read_table(parquet)
    images = [{"bytes": b"gone", "path": ""}] * len(table)
    pq.write_table(table.set_column(1, table.schema.field("image"), [images]), parquet)
    forget_checksums(path)
    with pytest.raises(UserError, match="damaged"):
        FaceDataset(path).pixels("train", 16)
    assert not list((path / "cache").iterdir())


def flip(path: Path, place: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize("place", [3, 20, 60, 127, 128, 5000, -17, -12, -3])
def test_a_flipped_bit_in_the_cache_is_noticed_and_mended(
    path: Path, caplog: pytest.LogCaptureFixture, place: int
) -> None:
    expected = FaceDataset(path).pixels("train", 16).tobytes()
    (cache,) = (path / "cache").iterdir()
    whole = cache.read_bytes()
    flip(cache, place, 6)
    assert FaceDataset(path).pixels("train", 16).tobytes() == expected
    assert "damaged" in caplog.text
    assert cache.read_bytes() == whole


def test_the_checksum_of_a_cache_is_compared_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = FaceDataset(path).pixels("train", 16).tobytes()
    monkeypatch.setattr("nijigan.dataset.cache.zlib", None)
    assert FaceDataset(path).pixels("train", 16).tobytes() == expected


def test_a_cache_without_a_checksum_is_not_trusted(path: Path) -> None:
    dataset = FaceDataset(path)
    expected = dataset.pixels("train", 16).tobytes()
    (cache,) = (path / "cache").iterdir()
    np.save(cache, np.zeros((dataset.count("train"), 16, 16, 3), np.uint8))
    assert dataset.pixels("train", 16).tobytes() == expected


def test_a_cache_is_a_plain_numpy_file(path: Path) -> None:
    pixels = FaceDataset(path).pixels("train", 16)
    (cache,) = (path / "cache").iterdir()
    assert np.array_equal(np.load(cache, mmap_mode="r"), pixels)
    assert np.array_equal(np.load(cache), pixels)


def test_a_cache_that_another_process_has_just_built_is_not_deleted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = FaceDataset(path)
    expected = dataset.pixels("train", 16).tobytes()
    (cache,) = (path / "cache").iterdir()
    real_open, real_write, looks = faces.open_cache, faces.write_cache, []

    def looked_too_early(*arguments: object) -> object:
        looks.append(arguments)
        return real_open(*arguments) if len(looks) > 1 else None

    def write_cache(*arguments: object) -> None:
        assert cache.exists()
        real_write(*arguments)

    monkeypatch.setattr(faces, "open_cache", looked_too_early)
    monkeypatch.setattr(faces, "write_cache", write_cache)
    assert dataset.pixels("train", 16).tobytes() == expected


def test_temporary_files_of_killed_processes_are_deleted_from_the_cache(path: Path) -> None:
    (path / "cache").mkdir()
    old, live = (path / "cache" / f".train-16-0123456789abcdef.{n:08x}.npy" for n in (1, 2))
    old.write_bytes(b"half")
    os.utime(old, (0, 0))
    live.write_bytes(b"half")
    FaceDataset(path).pixels("train", 16)
    assert not old.exists()
    assert live.exists()


def test_pixels_of_a_dataset_that_was_imported_again_are_refused(path: Path, tmp_path: Path) -> None:
    dataset = FaceDataset(path)
    import_faces([write(tmp_path / "more", {"x.png": encode(blob(99))})], path)
    with pytest.raises(UserError, match="imported again while it was in use"):
        dataset.pixels("train", 16)
    assert not list((path / "cache").iterdir())


def content(path: Path) -> list[object]:
    dataset = FaceDataset(path)
    labels = [{name: codes.tolist() for name, codes in dataset.labels(split).items()} for split in SPLITS]
    return [dataset.attributes, list(dataset.attributes), labels, dataset.pad, dataset.fingerprint, dataset.files]


def test_no_flipped_bit_in_the_manifest_changes_what_is_read(path: Path) -> None:
    manifest, expected = path / "dataset.json", content(path)
    whole = manifest.read_bytes()
    refusals = []
    for place in range(len(whole)):
        flip(manifest, place, place % 8)
        try:
            assert content(path) == expected
        except UserError as error:
            refusals.append(str(error))
        manifest.write_bytes(whole)
    assert len(refusals) > 0.9 * len(whole)
    assert all(re.search("is damaged .*into a new folder|newer nijigan", refusal) for refusal in refusals)


def test_a_letter_of_the_vocabulary_is_not_lost_in_silence(path: Path) -> None:
    manifest = path / "dataset.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"green"', '"greem"'))
    with pytest.raises(UserError, match="damaged"):
        FaceDataset(path)
    old = {name: value for name, value in json.loads(text).items() if name != "checksum"}
    manifest.write_text(json.dumps(old).replace('"green"', '"greem"'))
    with pytest.raises(UserError, match="damaged .* faces have hair 'green', which is not in the vocabulary"):
        FaceDataset(path)


def test_a_dataset_without_checksums_opens(path: Path) -> None:
    expected, pixels = content(path), FaceDataset(path).pixels("train", 16).tobytes()
    forget_checksums(path)
    parquet = path / "faces-00000.parquet"
    pq.write_table(pq.read_table(parquet), parquet, compression="none", write_page_checksum=False)
    shutil.rmtree(path / "cache")
    assert content(path) == expected
    assert FaceDataset(path).pixels("train", 16).tobytes() == pixels


def test_no_flipped_bit_in_the_footer_goes_unseen(path: Path, tmp_path: Path) -> None:
    parquet = path / "faces-00000.parquet"
    good = parquet.read_bytes()
    start = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    places = np.random.default_rng(0).integers(start, len(good), 60)
    for place in [*places.tolist(), start, len(good) - 8, len(good) - 5, len(good) - 1]:
        parquet.write_bytes(good)
        flip(parquet, place, place % 8)
        with pytest.raises(UserError, match="damaged"):
            FaceDataset(path)
        for source in (path, parquet):
            with pytest.raises(UserError, match="damaged"):
                import_faces([source], tmp_path / "copy")
    for data in (good[:-1], good[:20], b"", good + b"\0"):
        parquet.write_bytes(data)
        with pytest.raises(UserError, match="damaged"):
            FaceDataset(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format":' + "9" * 5000 + "}", '{"format": 1, "files": 3}'])
def test_any_text_for_a_manifest_is_a_sentence(path: Path, text: str) -> None:
    (path / "dataset.json").write_text(text)
    with pytest.raises(UserError, match="damaged"):
        FaceDataset(path)


@pytest.mark.parametrize("pages", ["image", "hair", "width"])
@pytest.mark.parametrize("size", [1, 24])
def test_a_damaged_page_is_damage_and_not_a_failure_to_write(path: Path, tmp_path: Path, pages: str, size: int) -> None:
    parquet = path / "faces-00000.parquet"
    metadata = pq.read_metadata(parquet).row_group(0)
    columns = [metadata.column(number) for number in range(metadata.num_columns)]
    column = next(column for column in columns if column.path_in_schema.startswith(pages))
    start = column.dictionary_page_offset or column.data_page_offset
    for place in range(size):
        flip(parquet, start + column.total_compressed_size - 5 - place, 3)
    with pytest.raises(UserError, match="damaged.*into a new folder"):
        FaceDataset(path).pixels("train", 16)
    with pytest.raises(UserError, match="damaged"):
        contact_sheet(FaceDataset(path), tmp_path / "sheet.png")
    with pytest.raises(UserError, match="damaged"):
        import_faces([path], path)
    assert not (path / "cache").exists() or not list((path / "cache").iterdir())


FACES = np.arange(23 * 4 * 4 * 3, dtype=np.uint8).reshape(23, 4, 4, 3)


def test_every_face_comes_once_in_an_epoch() -> None:
    stream = FaceStream(FACES, seed=3)
    epochs = [stream.indices(23 * epoch, 23) for epoch in range(4)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(23))
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert not np.array_equal(FaceStream(FACES, seed=4).indices(0, 23), epochs[0])


def test_half_of_the_faces_are_mirrored_anew_in_every_epoch() -> None:
    stream = FaceStream(FACES, seed=3)
    mirrored = np.zeros((50, 23), bool)
    for epoch in range(50):
        rows, faces = stream.indices(23 * epoch, 23), stream.read(23 * epoch, 23)
        straight = (faces == FACES[rows]).all((1, 2, 3))
        assert np.array_equal(faces[~straight], FACES[rows][~straight][:, :, ::-1])
        mirrored[epoch, rows] = ~straight
    assert mirrored.mean() == pytest.approx(0.5, abs=0.05)
    assert (mirrored.any(0) & ~mirrored.all(0)).all()
    assert np.array_equal(FaceStream(FACES, 3, flip=False).read(0, 23), FACES[stream.indices(0, 23)])


@settings(deadline=None)
@given(st.integers(0, 200), st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 2**63))
def test_any_start_continues_the_same_stream(start: int, counts: list[int], seed: int) -> None:
    whole = FaceStream(FACES, seed).read(start, sum(counts))
    place, parts = start, []
    for count in counts:
        parts.append(FaceStream(FACES, seed).read(place, count))  # a new stream each time: nothing is remembered
        place += count
    assert np.array_equal(np.concatenate(parts), whole)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 100))
def test_ranks_share_a_batch(world: int, share: int, start: int) -> None:
    whole = FaceStream(FACES, 1).read(start, world * share)
    parts = [FaceStream(FACES, 1, rank=rank, world=world).read(start, world * share) for rank in range(world)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_streams_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="3 processes"):
        FaceStream(FACES, 0, world=3).read(0, 32)
    with pytest.raises(ValueError, match="rank"):
        FaceStream(FACES, 0, rank=2, world=2)
    with pytest.raises(ValueError, match="split"):
        FaceDataset.count(object.__new__(FaceDataset), "training")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder for caches."""
    monkeypatch.delenv("NIJIGAN_CACHE", raising=False)
    monkeypatch.setattr("nijigan.dataset.cache.sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return tmp_path / "caches" / "nijigan"


def read_only(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Make a dataset seem to lie on a disk that cannot be written. A mode is no obstacle to root, who runs tests."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda place, mode: access(place, mode) and not Path(place).is_relative_to(path))


def test_a_dataset_that_cannot_be_written_has_its_cache_elsewhere(
    path: Path, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = FaceDataset(path).pixels("train", 16).tobytes()
    shutil.rmtree(path / "cache")
    read_only(monkeypatch, path)
    before = sorted(path.rglob("*"))
    assert FaceDataset(path).pixels("train", 16).tobytes() == expected
    assert sorted(path.rglob("*")) == before
    (folder,) = elsewhere.iterdir()
    (cache,) = folder.iterdir()
    stamp = cache.stat().st_mtime_ns
    assert FaceDataset(path).pixels("train", 16).tobytes() == expected
    assert cache.stat().st_mtime_ns == stamp
    flip(cache, 500)
    assert FaceDataset(path).pixels("train", 16).tobytes() == expected
    other = Path(shutil.copytree(path, tmp_path / "copies" / "faces"))
    read_only(monkeypatch, other)
    FaceDataset(other).pixels("val", 16)
    assert len(list(elsewhere.iterdir())) == 2  # two datasets of one name do not share a folder


def test_a_cache_that_came_with_the_dataset_is_used_unless_it_is_damaged(
    path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = FaceDataset(path).pixels("train", 16).tobytes()
    read_only(monkeypatch, path)
    assert FaceDataset(path).pixels("train", 16).tobytes() == expected
    assert not elsewhere.exists()
    (cache,) = (path / "cache").iterdir()
    flip(cache, 500)
    damaged = cache.read_bytes()
    assert FaceDataset(path).pixels("train", 16).tobytes() == expected
    assert cache.read_bytes() == damaged
    assert elsewhere.exists()


def test_the_environment_chooses_the_folder_for_caches(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIJIGAN_CACHE", str(tmp_path / "scratch"))
    FaceDataset(path).pixels("train", 16)
    assert not (path / "cache").exists()
    assert len(list((tmp_path / "scratch").glob("faces-*/train-16-*.npy"))) == 1
    monkeypatch.setenv("NIJIGAN_CACHE", str(path / "dataset.json"))
    with pytest.raises(UserError, match="NIJIGAN_CACHE"):
        FaceDataset(path).pixels("val", 16)


def test_caches_of_version_01_are_replaced_without_a_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = FaceDataset(path)
    expected = dataset.pixels("train", 16).tobytes()
    (cache,) = (path / "cache").iterdir()
    whole = cache.read_bytes()
    np.save(cache, np.zeros((dataset.count("train"), 16, 16, 3), np.uint8))
    assert dataset.pixels("train", 16).tobytes() == expected
    assert cache.read_bytes() == whole
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
