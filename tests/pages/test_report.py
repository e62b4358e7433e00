import base64
import hashlib
import re
from dataclasses import MISSING, fields, replace

import numpy as np
import pytest
from evaluations import check_page, conditional_metrics, hostile, images_in, metrics, pictures

from nijigan.judges.faults import Fault
from nijigan.judges.results import Protocol
from nijigan.metrics.score import Score
from nijigan.pages.charts import chart, interval_bar, points
from nijigan.pages.meanings import FIRST, MEANINGS, meanings_of
from nijigan.pages.report import Gallery, headline, model_name, write_report
from nijigan.pages.text import showable

LOG = [
    {"images": 1000 * k, "kimg": float(k), "d_loss": 0.7, "g_loss": 2.0, "real_score": 0.8, "fake_score": 0.2}
    | ({"kid": 0.5 / k, "yield": k / 10, "recall": k / 20, "coverage": k / 15} if k % 2 == 0 else {})
    for k in range(1, 9)
]


def gallery(**changes) -> Gallery:
    pairs = [(a, b, 1.5) for a, b in zip(pictures(2, 3), pictures(2, 4), strict=True)]
    faults = [
        (Fault(name, 0.5 - k / 10, f"It is {name}.", np.arange(2)), pictures(2, 20 + k))
        for k, name in enumerate(("broken", "narrow", "off-colour", "blurred"))
    ]
    shown = Gallery(pictures(3, 0), pictures(2, 1), pictures(2, 2), faults, "The worst fault: broken.", pairs, LOG)
    return replace(shown, **changes)


def report(tmp_path, numbers=None, shown=None) -> str:
    write_report(numbers or metrics(), shown or gallery(), tmp_path / "report.html")
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_shows_every_score_the_whole_protocol_and_the_curves(tmp_path):
    html = report(tmp_path)
    page = check_page(html)
    assert "People would keep 62 % of the generated faces (real faces: 93 %). The worst fault: broken." in page.text
    assert "40.0 38.0 to 42.0" in page.text  # KID, times 1000
    assert all(meaning.label in page.text and meaning.sentence in page.text for meaning in MEANINGS.values())
    assert all(field.name in page.text for field in fields(Protocol) if field.default is MISSING)
    assert html.count("<polyline") == 8
    first, table = page.text.split("Faults", 1)
    assert all(MEANINGS[name].label in first for name in FIRST)
    assert "These real faces are among them." in table
    order = [table.index(words) for words in ("Broken: 50 %", "Narrow: 40 %", "Off-colour: 30 %", "Blurred: 20 %")]
    assert order == sorted(order)


def test_pictures_are_lossless(tmp_path):
    shown = gallery()
    nearest = [face for generated, real, _ in shown.nearest for face in (generated, real)]
    faults = [face for _, faces in shown.faults for face in faces]
    expected = [*faults, *shown.samples, *shown.best, *shown.worst, *nearest]
    found = images_in(report(tmp_path, shown=shown))
    assert len(found) == len(expected)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_samples_are_named_by_their_seeds(tmp_path):
    assert re.findall(r'title="(seed \d+)"', report(tmp_path)) == ["seed 7", "seed 8", "seed 9"]


def test_the_style_is_the_one_that_the_policy_allows(tmp_path):
    html = report(tmp_path)
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in check_page(html).policy


def test_strings_from_outside_are_text(tmp_path):
    evil = '"><script>alert(1)</script>&'
    names = dict.fromkeys(("dataset", "fingerprint", "split", "features", "features_hash", "version"), evil)
    page = check_page(report(tmp_path, metrics(model=evil, **names)))
    assert page.text.count(evil) >= len(names) + 1


def test_a_generator_without_a_log_or_neighbours_has_a_report_without_them(tmp_path):
    page = check_page(report(tmp_path, shown=gallery(nearest=[], curves=[])))
    assert "Curves" not in page.text
    assert "Nearest training faces" not in page.text


def test_a_generator_with_attributes_is_shown_value_by_value(tmp_path):
    requested = pictures(6, 9).reshape(2, 3, 16, 16, 3)
    html = report(tmp_path, conditional_metrics("red", "blue"), gallery(requested={"hair": requested}))
    page = check_page(html)
    assert "Conditional accuracy: hair" in page.text
    assert "20 faces were generated for each of 2 values" in page.text
    assert "(people) recognises the requested value in 37.5 % of the faces." in page.text
    sentence = "For real faces it recognises the labelled value in 80.0 %, over the values with ten or more real faces."
    assert f"{sentence} Chance is 50.0 %." in page.text
    assert "red 81 real 75.0 % 50.0 to 90.0 85.0 % 30.0 10.0 to 50.0" in page.text
    assert "blue 0 real 0.0 % 0.0 to 10.0 – too few faces" in page.text
    (table,) = re.findall(r'<table class="confusion">.*?</table>', html, re.DOTALL)
    assert check_rows(table) == [["hair", "red", "blue", "plaid"], ["red", "75", "", "25"], ["blue", "100", "", ""]]
    assert re.findall(r'<td class="(s\d+)">', table) == ["s8", "s0", "s2", "s10", "s0", "s0"]
    found = images_in(re.findall(r'<table class="values">.*?</table>', html, re.DOTALL)[0])
    assert np.array_equal(found, requested.reshape(6, 16, 16, 3))
    assert all(field.name in page.text for field in fields(Protocol) if field.name != "n_yield")
    assert "Conditional accuracy" not in check_page(report(tmp_path)).text


def check_rows(table: str) -> list[list[str]]:
    """The cells of a table, row by row, as text."""
    rows = re.findall("<tr>(.*?)</tr>", table, re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]


def test_names_of_values_are_text(tmp_path):
    evil = '"><script>alert(1)</script>&'
    requested = {"hair": np.zeros((2, 1, 16, 16, 3), np.uint8)}
    page = check_page(report(tmp_path, conditional_metrics(evil, "b", reader=evil), gallery(requested=requested)))
    assert page.text.count(evil) >= 4


def test_a_script_in_every_string_of_the_metrics_is_text(tmp_path):
    evil = "<script>"
    requested = {evil: np.zeros((2, 1, 16, 16, 3), np.uint8)}
    log = [line | {f"accuracy-{evil}": 0.5, "accuracy-b": 0.5} for line in LOG]
    html = report(tmp_path, hostile(evil), gallery(requested=requested, curves=log))
    page = check_page(html)
    assert evil not in html
    # In the title, the heading, the facts, the scores, two tables, a legend and a dozen terms of the protocol.
    assert page.text.count(evil) >= 25


def test_names_with_control_characters_or_of_any_length_do_not_disturb_the_page(tmp_path):
    evil = "<b>\x1b]0;owned\x07\u202eevil\u2066\ud800" + "x" * 10_000
    log = [line | {f"accuracy-{evil}": 0.5, "accuracy-b": 0.5} for line in LOG]
    shown = gallery(requested={evil: np.zeros((2, 1, 16, 16, 3), np.uint8)}, curves=log)
    html = report(tmp_path, hostile(evil), shown)
    assert r"<b>\x1b]0;owned\x07\u202eevil\u2066\ud800xxx" in check_page(html).text
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|x{400}", html)


def test_what_is_said_of_scores_is_not_shortened():
    meanings = [*MEANINGS.values(), *meanings_of(["accuracy-" + "x" * 50]).values()]
    assert all(showable(meaning.sentence) == meaning.sentence for meaning in meanings)
    assert showable("初音　ミク 👩‍🎤 שלום\n") == "初音　ミク 👩‍🎤 שלום\n"


def test_a_log_with_anything_for_numbers_is_drawn_as_far_as_possible(tmp_path):
    odd = [None, "a", "0.5", True, [1], {}, float("nan"), float("inf"), -1e308, 10**400, 1e-320]
    log = [{"kimg": x, "kid": y, "d_loss": y} for x in [*odd, 1.0] for y in [*odd, 0.5]] + [{}, {"kid": 1}]
    page = check_page(report(tmp_path, shown=gallery(curves=log)))
    assert "KID × 1000" in page.text
    assert points(log, "kid")[-1] == (1.0, 0.5)
    assert all(type(value) in (int, float) and abs(value) < 1e100 for point in points(log, "kid") for value in point)


def test_conditional_accuracy_is_a_curve_where_the_log_has_it(tmp_path):
    log = [line | {"accuracy-hair": 0.5, "accuracy-eyes": 0.25} for line in LOG]
    assert "Conditional accuracy in % " in check_page(report(tmp_path, shown=gallery(curves=log))).text


def test_headline_without_a_floor_or_a_yield():
    assert headline({"yield": Score(0.5)}) == "People would keep 50 % of the generated faces."
    assert headline({"kid": Score(0.0123)}) == "KID × 1000 is 12.3."


@pytest.mark.parametrize(
    ("model", "name"),
    [("runs/a", "a"), ("runs/a/last.safetensors", "a"), ("b.safetensors", "b"), ("user/c", "c"), ("", "A generator")],
)
def test_models_are_called_by_their_run_or_file(model, name):
    assert model_name(model) == name


def test_points_leave_out_what_is_missing_or_no_number():
    lines = [{"kimg": 1.0}, {"kimg": 2.0, "kid": None}, {"kimg": 3.0, "kid": float("nan")}, {"kimg": 4.0, "kid": 0.5}]
    assert points(lines, "kid", 1000) == [(4.0, 500.0)]


def plotted_points(svg: str) -> np.ndarray:
    (path,) = re.findall(r'points="([^"]+)"', svg)
    return np.array([[float(x) for x in point.split(",")] for point in path.split()])


def test_a_line_is_drawn_straight_and_stays_inside_the_frame():
    svg = chart("a", [("b", [(float(k), 3.0 * k) for k in range(50)])])
    places = plotted_points(svg)
    assert np.abs(np.diff(places, 2, axis=0)).max() < 0.21  # coordinates are rounded to 0.1
    assert places.min() >= 0
    assert places[:, 0].max() <= 480
    assert places[0, 1] > places[-1, 1]  # up is more


def test_on_a_logarithmic_scale_a_geometric_series_is_straight():
    series = [(float(k), 100.0 * 0.8**k) for k in range(30)]
    assert np.abs(np.diff(plotted_points(chart("a", [("b", series)], log=True)), 2, axis=0)).max() < 0.21
    assert "logarithmic" not in chart("a", [("b", [*series, (30.0, -1.0)])], log=True)


@pytest.mark.parametrize(
    "values",
    [[0.0], [5.0], [0.0, 0.0], [-1.0, -1.0], [1e-9, 1e9], [1000.0, 1.0], [5e-324], [-1e99, 1e99], [1e-300, 1e99]],
)
@pytest.mark.parametrize("log", [False, True])
def test_any_values_can_be_drawn(values, log):
    svg = chart("a", [("b", [(float(k), value) for k, value in enumerate(values)])], log=log)
    assert svg.startswith("<figure>")
    assert "nan" not in svg
    assert chart("a", [("b", [])], log=log) == ""


def test_the_bar_places_value_interval_and_floor_in_order():
    svg = interval_bar(Score(0.5, 0.4, 0.6, 0.9), top=1)
    low, width = map(float, re.findall(r'class="band" x="([\d.]+)" y="6" width="([\d.]+)"', svg)[0])
    (dot,), (floor,) = re.findall(r'cx="([\d.]+)"', svg), re.findall(r'class="floor" x1="([\d.]+)"', svg)
    assert float(dot) == pytest.approx(low + width / 2, abs=0.11)
    assert float(floor) - float(dot) == pytest.approx(2 * width, abs=0.3)
