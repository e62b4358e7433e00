"""The command line: one dataclass a command, whose body is a call to a plain function.

Torch and everything slow are imported inside the bodies, so that `--help` answers at once.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

import tyro
from tyro.conf import Positional

from nijigan.errors import UserError
from nijigan.recipe import Recipe
from nijigan.recipes import RECIPES, find_recipe

if TYPE_CHECKING:
    from nijigan.data.dataset import FaceDataset

_DESCRIPTION = "Train, judge and run GANs that draw anime faces."
Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Demo:
    """Draw a toy dataset, train a small DCGAN on it for a minute or two, and show what came out."""

    out: Path = Path("demo")
    """Folder for everything the demo makes."""

    def run(self) -> None:
        """Run the demo."""
        from nijigan.demo import demo

        with _progress("Drawing") as progress:
            demo(self.out, progress)


@dataclass(frozen=True)
class Import:
    """Turn pictures into a faces dataset: decoded, checked, without duplicates, split in train, val and test."""

    sources: Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="SRC...")]
    """Folders, .zip archives, Parquet files or single pictures."""
    out: Path
    """The dataset folder; faces it holds already are kept and stay in their split."""
    tags: Path | None = None
    """Labels: `id,<hair> hair <eyes> eyes` lines, a CSV with a header, booru tags, or imagefolder metadata."""
    tag_map: Path | None = None
    """For booru tags: a CSV or JSON of tag → attribute=value."""
    merge: tuple[str, ...] = ()
    """Values to count as another, such as orange=red or hair:orange=red."""
    min_count: int = 0
    """Values rarer than this become unlabelled."""
    holdout: float = 0.2
    """Share set apart: half for validation, half for the test."""
    min_size: int = 16
    """Pictures with a side shorter than this are left out."""
    max_pixels: int = 64_000_000
    """Pictures with more pixels than this are left out unopened."""
    pad: bool = False
    """Pad pictures that are not square instead of cropping them to the centre."""
    json: bool = False
    """Print the report as JSON."""

    def run(self) -> None:
        """Import."""
        from nijigan.data.importer import import_faces

        with _progress("Importing") as progress:
            report = import_faces(
                self.sources, self.out, tags=self.tags, tag_map=self.tag_map, merge=self.merge,
                min_count=self.min_count, holdout=self.holdout, min_size=self.min_size, max_pixels=self.max_pixels,
                pad=self.pad, progress=progress,
            )  # fmt: skip
        print(report.to_json() if self.json else report)


@dataclass(frozen=True)
class Inspect:
    """Count a dataset's faces, sizes, labels and dropped duplicates, and draw a contact sheet."""

    faces: Annotated[Positional[Path], tyro.conf.arg(metavar="FACES")]
    """The dataset folder."""
    sheet: Path | None = None
    """Where the contact sheet goes; left out, contact-sheet.png in the dataset."""
    json: bool = False
    """Print the numbers as JSON."""

    def run(self) -> None:
        """Inspect."""
        from nijigan.data.dataset import FaceDataset
        from nijigan.data.inspect import contact_sheet, inspect

        dataset = FaceDataset(self.faces)
        summary = inspect(dataset)
        sheet = contact_sheet(dataset, self.sheet or self.faces / "contact-sheet.png")
        print(summary.to_json() if self.json else summary)
        _narrate(f"Contact sheet: {sheet}")


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

        table = Table(box=None, pad_edge=False)
        for title in ("recipe", "px", "networks", "objective", "optimizer", "batch", "kimg"):
            table.add_column(title)
        for recipe in RECIPES.values():
            table.add_row(
                recipe.name, str(recipe.resolution), f"{recipe.generator.kind} ×{recipe.generator.width}",
                recipe.objective, f"{recipe.g_optimizer.kind} {recipe.g_optimizer.lr:g}", str(recipe.batch_size),
                f"{recipe.kimg:g}",
            )  # fmt: skip
        Console().print(table)


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
    device: Device = "auto"
    """Where to train."""
    devices: int = 1
    """Processes on each machine, one device each."""
    nodes: int = 1
    """Machines."""
    dry_run: bool = False
    """Print the plan (recipe, GFLOP per image, images per second, hours) and stop."""

    def run(self) -> None:
        """Train, or say what training would take."""
        dataset = _open_or_import(self.data)
        if self.dry_run:
            from nijigan.training.plan import plan

            print(plan(self.settings, dataset, self.device))
            return
        from nijigan.training import train

        out = train(
            self.settings, dataset, self.out or Path("runs") / self.settings.name,
            device=self.device, devices=self.devices, nodes=self.nodes,
        )  # fmt: skip
        _narrate(f"Faces: {out / 'samples'}. Draw new ones with `nijigan generate {out} --n 64 --out grid.png`.")
        _leave(self.devices * self.nodes)


@dataclass(frozen=True)
class Resume:
    """Go on with a run from its last checkpoint."""

    folder: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
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

        resume(self.folder, kimg=self.kimg, device=self.device, devices=self.devices, nodes=self.nodes)
        _leave(self.devices * self.nodes)


@dataclass(frozen=True)
class Generate:
    """Draw new faces into a grid, a folder or a .zip."""

    model: Annotated[Positional[str | None], tyro.conf.arg(metavar="MODEL")] = None
    """A run folder, a .safetensors file or a Hub id; left out, the generator that comes with nijigan."""
    out: Path = Path("faces.png")
    """A picture (.png, .webp, .jpg) for a grid; a folder or .zip for one PNG a face."""
    n: int = 64
    """How many faces."""
    seed: int = 0
    """Seed of the first face; the next has the next seed."""
    psi: float = 1.0
    """Truncation: below 1 faces are more alike and cleaner, above 1 wilder."""
    scale: int = 1
    """Enlarge every face this many times."""
    columns: int | None = None
    """Faces in a row of the grid."""
    device: Device = "cpu"
    """Where to draw."""

    def run(self) -> None:
        """Draw."""
        from nijigan.generate import generate
        from nijigan.generator import Generator

        with _progress("Drawing") as progress:
            generate(
                Generator.load(self.model).to(_torch_device(self.device)), self.out, n=self.n, seed=self.seed,
                psi=self.psi, scale=self.scale, columns=self.columns, progress=progress,
            )  # fmt: skip
        print(self.out)


@dataclass(frozen=True)
class Walk:
    """Film a walk from face to face that ends where it began."""

    model: Annotated[Positional[str | None], tyro.conf.arg(metavar="MODEL")] = None
    """A run folder, a .safetensors file or a Hub id; left out, the generator that comes with nijigan."""
    out: Path = Path("walk.webp")
    """A .webp, .gif or .mp4 file."""
    stops: int = 8
    """Faces on the way."""
    frames_per_stop: int = 24
    """Frames from one face to the next."""
    fps: int = 24
    """Frames per second."""
    n: int = 1
    """Faces that walk side by side."""
    columns: int | None = None
    """Faces in a row; left out, the nearest to a square."""
    seed: int = 0
    """Seed of the first face."""
    psi: float = 1.0
    """Truncation: below 1 faces are more alike and cleaner, above 1 wilder."""
    scale: int = 4
    """Enlarge every face this many times."""
    device: Device = "cpu"
    """Where to draw."""

    def run(self) -> None:
        """Walk."""
        from nijigan.generator import Generator
        from nijigan.walk import walk

        with _progress("Filming") as progress:
            walk(
                Generator.load(self.model).to(_torch_device(self.device)), self.out, stops=self.stops,
                frames_per_stop=self.frames_per_stop, fps=self.fps, n=self.n, columns=self.columns, seed=self.seed,
                psi=self.psi, scale=self.scale, progress=progress,
            )  # fmt: skip
        print(self.out)


Command = Demo | Import | Inspect | Recipes | Train | Resume | Generate | Walk
_COMMANDS: tuple[type[Command], ...] = (Demo, Import, Inspect, Recipes, Train, Resume, Generate, Walk)


def parse(arguments: Sequence[str]) -> Command:
    """Turn words into a command; `train`'s fields default to those of the recipe it names.

    Raises:
        SystemExit: help was asked for (0), or the words are wrong (2).
        UserError: there is no such recipe, or its settings contradict each other.
    """
    try:
        command = _parse(arguments, RECIPES["dcgan"])
    except UserError:
        # What contradicts the fields of one recipe may suit those of the one that was named.
        named = next((word for word in arguments[1:] if word in RECIPES or word.endswith(".json")), None)
        if arguments[0] != "train" or named is None:
            raise
        return _parse(arguments, find_recipe(named))
    if isinstance(command, Train) and command.recipe != "dcgan":
        command = _parse(arguments, find_recipe(command.recipe))
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for a user's mistake, 130 for Ctrl-C."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[_Narrator()], force=True)
    logging.getLogger("nijigan").setLevel(logging.INFO)
    try:
        parse(sys.argv[1:] if arguments is None else arguments).run()
    except UserError as error:
        _narrate(f"nijigan: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parse(arguments: Sequence[str], recipe: Recipe) -> Command:
    """Parse with the recipe's fields as the defaults of `train`."""
    commands: list[Any] = []
    for kind in _COMMANDS:
        default = Train(tyro.MISSING, tyro.MISSING, recipe) if kind is Train else tyro.MISSING_NONPROP
        name = kind.__name__.lower()
        commands.append(Annotated[kind, tyro.conf.subcommand(name, default=default, prefix_name=False)])
    union: Any = Union[tuple(commands)]  # noqa: UP007 - built at run time
    command: Command = tyro.cli(
        union, prog="nijigan", description=_DESCRIPTION, args=arguments, config=(tyro.conf.OmitSubcommandPrefixes,)
    )
    return command


def _open_or_import(data: Path) -> "FaceDataset":
    """The dataset in `data`; pictures that are none yet are imported beside themselves first, once."""
    from nijigan.data.dataset import FaceDataset
    from nijigan.data.importer import import_faces

    data = data.resolve()
    if (data / "dataset.json").exists():
        return FaceDataset(data)
    if not data.exists():
        raise UserError(f"There is nothing at {data}; name a dataset, a folder of pictures or a .zip.")
    imported = data.with_name(f"{data.name}-faces")
    if (imported / "dataset.json").exists():
        _narrate(f"Using {imported}, imported earlier; `nijigan import {data} --out {imported}` takes in new pictures.")
        return FaceDataset(imported)
    _narrate(f"Importing {data} into {imported} first.")
    with _progress("Importing") as progress:
        import_faces([data], imported, progress=progress)
    return FaceDataset(imported)


def _torch_device(name: Device) -> str:
    """The device that `auto` stands for, when no processes need launching."""
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(kind for kind, there in available.items() if there)
    if not available[name]:
        raise UserError(f"There is no {name} here; use --device auto or cpu.")
    return name


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left on a terminal's stderr, fed by (done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(
        *Progress.get_default_columns(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _leave(processes: int) -> None:
    """End one of several processes at once: gloo's threads may abort a process that winds down after all is done."""
    if processes > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class _Narrator(logging.Handler):
    """Log records as plain lines on whatever stderr is at the moment, so that they do not tear a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        _narrate(self.format(record))


def _narrate(sentence: str) -> None:
    print(sentence, file=sys.stderr)
