"""Reading a run's folder, without training."""

import json
import platform
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from nijigan.errors import UserError, check
from nijigan.files import check_regular
from nijigan.jsonio import to_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_KEYS = {"images", "kimg", "d_loss", "g_loss", "real_score", "fake_score"}

RUN_FILES = (
    "recipe.json", "run.json", "log.jsonl", "checkpoints", "snapshots", "samples", "plots", "tensorboard",
    "best.safetensors", "last.safetensors", "timelapse.webp", "evaluation", "evaluations",
)  # fmt: skip
"""The files and folders that a run writes into its folder, and where its evaluations are kept."""


_SNAPSHOT = re.compile(r"kimg-([0-9]{6,12})(?:_([0-9]{3}))?")
_PACKAGES = ("torch", "numpy", "pillow", "safetensors", "lightning-fabric")


@dataclass(frozen=True)
class Environment:
    """What a training ran on, to reproduce it by."""

    command: str
    """The program and its arguments."""
    version: str
    """The version of nijigan; with the commit if it runs from a git checkout, and + if files there have changed."""
    machine: str
    """System, processor and device."""
    packages: dict[str, str]
    """Versions of Python and of the packages that compute."""

    @classmethod
    def here(cls, device: str) -> Self:
        """This process, which trains on a device of that name."""
        packages = {"python": platform.python_version()}
        for name in _PACKAGES:
            with suppress(metadata.PackageNotFoundError):
                packages[name] = metadata.version(name)
        words = [word if word.isprintable() else ascii(word)[1:-1] for word in sys.argv]
        version = metadata.version("nijigan") + _commit()
        machine = f"{platform.system()} {platform.machine()}, {_processor()}, {device}"
        return cls(shlex.join(words), version, machine, packages)


def is_locked(run: Path) -> bool:
    """Whether a process trains in this folder. Where the system cannot tell, none does."""
    if fcntl:
        try:
            with (run / "run.lock").open("rb") as file:  # a shared lock, for a moment: readers do not see each other
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return isinstance(error, BlockingIOError)
    return False


def _commit() -> str:
    """The commit of the checkout that this file is in, such as ` 1a2b3c4d+`; empty outside of one."""
    place = Path(__file__).parent
    if not (place.parents[1] / ".git").exists():
        return ""
    command = ["git", "-C", str(place), "describe", "--always", "--dirty=+", "--abbrev=8", "--exclude", "*"]
    with suppress(OSError, subprocess.SubprocessError):
        return " " + subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    return ""


def _processor() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


@dataclass(frozen=True)
class RunInfo:
    """What a run needs to be resumed, apart from its recipe, and what it ran on: `run.json`."""

    dataset: str
    """The dataset's folder."""
    fingerprint: str
    """The fingerprint of its content."""
    threads: int
    """torch's number of threads; another number rounds sums differently."""
    environments: tuple[Environment, ...] = ()
    """What the run began on, and what it was resumed on if that differs. A run that version 0.1 began has only what it
    was resumed on later."""

    def __post_init__(self) -> None:
        check(self.dataset.isprintable(), "run.json names a dataset with control characters; correct its path.")

    def continued(self, environment: Environment) -> Self:
        """The same with one more environment, unless only the command differs from the last."""
        if self.environments and replace(self.environments[-1], command="") == replace(environment, command=""):
            return self
        return replace(self, environments=(*self.environments, environment))

    def to_json(self) -> str:
        """The content of `run.json`."""
        return to_json(self)


def snapshots_of(folder: Path, part: str = "samples", suffix: str = ".png") -> list[tuple[Path, int]]:
    """The sample grids of a run with the image counts in their names, the oldest first; other files are not the run's.

    For a whole kimg the count is up to one round less than the images seen. Checkpoints are written between rounds, so
    comparing with a checkpoint's count is exact.

    Args:
        folder: the run's folder.
        part: the folder in it: `samples`, or `snapshots` for generators.
        suffix: of the files there.
    """
    named = [(path, _SNAPSHOT.fullmatch(path.stem)) for path in (folder / part).glob(f"kimg-*{suffix}")]
    files = [(path, int(name[1]) * 1000 + int(name[2] or 0)) for path, name in named if name and path.is_file()]
    return sorted(files, key=lambda file: file[1])


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
