"""Training runs: start one, go on with one.

    run = train(find_recipe("dcgan"), FaceDataset(Path("faces")), Path("runs/a"))
    resume(Path("runs/a"), kimg=1000)

Progress is counted in real images. Every random number of a round derives from (seed, process, images seen), and the
order of the faces from the position in their endless stream, so that a run that was cut off and resumed equals one that
was not: on the same machine, with the same versions and number of threads.
"""

import json
import logging
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from nijigan.dataset.faces import FaceDataset, FaceStream
from nijigan.errors import TrainingFailedError, UserError
from nijigan.files import locked, write_text
from nijigan.generator.attributes import choose
from nijigan.generator.generator import Generator, GeneratorHeader, TrainingSet
from nijigan.generator.latents import latents
from nijigan.jsonio import parse_json, read_json
from nijigan.judges.conditional_accuracy import conditional_accuracy
from nijigan.judges.evaluation import kid_and_yield
from nijigan.judges.feature_spaces import DEFAULT, open_feature_space
from nijigan.judges.readers import AttributeReader, open_reader
from nijigan.judges.real import RealFaces, check_judgeable, real_faces
from nijigan.recipe.recipe import Recipe
from nijigan.runs import RunInfo
from nijigan.training.checkpoint import load_checkpoint, save_state
from nijigan.training.ema import recalibrate
from nijigan.training.hardware import launch, own_randomness, resolve_precision
from nijigan.training.health import Health, diversity, share_at_clip
from nijigan.training.interrupt import Interrupt
from nijigan.training.labels import TrainingLabels, with_attributes
from nijigan.training.monitor import Monitor
from nijigan.training.rounds import Rounds, mix_seeds, part_size
from nijigan.training.state import TrainingState
from nijigan.training.transfer import start_from_run

log = logging.getLogger("nijigan")

_GRID = 64  # faces in the sample grid, from seeds 0 to 63 in every run
_CALIBRATION = 1024  # latents that re-estimate batch norm, from seeds far from those of the grid
_CALIBRATION_SEED = 2**40


def train(
    recipe: Recipe,
    dataset: FaceDataset,
    out: Path,
    *,
    start_from: Path | None = None,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
) -> Path:
    """Train a recipe on a dataset's training split into a new run folder.

    Args:
        recipe: what to train; a length in epochs is turned into kimg, and precision `auto` into what it stands for.
        dataset: the faces.
        out: the run folder; it must not hold a run yet.
        start_from: a run folder whose networks this one starts from; see `nijigan.training.transfer`.
        device: auto, cpu, cuda or mps.
        devices: processes on each node, one device each.
        nodes: machines.

    Returns:
        The run folder.

    Raises:
        UserError: bad options, no room on the disk or in memory, or a loss that is no longer finite.
        KeyboardInterrupt: SIGINT or SIGTERM came; the run is saved.
    """
    if dataset.count("train") == 0:
        raise UserError(f"{dataset.path} has no face to train on; import more pictures or hold fewer out.")
    if recipe.evaluation_every is not None:
        check_judgeable(dataset, "val")
    fabric = launch(device, devices, nodes)
    part_size(recipe, fabric.world_size)
    recipe = with_attributes(recipe, dataset).resolved(dataset.count("train"))
    recipe = replace(recipe, precision=resolve_precision(recipe.precision, fabric.device))
    labels = TrainingLabels.of(dataset, recipe.attributes)
    if recipe.resolution > dataset.size:
        log.warning(
            "The faces are about %d pixels wide and will be blown up to %d: expect soft pictures.",
            dataset.size,
            recipe.resolution,
        )
    with _alone(out, fabric):
        if fabric.broadcast((out / "recipe.json").exists()):
            raise UserError(f"{out} holds a run already; go on with `nijigan resume {out}` or choose another --out.")
        if fabric.broadcast((out / "checkpoints").exists()):
            raise UserError(f"{out} holds checkpoints of a run that never began; delete them or choose another --out.")
        if start_from is not None:
            start_from_run(start_from, recipe, labels.attributes, out, fabric)
        if fabric.is_global_zero:
            info = RunInfo(str(dataset.path.resolve()), dataset.fingerprint, torch.get_num_threads())
            write_text(out / "run.json", info.to_json())
            write_text(out / "recipe.json", recipe.to_json())
        return _run(recipe, dataset, labels, out, fabric)


def resume(
    out: Path,
    *,
    dataset: FaceDataset | None = None,
    kimg: float | None = None,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
) -> Path:
    """Go on with a run from its last checkpoint; a finished run is left as it is unless `kimg` makes it longer.

    Args:
        out: the run folder.
        dataset: the run's faces where they have been moved; run.json is told. None: they are where it says.
        kimg: the run's new length.
        device: auto, cpu, cuda or mps.
        devices: processes on each node, one device each.
        nodes: machines.

    Returns:
        The run folder.

    Raises:
        UserError: there is no run in `out`, its dataset is gone or has changed, or as in `train`.
    """
    if not (out / "recipe.json").exists():
        raise UserError(f"There is no run in {out}; start one with `nijigan train RECIPE --data FACES --out {out}`.")
    recipe, info = read_json(Recipe, out / "recipe.json"), read_json(RunInfo, out / "run.json")
    faces = dataset or _dataset(out, info)
    if faces.fingerprint != info.fingerprint:
        raise UserError(f"The faces in {faces.path} have changed since this run began; start a new run on them.")
    if torch.get_num_threads() != info.threads:
        log.warning(
            "This run began with %d threads and goes on with %d: sums may round differently from here on.",
            info.threads,
            torch.get_num_threads(),
        )
    fabric = launch(device, devices, nodes)
    length = recipe.kimg if kimg is None else kimg
    if not length >= recipe.kimg:
        raise UserError(f"The run is {recipe.kimg:g} kimg long already; --kimg can only make it longer.")
    if longer := length > recipe.kimg:
        # The cadence stays what it was, or the log would change its step in the middle.
        recipe = replace(recipe, kimg=length, snapshot_kimg=recipe.snapshot_every, tick_kimg=recipe.tick_every)
    with _alone(out, fabric):
        if fabric.is_global_zero and dataset is not None:
            write_text(out / "run.json", replace(info, dataset=str(dataset.path.resolve())).to_json())
        if fabric.is_global_zero and longer:
            write_text(out / "recipe.json", recipe.to_json())
        return _run(recipe, faces, TrainingLabels.of(faces, recipe.attributes), out, fabric)


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


def _dataset(out: Path, info: RunInfo) -> FaceDataset:
    """The faces where the run says that they are."""
    try:
        return FaceDataset(Path(info.dataset))
    except UserError as error:
        if Path(info.dataset).exists():
            raise
        raise UserError(
            f"The faces of this run are no longer in {info.dataset}; say where they are now: "
            f"`nijigan resume {out} --data FACES`."
        ) from error


def _run(recipe: Recipe, dataset: FaceDataset, labels: TrainingLabels, out: Path, fabric: Fabric) -> Path:
    with own_randomness(fabric.device), _failures_as_sentences(recipe, out):
        torch.manual_seed(mix_seeds(recipe.seed))
        state = TrainingState.start(recipe, fabric.device, labels.attributes)
        if (checkpoint := load_checkpoint(out / "checkpoints")) is not None:
            # A field that this version has and the one that wrote the checkpoint had not is at its default.
            saved = parse_json(Recipe, json.dumps(checkpoint[1].get("recipe", asdict(recipe))), "The checkpoint")
            _check_same_game(recipe, saved)
            state.load(*checkpoint)
            if state.search.stopped and recipe.kimg > saved.kimg:
                state.search.stopped, state.search.stale = False, 0  # whoever makes it longer wants it to go on
        if state.images >= recipe.kimg * 1000 or state.search.stopped:
            log.info(
                "The run is finished at %g kimg; `nijigan resume %s --kimg %g` makes it longer.",
                state.images / 1000,
                out,
                2 * recipe.kimg,
            )
        else:
            _loop(recipe, dataset, labels, out, fabric, state)
    return out


def _loop(
    recipe: Recipe, dataset: FaceDataset, labels: TrainingLabels, out: Path, fabric: Fabric, state: TrainingState
) -> None:
    faces = dataset.pixels("train", recipe.resolution)
    stream = FaceStream(faces, recipe.seed, recipe.flip, fabric.global_rank, fabric.world_size)
    rounds = Rounds(recipe, state, fabric, labels.reader(stream), len(faces), labels.distance(faces))
    total = math.ceil(recipe.kimg * 1000 / recipe.batch_size) * recipe.batch_size
    log.info(
        "Training %s at %d px on %d faces, %g of %g kimg done, %s on %s.",
        recipe.name,
        recipe.resolution,
        len(faces),
        state.images / 1000,
        recipe.kimg,
        recipe.precision,
        fabric.device,
    )

    real = reader = None
    if recipe.evaluation_every is not None and fabric.is_global_zero:
        real = real_faces(dataset, "val", recipe.resolution, open_feature_space(DEFAULT))
        reader = open_reader("auto", labels.attributes, dataset) if labels.attributes else None
    with ExitStack() as stack:
        interrupt = stack.enter_context(Interrupt())
        monitor = stack.enter_context(Monitor(out, state.images, total)) if fabric.is_global_zero else None
        asked, alike = labels.commonest(_GRID)  # among many colours one face drawn over and over looks varied
        health = Health(recipe, asked)
        for kept in monitor.lines if monitor is not None else ():
            health.tick(kept)  # what was said before is not said again
        clock, ticked = time.perf_counter(), state.images
        while state.images < total:
            before = state.images
            rounds.play(total)
            if monitor is not None:
                monitor.advance(state.images)

            done = state.images >= total
            stop = bool(fabric.broadcast(interrupt.requested)) if fabric.world_size > 1 else interrupt.requested
            every = recipe.evaluation_every
            judged = every is not None and (done or _crossed(before, state.images, every))
            snapshot = done or stop or judged or _crossed(before, state.images, recipe.snapshot_every)
            if not snapshot and not _crossed(before, state.images, recipe.tick_every):
                continue

            averages = rounds.averages()
            if not all(math.isfinite(value) for value in averages.values() if value is not None):
                raise TrainingFailedError(
                    f"A loss is no longer finite at {state.images / 1000:g} kimg; the last good checkpoint is "
                    f"in {out / 'checkpoints'}. Lower the learning rate, or use --precision fp32."
                )
            now = time.perf_counter()
            state.seconds += now - clock
            line: dict[str, Any] = {
                "images": state.images, "kimg": state.images / 1000, "epoch": state.images / len(faces), **averages,
                "images_per_second": (state.images - ticked) / (now - clock), "seconds": state.seconds,
            }  # fmt: skip
            clock, ticked = now, state.images  # what logging and saving take counts towards the next line
            if monitor is not None:
                if recipe.clip is not None:
                    line["at_clip"] = share_at_clip(state.discriminator, recipe.clip)
                generator = _averaged_generator(recipe, dataset, labels, state) if snapshot else None
                if generator is not None:
                    grid = generator.sample(_GRID, seed=0)
                    drawn = generator.sample(_GRID, seed=0, **asked) if asked else grid  # type: ignore[arg-type]
                    line["diversity"] = diversity(drawn, faces[alike])
                if judged and generator is not None:
                    line |= _judge(generator, real, reader, recipe, state, out)
                    clock += time.perf_counter() - now  # judging is not training
                monitor.tick(line)
                for warning in health.tick(line):
                    log.warning("%s", warning)
                if generator is not None:
                    monitor.samples(grid, state.images, before)
                    generator.save(out / "last.safetensors")
                    save_state(out, state, recipe)
            if judged and fabric.broadcast(state.search.stopped):
                log.info(
                    "KID no better than by chance for %d evaluations: ended at %g kimg; the best, at %g, is in %s.",
                    recipe.patience, state.images / 1000, state.search.images / 1000, out / "best.safetensors",
                )  # fmt: skip
                break
            if stop and not done:
                log.warning("Stopped and saved at %g kimg; go on with `nijigan resume %s`.", state.images / 1000, out)
                raise KeyboardInterrupt
        if monitor is not None:
            monitor.timelapse()


def _judge(
    generator: Generator,
    real: RealFaces | None,
    reader: AttributeReader | None,
    recipe: Recipe,
    state: TrainingState,
    out: Path,
) -> dict[str, float | None]:
    """Score the averaged generator on val, keep it if it is the best yet, and say when the search is over."""
    assert real is not None
    kid, good = kid_and_yield(generator, real, recipe.evaluate_faces)
    scores = {} if reader is None else conditional_accuracy(generator, reader)
    accuracies = {f"accuracy-{name}": score.value for name, score in scores.items()}
    if state.search.record(kid.value, state.images, kid.high):
        metrics = {f"kid-{real.space.name}/val": kid.value, "yield/val": good.value}
        metrics |= {f"{name}/{reader.name}": value for name, value in accuracies.items()} if reader is not None else {}
        Generator(generator.module, replace(generator.header, metrics=metrics)).save(out / "best.safetensors")
    state.search.stopped = recipe.early_stop and state.search.stale >= recipe.patience
    return {"kid": kid.value, "kid_low": kid.low, "kid_high": kid.high, "yield": good.value} | accuracies


def _averaged_generator(
    recipe: Recipe, dataset: FaceDataset, labels: TrainingLabels, state: TrainingState
) -> Generator:
    """The averaged generator as a user will get it; training's random state is not touched."""
    module = state.ema.module
    device = next(module.parameters()).device
    seeds = range(_CALIBRATION_SEED, _CALIBRATION_SEED + _CALIBRATION)
    inputs = [torch.from_numpy(latents(seeds, recipe.latent.size, recipe.latent.prior)).to(device)]
    if labels.attributes:
        inputs.append(torch.from_numpy(choose(labels.attributes, labels.priors, seeds, {})).to(device))
    recalibrate(module, list(zip(*(torch.split(values, 64) for values in inputs), strict=True)))
    header = GeneratorHeader(
        generator=recipe.generator, latent=recipe.latent, resolution=recipe.resolution, attributes=labels.attributes,
        priors=labels.priors, kimg=state.images / 1000, recipe=recipe, origin=state.origin,
        dataset=TrainingSet(dataset.path.name, dataset.fingerprint, dataset.count("train")),
    )  # fmt: skip
    return Generator(module, header)


_FREE = {"name", "kimg", "snapshot_kimg", "tick_kimg", "evaluate_every", "evaluate_faces", "early_stop", "patience"}


def _check_same_game(recipe: Recipe, saved: Recipe) -> None:
    """Refuse to go on with another recipe than the checkpoint's; its length and cadences may differ."""
    then = asdict(saved)
    differing = [name for name, value in asdict(recipe).items() if name not in _FREE and then[name] != value]
    if differing:
        raise UserError(
            f"The checkpoint was trained with another {differing[0]} than recipe.json says; put it back, or start anew."
        )


def _crossed(before: int, after: int, every_kimg: float) -> bool:
    return after // (every_kimg * 1000) > before // (every_kimg * 1000)


@contextmanager
def _alone(out: Path, fabric: Fabric) -> Iterator[None]:
    """Keep every other training out of the folder; the first process holds the lock, all hear whether it could."""
    refusal = ""
    with ExitStack() as stack:
        if fabric.is_global_zero:
            try:
                stack.enter_context(locked(out / "run.lock"))
            except UserError as error:
                refusal = str(error)
            except OSError as error:
                refusal = f"Could not write {out}: {error.strerror or error}. Choose another place."
        if refusal := fabric.broadcast(refusal):
            raise UserError(refusal)
        yield


@contextmanager
def _failures_as_sentences(recipe: Recipe, out: Path) -> Iterator[None]:
    """Say a full disk and a full memory in a sentence; the checkpoints on the disk stay good."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch's out-of-memory errors are RuntimeErrors
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise TrainingFailedError(
            f"Out of memory with a batch of {recipe.batch_size}; try --batch-size "
            f"{max(2, recipe.batch_size // 2)}, or --accumulate {2 * recipe.accumulate}."
        ) from error
    except OSError as error:
        raise UserError(
            f"Could not write the run: {error.strerror or error}. Mend that and go on with `nijigan resume {out}`."
        ) from error
