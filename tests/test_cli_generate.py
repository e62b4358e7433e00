"""The commands `generate` and `walk`: what is asked for, and what is refused in one sentence."""

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

import nijigan
from nijigan.cli import main, parse
from nijigan.cli.generate import Generate, Upscaler, Walk
from nijigan.cli.requests import check_requested, chosen_seeds, take_attributes
from nijigan.errors import UserError
from nijigan.generator import enlarging
from nijigan.generator.enlarging import enlarge
from nijigan.generator.face import Face
from nijigan.generator.records import read_face
from small import ATTRIBUTES, small_generator


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "--each", "hair", "--each", "eyes"], "--each is given twice"),
        (["generate", "--hair", "blue", "--hair=red"], "--hair is given twice"),
        (["generate", "--scal", "2"], "Unknown option --scal. Did you mean --scale?"),
        (["walk", "--moustache", "red"], "Unknown option --moustache. (This model's attributes: "),
        (["generate", "--hair="], "--hair has no value; choose aqua, black"),
        (["generate", "--hair"], "--hair has no value; choose aqua, black"),
        (["generate", "--hair", "--n", "4"], "--hair has no value; choose aqua, black"),
        (["generate", "--hair", "mauve"], "hair cannot be mauve; choose aqua, black"),
        (["generate", "--sed", "3"], "Unknown option --sed. Did you mean --seed?"),
        (["generate", "--sed"], "Unknown option --sed. Did you mean --seed?"),
        (["generate", "--hiar", "blue"], "Unknown option --hiar. Did you mean --hair?"),
        (["generate", "--HAIR", "blue"], "Unknown option --HAIR. Did you mean --hair?"),
        (["generate", "--col", "3"], "Unknown option --col. Did you mean --columns?"),
        (["walk", "--frames", "3"], "Did you mean --frames-per-stop?"),
        (["walk", "--each", "hair"], "--each is an option of `nijigan generate` only"),
        (["generate", "--fps", "12"], "--fps is an option of `nijigan walk` only"),
        (["generate", "--n", "0"], "number of faces must be 1 or more"),
        (["generate", "--n", "1" + 30 * "0"], "number of faces must be 1 or more"),
        (["generate", "--best", "0"], "--best must be 1 or more"),
        (["generate", "--best", "9", "--n", "8"], "9 faces cannot be chosen from 8"),
        (["generate", "--best", "200000", "--out", "faces"], "800,000 faces are too many to choose from"),
        (["generate", "--best", "4", "--out", "x.tiff"], "unsupported suffix"),
        (["generate", "--best", "4", "--each", "hair"], "omit it or --each"),
        (["generate", "--seeds", "3,17,3"], "The seed 3 is given twice"),
        (["generate", "--seeds", "9-3"], "smaller number first"),
        (["generate", "--seeds", "3;4"], "--seeds 3;4 is not valid"),
        (["generate", "--seeds=-3"], "--seeds -3 is not valid"),
        (["generate", "--seeds", ""], "--seeds has no value"),
        (["generate", "--out", ""], "--out has no value"),
        (["walk", "--out="], "--out has no value"),
        (["generate", "--out", "x."], "unsupported suffix"),
        (["generate", "--out", 300 * "x" + ".png"], "File name too long"),
        (["generate", "--out", 300 * "x"], "File name too long"),
        (["walk", "--out", 300 * "x" + ".webp"], "File name too long"),
        (["generate", "--like", 300 * "x" + ".png"], "File name too long"),
        (["generate", 5000 * "x"], "File name too long"),
        (["generate", "--hair", 100_000 * "x"], "choose aqua, black"),
        (["generate", "--seeds", "3,9223372036854775808"], "out of range"),
        (["generate", "--seeds", "0-10000000"], "more than 10,000,000 seeds"),
        (["generate", "--seeds", "3", "--n", "2"], "--seeds names all faces; omit --n"),
        (["generate", "--seed", "9223372036854775808"], "out of range"),
        (["generate", "--seed=-1"], "out of range"),
        (["generate", "--psi", "nan"], "psi"),
        (["generate", "--psi", "2.1"], "psi"),
        (["generate", "--size", "250"], "Choose 192 or 256"),
        (["generate", "--size", "40"], "Choose 64 or 128"),
        (["generate", "--size", "0"], "--size is 0, which is out of range; choose a multiple of 64 up to 16320"),
        (["generate", "--size", "99999"], "--size is 99999, which is out of range; choose a multiple of 64 up to"),
        (["walk", "--size", "99968"], "--size is 99968, which is out of range; choose a multiple of 64 up to"),
        (["generate", "--size", "16321"], "--size is 16321, which is out of range"),
        (["generate", "--size", "16319"], "Choose 16256 or 16320."),
        (["generate", "--scale", "0"], "--scale is 0, which is out of range; choose 1 to 255"),
        (["walk", "--scale", "256"], "--scale is 256, which is out of range; choose 1 to 255"),
        (["generate", "--size", "128", "--scale", "2"], "give one of them"),
        (["generate", "--size", "1" + 30 * "0"], "which is out of range; choose a multiple"),
        (["generate", "--scale", "0"], "choose 1 to 255"),
        (["generate", "--columns", "0"], "columns must be 1 or more"),
        (["generate", "--each", "hair", "--columns=-1"], "columns must be 1 or more"),
        (["generate", "--columns", "3", "--out", "folder"], "Columns apply only to a grid"),
        (["generate", "--each", "hat"], "no attribute hat; its attributes are hair, eyes"),
        (["generate", "--like", "nowhere.png"], "no such file"),
        (["generate", "--like", "nowhere.png", "--seed", "3"], "--like generates one face again; omit --seed"),
        (["generate", "runs/a"], "if it is a model on the Hugging Face Hub, write hf:runs/a"),
        (["evaluate", "runs/a", "--data", "x"], "write hf:runs/a"),
        (["walk", "--n", "0"], "number of sequences must be 1 or more"),
        (["walk", "--seeds", "3"], "at least 2 stops"),
        (["walk", "--seeds", "3-9", "--n", "2"], "2 sequences of 3 stops need 6 seeds, not 7"),
        (["walk", "--fps", "0"], "out of range"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert words in output.err
    assert output.err.count("\n") == 1
    assert len(output.err) < 400
    assert output.out == ""
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_knows_every_upscaler() -> None:
    assert get_args(Upscaler) == get_args(enlarging.Upscaler)


def test_attributes_are_the_options_that_a_command_does_not_have() -> None:
    words = ["runs/a", "--hair", "Blue", "--n", "4", "--eye-colour=red", "--out", "x.png"]
    assert take_attributes(words, Generate) == (
        ["runs/a", "--n", "4", "--out", "x.png"],
        {"hair": "Blue", "eye_colour": "red"},
    )
    command = parse(["generate", *words])
    assert (command.model, command.n, command.attributes) == ("runs/a", 4, {"hair": "Blue", "eye_colour": "red"})


def test_a_value_named_like_an_option_is_a_value() -> None:
    words = ["each", "--each", "hair", "--out", "scale", "--scale", "2"]
    assert take_attributes(words, Generate) == (words, {})


@pytest.mark.parametrize("words", [["--hair"], ["--hair="], ["--hair", "--n", "4"]])
def test_an_attribute_without_a_value_is_kept_for_the_generator_to_refuse(words: list[str]) -> None:
    assert take_attributes(words, Generate)[1] == {"hair": ""}


def test_an_attribute_is_given_once() -> None:
    with pytest.raises(UserError, match="given twice"):
        take_attributes(["--hair", "blue", "--hair", "red"], Generate)


def test_values_match_whatever_their_case_width_and_spaces() -> None:
    generator = small_generator(attributes={"hair": ("light  blue", "ピンク")}, priors=((0, 1), (1, 1)))
    for typed, value in (
        ("Light Blue", "light  blue"),
        ("ＬＩＧＨＴ blue", "light  blue"),
        ("ﾋﾟﾝｸ", "ピンク"),
    ):
        assert check_requested({"hair": typed}, generator, Generate, Walk) == {"hair": value}
    assert check_requested({"hair": "ANY"}, generator, Generate, Walk) == {"hair": "any"}
    alike = small_generator(attributes={"hair": ("Red", "red")}, priors=((0, 1), (1, 1)))
    for typed in ("Red", "red", "RED"):  # none is chosen for another
        assert check_requested({"hair": typed}, alike, Generate, Walk) == {"hair": typed}


def test_a_generator_without_labels_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_generator().save(tmp_path / "last.safetensors")
    for option in (["--hair", "blue"], ["--each", "hair"]):
        assert main(["generate", str(tmp_path), *option, "--out", str(tmp_path / "faces.png")]) == 2
        assert "trained without labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [3]), ("3-9", list(range(3, 10))), ("3, 17,99-101", [3, 17, 99, 100, 101]), ("07", [7])]
)
def test_seeds_are_numbers_and_ranges(text: str, seeds: list[int]) -> None:
    assert list(chosen_seeds(text, 64, None)) == seeds


def test_a_face_is_generated_again_with_other_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = small_generator(**ATTRIBUTES)
    generator.save(tmp_path / "model.safetensors")
    model, face, other = (str(tmp_path / name) for name in ("model.safetensors", "face.jpg", "other.png"))
    assert main(["generate", model, "--seeds", "7", "--psi", "0.7", "--out", face]) == 0
    assert main(["generate", model, "--like", face, "--out", other]) == 0
    assert read_face(other) == read_face(face) == Face(generator.weights_hash, 7, 0.7)
    assert main(["generate", model, "--like", face, "--hair", "blue", "--size", "64", "--out", other]) == 0
    eyes = generator.values(generator.codes([7])[0])["eyes"]
    assert read_face(other) == Face(generator.weights_hash, 7, 0.7, {"hair": "blue", "eyes": eyes})
    expected = enlarge(generator.sample(1, seed=7, psi=0.7, hair="blue", eyes=eyes), 2)[0]
    with Image.open(other) as image:
        np.testing.assert_array_equal(image, expected)
    assert main(["generate", model, "--like", other, "--each", "hair", "--out", str(tmp_path / "rows")]) == 0
    values = [read_face(path).attributes for path in sorted((tmp_path / "rows").iterdir())]
    assert values == [{"hair": hair, "eyes": eyes} for hair in ("black", "blue", "red")]
    small_generator().save(tmp_path / "stranger.safetensors")
    capsys.readouterr()
    assert main(["generate", str(tmp_path / "stranger.safetensors"), "--like", face, "--out", other]) == 2
    assert "made by another generator" in capsys.readouterr().err


def test_the_best_faces_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small_generator().save("model.safetensors")
    best = ["generate", "model.safetensors", "--best", "2", "--seeds", "3,17-21", "--out", "best"]
    assert main(best) == 0
    assert re.search(r"Judged 6 faces; people would keep \d\. Kept the best 2\.", capsys.readouterr().err)
    assert len(list(Path("best").iterdir())) == 2
    assert {read_face(path).seed for path in Path("best").iterdir()} < {3, *range(17, 22)}
    Path("best/seed-000003.png").write_text("a thesis")
    assert main(best) == 2
    assert "not written by nijigan" in capsys.readouterr().err  # and nothing was judged


@pytest.mark.parametrize("command", ["generate", "walk"])
def test_help_names_what_the_packaged_generator_can_show(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = capsys.readouterr().out
    for name, values in nijigan.load().header.attributes.items():
        assert f"--{name}: {', '.join(values)}" in " ".join(shown.split())
