"""What a training would take, from a few rounds of it that are thrown away."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from nijigan.dataset.faces import FaceDataset, FaceStream
from nijigan.recipe.recipe import Recipe
from nijigan.training.hardware import launch, resolve_precision, synchronise
from nijigan.training.labels import TrainingLabels, with_attributes
from nijigan.training.rounds import DIVERSITY_EVERY, Rounds
from nijigan.training.state import TrainingState
from nijigan.training.transfer import adopt

_ROUNDS = 5
_TOTAL = 10**9  # images: schedules hardly move


@dataclass(frozen=True)
class Plan:
    """The cost of a run on this machine."""

    recipe: Recipe
    """Resolved: the length in kimg, the precision as it would be used."""
    faces: int
    """In the training split."""
    parameters: tuple[int, int]
    """Weights of the generator and of the discriminator."""
    gflop_per_image: float
    """Arithmetic of a round over the real images it shows: convolutions and products, 2 per multiply-add."""
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
    """Play a few rounds of `recipe` on one device and say what the whole would cost.

    Args:
        recipe: what would be trained.
        dataset: the faces.
        device: auto, cpu, cuda or mps.
        start_from: a run folder whose networks it would start from.

    Raises:
        UserError: as in `train`.
    """
    fabric = launch(device)
    recipe = with_attributes(recipe, dataset).resolved(dataset.count("train"))
    recipe = replace(recipe, precision=resolve_precision(recipe.precision, fabric.device))
    labels = TrainingLabels.of(dataset, recipe.attributes)
    faces = dataset.pixels("train", recipe.resolution)
    state = TrainingState.start(recipe, fabric.device, labels.attributes)
    if start_from is not None:
        adopt(state, recipe, labels.attributes, start_from)
    read = labels.reader(FaceStream(faces, recipe.seed, recipe.flip))
    rounds = Rounds(recipe, state, fabric, read, len(faces), labels.distance(faces))
    many = max(_ROUNDS, recipe.penalty.every)
    starts = [0]
    if recipe.alternate_epochs:  # shorter epochs, and both players' turns: images count in each
        rounds.faces = DIVERSITY_EVERY * many * recipe.batch_size
        starts.append(recipe.alternate_epochs * rounds.faces)
    every = {"penalty": recipe.penalty.every, "distance": DIVERSITY_EVERY}  # in one round of so many
    eager = _flop(rounds, starts)
    lazy = [(_flop(rounds, starts, name) - eager) / n for name, n in every.items() if getattr(rounds, name) is not None]
    synchronise(fabric.device)
    begin = time.perf_counter()
    for start in starts:
        state.images = start
        for _ in range(many):
            rounds.play(_TOTAL)
    synchronise(fabric.device)
    seconds = time.perf_counter() - begin
    shown = len(starts) * recipe.batch_size * recipe.n_critic  # in one round of each turn
    return Plan(
        recipe=recipe,
        faces=len(faces),
        parameters=(_count(state.generator), _count(state.discriminator)),
        gflop_per_image=(eager + sum(lazy)) / shown / 1e9,
        images_per_second=many * shown / seconds,
    )


def _flop(rounds: Rounds, starts: Sequence[int], due: str = "") -> int:
    """The arithmetic of one round from each start in which, of all that is lazy, one part is due, or none."""
    kept = {name: getattr(rounds, name) for name in ("recipe", "penalty", "distance")}
    for name in {"penalty", "distance"} - {due}:
        setattr(rounds, name, None)
    rounds.recipe = replace(rounds.recipe, penalty=replace(rounds.recipe.penalty, every=1))
    with FlopCounterMode(display=False) as counter:
        for start in starts:
            rounds.state.images = start  # where the diversity loss is due
            rounds.play(_TOTAL)
    for name, value in kept.items():
        setattr(rounds, name, value)
    return int(counter.get_total_flops())


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
