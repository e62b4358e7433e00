"""Reading a run's folder, without training."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nijigan.jsonio import to_json

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

    def to_json(self) -> str:
        """The content of `run.json`."""
        return to_json(self)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log.jsonl, oldest first; lines that are cut off or damaged are skipped.

    Each has at least images, kimg, d_loss, g_loss, real_score and fake_score; those of an evaluation also have kid,
    kid_low, kid_high and yield.
    """
    path = folder / "log.jsonl"
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if isinstance(line, dict) and line.keys() >= {"images", "kimg", "d_loss", "g_loss", "real_score", "fake_score"}:
            lines.append(line)
    return lines
