"""Commands that draw."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from nijigan.cli.common import Device, Model, progress_bar, torch_device
from nijigan.errors import UserError

if TYPE_CHECKING:
    from nijigan.generator.generator import Generator

Asked = tyro.conf.Suppress[dict[str, str]]
"""Attribute to value: options that only the generator can name, so they are taken out before tyro sees the words."""


def take_attributes(arguments: Sequence[str], command: type) -> tuple[list[str], dict[str, str]]:
    """Split the words of a command into those it knows and the attributes: `--hair blue` or `--hair=blue`.

    Raises:
        UserError: one has no value, or two.
    """
    options = _options(command)
    known, asked, words, seen = [], {}, list(arguments), set()
    while words:
        option, equals, value = words.pop(0).partition("=")
        name = option.removeprefix("--").replace("-", "_")
        typed = option.startswith("--") and option != "--"
        if typed and name in seen:
            raise UserError(f"{option} is there twice; ask for one value.")
        if typed:
            seen.add(name)
        if not typed or name.removeprefix("no_") in options:
            known.append(option + equals + value)
            continue
        if not value and (equals or not words or not words[0] or words[0].startswith("-")):
            raise UserError(f"{option} wants a value, such as --hair blue; or it is no option here, see --help.")
        asked[name] = (value if equals else words.pop(0)).lower()
    return known, asked


def _check_options(asked: dict[str, str], generator: "Generator", command: type) -> None:
    """Refuse what is no attribute of the generator but looks like an option mistyped."""
    for name in asked.keys() - generator.header.attributes.keys():
        if name in _options(Generate):
            raise UserError(f"--{name.replace('_', '-')} belongs to `nijigan generate` alone; leave it out.")
        if near := get_close_matches(name, _options(command), n=1, cutoff=0.8):
            raise UserError(f"There is no --{name.replace('_', '-')}; did you mean --{near[0].replace('_', '-')}?")


def _options(command: type) -> set[str]:
    return {part.name for part in fields(command)} - {"attributes"} | {"help"}


@dataclass(frozen=True)
class Generate:
    """Draw new faces into a grid, a folder or a .zip.

    A generator that knows attributes takes them as options: --hair blue --eyes red. Left out, or any, chance decides.
    """

    model: Model = None
    """A run folder, a .safetensors file or a Hub id; left out, the generator that comes with nijigan."""
    out: Path = Path("faces.png")
    """A picture (.png, .webp, .jpg) for a grid; a folder or .zip for one PNG a face."""
    n: int | None = None
    """How many faces; left out, 64, or 8 of each value."""
    seed: int = 0
    """Seed of the first face; the next has the next seed."""
    psi: float = 1.0
    """Truncation: below 1 faces are more alike and cleaner, above 1 wilder."""
    scale: int = 1
    """Enlarge every face this many times."""
    columns: int | None = None
    """Faces in a row of the grid."""
    each: str | None = None
    """The attribute to run through: a row for each value, a column for each seed."""
    device: Device = "cpu"
    """Where to draw."""
    attributes: Asked = field(default_factory=dict)

    def run(self) -> None:
        """Draw."""
        from nijigan.generator.drawing import generate
        from nijigan.generator.generator import Generator

        generator = Generator.load(self.model).to(torch_device(self.device))
        _check_options(self.attributes, generator, Generate)
        with progress_bar("Drawing") as progress:
            generate(
                generator, self.out,
                n=(8 if self.each else 64) if self.n is None else self.n, seed=self.seed, psi=self.psi,
                scale=self.scale, columns=self.columns, attributes=self.attributes,
                each=self.each and self.each.lower().replace("-", "_"), progress=progress,
            )  # fmt: skip
        print(self.out)


@dataclass(frozen=True)
class Walk:
    """Film a walk from face to face that ends where it began.

    A generator that knows attributes takes them as options: --hair blue. Left out, each walker keeps its first face's.
    """

    model: Model = None
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
    attributes: Asked = field(default_factory=dict)

    def run(self) -> None:
        """Walk."""
        from nijigan.generator.generator import Generator
        from nijigan.generator.walks import walk

        generator = Generator.load(self.model).to(torch_device(self.device))
        _check_options(self.attributes, generator, Walk)
        with progress_bar("Filming") as progress:
            walk(
                generator, self.out, stops=self.stops,
                frames_per_stop=self.frames_per_stop, fps=self.fps, n=self.n, columns=self.columns, seed=self.seed,
                psi=self.psi, scale=self.scale, attributes=self.attributes, progress=progress,
            )  # fmt: skip
        print(self.out)
