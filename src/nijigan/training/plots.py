"""The curves of a run, as pictures."""

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from nijigan.files import replacing

_FIGURES = {
    "losses": ("Loss", {"d_loss": "discriminator", "g_loss": "generator"}),
    "scores": ("Score", {"real_score": "real faces", "fake_score": "drawn faces"}),
}
_COLOURS = ("#2b6cb0", "#e0567a")


def plot_curves(lines: Sequence[dict[str, Any]], folder: Path) -> None:
    """Draw `losses.png` (both networks' losses) and `scores.png` (D's mean score of real and of drawn faces) over kimg.

    Args:
        lines: the run's log lines, oldest first.
        folder: where the two pictures go.
    """
    kimg = [line["kimg"] for line in lines]
    for name, (title, curves) in _FIGURES.items():
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for (key, label), colour in zip(curves.items(), _COLOURS, strict=True):
            axes.plot(
                kimg,
                [nan if line[key] is None else line[key] for line in lines],
                label=label,
                color=colour,
                linewidth=1.4,
                marker="o" if len(lines) == 1 else None,
            )
        axes.set(xlabel="thousands of real images seen (kimg)", ylabel=title)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        with replacing(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=110)
