"""Checkpoints: one safetensors file each, with JSON in its header. Never pickle."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

from nijigan.errors import UserError
from nijigan.files import replacing
from nijigan.networks.tensorfile import pack, unpack
from nijigan.recipe.recipe import Recipe
from nijigan.training.state import TrainingState

log = logging.getLogger("nijigan")
FORMAT = 2
"""Version 1, which wrote no number, has another order of the generator's micro-batches if accumulate > 2."""

_KEPT = 2  # a dying disk may cut off the newest; the one before is then still there


def save_checkpoint(
    folder: Path, images: int, tensors: dict[str, Tensor], state: dict[str, Any], best: int = 0
) -> Path:
    """Write `<folder>/<images>.safetensors`, whole or not at all, and remove all but the two newest and `best`."""
    path = folder / f"{images:012d}.safetensors"
    content = pack(tensors, json.dumps(state))
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    for old in _newest_first(folder)[_KEPT:]:
        if int(old.stem) != best:
            old.unlink()
    return path


def save_state(out: Path, state: TrainingState, recipe: Recipe) -> Path:
    """Write a checkpoint of a run, in its folder."""
    tensors, numbers = state.tensors()
    saved = numbers | {"format": FORMAT, "recipe": asdict(recipe)}
    return save_checkpoint(out / "checkpoints", state.images, tensors, saved, state.search.images)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest readable checkpoint as (tensors, state), or None when there is none yet.

    A damaged file is skipped with a warning.

    Raises:
        UserError: there are checkpoints, but none can be read, or a newer version of nijigan wrote them.
    """
    paths = _newest_first(folder)
    for path in paths:
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                text, tensors = unpack(file)
                state = json.loads(text or "")
                if state.get("format", 1) > FORMAT:
                    raise UserError(f"{path} was written by a newer nijigan; update nijigan to resume this run.")
                return tensors, state
        except (safetensors.SafetensorError, OSError, AttributeError, ValueError) as error:
            log.warning("%s is damaged (%s); trying the checkpoint before it.", path, error)
    if paths:
        raise UserError(f"No checkpoint in {folder} can be read; start again with `nijigan train` in a new folder.")
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.safetensors"), reverse=True)
