"""Models for a comparison: found among other files, checked before work starts, evaluated once."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from evaluations import metrics

from nijigan.cli.entry import main
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.judges.results import Metrics
from nijigan.pages.compare_models import compare
from nijigan.pages.models import evaluated, existing_models
from small import small_generator


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """A sweep's folder: two runs, one that failed, and the files next to them."""
    for name in ("a", "b"):
        small_generator().save(tmp_path / name / "last.safetensors")
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "failure.txt").touch()
    (tmp_path / "compare.html").touch()
    (tmp_path / "sweep.json").touch()
    return tmp_path


def test_what_lies_next_to_runs_is_skipped_with_a_warning(swept: Path, caplog: pytest.LogCaptureFixture) -> None:
    models = sorted(map(str, swept.iterdir()))
    assert existing_models(models) == [str(swept / "a"), str(swept / "b")]
    assert [record.getMessage().split()[1] for record in caplog.records] == [
        f"{swept / name}," for name in ("compare.html", "failed", "sweep.json")
    ]
    missing = str(swept / "c")  # a typing error, not part of a pattern
    assert existing_models([missing, str(swept / "a")]) == [missing, str(swept / "a")]
    for unusable in ("compare.html", "failed"):
        with pytest.raises(
            UserError, match=f"{unusable} is neither a run with a generator nor a .safetensors or .onnx file"
        ):
            existing_models([str(swept / unusable)])
    with pytest.raises(UserError, match="is named twice"):
        existing_models([str(swept / "a"), f"{swept}/./a/"])
    with pytest.raises(UserError, match="There is no model at .*: File name too long"):
        existing_models(["x" * 300])
    with pytest.raises(UserError, match="at least one model"):
        existing_models([])


def test_models_of_different_resolutions_are_refused_before_any_is_evaluated(
    swept: Path, judged_faces: FaceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_generator(resolution=16).save(swept / "b" / "last.safetensors")
    monkeypatch.setattr("nijigan.pages.compare_models.evaluated", lambda *_, **__: pytest.fail("a model was evaluated"))
    runs, out = [swept / "a", swept / "b"], swept / "new.html"
    with pytest.raises(UserError, match="a generates faces of 32 px and .*b of 16 px"):
        compare(runs, out, dataset=judged_faces, n=100)
    with pytest.raises(UserError, match="There is no feature space 'lite9'"):
        compare(runs[:1], out, dataset=judged_faces, n=100, features="lite9")
    for n in (0, -1, 10**30):
        with pytest.raises(UserError, match=f"100 to 100,000 .* it is {n}"):
            compare(runs[:1], out, dataset=judged_faces, n=n)
    assert not out.exists()


@pytest.mark.parametrize("dataset", ["", "no/such", "\0", "x" * 300, "/dev/null", "\ud800", 1, None, ["x"]])
def test_a_run_whose_dataset_cannot_be_found_is_refused(swept: Path, dataset: object) -> None:
    (swept / "a" / "run.json").write_text(json.dumps({"dataset": dataset, "fingerprint": "x", "threads": 1}))
    with pytest.raises(UserError):
        compare(swept / "a", swept / "new.html", n=100)


@pytest.mark.parametrize("damage", [
    lambda text: text[:100], lambda text: "[" * 100_000, lambda text: text.replace('"value":', '"value": "x", "v":', 1),
    lambda text: re.sub('"value": [^,]+', '"value": NaN', text), lambda text: text.replace('"yield"', '"wield"'),
    lambda text: re.sub('"weights": "[^"]+', '"weights": "another', text),
], ids=["cut", "deep", "text", "NaN", "no yield", "another model"])  # fmt: skip
def test_a_kept_evaluation_that_is_damaged_is_made_again(
    judged_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[str], str]
) -> None:
    made = []

    def remembered(generator: Generator, *_: object, **__: object) -> SimpleNamespace:
        made.append(replace(metrics(), weights=generator.weights_hash))
        return SimpleNamespace(metrics=made[-1])

    monkeypatch.setattr("nijigan.pages.models.evaluate", remembered)
    small_generator().save(tmp_path / "last.safetensors")
    for _ in range(2):
        assert evaluated(str(tmp_path), judged_faces, n=100).metrics == made[0]
    (kept,) = (tmp_path / "evaluations").iterdir()
    kept.write_text(damage(kept.read_text()))
    assert evaluated(str(tmp_path), judged_faces, n=100).metrics == made[0]
    assert len(made) == 2
    assert Metrics.read(kept) == made[0]


def test_a_run_that_cannot_be_written_to_is_compared_with_a_warning(
    judged_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nijigan.pages.models.evaluate", lambda *_, **__: SimpleNamespace(metrics=metrics()))
    small_generator().save(tmp_path / "last.safetensors")
    (tmp_path / "evaluations").touch()  # the name of a file instead of the folder
    assert evaluated(str(tmp_path), judged_faces, n=100).metrics == metrics()
    assert "The scores are not kept for the next comparison: Could not write" in caplog.text


def test_the_command_refuses_before_it_imports_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nijigan.cli.judge.open_or_import", lambda _: pytest.fail("pictures were imported"))
    (tmp_path / "file").touch()
    small_generator().save(tmp_path / "g.safetensors")
    model, page = str(tmp_path / "g.safetensors"), str(tmp_path / "p.html")
    common = ["--data", str(tmp_path)]
    commands = [
        (["evaluate", model, "--n", "0"], "100 to 100,000"),
        (["evaluate", model, "--n-asked", "1"], "10 to 10,000"),
        (["evaluate", model, "--psi", "nan"], "psi is nan"),
        (["evaluate", model, "--seed", "-1"], "seed -1 is out of range"),
        (["evaluate", model, "--features", "lite9"], "no feature space 'lite9'"),
        (["evaluate", model, "--out", str(tmp_path / "file")], "is a file"),
        (["compare", model, "--n", "-1", "--out", page], "100 to 100,000"),
        (["compare", model, "--features", "x.onnx", "--out", page], "x.onnx cannot be read"),
        (["compare", model, "--out", str(tmp_path / "file" / "p.html")], "is a file"),
        (["compare", model, model, "--out", page], "named twice"),
        (["rate", model, "--n", "0"], "must be 1 to 10,000"),
        (["rate", model, "--seed", "-1"], "seed -1 is out of range"),
        (["rate", model, "--port", "70000"], "not a valid port"),
    ]
    for command, sentence in commands:
        assert main([*command, *common]) == 2
        assert sentence in capsys.readouterr().err
    assert sorted(place.name for place in tmp_path.iterdir()) == ["file", "g.safetensors"]


def test_generator_files_are_compared_like_runs(judged_faces: FaceDataset, tmp_path: Path) -> None:
    small_generator().save(tmp_path / "a.safetensors")
    found = evaluated(str(tmp_path / "a.safetensors"), judged_faces, n=100)
    assert (found.name, found.curve, found.seconds) == ("a", [], None)
    page = compare([tmp_path / "a.safetensors"], tmp_path / "page.html", dataset=judged_faces, n=100)
    assert "Only one model could be evaluated" in page.read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "page.html"]
