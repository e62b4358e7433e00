"""A run folder in which files are damaged or others have left theirs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import shrink
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.recipe import Recipe
from nijigan.runs import read_log
from nijigan.training import resume, train
from nijigan.training.checkpoint import load_checkpoint, save_checkpoint
from nijigan.training.observer.monitor import Monitor


@pytest.fixture(scope="module")
def finished_run(faces: FaceDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the tiny recipe; copy it."""
    return train(shrink(RECIPES["dcgan"]), faces, tmp_path_factory.mktemp("finished") / "run", device="cpu")


def _rename(tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    tensors["d_optimizer.000.exp_avf"] = tensors.pop("d_optimizer.000.exp_avg")


@pytest.mark.parametrize(
    "damage",
    [
        _rename,
        lambda tensors, state: state.update(images="many"),
        lambda tensors, state: state.pop("images"),
        lambda tensors, state: state.update(seconds=None),
        lambda tensors, state: state.update(format="two"),
        lambda tensors, state: state.update(scaler=[]),
        lambda tensors, state: state.update(search={"kid": "low"}),
        lambda tensors, state: state.update(search={"kidd": 1.0}),
        lambda tensors, state: state["recipe"].update(batch_size="eight"),
        lambda tensors, state: state["recipe"].update(batch_size=16),
    ],
)
def test_wrong_metadata_of_the_newest_checkpoint_leads_to_the_one_before(
    damage: Callable[[dict[str, torch.Tensor], dict[str, Any]], object],
    tmp_path: Path,
    finished_run: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    tensors, state = load_checkpoint(run / "checkpoints")
    whole = dict(tensors)
    damage(tensors, state)
    save_checkpoint(run / "checkpoints", 400, tensors, state)
    resume(run, device="cpu")
    assert "damaged" in caplog.text
    for name, value in load_checkpoint(run / "checkpoints")[0].items():
        assert torch.equal(whole[name], value)


def test_a_run_without_a_readable_checkpoint_is_not_told_to_resume(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, finished_run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"\x00" * 8 + b"x" * 1000)
    with pytest.raises(UserError) as refusal:
        train(tiny, faces, run, device="cpu")
    assert "all are damaged" in str(refusal.value)
    assert "--overwrite" in str(refusal.value)
    assert "resume" not in str(refusal.value)
    assert max(map(len, caplog.messages)) < 300 + len(str(run))


@pytest.mark.parametrize(
    "change",
    [
        {"images": "many"}, {"kimg": "0.3"}, {"d_loss": "low"}, {"kid": []}, {"g_loss": {}}, {"kimg": None},
        {"images": -8}, {"d_loss": float("nan")}, {"d_loss": 10**400}, {"images": True}, {"diversity": "much"},
    ],
)  # fmt: skip
def test_a_log_line_with_text_for_a_number_is_left_out(change: dict[str, Any], tmp_path: Path) -> None:
    line = {"images": 8, "kimg": 0.008, "d_loss": 1.0, "g_loss": 1.0, "real_score": 0.5, "fake_score": None}
    (tmp_path / "log.jsonl").write_text(json.dumps(line | change) + "\n" + json.dumps(line) + "\n" + "[" * 100_000)
    assert read_log(tmp_path) == [line]


def test_a_log_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(UserError, match="Could not read .*log.jsonl: Is a directory"):
        read_log(tmp_path)


def test_foreign_files_among_the_grids_are_kept_and_left_out(tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    (samples / "kimg-000009.png").mkdir(parents=True)
    foreign = [
        "kimg-best.png",
        "kimg-.png",
        "kimg-1.png",
        "kimg-000001_x.png",
        "kimg-²²²²²².png",
        "kimg-000001 (1).png",
    ]
    for name in foreign:
        (samples / name).write_bytes(b"mine")
    with Monitor(tmp_path, 0, 3000) as monitor:
        for images in (8, 16):
            monitor.samples(np.full((4, 8, 8, 3), 9 * images, np.uint8), images, images - 8)
        (samples / "kimg-000000_012.png").write_bytes(b"damaged")
        Image.new("RGB", (3, 3)).save(samples / "kimg-000000_013.png")
        monitor.timelapse()
    with Image.open(tmp_path / "timelapse.webp") as timelapse:
        assert timelapse.n_frames == 2
    Monitor(tmp_path, 0, 3000)
    assert sorted(path.name for path in samples.iterdir()) == sorted([*foreign, "kimg-000009.png"])
