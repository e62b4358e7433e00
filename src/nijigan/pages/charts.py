"""Small SVG charts that take their colours from the page: a score on its scale, curves over kimg.

They are written by hand because matplotlib's SVG contains inline styles. Those ignore dark mode, and the page's content
security policy forbids them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Any, TypeGuard

from markupsafe import Markup

from nijigan.metrics.score import Score
from nijigan.pages.text import showable

Line = Mapping[str, Any]
"""A line of a run's log: kimg, and whatever was measured then, by name."""
Points = Sequence[tuple[float, float]]

AXES = {"kimg": "thousands of real images seen (kimg)", "epoch": "epochs"}
"""By key of a log line: what the x axis of a chart is called."""

_LARGEST, _SMALLEST = 1e100, 1e-9  # numbers that a chart distinguishes from infinity and from 0
_MOST_TICKS = 12
_COLOURS = 6
_DASHES = 4
_WIDTH, _HEIGHT = 480, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 18, 10, 42


def interval_bar(score: Score, top: float | None = None) -> Markup:
    """A score as a dot, its interval as a band and the score of real faces as a vertical line, on a scale from 0.

    Args:
        score: the score.
        top: the end of the scale. Default: slightly more than the largest of these numbers.
    """
    numbers = [x for x in (score.value, score.low, score.high, score.floor) if x is not None]
    bottom = min(0.0, *numbers)
    top = max(numbers) * 1.08 if top is None else max(top, *numbers)

    def x(value: float) -> str:
        return f"{6 + 164 * (value - bottom) / ((top - bottom) or 1):.1f}"

    parts = ['<line class="track" x1="6" y1="12" x2="170" y2="12"/>']
    if score.low is not None and score.high is not None:
        width = max(float(x(score.high)) - float(x(score.low)), 1)
        parts.append(f'<rect class="band" x="{x(score.low)}" y="6" width="{width:.1f}" height="12" rx="2"/>')
    if score.floor is not None:
        parts.append(f'<line class="floor" x1="{x(score.floor)}" y1="2" x2="{x(score.floor)}" y2="22"/>')
    parts.append(f'<circle class="dot" cx="{x(score.value)}" cy="12" r="3"/>')
    return Markup(f'<svg class="bar" viewBox="0 0 176 24" aria-hidden="true">{"".join(parts)}</svg>')


def points(lines: Sequence[Line], key: str, scale: float = 1, over: str = "kimg") -> Points:
    """(kimg, value × scale) of the log lines in which both are numbers that a chart can show; `over` as in `AXES`."""
    found = ((line.get(over), line.get(key)) for line in lines)
    return [(float(x), scale * value) for x, value in found if _is_number(x) and x >= 0 and _is_number(value)]


def _is_number(value: Any) -> TypeGuard[float]:
    """Whether a value from a log is a number; NaN, truth values and numbers beyond all measure are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _settle(value: float) -> float:
    """The value, or 0 if it is so small that a scale for it alone would only show rounding errors."""
    return value if abs(value) >= _SMALLEST else 0.0


def chart(title: str, curves: Sequence[tuple[str, Points]], log: bool = False, over: str = "kimg") -> Markup:
    """Curves over kimg or epochs, with a legend if there are several.

    Args:
        title: plain text.
        curves: label (plain text) and points of each. Curves without points are omitted.
        log: use a logarithmic scale if all values are positive and they span more than a decade.
        over: what the x axis shows, one of `AXES`.

    Returns:
        A `<figure>`; empty if no curve has points.
    """
    curves = [(label, [(_settle(kimg), _settle(value)) for kimg, value in path]) for label, path in curves if path]
    if not curves:
        return Markup("")
    axes = _axes([point for _, path in curves for point in path], log)
    heading = escape(showable(title) + (" (logarithmic scale)" if axes.log else ""))
    drawing = _grid(axes, AXES[over]) + "".join(_curve(axes, index, path) for index, (_, path) in enumerate(curves))
    legend = _legend([label for label, _ in curves]) if len(curves) > 1 else ""
    return Markup(
        f'<figure>\n<h3>{heading}</h3>\n<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{heading}">{drawing}</svg>\n{legend}</figure>'
    )


@dataclass(frozen=True)
class _Axes:
    """Where values lie in the drawing."""

    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    low: float
    high: float
    log: bool

    def x(self, kimg: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * kimg / self.x_ticks[-1]

    def y(self, value: float) -> float:
        if self.log:
            share = (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        else:
            share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * share


def _axes(places: Points, log: bool) -> _Axes:
    """Axes that hold all of these points."""
    xs, ys = zip(*places, strict=True)
    log = log and min(ys) > 0 and max(ys) > 10 * min(ys)
    y_ticks = _log_ticks(min(ys), max(ys)) if log else _ticks(min(0.0, *ys), max(ys))
    return _Axes(_ticks(0.0, max(xs)), y_ticks, min(y_ticks[0], *ys), max(y_ticks[-1], *ys), log)


def _grid(axes: _Axes, label: str) -> str:
    """Horizontal lines with their values, the values on the x axis, and its label."""
    parts = []
    for tick in axes.y_ticks:
        y = axes.y(tick)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for tick in axes.x_ticks:
        parts.append(f'<text x="{axes.x(tick):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{tick:g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) // 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 4}" text-anchor="middle">{label}</text>')
    return "".join(parts)


def _curve(axes: _Axes, index: int, path: Points) -> str:
    """A line through several points, or a dot for one."""
    if len(path) == 1:
        ((kimg, value),) = path
        return f'<circle class="{_style(index)}" cx="{axes.x(kimg):.1f}" cy="{axes.y(value):.1f}" r="2.5"/>'
    places = " ".join(f"{axes.x(kimg):.1f},{axes.y(value):.1f}" for kimg, value in path)
    return f'<polyline class="{_style(index)}" points="{places}"/>'


def _legend(labels: Sequence[str]) -> str:
    keys = "".join(
        f'<li><svg viewBox="0 0 28 12" aria-hidden="true"><line class="{_style(index)}" x1="0" y1="6" x2="28" y2="6"/>'
        f"</svg> {escape(showable(label))}</li>"
        for index, label in enumerate(labels)
    )
    return f'<ul class="legend">{keys}</ul>\n'


def _style(index: int) -> str:
    return f"curve c{index % _COLOURS} d{index // _COLOURS % _DASHES}"


def _ticks(low: float, high: float) -> list[float]:
    """Five to twelve round numbers that enclose low to high; their distance is 1, 2 or 5 times a power of ten."""
    span = (high - low) or abs(high) or 1.0
    power = 10 ** floor(log10(span / 4))
    step = next(power * factor for factor in (5, 2, 1) if power * factor <= span / 4)
    return [round(i * step, 12) for i in range(floor(low / step), ceil((low + span) / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """At most twelve of the numbers 1, 2 and 5 times a power of ten that enclose low to high."""
    every = [
        factor * 10.0**power for power in range(floor(log10(low)) - 1, ceil(log10(high)) + 2) for factor in (1, 2, 5)
    ]
    below = max(tick for tick in every if tick <= low)
    above = min(tick for tick in every if tick >= high)
    ticks = [tick for tick in every if below <= tick <= above]
    return ticks[:: ceil(len(ticks) / _MOST_TICKS)]
