"""Readers: training, cache and refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.importing.importer import import_faces
from nijigan.judges import reader_training, readers
from nijigan.judges.reader_training import train_reader
from nijigan.judges.readers import balanced_accuracy, open_reader, people, split_accuracy
from nijigan.procedural.faces import draw_face, write_faces


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains `own` readers for two seconds."""
    monkeypatch.setattr(readers, "_OWN_STEPS", 30)
    monkeypatch.setattr(reader_training, "BATCH", 16)


def test_every_class_has_the_same_weight() -> None:
    codes = np.array([0, 0, 0, 0, 1, 1, 2, -1])
    read = np.array([0, 0, 0, 1, 1, 0, 1, 2])
    assert balanced_accuracy(read, codes) == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)


def test_missing_labels_do_not_contribute_to_the_loss() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    codes, equal = torch.tensor([1, -1, 3, 0, -1, -1]), torch.full((4,), 0.25)
    loss = reader_training._loss(logits, codes, equal)
    expected = F.cross_entropy(logits[[0, 2, 3]], codes[[0, 2, 3]], label_smoothing=reader_training._SMOOTHING)
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()
    assert (logits.grad[[1, 4, 5]] == 0).all()
    assert (logits.grad[[0, 2, 3]] != 0).all()
    assert reader_training._loss(logits, torch.full((6,), -1), equal).item() == 0


def test_without_information_rare_values_are_as_likely_as_common_ones() -> None:
    codes = torch.tensor([0] * 90 + [1] * 9 + [2] + [-1] * 50)
    logits = torch.zeros(3, requires_grad=True)  # the same for all faces
    reader_training._loss(logits.expand(150, 3), codes, reader_training._shares(codes, 3)).backward()
    assert torch.allclose(logits.grad, torch.zeros(3), atol=1e-6)


def test_views_keep_the_ratio_of_colours_and_stay_within_the_largest_shift() -> None:
    random = np.random.default_rng(0)
    flat = np.tile(np.array([200, 100, 50], np.uint8), (8, 64, 64, 1))
    views = reader_training._views(flat, random)
    assert views.shape == (8, 3, 64, 64)
    assert torch.allclose(views[:, 0], 2 * views[:, 1])
    assert torch.allclose(views[:, 1], 2 * views[:, 2])
    assert views.amax() <= 200 / 255 * 1.08
    dots = np.zeros((200, 64, 64, 3), np.uint8)
    dots[:, 20, 30] = 255
    where = reader_training._views(dots, random)[:, 0].flatten(1).argmax(1)
    rows, columns = where // 64, where % 64
    assert rows.min() == 16
    assert rows.max() == 24
    assert set(columns.tolist()) == {*range(26, 35), *range(29, 38)}  # mirrored, 30 is 33


@pytest.mark.usefixtures("hasty")
def test_an_own_reader_fits_its_faces_and_disturbs_no_training(faces: FaceDataset) -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    calls: list[tuple[int, int]] = []
    reader = open_reader("own", {"hair": ("blue",)}, faces, lambda done, total: calls.append((done, total)))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.is_grad_enabled()
    assert calls[-1] == (30, 30)
    assert reader.name == "own"
    fitted = split_accuracy(reader, faces, "train")
    assert fitted["hair"] > 0.4
    assert fitted["eyes"] > 0.2
    assert set(reader.header.accuracy) == set(faces.attributes)


@pytest.mark.usefixtures("hasty")
def test_a_trained_own_reader_is_kept(faces: FaceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    requested = {"hair": ("blue",)}
    first = open_reader("own", requested, faces)
    with monkeypatch.context() as patch:
        patch.setattr(readers, "train_reader", lambda *_, **__: pytest.fail("trained again"))
        again = open_reader("auto", {"eyes": ("blue",), "glasses": ("yes", "no")}, faces)
        assert again.hash == first.hash
        assert again.header == first.header
    (kept,) = (faces.path / "cache").glob("judge-reader-*")
    kept.write_bytes(kept.read_bytes()[:1000])
    assert open_reader("own", requested, faces).hash == first.hash  # trained again, to the same weights


def test_the_human_tag_reader_is_used_if_it_knows_every_value(faces: FaceDataset) -> None:
    assert open_reader("auto", {"hair": ("blue", "white"), "eyes": ("aqua",)}, faces).name == "people"
    with pytest.raises(UserError, match="does not know hair=silver; choose --reader own"):
        open_reader("people", {"hair": ("blue", "silver")}, faces)
    with pytest.raises(UserError, match="labelled hair=plaid"):
        open_reader("auto", {"hair": ("blue", "plaid")}, faces)


def test_faces_without_labels_are_refused(faces: FaceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "labels", lambda split: {"hair": np.full(faces.count(split), -1)})
    with pytest.raises(UserError, match="no labelled face"):
        train_reader(faces, {"hair": faces.attributes["hair"]}, 1)


def test_the_human_tag_reader_is_small_and_states_its_accuracy() -> None:
    reader = people()
    assert readers.PEOPLE.stat().st_size <= 3e6
    assert {name: len(values) for name, values in reader.header.attributes.items()} == {"eyes": 11, "hair": 12}
    assert reader.header.accuracy["hair"] > 0.7
    assert reader.header.accuracy["eyes"] > 0.5
    assert people().hash == reader.hash


def test_the_human_tag_reader_recognises_the_hair_of_procedural_faces() -> None:
    """It was trained on none of them."""
    reader, colours = people(), ("black", "blonde", "blue", "green", "pink", "purple", "red")
    generated = np.stack([draw_face(seed, hair=colours[seed % 7])[0] for seed in range(140)])
    codes = np.array([reader.header.attributes["hair"].index(colours[seed % 7]) for seed in range(140)])
    assert balanced_accuracy(reader.read(generated)["hair"], codes) > 0.9


def test_larger_faces_are_resized() -> None:
    reader = people()
    small, large = (np.stack([draw_face(seed, side)[0] for seed in range(20)]) for side in (64, 128))
    assert (reader.read(small)["hair"] == reader.read(large)["hair"]).mean() >= 0.8


def test_files_that_are_not_readers_are_refused(tmp_path: Path) -> None:
    for name, content in (("text", b"not a reader"), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="is not an attribute reader"):
            readers._open(tmp_path / name, "own")
    with pytest.raises(UserError):
        readers._open(Path(readers.PEOPLE).with_name("default.safetensors"), "own")  # a generator


@pytest.mark.slow
def test_an_own_reader_recognises_held_out_procedural_faces(tmp_path: Path) -> None:
    write_faces(tmp_path / "pictures", 6000)
    import_faces([tmp_path / "pictures"], tmp_path / "faces", holdout=0.3)
    dataset = FaceDataset(tmp_path / "faces")
    reader = open_reader("own", {"hair": ("silver",), "eyes": ("gray",)}, dataset)
    accuracy = split_accuracy(reader, dataset, "test")
    assert accuracy["hair"] >= 0.99
    assert accuracy["eyes"] >= 0.99
