"""What `import nijigan` offers, and what it costs."""

import ast
import inspect
import pkgutil
import re
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import nijigan

SOURCE = Path(nijigan.__file__)
HEAVY = {"torch", "daft", "matplotlib", "pyarrow", "tensorboard"}


def submodules() -> list[str]:
    return [module.name for module in pkgutil.walk_packages(nijigan.__path__, "nijigan.")]


@pytest.mark.parametrize("name", nijigan.__all__)
def test_every_export_resolves_and_is_documented(name: str) -> None:
    export = getattr(nijigan, name)
    assert callable(export)
    assert inspect.getdoc(export)
    assert name in dir(nijigan)


def test_the_version_is_that_of_the_installed_package() -> None:
    assert nijigan.__version__ == metadata.version("nijigan")


def test_what_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'genrate'"):
        _ = nijigan.genrate


@pytest.mark.parametrize("then", ["", "dir(nijigan); nijigan.__version__; nijigan.UserError"])
def test_importing_the_package_imports_nothing_heavy(then: str) -> None:
    code = f"import sys, nijigan; {then}\nheavy = {HEAVY} & set(sys.modules)\nassert not heavy, heavy"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_no_module_has_the_name_of_an_export() -> None:
    """It would replace the export as soon as it is imported, in `nijigan` or in the package the export comes from."""
    modules = set(submodules())
    for name in nijigan.__all__:
        home = nijigan._HOMES.get(name, nijigan._HOMES["Generator"])
        packages = home.split(".")
        for length in range(1, len(packages) + 1):
            assert ".".join([*packages[:length], name]) not in modules


def test_exports_survive_the_import_of_every_module() -> None:
    for name in submodules():
        if name != "nijigan.__main__":
            import_module(name)
    for name, home in nijigan._HOMES.items():
        export = getattr(nijigan, name)
        assert inspect.isfunction(export) or inspect.isclass(export)
        assert export is getattr(import_module(home), name)
    assert nijigan.load == nijigan.Generator.load


def test_type_checkers_see_the_table_that_runs() -> None:
    (block,) = (part for part in ast.parse(SOURCE.read_text(encoding="utf-8")).body if isinstance(part, ast.If))
    imports = [part for part in block.body if isinstance(part, ast.ImportFrom)]
    assert {alias.name: part.module for part in imports for alias in part.names} == nijigan._HOMES
    assert {ast.unparse(part) for part in block.body if part not in imports} == {
        "load = Generator.load",
        "__version__: str",
    }
    assert sorted(nijigan.__all__) == sorted([*nijigan._HOMES, "load"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"models": []}, "Name at least one model"),
        ({"models": ["runs/a", Path("runs/a")]}, "named twice"),
        ({"models": ["runs/a"], "n": 99}, "100 to 100,000"),
        ({"models": "model.safetensors"}, "None of these models is a run"),
        ({"models": ["model.safetensors"]}, "None of these models is a run"),
    ],
)
def test_impossible_comparisons_are_refused(arguments: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(nijigan.UserError, match=sentence):
        nijigan.compare(out=tmp_path / "compare.html", **arguments)
    assert not list(tmp_path.iterdir())


def test_the_study_in_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (SOURCE.parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    (study,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    exec(compile(study, "docs/python.md", "exec"), namespace)
    expected = {"pictures", "faces", "runs", "grid.png", "matrix.png", "generated", "walk.webp"}
    assert {path.name for path in tmp_path.iterdir()} == expected
    assert namespace["scores"]["accuracy-hair"].value >= 0
    assert namespace["face"].attributes == {"hair": "red"}
    with Image.open("generated/seed-000017.png") as image:
        assert np.array_equal(image, namespace["again"][0])
    assert not np.array_equal(namespace["again"], namespace["blonde"])


def test_paths_may_be_strings(tmp_path: Path) -> None:
    folder = str(tmp_path)
    nijigan.generate(nijigan.load(), f"{folder}/face.png", n=1, seed=7)
    assert nijigan.read_face(f"{folder}/face.png").seed == 7
    nijigan.walk(nijigan.load(), f"{folder}/walk.webp", stops=2, frames_per_stop=1, scale=1)
    nijigan.import_faces(f"{folder}/face.png", f"{folder}/faces")  # a single one stands for a list of one
    assert nijigan.FaceDataset(f"{folder}/faces").size == 64
    for call in (lambda: nijigan.resume(f"{folder}/none"), lambda: nijigan.compare(["a"], f"{folder}/page.docx")):
        with pytest.raises(nijigan.UserError):
            call()
