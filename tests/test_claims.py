"""Every figure of the documentation follows from a file of results."""

import json
import runpy
import sys
import tomllib
from pathlib import Path

import pytest

from nijigan import load

ROOT = Path(__file__).parents[1]
CLAIMS = runpy.run_path(str(ROOT / "benchmarks" / "claims.py"))
LINE = "One thing is said here.\n"


@pytest.fixture
def check(tmp_path: Path):
    """Checks a page of one text; its only source is a file with a=0.25, b=1234."""
    source = tmp_path / "source.json"
    source.write_text('{"a": 0.25, "b": 1234}')

    def checked(text: str, **lists: list[str]) -> list:
        page = tmp_path / "page.md"
        page.write_text(text)
        table = CLAIMS["Sources"]({"data": str(source)})  # an absolute path stays what it is
        return list(CLAIMS["check_page"](CLAIMS["read_page"](str(page)), lists, table))

    return checked


def test_every_figure_has_a_source_and_is_its_value() -> None:
    findings = CLAIMS["check"]()
    assert [one for one in findings if not one.right] == []
    pages = {one.page for one in findings}
    assert {"README.md", "CHANGELOG.md", "docs/model-card.md", "docs/papers.md"} <= pages
    assert len(findings) > 300


def test_the_figures_are_those_of_the_packaged_generator() -> None:
    metrics = json.loads((ROOT / "results/packaged/metrics.json").read_text())
    generator = load()
    assert generator.header.dataset.fingerprint == metrics["protocol"]["fingerprint"]
    assert generator.header.dataset.name == "animefacedataset"
    assert generator.header.licence == "MIT"
    assert generator.weights_hash == metrics["weights"]
    scores = {key: score["value"] for key, score in metrics["scores"].items()}
    names = {
        "yield": "yield", "kid-lite0@128": "kid", "recall": "recall", "coverage": "coverage",
        "hair/people": "accuracy-hair", "eyes/people": "accuracy-eyes",
    }  # fmt: skip
    expected = {f"{name}/test": scores[key] for name, key in names.items()} | {
        f"{attribute}={value}/people/test": judged["accuracy"]["value"]
        for attribute, section in metrics["conditional_accuracy"].items()
        for value, judged in section["classes"].items()
    }
    assert generator.header.metrics == {name: round(score, 4) for name, score in expected.items()}
    for attribute, values in generator.header.attributes.items():
        assert all(f"{attribute}={value}/people/test" in generator.header.metrics for value in values)


def test_the_licence_is_the_same_everywhere() -> None:
    licence = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    assert licence == "MIT AND Apache-2.0"
    for page in ("README.md", "docs/licences.md"):
        assert f"`{licence}`" in (ROOT / page).read_text()


def test_a_claim_is_found_across_lines_with_its_line_source_and_value(check) -> None:
    (one,) = check(f"{LINE}The share\nis 25 % and no more.\n", claims=["The share is {100 * data.a:.0f} %"])
    assert (one.line, one.sentence, one.value, one.right) == (3, "The share is 25 %", "25", True)
    assert one.source.endswith("source.json: 100 * data.a")


@pytest.mark.parametrize(
    ("text", "claim", "wrong"),
    [
        ("It is 26 %.", "is {100 * data.a:.0f} %", "the page has 26"),
        ("It is 1,235.", "is {data.b:,}", "the page has 1,235"),
        ("It is 1,234.5", "is {data.b:,}", "the page has 1,234.5"),
        ("It is 26 %.", "was {data.b}", "not in the page"),
        ("It is 1,234. It is 1,234.", "is {data.b:,}", "more than once"),
        ("It is 1.", "is {data.missing}", "the page has 1"),
        ("It is 1.", "is {absent}", "the page has 1"),
    ],
)
def test_a_claim_that_its_source_does_not_support_is_wrong(check, text: str, claim: str, wrong: str) -> None:
    found = check(text + "\n", claims=[claim])
    assert not found[0].right
    assert wrong in found[0].source


@pytest.mark.parametrize(
    ("text", "figure"),
    [
        ("94 of 100 pass as good.", "94"),
        ("It trained for three hours.", "three hours"),
        ("The demo trains for two minutes.", "two minutes"),
        ("It prints nine scores.", "nine scores"),
        ("Five scores are printed.", "Five scores"),
        ("It takes a minute or two.", "a minute"),
        ("KID is 2,420 there.", "2,420"),
        ("Yield is .068 there.", ".068"),
        ("A loss of −0.3 is low.", "−0.3"),
        ("It has nearly a third of them.", "a third"),
        ("It needs twice the time.", "twice"),
        ("```\nrun it   # in 20 seconds\n```", "20"),
        ("| 91 % | `x` |", "91"),
        ("[12 recipes](page.md)", "12"),
        ("## All 12 recipes", "12"),
    ],
)
def test_a_figure_without_a_source_is_an_orphan(check, text: str, figure: str) -> None:
    found = check(LINE + text + "\n")
    assert figure in [one.value for one in found]
    assert all(one.source == "no source" and one.line > 1 for one in found)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("code", "Give `--kimg 200`, or see [it](page-12.md).\n```\nnijigan train --kimg 200\n```"),
        ("names", "R1 and Lite0 with β1, mp4 and KID-lite0@128 ×1000 in 2-D."),
        ("years and versions", "Kang et al. 2021 on 2026-11-29, from 2000-2009, with Python 3.11.\n\n## 0.1.0\n"),
        ("sizes of pictures", "At 64 px or 28, 32 and 64 px, 64×64×3, 16-bit."),
        ("95 % interval", "It has a 95 % interval, a 95 % Wilson interval."),
    ],
)
def test_few_kinds_of_numbers_are_exempt(check, kind: str, text: str) -> None:
    assert kind in CLAIMS["EXEMPT"]
    assert check(text + "\n") == []


def test_exempt_kinds_are_no_more_than_the_tested_ones() -> None:
    assert list(CLAIMS["EXEMPT"]) == ["code", "names", "years and versions", "sizes of pictures", "95 % interval"]


def test_settings_and_literature_are_exempt_passage_by_passage(check) -> None:
    assert check("At least 16 faces. They say 97 %.\n", settings=["least 16 faces"], literature=["say 97 %"]) == []
    assert [one.value for one in check("At least 17 of 97.\n", settings=["least 17"])] == ["97"]
    (gone,) = check("Nothing.\n", settings=["least 16"])
    assert "not in the page" in gone.source


def test_the_exit_code_says_whether_a_claim_is_wrong(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    finding = CLAIMS["Finding"]
    scope = CLAIMS["main"].__globals__
    monkeypatch.setattr(sys, "argv", ["claims.py"])
    for right, code in ((True, 0), (False, 1)):
        found = [finding("docs/x.md", 7, "It is 3.", "a: b", "3", right)]
        monkeypatch.setitem(scope, "check", lambda found=found: found)
        with pytest.raises(SystemExit) as leaving:
            scope["main"]()
        assert leaving.value.code == code
        printed = capsys.readouterr().out
        assert all(part in printed for part in ("docs/x.md:7", "It is 3.", "a: b"))


def test_the_page_of_performance_is_what_its_script_writes() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "all.py"))
    found = json.loads(script["RESULTS"].read_text())
    assert set(found) == set(script["BENCHMARKS"])
    assert script["PAGE"].read_text() == script["page"](found)
