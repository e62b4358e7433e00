"""Sweeps: the same training over a grid of settings and seeds, one after another, ending in a page that compares them.

sweep(find_recipe("dcgan"), dataset, {"optimizer": ["adam", "sgd"], "objective": ["bce", "mse"]}, Path("sweeps/a"))
"""

import itertools
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nijigan.dataset.faces import FaceDataset
from nijigan.errors import TrainingFailedError, UserError
from nijigan.files import write_text
from nijigan.jsonio import parse_json, read_json, to_json
from nijigan.judges.evaluation import check_number
from nijigan.judges.real import check_judgeable
from nijigan.pages.comparison import ComparedModel, compare
from nijigan.pages.models import evaluated
from nijigan.recipe.recipe import Recipe
from nijigan.runs import read_log
from nijigan.training import resume, train
from nijigan.training.trainer import finished

log = logging.getLogger("nijigan")

_BOTH = {"optimizer": "kind", "lr": "lr", "beta1": "beta1", "beta2": "beta2"}
"""Names that stand for a field of both optimizers."""


def sweep(
    recipe: Recipe,
    dataset: FaceDataset,
    vary: Mapping[str, Sequence[str]],
    out: Path,
    *,
    device: str = "auto",
    n: int = 2000,
) -> Path:
    """Train every combination into a folder of its own, judge each on val, and compare them in `compare.html`.

    Called again on the same folder it goes on where it was: finished runs are kept, a run that was cut off is resumed,
    one that its settings brought down is not tried again (remove its folder to do so). Whatever else goes wrong, a full
    disk or a busy folder, ends the sweep and is no run's fault.

    Args:
        recipe: what the combinations share.
        dataset: the faces.
        vary: field → values, as they would be typed after the field's flag; `optimizer`, `lr`, `beta1` and `beta2` set
            those of both networks.
        out: the sweep's folder.
        device: auto, cpu, cuda or mps.
        n: faces drawn to judge each.

    Returns:
        The page.

    Raises:
        UserError: there is no such field, a value does not fit it, or `out` holds another sweep.
    """
    check_number(n)
    check_judgeable(dataset, "val")
    cells = combinations(recipe, vary)
    _same_sweep(out, recipe, dataset, vary)
    entries = []
    for number, (settings, cell) in enumerate(cells, 1):
        name = _name(settings)
        log.info("Run %d of %d: %s", number, len(cells), name)
        entries.append(_run(name, cell, dataset, out / name, device, n))
    page = out / "compare.html"
    if not any(entry.metrics for entry in entries):
        raise UserError(f"Every run of the sweep failed; the reasons are in failure.txt in each folder of {out}.")
    compare(entries, page, axes={entry.name: dict(s) for entry, (s, _) in zip(entries, cells, strict=True)})
    return page


def combinations(recipe: Recipe, vary: Mapping[str, Sequence[str]]) -> list[tuple[dict[str, str], Recipe]]:
    """Every combination as (settings, recipe), all of them valid, the last field varying fastest.

    Raises:
        UserError: as in `sweep`.
    """
    if not vary:
        raise UserError("A sweep varies something: add --vary FIELD=VALUE,VALUE, such as --vary lr=1e-4,2e-4.")
    cells = []
    for values in itertools.product(*vary.values()):
        settings = dict(zip(vary, values, strict=True))
        fields = asdict(recipe.reset_for(settings))
        for field, value in settings.items():
            _set(fields, field, value)
        where = "The combination " + ", ".join(f"{field}={value}" for field, value in settings.items())
        cells.append((settings, parse_json(Recipe, json.dumps(fields), where)))
        name = _name(settings)
        if len(name.encode()) > 200 or any(mark in name for mark in "/\\"):
            raise UserError(f"{where} makes no name for a folder; vary fields with short, plain values.")
        if any(cells[-1][1] == other for _, other in cells[:-1]):
            raise UserError(f"{where} is the same training as another one; name each value once.")
    if len({cell.resolution for _, cell in cells}) > 1:
        raise UserError("Faces of different resolutions cannot be compared; sweep each resolution on its own.")
    return cells


def _name(settings: Mapping[str, str]) -> str:
    return ",".join(f"{field}={value}" for field, value in settings.items())


def _set(fields: dict[str, Any], field: str, value: str) -> None:
    """Put a value, as typed, into the nested fields of a recipe."""
    if field == "kimg":
        fields["epochs"] = None  # a recipe's length in epochs would outweigh it
    paths = [f"{player}_optimizer.{_BOTH[field]}" for player in "gd"] if field in _BOTH else [field]
    for path in paths:
        *parents, last = path.replace("-", "_").split(".")
        place: Any = fields
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place or isinstance(place[last], dict):
            raise UserError(
                f"There is no field {field} to vary; name one of the recipe's, such as batch_size or g_optimizer.lr, "
                f"or {', '.join(_BOTH)} for both networks."
            )
        try:
            place[last] = json.loads(value.lower() if value in ("True", "False") else value)
        except json.JSONDecodeError:  # a word
            place[last] = value


@dataclass(frozen=True)
class _Plan:
    """What a sweep is, kept in its folder."""

    recipe: Recipe
    dataset: str
    vary: dict[str, tuple[str, ...]]


def _same_sweep(out: Path, recipe: Recipe, dataset: FaceDataset, vary: Mapping[str, Sequence[str]]) -> None:
    """Write down what the sweep is, or refuse to mix it with another."""
    plan, file = _Plan(recipe, dataset.fingerprint, {k: tuple(v) for k, v in vary.items()}), out / "sweep.json"
    # A field that this version has and the one that began the sweep had not is at its default.
    if file.exists() and read_json(_Plan, file) != plan:
        raise UserError(f"{out} holds another sweep; choose another --out, or type what you typed then.")
    write_text(file, to_json(plan))


def _run(name: str, recipe: Recipe, dataset: FaceDataset, folder: Path, device: str, n: int) -> ComparedModel:
    """Train one combination, or go on with it; a failure becomes part of the result."""
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
        except Exception as error:  # a bug that these settings found: the other runs must go on
            log.debug("The failure in full:", exc_info=True)
            write_text(failure, f"{error!r}\n")
    if not failure.exists():
        return evaluated(str(folder), dataset, name=name, n=n)
    sentence = failure.read_text(encoding="utf-8").strip()
    log.warning("%s failed: %s", name, sentence)
    return ComparedModel(name=name, metrics=None, samples=None, seconds=None, curve=read_log(folder), error=sentence)
