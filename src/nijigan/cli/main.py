"""The command line: one dataclass a command, whose body is a call to a plain function.

Torch and everything slow are imported inside the bodies, so that `--help` answers at once.
"""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Union, get_args

import tyro

from nijigan.cli.common import narrate
from nijigan.cli.data import Import, Inspect
from nijigan.cli.draw import Generate, Walk, take_attributes
from nijigan.cli.judge import Compare, Evaluate, Rate
from nijigan.cli.lab import Lab
from nijigan.cli.train import Demo, Papers, Recipes, Resume, Sweep, Train
from nijigan.errors import UserError
from nijigan.recipe.parts import PARTS_WITH_KINDS
from nijigan.recipe.recipe import Recipe
from nijigan.recipe.table import RECIPES, find_recipe

_DESCRIPTION = "Train, judge and run GANs that draw anime faces."

Command = (
    Demo
    | Import
    | Inspect
    | Recipes
    | Papers
    | Train
    | Resume
    | Sweep
    | Generate
    | Walk
    | Evaluate
    | Compare
    | Rate
    | Lab
)
_COMMANDS: tuple[Any, ...] = get_args(Command)


def parse(arguments: Sequence[str]) -> Command:
    """Turn words into a command; the fields of `train` and `sweep` default to those of the recipe they name.

    Raises:
        SystemExit: help was asked for (0), or the words are wrong (2).
        UserError: there is no such recipe, or its settings contradict each other.
    """
    for kind in (Generate, Walk):
        if arguments and arguments[0] == kind.__name__.lower():
            known, asked = take_attributes(arguments[1:], kind)
            drawing = _parse([arguments[0], *known], RECIPES["dcgan"])
            assert isinstance(drawing, Generate | Walk)
            return replace(drawing, attributes=asked)
    trains = len(arguments) > 1 and arguments[0] in ("train", "sweep")
    if trains and not arguments[1].startswith("-"):  # the recipe, where help says it goes
        return _parse(arguments, find_recipe(arguments[1]))
    try:
        command = _parse(arguments, RECIPES["dcgan"])
    except UserError as error:
        if trains:  # what contradicts the fields of one recipe may suit those of the one that comes later
            raise UserError(f"{error} Or name the recipe first: nijigan {arguments[0]} RECIPE ...") from error
        raise
    if isinstance(command, Train | Sweep) and command.recipe != "dcgan":
        command = _parse(arguments, find_recipe(command.recipe))
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for a user's mistake, 130 for Ctrl-C."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[_Narrator()], force=True)
    logging.getLogger("nijigan").setLevel(logging.INFO)
    try:
        parse(sys.argv[1:] if arguments is None else arguments).run()
    except UserError as error:
        narrate(f"nijigan: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parse(arguments: Sequence[str], recipe: Recipe) -> Command:
    """Parse with the recipe's fields as the defaults of `train` and `sweep`."""
    typed = _typed(arguments)
    kinds = {part: typed[option] for part in PARTS_WITH_KINDS if (option := f"--{part}.kind") in typed}
    recipe = recipe.ready_for(kinds)
    if [word.partition("=")[0] for word in arguments].count("--attributes") > 1:
        raise UserError("Name all attributes in one --attributes, such as --attributes hair,eyes.")
    commands: list[Any] = []
    for kind in _COMMANDS:
        default = kind(tyro.MISSING, tyro.MISSING, recipe) if kind in (Train, Sweep) else tyro.MISSING_NONPROP
        name = kind.__name__.lower()
        commands.append(Annotated[kind, tyro.conf.subcommand(name, default=default, prefix_name=False)])
    union: Any = Union[tuple(commands)]  # noqa: UP007 - built at run time
    command: Command = tyro.cli(
        union, prog="nijigan", description=_DESCRIPTION, args=arguments, config=(tyro.conf.OmitSubcommandPrefixes,)
    )
    if isinstance(command, Train | Sweep) and command.settings.epochs is not None and "--kimg" in typed:
        if "--epochs" in typed:
            raise UserError("Say how long to train with --kimg or with --epochs, not with both.")
        command = replace(command, settings=replace(command.settings, epochs=None))
    return command


def _typed(arguments: Sequence[str]) -> dict[str, str]:
    """Options and what follows them, be it their value or not."""
    typed = {}
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        option, equals, value = argument.partition("=")
        typed[option] = value if equals else following
    return typed


class _Narrator(logging.Handler):
    """Log records as plain lines on whatever stderr is at the moment, so that they do not tear a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        narrate(self.format(record))
