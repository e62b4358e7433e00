"""What an evaluation leaves behind: `metrics.json` and the pictures of its report."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Images
from nijigan.files import write_text
from nijigan.generator.generator import Generator
from nijigan.judges.evaluation import Evaluation
from nijigan.pages.report import Gallery, write_report
from nijigan.runs import read_log

_SAMPLES, _EXTREMES, _PAIRS, _ASKED = 64, 24, 12, 8


def write_evaluation(evaluation: Evaluation, generator: Generator, out: Path, run: Path | None = None) -> Path:
    """Write `metrics.json` and `report.html` into a folder.

    Args:
        evaluation: of `generator`.
        generator: draws once more the faces that are shown.
        out: the folder.
        run: the run folder that the generator came from, if any: its curves are shown.

    Returns:
        The report.
    """
    protocol, scored = evaluation.metrics.protocol, evaluation.scored

    def faces(rows: npt.NDArray[np.int64]) -> Images:
        generated = [generator.sample(1, seed=protocol.seed + int(row), psi=protocol.psi) for row in rows]
        return np.concatenate(generated)

    def asked(name: str, value: str) -> Images:
        return generator.sample(_ASKED, seed=protocol.seed, psi=protocol.psi, **{name: value})  # type: ignore[arg-type]

    # A copy of a training face has infinite realism; copies are shown among the pairs, not as the best.
    finite = np.flatnonzero(np.isfinite(scored.realism))
    order = finite[np.argsort(scored.realism[finite])]
    closest = np.argsort(scored.distance)[:_PAIRS]
    training = evaluation.real.dataset.pixels("train", protocol.resolution)
    gallery = Gallery(
        samples=generator.sample(min(_SAMPLES, protocol.n_fake), seed=protocol.seed, psi=protocol.psi),
        best=faces(order[::-1][:_EXTREMES]),
        worst=faces(order[:_EXTREMES]),
        nearest=[
            (face, np.asarray(training[scored.nearest[place]]), float(scored.distance[place]))
            for face, place in zip(faces(closest), closest, strict=True)
        ],
        curves=read_log(run) if run else [],
        asked={
            name: np.stack([asked(name, value) for value in values])
            for name, values in generator.header.attributes.items()
        },
    )
    write_text(out / "metrics.json", evaluation.metrics.to_json())
    write_report(evaluation.metrics, gallery, out / "report.html")
    return out / "report.html"
