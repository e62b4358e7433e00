"""Several models on one page, ranked only where their intervals separate them: `compare.html`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nijigan.errors import UserError
from nijigan.judges.quality import LEAST_YIELD
from nijigan.judges.results import Protocol
from nijigan.metrics.score import Score
from nijigan.pages.charts import chart, points
from nijigan.pages.layout import join, protocol_terms, seeded, write_page
from nijigan.pages.meanings import MEANINGS, Meaning, meanings_of
from nijigan.pages.ranking import ComparedModel, Rank, may_be_best, ranks, show_rank
from nijigan.pages.variation import SHOWN, Axes, matrix, settings_over_seeds

_EQUAL = (
    "fingerprint",
    "split",
    "resolution",
    "features_hash",
    "n_fake",
    "n_real",
    "quality_hash",
    "neighbours",
    "psi",
    "reader_hash",
    "n_asked",
)  # None, as in the last two for an unconditional generator, is compatible with every value
_FACES = 16  # shown of each model


@dataclass(frozen=True)
class _Row:
    """One model in the table of scores."""

    name: str
    training: str
    """The length of its training."""
    rank: str
    cells: Sequence[tuple[Meaning, Score | None, bool]]
    """For each column the score, and whether the model may be the best by it."""


def write_comparison(models: Sequence[ComparedModel], path: Path, axes: Axes | None = None) -> None:
    """Write a page that compares models, best yield first.

    Args:
        models: the models.
        path: the file, written whole or not at all.
        axes: what was varied, model name → field → value. If exactly two fields vary, the page shows a matrix. If the
            seed varies, it also shows the mean and range of the runs that differ only in their seed.

    Raises:
        UserError: the models were evaluated under different protocols, or there is no model.
    """
    if not models:
        raise UserError("There is nothing to compare; name one model or more.")
    judged = [model for model in models if model.metrics is not None]
    protocol = _common_protocol(judged)
    judged.sort(key=_goodness, reverse=True)
    order = ranks([_separable(model.scores["yield"]) for model in judged], lower_is_better=False)
    rank_of = {model.name: rank for model, rank in zip(judged, order, strict=True)}
    columns = meanings_of(name for model in judged for name in model.scores)

    write_page(
        path,
        "comparison.html",
        title="1 model" if len(models) == 1 else f"{len(models)} models compared",
        headline=_headline(judged, order),
        protocol=protocol,
        settings=settings_over_seeds(judged, axes or {}),
        shown=[MEANINGS[name] for name in SHOWN],
        columns=list(columns.values()),
        rows=_rows(judged, order, columns),
        real=[(meaning, _floor(name, judged)) for name, meaning in columns.items()],
        matrix=matrix(models, rank_of, axes or {}) if judged else None,
        kid=MEANINGS["kid"],
        good=MEANINGS["yield"],
        strips=[(m.name, seeded(m.samples[:_FACES])) for m in judged if m.samples is not None],
        curve=chart("Yield in %", [(model.name, points(model.curve, "yield", 100)) for model in judged]),
        failed={model.name: model.error for model in models if model.metrics is None},
        meanings={meaning.label: meaning.sentence for meaning in columns.values()},
        terms=protocol_terms(protocol) if protocol else {},
    )


def _goodness(model: ComparedModel) -> tuple[float, float]:
    """What models are sorted by: yield, and KID where the judge of yield cannot tell them apart."""
    kid = model.scores.get("kid")
    return max(model.scores["yield"].value, LEAST_YIELD), -kid.value if kid else 0.0


def _separable(score: Score) -> Score:
    """A yield with an interval that reaches over all yields that the judge cannot tell apart."""
    if score.low is None or score.high is None or score.value >= LEAST_YIELD:
        return score
    return Score(score.value, 0.0, max(score.high, LEAST_YIELD))


def _common_protocol(models: Sequence[ComparedModel]) -> Protocol | None:
    """The protocol of all models, or a `UserError` that names what differs."""
    protocols = [(model.name, model.metrics.protocol) for model in models if model.metrics is not None]
    for model in models:
        if "yield" not in model.scores:
            raise UserError(
                f"The metrics of {model.name!a} contain no yield, which ranks the models; evaluate it again."
            )
    for field in _EQUAL:
        found = [(name, value) for name, protocol in protocols if (value := getattr(protocol, field)) is not None]
        for name, value in found[1:]:
            if value != found[0][1]:
                raise UserError(
                    f"{found[0][0]!a} and {name!a} cannot be compared, since {field} differs in their protocols "
                    f"({found[0][1]!a} and {value!a}); evaluate both in the same way."
                )
    return protocols[0][1] if protocols else None


def _headline(judged: Sequence[ComparedModel], order: Sequence[Rank]) -> str:
    """The outcome in a sentence."""
    first = [model.name for model, rank in zip(judged, order, strict=True) if rank[0] == 1]
    if not judged:
        return "No model could be evaluated."
    if len(judged) == 1:
        return "Only one model could be evaluated, so there is no ranking."
    if len(first) == 1:
        return f"{first[0]} is the best by yield."
    if len(first) == len(judged):
        return "Yield does not separate the models: any of them may be the best."
    names = f"{len(first)} models" if len(first) > 4 else join(first)
    return f"{names} share the first rank by yield: their intervals overlap."


def _rows(judged: Sequence[ComparedModel], order: Sequence[Rank], columns: dict[str, Meaning]) -> list[_Row]:
    best = {name: may_be_best(name, meaning.better, judged) for name, meaning in columns.items()}
    return [
        _Row(
            name=model.name,
            training=_training(model),
            rank=show_rank(rank),
            cells=[(meaning, model.scores.get(name), best[name][index]) for name, meaning in columns.items()],
        )
        for index, (model, rank) in enumerate(zip(judged, order, strict=True))
    ]


def _floor(name: str, judged: Sequence[ComparedModel]) -> float | None:
    """What real faces score, according to the first model that has the score."""
    return next((model.scores[name].floor for model in judged if name in model.scores), None)


def _training(model: ComparedModel) -> str:
    """The length of a training, such as 500 kimg in 67 min."""
    kimg = f"{model.metrics.kimg:,g} kimg" if model.metrics else ""
    return kimg if model.seconds is None else f"{kimg} in {_duration(model.seconds)}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
