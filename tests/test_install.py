"""What an installation needs and weighs: the dependencies, the wheel, and the tables of docs/install.md."""

import json
import runpy
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGE = (ROOT / "docs" / "install.md").read_text()
WHEELS = runpy.run_path(str(ROOT / "tools" / "wheels.py"))
WEIGHT = runpy.run_path(str(ROOT / "tools" / "install_weight.py"))

MOST = 60_000_000
"""Bytes that the wheel may have."""


def names(requirements: list[str]) -> set[str]:
    return {Requirement(text).name for text in requirements}


def test_the_package_is_small_enough_even_before_it_is_compressed() -> None:
    files = [path for path in (ROOT / "src" / "nijigan").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert 5_000_000 < sum(path.stat().st_size for path in files) <= MOST


def test_scipy_and_torchmetrics_are_no_core_dependencies() -> None:
    extras = PROJECT["optional-dependencies"]
    assert names(PROJECT["dependencies"]) & {"scipy", "torchmetrics", "torch-fidelity"} == set()
    assert names(extras["inception"]) == {"torchmetrics", "torch-fidelity"}
    assert names(extras["dev"]) >= {"scipy", "torchmetrics"}


@pytest.mark.parametrize(("system", "required"), [("win32", False), ("linux", True), ("darwin", True)])
def test_animeface_is_required_except_on_windows(system: str, required: bool) -> None:
    (animeface,) = (one for one in map(Requirement, PROJECT["dependencies"]) if one.name == "animeface")
    assert animeface.marker is not None
    assert animeface.marker.evaluate({"sys_platform": system}) is required


def test_the_page_lists_every_extra() -> None:
    assert all(f"| `{extra}` | " in PAGE for extra in PROJECT["optional-dependencies"])


def test_the_page_has_the_wheels_of_every_dependency() -> None:
    assert WHEELS["table"]() in PAGE
    answers = json.loads(WHEELS["ANSWERS"].read_text())
    assert list(answers) == [one.name for one in WHEELS["dependencies"]()]
    for requirement in WHEELS["dependencies"]():
        versions = [v for pythons in answers[requirement.name].values() for v in pythons.values()]
        assert versions
        assert all(version in requirement.specifier for version in versions)
    assert answers["animeface"]["Windows, x86_64"] == {}


@pytest.mark.parametrize(
    ("pythons", "text"),
    [((), "none"), (("3.11", "3.12", "3.13", "3.14"), "all"), (("3.11", "3.12"), "3.11 to 3.12"), (("3.12",), "3.12"),
     (("3.11", "3.13"), "3.11, 3.13")],
)  # fmt: skip
def test_pythons_are_written_as_a_range(pythons: tuple[str, ...], text: str) -> None:
    assert WHEELS["_span"](dict.fromkeys(pythons, "1.0")) == text


def test_the_weight_counts_what_is_required_over_any_number_of_steps_and_nothing_else() -> None:
    found = set(WEIGHT["closure"](["lightning-fabric"], ["torch"]))
    assert {"lightning-fabric", "lightning-utilities", "fsspec", "aiohttp", "yarl"} <= found  # fsspec[http]
    assert found & {"torch", "sympy", "torchmetrics", "pytest"} == set()
    assert "scipy" in WEIGHT["closure"](["lightning-fabric", "scipy"], ["torch"])
    assert WEIGHT["size"](distribution("pillow")) > 1_000_000
    with pytest.raises(PackageNotFoundError):
        WEIGHT["closure"](["no-such-distribution"])
