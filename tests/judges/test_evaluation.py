"""Small, complete evaluations of generators of known quality: they replay real or broken faces."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.judges import evaluation, manifold_yield, quality, reader_training, readers
from nijigan.judges.evaluation import evaluate, generate_faces, quick_scores, score
from nijigan.judges.feature_spaces import FeatureSpace, open_feature_space
from nijigan.judges.real import check_judgeable, real_faces
from nijigan.judges.results import Metrics
from nijigan.pages.gallery import write_evaluation
from nijigan.pages.models import common_reader, evaluated, headers_of
from nijigan.procedural.faces import draw_face
from small import small_generator


class Procedural(Generator):
    """Returns procedural faces with exactly the requested attributes."""

    def __init__(self) -> None:
        small = small_generator()
        attributes = {"hair": ("blue", "pink"), "glasses": ("no", "yes")}
        super().__init__(small.module, replace(small.header, attributes=attributes, priors=((0, 0, 3), (1, 1, 1))))

    def sample(self, n: int = 1, *, seed: int = 0, psi: float = 1.0, batch_size: int = 64, **requested: str) -> Images:
        return np.stack([draw_face(seed % 2**32 + i, 32, **requested)[0] for i in range(n)])


class Replays(Generator):
    """Returns given faces, one per seed, in a cycle: what a perfect or a broken generator would return."""

    def __init__(self, faces: Images) -> None:
        super().__init__(small_generator().module, small_generator().header)
        self.faces = faces

    def sample(self, n: int = 1, *, seed: int = 0, psi: float = 1.0, batch_size: int = 64) -> Images:
        return self.faces[(np.arange(n) + seed) % len(self.faces)]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A face detector that finds a face wherever there is contrast; the real one does not know procedural faces."""

    def contrast(crops: Images, progress: object = None) -> np.ndarray:
        return np.asarray(crops.std((1, 2, 3)) > 10)

    monkeypatch.setattr(manifold_yield, "have_faces", contrast)


def test_real_faces_score_what_real_faces_score(judged_faces: FaceDataset, seen: None) -> None:
    train = np.asarray(judged_faces.pixels("train", 32))
    scores = evaluate(Replays(train), judged_faces, split="val", n=100, manifold=True).metrics.scores
    kid = scores["kid"]
    assert kid.low <= 0 <= kid.high
    assert scores["yield"].value == pytest.approx(scores["yield"].floor, abs=0.1)
    assert scores["yield-manifold"].value > 0.75
    for space in ("lite0", "anime"):
        found = scores[f"distinguishability-{space}"]
        assert found.low <= 0.5 <= found.high
    assert scores["originality"].value == 0  # and is no new face
    assert scores["precision"].value > 0.6
    assert scores["kid"].floor == pytest.approx(kid.value)  # the floor is measured on training faces too


def test_unseen_faces_are_good_and_original(judged_faces: FaceDataset, seen: None) -> None:
    test = np.asarray(judged_faces.pixels("test", 32))
    scores = evaluate(Replays(test), judged_faces, split="test", n=100, manifold=True).metrics.scores
    assert scores["yield"].value == pytest.approx(scores["yield"].floor, abs=0.05)
    assert scores["yield-manifold"].value > 0.75
    assert scores["originality"].value > 0.9


def test_broken_faces_are_not(judged_faces: FaceDataset, seen: None) -> None:
    test = np.asarray(judged_faces.pixels("test", 32)).astype(np.int64)
    noise = np.random.default_rng(0).normal(0, 60, (100, *test.shape[1:]))
    noisy = (test[np.arange(100) % len(test)] + noise).clip(0, 255).astype(np.uint8)
    evaluation_of_noise = evaluate(Replays(noisy), judged_faces, split="test", n=100, manifold=True)
    scores = evaluation_of_noise.metrics.scores
    assert scores["kid"].low > 0
    assert scores["yield"].value < 0.1
    assert scores["yield-manifold"].value < 0.1
    assert scores["precision"].value < 0.1
    assert scores["distinguishability-lite0"].low > 0.9
    assert {fault.name for fault in evaluation_of_noise.faults[:2]} == {"broken", "narrow"}


def test_what_does_not_look_like_a_face_is_not_good(
    judged_faces: FaceDataset, seen: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real faces that the detector does not find: the manifold alone would accept them."""
    train = np.asarray(judged_faces.pixels("train", 32))
    before = evaluate(Replays(train), judged_faces, split="val", n=100, manifold=True).metrics.scores
    blank = np.arange(100) % 2 == 0
    monkeypatch.setattr(manifold_yield, "have_faces", lambda crops, progress=None: ~blank)
    after = evaluate(Replays(train), judged_faces, split="val", n=100, manifold=True).metrics.scores
    assert after["yield"] == before["yield"]
    before, after = before["yield-manifold"].value, after["yield-manifold"].value
    assert 0.5 * before - 0.1 < after <= 0.5


def test_real_faces_are_embedded_once(judged_faces: FaceDataset, seen: None, monkeypatch: pytest.MonkeyPatch) -> None:
    space = open_feature_space()
    first = real_faces(judged_faces, "val", 32, space)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("embedded again")

    monkeypatch.setattr(FeatureSpace, "extract", forbidden)
    monkeypatch.setattr("nijigan.judges.real.look", forbidden)
    again = real_faces(judged_faces, "val", 32, space)
    for name in ("train", "features", "nearest"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    for name in ("lite0", "anime", "statistics", "keep"):
        assert np.array_equal(getattr(first.seen, name), getattr(again.seen, name))
    assert np.array_equal(first.seen.lite0, first.features)
    with pytest.raises(AssertionError, match="embedded again"):
        real_faces(judged_faces, "val", 28, space)  # another resolution is another cache


def test_judging_touches_no_random_state_and_repeats_itself(judged_faces: FaceDataset, seen: None) -> None:
    real = real_faces(judged_faces, "val", 32, open_feature_space())
    torch.manual_seed(7)
    np.random.seed(7)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first = quick_scores(small_generator(), real, 100)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert quick_scores(small_generator(), real, 100) == first
    assert list(first) == ["yield", "kid", "recall", "coverage", "originality"]
    generated = generate_faces(small_generator(), real, 100, seed=evaluation._SEARCH_SEED)
    assert first["originality"] == score(generated, real).scores["originality"]


def test_every_stage_says_what_it_does_and_how_far_it_is(
    judged_faces: FaceDataset, seen: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(readers, "_OWN_STEPS", 3)
    monkeypatch.setattr(reader_training, "BATCH", 4)
    shutil.copytree(judged_faces.path, tmp_path / "faces", ignore=shutil.ignore_patterns("cache"))
    dataset = FaceDataset(tmp_path / "faces")
    for split in ("train", "val", "test"):
        dataset.pixels(split, 32), dataset.pixels(split, 64)  # decoding has a message of its own
    caplog.set_level("INFO", "nijigan")
    last: dict[str, tuple[int, int]] = {}  # by stage

    def progress(done: int, total: int) -> None:
        assert done <= total
        last[re.sub(r"\d+", "N", " ".join(caplog.messages[-1].split()[:3]))] = done, total

    small = FeatureSpace("means", 3, "m", None, lambda pixels: pixels.mean((2, 3)))
    evaluate(Procedural(), dataset, n=100, n_asked=10, features=small, manifold=True, progress=progress)
    assert list(last) == [
        "Training an attribute", "Computing the features", "Finding the nearest", "Generating N faces",
        "Computing the scores", "Measuring the distances", "Comparing N val", "Requesting every value",
    ]  # fmt: skip
    assert any(message.startswith("Running the face detector on 100") for message in caplog.messages)
    assert all(done == total for done, total in last.values())


def test_generating_in_chunks_is_generating_at_once(judged_faces: FaceDataset) -> None:
    generator, space = small_generator(), open_feature_space("anime")
    real = real_faces(judged_faces, "val", 32, space)
    generated = generate_faces(generator, real, 300, seed=5)
    whole = generator.sample(300, seed=5)
    assert np.allclose(generated.features, space.extract(whole), atol=1e-4)
    assert np.allclose(generated.keep, quality.keep_probability(whole), atol=1e-4)
    compared = len(real.features)
    assert np.array_equal(generated.anime, generated.features[:compared])
    assert np.allclose(generated.lite0, open_feature_space().extract(whole[:compared]), atol=1e-4)


def test_an_evaluation_writes_metrics_and_a_report(judged_faces: FaceDataset, seen: None, tmp_path: Path) -> None:
    generator = small_generator()
    evaluation = evaluate(generator, judged_faces, split="val", n=120, seed=3, model="runs/a")
    report = write_evaluation(evaluation, generator, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["metrics.json", "report.html"]
    assert "runs/a" in report.read_text(encoding="utf-8")
    metrics = Metrics.read(tmp_path / "out" / "metrics.json")
    assert metrics == evaluation.metrics
    assert metrics.protocol.n_fake == 120
    assert metrics.protocol.seed == 3
    assert metrics.protocol.fingerprint == judged_faces.fingerprint
    assert metrics.weights == generator.weights_hash
    table = str(metrics)
    assert all(name in table for name in metrics.scores)


def test_a_conditional_generator_is_judged_by_its_conditional_accuracy(
    judged_faces: FaceDataset, seen: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "_OWN_STEPS", 30)
    monkeypatch.setattr(reader_training, "BATCH", 16)
    generator = Procedural()
    evaluation = evaluate(generator, judged_faces, split="val", n=100, n_asked=20, model="runs/b")
    write_evaluation(evaluation, generator, tmp_path)
    metrics = Metrics.read(tmp_path / "metrics.json")
    assert metrics == evaluation.metrics
    assert metrics.protocol.reader == "own"  # the human tags do not cover glasses
    assert metrics.protocol.n_asked == 20
    assert metrics.scores["accuracy-hair"].value > 0.7
    assert metrics.scores["accuracy-hair"].floor > 0.5
    assert list(metrics.conditional_accuracy) == ["hair", "glasses"]
    assert "hair: 20 faces for each of 2 values, read by own; chance 0.500" in str(metrics)
    assert "Conditional accuracy: glasses" in (tmp_path / "report.html").read_text(encoding="utf-8")
    with pytest.raises(UserError, match="human-tag reader \\(people\\) does not know glasses=no; choose --reader own"):
        evaluate(generator, judged_faces, split="val", n=100, reader="people")
    with pytest.raises(UserError, match="to request for each value must be 10 to 10,000 .* it is 5"):
        evaluate(generator, judged_faces, split="val", n=100, n_asked=5)


def test_metrics_from_before_there_were_attributes_are_read(judged_faces: FaceDataset, seen: None) -> None:
    metrics = evaluate(small_generator(), judged_faces, split="val", n=100).metrics
    assert metrics.protocol.reader is None
    assert not metrics.conditional_accuracy
    old = json.loads(metrics.to_json())
    old["obedience"] = old.pop("conditional_accuracy")  # the key in files of version 0.1
    assert Metrics.from_json(json.dumps(old)) == metrics
    del old["obedience"]
    for name in ("reader", "reader_hash", "n_asked", "n_yield"):
        del old["protocol"][name]
    assert Metrics.from_json(json.dumps(old)) == metrics
    del old["protocol"]["quality_hash"]
    read = Metrics.from_json(json.dumps(old)).scores
    assert read.pop("yield-manifold") == metrics.scores["yield"]  # another yield than that of today
    assert read == {name: score for name, score in metrics.scores.items() if name != "yield"}


def test_features_that_cannot_take_the_faces_are_refused_before_anything_is_embedded(
    judged_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large_only.py").write_text(
        "from torch import nn\nnet = nn.Sequential(nn.Flatten(), nn.Linear(12288, 8))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("nijigan.judges.evaluation.real_faces", lambda *_: pytest.fail("the real faces were embedded"))
    assert open_feature_space("large_only:net").size == 8  # 64 px; the generator has 32
    with pytest.raises(UserError, match="large_only:net fails on two faces of 32×32 pixels"):
        evaluate(small_generator(), judged_faces, split="val", n=100, features="large_only:net")


def test_a_model_is_judged_in_a_space_that_is_opened_once(
    judged_faces: FaceDataset, seen: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def counted(*arguments: object) -> FeatureSpace:
        opened.append(arguments)
        return open_feature_space(*arguments)

    for module in ("pages.models", "judges.evaluation"):
        monkeypatch.setattr(f"nijigan.{module}.open_feature_space", counted)
    small_generator().save(tmp_path / "last.safetensors")
    first = evaluated(str(tmp_path), judged_faces, n=100)
    assert opened == [("lite0", 32)]
    assert evaluated(str(tmp_path), judged_faces, n=100).metrics == first.metrics  # kept


def test_requests_out_of_range_are_refused_before_anything_is_computed(
    judged_faces: FaceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nijigan.judges.evaluation.real_faces", lambda *_: pytest.fail("the real faces were embedded"))
    generator = small_generator(attributes={"hair": ("blue", "pink")}, priors=((0, 1), (1, 1)))
    requests = [{"n": n} for n in (0, -1, 99, 100_001, 10**30)]
    requests += [{"n_asked": n} for n in (0, -1, 10**30)]
    requests += [{"seed": seed} for seed in (-1, 2**63 - 99, 10**30)]
    requests += [{"psi": psi} for psi in (-1, 2.5, float("nan"), float("inf"))]
    requests += [{"features": "lite9"}, {"split": "trian"}, {"reader": "people", "n_asked": 2**40}]
    for request in requests:
        with pytest.raises(UserError):
            evaluate(generator, judged_faces, **({"n": 100} | request))
    with pytest.raises(UserError, match="seed 9223372036854775808 is out of range"):  # of the last requested face
        evaluate(generator, judged_faces, n=100, n_asked=200, seed=2**63 - 399)


def test_a_reader_that_does_not_know_the_generators_attributes_is_refused(judged_faces: FaceDataset) -> None:
    generator = small_generator(attributes={"horns": ("none", "two")}, priors=((0, 1), (1, 1)))
    with pytest.raises(UserError, match="attribute reader does not know horns=none"):
        evaluate(generator, judged_faces, n=100, reader=readers.people())
    for name in ("auto", "people", "own"):
        with pytest.raises(UserError, match="horns=none"):
            evaluate(generator, judged_faces, n=100, reader=name)


def test_models_with_different_attributes_share_a_reader_that_knows_all_of_them(
    judged_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {
        "plain": {},
        "hair": {"attributes": {"hair": ("red", "blue")}, "priors": ((0, 1), (1, 2))},
        "both": {"attributes": {"hair": ("blue", "pink"), "mouth": ("open", "shut")}, "priors": ((0, 1, 5),)},
    }
    for name, changes in kinds.items():
        small_generator(**changes).save(tmp_path / f"{name}.safetensors")
    opened = []
    monkeypatch.setattr("nijigan.pages.models.open_reader", lambda *what: opened.append(what) or "a reader")
    headers = headers_of([str(tmp_path / f"{name}.safetensors") for name in kinds])
    assert common_reader(headers[:1], judged_faces) is None
    assert common_reader(headers, judged_faces) == "a reader"
    assert opened == [("auto", {"hair": ("red", "blue", "pink"), "mouth": ("open", "shut")}, judged_faces, None)]


def test_too_few_faces_are_refused(faces: FaceDataset, judged_faces: FaceDataset) -> None:
    with pytest.raises(UserError, match="100 to 100,000 .* it is 10"):
        evaluate(small_generator(), judged_faces, n=10)
    with pytest.raises(UserError, match="--holdout"):  # 120 faces, of which a dozen are held out
        evaluate(small_generator(), faces, n=100)


def test_a_generator_that_was_trained_on_other_faces_is_judged_with_a_warning(
    judged_faces: FaceDataset, seen: None, caplog: pytest.LogCaptureFixture
) -> None:
    evaluate(small_generator(), judged_faces, split="val", n=100)
    assert "may include faces that it was trained on" in caplog.text


DAMAGES = (
    lambda content: content[:-40] + bytes([content[-40] ^ 1]) + content[-39:],  # a number
    lambda content: b"\x93NUMPX" + content[6:],
    lambda content: content.replace(b"}", b" ", 1),  # of the header
    lambda content: content[:-1000],
    lambda content: b"",
    lambda content: content + b"x",
)


def test_a_damaged_cache_of_the_real_side_is_computed_again(
    judged_faces: FaceDataset, seen: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(judged_faces.path, tmp_path / "faces", ignore=shutil.ignore_patterns("cache"))
    dataset = FaceDataset(tmp_path / "faces")
    before = real_faces(dataset, "val", 32, open_feature_space())
    kept = {path: path.read_bytes() for path in (tmp_path / "faces" / "cache").glob("judge-*.npy")}
    for path in kept:
        path.unlink()  # it is mapped
    for (path, content), damage in zip(kept.items(), DAMAGES, strict=False):
        path.write_bytes(damage(content))
    after = real_faces(dataset, "val", 32, open_feature_space())
    assert caplog.text.count("is damaged") == len(kept) == 5
    assert all(path.read_bytes() == content for path, content in kept.items())
    np.testing.assert_array_equal(after.features, before.features)
    np.testing.assert_array_equal(after.train, before.train)
    np.testing.assert_array_equal(after.seen.keep, before.seen.keep)


def test_a_split_that_is_too_small_is_refused_before_a_reader_is_trained(
    faces: FaceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "train_reader", lambda *_, **__: pytest.fail("a reader was trained"))
    generator = small_generator(attributes={"mouth": ("open", "smile")}, priors=((0, 1), (1, 1)))
    with pytest.raises(UserError, match="at least 20 faces in the val split"):
        evaluate(generator, faces, split="val", n=100)


def test_a_split_with_too_few_faces_is_refused_with_the_command_that_changes_it(faces: FaceDataset) -> None:
    with pytest.raises(UserError, match=r"20 faces in the val split; .* has 12.*nijigan split .*faces --holdout 0\.4"):
        check_judgeable(faces, "test")


def test_a_yield_that_says_nothing_is_told_once_for_all_models(caplog: pytest.LogCaptureFixture) -> None:
    evaluation._warn_of_low_ceiling.cache_clear()
    for _ in range(3):
        evaluation._warn_of_low_ceiling(0.123, 16)
    evaluation._warn_of_low_ceiling(0.5, 16)
    assert caplog.text.count("would keep only 12 % of the real faces at 16 px") == 1
