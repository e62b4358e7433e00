"""The curves of a run, as pictures."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from nijigan.files import replacing
from nijigan.training.observer.figures import SHARES, figures

_COLOURS = ("#2b6cb0", "#e0567a", "#12805c", "#a87400", "#a23b97", "#2a87a8")


def plot_curves(lines: Sequence[dict[str, Any]], folder: Path) -> None:
    """Plot the curves of a run over kimg, one picture for each kind of number in its log lines.

    - `losses.png`: both networks' losses
    - `scores.png`: D's mean score of real and of generated faces
    - `penalty.png`: the penalty on D
    - `gradients.png`: the lengths of both networks' gradients, in updates without a lazy penalty
    - `class.png`: both networks' class losses
    - `diversity-loss.png`: G's diversity loss
    - `yield.png`, `kid.png`, `variety.png`, `originality.png`: scores on the validation split
    - `accuracy.png`: conditional accuracy of each attribute

    Args:
        lines: the run's log lines, oldest first.
        folder: where the pictures go.
    """
    measured = {key for line in lines for key, value in line.items() if value is not None}
    for shown in figures(measured):
        figure = Figure(figsize=(7, 4))
        axes = figure.add_axes((0.11, 0.14, 0.86, 0.82))  # placed by hand: a layout engine takes twice the time
        for (key, label), colour in zip(shown.curves.items(), cycle(_COLOURS), strict=False):
            points = [(line["kimg"], shown.scale * line[key]) for line in lines if line.get(key) is not None]
            few = "o" if len(points) < 20 else None
            axes.plot(*zip(*points, strict=True), label=label, color=colour, linewidth=1.4, marker=few, markersize=4)
        axes.set(xlabel="thousands of real images seen (kimg)", ylabel=shown.title)
        if shown.name in SHARES:
            axes.set_ylim(0, max(0.05, 1.05 * axes.get_ylim()[1]))  # a run that learns nothing must not look steep
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        with replacing(folder / f"{shown.name}.png") as temporary:
            figure.savefig(temporary, dpi=110)
