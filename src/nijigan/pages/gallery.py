"""The files of an evaluation: `metrics.json`, and `report.html` with its pictures."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Images
from nijigan.errors import UserError
from nijigan.files import write_text
from nijigan.generator.generator import Generator
from nijigan.judges.evaluation import Evaluation
from nijigan.judges.faults import Fault, worst_fault
from nijigan.judges.results import Metrics
from nijigan.pages.layout import check_page_place
from nijigan.pages.report import Gallery, write_report
from nijigan.runs import read_log

_SAMPLES, _EXTREMES, _PAIRS, _PER_VALUE = 64, 24, 12, 8  # faces shown


def check_evaluation_place(out: Path, overwrite: bool = False) -> None:
    """Refuse, with a `UserError`, a folder in which `write_evaluation` would replace files that nijigan did not write.

    Args:
        out: the folder.
        overwrite: allow any files to be replaced.
    """
    check_page_place(out / "report.html", overwrite)
    metrics = out / "metrics.json"
    if metrics.exists() and not metrics.is_file():
        raise UserError(f"{metrics} is not an ordinary file; choose another --out.")
    if metrics.exists() and not overwrite:
        try:
            Metrics.read(metrics)
        except UserError as error:
            raise UserError(
                f"{metrics} exists and is not a file that nijigan wrote; choose another --out, or replace it with "
                "--overwrite."
            ) from error


def write_evaluation(evaluation: Evaluation, generator: Generator, out: Path, run: Path | None = None) -> Path:
    """Write `metrics.json` and `report.html` into a folder.

    Args:
        evaluation: the evaluation of `generator`.
        generator: generates the faces that the report shows again, from their seeds.
        out: the folder.
        run: the run folder that the generator came from, if any; the report shows its curves.

    Returns:
        The path of the report.
    """
    best, worst = _extremes(evaluation, generator)
    gallery = Gallery(
        samples=_samples(evaluation, generator),
        best=best,
        worst=worst,
        nearest=_nearest(evaluation, generator),
        faults=_faults(evaluation, generator),
        verdict=worst_fault(evaluation.faults),
        curves=read_log(run) if run else [],
        requested=_requested(evaluation, generator),
    )
    write_text(out / "metrics.json", evaluation.metrics.to_json())
    write_report(evaluation.metrics, gallery, out / "report.html")
    return out / "report.html"


def _samples(evaluation: Evaluation, generator: Generator) -> Images:
    protocol = evaluation.metrics.protocol
    return generator.sample(min(_SAMPLES, protocol.n_fake), seed=protocol.seed, psi=protocol.psi)


def _extremes(evaluation: Evaluation, generator: Generator) -> tuple[Images, Images]:
    """The faces that people would most probably keep, and throw away, most extreme first."""
    order = np.argsort(evaluation.scored.keep, kind="stable")
    best, worst = order[::-1][:_EXTREMES], order[:_EXTREMES]
    return _faces(evaluation, generator, best), _faces(evaluation, generator, worst)


def _faults(evaluation: Evaluation, generator: Generator) -> list[tuple[Fault, Images]]:
    """The four faults with the faces that show them, the worst first."""
    protocol = evaluation.metrics.protocol
    real = evaluation.real.dataset.pixels(protocol.split, protocol.resolution)
    return [
        (fault, real[fault.rows] if fault.name == "narrow" else _faces(evaluation, generator, fault.rows))
        for fault in evaluation.faults
    ]


def _nearest(evaluation: Evaluation, generator: Generator) -> list[tuple[Images, Images, float]]:
    """The generated faces closest to the training set, each with its nearest training face and their distance."""
    scored = evaluation.scored
    training = evaluation.real.dataset.pixels("train", evaluation.metrics.protocol.resolution)
    closest = np.argsort(scored.distance)[:_PAIRS]
    return [
        (face, np.asarray(training[scored.nearest[row]]), float(scored.distance[row]))
        for face, row in zip(_faces(evaluation, generator, closest), closest, strict=True)
    ]


def _requested(evaluation: Evaluation, generator: Generator) -> dict[str, Images]:
    """By attribute K×n×H×W×3: n faces for each of its K values."""
    protocol = evaluation.metrics.protocol

    def faces(name: str, value: str) -> Images:
        return generator.sample(_PER_VALUE, seed=protocol.seed, psi=protocol.psi, **{name: value})  # type: ignore[arg-type]

    return {
        name: np.stack([faces(name, value) for value in values]) for name, values in generator.header.attributes.items()
    }


def _faces(evaluation: Evaluation, generator: Generator, rows: npt.NDArray[np.int64]) -> Images:
    """The generated faces in these rows of the evaluation's arrays, N×H×W×3."""
    protocol = evaluation.metrics.protocol
    none = np.empty((0, protocol.resolution, protocol.resolution, 3), np.uint8)
    faces = [generator.sample(1, seed=protocol.seed + int(row), psi=protocol.psi) for row in rows]
    return np.concatenate([none, *faces])
