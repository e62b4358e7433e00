"""The command that plays on toy data."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from nijigan.cli.common import narrate, progress_bar

if TYPE_CHECKING:
    from nijigan.lab import Outcome


@dataclass(frozen=True)
class Lab:
    """Play every objective with every penalty on points in the plane, and draw one picture of all."""

    out: Path = Path("lab.png")
    """The picture: .png, .svg or .pdf."""
    steps: int = 2000
    """Updates of each player in each game."""
    seed: int = 0
    """Decides weights, latents and data."""
    workers: int = os.cpu_count() or 1
    """Processes that play at the same time, one core each."""
    json: bool = False
    """Print the figures as JSON."""

    def run(self) -> None:
        """Play, draw, tell."""
        from nijigan.lab import check_picture, draw, lab

        check_picture(self.out)
        with progress_bar("Playing") as progress:
            outcomes = lab(self.steps, self.seed, self.workers, progress)
        draw(outcomes, self.out)
        if self.json:
            print(json.dumps([_figures(outcome) for outcome in outcomes], indent=2))
        else:
            _print_tables(outcomes)
        narrate(f"The picture: {self.out}")


def _figures(outcome: "Outcome") -> dict[str, object]:
    return {
        "data": outcome.data, "objective": outcome.objective, "penalty": outcome.penalty.kind, "modes": outcome.modes,
        "quality": outcome.quality, "distance": outcome.distance if isfinite(outcome.distance) else None,
    }  # fmt: skip


def _print_tables(outcomes: Sequence["Outcome"]) -> None:
    from rich.console import Console
    from rich.table import Table

    from nijigan.lab import MIXTURES

    for data, mixture in MIXTURES.items():
        title = f"{data}: modes covered of {len(mixture.centres)}, Wasserstein distance ({mixture.floor:.2f} at best)"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        table.add_column("objective")
        rows: dict[str, list[str]] = {}
        for outcome in outcomes:
            if outcome.data == data:
                rows.setdefault(outcome.objective, []).append(f"{outcome.modes} · {outcome.distance:.2f}")
                if len(rows) == 1:
                    table.add_column(outcome.penalty.kind)
        for objective, cells in rows.items():
            table.add_row(objective, *cells)
        Console().print(table)
