"""Transfer: a run that starts from the networks of another one, on other faces or with attributes for the first time.

Wang et al., "Transferring GANs: Generating Images from Limited Data", ECCV 2018: both players start from what is known,
which saves most of the way, and the more the fewer the faces.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from nijigan.errors import UserError
from nijigan.generator import Generator
from nijigan.networks.conditioning import ConditionalDiscriminator, ConditionalGenerator
from nijigan.training.checkpoint import load_checkpoint
from nijigan.training.state import Attributes, TrainingState

_BASE = "base."  # of a conditional network: the part that knows nothing of attributes


@torch.no_grad()
def adopt(state: TrainingState, attributes: Attributes, run: Path) -> None:
    """Give new networks the weights of another run's newest checkpoint; optimizers and the clock stay at rest.

    A generator may have a longer input, such as that for attributes: the weights of what is added start at 0, so that
    it draws what the other run's drew (but `style`, which normalises its input as a whole). The parts that know
    attributes are taken over where those are the same, and start anew elsewhere.

    Args:
        state: as `TrainingState.start` gave it.
        attributes: what its networks know.
        run: the other run's folder.

    Raises:
        UserError: there is no such run, or its networks are others.
    """
    checkpoint = load_checkpoint(run / "checkpoints")
    if checkpoint is None:
        raise UserError(f"There is no run to start from in {run}, or it has saved nothing yet.")
    origin = Generator.load(run)
    same = origin.header.attributes == attributes
    players = {"generator": state.generator, "discriminator": state.discriminator, "ema": state.ema.module}
    for player, module in players.items():
        start = f"{player}."
        given = {name.removeprefix(start): value for name, value in checkpoint[0].items() if name.startswith(start)}
        _fill(module, given, same, grows=player != "discriminator", run=run)
    state.origin = origin.weights_hash


def _fill(module: nn.Module, given: Mapping[str, Tensor], same_attributes: bool, *, grows: bool, run: Path) -> None:
    conditional = isinstance(module, ConditionalGenerator | ConditionalDiscriminator)
    plain = {name.removeprefix(_BASE): value for name, value in given.items()}
    for name, value in module.state_dict().items():
        if conditional and not name.startswith(_BASE):  # what knows attributes
            if same_attributes and name in given and given[name].shape == value.shape:
                value.copy_(given[name])
            continue
        found = plain.get(name.removeprefix(_BASE))
        if found is None or not (found.shape == value.shape or (grows and _longer(value, found))):
            raise UserError(
                f"The networks of {run} are others than this recipe's ({name.removeprefix(_BASE)}); choose the recipe, "
                "the resolution and the --generator and --discriminator options that it was trained with."
            )
        value.zero_()
        value[tuple(slice(size) for size in found.shape)] = found.to(value)


def _longer(value: Tensor, found: Tensor) -> bool:
    """Whether a tensor is another one and something more along a single dimension."""
    if value.ndim != found.ndim:
        return False
    more = [a - b for a, b in zip(value.shape, found.shape, strict=True) if a != b]
    return len(more) == 1 and more[0] > 0
