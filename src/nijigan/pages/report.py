"""One evaluation as a page that a person can read: `report.html`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from nijigan.aliases import Images
from nijigan.judges.results import Metrics, Protocol
from nijigan.metrics.score import Score
from nijigan.pages.accuracy import accuracy_sections
from nijigan.pages.charts import Line, chart, interval_bar, points
from nijigan.pages.layout import details, faces, protocol_details, section, seeds, write_page
from nijigan.pages.meanings import MEANINGS, meanings_of


@dataclass(frozen=True)
class Gallery:
    """What the page shows beside the scores. Images are uint8 RGB."""

    samples: Images
    """N×H×W×3: faces drawn with the seeds from `Protocol.seed` on."""
    best: Images
    """N×H×W×3: the most real of all drawn faces, best first."""
    worst: Images
    """N×H×W×3: the least real, worst first."""
    nearest: Sequence[tuple[Images, Images, float]]
    """Drawn face and its nearest training face, both H×W×3, and their distance in feature space; closest first."""
    curves: Sequence[Line]
    """The log of the run that the model came from, or nothing."""
    asked: Mapping[str, Images] = field(default_factory=dict)
    """By attribute K×n×H×W×3: faces drawn when each of its K values was asked for, with the seeds of the samples."""


def write_report(metrics: Metrics, gallery: Gallery, path: Path) -> None:
    """Write an evaluation as one HTML file that works offline.

    Args:
        metrics: the scores.
        gallery: the pictures and curves.
        path: the file, written whole or not at all.
    """
    name = model_name(metrics.model)
    model = {"model": metrics.model, "weights": metrics.weights, "kimg": f"{metrics.kimg:,g}"}
    parts = [
        _header(name, metrics),
        _scores(metrics.scores, metrics.protocol),
        accuracy_sections(metrics, gallery.asked),
        section(
            "Samples",
            "Not chosen: the first faces that were drawn.",
            faces(gallery.samples, seeds(metrics.protocol.seed, gallery.samples)),
        ),
        section(
            "Best faces",
            f"Of all {metrics.protocol.n_fake:,} drawn, those that lie deepest among real faces, best first.",
            faces(gallery.best, ["one of the best faces"] * len(gallery.best)),
        ),
        section(
            "Worst faces",
            "Those that lie farthest from any real face, worst first.",
            faces(gallery.worst, ["one of the worst faces"] * len(gallery.worst)),
        ),
        _nearest(gallery.nearest),
        _curves(gallery.curves),
        protocol_details(metrics.protocol, model),
    ]
    write_page(path, f"{name}: evaluation", "\n".join(filter(None, parts)))


def model_name(model: str) -> str:
    """What to call a model in a title: its run's folder, or its file."""
    place = Path(model)
    if place.name in ("best.safetensors", "last.safetensors") and place.parent.name:
        place = place.parent
    return place.name.removesuffix(".safetensors") or "A generator"


def headline(scores: Mapping[str, Score]) -> str:
    """The outcome in a sentence."""
    if "yield" not in scores:
        return f"KID × 1000 is {MEANINGS['kid'].show(scores['kid'].value)}." if "kid" in scores else ""
    score = scores["yield"]
    real = "" if score.floor is None else f"; real faces score {100 * score.floor:.0f}"
    return f"{100 * score.value:.0f} of 100 faces are good{real}."


def meanings(scores: Iterable[str]) -> str:
    """What the scores of these names mean, folded away."""
    rows = (
        f"<dt>{escape(meaning.label)}</dt><dd>{escape(meaning.sentence)}</dd>"
        for meaning in meanings_of(scores).values()
    )
    return details("What the scores mean", f"<dl>{''.join(rows)}</dl>")


def _header(name: str, metrics: Metrics) -> str:
    protocol = metrics.protocol
    facts = (
        f"Trained on {metrics.kimg:,g} thousand images. {protocol.n_fake:,} drawn faces against {protocol.n_real:,} "
        f"real ones ({protocol.dataset}, {protocol.split} split) at {protocol.resolution} px."
    )
    return (
        f'<header>\n<h1>{escape(name)}</h1>\n<p class="soft">{escape(facts)}</p>\n'
        f'<p class="headline">{escape(headline(metrics.scores))}</p>\n</header>'
    )


def _scores(scores: Mapping[str, Score], protocol: Protocol) -> str:
    rows = []
    for name, meaning in meanings_of(scores).items():
        score, interval = scores[name], meaning.show_interval(scores[name])
        rows.append(
            f'<tr><th scope="row">{escape(meaning.label)}<br>'
            f'<span class="soft meaning">{escape(meaning.sentence)}</span></th>'
            f'<td class="nowrap"><span class="number">{meaning.show(score.value)}</span><br>'
            f'<span class="soft">{interval}</span></td>'
            f"<td>{interval_bar(score, top=1 if meaning.share else None)}</td>"
            f'<td class="real nowrap">{meaning.show(score.floor)}</td></tr>'
        )
    table = (
        '<table class="scores">\n<thead><tr><th scope="col">Score</th><th scope="col">Value, 95 % interval</th>'
        '<th scope="col"></th><th scope="col">Real faces</th></tr></thead>\n'
        f"<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>"
    )
    note = (
        f"Measured in the feature space {protocol.features}. The dot is the value, the band its interval, the upright "
        "line what real faces score in the place of drawn ones: no generator can be expected to pass it."
    )
    return section("Scores", note, table)


def _nearest(pairs: Sequence[tuple[Images, Images, float]]) -> str:
    if not pairs:
        return ""
    figures = "\n".join(
        f"<figure>{faces(np.stack([generated, real]), ['generated face', 'nearest training face'])}"
        f"<figcaption>distance {distance:.2f}</figcaption></figure>"
        for generated, real, distance in pairs
    )
    return section(
        "Nearest training faces",
        "The drawn faces that come closest to the training set, left, each beside the training face that it is closest "
        "to, right. Two that look the same were copied. Mind that this file shows training faces when you pass it on.",
        f'<div class="pairs">{figures}</div>',
    )


def _curves(lines: Sequence[Line]) -> str:
    accuracies = sorted({key for line in lines for key in line if key.startswith("accuracy-")})
    charts = [
        chart("KID × 1000", [("KID", points(lines, "kid", 1000))], log=True),
        chart("Yield in %", [("yield", points(lines, "yield", 100))]),
        chart("Obedience in %", [(key.removeprefix("accuracy-"), points(lines, key, 100)) for key in accuracies]),
        chart("Loss", [("discriminator", points(lines, "d_loss")), ("generator", points(lines, "g_loss"))]),
        chart(
            "The discriminator's score",
            [("real faces", points(lines, "real_score")), ("drawn faces", points(lines, "fake_score"))],
        ),
    ]
    if not any(charts):
        return ""
    return section("Curves", "How the training went.", f'<div class="charts">{"".join(charts)}</div>')
