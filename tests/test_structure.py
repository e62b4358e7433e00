"""The limits, names and words that CONTRIBUTING.md asks for, and the picture of the structure."""

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "nijigan"
MODULES = sorted(SOURCE.rglob("*.py"))
PACKAGES = sorted(path.parent for path in SOURCE.rglob("__init__.py"))

FORBIDDEN = {
    "obedience": r"\bobedience\b",
    "obeys": r"\bobeys\b",
    "obeyed": r"\bobeyed\b",
    "drawn face": r"\bdrawn\s+faces?\b",
    "the box": r"\bthe\s+box\b",
    "people's reader": r"\bpeople['’]s\s+readers?\b",
}
"""The expressions that the glossary rules out, as patterns for text whose lines may break anywhere."""
ALLOWED = {
    "src/nijigan/judges/results.py": [
        'AliasChoices("conditional_accuracy", "obedience")',
        '# the key in files of version 0.1 is "obedience"',
    ],
}
"""By file, text that may stay: a name in files of an earlier version."""
TEXT = {".css", ".html", ".js", ".json", ".md", ".py", ".svg"}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the full name of everything that a module imports."""
    for statement in ast.walk(parsed(path)):
        if isinstance(statement, ast.Import):
            yield from ((statement.lineno, alias.name) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield from ((statement.lineno, f"{statement.module}.{alias.name}") for alias in statement.names)


def room(path: Path) -> str:
    """The top-level package or module that a file belongs to."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_files_have_at_most_400_lines() -> None:
    lengths = {shown(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_functions_have_at_most_60_lines() -> None:
    lengths = {
        f"{shown(path)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {function: length for function, length in lengths.items() if length > 60} == {}


def test_packages_have_at_most_14_modules() -> None:
    counts = {shown(package): len(list(package.glob("*.py"))) for package in PACKAGES}
    assert {package: count for package, count in counts.items() if count > 14} == {}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_package_says_in_one_line_what_it_holds(package: Path) -> None:
    first, *rest = (ast.get_docstring(parsed(package / "__init__.py")) or "").split("\n")
    assert first.endswith(".")
    assert len(first.split()) >= 3
    assert not rest or rest[0] == ""


def test_private_names_stay_in_their_room() -> None:
    strays = [
        f"{shown(path)}:{line} imports {name}"
        for path in MODULES
        for line, name in imports(path)
        if name.startswith("nijigan.")
        and name.split(".")[1] != room(path)
        and any(part.startswith("_") for part in name.split("."))
    ]
    assert strays == []


def test_only_training_imports_tensorboard() -> None:
    # import-linter cannot say this: to it, torch.utils.tensorboard is torch.
    assert {room(path) for path in MODULES for _, name in imports(path) if "tensorboard" in name} <= {"training"}


def texts() -> Iterator[tuple[str, str]]:
    """The files that the glossary binds, without their permitted text: paths and contents."""
    folders = [path for folder in (SOURCE, ROOT / "docs") for path in sorted(folder.rglob("*")) if path.suffix in TEXT]
    for path in [*folders, *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "LOG"))]:
        text = path.read_text()
        if path.name == "CONTRIBUTING.md":
            text = without_last_column(text)
        for allowed in ALLOWED.get(shown(path), []):
            assert allowed in text
            text = text.replace(allowed, "")
        yield shown(path), text


def without_last_column(text: str) -> str:
    """A Markdown text whose tables have lost their last column, which in the glossary is "not"."""
    return re.sub(r"^(\|.*\|)[^|\n]*\|$", r"\1", text, flags=re.MULTILINE)


@pytest.mark.parametrize("word", FORBIDDEN)
def test_words_that_the_glossary_rules_out_do_not_occur(word: str) -> None:
    found = []
    for path, text in texts():
        # Line breaks in comments and quotations carry a mark, which becomes spaces of the same length.
        plain = re.sub(r"(?<=\n)[ \t]*[#>]+", lambda mark: " " * len(mark[0]), text)
        for match in re.finditer(FORBIDDEN[word], plain, re.IGNORECASE):
            line = plain.count("\n", 0, match.start()) + 1
            found.append(f"{path}:{line}")
    assert not found, "\n".join(found)


def test_forbidden_words_are_found_across_lines_and_outside_the_last_column() -> None:
    assert re.search(FORBIDDEN["drawn face"], "drawn\n    faces")
    assert not re.search(FORBIDDEN["the box"], "the boxes")
    assert without_last_column("| score | a share | obedience |\nobedience") == "| score | a share |\nobedience"


def test_the_picture_of_the_structure_is_what_the_code_says() -> None:
    script = runpy.run_path(str(ROOT / "tools" / "structure.py"))
    committed = (ROOT / "docs" / "images" / "structure.svg").read_text()
    assert script["draw"](script["read_structure"]()) == committed, "run `python tools/structure.py`"


def test_the_picture_has_every_import_that_grimp_finds() -> None:
    structure = runpy.run_path(str(ROOT / "tools" / "structure.py"))["read_structure"]()
    graph = grimp.build_graph("nijigan", cache_dir=None)
    expected = {
        (importer.split(".")[1], imported.split(".")[1])
        for importer in graph.modules - {"nijigan", "nijigan.__main__"}
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported != "nijigan"
    }
    found = {(importer, imported) for importer, others in structure.imports.items() for imported in others}
    assert found == {(importer, imported) for importer, imported in expected if importer != imported}
    picture = (ROOT / "docs" / "images" / "structure.svg").read_text()
    assert set(re.findall(r"<title>(\w+) imports (\w+)</title>", picture)) == found


def test_arrows_lead_down_and_the_ground_floor_is_single_modules() -> None:
    structure = runpy.run_path(str(ROOT / "tools" / "structure.py"))["read_structure"]()
    depth = {room: index for index, layer in enumerate(structure.layers) for room in layer}
    assert all(depth[importer] < depth[other] for importer, others in structure.imports.items() for other in others)
    assert structure.ground
    assert not structure.ground & structure.packages


def test_the_architecture_page_has_every_room_and_names_files_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {room(path) for path in MODULES} - {"__init__", "__main__"}
    described = set(re.findall(r"^\| `(\w+)(?:/|\.py)` \|", page, re.MULTILINE))
    assert described == rooms
    named = set(re.findall(r"`((?:\w+/)*\w+\.py|(?:\w+/)+)`", page))
    assert named
    assert sorted(path for path in named if not (SOURCE / path).exists() and not (ROOT / path).exists()) == []
