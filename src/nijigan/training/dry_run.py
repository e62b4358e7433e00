"""Estimate the cost of a training: its memory from shapes, its time from a few rounds whose results are discarded."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from nijigan.aliases import Codes, Images
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.recipe.recipe import Recipe
from nijigan.tensors.numerics import fast_numerics
from nijigan.terminal import duration
from nijigan.training.hardware import own_randomness, synchronise, total_memory
from nijigan.training.rounds import DIVERSITY_EVERY, Rounds, Updates, micro_batch_size
from nijigan.training.session import Session, advise
from nijigan.training.state import TrainingState
from nijigan.training.transfer.pair import open_networks
from nijigan.training.transfer.start import load_networks

_PIXELS = 16 * 64**2
_IMAGES = 2
"""Images in the batch that is computed without data, to count arithmetic and memory: they are proportional to it."""
_SECONDS = 2.0
"""Seconds that the measured rounds may take. What would take longer is estimated from one pass of D."""
_PROGRAM_GIGABYTES = 0.6  # Python and torch themselves
_COPIES = 4
"""How often a checkpoint is in memory while it is written. What rounds keep for gradients is free by then."""
_EPOCH_ROUNDS = 4 * DIVERSITY_EVERY
_TOTAL = 10**9  # images: schedules hardly move
_CLEARLY = 1.5
"""A training is refused if its estimated memory is more than this times the device's: the estimate may be too high."""

log = logging.getLogger("nijigan")


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
    """Measured on rounds with a batch that the machine computes in a second or two."""
    gigabytes: float
    """Estimated memory of the training: weights and optimizers, and what one micro-batch keeps for its gradients or, if
    that is more on a CPU, the copies of a checkpoint that is written."""
    available: float | None
    """Memory of the device in GB; None if the system does not tell."""
    derived: tuple[str, ...] = ()
    """Fields of the recipe that follow from the dataset; `recipe` has their values."""

    @property
    def hours(self) -> float:
        """Time for the whole run."""
        return self.recipe.kimg * 1000 / self.images_per_second / 3600

    def to_json(self) -> str:
        """The plan as JSON, with the resolved recipe and the hours."""
        return json.dumps(asdict(self) | {"hours": self.hours}, indent=1)

    def __str__(self) -> str:
        recipe, epochs = self.recipe, self.recipe.kimg * 1000 / self.faces
        length = f"{epochs:.1f}" if epochs >= 1 else f"{epochs:.2g}"
        parts = f" in {recipe.accumulate} parts" if recipe.accumulate > 1 else ""
        chosen = ", ".join(f"{name} {self._value(name)}" for name in self.derived)
        return (
            (f"derived        {chosen}\n" if chosen else "")
            + f"faces          {self.faces:,} for training; {recipe.kimg:g} kimg are {length} epochs\n"
            f"parameters     generator {self.parameters[0]:,}, discriminator {self.parameters[1]:,}\n"
            f"arithmetic     {self.gflop_per_image:.3g} GFLOP per image, {recipe.precision}\n"
            f"memory         about {self.gigabytes:.2g} GB with batches of {recipe.batch_size}{parts}"
            f"{self._too_much()}\n"
            f"time           {duration(self.hours * 3600)} at {self.images_per_second:.3g} images/s"
        )

    def _value(self, name: str) -> str:
        """A field as it is typed; of a part, its kind."""
        part, _, field_name = name.rpartition(".")
        value = getattr(getattr(self.recipe, part) if part else self.recipe, field_name)
        return f"{value:g}" if isinstance(value, float) else f"{getattr(value, 'kind', value)}"

    def _too_much(self) -> str:
        """A remark if the device has less memory."""
        if self.available is None or self.gigabytes <= self.available:
            return ""
        advice = _advice(self.recipe, self.gigabytes, self.available)
        return f"; this device has {self.available:.2g} GB: {advice}"


def check_memory(session: Session) -> None:
    """Estimate the memory of a training before anything is allocated. It takes a second or two.

    If the estimate is more than the device has, a warning says so.

    Raises:
        UserError: the estimate is more than 1.5 times what the device has.
    """
    if (memory := total_memory(session.fabric.device)) is None:
        return
    needed, available = estimate_memory(session), memory / 1e9
    if needed <= available:
        return
    advice = _advice(session.recipe, needed, available)
    sentence = (
        f"Training {session.recipe.name} with batches of {session.recipe.batch_size:,} takes about {needed:,.3g} GB of "
        f"memory, and this device has {available:,.3g} GB; {advice}."
    )
    if needed > _CLEARLY * available:
        raise UserError(sentence)
    log.warning("%s", sentence)


def estimate_memory(session: Session) -> float:
    """Memory that a training needs in one process, in GB, computed from shapes."""
    with own_randomness(session.fabric.device):
        return _demand(session, _run_each_turn).gigabytes


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
    if start_from is not None:
        open_networks(start_from)  # what cannot be read is refused before anything is measured
    session, chosen = Session.new(recipe, dataset, device), recipe.derived
    advise(session)
    recipe, place = session.recipe, session.fabric.device
    with own_randomness(place), fast_numerics(place.type):
        if start_from is not None:
            load_networks(session.state, recipe, session.labels.attributes, start_from)
        demand = _demand(session, partial(_sum_of_turns, measure=_count))
        shown, seconds = _measure(session, micro_batch_size(recipe, 1), demand.work)
    turns = 2 if recipe.alternate_epochs else 1
    return Plan(
        recipe=recipe,
        faces=dataset.count("train"),
        parameters=demand.parameters,
        gflop_per_image=demand.work / turns / recipe.n_critic / 1e9,
        images_per_second=turns * shown * recipe.n_critic / seconds,
        gigabytes=demand.gigabytes,
        available=None if (memory := total_memory(place)) is None else memory / 1e9,
        derived=chosen,
    )


@dataclass(frozen=True)
class _Demand:
    """What a round needs, computed from shapes."""

    parameters: tuple[int, int]
    """Weights of the generator and of the discriminator."""
    work: float
    """Floating-point operations for one image of each turn, if they were counted."""
    gigabytes: float
    """Memory of the training in one process."""


def _demand(session: Session, work_of: Callable[[Rounds], float]) -> _Demand:
    """Run rounds of a small batch whose tensors have a shape but no content, and see what they need."""
    recipe, meta = session.recipe, torch.device("meta")
    micro = micro_batch_size(recipe, session.fabric.world_size)
    batch = min(micro, _PIXELS // recipe.resolution**2 + _IMAGES)
    with meta:
        state = TrainingState.start(recipe, meta, session.labels.attributes)
    rounds = _rounds(session, batch, state, _Meta())
    with _Cast(), _Held() as held:
        work = work_of(rounds)
    generator, discriminator = _weights(state.generator), _weights(state.discriminator)
    both = discriminator + (0 if state.projected is None else _weights(state.projected))
    weights = 5 * generator + 4 * both  # gradients, two moments, EMA
    saved = 4 * generator + 3 * both if session.fabric.device.type == "cpu" else 0
    memory = (4 * weights + max(held.peak * micro / batch, 4 * _COPIES * saved)) / 1e9 + _PROGRAM_GIGABYTES
    return _Demand((generator, discriminator), work / batch, memory)


def _advice(recipe: Recipe, gigabytes: float, available: float) -> str:
    """How a training that takes too many gigabytes could fit into those available."""
    spare = max(0.1, available - _PROGRAM_GIGABYTES)
    parts, size = recipe.accumulate, recipe.batch_size
    fitting = [n for n in range(parts + 1, size // 2 + 1) if size % n == 0 and gigabytes * parts / n < spare]
    return f"add --accumulate {fitting[0]}" if fitting else "choose a smaller --batch-size or --resolution"


def _measure(session: Session, micro: int, flop_per_image: float) -> tuple[int, float]:
    """A batch that takes about two seconds, at most a micro-batch, and the seconds that a round of it takes."""
    rate = _flop_per_second(session)
    batch = max(_IMAGES, min(micro, int(rate * _SECONDS / flop_per_image)))
    if flop_per_image * batch > 2 * rate * _SECONDS:  # too slow to run: the pass of D has to do
        return batch, flop_per_image * batch / rate
    while True:
        rounds = _rounds(session, batch)
        _sum_of_turns(rounds, _time)  # the first round of a size is slow
        seconds = _sum_of_turns(rounds, _time)
        if seconds >= _SECONDS / 2 or batch == micro:
            return batch, seconds
        batch = min(micro, int(batch * _SECONDS / seconds))  # two images say little: updating the weights costs as much


class _Meta:
    """What rounds need of Fabric, on the device without data."""

    device = torch.device("meta")
    world_size = 1
    global_rank = 0
    is_global_zero = True


def _flop_per_second(session: Session) -> float:
    """The speed of this device on the recipe's discriminator, in its precision: two images, forward, twice."""
    rounds = _rounds(session, _IMAGES)
    images = torch.zeros(_IMAGES, 3, session.recipe.resolution, session.recipe.resolution, device=session.fabric.device)
    codes = (torch.zeros(_IMAGES, len(session.labels.attributes), dtype=torch.int64, device=session.fabric.device),)
    times = []
    for _ in range(2):
        synchronise(session.fabric.device)
        begin = time.perf_counter()
        with torch.no_grad(), rounds.autocast, FlopCounterMode(display=False) as counter:
            session.state.discriminator(images, *(codes if session.labels.attributes else ()))
        synchronise(session.fabric.device)
        times.append(time.perf_counter() - begin)
    return float(counter.get_total_flops()) / min(times)


def _rounds(session: Session, batch: int, state: TrainingState | None = None, fabric: Any = None) -> Rounds:
    """Rounds of a smaller batch, on random pixels: the faces themselves need not be decoded.

    Args:
        session: what is planned.
        batch: images per round.
        state: the networks, by default those of the session.
        fabric: the device, by default that of the session.
    """
    no_past = replace(session.recipe.tricks, replay=0.0)  # it costs next to nothing, and has another size
    recipe, labels = replace(session.recipe, batch_size=batch, accumulate=1, tricks=no_past), session.labels
    random = np.random.default_rng(0)
    side, count = recipe.resolution, recipe.batch_size
    faces = random.integers(0, 256, (count, side, side, 3), np.uint8)
    codes = labels.codes[random.integers(0, len(labels.codes), count)]

    def read(start: int, number: int) -> tuple[Images, Codes]:
        return faces[:number], codes[:number]

    epoch = _EPOCH_ROUNDS * batch  # short, so that alternating networks both have their turn
    distance = 40.0 if labels.attributes else None
    return Rounds(recipe, state or session.state, fabric or session.fabric, read, epoch, distance)


def _sum_of_turns(rounds: Rounds, measure: Callable[[Rounds, Updates], float]) -> float:
    """What a round costs on average: the sum over the turns of networks that alternate."""
    return sum(_one_turn(rounds, start, measure) for start in _turns(rounds))


def _run_each_turn(rounds: Rounds) -> float:
    """Run the first round of each turn, which has all the lazy terms and so takes the most memory."""
    for start in _turns(rounds):
        rounds.state.images = start
        rounds.run_updates(rounds.next_updates(_TOTAL))
    return 0.0


def _turns(rounds: Rounds) -> list[int]:
    """Where the turns of networks that alternate begin, in images."""
    alternate = rounds.recipe.alternate_epochs
    return [0, alternate * rounds.face_count] if alternate else [0]


def _one_turn(rounds: Rounds, start: int, measure: Callable[[Rounds, Updates], float]) -> float:
    """What a round from `start` on costs. Lazy terms count by the share of rounds that have them."""
    rounds.state.images = start
    updates = rounds.next_updates(_TOTAL)
    every = rounds.recipe.penalty.every if rounds.penalty is not None and updates.penalties else 0
    plain = replace(updates, penalties=(every == 1,) * len(updates.penalties), diversity=False)
    total = eager = measure(rounds, plain)
    if every > 1:
        penalised = replace(plain, penalties=(True,) * len(updates.penalties))
        total = total + (measure(rounds, penalised) - eager) / every
    if rounds.real_distance is not None and updates.g_updates:
        total = total + (measure(rounds, replace(plain, diversity=True)) - eager) / DIVERSITY_EVERY
    return total


def _count(rounds: Rounds, updates: Updates) -> float:
    with FlopCounterMode(display=False) as counter:
        rounds.run_updates(updates)
    return float(counter.get_total_flops())


def _time(rounds: Rounds, updates: Updates) -> float:
    device = rounds.fabric.device
    synchronise(device)
    begin = time.perf_counter()
    rounds.run_updates(updates)
    synchronise(device)
    return time.perf_counter() - begin


class _Cast(TorchFunctionMode):
    """Does what autocast does on a CPU, which leaves tensors without content as they are: products in bf16."""

    _PRODUCTS = (torch.conv2d, torch.conv_transpose2d, torch.nn.functional.linear, torch.matmul, torch.bmm)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func`, a product in autocast's type."""
        if func in self._PRODUCTS and torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            args = [arg.to(dtype) if isinstance(arg, torch.Tensor) else arg for arg in args]
        return func(*args, **(kwargs or {}))


class _Held:
    """Counts the bytes that autograd holds for gradients: the largest part of a training's memory."""

    def __init__(self) -> None:
        self.peak = 0
        self._now = 0
        self._shares: dict[int, int] = {}  # by storage: how often it is held
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda held: held.tensor)

    def __enter__(self) -> Self:
        self._hooks.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hooks.__exit__(kind, error, trace)

    def _pack(self, tensor: torch.Tensor) -> "_Held._Tensor":
        return self._Tensor(self, tensor)

    class _Tensor:
        """One tensor that a graph holds, until the graph is freed."""

        def __init__(self, held: "_Held", tensor: torch.Tensor) -> None:
            storage = tensor.untyped_storage()
            self.tensor, self._held, self._address, self._bytes = tensor, held, storage._cdata, storage.nbytes()
            held._shares[self._address] = held._shares.get(self._address, 0) + 1
            if held._shares[self._address] == 1 and not isinstance(tensor, torch.nn.Parameter):
                held._now += self._bytes
                held.peak = max(held.peak, held._now)

        def __del__(self) -> None:
            self._held._shares[self._address] -= 1
            if self._held._shares[self._address] == 0 and not isinstance(self.tensor, torch.nn.Parameter):
                self._held._now -= self._bytes


def _weights(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
