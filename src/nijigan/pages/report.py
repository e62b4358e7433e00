"""One evaluation as a page for people: `report.html`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from markupsafe import Markup

from nijigan.aliases import Images
from nijigan.generator.header import FOLDER_GENERATORS
from nijigan.judges.faults import SLIGHT, Fault
from nijigan.judges.results import Metrics
from nijigan.metrics.score import Score
from nijigan.pages.accuracy_section import attribute_tables
from nijigan.pages.charts import Line, chart, points
from nijigan.pages.layout import Picture, pictures, protocol_terms, seeded, write_page
from nijigan.pages.meanings import FIRST, MEANINGS, meanings_of


@dataclass(frozen=True)
class Gallery:
    """What the page shows besides the scores. Images are uint8 RGB."""

    samples: Images
    """N×H×W×3: generated faces with the seeds from `Protocol.seed` on."""
    best: Images
    """N×H×W×3: the generated faces that people would most probably keep, best first."""
    worst: Images
    """N×H×W×3: those that people would most probably throw away, worst first."""
    faults: Sequence[tuple[Fault, Images]]
    """The four faults, the worst first, and faces that show each, N×H×W×3."""
    verdict: str
    """The worst fault in a sentence."""
    nearest: Sequence[tuple[Images, Images, float]]
    """A generated face, its nearest training face (both H×W×3) and their distance in feature space; closest first."""
    curves: Sequence[Line]
    """The log of the run that the model came from; empty if there is none."""
    requested: Mapping[str, Images] = field(default_factory=dict)
    """By attribute K×n×H×W×3: n faces for each of its K values, with the seeds of the samples."""


def write_report(metrics: Metrics, gallery: Gallery, path: Path) -> None:
    """Write an evaluation as one HTML file that works offline.

    Args:
        metrics: the scores.
        gallery: the pictures and curves.
        path: the file, written whole or not at all.
    """
    name, kimg = model_name(metrics.model), f"{metrics.kimg:,g}"
    write_page(
        path,
        "report.html",
        title=f"{name}: evaluation",
        name=name,
        kimg=kimg,
        headline=headline(metrics.scores),
        verdict=gallery.verdict,
        slight=SLIGHT,
        first=[(MEANINGS[key], metrics.scores[key]) for key in FIRST if key in metrics.scores],
        faults=[
            (fault, pictures(faces, [f"example of: {fault.name}"] * len(faces))) for fault, faces in gallery.faults
        ],
        protocol=metrics.protocol,
        scores=[(meaning, metrics.scores[key]) for key, meaning in meanings_of(metrics.scores).items()],
        attributes=attribute_tables(metrics, gallery.requested),
        samples=seeded(gallery.samples, metrics.protocol.seed),
        best=pictures(gallery.best, ["one of the best faces"] * len(gallery.best)),
        worst=pictures(gallery.worst, ["one of the worst faces"] * len(gallery.worst)),
        nearest=[_pair(*pair) for pair in gallery.nearest],
        curves=_curves(gallery.curves),
        terms={"model": metrics.model, "weights": metrics.weights, "kimg": kimg, **protocol_terms(metrics.protocol)},
    )


def model_name(model: str) -> str:
    """What a title calls a model: the name of its run's folder, or of its file."""
    place = Path(model)
    if place.name in FOLDER_GENERATORS and place.parent.name:
        place = place.parent
    return place.name.removesuffix(".safetensors") or "A generator"


def headline(scores: Mapping[str, Score]) -> str:
    """The outcome in a sentence."""
    if "yield" not in scores:
        return f"KID × 1000 is {MEANINGS['kid'].show(scores['kid'].value)}." if "kid" in scores else ""
    score = scores["yield"]
    real = "" if score.floor is None else f" (real faces: {100 * score.floor:.0f} %)"
    return f"People would keep {100 * score.value:.0f} % of the generated faces{real}."


def _pair(generated: Images, real: Images, distance: float) -> tuple[list[Picture], str]:
    return pictures(np.stack([generated, real]), ["generated face", "nearest training face"]), f"{distance:.2f}"


def _curves(lines: Sequence[Line]) -> list[Markup]:
    """The charts for which the log has values."""
    accuracies = sorted({key for line in lines for key in line if key.startswith("accuracy-")})
    charts = [
        chart("Yield in %", [("yield", points(lines, "yield", 100))]),
        chart("KID × 1000", [("KID", points(lines, "kid", 1000))], log=True),
        chart(
            "Coverage and recall in %",
            [("coverage", points(lines, "coverage", 100)), ("recall", points(lines, "recall", 100))],
        ),
        chart("Originality in %", [("originality", points(lines, "originality", 100))]),
        chart(
            "Conditional accuracy in %",
            [(key.removeprefix("accuracy-"), points(lines, key, 100)) for key in accuracies],
        ),
        chart("Loss", [("discriminator", points(lines, "d_loss")), ("generator", points(lines, "g_loss"))]),
        chart(
            "Discriminator score",
            [("real faces", points(lines, "real_score")), ("generated faces", points(lines, "fake_score"))],
        ),
    ]
    return [drawing for drawing in charts if drawing]
