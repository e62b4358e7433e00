"""Sweeps on procedural faces: every combination, failed runs, and continued sweeps."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nijigan.cli.entry import main
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.files import locked
from nijigan.jsonio import to_json
from nijigan.pages.ranking import ComparedModel
from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.parts import PenaltyConfig, ProjectedConfig
from nijigan.recipe.recipe import Recipe
from nijigan.sweep import _SweepFile, combinations, sweep
from nijigan.training import trainer
from nijigan.training.rounds import Rounds
from nijigan.training.session import Session


def test_combinations_are_all_and_the_last_varies_fastest(tiny: Recipe) -> None:
    cells = combinations(tiny, {"optimizer": ["adam", "sgd"], "batch-size": ["4", "8"], "generator.width": ["3"]})
    found = [
        (r.g_optimizer.kind, r.d_optimizer.kind, r.batch_size, r.generator.width, r.discriminator.width)
        for _, r in cells
    ]
    assert found == [
        ("adam", "adam", 4, 3, 4), ("adam", "adam", 8, 3, 4), ("sgd", "sgd", 4, 3, 4), ("sgd", "sgd", 8, 3, 4),
    ]  # fmt: skip
    assert cells[2][0] == {"optimizer": "sgd", "batch-size": "4", "generator.width": "3"}
    assert cells[0][1] == replace(tiny, batch_size=4, generator=replace(tiny.generator, width=3))


def test_what_changes_no_training_is_not_varied(tiny: Recipe) -> None:
    with pytest.raises(UserError, match="is the same training as name=a: what differs has no effect"):
        combinations(tiny, {"name": ["a", "b"]})
    with pytest.raises(UserError, match="projected.size=64 is not valid: .* no second discriminator"):
        combinations(tiny, {"projected.size": ["64", "96"]})
    assert len(combinations(replace(tiny, projected=ProjectedConfig(0.3)), {"projected.size": ["64", "96"]})) == 2


def test_words_numbers_and_switches(tiny: Recipe) -> None:
    [(_, recipe)] = combinations(tiny, {"lr": ["1e-4"], "flip": ["False"], "objective": ["mse"], "epochs": ["null"]})
    assert (recipe.g_optimizer.lr, recipe.d_optimizer.lr, recipe.flip) == (1e-4, 1e-4, False)
    assert (recipe.objective, recipe.epochs) == ("mse", None)


def test_a_part_of_another_kind_keeps_the_settings_it_shares_with_the_recipe() -> None:
    cells = combinations(RECIPES["wgan-gp"], {"penalty.kind": ["wgan-gp", "r1", "clip"]})
    assert [recipe.penalty for _, recipe in cells] == [
        RECIPES["wgan-gp"].penalty, PenaltyConfig("r1"), PenaltyConfig("clip"),
    ]  # fmt: skip


def test_lengths_in_kimg_override_a_recipes_epochs(tiny: Recipe) -> None:
    cells = combinations(replace(tiny, epochs=25), {"kimg": ["1", "2"]})
    assert [recipe.resolved(1000).kimg for _, recipe in cells] == [1, 2]


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ({}, "--vary"),
        ({"colour": ["red"]}, "no field colour"),
        ({"generator": ["dcgan"]}, "no field generator"),
        ({"optimizer": ["adam", "adagrad"]}, "optimizer=adagrad"),
        ({"batch_size": ["many"]}, "batch_size=many"),
        ({"resolution": ["65"]}, "choose 64"),
        ({"resolution": ["16", "32"]}, "cannot be compared"),
        ({"name": ["a/../../b"]}, "cannot be the name of a recipe"),
        ({"lr": ["1e-4", "0.0001"]}, "the same training"),
        ({"lr": ["1e-4", "1e-4"]}, "lr has the value 1e-4 twice"),
        ({"lr": ["1e-4", ""]}, "without empty values or control characters"),
        ({"lr": ["1e-4", "  "]}, "without empty values or control characters"),
        ({"lr": []}, "lr has no value"),
        ({"objective": ["bce", "mse\x1b[2J"]}, "without empty values or control characters"),
        ({"objective": ["bce", "\udcff"]}, "without empty values or control characters"),
        ({"batch_size": ["8", "1" + "0" * 5000]}, "batch_size=10{59}… is not valid"),
        ({"batch_size": ["8", "1e999"]}, "batch_size=1e999 is not valid"),
        ({"lr": ["1e999"]}, "lr=1e999 is not valid"),
        ({"lr": ["nan"]}, "lr=nan is not valid"),
        ({"kimg": ["NaN"]}, "kimg=NaN is not valid"),
        ({"kimg": ["-Infinity"]}, "kimg=-Infinity is not valid"),
        ({"mse_targets": ["[" * 100_000]}, "is not valid"),
        ({"precision": ["fp32", "fp16"]}, "precision=fp16 cannot be trained: fp16 is slow"),
        ({"condition.kind": ["none", "acgan"], "attributes": ["nose"]}, "cannot|not valid"),
        ({name: [str(n) for n in range(40)] for name in ("seed", "kimg", "batch_size")}, "64,000 combinations"),
    ],
)
def test_a_sweep_that_cannot_run_is_refused_before_it_begins(
    vary: dict[str, list[str]], words: str, tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        sweep(tiny, judged_faces, vary, tmp_path / "sweep", device="cpu")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("name", ["compare.html", "seed=1", "seed=2/recipe.json", "seed=1/failure.txt", "sweep.json"])
def test_files_that_no_sweep_wrote_are_refused(
    name: str, tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path
) -> None:
    other = tmp_path / name
    other.parent.mkdir(exist_ok=True)
    other.write_text("mine")
    with pytest.raises(UserError, match=r"no sweep wrote it|not the file of a sweep"):
        sweep(tiny, judged_faces, {"seed": ["1", "2"]}, tmp_path, device="cpu")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [other]
    assert other.read_text() == "mine"


def test_a_page_that_replaced_that_of_the_sweep_is_refused(
    tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nijigan.sweep.train", lambda *_, **__: pytest.exit("trains"))
    definition = _SweepFile(tiny, judged_faces.fingerprint, {"seed": ("1", "2")})
    (tmp_path / "sweep.json").write_text(to_json(definition))
    (tmp_path / "compare.html").write_text("mine")
    with pytest.raises(UserError, match="not a page that nijigan wrote"):
        sweep(tiny, judged_faces, {"seed": ["1", "2"]}, tmp_path, device="cpu")


def test_a_file_for_a_folder_and_a_second_sweep_in_one_folder_are_refused(
    tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another --out"):
        sweep(tiny, judged_faces, {"seed": ["1", "2"]}, tmp_path / "file", device="cpu")
    with locked(tmp_path / "sweep" / "sweep.lock"), pytest.raises(UserError, match="Another process"):
        sweep(tiny, judged_faces, {"seed": ["1", "2"]}, tmp_path / "sweep", device="cpu")
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["sweep.lock"]


def test_a_combination_that_does_not_fit_the_memory_is_refused_before_the_first_run(
    tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nijigan.training.dry_run.total_memory", lambda device: 8 * 10**8)
    words = "batch_size=65536 cannot be trained: .* this device has 0.8 GB; add --accumulate"
    with pytest.raises(UserError, match=words):
        sweep(tiny, judged_faces, {"batch_size": ["8", "65536"]}, tmp_path / "sweep", device="cpu")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    "vary", ["lr", "=1", "lr=", "lr=1e-4,", "lr=1e-4,1e-4", "lr=1e-4,\x1b[2J", "lr=1e999", "a" * 9999]
)
def test_a_bad_vary_is_one_sentence_before_pictures_are_imported(
    vary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures").mkdir()
    assert main(["sweep", "dcgan", "--data", str(tmp_path / "pictures"), "--vary", vary]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert len(told) < 400
    assert "\x1b" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_what_would_fail_at_the_end_is_refused_at_the_start(
    tiny: Recipe, faces: FaceDataset, judged_faces: FaceDataset, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="100 to"):
        sweep(tiny, judged_faces, {"seed": ["1", "2"]}, tmp_path / "sweep", n=50)
    with pytest.raises(UserError, match="val split"):  # a dozen faces
        sweep(tiny, faces, {"seed": ["1", "2"]}, tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_errors_that_settings_do_not_cause_end_the_sweep_and_mark_no_run_as_failed(
    tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise UserError("the disk is full")

    monkeypatch.setattr("nijigan.sweep.train", full)
    with pytest.raises(UserError, match="disk is full"):
        sweep(tiny, judged_faces, {"seed": ["1", "2"]}, tmp_path / "sweep")
    assert list(tmp_path.rglob("failure.txt")) == []


@pytest.mark.slow
def test_a_sweep_continues_and_skips_failed_runs(
    tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The least-squares run fails once with an unexpected error; a second call trains nothing again."""
    out, vary = tmp_path / "sweep", {"optimizer": ["adam", "sgd"], "objective": ["bce", "mse"]}
    trained = []
    loop = trainer.run_loop

    def counted(session: Session, *rest: Any) -> None:
        trained.append((session.recipe.g_optimizer.kind, session.recipe.objective))
        if trained[-1] == ("sgd", "mse"):
            raise RuntimeError("the machine hiccuped")
        loop(session, *rest)

    monkeypatch.setattr(trainer, "run_loop", counted)
    page = sweep(tiny, judged_faces, vary, out, device="cpu", n=100)
    assert trained == [("adam", "bce"), ("adam", "mse"), ("sgd", "bce"), ("sgd", "mse")]
    text = page.read_text(encoding="utf-8")
    assert "the machine hiccuped" in text
    assert all(word in text for word in ("adam", "sgd", "bce", "mse"))
    assert (out / "optimizer=sgd,objective=mse" / "failure.txt").is_file()
    first = json.loads(next((out / "optimizer=adam,objective=bce" / "evaluations").iterdir()).read_text())
    assert first["protocol"]["split"] == "val"

    assert sweep(tiny, judged_faces, vary, out, device="cpu", n=100) == page
    assert len(trained) == 4
    with pytest.raises(UserError, match="another sweep"):
        sweep(tiny, judged_faces, vary | {"objective": ["mse"]}, out, device="cpu", n=100)


@pytest.mark.parametrize(
    ("network", "value"), [("generator", float("nan")), ("discriminator", float("nan")), ("generator", 1e30)]
)
def test_weights_that_diverge_in_the_round_of_a_snapshot_fail_one_run_only(
    network: str, value: float, tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of the round is still finite; its update is not. Huge finite weights show in the pixels only."""
    run = Rounds.run

    def diverging(self: Rounds, total: int) -> None:
        run(self, total)
        if self.recipe.seed == 1 and self.state.images == 200:
            with torch.no_grad():
                for module in (getattr(self.state, network), self.state.ema.module):
                    for weight in module.parameters():
                        weight.fill_(value)

    monkeypatch.setattr(Rounds, "run", diverging)
    model = ComparedModel("seed=2", metrics=None, samples=None, seconds=None, curve=[], error=None)
    monkeypatch.setattr("nijigan.sweep.evaluated", lambda *_, **__: model)
    with pytest.raises(UserError, match="Every run"):  # for this model has no scores
        sweep(tiny, judged_faces, {"seed": ["1", "2"]}, tmp_path / "sweep")
    assert "no longer finite at 0.2 kimg" in (tmp_path / "sweep" / "seed=1" / "failure.txt").read_text()
    assert not list((tmp_path / "sweep" / "seed=1").rglob("*.safetensors"))
    assert (tmp_path / "sweep" / "seed=2" / "last.safetensors").is_file()


def test_an_interrupted_sweep_says_how_to_continue(
    tiny: Recipe, judged_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt("the run is saved")

    monkeypatch.setattr("nijigan.sweep.train", stopped)
    with pytest.raises(KeyboardInterrupt, match="in run 1 of 2; repeat the command"):
        sweep(tiny, judged_faces, {"seed": ["1", "2"]}, tmp_path / "sweep")
