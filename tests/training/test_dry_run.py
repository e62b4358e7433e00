"""Plans: what they say, what they refuse, and that they neither import, decode nor allocate what they plan."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nijigan.cli.entry import main
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.jsonio import read_json
from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.recipe import Recipe
from nijigan.training import dry_run, hardware, session, train
from nijigan.training.dry_run import _Held, plan
from nijigan.training.session import Session, advise
from nijigan.training.state import TrainingState


def test_a_plan_of_the_largest_recipe_says_what_does_not_fit(faces: FaceDataset, monkeypatch) -> None:
    monkeypatch.setattr("nijigan.training.dry_run.total_memory", lambda device: 24 * 10**9)
    planned = plan(replace(RECIPES["r3gan"], precision="bf16"), faces, "cpu")
    assert planned.gigabytes > 100
    assert "this device has 24 GB: add --accumulate 8" in str(planned)
    assert planned.hours > 100
    assert not list(faces.path.glob("cache/train-256-*"))  # nothing is decoded


def test_memory_grows_with_the_micro_batch(tiny: Recipe, faces: FaceDataset) -> None:
    def gigabytes(**changes: int) -> float:
        return plan(replace(tiny, **changes), faces, "cpu").gigabytes

    few, least = gigabytes(batch_size=102), gigabytes(batch_size=2)
    assert gigabytes(batch_size=302) - few == pytest.approx(2 * (gigabytes(batch_size=202) - few), rel=1e-3)
    assert gigabytes(batch_size=204, accumulate=2) == pytest.approx(few, rel=1e-3)
    assert gigabytes(batch_size=3) == least < few  # what a checkpoint takes while it is written


def test_what_autograd_holds_is_counted_once_and_until_it_is_freed() -> None:
    x = torch.ones(1000, requires_grad=True)
    with _Held() as held:
        y = (x * x).exp()  # holds x (twice) and the result
        assert held.peak == 2 * 4000
        y.sum().backward()
        del y
        (x * 2.0).exp()
        assert held.peak == 2 * 4000


def test_the_command_prints_five_lines_or_json(faces: FaceDataset, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "dcgan-tiny", "--data", str(faces.path), "--dry-run", "--device", "cpu"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["faces", "parameters", "arithmetic", "memory", "time"]
    assert main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["recipe"]["name"] == "dcgan-tiny"
    assert printed["hours"] > 0


def test_a_dry_run_imports_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pictures").mkdir()
    assert main(["train", "dcgan", "--data", str(tmp_path / "pictures"), "--dry-run"]) == 2
    assert "import the pictures first: nijigan import" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_length_in_minutes_is_settled_in_kimg(faces: FaceDataset, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    arguments = ["train", "dcgan-tiny", "--data", str(faces.path), "--device", "cpu", "--out", str(out)]
    assert main([*arguments, "--minutes", "0.01"]) == 0
    recipe = read_json(Recipe, out / "recipe.json")
    assert 0.1 <= recipe.kimg < 10
    assert f"are {recipe.kimg:g} kimg" in capsys.readouterr().err
    assert (out / "samples" / "kimg-000000.png").exists()  # a grid before the first round


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--minutes", "0"], "--minutes is 0"),
        (["--minutes", "-1"], "--minutes is -1"),
        (["--minutes", "nan"], "--minutes is nan"),
        (["--minutes", "inf"], "--minutes is inf"),
        (["--minutes", "1", "--kimg", "2"], "one of --minutes, --kimg and --epochs"),
        (["--minutes", "1", "--epochs", "2"], "one of --minutes, --kimg and --epochs"),
        (["--minutes", "1", "--devices", "2"], "measures one device"),
        (["--json"], "--json applies to --dry-run"),
        (["--batch-size", str(10**30)], "batch_size is 1e+30; choose at most 65,536"),
        (["--n-critic", str(10**9)], "n_critic is 1e+09"),
        (["--g-steps", str(10**9)], "g_steps is 1e+09"),
        (["--kimg", "1e300"], "kimg is 1e+300"),
        (["--epochs", "1e300"], "epochs is 1e+300"),
        (["--generator.width", str(10**6)], "generator.width is 1000000"),
        (["--discriminator.width", str(10**6)], "discriminator.width is 1000000"),
        (["--devices", "100000"], "--devices is 100000"),
        (["--nodes", "0"], "--nodes is 0"),
    ],
)
def test_lengths_and_sizes_out_of_range_are_refused(
    options: list[str], words: str, faces: FaceDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "dcgan", "--data", str(faces.path), "--device", "cpu", "--out", str(tmp_path / "run")]
    assert main([*arguments, *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_networks_that_cannot_be_read_are_refused_before_anything_is_measured(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(Session, "new", lambda *arguments: pytest.fail("measured"))
    with pytest.raises(UserError, match="no run to start from"):
        plan(tiny, faces, "cpu", tmp_path)


def test_a_batch_that_cannot_fit_is_refused(tiny: Recipe, faces: FaceDataset, monkeypatch) -> None:
    monkeypatch.setattr(session, "total_memory", lambda device: 10**9)
    with pytest.raises(UserError, match=r"A batch of 65,536 would take at least .* GB; this device has 1 GB"):
        _ = Session.new(replace(tiny, batch_size=65_536), faces, "cpu").state


@pytest.mark.parametrize(("gigabytes", "refused"), [(24, True), (150, False)])
def test_a_training_whose_activations_do_not_fit_is_refused_or_warned_of_before_it_writes(
    gigabytes: int, refused: bool, faces: FaceDataset, tmp_path: Path, monkeypatch, caplog
) -> None:
    """The weights of r3gan take 4 GB; what its batch of 256 keeps for gradients takes some 160."""
    monkeypatch.setattr(dry_run, "total_memory", lambda device: gigabytes * 10**9)
    monkeypatch.setattr(Session, "faces", property(lambda self: pytest.fail("passed"), lambda self, value: None))
    recipe = replace(RECIPES["r3gan"], precision="bf16")
    with pytest.raises(UserError if refused else pytest.fail.Exception) as caught:
        train(recipe, faces, tmp_path / "run", device="cpu")
    told = str(caught.value) if refused else caplog.text
    assert f"and this device has {gigabytes} GB; add --accumulate {8 if refused else 2}." in told
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_the_estimate_of_memory_changes_no_training(tiny: Recipe, faces: FaceDataset) -> None:
    session = Session.new(tiny, faces, "cpu")
    before = torch.get_rng_state()
    dry_run.check_memory(session)
    assert torch.equal(torch.get_rng_state(), before)
    assert "state" not in vars(session)  # nothing is allocated


def test_few_faces_lead_to_advice_unless_it_is_followed(tiny: Recipe, faces: FaceDataset, caplog) -> None:
    session._warn_once.cache_clear()
    for _ in range(2):
        advise(Session.new(tiny, faces, "cpu"))
    assert caplog.text.count("--augment.p auto") == 1
    caplog.clear()
    advise(Session.new(replace(tiny, augment=replace(tiny.augment, p="auto")), faces, "cpu"))
    assert "--augment.p auto" not in caplog.text


def test_bf16_is_chosen_by_the_generation_of_a_gpu_not_by_a_measurement(monkeypatch) -> None:
    for generation, wanted in ((7, "fp32"), (8, "bf16"), (9, "bf16")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, generation=generation: (generation, 0))
        assert hardware.resolve_precision("auto", torch.device("cuda")) == wanted


def test_the_memory_of_this_machine_is_known() -> None:
    memory = hardware.total_memory(torch.device("cpu"))
    assert memory is None or 10**8 < memory < 10**14


@pytest.mark.parametrize("name", ["dcgan-tiny", "sngan-hinge-small", "r3gan-small"])
def test_what_rounds_hold_without_content_is_what_they_hold_on_a_cpu_in_bf16(name: str, faces: FaceDataset) -> None:
    recipe = replace(RECIPES[name], resolution=32, precision="bf16", batch_size=16)
    plan_of = Session.new(recipe, faces, "cpu")

    def held(place: str, batch: int) -> int:
        device = torch.device(place)
        fabric = dry_run._Meta()
        fabric.device = device
        with device:
            state = TrainingState.start(recipe, device, plan_of.labels.attributes)
        cast = dry_run._Cast() if place == "meta" else nullcontext()
        with cast, _Held() as counted:
            dry_run._run_each_turn(dry_run._rounds(plan_of, batch, state, fabric))
        return counted.peak

    per_image = {place: (held(place, 12) - held(place, 4)) / 8 for place in ("meta", "cpu")}
    assert per_image["meta"] == pytest.approx(per_image["cpu"], rel=0.25)
