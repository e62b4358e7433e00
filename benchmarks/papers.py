"""Write what `nijigan papers` says of results, from the files in results/: src/nijigan/assets/papers.json.

    python benchmarks/papers.py            # after a run has been put into results/
    python benchmarks/papers.py --check    # write nothing; exit with 1 if the file is out of date

`papers.toml`, next to this file, has an entry for each run beside a claim of a study, finished or planned. Its sentence
has expressions in place of figures, as the passages of `claims.toml` do. If a file that an entry needs does not exist,
nothing was found yet.
"""

import argparse
import json
import sys
import tomllib
from pathlib import Path
from string import Formatter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # also if another program runs this file

from claims import ROOT, Sources
from figures import Record

TABLE, PAGE = Path(__file__).with_suffix(".toml"), ROOT / "src" / "nijigan" / "assets" / "papers.json"
RESULTS = "results"
USUAL = {"metrics": "metrics.json", "log": "log.jsonl"}
USUALLY_FOUND = "after {metrics.kimg:,.0f} kimg, {scores(metrics)}"


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
