"""The command that compares losses and penalties on points in the plane."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from nijigan.cli.common import narrate, progress_bar
from nijigan.terminal import styled

if TYPE_CHECKING:
    from nijigan.lab.experiment import Outcome


@dataclass(frozen=True)
class Lab:
    """Train every loss with every penalty on 2-D points, and draw all results in one figure."""

    out: Path = Path("lab.png")
    """File for the figure: .png, .svg or .pdf."""
    steps: int = 2000
    """Updates of each network in each experiment."""
    seed: int = 0
    """Seed of weights, latents and data."""
    workers: int = os.cpu_count() or 1
    """Number of parallel processes, one core each."""
    json: bool = False
    """Print the measures as JSON instead of a table."""

    def run(self) -> None:
        """Train, draw the figure, and print the table."""
        from nijigan.lab import experiment, picture

        picture.check_extension(self.out)
        with progress_bar("Training") as progress:
            outcomes = experiment.run_all(self.steps, self.seed, self.workers, progress)
        picture.draw_figure(outcomes, self.out)
        if self.json:
            print(json.dumps([_measures(outcome) for outcome in outcomes], indent=2))
        else:
            _print_tables(outcomes)
        narrate(f"Figure: {self.out}")


def _measures(outcome: "Outcome") -> dict[str, object]:
    return {
        "data": outcome.data, "objective": outcome.objective, "penalty": outcome.penalty.kind, "modes": outcome.modes,
        "quality": outcome.quality, "distance": outcome.distance if isfinite(outcome.distance) else None,
    }  # fmt: skip


def _print_tables(outcomes: Sequence["Outcome"]) -> None:
    from rich.table import Table

    from nijigan.lab.experiment import MIXTURES

    for data, mixture in MIXTURES.items():
        measures = f"modes covered of {len(mixture.centres)} · sliced Wasserstein distance (floor: {mixture.floor:.3f})"
        table = Table(title=f"{data}: {measures}", title_justify="left", box=None, pad_edge=False)
        table.add_column("loss")
        rows: dict[str, list[str]] = {}
        for outcome in outcomes:
            if outcome.data == data:
                rows.setdefault(outcome.objective, []).append(f"{outcome.modes} · {outcome.distance:.2f}")
                if len(rows) == 1:
                    table.add_column(outcome.penalty.kind)
        for objective, cells in rows.items():
            table.add_row(objective, *cells)
        styled().print(table)
