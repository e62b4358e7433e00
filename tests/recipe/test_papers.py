"""What is said of results beside the studies' claims: by the command, and row by row in docs/papers.md."""

import json
import re
import runpy
import shutil
from pathlib import Path
from string import Formatter

import pytest

from nijigan.assets import PAPERS
from nijigan.cli import main
from nijigan.recipe.studies import STUDIES, all_results, find_study, here, results_of

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "papers.py"))
SCRIPT |= runpy.run_path(str(ROOT / "benchmarks" / "figures.py"))  # what its expressions call
HEAD = "| what it names | in nijigan |\n|---|---|\n"
ROWS_OF_STUDIES = (13, 22, 19, 14, 32)
KID, YIELD = {"value": 0.5, "low": 0.4, "high": 0.6, "floor": 0.0}, {"value": 0.25, "floor": 0.9}
METRICS = {
    "kimg": 100,
    "protocol": {"quality_hash": "a"},
    "scores": {"kid": KID, "yield": YIELD, "accuracy-hair": {"value": 0.75}},
}


def log_lines(*epochs: int) -> str:
    """A log with an evaluation in every line."""
    fixed = {"g_loss": 2, "real_score": 0.9, "fake_score": 0.1, "originality": 1.0}
    return "\n".join(
        json.dumps(fixed | {"images": 1000 * n, "kimg": n, "epoch": n, "d_loss": n, "kid": 1 / n}) for n in epochs
    )


def rows_of_the_page() -> list[list[tuple[str, str]]]:
    """(what a study names, the answer) of every study."""
    page = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    tables = [part.partition("\n\n")[0] for part in page.split(HEAD)[1:]]
    return [[(what, answer) for _, what, answer, _ in (line.split("|") for line in t.splitlines())] for t in tables]


def test_every_row_of_every_study_has_an_answer() -> None:
    tables = rows_of_the_page()
    assert tuple(map(len, tables)) == ROWS_OF_STUDIES
    for what, answer in (row for table in tables for row in table):
        assert answer.strip().startswith(("yes", "partly", "declined", "not run yet")), what


def test_the_page_says_of_the_runs_that_are_missing_that_they_are() -> None:
    clauses = [one for table in rows_of_the_page() for _, answer in table for one in answer.split(";")]
    said = {place for one in clauses if "not run yet" in one for place in re.findall(r"`(results/[^`]*)`", one)}
    assert said == {one.place for one in all_results() if one.found is None}
    assert not [place for place in said if (ROOT / place).exists()]


def test_every_sentence_that_is_planned_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for the files that are still missing."""
    monkeypatch.setitem(SCRIPT["found"].__globals__, "RESULTS", str(tmp_path))
    made = {"metrics.json": json.dumps(METRICS), "log.jsonl": log_lines(1, 25, 100, 500)}
    row = {"steps": 4, "scores": {"kid": KID}}
    made["flow.json"] = json.dumps({"seconds": 600.0, "rows": [row, row]})
    made["compare.html"] = (ROOT / "results" / "sweep-28px" / "compare.html").read_text(encoding="utf-8")
    for entry in SCRIPT["read_table"]():
        for file in entry.sources.values():
            (tmp_path / file).parent.mkdir(exist_ok=True)
            if (ROOT / "results" / file).exists():
                shutil.copy(ROOT / "results" / file, tmp_path / file)
            else:
                (tmp_path / file).write_text(made[Path(file).name], encoding="utf-8")
        text = SCRIPT["found"](entry)
        assert text
        assert not re.search("[{}]", text), text


def test_what_is_said_of_results_is_what_the_script_writes() -> None:
    assert PAPERS.read_text(encoding="utf-8") == SCRIPT["content"]()


def test_every_result_is_beside_a_claim_and_every_claim_has_something() -> None:
    claims = {(study.name, claim.name) for study in STUDIES for claim in study.claims}
    assert len(claims) == sum(len(study.claims) for study in STUDIES)
    assert {(one.study, one.claim) for one in all_results()} <= claims
    assert all(here(study, claim) for study in STUDIES for claim in study.claims)
    for one in all_results():
        assert one.found is None or (ROOT / one.place).exists(), one


def test_figures_in_the_sentences_of_results_are_expressions() -> None:
    claims = runpy.run_path(str(ROOT / "benchmarks" / "claims.py"))
    for entry in SCRIPT["read_table"]():
        literal = " x ".join(literal for literal, *_ in Formatter().parse(entry.found))
        prose = re.sub("|".join(kind.pattern for kind in claims["EXEMPT"].values()), "", literal)
        assert not [match[0] for match in claims["FIGURE"].finditer(prose) if match[0].strip()], entry.found


def test_what_has_no_results_is_not_run_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run appears as soon as its log and its evaluation are there."""
    scope = SCRIPT["found"].__globals__
    entry = next(one for one in SCRIPT["read_table"]() if one.run == "`walia` for 100 epochs")
    monkeypatch.setitem(scope, "RESULTS", str(tmp_path))
    assert SCRIPT["found"](entry) is None
    (tmp_path / "walia").mkdir()
    (tmp_path / "walia" / "log.jsonl").write_text(log_lines(1, 25, 100))
    assert SCRIPT["found"](entry) is None
    (tmp_path / "walia" / "metrics.json").write_text(json.dumps(METRICS))
    assert SCRIPT["found"](entry) == (
        "losses after 25 epochs are 25.0 (D) and 2.0 (G), and D's mean scores 0.90 for real faces and 0.10 for "
        "generated ones; after 100 epochs, KID ×1000 is 500 (400 to 600), and yield is 25 % (real faces: 90 %)"
    )


def test_functions_of_the_script_by_hand() -> None:
    record = SCRIPT["Record"]
    log = [record(kid=kid, loss=loss, kimg=1) for kid, loss in ((0.9, -3), (0.5, -2), (0.7, -2.5), (None, 7))]
    assert SCRIPT["rank_correlation"](log, "loss", "kid") == pytest.approx(-1)
    assert SCRIPT["best"](log).kid == 0.5
    rows = {"Model": ["Place", "KID × 1000"], "a=1,b=x": ["2", "1,300"], "a=2,b=y": ["1", "90"], "": ["x", "y"]}
    assert SCRIPT["ranked"](rows) == [("2/y", "90"), ("1/x", "1,300")]
    assert [SCRIPT["percent"](share) for share in (0, 0.0025, 0.25)] == ["0 %", "0.2 %", "25 %"]


def test_the_command_shows_results_and_what_is_not_run_yet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = find_study("walia-acgan")
    result = results_of(study, study.claims[0])[0]
    assert result.found
    assert result.sentence in here(study, study.claims[0])
    monkeypatch.setattr("sys.argv", ["nijigan", "papers", "walia", "--json"])
    main()
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["claims"][0]["results"][0] == {"run": result.run, "place": result.place, "found": result.found}
    monkeypatch.setattr("sys.argv", ["nijigan", "papers"])
    main()
    text = " ".join(capsys.readouterr().out.split())
    assert ("Not run yet" in text) == any(one.found is None for one in all_results())
