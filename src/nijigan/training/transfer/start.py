"""Transfer learning: a run that starts from the networks of another, on other faces or with attributes added.

Wang et al., "Transferring GANs: Generating Images from Limited Data", ECCV 2018: initialising both networks saves most
of the training, and the more so the fewer the faces.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nijigan.errors import UserError, check
from nijigan.networks.conditioning import ConditionalDiscriminator, ConditionalGenerator
from nijigan.networks.style import StyleGenerator
from nijigan.recipe.recipe import Recipe
from nijigan.training.session import Session
from nijigan.training.state import Attributes, TrainingState
from nijigan.training.transfer.pair import open_networks

log = logging.getLogger("nijigan")
_BASE = "base."  # prefix, in a conditional network, of the part without attributes


def start_from_networks(source: Path, session: Session) -> None:
    """Give a session that has not begun the networks of another run or of a pair.

    The first process does it; all processes learn whether it succeeded. Nothing is written: the first process saves the
    state, and the others load it from there.

    Args:
        source: see `nijigan.training.transfer.pair`.
        session: the new run.

    Raises:
        UserError: as in `load_networks`.
    """
    refusal = ""
    if session.fabric.is_global_zero:
        try:
            load_networks(session.state, session.recipe, session.labels.attributes, source)
        except UserError as error:
            refusal = str(error)
    if refusal := session.fabric.broadcast(refusal):
        raise UserError(refusal)


@torch.no_grad()
def load_networks(state: TrainingState, recipe: Recipe, attributes: Attributes, source: Path) -> None:
    """Copy the weights of trained networks into new ones. Optimizers and image count do not change.

    If only the new generator is conditional, it initially generates the same images as the other: its input is longer,
    and the added weights start at 0 (in `style` the attributes enter the styles, with weights of 0). The parts for an
    attribute are copied if its values, and the kind of D's condition, are the same. Otherwise they start from scratch.
    A resnet without attributes initially generates what a conditional one did for faces without labels. The projected
    discriminator starts from theirs if they have one of the same size.

    Args:
        state: as `TrainingState.start` gave it.
        recipe: of the new run.
        attributes: those of the new networks.
        source: a run or a pair: see `nijigan.training.transfer.pair`.

    Raises:
        UserError: there are no networks at `source`, or they differ.
    """
    theirs = open_networks(source)
    _check_same_networks(recipe, theirs.recipe, source)
    modules = {"generator": state.generator, "discriminator": state.discriminator, "ema": state.ema.module}
    for network, module in modules.items():
        known = theirs.attributes
        if network == "discriminator" and recipe.condition.kind != theirs.recipe.condition.kind:
            known = {}
        given = theirs.weights[network]
        if theirs.attributes and not attributes and network != "discriminator":
            given = _without_attributes(given, recipe.latent.size)
        _fill(module, given, attributes, known)
    heads = theirs.weights.get("projected")
    if state.projected is not None and heads:
        if theirs.recipe.projected.size == recipe.projected.size:
            _fill(state.projected, heads, {}, {})
        else:
            log.info("The projected discriminator begins anew: that of %s sees faces of another size.", source)
    state.origin = theirs.origin


def _fill(module: nn.Module, given: Mapping[str, Tensor], attributes: Attributes, known: Attributes) -> None:
    """Copy the tensors that fit. Those for an attribute fit if its name and values are the same."""
    conditional = isinstance(module, ConditionalGenerator | ConditionalDiscriminator)
    plain = {name.removeprefix(_BASE): value for name, value in given.items()}
    for name, value in module.state_dict().items():
        if conditional and not name.startswith(_BASE):
            found = given.get(_counterpart(name, attributes, known))
            if found is not None and found.shape == value.shape:
                value.copy_(found)
            elif isinstance(module, ConditionalGenerator) and isinstance(module.base, StyleGenerator):
                value.zero_()
        elif value.is_floating_point():  # counters, which pairs do not have, restart
            found = plain.get(name.removeprefix(_BASE))
            if (
                found is None
                or found.ndim != value.ndim
                or any(a > b for a, b in zip(found.shape, value.shape, strict=True))
            ):
                raise UserError(f"The weights to start from do not fit at {name}; choose a run or a pair of nijigan.")
            value.zero_()
            value[tuple(slice(size) for size in found.shape)] = found.to(value)


def _without_attributes(given: Mapping[str, Tensor], latent_size: int) -> dict[str, Tensor]:
    """A conditional generator's weights as those of one that draws what it drew when every label was unknown.

    The layers that see the latent see the embedding after it. With the embedding of "unknown", what it adds to them is
    a constant, which joins their bias.
    """
    unknown = sum(value[0] for name, value in given.items() if name.startswith("embeddings."))
    plain = dict(given)
    for name, weight in given.items():
        bias = name.removesuffix("weight") + "bias"
        if weight.ndim == 2 and name.startswith(_BASE) and bias in given:
            plain[name] = weight[:, :latent_size]
            plain[bias] = given[bias] + weight[:, latent_size:] @ unknown
    return plain


def _counterpart(name: str, attributes: Attributes, known: Attributes) -> str:
    """The other run's name for a tensor such as `heads.0.weight`: its attributes may have another order."""
    table, place, rest = name.split(".", 2)
    attribute = list(attributes)[int(place)]
    if known.get(attribute) != attributes[attribute]:
        return ""
    return f"{table}.{list(known).index(attribute)}.{rest}"


def _check_same_networks(recipe: Recipe, theirs: Recipe, run: Path) -> None:
    kind = theirs.generator.kind
    if theirs.attributes and not recipe.attributes and kind != "resnet":
        raise UserError(
            f"{run} is conditional, and an unconditional {kind} cannot start from it; choose --condition.kind."
        )
    ours, others = _networks(recipe), _networks(theirs)
    if not (theirs.attributes and recipe.attributes):
        del ours["generator.embedding"]  # one of the two has none
    options = [f"--{n.replace('_', '-')} {others[n]}" for n, value in ours.items() if value != others[n]]
    check(not options, f"{run} has other networks than this recipe; start from it with {' '.join(options)}.")


def _networks(recipe: Recipe) -> dict[str, Any]:
    """Everything that decides the networks' shapes and the meaning of inputs and outputs, by option name."""
    generator = replace(recipe.generator, dropout=0.0, style_mixing=0.0)  # no weights depend on them
    discriminator = replace(recipe.discriminator, frozen=0)
    parts: dict[str, Any] = {"generator": generator, "discriminator": discriminator, "latent": recipe.latent}
    fields = {f"{part}.{name}": value for part, config in parts.items() for name, value in asdict(config).items()}
    return {"resolution": recipe.resolution} | fields
