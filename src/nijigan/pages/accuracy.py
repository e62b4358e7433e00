"""A generator's obedience as a part of a page: every value with its score and faces, and what is taken for what."""

from collections.abc import Mapping
from html import escape

from nijigan.aliases import Images
from nijigan.judges.results import ConditionalAccuracy, Metrics, Protocol
from nijigan.metrics.score import Score
from nijigan.pages.charts import interval_bar
from nijigan.pages.layout import faces, section, seeds
from nijigan.pages.meanings import MEANINGS, meanings_of


def accuracy_sections(metrics: Metrics, asked: Mapping[str, Images]) -> str:
    """One section for each attribute; nothing for a generator without.

    Args:
        metrics: of which it shows the obedience.
        asked: by attribute uint8 K×n×H×W×3: faces drawn when its K values were asked for, with the same n seeds from
            `Protocol.seed` on.
    """
    return "\n".join(
        _section(name, one, metrics.scores[f"accuracy-{name}"], metrics.protocol, asked[name])
        for name, one in metrics.conditional_accuracy.items()
    )


def _section(name: str, one: ConditionalAccuracy, balanced: Score, protocol: Protocol, asked: Images) -> str:
    meaning = meanings_of([f"accuracy-{name}"])[f"accuracy-{name}"]
    real = "" if balanced.floor is None else f"; of real ones it is {meaning.show(balanced.floor)}"
    note = (
        f"Of {len(one.classes)} values, {protocol.n_asked} faces asked for of each, everything else left to chance. In "
        f"the eyes of the reader ({protocol.reader}) {meaning.show(balanced.value)} are what they were asked to be"
        f"{real}; by chance it would be {meaning.show(one.chance)}. KID and diversity are taken within a value, beside "
        "the real faces labelled so, where there are 50 or more on either side: diversity near 0 is one face for each "
        "value. Faces in one column have the same seed."
    )
    return section(f"Obeys: {name}", note, _values(one, protocol, asked) + _confusion(name, one))


def _values(one: ConditionalAccuracy, protocol: Protocol, asked: Images) -> str:
    share = meanings_of(["accuracy-"])["accuracy-"]
    kid, diversity = MEANINGS["kid"], MEANINGS["diversity"]
    rows = []
    for (value, scores), generated in zip(one.classes.items(), asked, strict=True):
        accuracy, within = scores.accuracy, scores.kid
        distance = (
            '<span class="soft">too few faces</span>'
            if within is None
            else f'{kid.show(within.value)}<br><span class="soft">{kid.show_interval(within)}</span>'
        )
        varied = diversity.show(None if scores.diversity is None else scores.diversity.value)
        rows.append(
            f'<tr><th scope="row">{escape(value)}<br><span class="soft nowrap">{scores.n_real:,} real</span></th>'
            f'<td class="nowrap">{share.show(accuracy.value)}<br>'
            f'<span class="soft">{share.show_interval(accuracy)}</span></td>'
            f'<td>{interval_bar(accuracy, top=1)}</td><td class="real nowrap">{share.show(accuracy.floor)}</td>'
            f'<td class="nowrap">{distance}</td><td>{varied}</td>'
            f"<td>{faces(generated, seeds(protocol.seed, generated))}</td></tr>"
        )
    return (
        '<div class="scroll">\n<table class="values">\n<thead><tr><th scope="col">Value</th>'
        '<th scope="col">Obeyed, 95 % interval</th><th scope="col"></th><th scope="col">Real faces</th>'
        f'<th scope="col">{escape(kid.label)}</th>'
        f'<th scope="col">{escape(diversity.label)}</th><th scope="col">Drawn when asked</th></tr></thead>\n'
        f"<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>\n</div>"
    )


def _confusion(name: str, one: ConditionalAccuracy) -> str:
    """Rows asked for, columns read, in hundredths of the row; the darker the more."""
    columns = "".join(f'<th scope="col">{escape(value)}</th>' for value in one.read)
    rows = []
    for value, counts in zip(one.classes, one.confusion, strict=True):
        total = sum(counts)
        cells = "".join(
            f'<td class="s{round(10 * count / total)}">{round(100 * count / total) if count else ""}</td>'
            for count in counts
        )
        rows.append(f'<tr><th scope="row">{escape(value)}</th>{cells}</tr>')
    return (
        "<h3>What was asked for, and what it was read as, of 100</h3>\n"
        f'<div class="scroll">\n<table class="confusion">\n<thead><tr><th scope="col">{escape(name)}</th>{columns}</tr>'
        f"</thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>\n</div>"
    )
