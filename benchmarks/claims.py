"""Check that every figure of the documentation follows from a file of results.

    python benchmarks/claims.py            # every claim: page, line, sentence, source, value
    python benchmarks/claims.py --quiet    # only what is wrong

`claims.toml`, next to this file, says where figures come from. For each page it lists `claims`: short passages of the
page in which each figure is replaced by an expression over the files of results, such as
`KID is {1000 * card.scores.kid.value:.0f}`. The figure in the page must be the value of the expression.

The pages are then searched for figures that no claim covers, in digits or in words ("three hours"). Exempt are code,
names (R1), years and versions, sizes of pictures (64 px) and "95 % interval": see `EXEMPT`. Every other figure must be
part of a passage in the page's list `settings` (what the program is told to do, or how a measurement was made) or
`literature` (what a cited paper says).

The exit code is 1 if a figure differs from its source, has no source, or if a passage is not in its page.
"""

import argparse
import ast
import json
import re
import statistics
import sys
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from string import Formatter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # also if another program runs this file

from figures import FUNCTIONS, WORDS, Record

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_suffix(".toml")
GENERATED = {"docs/performance.md"}
"""Pages that a script writes from results; a test compares them."""

_COUNT = rf"\b(?i:{'|'.join(WORDS[1:])}|an?|dozens?|half|hundreds?|thousands?)"
_UNIT = r"(?:seconds?|minutes?|hours?|days?|percent|points|times|scores|studies|papers|faces|pictures|images|weights)\b"

FIGURE = re.compile(
    r"(?<![\w.,])[-−+±]?(?:\d[\d,]*\d|\d)?(?:\.\d+|(?<=\d))(?![\d])"
    rf"|{_COUNT}[ \n](?:or [a-z]+ |and a half )?(?:[a-z]+[ \n])?{_UNIT}"
    r"|\b(?:a|one|two|three|nearly|about|in)[ \n](?:half|third|quarter|fifth|eighth|tenth|twentieth)s?\b|\btwice\b"
)  # fmt: skip
"""A figure: a number, a number word with a unit, or a fraction in words."""

EXEMPT = {
    "code": re.compile(r"`[^`]*`|\]\([^)]*\)|<[^>\n]*>|^:::.*$", re.M),
    "names": re.compile(r"\b[A-Za-zα-ωβγ_]+[-.]?\d[\w.@-]*(?: ×1000)?|\b[23]-D\b|×1000"),
    "years and versions": re.compile(
        r"\b(?:19|20)\d\d(?:-\d\d-\d\d)?\b(?![,.]\d)|\bPython 3\.\d+|^## \d+\.\d+\.\d+$", re.M
    ),
    "sizes of pictures": re.compile(
        r"\b\d+(?:(?:, | and | or )\d+)* px\b|\b\d+×\d+(?:×\d+)*\b|\b\d+[- ](?:bits?|pixels)\b"
    ),
    "95 % interval": re.compile(r"\b95 %(?= (?:Wilson |confidence )?interval)"),
}  # fmt: skip
"""Kinds of numbers that are no claims."""


@dataclass(frozen=True)
class Page:
    """The prose of a page."""

    name: str
    text: str
    starts: tuple[int, ...]
    """Offsets in `text` at which lines begin, ascending."""
    lines: tuple[int, ...]
    """The numbers of these lines in the file."""

    def line(self, offset: int) -> int:
        """The number of the line in which an offset of the text lies."""
        return self.lines[bisect_right(self.starts, offset) - 1]


@dataclass(frozen=True)
class Finding:
    """A figure of a page."""

    page: str
    line: int
    sentence: str
    source: str
    """Where the figure comes from, or what is wrong with it."""
    value: str
    """What the source says."""
    right: bool


def read_page(name: str) -> Page:
    """Read the prose of a page: Markdown without fenced code, the strings of Python, or a generator's description."""
    path = ROOT / name
    if path.suffix == ".py":
        tree = ast.walk(ast.parse(path.read_text()))
        pieces = [
            (one.lineno, one.value) for one in tree if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
    elif path.suffix == ".safetensors":
        pieces = [(1, read_source(name).header.description)]
    else:
        pieces = list(enumerate(_without_code(path.read_text().splitlines()), 1))
    starts, text = [], ""
    for _, piece in pieces:
        starts.append(len(text))
        text += piece + "\n"
    return Page(name, text, tuple(starts), tuple(line for line, _ in pieces))


def _without_code(lines: Sequence[str]) -> Iterator[str]:
    """Lines of Markdown; of fenced code, only the comments."""
    fenced = False
    for line in lines:
        if line.lstrip().startswith("```"):
            fenced = not fenced
            yield ""
        elif fenced:
            yield line.partition(" # ")[2]
        else:
            yield line


def read_source(name: str) -> Any:
    """Read a file of results (JSON, JSON lines, the header of a generator) or an object of the code (`module:name`)."""
    if ":" in name:
        module, _, member = name.partition(":")
        return getattr(import_module(module), member)
    path = ROOT / name
    if path.suffix == ".safetensors":
        with path.open("rb") as file:
            tensors = json.loads(file.read(int.from_bytes(file.read(8), "little")), object_hook=Record)
        metadata = tensors.pop("__metadata__", {})
        header = json.loads(metadata.get("nijigan", "{}"), object_hook=Record)
        return Record(header=header, tensors=tensors)
    if path.suffix == ".jsonl":
        return [json.loads(line, object_hook=Record) for line in path.read_text().splitlines()]
    if path.suffix in (".html", ".md"):
        return _table(path.read_text())
    return json.loads(path.read_text(), object_hook=Record)


def _table(text: str) -> dict[str, list[str]]:
    """The rows of the tables of a page, by their first cell."""
    html = [
        re.findall(r"<t[hd][^>]*>(.*?)(?:<br>.*?)?</t[hd]>", row, re.S)
        for row in re.findall(r"<tr>.*?</tr>", text, re.S)
    ]
    rows = html or [line.strip("|\n ").split("|") for line in text.splitlines() if line.startswith("|")]
    cleaned = [[re.sub(r"<[^>]*>|\*\*", "", cell).strip() for cell in row] for row in rows]
    return {row[0]: row[1:] for row in cleaned if row}


class Sources(dict[str, Any]):
    """What expressions refer to, read when it is first used."""

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__({function.__name__: function for function in FUNCTIONS}, median=statistics.median)
        self.names = names

    def __missing__(self, name: str) -> Any:
        """Read the source of that name."""
        if name not in self.names:
            raise KeyError(name)
        self[name] = read_source(self.names[name])
        return self[name]

    def used_by(self, expression: str) -> str:
        """The sources that an expression names."""
        nodes = ast.walk(ast.parse(expression.strip(), mode="eval"))
        return ", ".join(self.names[node.id] for node in nodes if isinstance(node, ast.Name) and node.id in self.names)


def _loosely(literal: str) -> str:
    """A pattern for a passage, however its lines are broken."""
    return re.sub(r"(?:\\?\s)+", r"\\s+", re.escape(literal))


def check_claim(page: Page, template: str, sources: Sources) -> tuple[list[Finding], list[tuple[int, int]]]:
    """Compare the figures of a passage with their sources.

    Args:
        page: the page that the passage is in.
        template: the passage, with expressions in braces in place of figures.
        sources: what the expressions may use.

    Returns:
        What was found, and which parts of the page's text are figures with a source.
    """
    parts = list(Formatter().parse(template))
    pattern = "".join(
        _loosely(literal) + (r"([^\s|()]+?)" if field is not None else "") for literal, field, _, _ in parts
    )
    fields = [(field, spec or "") for _, field, spec, _ in parts if field is not None]
    matches = list(re.finditer(pattern + r"(?!\w|[.,]\d)", page.text))
    if len(matches) != 1:
        wrong = "the passage is not in the page" if not matches else "the passage is in the page more than once"
        return [Finding(page.name, 0, template, wrong, "", False)], []
    match = matches[0]
    found = []
    for number, (expression, spec) in enumerate(fields, 1):
        source, sentence = f"{sources.used_by(expression)}: {expression.strip()}", " ".join(match[0].split())
        try:
            value = format(eval(expression, sources), spec)  # the table is part of the repository
        except (ArithmeticError, AttributeError, LookupError, NameError, TypeError, ValueError, OSError) as error:
            value = f"none ({type(error).__name__}: {error})"
        right = match[number] == value
        if not right:
            source = f"the page has {match[number]}; {source}"
        found.append(Finding(page.name, page.line(match.start(number)), sentence, source, value, right))
    return found, [match.span(number) for number in range(1, len(fields) + 1)]


def orphans(page: Page, covered: Sequence[tuple[int, int]]) -> Iterator[Finding]:
    """Find figures without a source.

    Args:
        page: the page.
        covered: parts of its text that need no source, or have one.
    """
    exempt = [match.span() for pattern in EXEMPT.values() for match in pattern.finditer(page.text)]
    spans = sorted([*covered, *exempt])
    for match in FIGURE.finditer(page.text):
        if match[0].strip() and not any(start < match.end() and match.start() < end for start, end in spans):
            low, high = max(0, match.start() - 60), match.end() + 60
            context = " ".join(page.text[low:high].split())
            yield Finding(page.name, page.line(match.start()), context, "no source", match[0], False)


def check_page(page: Page, lists: Mapping[str, Sequence[str]], sources: Sources) -> Iterator[Finding]:
    """Check every figure of a page.

    Args:
        page: the page.
        lists: its `claims`, `settings` and `literature`.
        sources: what the expressions may use.
    """
    covered = []
    for template in lists.get("claims", ()):
        found, spans = check_claim(page, template, sources)
        covered += spans
        yield from found
    for kind in ("settings", "literature"):
        for passage in lists.get(kind, ()):
            spans = [match.span() for match in re.finditer(_loosely(passage), page.text)]
            covered += spans
            if not spans:
                yield Finding(page.name, 0, passage, f"the passage ({kind}) is not in the page", "", False)
    yield from orphans(page, covered)


def check(table: Mapping[str, Any] | None = None) -> list[Finding]:
    """Check every figure of every page.

    Args:
        table: the content of `claims.toml`. Default: the file's.
    """
    table = table or tomllib.loads(TABLE.read_text())
    sources, pages = Sources(table["sources"]), table["pages"]
    documents = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")} - GENERATED
    names = sorted(documents | {"README.md", "CHANGELOG.md"} | set(pages))
    return [one for name in names for one in check_page(read_page(name), pages.get(name, {}), sources)]


def main() -> None:
    """Print the claims, and exit with 1 if one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quiet", action="store_true", help="print only what is wrong")
    options = parser.parse_args()
    findings = check()
    for one in findings:
        if not (options.quiet and one.right):
            sign = "=" if one.right else "WRONG:"
            print(f"{one.page}:{one.line}\t{one.sentence}\n\t{one.source}\n\t{sign} {one.value}")
    wrong = sum(not one.right for one in findings)
    print(f"{len(findings) - wrong} figures follow from their sources, {wrong} do not.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
