"""The command line: one dataclass per command, whose `run` calls a plain function.

Torch and everything else that is slow to import is imported inside `run`, so that `--help` answers at once.
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from inspect import getdoc
from itertools import pairwise
from typing import Any, get_args

import tyro

import nijigan
from nijigan.cli.common import help_rules, narrate
from nijigan.cli.data import Import, Inspect, Split
from nijigan.cli.export import Export
from nijigan.cli.generate import Generate, Invert, Walk
from nijigan.cli.judge import Compare, Evaluate, Rate
from nijigan.cli.lab import Lab
from nijigan.cli.limits import check_limits, is_lack_of_memory
from nijigan.cli.recipes import Papers, Recipes
from nijigan.cli.requests import take_attributes, vocabulary_text
from nijigan.cli.studio import Studio
from nijigan.cli.train import Demo, Polish, Resume, Sweep, Train
from nijigan.errors import UserError
from nijigan.recipe.named_recipes import RECIPES, find_recipe
from nijigan.recipe.recipe import Recipe
from nijigan.terminal import colours_kept, guarded

log = logging.getLogger("nijigan")
_DESCRIPTION = "Train, evaluate and run GANs that generate anime faces. nijigan --version prints the version."

Command = (
    Demo
    | Import
    | Inspect
    | Split
    | Recipes
    | Papers
    | Train
    | Resume
    | Sweep
    | Generate
    | Walk
    | Invert
    | Export
    | Evaluate
    | Compare
    | Rate
    | Polish
    | Studio
    | Lab
)
_COMMANDS: tuple[Any, ...] = get_args(Command)


def parse(arguments: Sequence[str]) -> Command:
    """Turn arguments into a command. The fields of `train` and `sweep` default to those of the recipe they name.

    Raises:
        SystemExit: help was requested (0), or the arguments are wrong (2).
        UserError: there is no such recipe, or its settings contradict each other.
    """
    for kind in (Generate, Walk):
        if arguments and arguments[0] == kind.__name__.lower():
            known, requested = take_attributes(arguments[1:], kind)
            command = _parse([arguments[0], *known], RECIPES["dcgan"])
            assert isinstance(command, Generate | Walk)
            return replace(command, attributes=requested)
    trains = len(arguments) > 1 and arguments[0] in ("train", "sweep")
    if trains and not arguments[1].startswith("-"):  # the recipe comes first, as in the help
        return _parse(arguments, find_recipe(arguments[1]))
    try:
        command = _parse(arguments, RECIPES["dcgan"])
    except UserError as error:
        # The options may contradict dcgan but suit the recipe that is named after them.
        if trains and not _asks_for_help(arguments):
            raise UserError(f"{error} Or name the recipe first: nijigan {arguments[0]} RECIPE ...") from error
        raise
    if isinstance(command, Train | Sweep) and command.recipe != "dcgan":
        command = _parse(arguments, find_recipe(command.recipe))
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 for success, 2 for a `UserError`, 130 for Ctrl-C."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[_Narrator()], force=True)
    logging.getLogger("nijigan").setLevel(logging.INFO)
    try:
        with guarded():
            try:
                words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
                check_limits(words[0])
                if words == ["--version"]:
                    print(f"nijigan {nijigan.__version__}")
                    return 0
                with colours_kept():
                    command = parse(words)
                command.run()
            except UserError as error:
                narrate(f"nijigan: {error}")
                return 2
            except (MemoryError, RuntimeError, ImportError) as error:
                if not is_lack_of_memory(error):
                    raise
                narrate(
                    "nijigan: There is too little memory for this; close other programs or raise the limit (ulimit -v)."
                )
                return 2
            except KeyboardInterrupt as stop:
                log.warning("nijigan: %s", str(stop) or "Stopped.")  # of several processes only one logs
                return 130
    except UserError as error:  # stdout cannot be written
        narrate(f"nijigan: {error}")
        return 2
    except BrokenPipeError:  # the program that reads our output, such as `head`, has closed the pipe
        pass
    return 0


def _parse(arguments: Sequence[str], recipe: Recipe) -> Command:
    """Parse with the recipe's fields as the defaults of `train` and `sweep`."""
    options = _options(arguments)
    recipe = recipe.reset_for({option.removeprefix("--"): value for option, value in options.items()})
    if [word.partition("=")[0] for word in arguments].count("--attributes") > 1:
        raise UserError("Name all attributes in one --attributes, such as --attributes hair,eyes.")
    command = _command(arguments, recipe)
    if isinstance(command, Train) and command.minutes is not None and {"--kimg", "--epochs"} & options.keys():
        raise UserError("Set the length of the run with one of --minutes, --kimg and --epochs.")
    if isinstance(command, Train | Sweep) and command.settings.epochs is not None and "--kimg" in options:
        if "--epochs" in options:
            raise UserError("Set the length of the run with either --kimg or --epochs, not with both.")
        command = replace(command, settings=replace(command.settings, epochs=None))
    return command


def _command(arguments: Sequence[str], recipe: Recipe) -> Command:
    """Parse the options of the command that is named. tyro would suggest those of all commands if it knew them."""
    name, *rest = arguments
    kind = {kind.__name__.lower(): kind for kind in _COMMANDS}.get(name)
    config = (tyro.conf.OmitSubcommandPrefixes,)
    if kind is None:
        if not name.startswith("-"):
            known = ", ".join(kind.__name__.lower() for kind in _COMMANDS)
            raise UserError(f"There is no command {name[:40]!r}; choose one of {known}.")
        tyro.cli(Command, prog="nijigan", description=_DESCRIPTION, args=arguments, config=config)
        raise SystemExit(2)  # tyro has ended the program already
    command: Command = tyro.cli(
        kind,
        prog=f"nijigan {name}",
        description=_description(kind, name, recipe) if _asks_for_help(rest) else None,
        args=rest,
        default=kind(tyro.MISSING, tyro.MISSING, recipe) if kind in (Train, Sweep) else tyro.MISSING_NONPROP,
        config=config,
        registry=help_rules(),
    )
    return command


def _description(kind: type[Any], name: str, recipe: Recipe) -> str | None:
    """What the help says above the options; None: the docstring of the command."""
    if kind in (Generate, Walk):
        return f"{getdoc(kind)}\n\n{vocabulary_text()}"
    if kind in (Train, Sweep):
        return (
            f"{getdoc(kind)}\n\nThe defaults below are those of {recipe.name}; "
            f"nijigan {name} RECIPE --help shows those of another recipe."
        )
    return None


def _asks_for_help(arguments: Sequence[str]) -> bool:
    return "--help" in arguments or "-h" in arguments


def _options(arguments: Sequence[str]) -> dict[str, str]:
    """Each option that was typed, with its value or, for an option without one, the next argument."""
    options = {}
    for argument, following in pairwise([*arguments, ""]):
        option, equals, value = argument.partition("=")
        options[option] = value if equals else following
    return options


class _Narrator(logging.Handler):
    """Prints log records as plain lines on the current stderr, which a progress bar may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        narrate(self.format(record))
