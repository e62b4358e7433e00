"""Whole runs: what they leave behind, and that nothing about them is lost."""

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch.utils.flop_counter import FlopCounterMode

import nijigan
from conftest import shrink
from nijigan.dataset.faces import FaceDataset, FaceStream
from nijigan.errors import UserError
from nijigan.files import locked
from nijigan.generator.generator import Generator
from nijigan.jsonio import read_json
from nijigan.metrics.score import Score
from nijigan.networks import Critique, build_discriminator, build_generator
from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.parts import AugmentConfig, ConditionConfig, PenaltyConfig, TricksConfig
from nijigan.recipe.recipe import Recipe
from nijigan.runs import RunInfo, _processor, read_log
from nijigan.training import resume, train
from nijigan.training.checkpoint import load_checkpoint, save_checkpoint
from nijigan.training.dry_run import plan
from nijigan.training.hardware import launch
from nijigan.training.labels import TrainingLabels
from nijigan.training.observer import validation
from nijigan.training.observer.monitor import Monitor, position, speed
from nijigan.training.rounds import Rounds
from nijigan.training.session import Session
from nijigan.training.state import TrainingState
from nijigan.training.trainer import finished


def checkpoint(run: Path) -> dict[str, torch.Tensor]:
    path = max((run / "checkpoints").glob("*.safetensors"))
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118


def assert_equal_runs(a: Path, b: Path) -> None:
    left, right = checkpoint(a), checkpoint(b)
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def resumed_exactly(recipe: Recipe, faces: FaceDataset, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in one go, after the same in two parts has been held to it."""
    straight = train(recipe, faces, folder / "straight", device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "run", killed_after(300))
        with pytest.raises(KilledError):
            train(recipe, faces, folder / "parts", device="cpu")
    assert_equal_runs(resume(folder / "parts", device="cpu"), straight)
    return straight


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_resumes_exactly_and_draws(
    name: str, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shrink(RECIPES[name])
    straight = resumed_exactly(recipe, faces, tmp_path, monkeypatch)
    generated = Generator.load(straight).sample(3, seed=5)
    assert generated.shape == (3, 16, 16, 3)
    assert np.array_equal(generated, Generator.load(tmp_path / "parts").sample(3, seed=5))


def test_what_draws_random_numbers_of_its_own_resumes_exactly(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accumulation, dropout, noise, augmentation and tricks, none of which a recipe of the table has all of."""
    recipe = replace(
        tiny, accumulate=2, generator=replace(tiny.generator, dropout=0.3), augment=AugmentConfig(p=0.5),
        tricks=TricksConfig(soft_labels=0.1, flipped_labels=0.1, instance_noise=0.1, instance_noise_kimg=0.5),
        condition=ConditionConfig("projection"), attributes=("hair", "eyes"),
    )  # fmt: skip
    resumed_exactly(recipe, faces, tmp_path, monkeypatch)


def test_past_fakes_and_balanced_faces_resume_exactly(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, changes in enumerate(
        ({"tricks": TricksConfig(replay=0.5)}, {"balance": True, "condition": ConditionConfig("projection")})
    ):
        (tmp_path / str(number)).mkdir()
        resumed_exactly(replace(tiny, **changes), faces, tmp_path / str(number), monkeypatch)


@pytest.mark.parametrize("resolution", [28, 64, 96, 128])
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_builds_at_every_size(name: str, resolution: int) -> None:
    recipe = RECIPES[name]
    attributes = {} if recipe.condition.kind == "none" else {"hair": ("blue", "red"), "eyes": ("blue", "red", "gray")}
    with torch.device("meta"):
        generator = build_generator(recipe.generator, recipe.latent, resolution, attributes)
        discriminator = build_discriminator(recipe.discriminator, resolution, attributes, recipe.condition)
        codes = [torch.zeros(4, 2, dtype=torch.int64)] if attributes else []
        images = generator(torch.empty(4, recipe.latent.size), *codes)
        assert images.shape == (4, 3, resolution, resolution)
        assert discriminator(images, *codes).logits.shape == (4,)


class KilledError(Exception):
    """Ends a run without any of its own words."""


def killed_after(images: int) -> Callable[[Rounds, int], None]:
    run_round = Rounds.run

    def until(rounds: Rounds, total: int) -> None:
        if rounds.state.images >= images:
            raise KilledError
        run_round(rounds, total)

    return until


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in RECIPES if name.endswith(("-small", "gan-projection")) or name in ("acgan", "reacgan")]
)
def test_small_recipes_are_small(name: str, faces: FaceDataset) -> None:
    recipe = replace(RECIPES[name], batch_size=4, precision="fp32")
    assert plan(recipe, faces, "cpu").gflop_per_image <= 4


def test_what_a_run_leaves_behind(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    assert sorted(p.name for p in (run / "samples").iterdir()) == [
        "kimg-000000.png", "kimg-000000_200.png", "kimg-000000_400.png"
    ]  # fmt: skip
    assert sorted(p.name for p in (run / "plots").iterdir()) == ["gradients.png", "losses.png", "scores.png"]
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == [
        "000000000200.safetensors",
        "000000000400.safetensors",
    ]
    assert list(run.rglob(".*")) == []  # no temporary file is left
    with Image.open(run / "timelapse.webp") as timelapse:
        assert (timelapse.format, timelapse.n_frames) == ("WEBP", 3)
    lines = read_log(run)
    assert [line["images"] for line in lines] == [104, 200, 304, 400]
    for line in lines:
        assert {
            "kimg",
            "epoch",
            "d_loss",
            "g_loss",
            "real_score",
            "fake_score",
            "images_per_second",
            "seconds",
        } <= line.keys()
        assert 0 < line["real_score"] < 1
    assert any((run / "tensorboard").iterdir())
    header = Generator.load(run).header
    assert header.kimg == 0.4
    assert header.recipe == read_json(Recipe, run / "recipe.json") == tiny
    assert header.dataset.fingerprint == faces.fingerprint


def test_every_grid_is_kept_and_later_ones_are_cut_away(tmp_path: Path) -> None:
    """Rounds of 24 images, a grid every 504: those that reach a whole kimg are named by it alone."""
    ends = range(504, 3024, 504)
    with Monitor(tmp_path, 0, 3000) as monitor:
        for end in ends:
            monitor.samples(np.full((4, 8, 8, 3), end // 24, np.uint8), end, end - 24)
    names = [
        "kimg-000000_504.png", "kimg-000001.png", "kimg-000001_512.png", "kimg-000002.png", "kimg-000002_520.png",
    ]  # fmt: skip
    for images, left in ((2520, 5), (2016, 4), (1512, 3), (1008, 2), (504, 1), (0, 0)):  # where checkpoints lay
        Monitor(tmp_path, images, 3000)
        assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == names[:left]


@pytest.mark.parametrize(
    ("images", "total", "words"),
    [
        (16, 32, "0.016/0.032 kimg"), (400, 1000, "0.40/1 kimg"), (1234, 8000, "1.23/8 kimg"),
        (12_480, 200_000, "12.5/200 kimg"), (0, 32, "0.000/0.032 kimg"),
        (2016, 2016, "2.02/2.02 kimg"), (60_032, 60_032, "60.0/60 kimg"),
    ],
)  # fmt: skip
def test_short_runs_are_logged_with_more_digits(images: int, total: int, words: str) -> None:
    assert position(images, total) == words
    assert [speed(rate) for rate in (0.031, 9.44, 123.4)] == ["0.031 img/s", "9.4 img/s", "123 img/s"]


def test_training_learns(faces: FaceDataset, tiny: Recipe, tmp_path: Path) -> None:
    """After a few thousand images the mean generated face is near the mean real face; before training it is grey."""
    recipe = replace(tiny, kimg=8, tick_kimg=4, snapshot_kimg=8, generator=replace(tiny.generator, width=8))
    run = train(recipe, faces, tmp_path / "run", device="cpu")
    generated = Generator.load(run).sample(64).mean(0)
    real = faces.pixels("train", 16).mean(0)
    assert np.abs(generated - real).mean() < 0.5 * np.abs(127.5 - real).mean()


def test_training_leaves_the_callers_randomness_alone(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    train(replace(tiny, kimg=0.1), faces, tmp_path / "run", device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_finished_run_says_so(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(replace(tiny, kimg=0.1), faces, tmp_path / "run", device="cpu")
    with caplog.at_level(logging.INFO, "nijigan"):
        resume(run, device="cpu")
    assert "is finished" in caplog.text
    assert "--kimg" in caplog.text
    assert finished(run)
    path = max((run / "checkpoints").iterdir())
    path.rename(tmp_path / path.name)
    assert not finished(run)


def test_resume_without_a_checkpoint_starts_at_zero(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    straight = train(tiny, faces, tmp_path / "straight", device="cpu")
    for path in (straight / "checkpoints").iterdir():
        path.rename(tmp_path / path.name)
    resume(straight, device="cpu")
    with safe_open(tmp_path / "000000000400.safetensors", framework="pt") as old:
        for name, value in checkpoint(straight).items():
            assert torch.equal(old.get_tensor(name), value)
    assert [line["images"] for line in read_log(straight)] == [104, 200, 304, 400]


def test_a_checkpoint_cut_in_half_is_passed_over(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    whole = checkpoint(run)
    newest = run / "checkpoints" / "000000000400.safetensors"
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    resume(run, device="cpu")
    assert "damaged" in caplog.text
    for name, value in checkpoint(run).items():
        assert torch.equal(whole[name], value)


def test_only_damaged_checkpoints_are_a_sentence(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(UserError, match="No checkpoint"):
        resume(run, device="cpu")


def test_a_checkpoint_of_other_networks_is_a_sentence(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    recipe = read_json(Recipe, run / "recipe.json")
    (run / "recipe.json").write_text(replace(recipe, generator=replace(recipe.generator, width=5)).to_json())
    with pytest.raises(UserError, match="different values of generator"):
        resume(run, kimg=1, device="cpu")
    (run / "recipe.json").write_text(recipe.to_json())
    tensors, state = load_checkpoint(run / "checkpoints")
    del tensors["generator.layers.0.weight"]
    for path in (run / "checkpoints").glob("*.safetensors"):
        save_checkpoint(run / "checkpoints", int(path.stem), tensors, state)
    with pytest.raises(UserError, match="does not fit"):
        resume(run, kimg=1, device="cpu")


@pytest.mark.parametrize(
    ("field", "value"), [("seed", 5), ("objective", "minimax"), ("batch_size", 4), ("flip", False)]
)
def test_an_edited_recipe_is_not_resumed(
    field: str, value: object, tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    run = train(replace(tiny, kimg=0.1), faces, tmp_path / "run", device="cpu")
    (run / "recipe.json").write_text(replace(tiny, **{field: value}).to_json())
    with pytest.raises(UserError, match=f"different values of {field}"):
        resume(run, device="cpu")


def test_one_process_at_a_time(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    run = train(replace(tiny, kimg=0.1), faces, tmp_path / "run", device="cpu")
    before = (run / "recipe.json").read_text()
    with locked(run / "run.lock"), pytest.raises(UserError, match="Another process"):
        resume(run, kimg=0.2, device="cpu")
    assert (run / "recipe.json").read_text() == before


def test_of_two_that_start_at_once_one_writes(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    """Whoever holds the lock has not written anything yet: the other must not either."""
    run = tmp_path / "run"
    with locked(run / "run.lock"), pytest.raises(UserError, match="Another process"):
        train(tiny, faces, run, device="cpu")
    assert [path.name for path in run.iterdir()] == ["run.lock"]


def test_a_place_that_cannot_be_written_to_is_a_sentence(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Could not write .*Choose another place"):
        train(tiny, faces, tmp_path / "file" / "run", device="cpu")


@pytest.mark.parametrize("tail", [b'{"images": 1', b"\xff\xfe", b'{"images": 5}', b"3"])
def test_a_damaged_log_line_is_left_out(tail: bytes, tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    run = train(replace(tiny, kimg=0.1), faces, tmp_path / "run", device="cpu")
    lines = read_log(run)
    with (run / "log.jsonl").open("ab") as file:
        file.write(tail + b"\n")
    resume(run, kimg=0.2, device="cpu")
    assert read_log(run)[: len(lines)] == lines
    assert read_log(run)[-1]["images"] == 200


@pytest.mark.parametrize("kimg", [float("inf"), float("nan"), -1.0, 0.0])
def test_a_senseless_length_leaves_the_run_as_it_is(
    kimg: float, tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    run = train(replace(tiny, kimg=0.1), faces, tmp_path / "run", device="cpu")
    before = (run / "recipe.json").read_text()
    with pytest.raises(UserError, match="longer|finite"):
        resume(run, kimg=kimg, device="cpu")
    assert (run / "recipe.json").read_text() == before


def test_a_run_is_not_overwritten(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    run = train(replace(tiny, kimg=0.1), faces, tmp_path / "run", device="cpu")
    with pytest.raises(UserError, match="nijigan resume"):
        train(tiny, faces, run, device="cpu")


def test_resume_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run"):
        resume(tmp_path)


def test_resume_refuses_other_faces(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    run = train(replace(tiny, kimg=0.1), faces, tmp_path / "run", device="cpu")
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {"fingerprint": "other"}))
    with pytest.raises(UserError, match="have changed"):
        resume(run, kimg=1)


def test_faces_that_were_moved(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    """Their new place is asked for, taken once and remembered; other faces are refused and change nothing."""
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(faces.path, old)
    run = train(replace(tiny, kimg=0.1), FaceDataset(old), tmp_path / "run", device="cpu")
    old.rename(new)
    with pytest.raises(UserError, match=f"no longer in {old}; .*--data"):
        resume(run, device="cpu")
    before = (run / "run.json").read_text()
    other = FaceDataset(new)
    other.fingerprint = "other"
    with pytest.raises(UserError, match=f"in {new} have changed since"):
        resume(run, dataset=other, device="cpu")
    assert (run / "run.json").read_text() == before
    resume(run, dataset=FaceDataset(new), kimg=0.2, device="cpu")
    assert json.loads((run / "run.json").read_text()) == json.loads(before) | {"dataset": str(new)}
    resume(run, kimg=0.3, device="cpu")
    assert read_log(run)[-1]["images"] >= 300


def test_a_run_cannot_be_shortened(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    with pytest.raises(UserError, match="longer"):
        resume(run, kimg=0.1, device="cpu")


def test_a_loss_that_is_not_finite_stops_with_the_last_good_checkpoint(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    good = checkpoint(run)
    judge = Rounds._discriminate

    def judge_nan(self: Rounds, images: torch.Tensor, codes: tuple[torch.Tensor, ...]) -> Critique:
        critique = judge(self, images, codes)
        return replace(critique, logits=critique.logits * float("nan"))

    monkeypatch.setattr(Rounds, "_discriminate", judge_nan)
    with pytest.raises(UserError, match="no longer finite.*last good checkpoint"):
        resume(run, kimg=0.8, device="cpu")
    for name, value in checkpoint(run).items():
        assert torch.equal(good[name], value)


def test_a_full_disk_is_a_sentence(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left|disk is full"):
        train(tiny, faces, tmp_path / "run", device="cpu")
    assert list((tmp_path / "run").rglob("*.safetensors")) == []


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"),
    ],
)
def test_out_of_memory_names_a_batch_size(
    error: Exception, tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise error

    monkeypatch.setattr("nijigan.training.rounds.Rounds.run", explode)
    with pytest.raises(UserError, match="--batch-size 4"):
        train(tiny, faces, tmp_path / "run", device="cpu")


def test_a_resolution_above_the_faces_is_a_warning(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(replace(tiny, resolution=40, kimg=0.1), faces, tmp_path / "run", device="cpu")
    assert "32 pixels wide" in caplog.text


def test_devices_and_precisions_that_are_not_there(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="--device auto"):
            train(tiny, faces, tmp_path / "run", device="cuda")
    with pytest.raises(UserError, match="fp16"):
        train(replace(tiny, precision="fp16"), faces, tmp_path / "run", device="cpu")


@pytest.mark.parametrize(
    ("n_critic", "every", "alternate"), [(1, 4, 0), (2, 4, 0), (5, 2, 0), (3, 1, 0), (1, 4, 1), (1, 2, 2)]
)
def test_a_plan_counts_what_is_lazy_as_often_as_it_happens(
    n_critic: int, every: int, alternate: int, faces: FaceDataset, tiny: Recipe
) -> None:
    recipe = replace(
        tiny, n_critic=n_critic, alternate_epochs=alternate, penalty=PenaltyConfig("r1", every=every),
        discriminator=replace(tiny.discriminator, norm="none"), attributes=("hair", "eyes"),
        condition=ConditionConfig("acgan"),
    )  # fmt: skip
    labels = TrainingLabels.of(faces, recipe.attributes)
    state = TrainingState.start(recipe, torch.device("cpu"), labels.attributes)
    pixels = faces.pixels("train", recipe.resolution)
    read = labels.batches(FaceStream(pixels, recipe.seed, recipe.flip))
    epoch = 4 * every * recipe.batch_size  # in which all that is lazy happens a whole number of times
    rounds = Rounds(recipe, state, launch("cpu"), read, epoch, labels.distance(pixels))
    with FlopCounterMode(display=False) as counter:
        for _ in range(4 * every * max(1, 2 * alternate)):
            rounds.run(1000)
    counted = counter.get_total_flops() / state.images / 1e9
    assert plan(recipe, faces, "cpu").gflop_per_image == pytest.approx(counted, rel=1e-6)


def test_a_plan_counts_the_arithmetic(faces: FaceDataset, tiny: Recipe) -> None:
    """The count of the 64 px DCGAN by hand: a round is 3 passes of G and 8 of D, less what nobody needs."""
    recipe = replace(RECIPES["dcgan"], batch_size=2, precision="fp32")
    g = [100 * 512 * 16 * 1, 512 * 256 * 16 * 16, 256 * 128 * 16 * 64, 128 * 64 * 16 * 256, 64 * 3 * 16 * 1024]
    d = [3 * 64 * 16 * 1024, 64 * 128 * 16 * 256, 128 * 256 * 16 * 64, 256 * 512 * 16 * 16, 512 * 16]
    generator = 3 * sum(g) - g[0]  # forward, gradient of weights, gradient of inputs but the latent's
    discriminator = 2 * (3 * sum(d) - d[0]) + 2 * sum(d)  # real and fake for D; forward and inputs alone for G
    by_hand = 2 * (generator + discriminator) / 1e9
    counted = plan(recipe, faces, "cpu")
    assert counted.gflop_per_image == pytest.approx(by_hand, rel=1e-3)
    assert counted.parameters == (3_576_704, 2_765_632)
    # With attributes, in one round of four G draws once more, learns from it, and its embeddings through its input.
    kinds = (ConditionConfig("projection", diversity=weight) for weight in (1, 0))
    asked = [replace(recipe, attributes=("hair",), condition=kind) for kind in kinds]
    more, less = (plan(recipe, faces, "cpu").gflop_per_image for recipe in asked)
    assert more - less == pytest.approx(2 * 3 * (sum(g) + 64 * 512 * 16) / 4 / 1e9, rel=1e-3)
    assert counted.images_per_second > 0
    assert "GFLOP per image" in str(counted)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Evaluations that find given yields, one after the other, so that the search for the best can be followed."""
    yields: list[float] = []

    def next_scores(generator: Generator, real: object, n: int) -> dict[str, Score]:
        found = yields.pop(0)
        others = {"kid": Score(0.5, 0.4, 0.6), "recall": Score(0.2), "coverage": Score(0.7), "originality": Score(0.99)}
        return {"yield": Score(found, found - 0.01, found + 0.01), **others}

    monkeypatch.setattr(validation, "quick_scores", next_scores)
    monkeypatch.setattr(
        validation, "real_faces", lambda dataset, split, resolution, space, progress: SimpleNamespace(space=space)
    )
    return yields


def test_conditional_accuracy_is_watched_and_travels_with_the_best(
    tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path, scripted: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted += [0.5, 0.7]
    opened: list[list[str]] = []

    def open_reader(name: str, attributes: dict[str, tuple[str, ...]], dataset: FaceDataset) -> SimpleNamespace:
        opened.append(list(attributes))
        return SimpleNamespace(name="people")

    monkeypatch.setattr(validation, "open_reader", open_reader)
    monkeypatch.setattr(validation, "conditional_accuracy", lambda generator, reader: {"hair": Score(0.75, 0.7, 0.8)})
    recipe = replace(tiny, condition=ConditionConfig("acgan"), attributes=("hair", "eyes"), evaluate_every=0.2)
    run = train(recipe, judged_faces, tmp_path / "run", device="cpu")
    assert opened == [["hair", "eyes"]]
    assert [line["accuracy-hair"] for line in read_log(run) if "kid" in line] == [0.75, 0.75]
    assert Generator.load(run).header.metrics["accuracy-hair/people"] == 0.75


def test_labels_that_cannot_be_learnt_leave_no_run_behind(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(tiny, condition=ConditionConfig("acgan"), attributes=("hair",))
    monkeypatch.setattr(faces, "labels", lambda split: {"hair": np.zeros(faces.count(split), np.int64)})
    with pytest.raises(UserError, match="hair needs 2 to"):
        train(recipe, faces, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_the_best_is_kept_and_the_run_ends_when_it_is_old(
    tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path, scripted: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Yields .5, .7, .6, .6 with a patience of 2: the second is the best, the fourth is the last."""
    recipe = replace(tiny, kimg=1.6, snapshot_kimg=0.8, evaluate_every=0.1, early_stop=True, patience=2)
    scripted += [0.5, 0.7, 0.6, 0.6, 0.9]
    with caplog.at_level(logging.INFO, "nijigan"):
        run = train(recipe, judged_faces, tmp_path / "run", device="cpu")
    assert "Neither yield nor KID has improved by more than chance for 2 evaluations" in caplog.text
    assert [line["yield"] for line in read_log(run) if "yield" in line] == [0.5, 0.7, 0.6, 0.6]
    assert read_log(run)[-1]["images"] == 400
    best = Generator.load(run)
    assert best.header.kimg == 0.2
    assert best.header.metrics == {
        "yield/val": 0.7, "kid-lite0@128/val": 0.5, "recall/val": 0.2, "coverage/val": 0.7,
    }  # fmt: skip
    kept = sorted(int(p.stem) for p in (run / "checkpoints").iterdir())
    assert kept == [200, 304, 400]  # the last two, and the best
    assert {p.name for p in (run / "plots").iterdir()} == {
        "losses.png",
        "gradients.png",
        "scores.png",
        "kid.png",
        "yield.png",
        "variety.png",
        "originality.png",
    }
    assert (run / "timelapse.webp").is_file()

    caplog.clear()
    with caplog.at_level(logging.INFO, "nijigan"):
        resume(run, device="cpu")
    assert "is finished at 0.4 kimg" in caplog.text
    assert finished(run)


def test_a_stopped_run_goes_on_when_it_is_made_longer(
    tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path, scripted: list[float]
) -> None:
    recipe = replace(tiny, kimg=1.6, snapshot_kimg=0.8, evaluate_every=0.1, early_stop=True, patience=1)
    scripted += [0.6, 0.5]
    run = train(recipe, judged_faces, tmp_path / "run", device="cpu")
    assert read_log(run)[-1]["images"] == 200
    scripted += [0.5, 0.7, 0.3]
    resume(run, kimg=2.0, device="cpu")
    # Patience begins anew: the .5 is the first of it, and with a patience of 1 the last.
    assert read_log(run)[-1]["images"] == 304


def test_the_first_evaluation_says_how_far_the_real_faces_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [100.0]
    monkeypatch.setattr(validation.time, "monotonic", lambda: now[0])
    with caplog.at_level(logging.INFO, "nijigan"):
        progress = validation.said_now_and_then()
        for done in range(0, 50):
            now[0] += 1
            progress(done * 100, 12_048)
    assert caplog.messages == [
        "900 of 12,048",
        "1,900 of 12,048",
        "2,900 of 12,048",
        "3,900 of 12,048",
        "4,900 of 12,048",
    ]


def test_judging_changes_no_weight(
    tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path, scripted: list[float]
) -> None:
    plain = train(tiny, judged_faces, tmp_path / "plain", device="cpu")
    scripted += [0.3] * 4
    judged = train(replace(tiny, evaluate_every=0.1), judged_faces, tmp_path / "judged", device="cpu")
    assert_equal_runs(plain, judged)


def test_cut_off_in_an_evaluation_a_run_resumes_exactly(
    tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted: list[float]
) -> None:
    recipe = replace(tiny, evaluate_every=0.1, early_stop=True, patience=2, kimg=1.6, snapshot_kimg=0.8)
    scripted += [0.5, 0.7, 0.6, 0.6]
    straight = train(recipe, judged_faces, tmp_path / "straight", device="cpu")

    scripted += [0.5, 0.7]
    with pytest.raises(IndexError):  # the third evaluation dies
        train(recipe, judged_faces, tmp_path / "cut", device="cpu")
    scripted += [0.6, 0.6]
    cut = resume(tmp_path / "cut", device="cpu")
    assert_equal_runs(cut, straight)
    assert [line.get("yield") for line in read_log(cut)] == [line.get("yield") for line in read_log(straight)]
    assert Generator.load(cut).weights_hash == Generator.load(straight).weights_hash


NIJIGAN = [sys.executable, "-m", "nijigan"]


def _command(run: Path, dataset: Path, kimg: float) -> list[str]:
    small = ["--resolution", "16", "--batch-size", "8", "--generator.width", "8", "--discriminator.width", "8"]
    place = ["--data", str(dataset), "--out", str(run), "--device", "cpu"]
    return [*NIJIGAN, "train", "dcgan", *place, *small, "--kimg", str(kimg), "--snapshot-kimg", "1"]


def _wait_for_log(run: Path, kimg: float, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while not (lines := read_log(run)) or lines[-1]["kimg"] < kimg:
        assert process.poll() is None, "the run ended early"
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(faces: FaceDataset, tmp_path: Path) -> None:
    """20 kimg straight, against 20 kimg killed with -9 near the tenth."""
    subprocess.run(_command(tmp_path / "straight", faces.path, 20), check=True)
    process = subprocess.Popen(_command(tmp_path / "killed", faces.path, 20))
    _wait_for_log(tmp_path / "killed", 10, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (
        subprocess.run([sys.executable, "-m", "nijigan", "resume", str(tmp_path / "killed")], check=False).returncode
        == 0
    )
    assert_equal_runs(tmp_path / "killed", tmp_path / "straight")
    images = [line["images"] for line in read_log(tmp_path / "killed")]
    assert images == [line["images"] for line in read_log(tmp_path / "straight")]


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(faces: FaceDataset, tmp_path: Path) -> None:
    process = subprocess.Popen(_command(tmp_path / "run", faces.path, 200), stderr=subprocess.PIPE)
    _wait_for_log(tmp_path / "run", 1, process)
    process.send_signal(signal.SIGINT)
    _, narration = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"nijigan resume" in narration
    saved = int(max((tmp_path / "run" / "checkpoints").iterdir()).stem)
    assert saved == read_log(tmp_path / "run")[-1]["images"] < 200_000


WORKER = """
import hashlib, sys
from pathlib import Path

from nijigan.cli.common import leave
from nijigan.dataset.faces import FaceDataset
from nijigan.jsonio import read_json
from nijigan.recipe.recipe import Recipe
from nijigan.training import train, trainer

loop = trainer.run_loop

def hashed(session, observer, out):
    loop(session, observer, out)
    digest = hashlib.sha256()
    for network in (session.state.generator, session.state.discriminator):
        for parameter in network.parameters():
            digest.update(parameter.detach().numpy().tobytes())
    (out / f"weights-{session.fabric.global_rank}").write_text(digest.hexdigest())
    session.fabric.barrier()

trainer.run_loop = hashed
recipe, faces, out = map(Path, sys.argv[1:])
train(read_json(Recipe, recipe), FaceDataset(faces), out, device="cpu", devices=2)
leave(2)
"""


@pytest.mark.slow
def test_two_processes_share_a_batch(faces: FaceDataset, tmp_path: Path) -> None:
    """Each draws and augments its own, yet both end with the same weights; the command line goes on from there."""
    recipe = replace(shrink(RECIPES["r3gan-small"]), accumulate=2)
    assert recipe.objective == "relativistic"
    assert recipe.penalty.every > 1
    assert recipe.augment.p
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    (tmp_path / "worker.py").write_text(WORKER)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    run = tmp_path / "run"
    worker = [sys.executable, *map(str, (tmp_path / "worker.py", tmp_path / "recipe.json", faces.path, run))]
    longer = [*NIJIGAN, "resume", str(run), "--kimg", "0.6", "--device", "cpu", "--devices", "2"]
    for command, images in ((worker, 400), (longer, 600)):
        assert subprocess.run(command, env=environment, check=False, timeout=240).returncode == 0
        assert read_log(run)[-1]["images"] == images
    first, second = (run / f"weights-{rank}" for rank in range(2))
    assert first.read_text() == second.read_text()


def test_a_checkpoint_of_a_newer_version_is_refused(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    tensors, state = load_checkpoint(run / "checkpoints")
    assert state["format"] == 2
    save_checkpoint(run / "checkpoints", state["images"], tensors, state | {"format": 3})
    with pytest.raises(UserError, match="newer nijigan; update nijigan to resume"):
        resume(run, kimg=0.8, device="cpu")


@pytest.mark.parametrize(("accumulate", "warned"), [(2, False), (4, True)])
def test_an_older_checkpoint_continues_with_a_warning_where_the_order_of_random_numbers_moved(
    accumulate: int, warned: bool, tiny: Recipe, faces: FaceDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(replace(tiny, accumulate=accumulate), faces, tmp_path / "run", device="cpu")
    tensors, state = load_checkpoint(run / "checkpoints")
    del state["format"]  # as version 0.1 wrote it
    save_checkpoint(run / "checkpoints", state["images"], tensors, state)
    resume(run, kimg=0.8, device="cpu")
    assert ("order of random numbers" in caplog.text) is warned


def test_a_plan_leaves_the_callers_random_state(tiny: Recipe, faces: FaceDataset) -> None:
    before = torch.random.get_rng_state()
    plan(tiny, faces, "cpu")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_first_process_decides_the_precision(
    tiny: Recipe, faces: FaceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process finds bf16 fast; the first one, whose answer is broadcast, does not."""
    monkeypatch.setattr("nijigan.training.session.resolve_precision", lambda *_: "bf16")
    monkeypatch.setattr("lightning_fabric.Fabric.broadcast", lambda self, value, src=0: "fp32")
    assert Session.new(replace(tiny, precision="auto"), faces, "cpu").recipe.precision == "fp32"


def test_cadence_in_epochs_is_checked_before_a_folder_is_made(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    """120 faces have fewer than 20 for validation, and every_epochs asks for evaluations."""
    with pytest.raises(UserError, match="val"):
        train(replace(tiny, snapshot_kimg=None, every_epochs=1), faces, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["tensor", "name", "text"])
def test_a_flipped_bit_in_the_newest_checkpoint_leads_to_the_one_before(
    name: str, tiny: Recipe, faces: FaceDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    whole = checkpoint(run)
    path = max((run / "checkpoints").glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    place = {"tensor": len(content) - 5, "name": content.index(b'exp_avg"'), "text": content.index(b"seconds") + 12}[
        name
    ]
    content[place] ^= 1
    path.write_bytes(content)
    resume(run, device="cpu")
    assert "damaged" in caplog.text
    for key, value in checkpoint(run).items():
        assert torch.equal(whole[key], value)


@pytest.mark.parametrize(
    "name", ["log.jsonl", "last.safetensors", "best.safetensors", "samples/kimg-000900.png", "run.json"]
)
def test_files_of_others_are_not_overwritten_by_a_run(
    name: str, tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    path = run / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    (run / "notes.txt").write_text("mine too")
    with pytest.raises(UserError, match=f"{Path(name).parts[0]}, which is not part of a run.*--overwrite"):
        train(tiny, faces, run, device="cpu")
    assert path.read_text() == "mine"
    train(tiny, faces, run, device="cpu", overwrite=True)
    assert not path.exists() or path.read_bytes() != b"mine"
    assert (run / "notes.txt").read_text() == "mine too"


def test_overwrite_begins_a_run_anew(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    first = train(tiny, faces, tmp_path / "run", device="cpu")
    with pytest.raises(UserError, match="nijigan resume.*--overwrite"):
        train(tiny, faces, first, device="cpu")
    train(replace(tiny, kimg=0.2), faces, first, device="cpu", overwrite=True)
    assert read_log(first)[-1]["images"] == 200


def test_a_run_that_was_killed_before_its_recipe_was_written_can_begin(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    (tmp_path / "again").mkdir()
    shutil.copy(run / "run.json", tmp_path / "again")
    train(tiny, faces, tmp_path / "again", device="cpu")


def test_overwrite_does_not_delete_the_faces_that_it_is_to_learn_from(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    shutil.copytree(faces.path, run / "samples" / "faces")
    with pytest.raises(UserError, match="dataset lies in"):
        train(tiny, FaceDataset(run / "samples" / "faces"), run, device="cpu", overwrite=True)
    assert FaceDataset(run / "samples" / "faces").count("train") > 0
    assert (run / "recipe.json").is_file()


def test_every_snapshot_stays_on_request(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    run = train(replace(tiny, keep="every", snapshot_kimg=0.1), faces, tmp_path / "run", device="cpu")
    checkpoints = [int(path.stem) for path in sorted((run / "checkpoints").iterdir())]
    assert len(checkpoints) > 2
    snapshots = sorted((run / "snapshots").iterdir())
    grids = sorted(path.stem for path in (run / "samples").iterdir())
    assert [path.stem for path in snapshots] == grids[1:]  # the first grid is that of the untrained generator
    ages = [Generator.load(path).header.kimg for path in snapshots]
    assert ages == [images / 1000 for images in checkpoints]
    assert Generator.load(snapshots[-1]).weights_hash == Generator.load(run / "last.safetensors").weights_hash

    # A run that was cut off after its second checkpoint and goes on writes the same snapshots again.
    first = snapshots[0].read_bytes()
    for images in checkpoints[2:]:
        (run / "checkpoints" / f"{images:012d}.safetensors").unlink()
    resume(run, device="cpu")
    assert sorted((run / "snapshots").iterdir()) == snapshots
    assert snapshots[0].read_bytes() == first
    assert [int(path.stem) for path in sorted((run / "checkpoints").iterdir())] == checkpoints


def test_only_two_checkpoints_stay_on_request(
    tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path, scripted: list[float]
) -> None:
    scripted += [0.9, 0.5, 0.5, 0.5, 0.5, 0.5]
    run = train(
        replace(tiny, keep="last", evaluate_every=0.1, snapshot_kimg=0.1), judged_faces, tmp_path / "run", device="cpu"
    )
    assert len(list((run / "checkpoints").iterdir())) == 2
    assert Generator.load(run).header.metrics["yield/val"] == 0.9  # the best generator's file stays


def test_a_run_says_what_it_ran_on(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["nijigan", "train", "tiny"])
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    (begun,) = read_json(RunInfo, run / "run.json").environments
    assert begun.command == "nijigan train tiny"
    assert begun.machine.endswith(", cpu")
    assert begun.packages["torch"] == torch.__version__
    assert begun.version.split()[0] == nijigan.__version__
    resume(run, kimg=2 * tiny.kimg, device="cpu")  # on the same: nothing to add
    assert read_json(RunInfo, run / "run.json").environments == (begun,)
    monkeypatch.setattr("nijigan.runs._processor", lambda: "another processor")
    resume(run, kimg=3 * tiny.kimg, device="cpu")
    assert [found.machine for found in read_json(RunInfo, run / "run.json").environments][1:] == [
        begun.machine.replace(_processor(), "another processor")
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dcgan", "3 epochs of these 96 faces are 0.29 kimg."),
        (
            "anik",
            "3 epochs of these 96 faces are 0.29 kimg. The study had 63,632 faces; to train on as many images as it "
            "did, add --kimg 191.",
        ),
        ("ti-wen-chen", "3 epochs of these 96 faces are 0.29 kimg."),
    ],
)
def test_epochs_are_told_in_images(
    name: str, words: str, tiny: Recipe, faces: FaceDataset, caplog: pytest.LogCaptureFixture
) -> None:
    assert faces.count("train") == 96
    with caplog.at_level(logging.INFO, "nijigan"):
        Session.new(replace(tiny, name=name, epochs=3), faces, "cpu")
    assert words in caplog.messages
