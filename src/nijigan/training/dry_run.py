"""Estimate the cost of a training from a few rounds, whose results are discarded."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from nijigan.dataset.faces import FaceDataset
from nijigan.networks.numerics import fast_numerics
from nijigan.recipe.recipe import Recipe
from nijigan.training.hardware import own_randomness, synchronise
from nijigan.training.rounds import DIVERSITY_EVERY, Rounds, Updates
from nijigan.training.session import Session
from nijigan.training.transfer import load_networks

_ROUNDS = 5
_TOTAL = 10**9  # images: schedules hardly move


@dataclass(frozen=True)
class Plan:
    """The cost of a run on this machine."""

    recipe: Recipe
    """Resolved: the length is in kimg, the precision is what would be used."""
    faces: int
    """Faces in the training split."""
    parameters: tuple[int, int]
    """Weights of the generator and of the discriminator."""
    gflop_per_image: float
    """Arithmetic of a round divided by the real images it shows: convolutions and products, 2 per multiply-add."""
    images_per_second: float
    """Measured over a few rounds."""

    @property
    def hours(self) -> float:
        """Time for the whole run."""
        return self.recipe.kimg * 1000 / self.images_per_second / 3600

    def __str__(self) -> str:
        epochs = self.recipe.kimg * 1000 / self.faces
        return (
            f"{self.recipe.to_json()}\n"
            f"faces          {self.faces:,} for training; {self.recipe.kimg:g} kimg are {epochs:.1f} epochs\n"
            f"parameters     generator {self.parameters[0]:,}, discriminator {self.parameters[1]:,}\n"
            f"arithmetic     {self.gflop_per_image:.3g} GFLOP per image, {self.recipe.precision}\n"
            f"speed          {self.images_per_second:.0f} images/s\n"
            f"time           {self.hours:.2g} hours"
        )


def plan(recipe: Recipe, dataset: FaceDataset, device: str = "auto", start_from: Path | None = None) -> Plan:
    """Run a few rounds of `recipe` on one device and extrapolate the cost of the whole run.

    Args:
        recipe: what would be trained.
        dataset: the faces.
        device: auto, cpu, cuda or mps.
        start_from: a run folder whose networks it would start from.

    Raises:
        UserError: as in `train`.
    """
    session = Session.new(recipe, dataset, device)
    recipe, state, rounds = session.recipe, session.state, session.rounds
    if start_from is not None:
        load_networks(state, recipe, session.labels.attributes, start_from)
    many = max(_ROUNDS, recipe.penalty.every)
    starts = [0]
    if recipe.alternate_epochs:  # shorter epochs, so that both networks have their turn: images count in each
        rounds.face_count = DIVERSITY_EVERY * many * recipe.batch_size
        starts.append(recipe.alternate_epochs * rounds.face_count)
    with own_randomness(session.fabric.device), fast_numerics(session.fabric.device.type):
        flop = sum(_flop(rounds, start) for start in starts)
        seconds = sum(_seconds(rounds, start, many) for start in starts)
    shown = len(starts) * recipe.batch_size * recipe.n_critic  # in one round of each turn
    return Plan(
        recipe=recipe,
        faces=len(session.faces),
        parameters=(_count(state.generator), _count(state.discriminator)),
        gflop_per_image=flop / shown / 1e9,
        images_per_second=many * shown / seconds,
    )


def _flop(rounds: Rounds, start: int) -> float:
    """The arithmetic of one round from `start` on. Lazy terms count by the share of rounds that have them."""
    rounds.state.images = start
    updates = rounds.next_updates(_TOTAL)
    plain = replace(updates, penalties=(False,) * len(updates.penalties), diversity=False)
    total = eager = float(_count_flop(rounds, plain))
    if rounds.penalty is not None and updates.penalties:
        penalised = replace(plain, penalties=(True,) * len(updates.penalties))
        total += (_count_flop(rounds, penalised) - eager) / rounds.recipe.penalty.every
    if rounds.real_distance is not None and updates.g_updates:
        total += (_count_flop(rounds, replace(plain, diversity=True)) - eager) / DIVERSITY_EVERY
    return total


def _count_flop(rounds: Rounds, updates: Updates) -> int:
    with FlopCounterMode(display=False) as counter:
        rounds.run_updates(updates)
    return int(counter.get_total_flops())


def _seconds(rounds: Rounds, start: int, count: int) -> float:
    """The time that `count` rounds from `start` on take."""
    device = rounds.fabric.device
    rounds.state.images = start
    synchronise(device)
    begin = time.perf_counter()
    for _ in range(count):
        rounds.run(_TOTAL)
    synchronise(device)
    return time.perf_counter() - begin


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
