"""What several commands share."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional

from nijigan.errors import UserError

if TYPE_CHECKING:
    from nijigan.dataset.faces import FaceDataset

Device = Literal["auto", "cpu", "cuda", "mps"]
Model = Annotated[Positional[str | None], tyro.conf.arg(metavar="[MODEL]", help_behavior_hint="")]
"""A run folder, a .safetensors file or a Hub id; None for the generator that comes with nijigan."""


def open_or_import(data: Path) -> "FaceDataset":
    """The dataset in `data`; pictures that are none yet are imported beside themselves first, once."""
    from nijigan.dataset.faces import FaceDataset
    from nijigan.dataset.manifest import is_dataset
    from nijigan.importing.importer import import_faces

    data = data.resolve()
    if is_dataset(data):
        return FaceDataset(data)
    if not data.exists():
        raise UserError(f"There is nothing at {data}; name a dataset, a folder of pictures or a .zip.")
    imported = data.with_name(f"{data.name}-faces")
    if is_dataset(imported):
        narrate(f"Using {imported}, imported earlier; `nijigan import {data} --out {imported}` takes in new pictures.")
        return FaceDataset(imported)
    narrate(f"Importing {data} into {imported} first.")
    with progress_bar("Importing") as progress:
        import_faces([data], imported, progress=progress)
    return FaceDataset(imported)


def torch_device(name: Device) -> str:
    """The device that `auto` stands for, when no processes need launching."""
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(kind for kind, there in available.items() if there)
    if not available[name]:
        raise UserError(f"There is no {name} here; use --device auto or cpu.")
    return name


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left on a terminal's stderr, fed by (done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(
        *Progress.get_default_columns(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def leave(processes: int) -> None:
    """End one of several processes at once: gloo's threads may abort a process that winds down after all is done."""
    if processes > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def narrate(sentence: str) -> None:
    """Tell the person at the terminal, beside the results."""
    print(sentence, file=sys.stderr)
