"""The progress of a training run, read from its folder while another process trains.

    read_progress(Path("runs/a"))   # what the live page shows, as JSON

Everything may be missing, half written or replaced in the middle of a read: the page asks again in a few seconds.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import harmonic_mean, median
from typing import Any, Literal

from nijigan.errors import UserError
from nijigan.jsonio import read_json
from nijigan.pages.text import showable
from nijigan.recipe.recipe import Recipe
from nijigan.runs import is_locked, read_log, snapshots_of

State = Literal["new", "running", "finished", "stopped"]

MOST_POINTS = 500
"""Points of one curve; a longer curve is decimated."""
REPORT = Path("evaluation") / "report.html"
"""Where `nijigan evaluate` writes the report of a run."""

_PULSE = 120.0  # seconds without a sign of life after which a run may have stopped
_SILENT_TICKS = 4  # or as many intervals between log lines, if that is longer
_RECENT = 5  # log lines over which speed is averaged
_PULSES = ("log.jsonl", "checkpoints", "samples", "recipe.json")
_LATEST = (
    ("yield", "share of faces that people keep", 1, True), ("kid", "KID × 1000 on validation faces", 1000, False),
    ("d_loss", "loss of the discriminator", 1, False), ("g_loss", "loss of the generator", 1, False),
    ("real_score", "score of real faces", 1, False), ("fake_score", "score of generated faces", 1, False),
    ("diversity", "diversity, compared with real faces", 1, True),
)  # fmt: skip
"""Key of a log line, label, factor, and whether the value is a share."""
_INTERVALS = ("yield", "kid")  # keys of scores whose 95 % interval is logged too

Line = dict[str, Any]
Point = list[float]


def read_progress(run: Path, now: float | None = None) -> dict[str, Any]:
    """What is known of a run.

    Args:
        run: the run's folder; it need not exist yet.
        now: seconds since 1970. Default: the clock.

    Returns:
        Values for JSON, all finite:

        - `name` of the folder, `recipe` (name or None), `resolution` in pixels or None
        - `state`: `new` (no log line yet), `running`, `finished` or `stopped`
        - `images`, `kimg`; `total_kimg` and `fraction` (0 to 1), None if the length is not known
        - `images_per_second`, `seconds` trained, `seconds_left` (None unless the run is under way), `updated`: seconds
          since 1970 of the last sign of life
        - `latest`: `label` and `value` of the last scores and losses, and whether it is a `share`
        - `charts`: `name`, `title`, `share` (whether values are shares), `curves` with a `label`, at most
          `MOST_POINTS` `points` [kimg, value] and a `band` of [kimg, low, high]
        - `warnings`: kimg and sentence, the oldest first
        - `grids`: name and kimg of the sample grids, the oldest first
        - `report`: whether there is the report of an evaluation
        - `problem`: a sentence if there is no folder or the log cannot be read, or None
    """
    now = time.time() if now is None else now
    recipe, lines = _recipe(run), []
    problem = None if run.is_dir() else f"There is no folder {showable(run.resolve().name)}; it was moved or removed."
    try:
        lines = read_log(run)
    except UserError as error:
        problem = showable(str(error))
    total = _total(recipe)
    images = int(lines[-1]["images"]) if lines else 0
    updated = _updated(run)
    state = _state(run, lines, images, total, now - updated if updated else None)
    speed = _speed(lines)
    under_way = state == "running" and speed and total
    return {
        "name": showable(run.resolve().name),
        "recipe": showable(recipe.name) if recipe else None,
        "resolution": recipe.resolution if recipe else None,
        "state": state,
        "images": images,
        "kimg": images / 1000,
        "total_kimg": total / 1000 if total else None,
        "fraction": min(1.0, images / total) if total else None,
        "images_per_second": speed,
        "seconds": lines[-1].get("seconds") if lines else None,
        "seconds_left": max(0, total - images) / speed if under_way and speed and total else None,
        "updated": updated,
        "latest": _latest(lines),
        "charts": _charts(lines),
        "warnings": _warnings(recipe, lines),
        "grids": [{"name": path.stem, "kimg": seen / 1000} for path, seen in _grids(run)],
        "report": (run / REPORT).is_file(),
        "problem": problem,
    }


def _recipe(run: Path) -> Recipe | None:
    """The run's recipe; None if it is missing, half written or of another version of nijigan."""
    with suppress(UserError):
        return read_json(Recipe, run / "recipe.json")
    return None


def _total(recipe: Recipe | None) -> int | None:
    """The run's length in images: whole batches."""
    if recipe is None or not recipe.kimg:
        return None
    return recipe.images


def _grids(run: Path) -> list[tuple[Path, int]]:
    with suppress(OSError):  # the folder was replaced meanwhile
        return snapshots_of(run)
    return []


def _updated(run: Path) -> float | None:
    """When something in the run's folder changed last, in seconds since 1970."""
    times = []
    for name in _PULSES:
        with suppress(OSError):
            times.append((run / name).stat().st_mtime)
    return max(times, default=None)


def _state(run: Path, lines: Sequence[Line], images: int, total: int | None, silent: float | None) -> State:
    """Whether the run goes on.

    Args:
        run: its folder.
        lines: its log lines.
        images: images seen.
        total: images at its end, if known.
        silent: seconds since the last sign of life; None if there was none.
    """
    if lines and ((total and images >= total) or _ended_early(run)):
        return "finished"
    going: State = "running" if lines else "new"
    ticks = [later - earlier for earlier, later in zip(_seconds(lines), _seconds(lines)[1:], strict=False)]
    patience = max(_PULSE, _SILENT_TICKS * median(ticks)) if ticks else _PULSE
    if silent is None or silent < patience or is_locked(run):
        return going  # not None: evaluations may take long, and the lock is what tells then
    return "stopped"


def _seconds(lines: Sequence[Line]) -> list[float]:
    return [line["seconds"] for line in lines[-_RECENT - 1 :] if line.get("seconds") is not None]


def _ended_early(run: Path) -> bool:
    """Whether the run has written its timelapse after its last log line, which is the last thing that a run does."""
    with suppress(OSError):
        return (run / "timelapse.webp").stat().st_mtime >= (run / "log.jsonl").stat().st_mtime
    return False


def _speed(lines: Sequence[Line]) -> float | None:
    """Images per second over the last log lines."""
    rates = [float(line["images_per_second"]) for line in lines[-_RECENT:] if (line.get("images_per_second") or 0) > 0]
    return harmonic_mean(rates) if rates else None


def _latest(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The last value of each number that the page shows as such."""
    found = []
    for key, label, scale, share in _LATEST:
        value = next((line[key] for line in reversed(lines) if line.get(key) is not None), None)
        if value is not None:
            found.append({"label": label, "value": scale * value, "share": share})
    return found


def _charts(lines: Sequence[Line]) -> list[dict[str, Any]]:
    if not lines:
        return []
    from nijigan.training.observer.figures import SHARES, figures

    measured = {key for line in lines for key, value in line.items() if value is not None}
    charts = []
    for figure in figures(measured):
        curves = []
        for key, label in figure.curves.items():
            points = [[line["kimg"], figure.scale * line[key]] for line in lines if line.get(key) is not None]
            if points:
                band = _band(lines, key, figure.scale) if key in _INTERVALS else []
                curves.append({"label": showable(label), "points": decimated(points), "band": band})
        shares = figure.name in SHARES
        charts.append({"name": figure.name, "title": figure.title, "share": shares, "curves": curves})
    return charts


def _band(lines: Sequence[Line], key: str, scale: float) -> list[Point]:
    """The 95 % interval of a score: [kimg, low, high]; nothing if there are too many to be drawn."""
    ends = [(line["kimg"], line.get(f"{key}_low"), line.get(f"{key}_high")) for line in lines]
    found = [[kimg, scale * low, scale * high] for kimg, low, high in ends if low is not None and high is not None]
    return found if len(found) <= MOST_POINTS else []


def decimated(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most `most` of the points [kimg, value], 2 or more: the lowest and the highest of each stretch.

    A mean would hide the one tick at which a loss ran away.
    """
    if len(points) <= most:
        return list(points)
    stretches = most // 2
    kept: list[Point] = []
    for index in range(stretches):
        part = range(index * len(points) // stretches, (index + 1) * len(points) // stretches)
        ends = {min(part, key=lambda i: points[i][1]), max(part, key=lambda i: points[i][1])}
        if index == stretches - 1:  # the end of the curve is what is looked at
            ends = {max(ends, key=lambda i: abs(points[i][1] - points[-1][1])), len(points) - 1}
        kept += [points[i] for i in sorted(ends)]
    return kept


def _warnings(recipe: Recipe | None, lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The warnings that the training has given; they follow from its log lines."""
    if recipe is None or not lines:
        return []
    from nijigan.training.observer.health import Health  # loads torch

    health = Health(recipe)
    return [{"kimg": line["kimg"], "text": text} for line in lines for text in health.tick(line)]
