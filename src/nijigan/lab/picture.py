"""The figure of the lab: a panel of generated points for each experiment."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nijigan.errors import check
from nijigan.files import replacing
from nijigan.lab.experiment import MIXTURES, Outcome

_INK, _PALE, _GREY, _GREEN = "#334155", "#cbd5e1", "#64748b", "#15803d"
_MODES, _POINTS = "#f9c6d3", "#2b6cb0"
_TITLES = {"ring": "Ring of 8 Gaussians", "grid": "5 × 5 Gaussians"}
_PANEL, _GAP, _CAPTION = 1.42, 0.1, 0.24  # inches
_LEFT, _TOP, _HEADING, _MARGIN = 1.15, 0.85, 0.75, 0.2
_ROW, _COLUMN = _CAPTION + _PANEL + _GAP, _PANEL + _GAP


@dataclass(frozen=True)
class _Page:
    """A figure whose positions are inches from its left and top edges."""

    figure: Figure
    width: float
    height: float

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        usual: dict[str, Any] = {"color": _INK, "fontsize": 9, "va": "baseline"}
        self.figure.text(x / self.width, 1 - y / self.height, text, **usual | style)

    def panel(self, x: float, y: float) -> Axes:
        """Square axes with their upper left corner at (x, y)."""
        left, bottom = x / self.width, 1 - (y + _PANEL) / self.height
        return self.figure.add_axes((left, bottom, _PANEL / self.width, _PANEL / self.height))


def draw_figure(outcomes: Sequence[Outcome], out: Path) -> None:
    """Draw a block for each data set, in it a row for each objective and a column for each penalty.

    Args:
        outcomes: at most one for each combination of data set, objective and penalty.
        out: a .png, .svg or .pdf.

    Raises:
        UserError: `out` has another extension, or the file cannot be written.
    """
    check_extension(out)
    rows = list(dict.fromkeys(o.objective for o in outcomes))
    columns = list(dict.fromkeys(o.penalty.kind for o in outcomes))
    blocks = list(dict.fromkeys(o.data for o in outcomes))
    block_height = _HEADING + len(rows) * _ROW
    width = _LEFT + len(columns) * _COLUMN + _MARGIN
    height = _TOP + len(blocks) * block_height + _MARGIN
    page = _Page(Figure(figsize=(width, height), facecolor="white"), width, height)

    page.write(_MARGIN, 0.4, "Every loss with every penalty", fontsize=15, weight="bold")
    legend = "Pink: modes of the data. Blue: generated points. Above each panel: modes covered, distance to the data"
    page.write(_MARGIN, 0.66, legend)
    for block, data in enumerate(blocks):
        top = _TOP + block * block_height
        page.write(_MARGIN, top + 0.3, _TITLES[data], fontsize=12, weight="bold")
        floor = f"distance between two samples of the data: {MIXTURES[data].floor:.2f}"
        page.write(_MARGIN + 2.1, top + 0.3, floor, color=_GREY)
        for column, kind in enumerate(columns):
            x = _LEFT + column * _COLUMN + _PANEL / 2
            page.write(x, top + 0.62, "no penalty" if kind == "none" else kind, ha="center", weight="bold")
        for row, objective in enumerate(rows):
            y = top + _HEADING + row * _ROW + _CAPTION
            page.write(_LEFT - 0.1, y + _PANEL / 2, objective, ha="right", va="center", weight="bold")
            for outcome in outcomes:
                if (outcome.data, outcome.objective) == (data, objective):
                    _draw_outcome(page, _LEFT + columns.index(outcome.penalty.kind) * _COLUMN, y, outcome)
    with replacing(out) as temporary:
        page.figure.savefig(temporary, dpi=120)


def check_extension(out: Path) -> None:
    """Raise a `UserError` if `draw_figure` cannot write a file of this name; call it before minutes of training."""
    kinds = (".png", ".svg", ".pdf")
    check(out.suffix.lower() in kinds, f"{out} is not the name of a figure; use the extension {', '.join(kinds)}.")


def _draw_outcome(page: _Page, x: float, y: float, outcome: Outcome) -> None:
    """Draw one panel and the figures above it; green if at least 7 of 8 modes are covered."""
    centres = MIXTURES[outcome.data].centres
    good = outcome.modes >= 7 / 8 * len(centres)
    style = {"color": _GREEN, "weight": "bold"} if good else {}
    page.write(x, y - 0.05, f"{outcome.modes}/{len(centres)}", **style)
    page.write(x + _PANEL, y - 0.05, f"{outcome.distance:.2f}", ha="right")

    axes = page.panel(x, y)
    limit = 1.3 * np.abs(centres).max()
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[])
    axes.spines[:].set_color(_GREEN if good else _PALE)
    axes.scatter(centres[:, 0], centres[:, 1], s=110 if len(centres) < 10 else 60, color=_MODES, linewidths=0)
    inside = outcome.points[(np.abs(outcome.points) < limit).all(axis=1)]
    axes.scatter(inside[:, 0], inside[:, 1], s=2.5, color=_POINTS, alpha=0.35, linewidths=0)
    if len(inside) < 0.05 * len(outcome.points):
        axes.text(0, 0, "points are\noutside", color=_INK, fontsize=9, ha="center", va="center")
