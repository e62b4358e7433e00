"""The parts of a training. New runs, resumed runs, plans and transfers all assemble them here."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Self

import torch

from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset, FaceStream
from nijigan.dataset.splits import split_advice
from nijigan.errors import UserError
from nijigan.recipe.recipe import Recipe
from nijigan.recipe.studies import STUDIES
from nijigan.tensors.unallocated import unallocated
from nijigan.training.hardware import launch, own_randomness, resolve_precision, total_memory
from nijigan.training.labels import TrainingLabels, with_attributes
from nijigan.training.rounds import Rounds, micro_batch_size, mix_seeds
from nijigan.training.state import TrainingState, build_networks

log = logging.getLogger("nijigan")
_FEW = 1000
"""Training faces below which augmentation is advised."""

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # imports torchmetrics and matplotlib


@dataclass(frozen=True)
class Session:
    """The parts of a training, in one process. Parts that take time or memory are created on first use."""

    recipe: Recipe
    """Resolved: its attributes are named, its lengths are in kimg, its precision is what is used."""
    dataset: FaceDataset
    labels: TrainingLabels
    fabric: "Fabric"

    @classmethod
    def new(cls, recipe: Recipe, dataset: FaceDataset, device: str, devices: int = 1, nodes: int = 1) -> Self:
        """Launch the processes of a training that has not begun, and resolve its recipe.

        Args:
            recipe: what to train.
            dataset: the faces.
            device: auto, cpu, cuda or mps.
            devices: processes on each machine, one device each.
            nodes: machines.

        Raises:
            UserError: the recipe does not fit the dataset, or there is no such device.
        """
        faces = dataset.count("train")
        if faces == 0:
            raise UserError(f"{dataset.path} has no face to train on. {split_advice(dataset.path, len(dataset.table))}")
        fabric = launch(device, devices, nodes)
        micro_batch_size(recipe, fabric.world_size)
        if recipe.epochs is not None:
            log.info("%s", _length_in_words(recipe, faces))
        labelled = any(len(values) > 1 for values in dataset.attributes.values())
        recipe = with_attributes(recipe.resolved(faces, labelled), dataset)
        # Each process would measure for itself, and one with a busy core might come to another answer.
        recipe = replace(recipe, precision=fabric.broadcast(resolve_precision(recipe.precision, fabric.device)))
        return cls(recipe, dataset, TrainingLabels.of(dataset, recipe.attributes), fabric)

    @classmethod
    def resumed(cls, recipe: Recipe, dataset: FaceDataset, device: str, devices: int = 1, nodes: int = 1) -> Self:
        """Launch the processes of a run that has begun: its recipe is resolved already; arguments as for `new`."""
        fabric = launch(device, devices, nodes)
        return cls(recipe, dataset, TrainingLabels.of(dataset, recipe.attributes), fabric)

    @cached_property
    def state(self) -> TrainingState:
        """New networks, with the weights that the recipe's seed decides; the caller's random state stays as it was."""
        self._check_memory()
        with own_randomness(self.fabric.device):
            torch.manual_seed(mix_seeds(self.recipe.seed))
            return TrainingState.start(self.recipe, self.fabric.device, self.labels.attributes)

    def _check_memory(self) -> None:
        """Refuse networks and batches that cannot fit, before anything is allocated."""
        available = total_memory(self.fabric.device)
        if available is None:
            return
        with unallocated():
            generator, discriminator = build_networks(self.recipe, self.labels.attributes)
        weights = 16 * sum(p.numel() for net in (generator, discriminator) for p in net.parameters())
        images = 64 * micro_batch_size(self.recipe, self.fabric.world_size) * self.recipe.resolution**2
        for size, what, advice in (
            (weights, "The networks", "choose a smaller --generator.width or --discriminator.width"),
            (images, f"A batch of {self.recipe.batch_size:,}", "choose a smaller --batch-size, or --accumulate"),
        ):
            if size > available:
                raise UserError(
                    f"{what} would take at least {size / 1e9:,.0f} GB; this device has {available / 1e9:,.0f} GB. "
                    f"{advice[0].upper()}{advice[1:]}."
                )

    @cached_property
    def faces(self) -> Images:
        """The training split at the recipe's resolution, memory-mapped."""
        return self.dataset.pixels("train", self.recipe.resolution)

    @cached_property
    def rounds(self) -> Rounds:
        """The rounds to run on `state`."""
        recipe, fabric = self.recipe, self.fabric
        weights = self.labels.weights if recipe.balance else None
        stream = FaceStream(self.faces, recipe.seed, recipe.flip, fabric.global_rank, fabric.world_size, weights)
        read_batch, distance = self.labels.batches(stream), self.labels.distance(self.faces)
        return Rounds(recipe, self.state, fabric, read_batch, len(self.faces), distance)

    @property
    def total(self) -> int:
        """The length in images: whole batches."""
        return self.recipe.images

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do something that may fail in one process, such as the first, which alone writes; if so, all end here.

        The process that failed raises its error. The others raise SystemExit(2), without a word of their own.
        """
        failure = None
        try:
            yield
        except Exception as error:
            failure = error
        if self.agree(failure is not None):
            raise failure or SystemExit(2)

    def agree(self, flag: bool) -> bool:
        """Whether `flag` is true in any process. All processes get the same result."""
        if self.fabric.world_size == 1:
            return flag
        votes = self.fabric.all_reduce(torch.tensor(float(flag), device=self.fabric.device), reduce_op="sum")
        assert isinstance(votes, torch.Tensor)
        return bool(votes.item())


def advise(session: Session) -> None:
    """Warn of faces that are too few, or too small, for a new training with this recipe."""
    recipe, faces = session.recipe, session.dataset.count("train")
    if faces < _FEW and recipe.augment.p == 0:
        _warn_once(
            f"{faces} training faces are few, and the discriminator will overfit. Add --augment.p auto, or begin with "
            "networks that were trained on other faces: --start-from RUN."
        )
    if recipe.resolution > session.dataset.size:
        _warn_once(
            f"The faces are about {session.dataset.size} pixels wide and will be enlarged to {recipe.resolution}: "
            "expect blurred pictures."
        )


@cache  # a plan, and each run of a sweep, has the same advice
def _warn_once(text: str) -> None:
    log.warning("%s", text)


def _length_in_words(recipe: Recipe, faces: int) -> str:
    """How many images the recipe's epochs are of these faces, and of those of the study that it is from."""
    assert recipe.epochs is not None  # callers ask for no other
    kimg = recipe.epochs * faces / 1000
    words = f"{recipe.epochs:g} epochs of these {faces:,} faces are {kimg:,.{0 if kimg >= 10 else 2}f} kimg."
    study = next((study for study in STUDIES if recipe.name in study.recipes and study.faces), None)
    if study is None or study.faces is None or study.faces == faces:
        return words
    kimg = recipe.epochs * study.faces / 1000
    return f"{words} The study had {study.faces:,} faces; to train on as many images as it did, add --kimg {kimg:.0f}."
