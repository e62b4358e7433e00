"""Reading a run's folder, without training."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nijigan.errors import UserError, check
from nijigan.files import check_regular
from nijigan.jsonio import to_json

_KEYS = {"images", "kimg", "d_loss", "g_loss", "real_score", "fake_score"}

RUN_FILES = (
    "recipe.json", "run.json", "log.jsonl", "checkpoints", "samples", "plots", "tensorboard", "best.safetensors",
    "last.safetensors", "timelapse.webp", "evaluation", "evaluations",
)  # fmt: skip
"""The files and folders that a run writes into its folder, and where its evaluations are kept."""


@dataclass(frozen=True)
class RunInfo:
    """What a run needs to be resumed, apart from its recipe: `run.json`."""

    dataset: str
    """The dataset's folder."""
    fingerprint: str
    """The fingerprint of its content."""
    threads: int
    """torch's number of threads; another number rounds sums differently."""

    def __post_init__(self) -> None:
        check(self.dataset.isprintable(), "run.json names a dataset with control characters; correct its path.")

    def to_json(self) -> str:
        """The content of `run.json`."""
        return to_json(self)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log.jsonl, oldest first; lines that are cut off, damaged or hold text are skipped.

    Each has at least images, kimg, d_loss, g_loss, real_score and fake_score; those of an evaluation also have
    yield and kid with their intervals, recall and coverage. In runs of version 0.1, yield was another score; it is
    renamed to yield-manifold. Values are finite numbers or None; images and kimg are numbers.

    Raises:
        UserError: the file cannot be read.
    """
    path = folder / "log.jsonl"
    try:
        check_regular(path)
        texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):  # the latter for a generator file in place of a folder
        return []
    except OSError as error:
        raise UserError(f"Could not read {path}: {error.strerror or error}.") from error
    lines = []
    for text in texts:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and line.keys() >= _KEYS and _plottable(line):
            if "yield" in line and "coverage" not in line:
                line["yield-manifold"] = line.pop("yield")
            lines.append(line)
    return lines


def _plottable(line: dict[str, Any]) -> bool:
    return all(value is None or _number(value) for value in line.values()) and all(
        _number(line[key]) and line[key] >= 0 for key in ("images", "kimg")
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
