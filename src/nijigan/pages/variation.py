"""What a sweep shows in addition: its settings averaged over seeds, and two varied fields as a matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from nijigan.metrics.score import Score
from nijigan.pages.layout import Picture, seeded
from nijigan.pages.meanings import MEANINGS, Meaning
from nijigan.pages.ranking import ComparedModel, Rank, show_rank

Axes = Mapping[str, Mapping[str, str]]
"""What was varied: model name → field → value."""

SHOWN = ("yield", "recall", "coverage", "kid")
"""The scores shown of a setting and of a cell."""

_FACES = 8  # shown in a cell


@dataclass(frozen=True)
class Setting:
    """Runs that differ only in their seed."""

    name: str
    """Its values, such as optimizer=adam."""
    runs: str
    """How many of its runs were evaluated, such as 2 of 3."""
    scores: Sequence[tuple[Meaning, Score | None]]
    """Mean, minimum and maximum over its runs of each score in `SHOWN`."""


@dataclass(frozen=True)
class MatrixCell:
    """One model in a matrix."""

    model: ComparedModel
    rank: str
    """Empty if its training failed."""
    first: bool
    """Whether it may be the best of several models."""
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Matrix:
    """Models by two varied fields."""

    row_field: str
    column_field: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Sequence[MatrixCell]]]]
    """The value of the row, and for each column the models that have both values."""


def settings_over_seeds(judged: Sequence[ComparedModel], axes: Axes) -> list[Setting]:
    """Each setting's scores over its seeds, best mean yield first; empty unless several seeds were tried.

    Their range is the variation between training runs, which no interval of a score includes.
    """
    if len({fields["seed"] for fields in axes.values() if "seed" in fields}) < 2:
        return []
    others = [field for field in next(iter(axes.values())) if field != "seed"]
    values_of = {name: tuple(fields[field] for field in others) for name, fields in axes.items()}
    groups: dict[tuple[str, ...], list[ComparedModel]] = {}
    for model in judged:
        groups.setdefault(values_of[model.name], []).append(model)

    settings = []
    for values, runs in sorted(groups.items(), key=lambda group: -fmean(run.scores["yield"].value for run in group[1])):
        name = ", ".join(f"{field}={value}" for field, value in zip(others, values, strict=True)) or "All"
        started = list(values_of.values()).count(values)
        count = str(started) if len(runs) == started else f"{len(runs)} of {started}"  # the others failed
        settings.append(Setting(name, count, [(MEANINGS[score], _over_runs(score, runs)) for score in SHOWN]))
    return settings


def matrix(models: Sequence[ComparedModel], rank_of: Mapping[str, Rank], axes: Axes) -> Matrix | None:
    """The models by what was varied, if exactly two fields vary.

    Args:
        models: all models.
        rank_of: by name, the ranks of the models that were evaluated.
        axes: what was varied.
    """
    fields_of = [axes.get(model.name, {}) for model in models]
    values = {field: list(dict.fromkeys(f[field] for f in fields_of if field in f)) for field in fields_of[0]}
    varied = [field for field, found in values.items() if len(found) > 1]
    if len(varied) != 2:
        return None
    row_field, column_field = varied

    def cells(row: str, column: str) -> list[MatrixCell]:
        return [
            _cell(model, rank_of)
            for model, fields in zip(models, fields_of, strict=True)
            if (fields.get(row_field), fields.get(column_field)) == (row, column)
        ]

    columns = values[column_field]
    rows = [(row, [cells(row, column) for column in columns]) for row in values[row_field]]
    return Matrix(row_field, column_field, columns, rows)


def _over_runs(name: str, runs: Sequence[ComparedModel]) -> Score | None:
    """Mean, minimum and maximum of a score over runs, or None if none of them has it."""
    values = [run.scores[name].value for run in runs if name in run.scores]
    return Score(fmean(values), min(values), max(values)) if values else None


def _cell(model: ComparedModel, rank_of: Mapping[str, Rank]) -> MatrixCell:
    rank = rank_of.get(model.name)
    if rank is None or model.samples is None:
        return MatrixCell(model, "", False, [])
    return MatrixCell(model, show_rank(rank), rank[0] == 1 and len(rank_of) > 1, seeded(model.samples[:_FACES]))
