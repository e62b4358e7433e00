"""Checkpoints: one safetensors file each, with JSON in its header. Never pickle."""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

from nijigan.errors import TrainingFailedError, UserError
from nijigan.files import replacing
from nijigan.recipe.recipe import Recipe
from nijigan.tensors.tensorfile import pack, unpack
from nijigan.training.state import TrainingState

Checkpoint = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and all other values of the run's state."""

log = logging.getLogger("nijigan")
FORMAT = 2
"""Version 1, which wrote no number, has another order of the generator's micro-batches if accumulate > 2."""

_KINDS = {
    "images": int, "seconds": int | float, "search": dict, "scaler": dict, "origin": str, "format": int, "recipe": dict,
}  # fmt: skip
_KEPT = 2  # a dying disk may cut off the newest; the one before is then still there


def save_checkpoint(
    folder: Path, images: int, tensors: dict[str, Tensor], state: dict[str, Any], best: int = 0, every: bool = False
) -> Path:
    """Write `<folder>/<images>.safetensors`, whole or not at all.

    Unless `every` one is kept, all but the two newest and `best` are removed.
    """
    path = folder / f"{images:012d}.safetensors"
    content = pack(tensors, json.dumps(state))
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    for old in [] if every else _newest_first(folder)[_KEPT:]:
        if int(old.stem) != best:
            old.unlink()
    return path


def save_state(out: Path, state: TrainingState, recipe: Recipe) -> Path:
    """Write a checkpoint of a run, in its folder."""
    tensors, numbers = state.tensors()
    saved = numbers | {"format": FORMAT, "recipe": asdict(recipe)}
    best = 0 if recipe.keep == "last" else state.search.images
    return save_checkpoint(out / "checkpoints", state.images, tensors, saved, best, recipe.keep == "every")


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest readable checkpoint, or None when there is none yet; errors as in `load_checkpoints`."""
    return next(load_checkpoints(folder), None)


def load_checkpoints(folder: Path) -> Iterator[Checkpoint]:
    """The readable checkpoints, the newest first. A damaged one is skipped with a warning.

    Raises:
        UserError: there are checkpoints, but none can be read, or a newer version of nijigan wrote one.
    """
    paths = _newest_first(folder)
    readable = 0
    for path in paths:
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                text, tensors = unpack(file)
            state = _checked(json.loads(text or ""))
        except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
            reason = (str(error).splitlines() or ["unreadable"])[0][:100]
            rest = "; trying the checkpoint before it" if path != paths[-1] else ""
            log.warning("%s is damaged (%s)%s.", path, reason, rest)
            continue
        if state.get("format", 1) > FORMAT:
            raise UserError(f"{path} was written by a newer nijigan; update nijigan to resume this run.")
        readable += 1
        yield tensors, state
    if paths and not readable:
        raise UserError(
            f"No checkpoint in {folder} can be read: all are damaged. Train again, in a new folder or with --overwrite."
        )


def _checked(state: Any) -> dict[str, Any]:
    """The numbers of a checkpoint; a `ValueError` if one has the wrong type."""
    if not isinstance(state, dict):
        raise ValueError("its numbers are not a JSON object")
    for name, kind in _KINDS.items():
        if name in state and not isinstance(state[name], kind):
            raise ValueError(f"its {name} has the wrong type")
    if state.get("images", -1) < 0:
        raise ValueError("its count of images is missing")
    return state


def newest(folder: Path) -> int | None:
    """The images seen at the newest checkpoint, or None when there is none yet."""
    return next((int(path.stem) for path in _newest_first(folder)), None)


def not_finite(what: str, images: int, out: Path) -> TrainingFailedError:
    """The error for a run that has diverged; `what` is such as "A loss is"."""
    checkpoints = out / "checkpoints"
    saved = newest(checkpoints) is not None
    where = f"the last good checkpoint is in {checkpoints}" if saved else "no checkpoint was saved before"
    return TrainingFailedError(
        f"{what} no longer finite at {images / 1000:g} kimg; {where}. Lower the learning rate or the weight "
        "of a loss, or use --precision fp32."
    )


def _newest_first(folder: Path) -> list[Path]:
    paths = folder.glob("[0-9]*.safetensors")
    return sorted((path for path in paths if path.stem.isdecimal() and path.is_file()), reverse=True)
