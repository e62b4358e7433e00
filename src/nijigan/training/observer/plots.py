"""The curves of a run, as pictures."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from nijigan.files import replacing

_FIGURES = {
    "losses": ("Loss", {"d_loss": "discriminator", "g_loss": "generator"}),
    "scores": ("Score", {"real_score": "real faces", "fake_score": "generated faces"}),
    "penalty": ("Penalty", {"penalty": "discriminator"}),
    "gradients": ("Length of the gradient", {"d_gradient": "discriminator", "g_gradient": "generator"}),
    "class": ("Class loss", {"d_class_loss": "discriminator", "g_class_loss": "generator"}),
    "diversity-loss": ("Diversity lost", {"diversity_loss": "generator"}),
    "yield": ("Share of faces that people keep", {"yield": "generated faces"}),
    "kid": ("KID × 1000 on validation faces", {"kid": "generated faces"}),
    "variety": ("Share of real faces that are covered", {"coverage": "coverage", "recall": "recall"}),
    "originality": ("Share of faces that are no copies", {"originality": "generated faces"}),
}
_SHARES = ("yield", "variety", "originality", "accuracy")
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
    measured = sorted({key for line in lines for key, value in line.items() if value is not None})
    accuracies = {key: key.removeprefix("accuracy-") for key in measured if key.startswith("accuracy-")}
    for name, (title, curves) in {**_FIGURES, "accuracy": ("Conditional accuracy", accuracies)}.items():
        if not any(line.get(key) is not None for line in lines for key in curves):
            continue
        figure = Figure(figsize=(7, 4))
        axes = figure.add_axes((0.11, 0.14, 0.86, 0.82))  # placed by hand: a layout engine takes twice the time
        for (key, label), colour in zip(curves.items(), cycle(_COLOURS), strict=False):
            scale = 1000 if name == "kid" else 1
            points = [(line["kimg"], scale * line[key]) for line in lines if line.get(key) is not None]
            few = "o" if len(points) < 20 else None
            axes.plot(*zip(*points, strict=True), label=label, color=colour, linewidth=1.4, marker=few, markersize=4)
        axes.set(xlabel="thousands of real images seen (kimg)", ylabel=title)
        if name in _SHARES:
            axes.set_ylim(0, max(0.05, 1.05 * axes.get_ylim()[1]))  # a run that learns nothing must not look steep
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        with replacing(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=110)
