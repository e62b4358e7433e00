"""The commands that generate faces: `generate` and `walk`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from nijigan.cli.common import Device, Model, progress_bar, torch_device
from nijigan.errors import UserError

if TYPE_CHECKING:
    from nijigan.generator.generator import Generator

Requested = tyro.conf.Suppress[dict[str, str]]
"""Attribute → value. Only the generator knows its attributes, so these options are removed before tyro parses."""


_INT = tyro.conf.arg(metavar="INT")
"""For options whose help text states the default, where tyro would show {None}|INT."""


def take_attributes(arguments: Sequence[str], command: type) -> tuple[list[str], dict[str, str]]:
    """Split the arguments of a command into its own and the attributes: `--hair blue` or `--hair=blue`.

    Raises:
        UserError: an option is given twice, or an attribute has no value.
    """
    options = _options(command)
    known, requested, words, seen = [], {}, list(arguments), set()
    while words:
        option, equals, value = words.pop(0).partition("=")
        name = option.removeprefix("--").replace("-", "_")
        typed = option.startswith("--") and option != "--"
        if typed and name in seen:
            raise UserError(f"{option} is given twice; give it once.")
        if typed:
            seen.add(name)
        if not typed or name.removeprefix("no_") in options:
            known.append(option + equals + value)
            continue
        if not value and (equals or not words or not words[0] or words[0].startswith("-")):
            raise UserError(f"{option} has no value; write --hair blue, for example, or see --help for the options.")
        requested[name] = (value if equals else words.pop(0)).lower()
    return known, requested


def _check_options(requested: dict[str, str], generator: "Generator", command: type) -> None:
    """Refuse options that are neither the command's nor attributes of the generator."""
    attributes = generator.header.attributes
    for name in requested.keys() - attributes.keys():
        if name in _options(Generate):
            raise UserError(f"{_option(name)} is an option of `nijigan generate` only; omit it.")
        near = get_close_matches(name, [*_options(command), *attributes], n=1, cutoff=0.75)
        advice = f" Did you mean {_option(near[0])}?" if near else ""
        raise UserError(
            f"Unknown option {_option(name)}.{advice} (This model's attributes: {', '.join(attributes) or 'none'}.)"
        )


def _options(command: type) -> set[str]:
    return {part.name for part in fields(command)} - {"attributes"} | {"help"}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Generate:
    """Generate faces into a grid, a folder or a .zip.

    If the generator is conditional, pass attributes as options (--hair blue --eyes red). Omitted attributes are
    sampled from the training distribution.
    """

    model: Model = None
    """A run folder, a .safetensors file or a Hugging Face Hub id. Default: the packaged generator."""
    out: Path = Path("faces.png")
    """An image (.png, .webp, .jpg) for a grid, or a folder or .zip for one PNG per face."""
    n: Annotated[int | None, _INT] = None
    """Number of faces. Default: 64, or 8 per value with --each."""
    seed: int = 0
    """Seed of the first face. Each further face uses the next seed."""
    psi: float = 1.0
    """Truncation, 0 to 2. Below 1, faces are cleaner and less varied; above 1, they are more extreme."""
    scale: int = 1
    """Factor by which every face is enlarged."""
    columns: Annotated[int | None, _INT] = None
    """Faces per row of the grid. Default: as square as possible."""
    each: Annotated[str | None, tyro.conf.arg(metavar="ATTRIBUTE")] = None
    """Vary this attribute: one row per value, one column per seed. Default: vary none."""
    device: Device = "cpu"
    """Device for the generator."""
    attributes: Requested = field(default_factory=dict)

    def run(self) -> None:
        """Generate."""
        from nijigan.generator.generator import Generator
        from nijigan.generator.saving import generate

        generator = Generator.load(self.model).to(torch_device(self.device))
        _check_options(self.attributes, generator, Generate)
        with progress_bar("Generating") as progress:
            generate(
                generator, self.out,
                n=(8 if self.each else 64) if self.n is None else self.n, seed=self.seed, psi=self.psi,
                scale=self.scale, columns=self.columns, attributes=self.attributes,
                each=self.each and self.each.lower().replace("-", "_"), progress=progress,
            )  # fmt: skip
        print(self.out)


@dataclass(frozen=True)
class Walk:
    """Render a looping latent-space interpolation.

    If the generator is conditional, pass attributes as options (--hair blue). Each sequence keeps the omitted
    attributes of its first face.
    """

    model: Model = None
    """A run folder, a .safetensors file or a Hugging Face Hub id. Default: the packaged generator."""
    out: Path = Path("walk.webp")
    """A .webp, .gif or .mp4 file; .mp4 needs ffmpeg."""
    stops: int = 8
    """Faces that each sequence passes through, 2 or more."""
    frames_per_stop: int = 24
    """Frames from one face to the next."""
    fps: int = 24
    """Frames per second, up to 60 (.gif: 50)."""
    n: int = 1
    """Number of sequences side by side."""
    columns: Annotated[int | None, _INT] = None
    """Sequences per row. Default: as square as possible."""
    seed: int = 0
    """Seed of the first face."""
    psi: float = 1.0
    """Truncation, 0 to 2. Below 1, faces are cleaner and less varied; above 1, they are more extreme."""
    scale: int = 4
    """Factor by which every face is enlarged."""
    device: Device = "cpu"
    """Device for the generator."""
    attributes: Requested = field(default_factory=dict)

    def run(self) -> None:
        """Render."""
        from nijigan.generator.generator import Generator
        from nijigan.generator.walks import walk

        generator = Generator.load(self.model).to(torch_device(self.device))
        _check_options(self.attributes, generator, Walk)
        with progress_bar("Rendering") as progress:
            walk(
                generator, self.out, stops=self.stops,
                frames_per_stop=self.frames_per_stop, fps=self.fps, n=self.n, columns=self.columns, seed=self.seed,
                psi=self.psi, scale=self.scale, attributes=self.attributes, progress=progress,
            )  # fmt: skip
        print(self.out)
