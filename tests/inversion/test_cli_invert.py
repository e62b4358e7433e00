"""The command `invert`: files with their records, sentences about nearness, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nijigan.cli import main
from nijigan.generator.generator import Generator
from nijigan.generator.records import read_face
from nijigan.inversion import search
from small import ATTRIBUTES, small_generator


@pytest.fixture
def model(tmp_path: Path) -> Path:
    small_generator(**ATTRIBUTES).save(tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / "one.png", tmp_path / "two.jpg"]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (50, 40, 3), np.uint8)).save(path)
    return paths


def test_a_found_face_records_itself(
    model: Path, pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.png"
    assert main(["invert", str(pictures[0]), "--model", str(model), "--out", str(out), "--steps", "2"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(out)
    assert f"No face was found in {pictures[0]}; its centre is used." in told.err
    assert "one.png: Far: it differs" in told.err
    face = read_face(out)
    with Image.open(out) as image:
        assert np.array_equal(Generator.load(model).draw(face), np.asarray(image))
    again = tmp_path / "again.png"
    assert main(["generate", str(model), "--like", str(out), "--out", str(again)]) == 0
    assert read_face(again) == face


def test_several_pictures_go_into_a_folder(model: Path, pictures: list[Path], tmp_path: Path) -> None:
    words = ["--model", str(model), "--out", str(tmp_path / "found"), "--steps", "1", "--scale", "2"]
    assert main(["invert", *map(str, pictures), *words]) == 0
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == ["one-found.png", "two-found.png"]
    with Image.open(tmp_path / "found" / "two-found.png") as image:
        assert image.size == (64, 64)


def test_a_stopped_search_keeps_what_it_found(
    model: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = search._search
    monkeypatch.setattr(search, "_CHUNK", 0)  # one picture after the other

    def stop_at_the_second(*arguments: Any) -> Any:
        monkeypatch.setattr(search, "_search", stop)
        return straight(*arguments)

    def stop(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "_search", stop_at_the_second)
    words = ["--model", str(model), "--out", str(tmp_path / "found"), "--steps", "1"]
    assert main(["invert", *map(str, pictures), *words]) == 130
    (kept,) = (tmp_path / "found").iterdir()
    assert kept.name == "one-found.png"
    assert read_face(kept).latent


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing.png"], "Could not read missing.png: No such file or directory."),
        (["one.png", "two.jpg"], "--out is one file for several pictures; name a folder."),
        (["one.png", "one.png", "--out", "found"], "Two pictures would both be written to found/one-found.png"),
        (["one.png", "--out", "found.jpg"], "name a .png file or a folder."),
        (["one.png", "--out", "one.png", "--overwrite"], "one.png is one of the pictures; name another place"),
        (["one.png", "--out", "two.jpg/x.png"], "two.jpg is a file, not a folder; choose another --out."),
        (["one.png", "--out", "two.jpg"], "name a .png file or a folder."),
        (["one.png", "--steps", "0"], "0 steps are out of range; choose 1 to 10,000."),
        (["one.png", "--scale", "0"], "--scale is 0; choose 1 to 16."),
        (["small.safetensors"], "The picture cannot be used"),
    ],
)
def test_mistakes_are_refused_in_a_sentence(
    words: list[str],
    sentence: str,
    model: Path,
    pictures: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(model.parent)
    assert main(["invert", "--model", model.name, *words]) == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert "Traceback" not in told.err
    assert not told.out
