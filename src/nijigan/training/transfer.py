"""Transfer: a run that starts from the networks of another one, on other faces or with attributes for the first time.

Wang et al., "Transferring GANs: Generating Images from Limited Data", ECCV 2018: both players start from what is known,
which saves most of the way, and the more the fewer the faces.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.jsonio import parse_json
from nijigan.networks.conditioning import ConditionalDiscriminator, ConditionalGenerator
from nijigan.networks.style import StyleGenerator
from nijigan.recipe.recipe import Recipe
from nijigan.training.checkpoint import load_checkpoint, save_state
from nijigan.training.hardware import own_randomness
from nijigan.training.rounds import mix_seeds
from nijigan.training.state import Attributes, TrainingState

_BASE = "base."  # of a conditional network: the part that knows nothing of attributes


def start_from_run(run: Path, recipe: Recipe, attributes: Attributes, out: Path, fabric: Fabric) -> None:
    """Leave a checkpoint of no images, with the networks of another run, in a new run's folder.

    From then on the other run is not needed. The first process does it, and all hear whether it could.

    Args:
        run: the other run's folder.
        recipe: of the new run.
        attributes: what its networks are to know.
        out: its folder.
        fabric: says which process this is.

    Raises:
        UserError: as in `adopt`.
    """
    refusal = ""
    if fabric.is_global_zero:
        with own_randomness(fabric.device):
            torch.manual_seed(mix_seeds(recipe.seed))
            state = TrainingState.start(recipe, fabric.device, attributes)
            try:
                adopt(state, recipe, attributes, run)
                save_state(out, state, recipe)
            except UserError as error:
                refusal = str(error)
    if refusal := fabric.broadcast(refusal):
        raise UserError(refusal)


@torch.no_grad()
def adopt(state: TrainingState, recipe: Recipe, attributes: Attributes, run: Path) -> None:
    """Give new networks the weights that another run has saved last; optimizers and the clock stay at rest.

    A generator that is the first to have attributes draws at first what the other run's drew: its input is longer, and
    the weights of what is added start at 0; `style` has the attributes in its styles, where they start at 0. What knows
    an attribute is taken over where its values, and D's kind of condition, are the same, and starts anew elsewhere.

    Args:
        state: as `TrainingState.start` gave it.
        recipe: of the new run.
        attributes: what its networks know.
        run: the other run's folder.

    Raises:
        UserError: there is no such run, or its networks are others.
    """
    try:
        checkpoint = load_checkpoint(run / "checkpoints")
    except UserError as error:
        raise UserError(f"{run} cannot be started from: none of its checkpoints can be read.") from error
    if checkpoint is None:
        raise UserError(
            f"There is no run to start from in {run}, or it has saved nothing yet; name a run's folder, since a "
            "generator's file does not hold both networks."
        )
    tensors, numbers = checkpoint
    theirs = parse_json(Recipe, json.dumps(numbers["recipe"]), f"The recipe of {run}")
    _check_same_networks(recipe, theirs, run)
    origin = Generator.load(run / "last.safetensors")
    players = {"generator": state.generator, "discriminator": state.discriminator, "ema": state.ema.module}
    for player, module in players.items():
        start = f"{player}."
        given = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
        known = origin.header.attributes
        if player == "discriminator" and recipe.condition.kind != theirs.condition.kind:
            known = {}
        _fill(module, given, attributes, known)
    state.origin = origin.weights_hash


def _fill(module: nn.Module, given: Mapping[str, Tensor], attributes: Attributes, known: Attributes) -> None:
    """Copy what there is; of the parts for attributes those of the same name and values."""
    conditional = isinstance(module, ConditionalGenerator | ConditionalDiscriminator)
    plain = {name.removeprefix(_BASE): value for name, value in given.items()}
    for name, value in module.state_dict().items():
        if conditional and not name.startswith(_BASE):
            found = given.get(_counterpart(name, attributes, known))
            if found is not None and found.shape == value.shape:
                value.copy_(found)
            elif isinstance(module, ConditionalGenerator) and isinstance(module.base, StyleGenerator):
                value.zero_()
        else:
            found = plain[name.removeprefix(_BASE)]
            value.zero_()
            value[tuple(slice(size) for size in found.shape)] = found.to(value)


def _counterpart(name: str, attributes: Attributes, known: Attributes) -> str:
    """What `heads.0.weight`, say, of the first attribute is called where attributes have another order."""
    table, place, rest = name.split(".", 2)
    attribute = list(attributes)[int(place)]
    if known.get(attribute) != attributes[attribute]:
        return ""
    return f"{table}.{list(known).index(attribute)}.{rest}"


def _check_same_networks(recipe: Recipe, theirs: Recipe, run: Path) -> None:
    if theirs.attributes and not recipe.attributes:
        raise UserError(f"{run} has attributes, and a run without any cannot start from it; choose --condition.kind.")
    ours, others = _networks(recipe), _networks(theirs)
    if not theirs.attributes:
        del ours["generator.embedding"]  # there was none
    for name, value in ours.items():
        if value != others[name]:
            raise UserError(
                f"{run} has a {name} of {others[name]}, and this recipe one of {value}; make them the same."
            )


def _networks(recipe: Recipe) -> dict[str, Any]:
    """What decides the networks' shapes and what their inputs and outputs mean, by the names of options."""
    generator = replace(recipe.generator, dropout=0.0, style_mixing=0.0)  # they change nothing in what is learnt
    parts: dict[str, Any] = {"generator": generator, "discriminator": recipe.discriminator, "latent": recipe.latent}
    fields = {f"{part}.{name}": value for part, config in parts.items() for name, value in asdict(config).items()}
    return {"resolution": recipe.resolution} | fields
