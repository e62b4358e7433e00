"""Training runs: start one, resume one.

    run = train(find_recipe("dcgan"), FaceDataset(Path("faces")), Path("runs/a"))
    resume(Path("runs/a"), kimg=1000)

Progress is counted in real images. Every random number of a round derives from (seed, process, images seen), and the
order of the faces from the position in their endless stream. A run that was interrupted and resumed therefore gives the
same result as an uninterrupted one, on the same machine with the same versions and number of threads.
"""

import json
import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nijigan.dataset.faces import FaceDataset
from nijigan.errors import TrainingFailedError, UserError, check
from nijigan.files import locked, remove, sweep, write_text
from nijigan.interrupt import stoppable
from nijigan.jsonio import parse_json, read_json
from nijigan.recipe.recipe import Recipe
from nijigan.runs import RUN_FILES, Environment, RunInfo
from nijigan.terminal import shell
from nijigan.training.checkpoint import Checkpoint, load_checkpoint, load_checkpoints, newest, save_state
from nijigan.training.dry_run import check_memory
from nijigan.training.hardware import device_name, own_randomness
from nijigan.training.loop import run_loop
from nijigan.training.observer.observer import Observer, SilentObserver
from nijigan.training.session import Session, advise
from nijigan.training.state import TrainingState
from nijigan.training.transfer.start import start_from_networks

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # imports torchmetrics and matplotlib

log = logging.getLogger("nijigan")

_MAY_DIFFER = {"name", "kimg", "snapshot_kimg", "tick_kimg", "evaluate_every", "evaluate_faces", "early_stop",
               "patience"}  # fmt: skip
"""Fields of a recipe that may change when a run is resumed: its length and cadences."""


@stoppable()
def train(
    recipe: Recipe,
    dataset: FaceDataset,
    out: str | Path,
    *,
    start_from: str | Path | None = None,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    overwrite: bool = False,
) -> Path:
    """Train a recipe on a dataset's training split into a new run folder.

    Args:
        recipe: what to train. A length in epochs is turned into kimg, and precision `auto` into the precision that is
            used.
        dataset: the faces.
        out: the run folder; it must not hold a run yet.
        start_from: a run or a pair whose networks this run starts from; see `nijigan.training.transfer.start`.
        device: auto, cpu, cuda or mps.
        devices: processes on each machine, one device each.
        nodes: machines.
        overwrite: delete a run in `out`, or other files with the names that a run writes, instead of refusing them.

    Returns:
        The run folder.

    Raises:
        UserError: bad options, not enough disk space or memory, or a loss that is no longer finite.
        KeyboardInterrupt: a signal came, such as Ctrl-C; the run is saved. Its message says how far.
    """
    out = Path(out)
    _check_frozen(recipe, start_from)
    session = Session.new(recipe, dataset, device, devices, nodes)
    if session.recipe.evaluation_every is not None:
        from nijigan.judges.real import check_judgeable  # loads the judges

        check_judgeable(dataset, "val")
    advise(session)
    check_memory(session)
    fabric = session.fabric
    if start_from is not None:
        with session.together():
            start_from_networks(Path(start_from), session)  # refuses another network before there is a folder
    with _folder_lock(out, fabric), _failures_as_sentences(session.recipe, out):
        found = _found(out, dataset, fabric, overwrite)
        with session.together():
            len(session.faces)  # decodes them: from here on, little can fail before there is a run again
        with session.together():
            if fabric.is_global_zero:
                for name in found:
                    remove(out / name)
                if start_from is not None:
                    save_state(out, session.state, session.recipe)
                info = RunInfo(str(dataset.path.resolve()), dataset.fingerprint, torch.get_num_threads())
                write_text(out / "run.json", info.continued(_environment(fabric)).to_json())
                write_text(out / "recipe.json", session.recipe.to_json())
        _run(session, out)
    return out


@stoppable()
def resume(
    out: str | Path,
    *,
    dataset: FaceDataset | None = None,
    kimg: float | None = None,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
) -> Path:
    """Continue a run from its last checkpoint. A finished run does not change unless `kimg` makes it longer.

    Args:
        out: the run folder.
        dataset: the run's faces, if they were moved; run.json is updated. Default: the folder that run.json names.
        kimg: the run's new length in thousands of images. Default: unchanged.
        device: auto, cpu, cuda or mps.
        devices: processes on each machine, one device each.
        nodes: machines.

    Returns:
        The run folder.

    Raises:
        UserError: there is no run in `out`, its dataset is missing or has changed, or as in `train`.
        KeyboardInterrupt: as in `train`.
    """
    out = Path(out)
    if not (out / "recipe.json").exists():
        raise UserError(f"There is no run in {out}; start one with `nijigan train RECIPE --data FACES --out {out}`.")
    recipe, info = read_json(Recipe, out / "recipe.json"), read_json(RunInfo, out / "run.json")
    faces = dataset or _dataset(out, info)
    _check_unchanged(faces, info)
    recipe, longer = _lengthened(recipe, kimg)
    session = Session.resumed(recipe, faces, device, devices, nodes)
    check_memory(session)
    with _folder_lock(out, session.fabric), _failures_as_sentences(recipe, out):
        with session.together():
            if session.fabric.is_global_zero:
                moved = info if dataset is None else replace(info, dataset=str(dataset.path.resolve()))
                if (now := moved.continued(_environment(session.fabric))) != info:
                    write_text(out / "run.json", now.to_json())
            if session.fabric.is_global_zero and longer:
                write_text(out / "recipe.json", recipe.to_json())
        _run(session, out)
    return out


def _environment(fabric: "Fabric") -> Environment:
    return Environment.here(device_name(fabric.device))


def finished(out: Path) -> bool:
    """Whether the run in `out` is as long as its recipe says, or was ended by early stop.

    Raises:
        UserError: its recipe, or each of its checkpoints, is damaged.
    """
    recipe, checkpoint = read_json(Recipe, out / "recipe.json"), load_checkpoint(out / "checkpoints")
    if checkpoint is None:
        return False
    _, state = checkpoint
    return bool(state["images"] >= recipe.kimg * 1000 or state.get("search", {}).get("stopped"))


def _run(session: Session, out: Path) -> None:
    """Load the last checkpoint, if there is one, and train to the end."""
    recipe, state = session.recipe, session.state
    with session.together():
        _restore(state, recipe, out / "checkpoints")
    if state.images >= recipe.kimg * 1000 or state.search.stopped:
        log.info(
            "The run is finished at %g kimg; `nijigan resume %s --kimg %g` makes it longer.",
            state.images / 1000,
            shell(out),
            2 * recipe.kimg,
        )
        return
    log.info(
        "Training %s at %d px on %d faces, %g of %g kimg done, %s on %s.",
        recipe.name, recipe.resolution, len(session.faces), state.images / 1000, recipe.kimg, recipe.precision,
        session.fabric.device,
    )  # fmt: skip
    with own_randomness(session.fabric.device):
        with session.together():
            observer = Observer(session, out) if session.fabric.is_global_zero else SilentObserver()
        with observer:
            run_loop(session, observer, out)


def _restore(state: TrainingState, recipe: Recipe, folder: Path) -> None:
    """Load the newest checkpoint that fits the run, if there is one."""
    refusal = None
    for checkpoint in load_checkpoints(folder):
        try:
            _load(state, recipe, checkpoint)
        except UserError as error:  # if the recipe was edited, no older checkpoint fits either
            refusal = refusal or error
            continue
        if refusal is not None:
            log.warning("The newest checkpoint is damaged (%s) The run continues from the one before.", refusal)
        return
    if refusal is not None:
        raise refusal


def _load(state: TrainingState, recipe: Recipe, checkpoint: Checkpoint) -> None:
    """Load a checkpoint; a `UserError` if it does not fit."""
    _, numbers = checkpoint
    # A field that the checkpoint's version did not know is at its default.
    saved = parse_json(Recipe, json.dumps(numbers.get("recipe", asdict(recipe))), "The checkpoint")
    _check_same_recipe(recipe, saved)
    state.load(*checkpoint)
    if numbers.get("format", 1) < 2 and recipe.accumulate > 2:
        log.warning(
            "An older nijigan wrote the checkpoint. With --accumulate %d the order of random numbers has changed "
            "since, so the rest of this run will differ from a run of that version.",
            recipe.accumulate,
        )
    if state.search.stopped and recipe.kimg > saved.kimg:
        state.search.stopped, state.search.stale = False, 0  # otherwise the longer run would end at once


def _dataset(out: Path, info: RunInfo) -> FaceDataset:
    """The faces in the folder that the run names."""
    try:
        return FaceDataset(Path(info.dataset))
    except UserError as error:
        if Path(info.dataset).exists():
            raise
        raise UserError(
            f"The faces of this run are no longer in {info.dataset}; say where they are now: "
            f"`nijigan resume {shell(out)} --data FACES`."
        ) from error


def _check_unchanged(faces: FaceDataset, info: RunInfo) -> None:
    """Refuse other faces than those that the run began with; warn of another number of threads."""
    if faces.fingerprint != info.fingerprint:
        raise UserError(f"The faces in {faces.path} have changed since this run began; start a new run on them.")
    if torch.get_num_threads() != info.threads:
        log.warning(
            "This run began with %d threads and continues with %d: sums may round differently from here on.",
            info.threads,
            torch.get_num_threads(),
        )


def _lengthened(recipe: Recipe, kimg: float | None) -> tuple[Recipe, bool]:
    """The recipe at its new length, and whether that is longer than before."""
    length = recipe.kimg if kimg is None else kimg
    check(math.isfinite(length), f"--kimg is {length}; write a finite number of thousands of images.")
    if length < recipe.kimg:
        raise UserError(f"The run is {recipe.kimg:g} kimg long already; --kimg can only make it longer.")
    if length == recipe.kimg:
        return recipe, False
    # Keep the intervals: defaults that follow from the new length would change the spacing within the log.
    return replace(recipe, kimg=length, snapshot_kimg=recipe.snapshot_every, tick_kimg=recipe.tick_every), True


def _check_same_recipe(recipe: Recipe, saved: Recipe) -> None:
    """Refuse to continue with another recipe than the checkpoint's; length and cadences may differ."""
    then = asdict(saved)
    differing = [name for name, value in asdict(recipe).items() if name not in _MAY_DIFFER and then[name] != value]
    if differing:
        raise UserError(
            f"The checkpoint and recipe.json have different values of {differing[0]}; restore recipe.json, or "
            "start a new run."
        )


def _check_frozen(recipe: Recipe, start_from: str | Path | None) -> None:
    check(
        start_from is not None or recipe.discriminator.frozen == 0,
        "discriminator.frozen keeps layers as another run left them; name that run with --start-from.",
    )


def _found(out: Path, dataset: FaceDataset, fabric: "Fabric", overwrite: bool) -> list[str]:
    """What is in the way of a new run in `out`: refused, unless `overwrite` allows to delete it."""
    found = [name for name in RUN_FILES if (out / name).exists()]
    if found == ["run.json"] and _readable(out / "run.json"):
        found = []  # left by a run that was killed before its recipe was written
    found = fabric.broadcast(found)
    if found and not overwrite:
        if "recipe.json" in found:
            _check_resumable(out)
            raise UserError(
                f"{out} contains a run already; continue it with `nijigan resume {shell(out)}`, choose another --out, "
                "or delete the run with --overwrite."
            )
        raise UserError(
            f"{out} contains {found[0]}, which is not part of a run; choose another --out, or delete it with "
            "--overwrite."
        )
    for place in (out / name for name in found):
        if dataset.path.resolve().is_relative_to(place.resolve()):
            raise UserError(f"The dataset lies in {place}, which --overwrite would delete; choose another --out.")
    return found


def _check_resumable(out: Path) -> None:
    """A `UserError` with other advice than to resume if all checkpoints of a run are damaged."""
    try:
        load_checkpoint(out / "checkpoints")
    except UserError as error:
        raise UserError(f"{out} contains a run already. {error} --overwrite deletes it.") from error


def _readable(info: Path) -> bool:
    try:
        read_json(RunInfo, info)
    except UserError:
        return False
    return True


@contextmanager
def _folder_lock(out: Path, fabric: "Fabric") -> Iterator[None]:
    """Keep other trainings out of the folder. The first process takes the lock; if it cannot, all processes stop."""
    refusal = ""
    with ExitStack() as stack:
        if fabric.is_global_zero:
            try:
                stack.enter_context(locked(out / "run.lock"))
                for folder in (out, *(place for place in out.iterdir() if place.is_dir())):
                    sweep(folder)
            except UserError as error:
                refusal = str(error)
            except OSError as error:
                refusal = f"Could not write {out}: {error.strerror or error}. Choose another place."
        if refusal := fabric.broadcast(refusal):
            raise UserError(refusal)
        yield


@contextmanager
def _failures_as_sentences(recipe: Recipe, out: Path) -> Iterator[None]:
    """Report a full disk, full memory or a signal in one sentence. The checkpoints stay valid."""
    try:
        yield
    except KeyboardInterrupt:
        if not (out / "recipe.json").exists():
            raise
        how = f"continue with `nijigan resume {shell(out)}`"
        if (saved := newest(out / "checkpoints")) is None:
            raise KeyboardInterrupt(f"Stopped; nothing is saved yet: {how}, which starts at 0 kimg.") from None
        raise KeyboardInterrupt(f"Stopped; the run is saved up to {saved / 1000:g} kimg: {how}.") from None
    except UserError as error:
        if not str(error).startswith("Could not write") or not (out / "recipe.json").exists():
            raise
        raise UserError(f"{error} Then continue with `nijigan resume {shell(out)}`.") from error
    except (RuntimeError, MemoryError) as error:  # torch's out-of-memory errors are RuntimeErrors
        if isinstance(error, torch.distributed.DistError) or "gloo/transport" in str(error):
            raise UserError(
                "Another process of this training ended, so this one ends too; its message says why. "
                f"Continue with `nijigan resume {shell(out)}`."
            ) from error
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise TrainingFailedError(
            f"Out of memory with a batch of {recipe.batch_size}; try --batch-size "
            f"{max(2, recipe.batch_size // 2)}, or --accumulate {2 * recipe.accumulate}."
        ) from error
    except OSError as error:
        raise UserError(
            f"Could not write the run: {error.strerror or error}. Fix this and run `nijigan resume {shell(out)}`."
        ) from error
