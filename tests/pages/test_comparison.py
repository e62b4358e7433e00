import os
import re
from pathlib import Path

import numpy as np
import pytest
from evaluations import check_page, conditional_metrics, hostile, images_in, metrics, pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from nijigan.errors import UserError
from nijigan.metrics.score import Score
from nijigan.pages.comparison import write_comparison
from nijigan.pages.gallery import check_evaluation_place
from nijigan.pages.layout import check_page_place
from nijigan.pages.ranking import ComparedModel, ranks

numbers = st.floats(-10, 10)
scores = st.tuples(numbers, st.floats(0, 5), st.floats(0, 5), st.booleans()).map(
    lambda t: Score(t[0], t[0] - t[1], t[0] + t[2]) if t[3] else Score(t[0])
)


def entry(name: str, kid: float = 0.04, half: float = 0.002, seed: int = 0, curve=(), **protocol) -> ComparedModel:
    return ComparedModel(name, metrics(kid, half, name, **protocol), pictures(20, seed), 4000.0, curve, None)


def failure(name: str, sentence: str = "The loss is not a number.") -> ComparedModel:
    return ComparedModel(name, None, None, None, [], sentence)


def page(tmp_path, entries, axes=None) -> str:
    write_comparison(entries, tmp_path / "compare.html", axes)
    return (tmp_path / "compare.html").read_text(encoding="utf-8")


@settings(deadline=None)  # a busy machine is no failure
@given(st.permutations(range(6)))
def test_disjoint_intervals_give_exact_ranks(order):
    found = ranks([Score(x, x - 0.4, x + 0.4) for x in order], lower_is_better=True)
    assert found == [(x + 1, x + 1) for x in order]
    found = ranks([Score(x, x - 0.4, x + 0.4) for x in order], lower_is_better=False)
    assert found == [(6 - x, 6 - x) for x in order]


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8), st.booleans())
def test_overlapping_intervals_leave_every_rank_open(values, lower):
    assert ranks([Score(x, -1, 1) for x in values], lower) == [(1, len(values))] * len(values)


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(scores, max_size=8), st.booleans())
def test_the_rank_by_value_is_always_among_the_ranks(found, lower):
    order = sorted(range(len(found)), key=lambda i: found[i].value if lower else -found[i].value)
    places = ranks(found, lower)
    assert all(places[i][0] <= place <= places[i][1] for place, i in enumerate(order, 1))


def test_touching_intervals_overlap_and_a_chain_shares_its_ranks():
    chain = [Score(1, 0, 2), Score(3, 2, 4), Score(5, 4, 6)]
    assert ranks(chain, lower_is_better=True) == [(1, 2), (1, 3), (2, 3)]


def test_models_are_sorted_by_yield_and_ranked_by_intervals(tmp_path):
    html = page(tmp_path, [entry("worst", 0.09), entry("good", 0.041), entry("best", 0.04)])
    text = check_page(html).text
    names = re.findall(r'<th scope="row">(\w+)<br>', html)
    assert names == ["best", "good", "worst"]
    places = re.findall(r'</th>\s*<td class="nowrap">([\d–]+)</td>', html)
    assert places == ["1–2", "1–2", "3"]
    assert "best and good share the first rank by yield: their intervals overlap." in text
    assert "500 kimg in 67 min" in text


def test_yields_too_low_to_tell_apart_share_a_rank_and_are_sorted_by_kid(tmp_path):
    """Yields of 2, 6 and 7 %, with narrow intervals, and a better one."""
    entries = [entry(name, (1.02 - good) / 10, 0.0005) for name, good in (("a", 0.02), ("b", 0.06), ("c", 0.07))]
    for model, kid in zip(entries, (2.0, 3.0, 2.5), strict=True):
        model.metrics.scores["kid"] = Score(kid, kid - 0.1, kid + 0.1)
    text = check_page(page(tmp_path, entries)).text
    assert "Yield does not separate the models: any of them may be the best." in text
    html = page(tmp_path, [*entries, entry("d", 0.08)])  # 22 %
    assert re.findall(r'<th scope="row">(\w+)<br>', html) == ["d", "a", "c", "b"]
    assert re.findall(r'</th>\s*<td class="nowrap">([\d–]+)</td>', html) == ["1", "2–4", "2–4", "2–4"]


def test_one_that_is_certainly_best_is_named(tmp_path):
    text = check_page(page(tmp_path, [entry("a", 0.04), entry("b", 0.09)])).text
    assert "a is the best by yield." in text


def test_strips_show_the_same_seeds_of_every_model_in_the_order_of_the_table(tmp_path):
    found = images_in(page(tmp_path, [entry("b", 0.09, seed=2), entry("a", 0.04, seed=1)]))
    assert np.array_equal(found, np.concatenate([pictures(20, 1)[:16], pictures(20, 2)[:16]]))


@pytest.mark.parametrize(
    ("field", "value"),
    [("fingerprint", "x"), ("split", "val"), ("resolution", 32), ("features_hash", "x"), ("n_fake", 2), ("n_real", 2),
     ("quality_hash", "x"), ("neighbours", 3), ("psi", 0.7)],
)  # fmt: skip
def test_different_protocols_are_refused_by_name(tmp_path, field, value):
    with pytest.raises(UserError, match=rf"'a' and 'b' cannot be compared, since {field} differs"):
        write_comparison([entry("a"), entry("b", **{field: value})], tmp_path / "compare.html")
    assert not (tmp_path / "compare.html").exists()


@pytest.mark.parametrize(("field", "value"), [("dataset", "x"), ("features", "x"), ("seed", 1), ("version", "2")])
def test_names_and_seeds_may_differ(tmp_path, field, value):
    check_page(page(tmp_path, [entry("a"), entry("b", **{field: value})]))


def test_metrics_without_yield_and_an_empty_list_are_refused(tmp_path):
    bare = entry("a")
    bare.metrics.scores.pop("yield")
    with pytest.raises(UserError, match="contain no yield, which ranks the models"):
        write_comparison([bare], tmp_path / "compare.html")
    with pytest.raises(UserError, match="nothing to compare"):
        write_comparison([], tmp_path / "compare.html")


def test_a_failure_is_reported_and_the_rest_is_compared(tmp_path):
    text = check_page(page(tmp_path, [entry("a"), failure("b"), entry("c", 0.09)])).text
    assert "b The loss is not a number." in text
    assert "a is the best by yield." in text
    assert "No model could be evaluated." in check_page(page(tmp_path, [failure("b")])).text


def test_a_score_that_one_model_lacks_is_a_dash(tmp_path):
    lacking = entry("b", 0.09)
    lacking.metrics.scores.pop("recall")
    html = page(tmp_path, [entry("a"), lacking])
    check_page(html)
    assert html.count("<td>–</td>") == 1


def conditional(name: str, kid: float = 0.04, **protocol) -> ComparedModel:
    return ComparedModel(
        name, conditional_metrics("red", "blue", kid=kid, model=name, **protocol), pictures(20), None, [], None
    )


def test_models_with_and_without_attributes_stand_side_by_side(tmp_path):
    html = page(tmp_path, [entry("a", 0.03), conditional("b"), conditional("c", 0.09)])
    text = check_page(html).text
    assert text.count("Accuracy: hair") == 2  # a column, and what it means
    assert text.count("37.5 % 30.0 to 45.0") == 2
    assert html.count("<td>–</td>") == 1
    assert re.search("Real faces .* 80.0 %", text)  # though the first has no such score


@pytest.mark.parametrize("changed", [{"reader_hash": "x"}, {"n_asked": 50}])
def test_conditional_accuracy_by_another_reader_or_number_is_refused(tmp_path, changed):
    with pytest.raises(UserError, match=f"'b' and 'c' cannot be compared, since {next(iter(changed))} differs"):
        page(tmp_path, [entry("a"), conditional("b"), conditional("c", **changed)])


def test_strings_from_outside_are_text(tmp_path):
    evil = '"><script>alert(1)</script>&'
    curve = [{"kimg": 1.0, "kid": 0.1}, {"kimg": 2.0, "kid": 0.05}]
    entries = [entry(evil, curve=curve, dataset=evil), entry("b", 0.09, curve=curve), failure("c", evil)]
    axes = {e.name: {evil: str(i % 2), "b": evil + str(i)} for i, e in enumerate(entries)}
    page_read = check_page(page(tmp_path, entries, axes))
    assert page_read.text.count(evil) >= 8


def test_a_script_in_every_string_of_the_metrics_is_text(tmp_path):
    evil = "<script>"
    entries = [ComparedModel(evil * n, hostile(evil), pictures(20), 1.0, [], None) for n in (1, 2)] + [
        failure("c", evil)
    ]
    axes = {e.name: {evil: str(i % 2), evil + "2": evil + str(i), "seed": evil + str(i)} for i, e in enumerate(entries)}
    html = page(tmp_path, entries, axes)
    assert check_page(html).text.count(evil) >= 20
    assert evil not in html


HOSTILE = "<b>\x1b]0;owned\x07\u202eevil\u2066\ud800" + "x" * 10_000


def test_names_with_control_characters_or_of_any_length_do_not_disturb_the_page(tmp_path):
    curve = [{"kimg": 1.0, "kid": 0.1}, {"kimg": 2.0, "kid": 0.05}]
    entries = [ComparedModel(HOSTILE + str(n), hostile(HOSTILE), pictures(20), 1.0, curve, None) for n in (1, 2)]
    axes = {e.name: {"a": str(i % 2), "b": HOSTILE + str(i)} for i, e in enumerate([*entries, failure("c", HOSTILE)])}
    html = page(tmp_path, [*entries, failure("c", HOSTILE)], axes)
    text = check_page(html).text
    assert r"<b>\x1b]0;owned\x07\u202eevil\u2066\ud800xxx" in text
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|x{400}", html)


def grid_of(*fields: str) -> tuple[list[ComparedModel], dict[str, dict[str, str]]]:
    axes = {f"{a}-{b}": dict(zip(fields, (a, b), strict=True)) for a in ("adam", "sgd") for b in ("bce", "mse")}
    return [entry(name, 0.04 + 0.01 * i, seed=i) for i, name in enumerate(axes)], axes


def test_two_varied_fields_make_a_matrix_with_each_run_in_its_cell(tmp_path):
    entries, axes = grid_of("optimizer", "objective")
    entries[2] = failure("sgd-bce")
    html = page(tmp_path, entries, {name: {**fields, "fixed": "1"} for name, fields in axes.items()})
    assert "optimizer × objective" in check_page(html).text
    (table,) = re.findall(r'<table class="matrix">.*?</table>', html, re.DOTALL)
    rows = re.findall(r'<tr>\s*<th scope="row">(\w+)</th>(.*?)</tr>', table, re.DOTALL)
    cells = {name: row.split("<td>")[1:] for name, row in rows}
    assert "Failed." in cells["sgd"][0]
    for row, column, index in [("adam", 0, 0), ("adam", 1, 1), ("sgd", 1, 3)]:
        assert np.array_equal(images_in(cells[row][column]), pictures(20, index)[:8])
        assert f">{62 - 10 * index}.0 %<" in cells[row][column]
        assert f"KID {40 + 10 * index}.0" in cells[row][column]
        assert "coverage 50.0 %" in cells[row][column]


def test_one_or_three_varied_fields_make_none(tmp_path):
    entries, axes = grid_of("optimizer", "objective")
    one = {name: {"optimizer": fields["optimizer"]} for name, fields in axes.items()}
    three = {name: {**fields, "seed": str(i)} for i, (name, fields) in enumerate(axes.items())}
    for varied in (one, three, None):
        assert 'class="matrix"' not in page(tmp_path, entries, varied)


def test_runs_that_differ_only_in_seed_are_averaged_by_setting(tmp_path):
    kids = {("sgd", "1"): 0.06, ("sgd", "2"): 0.05, ("adam", "1"): 0.01, ("adam", "2"): 0.07, ("adam", "3"): 0.07}
    axes = {f"{kind}-{seed}": {"optimizer": kind, "seed": seed} for kind, seed in [*kids, ("sgd", "3")]}
    entries = [entry(name, kid) for name, kid in zip(axes, kids.values(), strict=False)] + [failure("sgd-3")]
    html = page(tmp_path, entries, axes)
    text = check_page(html).text
    adam, sgd = "optimizer=adam 3 52.0 % 32.0 to 92.0", "optimizer=sgd 2 of 3 47.0 % 42.0 to 52.0"
    assert "50.0 10.0 to 70.0" in text  # KID of the first
    assert text.index("Over seeds") < text.index(adam) < text.index(sgd) < text.index("Sorted by yield, best first.")


def test_seeds_alone_are_one_setting_and_without_several_seeds_there_is_none(tmp_path):
    entries, several = [entry("a", 0.04), entry("b", 0.05)], {"a": {"seed": "1"}, "b": {"seed": "2"}}
    assert "All 2 57.0 % 52.0 to 62.0" in check_page(page(tmp_path, entries, several)).text
    for axes in ({"a": {"lr": "1"}, "b": {"lr": "2"}}, {"a": {"lr": "1", "seed": "1"}, "b": {"lr": "2", "seed": "1"}}):
        assert "Over seeds" not in page(tmp_path, entries, axes)


def test_all_curves_are_in_one_chart_with_a_legend(tmp_path):
    curve = [{"kimg": float(k), "yield": 0.2 * k} for k in range(1, 5)]
    html = page(tmp_path, [entry(name, curve=curve) for name in "abc"])
    check_page(html)
    assert html.count("<polyline") == 3
    assert len(re.findall(r"<li><svg", html)) == 3


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("thesis.docx", b"precious", "choose an --out that ends in .html"),
        (".html", b"precious", "choose an --out that ends in .html"),
        ("thesis.html", b"<!DOCTYPE html><html><title>Thesis</title>", "not a page that nijigan wrote.*--overwrite"),
        ("folder.html", None, "is a folder"),
    ],
)
def test_a_page_replaces_nothing_but_a_page(tmp_path: Path, name: str, content: bytes | None, sentence: str) -> None:
    path = tmp_path / name
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        check_page_place(path)
    if name == "thesis.html":
        check_page_place(path, overwrite=True)
    assert content is None or path.read_bytes() == content


def test_pages_of_this_and_of_the_first_version_may_be_replaced(tmp_path: Path) -> None:
    write_comparison([entry("a")], tmp_path / "compare.html")
    check_page_place(tmp_path / "compare.html")
    check_page_place(Path(__file__).parents[2] / "results" / "sweep-28px" / "compare.html")
    check_page_place(tmp_path / "new.html")


@pytest.mark.parametrize("content", [
    b"{", b"[" * 100_000, b'{"kimg": ' + b"9" * 10_000 + b"}", b"\xff\xfe", rb'{"model": "\ud800"}',
    metrics().to_json().replace("500.0", '"x"').encode(), metrics().to_json().replace("0.62", "NaN").encode(),
    metrics().to_json().replace("0.62", "1e999").encode(), metrics().to_json().replace("5000", "50.5").encode(),
], ids=["cut", "deep", "digits", "not UTF-8", "surrogate", "text", "NaN", "infinite", "fraction"])  # fmt: skip
def test_metrics_that_nijigan_did_not_write_are_not_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.json").write_bytes(content)
    with pytest.raises(UserError, match="metrics.json exists and is not a file that nijigan wrote"):
        check_evaluation_place(tmp_path)
    assert (tmp_path / "metrics.json").read_bytes() == content


@pytest.mark.parametrize("overwrite", [False, True])
def test_places_that_cannot_be_written_to_are_refused_in_advance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "deep" / "er"):
        with pytest.raises(UserError, match="is a file"):
            check_evaluation_place(out, overwrite)
    for name in ("metrics.json", "report.html"):
        folder = tmp_path / f"odd-{name}"
        folder.mkdir()
        os.mkfifo(folder / name)  # reading it would wait for ever
        with pytest.raises(UserError, match="is not an ordinary file"):
            check_evaluation_place(folder, overwrite)
        (folder / name).unlink()
        (folder / name).mkdir()
        with pytest.raises(UserError, match=f"{name} is (a folder|not an ordinary file)"):
            check_evaluation_place(folder, overwrite)
    for out in (tmp_path / ("x" * 300), tmp_path / ("x" * 300) / "y", tmp_path / "\0"):
        with pytest.raises(UserError, match="The name of --out is too long or has a character"):
            check_evaluation_place(out, overwrite)
    monkeypatch.setattr("nijigan.pages.layout.os.access", lambda place, mode: place != tmp_path)
    for out in (tmp_path, tmp_path / "new" / "er"):
        with pytest.raises(UserError, match=f"{tmp_path} is not writable; choose another --out"):
            check_evaluation_place(out, overwrite)


def test_an_evaluation_replaces_nothing_but_an_evaluation(tmp_path: Path) -> None:
    check_evaluation_place(tmp_path / "new")
    check_evaluation_place(tmp_path)
    (tmp_path / "metrics.json").write_text('{"my": "own"}')
    with pytest.raises(UserError, match="metrics.json exists and is not a file that nijigan wrote"):
        check_evaluation_place(tmp_path)
    check_evaluation_place(tmp_path, overwrite=True)
    with pytest.raises(UserError, match="is a file"):
        check_evaluation_place(tmp_path / "metrics.json")
    (tmp_path / "metrics.json").write_text(metrics().to_json())
    check_evaluation_place(tmp_path)
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(UserError, match="report.html exists"):
        check_evaluation_place(tmp_path)
