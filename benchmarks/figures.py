"""What the expressions in `claims.toml` and `papers.toml` may call: figures from logs, scores and tables of results."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
EPOCHS = (1, 5, 10, 15, 20, 25)  # of the table of Anik et al.


class Record(dict[str, Any]):
    """A JSON object whose members are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        """The member of that name."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def share(value: float, digits: int = 3) -> str:
    """A share as the tables print it: .940."""
    return f"{value:.{digits}f}".removeprefix("0")


def minus(value: float) -> str:
    """A correlation as the tables print it: −0.18."""
    return f"{value:.2f}".replace("-", "−")


def word(number: int) -> str:
    """A count in words."""
    return WORDS[number]


def until(log: Sequence[Record], kimg: float) -> list[Record]:
    """The first lines of a log."""
    return [line for line in log if line.kimg <= kimg]


def at(log: Sequence[Record], kimg: float) -> Record:
    """The evaluation in a log that is nearest to a length."""
    return min((line for line in log if "kid" in line), key=lambda line: abs(line.kimg - kimg))


def tail(log: Sequence[Record], field: str) -> float:
    """The mean over the last five lines of a log."""
    return statistics.mean(line[field] for line in log[-5:])


def pace(log: Sequence[Record]) -> float:
    """Seconds a kimg: the median over the lines of a log."""
    return statistics.median(1000 / line.images_per_second for line in log)


def minutes(*logs: Sequence[Record]) -> float:
    """What trainings took, without evaluation."""
    return sum(log[-1].seconds for log in logs) / 60


def trained(*logs: Sequence[Record]) -> float:
    """The thousand images of trainings together."""
    return float(sum(log[-1].kimg for log in logs))


def mean(log: Sequence[Record], field: str, since: float) -> float:
    """The mean over the lines of a log from a length on."""
    return statistics.mean(line[field] for line in log if line.kimg >= since)


def at_epoch(log: Sequence[Record], number: int) -> Record:
    """The line of a log that is nearest to the end of an epoch."""
    return min(log, key=lambda line: abs(line.epoch - number))


def epoch(log: Sequence[Record], number: int, field: str, faces: int) -> float:
    """The mean over an epoch of so many faces: over the lines that end in it, weighted by their images."""
    lines = [(one, one.images - (log[i - 1].images if i else 0)) for i, one in enumerate(log)]
    inside = [(one[field], count) for one, count in lines if 0.01 < one.images / faces - (number - 1) <= 1.01]
    return sum(value * count for value, count in inside) / sum(count for _, count in inside)


def weights(tensors: Mapping[str, Record]) -> int:
    """The number of weights in a file."""
    return sum(math.prod(tensor.shape) for tensor in tensors.values())


def kid(metrics: Record, end: str = "value") -> str:
    """KID ×1000 of an evaluation; `end` low or high for the ends of its interval."""
    return f"{1000 * metrics.scores.kid[end]:,.0f}"


def accuracy(metrics: Record, attribute: str) -> float:
    """The conditional accuracy of an evaluation."""
    return float(metrics.scores[f"accuracy-{attribute}"].value)


def values(metrics: Record, attribute: str) -> Record:
    """The scores of each value of an attribute."""
    found = metrics.get("obedience") or metrics.conditional_accuracy  # the first is the key of version 0.1
    return Record(found[attribute].classes)


def ascending(metrics: Record, attribute: str) -> list[float]:
    """The conditional accuracies of an attribute's values, from the lowest on."""
    return sorted(one.accuracy.value for one in values(metrics, attribute).values())


def within(metrics: Record, attribute: str, score: str) -> float:
    """The mean of a score within the values of an attribute, over those that have it."""
    return statistics.mean(one[score].value for one in values(metrics, attribute).values() if one[score])


def labelled(header: Record, attribute: int) -> float:
    """The share of a generator's training faces that had a label of an attribute."""
    counts = [(codes[attribute] >= 0, codes[-1]) for codes in header.priors]
    return sum(count for known, count in counts if known) / sum(count for _, count in counts)


def lowest(rows: Mapping[str, Sequence[str]], names: str, scores: str) -> str:
    """In a table with a row of names and a row of scores: the name with the lowest score."""
    return min(zip(rows[names], rows[scores], strict=True), key=lambda pair: float(pair[1]))[0]


def modes(lab: Sequence[Record], data: str, *penalties: str) -> list[int]:
    """The modes that each objective covers with each of these penalties. Default: all."""
    return [one.modes for one in lab if one.data == data and one.penalty in (penalties or [one.penalty])]


def tried(rows: Sequence[Record], run: str) -> Record:
    """The scores of one run of the search for niji."""
    return next(row for row in rows if row.run == run)


def percent(share: float) -> str:
    """A share in %: whole, or with one decimal if it is below 1 %."""
    return f"{100 * share:.{0 if share >= 0.01 or share == 0 else 1}f} %"


def scores(metrics: Record) -> str:
    """KID and yield of an evaluation, with its interval and what real faces reach."""
    kid, kept = metrics.scores.kid, metrics.scores["yield"]
    judge = "yield" if metrics.protocol.get("quality_hash") else "the yield of version 0.1"
    interval = f" ({1000 * kid.low:,.0f} to {1000 * kid.high:,.0f})" if kid.low is not None else ""
    floor = f" (real faces: {percent(kept.floor)})" if kept.get("floor") is not None else ""
    return f"KID ×1000 is {1000 * kid.value:,.0f}{interval}, and {judge} is {percent(kept.value)}{floor}"


def accuracies(metrics: Record) -> str:
    """The conditional accuracy of every attribute."""
    named = {k.removeprefix("accuracy-"): s.value for k, s in metrics.scores.items() if k.startswith("accuracy-")}
    return ", ".join(f"{percent(value)} ({name})" for name, value in named.items())


def faces(log: Sequence[Record]) -> int:
    """The number of training faces of a run."""
    return round(log[-1].images / log[-1].epoch)


def over(log: Sequence[Record], field: str, images: int, digits: int = 2) -> str:
    """The least and the greatest mean over the epochs of the table of Anik et al., of so many images each."""
    means = [epoch(log, number, field, images) for number in EPOCHS]
    return f"{min(means):.{digits}f} to {max(means):.{digits}f}"


def judged(log: Sequence[Record]) -> list[Record]:
    """The lines of a log that have an evaluation."""
    return [line for line in log if line.get("kid") is not None]


def best(log: Sequence[Record]) -> Record:
    """The evaluation with the lowest KID."""
    return min(judged(log), key=lambda line: float(line.kid))


def by_epoch(log: Sequence[Record], *numbers: int) -> str:
    """KID and originality of the evaluations that are nearest to some epochs."""
    lines = [at_epoch(judged(log), number) for number in numbers]
    return "; ".join(
        f"after {line.epoch:.0f} epochs, KID ×1000 is {1000 * line.kid:,.0f} and originality "
        f"{percent(line.originality)}"
        for line in lines
    )


def row(table: Record, recipe: str) -> Record:
    """The row of a recipe in what quality.py writes."""
    return next(one for one in table.rows if one.recipe == recipe)


def by_kid(rows: Sequence[Record]) -> str:
    """Recipes with their KID, the lowest first."""
    found = sorted((1000 * float(row.scores.kid.value), row.recipe) for row in rows)
    return ", ".join(f"{name} {kid:,.0f}" for kid, name in found)


def rank_correlation(log: Sequence[Record], first: str, second: str, since: float = 0) -> float:
    """Spearman's correlation of two fields over the evaluations of a log, those from `since` kimg on."""

    def places(values: Sequence[float]) -> list[float]:
        return [(sum(v < value for v in values) + sum(v <= value for v in values)) / 2 for value in values]

    lines = [line for line in judged(log) if line.kimg >= since]
    return statistics.correlation(*(places([line[field] for line in lines]) for field in (first, second)))


def ranked(rows: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """(settings, KID ×1000) of a comparison, the lowest first. Settings are shown as sgd/mse."""
    column = rows["Model"].index("KID × 1000")
    found = [(name, cells[column]) for name, cells in rows.items() if "=" in name]
    named = [("/".join(part.partition("=")[2] for part in name.split(",")), kid) for name, kid in found]
    return sorted(named, key=lambda pair: float(pair[1].replace(",", "")))


FUNCTIONS = (
    share, minus, word, until, at, tail, pace, minutes, trained, mean, at_epoch, epoch, weights, kid, accuracy,
    values, ascending, within, labelled, lowest, modes, tried, percent, scores, accuracies, faces, over, judged,
    best, by_epoch, by_kid, row, rank_correlation, ranked,
)  # fmt: skip
