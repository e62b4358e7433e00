"""A pair: a generator and its discriminator, small enough to be shared, from which trainings start.

A folder with two files. `generator.safetensors` is an ordinary generator; `discriminator.safetensors` has the weights
of D, whose kernels may be in fp16, and in its text the recipe of both networks and the hash of the generator's weights.
If there is a projected discriminator, its weights are there too, under `projected.`.
Optimizers are not kept. The word `package` stands for the pair in the package.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from nijigan.assets import PACKAGED, PACKAGED_DISCRIMINATOR
from nijigan.errors import UserError, check
from nijigan.files import replacing
from nijigan.generator.file import stored_tensors
from nijigan.generator.generator import Generator
from nijigan.generator.header import PAIR_GENERATOR
from nijigan.jsonio import parse_json
from nijigan.recipe.recipe import Recipe
from nijigan.tensors.tensorfile import pack, unpack
from nijigan.training.checkpoint import Checkpoint, load_checkpoint

GENERATOR, DISCRIMINATOR = PAIR_GENERATOR, "discriminator.safetensors"
PACKAGE = Path("package")
_PROJECTED = "projected."


@dataclass(frozen=True)
class Networks:
    """Trained networks to start from."""

    recipe: Recipe
    """What they were trained with."""
    attributes: Mapping[str, Sequence[str]]
    """The values of every attribute in the order of their codes."""
    weights: Mapping[str, Mapping[str, Tensor]]
    """By network, `generator`, `discriminator`, `ema` and, if there is one, `projected`: tensors by name."""
    origin: str
    """`Generator.weights_hash` of the averaged generator."""


def open_networks(source: Path) -> Networks:
    """The networks of a run (its last checkpoint), of a pair, or of the package.

    A folder that is called `package` comes before the package itself.

    Raises:
        UserError: there are none at `source`, or they cannot be read.
    """
    if source == PACKAGE and not source.exists():
        return _read_pair(PACKAGED, PACKAGED_DISCRIMINATOR)
    if (source / DISCRIMINATOR).is_file():
        return _read_pair(source / GENERATOR, source / DISCRIMINATOR)
    return _read_run(source)


def write_pair(run: Path, out: Path, half: bool = False) -> None:
    """Write the last networks of a run as a pair.

    Args:
        run: the run folder.
        out: the folder of the pair.
        half: store kernels in fp16.

    Raises:
        UserError: there is no run, a weight is not finite, or `out` cannot be written to.
    """
    (tensors, numbers), generator = _last_of(run)
    judges = _part(tensors, "discriminator.") | {n: t for n, t in tensors.items() if n.startswith(_PROJECTED)}
    stored = stored_tensors(judges, half, f"The discriminator of {run}")
    generator.save(out / GENERATOR, half=half)
    write_discriminator(out, stored, numbers["recipe"])


def write_discriminator(out: Path, tensors: Mapping[str, Tensor], recipe: Mapping[str, Any]) -> None:
    """Write the weights of D, and the recipe of both networks as JSON has it, beside the generator in the folder `out`.

    Raises:
        UserError: there is no generator, or `out` cannot be written to.
    """
    text = json.dumps({"recipe": recipe, "generator": Generator.load(out / GENERATOR).weights_hash})
    with replacing(out / DISCRIMINATOR) as temporary:
        temporary.write_bytes(pack(tensors, text))


def _read_pair(generator: Path, discriminator: Path) -> Networks:
    drawn = Generator.load(generator)
    try:
        with safe_open(discriminator, framework="pt") as file:
            text, tensors = unpack(file)
        numbers = json.loads(text or "")
        recipe = parse_json(Recipe, json.dumps(numbers["recipe"]), f"The recipe in {discriminator}")
        partner = numbers.get("generator", "")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0][:100]
        raise UserError(
            f"Could not read the discriminator {discriminator} ({reason}); copy or export it again."
        ) from error
    check(
        partner == drawn.weights_hash,
        f"{discriminator} is the discriminator of another generator than {generator}; export the pair again.",
    )
    averaged = dict(drawn.module.state_dict())
    judges = {n: t.float() for n, t in tensors.items()}
    weights = {
        "generator": averaged,
        "ema": averaged,
        "discriminator": {n: t for n, t in judges.items() if not n.startswith(_PROJECTED)},
        "projected": _part(judges, _PROJECTED),
    }
    return Networks(recipe, drawn.header.attributes, weights, drawn.weights_hash)


def _read_run(run: Path) -> Networks:
    (tensors, numbers), last = _last_of(run)
    recipe = parse_json(Recipe, json.dumps(numbers["recipe"]), f"The recipe of {run}")
    weights = {network: _part(tensors, f"{network}.") for network in ("generator", "discriminator", "ema", "projected")}
    return Networks(recipe, last.header.attributes, weights, last.weights_hash)


def _last_of(run: Path) -> tuple[Checkpoint, Generator]:
    """The last checkpoint of a run, and its averaged generator."""
    try:
        checkpoint = load_checkpoint(run / "checkpoints")
    except UserError as error:
        raise UserError(f"{run} cannot be started from: none of its checkpoints can be read.") from error
    if checkpoint is None:
        raise UserError(
            f"There is no run to start from in {run}, or it has no checkpoint yet; name a run folder or a pair: "
            "a generator's file does not hold the discriminator."
        )
    return checkpoint, Generator.load(run / "last.safetensors")


def _part(tensors: Mapping[str, Any], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
