"""Commands that train."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from nijigan.cli.common import Device, leave, open_or_import, progress_bar
from nijigan.errors import UserError
from nijigan.recipe.recipe import Recipe
from nijigan.recipe.studies import STUDIES
from nijigan.recipe.table import RECIPES

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Demo:
    """Draw a toy dataset, train a small DCGAN on it for a minute or two, and show what came out."""

    out: Path = Path("demo")
    """Folder for everything the demo makes."""

    def run(self) -> None:
        """Run the demo."""
        from nijigan.demo import demo

        with progress_bar("Drawing") as progress:
            demo(self.out, progress)


@dataclass(frozen=True)
class Recipes:
    """List the named recipes."""

    json: bool = False
    """Print all their fields as JSON."""

    def run(self) -> None:
        """List."""
        if self.json:
            print(json.dumps({name: asdict(recipe) for name, recipe in RECIPES.items()}, indent=2))
            return
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, padding=(0, 1, 0, 0))
        for title in ("recipe", "px", "network", "game", "lr ×1e-4", "batch", "kimg"):
            table.add_column(title, no_wrap=True)
        for recipe in RECIPES.values():
            penalty = "clip" if recipe.clip else recipe.penalty.kind
            parts = [recipe.objective, penalty, recipe.condition.kind]
            rates = dict.fromkeys(f"{optimizer.lr * 1e4:g}" for optimizer in (recipe.g_optimizer, recipe.d_optimizer))
            table.add_row(
                recipe.name, str(recipe.resolution), recipe.generator.kind,
                " ".join(part for part in parts if part not in ("auto", "none")),
                f"{recipe.g_optimizer.kind} {'/'.join(rates)}", str(recipe.batch_size),
                f"{recipe.kimg:g}" if recipe.epochs is None else f"{recipe.epochs:g} ep.",
            )  # fmt: skip
        Console().print(table)


@dataclass(frozen=True)
class Papers:
    """Print the five studies: what each claims, what we saw, what we changed."""

    json: bool = False
    """Print them as JSON."""

    def run(self) -> None:
        """Print."""
        if self.json:
            print(json.dumps([asdict(study) for study in STUDIES], indent=2))
            return
        from rich.console import Console
        from rich.table import Table

        console = Console()
        for study in STUDIES:
            console.print(f"[bold]{study.authors}[/] · {study.title}", highlight=False)
            console.print(f"recipes: {', '.join(study.recipes)}", highlight=False)
            table = Table(box=None, padding=(0, 2, 0, 0), show_lines=True)
            table.add_column("claimed", ratio=1)
            table.add_column("here", ratio=1)
            for claim in study.claims:
                table.add_row(claim.claimed, claim.reproduced)
            console.print(table)
            console.print(f"changed: {study.changed}\n", highlight=False)


@dataclass(frozen=True)
class Train:
    """Train a recipe on faces into a run folder."""

    recipe: Annotated[Positional[str], tyro.conf.arg(metavar="RECIPE")]
    """A name from `nijigan recipes`, or a path to a recipe's JSON."""
    data: Path
    """A dataset folder; a plain folder of pictures or a .zip is imported beside itself first."""
    settings: Annotated[
        Recipe, tyro.conf.arg(name="")
    ]  # its fields are flags without a prefix: --kimg, --generator.width
    out: Path | None = None
    """The run folder; left out, runs/RECIPE."""
    start_from: Path | None = None
    """Start from the networks of this run, which learnt from other faces or without attributes."""
    device: Device = "auto"
    """Where to train."""
    devices: int = 1
    """Processes on each machine, one device each."""
    nodes: int = 1
    """Machines."""
    dry_run: bool = False
    """Print the plan (recipe, GFLOP per image, images per second, hours) for one device and stop."""

    def run(self) -> None:
        """Train, or say what training would take."""
        if self.dry_run and self.devices * self.nodes > 1:
            raise UserError("--dry-run measures one device, and several are not as many times as fast; leave them out.")
        dataset = open_or_import(self.data)
        if self.dry_run:
            from nijigan.training.plan import plan

            print(plan(self.settings, dataset, self.device, self.start_from))
            return
        from nijigan.training import train

        out = train(
            self.settings, dataset, self.out or Path("runs") / self.settings.name, start_from=self.start_from,
            device=self.device, devices=self.devices, nodes=self.nodes,
        )  # fmt: skip
        _log.info("Faces: %s. Draw new ones with `nijigan generate %s --n 64 --out grid.png`.", out / "samples", out)
        leave(self.devices * self.nodes)


@dataclass(frozen=True)
class Resume:
    """Go on with a run from its last checkpoint."""

    folder: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
    data: Path | None = None
    """Where the run's faces are now, if they were moved."""
    kimg: float | None = None
    """Make the run this long."""
    device: Device = "auto"
    """Where to train."""
    devices: int = 1
    """Processes on each machine, one device each."""
    nodes: int = 1
    """Machines."""

    def run(self) -> None:
        """Resume."""
        from nijigan.training import resume

        resume(
            self.folder, dataset=open_or_import(self.data) if self.data else None, kimg=self.kimg,
            device=self.device, devices=self.devices, nodes=self.nodes,
        )  # fmt: skip
        leave(self.devices * self.nodes)


@dataclass(frozen=True)
class Sweep:
    """Train a recipe in every combination of some settings, judge each, and compare them on one page."""

    recipe: Annotated[Positional[str], tyro.conf.arg(metavar="RECIPE")]
    """A name from `nijigan recipes`, or a path to a recipe's JSON."""
    data: Path
    """A dataset folder; a plain folder of pictures or a .zip is imported beside itself first."""
    settings: Annotated[Recipe, tyro.conf.arg(name="")]  # what the combinations share
    vary: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """FIELD=VALUE,VALUE,... and again for the next field: a recipe's field, or optimizer or lr for both networks'."""
    out: Path = Path("sweep")
    """The sweep's folder; typed again, the sweep goes on where it was."""
    device: Device = "auto"
    """Where to train."""
    n: int = 2000
    """Faces to draw from each for judging."""

    def run(self) -> None:
        """Sweep."""
        from nijigan.sweep import sweep

        vary = {}
        for words in self.vary:
            field, equals, values = words.partition("=")
            if not equals or not all(values.split(",")) or field in vary:
                raise UserError(
                    f"--vary {words} is not FIELD=VALUE,VALUE with a field of its own, such as lr=1e-4,2e-4."
                )
            vary[field] = values.split(",")
        print(sweep(self.settings, open_or_import(self.data), vary, self.out, device=self.device, n=self.n))
