import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import nijigan
from nijigan.cli import main, parse
from nijigan.cli.data import Import
from nijigan.cli.train import Train
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.parts import PenaltyConfig
from small import small_generator

SMALL = ["--resolution", "16", "--batch-size", "8", "--generator.width", "4", "--discriminator.width", "4"]
SMALL += ["--device", "cpu"]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "dcgan-tiny", "--help"], ["generate", "--help"]])
def test_help_needs_neither_torch_nor_daft(arguments: list[str]) -> None:
    code = (
        "import sys; from nijigan.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'daft', 'pyarrow', 'matplotlib', 'lightning_fabric', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "usage: nijigan" in result.stdout


def test_the_fields_of_the_named_recipe_are_the_defaults() -> None:
    command = parse(["train", "dcgan-tiny", "--data", "faces", "--generator.width", "7", "--kimg", "3"])
    assert isinstance(command, Train)
    tiny = RECIPES["dcgan-tiny"]
    assert command.settings.discriminator == tiny.discriminator
    assert command.settings.resolution == tiny.resolution
    assert (command.settings.generator.width, command.settings.kimg) == (7, 3)


def test_the_value_of_an_option_is_not_the_recipe() -> None:
    command = parse(["train", "--out", "wgan", "r3gan-small", "--data", "x"])
    assert isinstance(command, Train)
    assert (command.recipe, command.settings) == ("r3gan-small", RECIPES["r3gan-small"])
    with pytest.raises(UserError, match="name the recipe first"):  # it suits r3gan-small, but not dcgan
        parse(["train", "--out", "wgan", "r3gan-small", "--data", "x", "--penalty.kind", "r1"])
    command = parse(["train", "r3gan-small", "--out", "wgan", "--data", "x", "--penalty.kind", "r1"])
    assert isinstance(command, Train)
    assert (command.settings.penalty.kind, command.settings.objective) == ("r1", "relativistic")


def test_help_shows_the_named_recipes_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "r3gan", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "accumulation steps. (default: 256)" in text


def test_kimg_overrides_a_recipes_epochs() -> None:
    command = parse(["train", "anik", "--data", "x", "--kimg", "10"])
    assert isinstance(command, Train)
    assert command.settings.resolved(60_000).kimg == 10
    command = parse(["train", "anik", "--data", "x", "--kimg=500"])  # which is the field's default
    assert isinstance(command, Train)
    assert command.settings.resolved(60_000).kimg == 500
    for recipe in ("anik", "dcgan"):
        with pytest.raises(UserError, match="not with both"):
            parse(["train", recipe, "--data", "x", "--kimg", "10", "--epochs", "3"])
    command = parse(["train", "anik", "--data", "x", "--epochs", "3"])
    assert isinstance(command, Train)
    assert command.settings.resolved(10_000).kimg == 30


def test_a_part_of_another_kind_keeps_the_recipes_values_that_it_has() -> None:
    command = parse(["train", "r3gan-small", "--data", "x", "--generator.kind=resnet", "--penalty.kind", "wgan-gp"])
    assert isinstance(command, Train)
    assert (command.settings.generator.upsample, command.settings.generator.width) == ("transposed", 56)
    assert (command.settings.penalty.strength, command.settings.penalty.every) == (10, 8)
    command = parse(["train", "wgan-gp", "--data", "x", "--penalty.kind", "clip"])
    assert isinstance(command, Train)
    assert command.settings.penalty == PenaltyConfig("clip")
    with pytest.raises(UserError, match="penalty.weight applies to .*, not to clip"):  # typed, and so meant
        parse(["train", "wgan-gp", "--data", "x", "--penalty.kind", "clip", "--penalty.weight", "3"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "dcgn", "--data", "x"], "did you mean dcgan"),
        (["train", "dcgan", "--data", "nowhere"], "nothing at /"),
        (["demo", "--out", __file__], "exists and is not an empty folder"),
        (["train", "dcgan", "--data", "x", "--resolution", "65"], "choose 64 or 80"),
        (["train", "dcgan", "--data", "x", "--latent.size", "0"], "choose 1 to 4096"),
        (["train", "dcgan", "--data", "x", "--label-smoothing", "0.1", "--objective", "mse"], "bce"),
        (
            ["train", "dcgan", "--data", "x", "--dry-run", "--devices", "2"],
            "measures one device, not several",
        ),
        (["train", "acgan", "--data", "x", "--attributes", ","], "attributes is empty"),
        (["import", "x", "--out", "y", "--min-count", "-1"], "choose 0"),
        (["resume", "nowhere"], "no run in nowhere"),
        (["resume", "nowhere", "--data", "elsewhere"], "nothing at /"),
        (["generate", "nowhere.safetensors"], "nowhere.safetensors"),
        (["inspect", "nowhere"], "nowhere"),
        (["import", "nowhere", "--out", "x"], "nowhere"),
    ],
)
def test_mistakes_print_one_sentence_and_exit_2(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert words in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command_is_named_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint"]) == 2
    told = capsys.readouterr().err
    assert "no command 'paint'" in told
    assert "generate" in told


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nijigan {nijigan.__version__}\n"


@pytest.mark.parametrize("arguments", [["train"], ["--paint"], ["train", "dcgan", "--data", "x", "--kimgs", "3"]])
def test_invalid_commands_exit_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["train", "dcgan", "--data", "x", "--kimgs", "3"], "--kimg FLOAT"),
        (["sweep", "dcgan", "--data", "x", "--varry", "lr=1"], "--vary"),
        (["resume", "x", "--dataa", "y"], "--data PATH"),
    ],
)
def test_the_option_that_was_meant_is_suggested_once(
    arguments: list[str], option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main(arguments)
    output = capsys.readouterr()
    text = output.out + output.err
    assert text.count(option) == 1
    assert f"nijigan {arguments[0]} --help" in text
    assert " in nijigan " not in text  # nothing of other commands


@pytest.mark.parametrize("command", ["import", "train", "resume", "generate", "evaluate", "rate"])
def test_help_says_nothing_of_none(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert "None}" not in text
    assert "(default: None)" not in text


def test_help_has_no_line_breaks_of_docstrings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out
    assert "every attribute of the dataset, or none if condition.kind is none." in text
    assert "mse = least squares (LSGAN), Mao et al. 2017;" in text


def test_none_is_still_a_value() -> None:
    command = parse(["train", "walia", "--data", "x", "--every-epochs", "None", "--out", "y"])
    assert isinstance(command, Train)
    assert (command.settings.every_epochs, command.out) == (None, Path("y"))


def test_the_main_job(faces: FaceDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Import, inspect, plan, train, resume, generate and walk, as a user types it."""
    pictures, run = faces.path.parent / "pictures", str(tmp_path / "run")
    data = str(tmp_path / "faces")
    assert main(["import", str(pictures), "--out", data]) == 0
    assert main(["inspect", data]) == 0
    assert "hair" in capsys.readouterr().out
    train = ["train", "dcgan-tiny", "--data", data, "--out", run, "--kimg", "0.2", "--snapshot-kimg", "0.1", *SMALL]
    assert main([*train, "--dry-run"]) == 0
    assert "images/s" in capsys.readouterr().out
    assert not Path(run).exists()
    assert main(train) == 0
    moved = shutil.move(data, tmp_path / "moved")
    assert main(["resume", run, "--data", str(moved), "--kimg", "0.3", "--device", "cpu"]) == 0
    for out in ("grid.png", "faces.zip", "folder"):
        assert main(["generate", run, "--n", "5", "--seed", "3", "--out", str(tmp_path / out)]) == 0
        assert (tmp_path / out).exists()
    assert main(["walk", run, "--out", str(tmp_path / "walk.webp"), "--stops", "2", "--frames-per-stop", "3"]) == 0
    assert (tmp_path / "walk.webp").stat().st_size > 0


def test_a_folder_of_pictures_is_imported_once(faces: FaceDataset, tmp_path: Path) -> None:
    pictures = tmp_path / "art.v1"
    shutil.copytree(faces.path.parent / "pictures", pictures)
    arguments = ["train", "dcgan", "--data", str(pictures), "--kimg", "0.01", "--overwrite", *SMALL]
    arguments += ["--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    made = (tmp_path / "art.v1-faces" / "dataset.json").stat().st_mtime_ns
    assert main(arguments) == 0
    assert (tmp_path / "art.v1-faces" / "dataset.json").stat().st_mtime_ns == made


def test_flags_are_checked_against_the_recipe_that_was_named(tmp_path: Path) -> None:
    path = tmp_path / "big.json"
    path.write_text(replace(RECIPES["dcgan"], batch_size=128).to_json())
    command = parse(["train", str(path), "--data", "faces", "--accumulate", "32"])
    assert isinstance(command, Train)
    assert (command.settings.batch_size, command.settings.accumulate) == (128, 32)


def test_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in RECIPES)
    assert main(["recipes", "--json"]) == 0


def test_one_recipe_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "wgan"]) == 0
    assert re.search(r"^penalty.clip +0.01$", capsys.readouterr().out, re.MULTILINE)
    assert main(["recipes", "wgan", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_critic"] == 5
    assert main(["recipes", "niji", "--layers", "--figure", str(tmp_path / "net.svg")]) == 0
    table = capsys.readouterr().out
    assert "12 values of hair" in table
    assert "embedding of 12 values" in table
    assert (tmp_path / "net.svg").is_file()
    assert main(["recipes", "dcgan", "--layers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["Generator"][0]["kind"] == "transposed conv 4×4"
    assert main(["recipes", "--layers"]) == 2
    assert "name it" in capsys.readouterr().err
    assert main(["recipes", "dcgam", "--layers"]) == 2
    assert main(["recipes", "dcgan", "--overwrite"]) == 2
    assert "--figure" in capsys.readouterr().err


def test_the_module_runs() -> None:
    environment = os.environ | {"COLUMNS": "80"}
    result = subprocess.run(
        [sys.executable, "-m", "nijigan", "recipes"], env=environment, capture_output=True, check=False
    )
    assert result.returncode == 0


def test_judging_from_the_command_line(
    judged_faces: FaceDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two untrained generators are evaluated and compared, and not evaluated a second time."""
    runs = [tmp_path / name for name in ("a", "b")]
    for seed, run in enumerate(runs):
        small_generator(seed).save(run / "last.safetensors")
    data = ["--data", str(judged_faces.path)]
    out = tmp_path / "evaluation"
    judged = ["evaluate", str(runs[0]), *data, "--n", "100", "--out", str(out), "--json"]
    assert main(judged) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert printed["protocol"]["split"] == "test"
    assert (out / "report.html").is_file()

    compared = ["compare", *map(str, runs), *data, "--n", "100", "--out", str(tmp_path / "compare.html")]
    assert main(compared) == 0
    kept = [path for run in runs for path in (run / "evaluations").iterdir()]
    assert [json.loads(path.read_text())["protocol"]["split"] for path in kept] == ["val", "val"]
    times = [path.stat().st_mtime_ns for path in kept]
    assert main(compared) == 0
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_repeated_options_are_appended() -> None:
    words = "import --label hair,eyes --merge orange=red art more --merge teal=aqua --label year --out faces"
    command = parse(words.split())
    assert isinstance(command, Import)
    assert command.sources == (Path("art"), Path("more"))
    assert command.label == ("hair,eyes", "year")
    assert command.merge == ("orange=red", "teal=aqua")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "--data", "DATA", "--n", "5"], "100 to 100,000"),
        (["evaluate", "nowhere", "--data", "DATA"], "no generator at nowhere"),
        (["evaluate", "--data", "DATA", "--features", "vgg"], "choose lite0, anime"),
        (["compare", "nowhere.safetensors"], "no generator at nowhere.safetensors"),
        (["compare", "a", "a", "--data", "DATA"], "named twice"),
        (["compare", "--data", "DATA"], "Name at least one model"),
        (["train", "acgan", "--data", "DATA", "--attributes", "hair", "--attributes=eyes"], "in one --attributes"),
        (["rate", "--data", "DATA"], "Name at least one model"),
        (["import", "--out", "faces"], "Name what to import"),
        (["evaluate", "--data", "DATA", "--features", ":x"], "no network at :x"),
        (["sweep", "dcgan", "--data", "DATA", "--vary", "lr"], "--vary lr is not valid; write FIELD=VALUE"),
        (["sweep", "dcgan", "--data", "DATA", "--vary", "lr=1,,2"], "--vary lr=1,,2 is not valid; write FIELD=VALUE"),
        (["sweep", "dcgan", "--data", "DATA", "--vary", "lr=1e-4", "--vary", "lr=1e-3"], "with a new field"),
        (["sweep", "dcgan", "--data", "DATA", "--vary", "colour=red"], "no field colour"),
        (["rate", "nowhere", "--data", "DATA"], "no generator at nowhere"),
    ],
)
def test_mistakes_in_judging_are_one_sentence(
    arguments: list[str],
    words: str,
    judged_faces: FaceDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(judged_faces.path) if word == "DATA" else word for word in arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_without_arguments_the_command_line_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    assert "usage: nijigan" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "hints"),
    [
        (
            "generate",
            [
                "Default: 64; 8 per value with --each; 4 times as many as --best keeps.",
                "Faces per row of the grid. Default:",
            ],
        ),
        ("import", ["Default: tables in the sources called", "Default: the column whose cells"]),
    ],
)
def test_a_default_that_is_said_in_words_is_in_the_help(
    command: str, hints: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = " ".join(re.sub(r"[│\n]", " ", capsys.readouterr().out).split())
    assert all(hint in shown for hint in hints)
    assert "(default: None)" not in shown
