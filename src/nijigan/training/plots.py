"""The curves of a run, as pictures."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from nijigan.files import replacing

_FIGURES = {
    "losses": ("Loss", {"d_loss": "discriminator", "g_loss": "generator"}),
    "scores": ("Score", {"real_score": "real faces", "fake_score": "drawn faces"}),
    "penalty": ("Penalty", {"penalty": "discriminator"}),
    "class": ("Class loss", {"d_class_loss": "discriminator", "g_class_loss": "generator"}),
    "diversity-loss": ("Diversity lost", {"diversity_loss": "generator"}),
    "kid": ("KID on validation faces", {"kid": "drawn faces"}),
    "yield": ("Share of good faces", {"yield": "drawn faces"}),
}
_COLOURS = ("#2b6cb0", "#e0567a", "#12805c", "#a87400", "#a23b97", "#2a87a8")


def plot_curves(lines: Sequence[dict[str, Any]], folder: Path) -> None:
    """Draw the curves of a run over kimg, one picture each: of those that its log lines hold.

    `losses.png` has both networks' losses, `scores.png` D's mean score of real and of drawn faces, `penalty.png` what
    D pays for being steep, `class.png` both networks' class losses, `diversity-loss.png` what drawn faces of the same
    attributes lack of the variety of real ones, `kid.png` and `yield.png` what the evaluations on
    validation faces found, `accuracy.png` how often drawn faces show the hair, the eyes and so on that they were asked
    to.

    Args:
        lines: the run's log lines, oldest first.
        folder: where the pictures go.
    """
    measured = sorted({key for line in lines for key, value in line.items() if value is not None})
    conditional_accuracy = {key: key.removeprefix("accuracy-") for key in measured if key.startswith("accuracy-")}
    for name, (title, curves) in {**_FIGURES, "accuracy": ("Balanced accuracy", conditional_accuracy)}.items():
        if not any(line.get(key) is not None for line in lines for key in curves):
            continue
        figure = Figure(figsize=(7, 4))
        axes = figure.add_axes((0.11, 0.14, 0.86, 0.82))  # placed by hand: a layout engine takes twice the time
        for (key, label), colour in zip(curves.items(), cycle(_COLOURS), strict=False):
            points = [(line["kimg"], line[key]) for line in lines if line.get(key) is not None]
            few = "o" if len(points) < 20 else None
            axes.plot(*zip(*points, strict=True), label=label, color=colour, linewidth=1.4, marker=few, markersize=4)
        axes.set(xlabel="thousands of real images seen (kimg)", ylabel=title)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        with replacing(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=110)
