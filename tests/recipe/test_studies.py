"""The recipes of the studies against the settings that their texts state, and what is said of results."""

import json
import re
import runpy
from pathlib import Path
from string import Formatter

import pytest

from nijigan.assets import PAPERS
from nijigan.cli import main
from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.studies import STUDIES, all_results, find_study, here, results_of

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "papers.py"))


def test_every_study_has_recipes_and_the_page_names_them() -> None:
    page = (DOCS / "papers.md").read_text(encoding="utf-8")
    for study in STUDIES:
        assert study.claims
        for name in study.recipes:
            assert name in RECIPES
            assert f"`{name}`" in page or f"`-{name.removeprefix('chen-ning-lin-')}`" in page
        assert study.authors.split(",")[0].split(" and ")[0] in page


def test_every_recipe_is_explained() -> None:
    page = (DOCS / "recipes.md").read_text(encoding="utf-8")
    for name in RECIPES:
        assert f"`{name}`" in page or f"`-{name.removeprefix('chen-ning-lin-')}`" in page, name


def test_settings_that_the_studies_state() -> None:
    menon, anik, chen, walia = (RECIPES[name] for name in ("menon-dubey", "anik", "ti-wen-chen", "walia"))
    assert (menon.resolution, menon.generator.output, menon.objective) == (28, "sigmoid", "bce")
    assert (anik.resolution, anik.latent.size, anik.epochs, anik.objective) == (28, 128, 25, "bce")
    assert (chen.objective, chen.epochs) == ("minimax", 150)
    assert (walia.latent.size, walia.epochs, walia.g_optimizer.lr, walia.d_optimizer.lr) == (128, 100, 2e-4, 2e-4)
    trio = [RECIPES[f"chen-ning-lin-{name}"] for name in ("dcgan", "wgan", "wgan-gp")]
    assert [recipe.resolution for recipe in trio] == [96, 96, 96]
    assert [recipe.objective for recipe in trio] == ["bce", "wasserstein", "wasserstein"]
    assert trio[1].clip == 0.01
    assert (trio[2].penalty.kind, trio[2].penalty.strength, trio[2].n_critic) == ("wgan-gp", 5, 2)


def test_the_familys_published_settings() -> None:
    """Arjovsky et al. 2017 and Gulrajani et al. 2017, algorithm 1 of each; Miyato et al. 2018, appendix."""
    wgan, gp, sngan = (RECIPES[name] for name in ("wgan", "wgan-gp", "sngan-hinge"))
    assert (wgan.clip, wgan.n_critic, wgan.batch_size, wgan.g_optimizer.kind, wgan.g_optimizer.lr) == (
        0.01, 5, 64, "rmsprop", 5e-5,
    )  # fmt: skip
    assert (gp.penalty.strength, gp.n_critic, gp.batch_size) == (10, 5, 64)
    for recipe, rate in ((gp, 1e-4), (sngan, 2e-4)):
        for optimizer in (recipe.g_optimizer, recipe.d_optimizer):
            assert (optimizer.kind, optimizer.lr, optimizer.beta1, optimizer.beta2) == ("adam", rate, 0.0, 0.9)
    assert gp.discriminator.normalisation == "layer"
    assert (sngan.discriminator.normalisation, sngan.n_critic, sngan.objective) == ("spectral", 5, "hinge")


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
    lines = [
        {"images": 1000 * n, "kimg": n, "epoch": n, "d_loss": n, "g_loss": 2, "real_score": 0.9, "fake_score": 0.1}
        for n in (1, 25, 100)
    ]
    (tmp_path / "walia" / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert SCRIPT["found"](entry) is None
    kid, kept = {"value": 0.5, "low": 0.4, "high": 0.6}, {"value": 0.25, "floor": 0.9}
    evaluation = {"kimg": 100, "protocol": {"quality_hash": "a"}, "scores": {"kid": kid, "yield": kept}}
    (tmp_path / "walia" / "metrics.json").write_text(json.dumps(evaluation))
    assert SCRIPT["found"](entry) == (
        "losses after 25 epochs are 25.0 (D) and 2.0 (G), and D's mean scores 0.90 for real faces and 0.10 for "
        "generated ones; after 100 epochs, KID ×1000 is 500 (400 to 600), and yield is 25 % (real faces: 90 %)"
    )


def test_functions_of_the_script_by_hand() -> None:
    record = SCRIPT["Record"]
    log = [record(kid=kid, loss=loss) for kid, loss in ((0.9, -3), (0.5, -2), (0.7, -2.5), (None, 7))]
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
