"""Write what `nijigan papers` says of results, from the files in results/: src/nijigan/assets/papers.json.

    python benchmarks/papers.py            # after a run has been put into results/
    python benchmarks/papers.py --check    # write nothing; exit with 1 if the file is out of date

`papers.toml`, next to this file, has an entry for each run beside a claim of a study, finished or planned. Its sentence
has expressions in place of figures, as the passages of `claims.toml` do. If a file that an entry needs does not exist,
nothing was found yet.
"""

import argparse
import json
import statistics
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # also if another program runs this file

from claims import ROOT, Record, Sources, at_epoch, epoch

TABLE, PAGE = Path(__file__).with_suffix(".toml"), ROOT / "src" / "nijigan" / "assets" / "papers.json"
RESULTS = "results"
USUAL = {"metrics": "metrics.json", "log": "log.jsonl"}
USUALLY_FOUND = "after {metrics.kimg:,.0f} kimg, {scores(metrics)}"
EPOCHS = (1, 5, 10, 15, 20, 25)  # of the table of Anik et al.


# What the expressions may call, besides the functions of claims.py.


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


def rank_correlation(log: Sequence[Record], first: str, second: str) -> float:
    """Spearman's correlation of two fields over the evaluations of a log."""

    def places(values: Sequence[float]) -> list[float]:
        return [(sum(v < value for v in values) + sum(v <= value for v in values)) / 2 for value in values]

    lines = judged(log)
    return statistics.correlation(*(places([line[field] for line in lines]) for field in (first, second)))


def ranked(rows: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """(settings, KID ×1000) of a comparison, the lowest first. Settings are shown as sgd/mse."""
    column = rows["Model"].index("KID × 1000")
    found = [(name, cells[column]) for name, cells in rows.items() if "=" in name]
    named = [("/".join(part.partition("=")[2] for part in name.split(",")), kid) for name, kid in found]
    return sorted(named, key=lambda pair: float(pair[1].replace(",", "")))


FUNCTIONS = (scores, accuracies, percent, faces, over, judged, best, by_epoch, rank_correlation, ranked)


def read_table() -> list[Record]:
    """The entries of papers.toml, with their defaults filled in."""
    entries = tomllib.loads(TABLE.read_text(encoding="utf-8"))["result"]
    for entry in entries:
        entry.setdefault("sources", {name: f"{entry['place']}/{file}" for name, file in USUAL.items()})
        entry.setdefault("found", USUALLY_FOUND)
    return [Record(entry) for entry in entries]


def found(entry: Record) -> str | None:
    """The sentence of an entry with its figures; None if a file is missing."""
    names = {name: f"{RESULTS}/{file}" for name, file in entry.sources.items()}
    if not all((ROOT / file).exists() for file in names.values()):
        return None
    sources = Sources(names)
    sources.update({function.__name__: function for function in FUNCTIONS})
    text = ""
    for literal, field, spec, _ in Formatter().parse(entry.found):
        text += literal + (format(eval(field, sources), spec or "") if field is not None else "")
    return text


def content() -> str:
    """The text of papers.json."""
    results: list[dict[str, Any]] = [
        {name: entry[name] for name in ("study", "claim", "run")}
        | {"place": f"{RESULTS}/{entry.place}", "found": found(entry)}
        for entry in read_table()
    ]
    return json.dumps({"results": results}, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is out of date")
    if parser.parse_args().check:
        sys.exit(0 if PAGE.read_text(encoding="utf-8") == content() else f"{PAGE} is out of date.")
    PAGE.write_text(content(), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
