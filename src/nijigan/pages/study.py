"""What a student study shows, from a run of its recipe: its table, curves and pictures by epoch, on one page."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError, check
from nijigan.jsonio import read_json
from nijigan.pages.charts import Line, chart, points
from nijigan.pages.layout import Picture, pictures, seeded, write_page
from nijigan.recipe.recipe import Recipe
from nijigan.recipe.studies import Row, Study, here
from nijigan.runs import RunInfo, read_log, snapshots_of

_LOSSES, _SCORES = ("g_loss", "d_loss"), ("real_score", "fake_score")
_WINDOW = 10  # log lines over which volatility is averaged
_SHOWN = 32  # real faces beside as many generated ones
_GRIDS = 6  # of a study that names no epochs
_NEAR = 0.1  # epochs: a round that ends an epoch may end that much later, and one that is this short of it counts


@dataclass(frozen=True)
class EpochRow:
    """One row of the table: what the study says of an epoch, and what the run did."""

    epoch: int
    theirs: Row | None
    ours: Line | None
    """Means over the epoch's log lines; None if the run did not reach it, or has no line in it."""
    judged: Line | None
    """The evaluation at the end of the epoch, if there was one."""


def write_study(study: Study, run: Path, out: Path) -> None:
    """Write the page.

    Args:
        study: what to show.
        run: the folder of a run.
        out: the page, .html, written whole or not at all.

    Raises:
        UserError: there is no run, or it has no log line yet.
    """
    check((run / "recipe.json").is_file(), f"There is no run in {run}; name the folder of a run of {study.recipes[0]}.")
    recipe = read_json(Recipe, run / "recipe.json")
    lines = [line for line in read_log(run) if (line.get("epoch") or 0) > 0]
    check(bool(lines), f"The run in {run} has no log line yet; let it train on.")
    epochs = study.epochs or (0, *sorted({round(line["epoch"]) for line in lines if "yield" in line} - {0}))
    face_count, real = _real_faces(run, recipe.resolution)
    write_page(
        out,
        "study.html",
        title=f"{study.authors}: {run.name}",
        study=study,
        claims=[(claim.claimed, here(study, claim)) for claim in study.claims],
        recipe=recipe,
        foreign=recipe.name not in study.recipes,
        face_count=face_count,
        reached=lines[-1],
        rows=table(study, epochs, lines),
        charts=_charts(lines),
        findings=findings(lines),
        grids=_grids(run, epochs, lines),
        real=pictures(real, ["real training face"] * len(real)),
        generated=_generated(run),
    )


def table(study: Study, epochs: Sequence[int], lines: Sequence[Line]) -> list[EpochRow]:
    """The rows for the epochs that the study or the run has figures of."""
    theirs = {row.epoch: row for row in study.table}
    rows = [EpochRow(epoch, theirs.get(epoch), _during(epoch, lines), _judged(epoch, lines)) for epoch in epochs]
    return [row for row in rows if row.theirs or row.ours or row.judged]


def findings(lines: Sequence[Line]) -> list[str]:
    """What the losses and scores of a run say, in sentences."""
    sums = sum_of_losses(lines)
    found = []
    if sums:
        epoch, lowest = min(sums, key=lambda point: point[1])
        found.append(f"The sum of both losses is lowest at epoch {_age(epoch)}: {lowest:z.2f}.")
    judged = _evaluations(lines)
    if judged:
        best = max(judged, key=lambda line: line["yield"])
        least = min(judged, key=lambda line: line["kid"])
        found.append(
            f"Of {len(judged)} evaluations, yield is highest at epoch {_age(best['epoch'])} "
            f"({100 * best['yield']:.0f} %), and KID is lowest at epoch {_age(least['epoch'])} "
            f"({1000 * least['kid']:,.0f} × 10⁻³)."
        )
    moves = volatility(lines, "g_loss")
    third = len(moves) // 3
    if third:
        first, last = (np.mean([value for _, value in part]) for part in (moves[:third], moves[-third:]))
        found.append(
            f"From one log line to the next, G's loss changes by {first:.3f} on average in the first third of the run, "
            f"and by {last:.3f} in the last."
        )
    return found


def _age(epoch: float) -> str:
    """Such as 5, or 5.1."""
    return f"{round(epoch, 1):g}"


def sum_of_losses(lines: Sequence[Line]) -> list[tuple[float, float]]:
    """(epoch, G's loss plus D's) of the lines that have both: the aggregate loss of Chen, Ning and Lin."""
    both = [line for line in lines if all(line.get(key) is not None for key in _LOSSES)]
    return [(line["epoch"], line["g_loss"] + line["d_loss"]) for line in both]


def volatility(lines: Sequence[Line], key: str) -> list[tuple[float, float]]:
    """(epoch, mean absolute change from line to line over the last ten changes) of a loss."""
    path = points(lines, key, over="epoch")
    changes = np.abs(np.diff([value for _, value in path]))
    return [(path[end][0], float(changes[max(0, end - _WINDOW) : end].mean())) for end in range(1, len(path))]


def _during(epoch: int, lines: Sequence[Line]) -> Line | None:
    """Means of losses and scores over the lines of the epoch that ends with this number.

    A line says what happened since the one before it. If none is within the epoch, the next one says it.
    """
    if not lines or lines[-1]["epoch"] < epoch - _NEAR:
        return None
    inside = [line for line in lines if epoch - 1 < line["epoch"] <= epoch + 1e-9]
    inside = inside or [line for line in lines if line["epoch"] > epoch][:1] or [lines[-1]]
    means = {key: [line[key] for line in inside if line.get(key) is not None] for key in (*_LOSSES, *_SCORES)}
    return {key: float(np.mean(values)) for key, values in means.items()} if all(means.values()) else None


def _judged(epoch: int, lines: Sequence[Line]) -> Line | None:
    """The evaluation at the end of an epoch."""
    judged = [line for line in _evaluations(lines) if abs(line["epoch"] - epoch) < _NEAR]
    return min(judged, key=lambda line: abs(line["epoch"] - epoch), default=None)


def _evaluations(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.get("yield") is not None and line.get("kid") is not None]


def _charts(lines: Sequence[Line]) -> list[object]:
    over = "epoch"
    charts = [
        chart("Loss", [(name, points(lines, key, over=over)) for key, name in _names(_LOSSES)], over=over),
        chart("Discriminator score", [(n, points(lines, key, over=over)) for key, n in _names(_SCORES)], over=over),
        chart("Sum of both losses", [("sum", sum_of_losses(lines))], over=over),
        chart("Volatility of the losses", [(name, volatility(lines, key)) for key, name in _names(_LOSSES)], over=over),
        chart("Yield in %", [("yield", points(lines, "yield", 100, over))], over=over),
        chart("KID × 1000", [("KID", points(lines, "kid", 1000, over))], log=True, over=over),
    ]
    return [drawing for drawing in charts if drawing]


def _names(keys: Sequence[str]) -> list[tuple[str, str]]:
    names = {"g_loss": "generator", "d_loss": "discriminator", "real_score": "real faces", "fake_score": "generated"}
    return [(key, names[key]) for key in keys]


def _grids(run: Path, epochs: Sequence[int], lines: Sequence[Line]) -> list[tuple[str, Picture]]:
    """For each epoch that was reached, the sample grid at its end; without epochs, some grids at equal distances."""
    per_epoch = lines[-1]["images"] / lines[-1]["epoch"]
    found, snapshots = [], snapshots_of(run)
    chosen = [(f"after epoch {epoch}", epoch) for epoch in epochs if epoch]
    if not chosen and snapshots:
        places = np.linspace(0, len(snapshots) - 1, _GRIDS).round().astype(int)
        ages = {snapshots[place][1] / per_epoch for place in places}
        chosen = [(f"after epoch {_age(age)}", age) for age in sorted(ages - {0})]
    for name, age in [("before training", 0), *chosen]:
        path, images = min(snapshots, key=lambda grid: abs(grid[1] - age * per_epoch), default=(None, 0))
        if path is not None and abs(images / per_epoch - age) < (_NEAR if age else 1e-9):
            with suppress(OSError), Image.open(path) as picture:
                image = np.asarray(picture.convert("RGB"))[None]
                found.append((name, pictures(image, [f"the same latents {name}"])[0]))
    return found


def _real_faces(run: Path, resolution: int) -> tuple[int | None, Images]:
    """How many training faces the run has, and some of them; none if its dataset is gone or has changed."""
    info = read_json(RunInfo, run / "run.json")
    with suppress(UserError, OSError):
        dataset = FaceDataset(Path(info.dataset))
        if dataset.fingerprint == info.fingerprint:
            pixels = dataset.pixels("train", resolution)
            places = np.linspace(0, len(pixels) - 1, min(_SHOWN, len(pixels))).astype(int)
            return len(pixels), pixels[places]
    return None, np.empty((0, 1, 1, 3), np.uint8)


def _generated(run: Path) -> list[Picture]:
    from nijigan.generator.generator import Generator  # imports torch

    with suppress(UserError):
        return seeded(Generator.load(run / "last.safetensors").sample(_SHOWN, seed=0))
    return []
