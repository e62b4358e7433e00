"""Models side by side on one page, ranked only where their intervals separate them: `compare.html`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import inf
from pathlib import Path
from statistics import fmean

from nijigan.aliases import Images
from nijigan.errors import UserError
from nijigan.judges.results import Metrics, Protocol
from nijigan.metrics.score import Score
from nijigan.pages.charts import Line, chart, points
from nijigan.pages.layout import breakable, definitions, faces, join, protocol_details, section, seeds, write_page
from nijigan.pages.meanings import MEANINGS, Meaning, meanings_of
from nijigan.pages.report import meanings

_EQUAL = (
    "fingerprint",
    "split",
    "resolution",
    "features_hash",
    "n_fake",
    "n_real",
    "n_yield",
    "neighbours",
    "psi",
    "reader_hash",
    "n_asked",
)  # what is None, as these two are for a generator without attributes, is equal to anything
_STRIP = 16  # faces in a row
_CELL = 8  # faces in a cell of the matrix


@dataclass(frozen=True)
class ComparedModel:
    """One model of a comparison."""

    name: str
    metrics: Metrics | None
    """None for one that failed."""
    samples: Images | None
    """uint8 RGB, N×H×W×3, from the same seeds 0, 1, ... for every entry; None for one that failed."""
    seconds: float | None
    """How long its training took."""
    curve: Sequence[Line]
    """The log of its run, or nothing."""
    error: str | None
    """Why it failed, in a sentence."""

    @property
    def scores(self) -> Mapping[str, Score]:
        """By name; none for one that failed."""
        return {} if self.metrics is None else self.metrics.scores


def compare(entries: Sequence[ComparedModel], path: Path, axes: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Write a page that compares models, best KID first.

    Args:
        entries: the models.
        path: the file, written whole or not at all.
        axes: what was varied, entry name → field → value. Where exactly two fields vary, the page shows a matrix; where
            the seed is one of them, runs that differ in it alone are also summed up as one setting.

    Raises:
        UserError: the models were not judged by the same protocol, or there is none.
    """
    judged = [entry for entry in entries if entry.metrics is not None]
    failed = [entry for entry in entries if entry.metrics is None]
    if not entries:
        raise UserError("There is nothing to compare; name one model or more.")
    protocol = _common_protocol(judged)
    judged.sort(key=lambda entry: entry.scores["kid"].value)
    places = ranks([entry.scores["kid"] for entry in judged], lower_is_better=True)
    title = "1 model" if len(entries) == 1 else f"{len(entries)} models compared"
    parts = [_header(title, judged, places, protocol)]
    if judged:
        parts += [
            _replicates(judged, axes or {}),
            _table(judged, places),
            _matrix(entries, judged, places, axes or {}),
            _strips(judged),
            _curves(judged),
        ]
    if failed:
        errors = definitions({entry.name: entry.error for entry in failed})
        parts.append(section("Failed", "Left out of the places above.", errors))
    if protocol:
        parts += [meanings(name for entry in judged for name in entry.scores), protocol_details(protocol)]
    write_page(path, title, "\n".join(filter(None, parts)))


def ranks(scores: Sequence[Score], lower_is_better: bool) -> list[tuple[int, int]]:
    """The places that each score may hold, first and last, counted from 1.

    One is certainly before another only if their intervals do not overlap; a score without an interval is certainly
    before or behind none.
    """
    sign = 1 if lower_is_better else -1
    intervals = [sorted(sign * end for end in _interval(score)) for score in scores]
    return [
        (1 + sum(other_high < low for _, other_high in intervals), sum(other_low <= high for other_low, _ in intervals))
        for low, high in intervals
    ]


def _interval(score: Score) -> tuple[float, float]:
    if score.low is None or score.high is None:
        return -inf, inf
    return min(score.low, score.value), max(score.high, score.value)


def _common_protocol(entries: Sequence[ComparedModel]) -> Protocol | None:
    """The protocol of all entries, or a `UserError` that names what differs."""
    protocols = [(entry.name, entry.metrics.protocol) for entry in entries if entry.metrics is not None]
    for entry in entries:
        if "kid" not in entry.scores:
            raise UserError(f"The metrics of {entry.name!a} hold no KID, which decides; evaluate it again.")
    for field in _EQUAL:
        found = [(name, value) for name, protocol in protocols if (value := getattr(protocol, field)) is not None]
        for name, value in found[1:]:
            if value != found[0][1]:
                raise UserError(
                    f"{found[0][0]!a} and {name!a} cannot be compared, since {field} differs in their protocols "
                    f"({found[0][1]!a} and {value!a}); evaluate both alike."
                )
    return protocols[0][1] if protocols else None


def _header(
    title: str, judged: Sequence[ComparedModel], places: Sequence[tuple[int, int]], protocol: Protocol | None
) -> str:
    first = [entry.name for entry, place in zip(judged, places, strict=True) if place[0] == 1]
    if not judged:
        headline = "None of them could be judged."
    elif len(judged) == 1:
        headline = "Only one could be judged, so there is nothing to rank."
    elif len(first) == 1:
        headline = f"{first[0]} is the best by KID."
    elif len(first) == len(judged):
        headline = "Nothing sets them apart by KID: every model may be the best."
    elif len(first) > 4:
        headline = f"{len(first)} of them may be the best by KID."
    else:
        headline = f"{join(first)} may each be the best by KID: their intervals overlap."
    facts = (
        f"Each by {protocol.n_fake:,} drawn faces against {protocol.n_real:,} real ones ({protocol.dataset}, "
        f"{protocol.split} split) at {protocol.resolution} px, in the feature space {protocol.features}."
        if protocol
        else ""
    )
    return (
        f'<header>\n<h1>{escape(title)}</h1>\n<p class="soft">{escape(facts)}</p>\n'
        f'<p class="headline">{escape(headline)}</p>\n</header>'
    )


def _replicates(judged: Sequence[ComparedModel], axes: Mapping[str, Mapping[str, str]]) -> str:
    """What each setting scores over its seeds, if those were varied: the luck of a training that no interval covers."""
    if len({fields["seed"] for fields in axes.values() if "seed" in fields}) < 2:
        return ""
    others = [field for field in next(iter(axes.values())) if field != "seed"]
    setting_of = {name: tuple(fields[field] for field in others) for name, fields in axes.items()}
    settings: dict[tuple[str, ...], list[ComparedModel]] = {}
    for entry in judged:
        settings.setdefault(setting_of[entry.name], []).append(entry)
    shown = ["kid", "yield"]
    rows = []
    for values, runs in sorted(settings.items(), key=lambda item: fmean(run.scores["kid"].value for run in item[1])):
        setting = ", ".join(f"{field}={value}" for field, value in zip(others, values, strict=True)) or "All"
        cells = "".join(
            _spread_cell([run.scores[name].value for run in runs if name in run.scores], name) for name in shown
        )
        tried = list(setting_of.values()).count(values)
        count = str(tried) if len(runs) == tried else f"{len(runs)} of {tried}"  # the others failed
        rows.append(f'<tr><th scope="row">{breakable(setting)}</th><td class="nowrap">{count}</td>{cells}</tr>')
    columns = "".join(f'<th scope="col">{escape(MEANINGS[name].label)}</th>' for name in shown)
    table = (
        f'<div class="scroll">\n<table class="runs">\n<thead><tr><th scope="col">Setting</th><th scope="col">Runs</th>'
        f"{columns}</tr></thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>\n</div>"
    )
    note = (
        "The same training with other seeds: mean, and least to greatest. Believe one setting better than another only "
        "if their ranges lie well apart; the intervals below know nothing of the luck of a training."
    )
    return section("Over seeds", note, table)


def _spread_cell(values: Sequence[float], name: str) -> str:
    if not values:
        return "<td>–</td>"
    meaning = MEANINGS[name]
    spread = meaning.show_interval(Score(fmean(values), min(values), max(values)))
    return (
        f'<td class="nowrap"><span class="number">{meaning.show(fmean(values))}</span><br>'
        f'<span class="soft">{spread}</span></td>'
    )


def _table(judged: Sequence[ComparedModel], places: Sequence[tuple[int, int]]) -> str:
    shown = meanings_of(name for entry in judged for name in entry.scores)
    columns = "".join(f'<th scope="col">{escape(meaning.label)}</th>' for meaning in shown.values())
    rows = []
    ahead = {name: _ahead(name, meaning.better, judged) for name, meaning in shown.items()}
    for index, (entry, place) in enumerate(zip(judged, places, strict=True)):
        cells = "".join(
            _score_cell(entry.scores.get(name), meaning, ahead[name][index]) for name, meaning in shown.items()
        )
        rows.append(
            f'<tr><th scope="row">{breakable(entry.name)}<br><span class="soft">{escape(_training(entry))}</span></th>'
            f'<td class="nowrap">{_place(place)}</td>{cells}</tr>'
        )
    real = "".join(
        f'<td class="nowrap"><span class="number">{meaning.show(_floor(name, judged))}</span></td>'
        for name, meaning in shown.items()
    )
    rows.append(f'<tr class="real"><th scope="row">Real faces</th><td></td>{real}</tr>')
    table = (
        f'<div class="scroll">\n<table class="runs">\n<thead><tr><th scope="col">Model</th><th scope="col">Place</th>'
        f"{columns}</tr></thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>\n</div>"
    )
    note = (
        "Best KID first. Where 95 % intervals overlap, models share their places: these numbers do not tell them "
        "apart. In colour: what may be the best of its column, where anything is certainly worse."
    )
    return section("Scores", note, table)


def _floor(name: str, judged: Sequence[ComparedModel]) -> float | None:
    """What real faces score, as the first entry knows that has the score."""
    return next((entry.scores[name].floor for entry in judged if name in entry.scores), None)


def _score_cell(score: Score | None, meaning: Meaning, ahead: bool) -> str:
    if score is None:
        return "<td>–</td>"
    return (
        f'<td class="nowrap"><span class="number{" first" if ahead else ""}">{meaning.show(score.value)}</span><br>'
        f'<span class="soft">{meaning.show_interval(score)}</span></td>'
    )


def _ahead(name: str, better: int, judged: Sequence[ComparedModel]) -> list[bool]:
    """Which entries may be the best by a score, where that leaves any out."""
    if not better or name == "fd" or any(name not in entry.scores for entry in judged):  # fd's range is no interval
        return [False] * len(judged)
    first = [place[0] == 1 for place in ranks([entry.scores[name] for entry in judged], better < 0)]
    return [may and not all(first) for may in first]


def _matrix(
    entries: Sequence[ComparedModel],
    judged: Sequence[ComparedModel],
    places: Sequence[tuple[int, int]],
    axes: Mapping[str, Mapping[str, str]],
) -> str:
    """Rows × columns of what was varied, if that is two fields."""
    settings = [axes.get(entry.name, {}) for entry in entries]
    values = {field: list(dict.fromkeys(s[field] for s in settings if field in s)) for field in settings[0]}
    varied = [field for field, found in values.items() if len(found) > 1]
    if len(varied) != 2:
        return ""
    row_field, column_field = varied
    place_of = {entry.name: place for entry, place in zip(judged, places, strict=True)}
    header = "".join(f'<th scope="col">{escape(column)}</th>' for column in values[column_field])
    rows = []
    for row in values[row_field]:
        cells = []
        for column in values[column_field]:
            here = [
                _cell(entry, place_of.get(entry.name), len(judged))
                for entry, setting in zip(entries, settings, strict=True)
                if (setting.get(row_field), setting.get(column_field)) == (row, column)
            ]
            cells.append(f"<td>{''.join(here)}</td>")
        rows.append(f'<tr><th scope="row">{escape(row)}</th>{"".join(cells)}</tr>')
    table = (
        f'<div class="scroll">\n<table class="matrix">\n<thead><tr><th></th>{header}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>\n</div>"
    )
    note = "KID × 1000 and yield of every combination. A strong frame: it may be the best."
    return section(f"{row_field} × {column_field}", note, table)


def _cell(entry: ComparedModel, place: tuple[int, int] | None, count: int) -> str:
    if place is None or entry.samples is None:
        return f'<div class="cell">Failed.<br><span class="soft">{escape(entry.error or "")}</span></div>'
    shown = entry.samples[:_CELL]
    kid, good = entry.scores["kid"], entry.scores.get("yield")
    worth = "" if good is None else f' <span class="nowrap">{MEANINGS["yield"].show(good.value)} good</span>'
    return (
        f'<div class="cell{" first" if place[0] == 1 and count > 1 else ""}">'
        f'<span class="number">{MEANINGS["kid"].show(kid.value)}</span> '
        f'<span class="soft nowrap">{MEANINGS["kid"].show_interval(kid)}</span><br>place {_place(place)},{worth}'
        f"{faces(shown, seeds(0, shown))}</div>"
    )


def _strips(judged: Sequence[ComparedModel]) -> str:
    strips = [
        f"<p>{breakable(entry.name)}</p>{faces(entry.samples[:_STRIP], seeds(0, entry.samples[:_STRIP]))}"
        for entry in judged
        if entry.samples is not None
    ]
    note = "The same latents for all: faces in one column were drawn with the same seed."
    return section("Samples", note, f'<div class="scroll"><div class="strips">{"".join(strips)}</div></div>')


def _curves(judged: Sequence[ComparedModel]) -> str:
    generated = chart("KID × 1000", [(entry.name, points(entry.curve, "kid", 1000)) for entry in judged], log=True)
    return (
        section("KID while training", "Lower is better.", f'<div class="charts">{generated}</div>') if generated else ""
    )


def _training(entry: ComparedModel) -> str:
    kimg = f"{entry.metrics.kimg:,g} kimg" if entry.metrics else ""
    return kimg if entry.seconds is None else f"{kimg} in {_duration(entry.seconds)}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _place(place: tuple[int, int]) -> str:
    return str(place[0]) if place[0] == place[1] else f"{place[0]}–{place[1]}"
