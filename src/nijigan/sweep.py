"""Sweeps: one training for each combination of settings and seeds, in sequence, and a page that compares them.

sweep(find_recipe("dcgan"), dataset, {"optimizer": ["adam", "sgd"], "objective": ["bce", "mse"]}, Path("sweeps/a"))
"""

import itertools
import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nijigan.dataset.faces import FaceDataset
from nijigan.errors import TrainingFailedError, UserError
from nijigan.files import locked, write_text
from nijigan.jsonio import parse_json, read_json, to_json
from nijigan.judges.evaluation import check_number
from nijigan.judges.real import check_judgeable
from nijigan.pages.comparison import write_comparison
from nijigan.pages.layout import check_page_place
from nijigan.pages.models import evaluated
from nijigan.pages.ranking import ComparedModel
from nijigan.recipe.parts import OptimizerConfig, ProjectedConfig
from nijigan.recipe.recipe import Recipe
from nijigan.runs import read_log
from nijigan.training import resume, train
from nijigan.training.dry_run import check_memory
from nijigan.training.session import Session
from nijigan.training.trainer import finished

MAX_RUNS = 1000
"""Combinations of a sweep."""
log = logging.getLogger("nijigan")

_BOTH = {"optimizer": "kind", "lr": "lr", "beta1": "beta1", "beta2": "beta2"}
"""Short names for a field of both optimizers."""
_SHOWN = 60  # characters of a value in a message


def sweep(
    recipe: Recipe,
    dataset: FaceDataset,
    vary: Mapping[str, Sequence[str]],
    out: Path,
    *,
    device: str = "auto",
    n: int = 2000,
) -> Path:
    """Train every combination in its own folder, evaluate each on val, and compare them in `compare.html`.

    What can be refused is refused before the first training and before anything is written. A second call on the same
    folder continues the sweep: finished runs are kept, interrupted runs are resumed, and runs
    that failed because of their settings are not repeated (remove the run's folder to repeat it). Other errors, such as
    a full disk or a locked folder, end the sweep and do not mark the run as failed.

    Args:
        recipe: the recipe that all combinations are based on.
        dataset: the faces.
        vary: field → values, written as on the command line. `optimizer`, `lr`, `beta1` and `beta2` apply to both
            networks.
        out: the sweep's folder.
        device: auto, cpu, cuda or mps.
        n: number of faces to generate for each evaluation.

    Returns:
        The path of the page.

    Raises:
        UserError: a field does not exist, a value is invalid for its field, a combination cannot be trained on this
            dataset or device, `out` contains another sweep or files of other programs, or another sweep is writing to
            it.
        KeyboardInterrupt: a signal came, such as Ctrl-C; the run under way is saved.
    """
    check_number(n)
    check_judgeable(dataset, "val")
    variants = combinations(recipe, vary)
    names = [_name(settings) for settings, _ in variants]
    definition = _SweepFile(recipe, dataset.fingerprint, {field: tuple(values) for field, values in vary.items()})
    _check_place(out, names, definition)
    _check_trainable({out / name: variant for name, (_, variant) in zip(names, variants, strict=True)}, dataset, device)
    with locked(out / "sweep.lock"):
        _check_place(out, names, definition)  # another sweep may have written to it
        write_text(out / "sweep.json", to_json(definition))
        return _run_all(variants, out, dataset, device, n)


def _run_all(
    variants: Sequence[tuple[dict[str, str], Recipe]], out: Path, dataset: FaceDataset, device: str, n: int
) -> Path:
    """Train, evaluate and compare; see `sweep`."""
    entries = []
    for number, (settings, variant) in enumerate(variants, 1):
        name = _name(settings)
        log.info("Run %d of %d: %s", number, len(variants), name)
        try:
            entries.append(_run(name, variant, dataset, out / name, device, n))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"Stopped in run {number} of {len(variants)}; repeat the command to continue the sweep."
            ) from None
    page = out / "compare.html"
    if not any(entry.metrics for entry in entries):
        raise UserError(f"Every run of the sweep failed; see failure.txt in each folder of {out}.")
    write_comparison(entries, page, axes={entry.name: dict(s) for entry, (s, _) in zip(entries, variants, strict=True)})
    return page


def combinations(recipe: Recipe, vary: Mapping[str, Sequence[str]]) -> list[tuple[dict[str, str], Recipe]]:
    """Every combination as (settings, recipe). All are valid; the last field varies fastest.

    Raises:
        UserError: as in `sweep`.
    """
    if not vary:
        raise UserError("A sweep needs a field to vary: add --vary FIELD=VALUE,VALUE, such as --vary lr=1e-4,2e-4.")
    _check_words(vary)
    count = math.prod(len(values) for values in vary.values())
    if count > MAX_RUNS:
        raise UserError(f"These values make {count:,} combinations, and each is a training; vary less.")
    variants = []
    for values in itertools.product(*vary.values()):
        settings = dict(zip(vary, values, strict=True))
        fields = asdict(recipe.reset_for(settings))
        for field, value in settings.items():
            _set(fields, field, value)
        where = "The combination " + ", ".join(f"{field}={_short(value)}" for field, value in settings.items())
        variants.append((settings, parse_json(Recipe, json.dumps(fields), where)))
        name = _name(settings)
        if len(name.encode()) > 200 or any(mark in name for mark in "/\\"):
            raise UserError(f"{where} cannot be used as the name of a folder; use short values without slashes.")
        for earlier, other in variants[:-1]:
            if _work(variants[-1][1]) == _work(other):
                raise UserError(f"{where} is the same training as {_name(earlier)}: what differs has no effect there.")
    if len({variant.resolution for _, variant in variants}) > 1:
        raise UserError("Faces of different resolutions cannot be compared; run one sweep for each resolution.")
    return variants


def _work(recipe: Recipe) -> Recipe:
    """A recipe without what changes no training: its name, and the size of a discriminator that it does not have."""
    size = recipe.projected.size if recipe.projected.weight else ProjectedConfig().size
    return replace(recipe, name="any", projected=replace(recipe.projected, size=size))


def _check_words(vary: Mapping[str, Sequence[str]]) -> None:
    """Refuse values that can be neither numbers nor words, or that are listed twice."""
    for field, values in vary.items():
        for index, value in enumerate(values):
            if not value.strip() or not (field + value).isprintable():
                raise UserError(
                    f"--vary {_short(field)}={_short(','.join(values))} is not valid; write FIELD=VALUE,VALUE, such as "
                    "lr=1e-4,2e-4, without empty values or control characters."
                )
            if value in values[:index]:
                raise UserError(f"{_short(field)} has the value {_short(value)} twice; list each value once.")
        if not values:
            raise UserError(f"{_short(field)} has no value; write FIELD=VALUE,VALUE, such as lr=1e-4,2e-4.")


def _short(value: str) -> str:
    return value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"


def _name(settings: Mapping[str, str]) -> str:
    return ",".join(f"{field}={value}" for field, value in settings.items())


def _set(fields: dict[str, Any], field: str, value: str) -> None:
    """Set a field of a recipe, given as nested dicts, to a value as written on the command line."""
    if field == "kimg":
        fields["epochs"] = None  # a length in epochs would override it
    paths = [f"{player}_optimizer.{_BOTH[field]}" for player in "gd"] if field in _BOTH else [field]
    for path in paths:
        *parents, last = path.replace("-", "_").split(".")
        place: Any = fields
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place or isinstance(place[last], dict):
            raise UserError(
                f"The recipe has no field {_short(field)}; vary a field such as batch_size or g_optimizer.lr, or one "
                f"of {', '.join(_BOTH)} for both networks."
            )
        try:
            place[last] = json.loads(value.lower() if value in ("True", "False") else value)
        except (ValueError, RecursionError):  # a plain word, or a number or list that no field can have
            place[last] = value


@dataclass(frozen=True)
class _SweepFile:
    """The definition of a sweep, stored in its folder."""

    recipe: Recipe
    dataset: str
    vary: dict[str, tuple[str, ...]]


def _check_place(out: Path, names: Sequence[str], definition: _SweepFile) -> None:
    """Refuse a folder that contains another sweep, or files that a sweep would write and no sweep wrote."""
    file, page = out / "sweep.json", out / "compare.html"
    check_page_place(page, overwrite=not file.exists())  # without sweep.json, any page is refused below
    if file.exists():
        try:
            # Fields that are missing from the file, because an older version wrote it, have their defaults.
            found = read_json(_SweepFile, file)
        except UserError as error:
            raise UserError(f"{file} is not the file of a sweep; choose another --out, or move it away.") from error
        if found != definition:
            raise UserError(f"{out} contains another sweep; choose another --out, or repeat the original command.")
        return
    for place in (page, *(out / name for name in names)):
        if os.path.lexists(place):
            raise UserError(
                f"{place} exists, and {out} has no sweep.json, so no sweep wrote it; choose another --out, or move it "
                "away."
            )


def _check_trainable(variants: Mapping[Path, Recipe], dataset: FaceDataset, device: str) -> None:
    """Refuse combinations that do not fit the dataset or the device. Runs that have begun are not checked again."""
    log.info("Checking the combinations.")
    seen: list[Recipe] = []
    for folder, variant in variants.items():
        # Seeds and optimizers do not matter here; checking each would take long.
        shape = replace(variant, seed=0, g_optimizer=OptimizerConfig(), d_optimizer=OptimizerConfig())
        if shape in seen or (folder / "recipe.json").exists():
            continue
        seen.append(shape)
        try:
            check_memory(Session.new(variant, dataset, device))
        except UserError as error:
            raise UserError(f"The combination {folder.name} cannot be trained: {error}") from error


def _run(name: str, recipe: Recipe, dataset: FaceDataset, folder: Path, device: str, n: int) -> ComparedModel:
    """Train or resume one combination; a failure becomes part of the result."""
    failure = folder / "failure.txt"
    if not failure.exists():
        try:
            if not (folder / "recipe.json").exists():
                train(recipe, dataset, folder, device=device)
            elif not finished(folder):
                resume(folder, dataset=dataset, device=device)
        except TrainingFailedError as error:
            write_text(failure, f"{error}\n")
        except UserError:
            raise
        except Exception as error:  # a bug that only these settings trigger: the other runs must continue
            log.debug("Traceback of the failure:", exc_info=True)
            write_text(failure, f"{error!r}\n")
    if not failure.exists():
        return evaluated(str(folder), dataset, name=name, n=n)
    sentence = failure.read_text(encoding="utf-8").strip()
    log.warning("%s failed: %s", name, sentence)
    return ComparedModel(name=name, metrics=None, samples=None, seconds=None, curve=read_log(folder), error=sentence)
