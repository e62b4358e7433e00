"""Find for which systems and Pythons the dependencies of nijigan have wheels, and print the table of docs/install.md.

    python tools/wheels.py           # the table, from results/install/wheels.json
    python tools/wheels.py --update  # ask the package index again, through pip, and rewrite that file

`pip index versions` lists the files of a distribution and downloads none of them. A cell counts if a version that
pyproject.toml allows has a wheel for the system and the Python. Wheels for Linux are those for glibc.
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

ROOT = Path(__file__).parents[1]
ANSWERS = ROOT / "results" / "install" / "wheels.json"

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_GLIBC = [f"manylinux_2_{minor}" for minor in range(5, 40)] + ["manylinux2014", "manylinux2010", "manylinux1"]
PLATFORMS = {
    "Linux, x86_64": [f"{glibc}_x86_64" for glibc in _GLIBC],
    "Linux, aarch64": [f"{glibc}_aarch64" for glibc in _GLIBC],
    "macOS, arm64": ["macosx_15_0_arm64"],
    "macOS, x86_64": ["macosx_15_0_x86_64"],
    "Windows, x86_64": ["win_amd64"],
}
"""The platform tags that pip is given; for macOS it adds earlier versions itself."""

_ENDINGS = {
    "Linux, x86_64": r"manylinux.*_x86_64",
    "Linux, aarch64": r"manylinux.*_aarch64",
    "macOS, arm64": r"macosx_.*_(arm64|universal2)",
    "macOS, x86_64": r"macosx_.*_(x86_64|intel|universal2)",
    "Windows, x86_64": r"win_amd64",
}


def dependencies() -> list[Requirement]:
    """The core dependencies in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in project["dependencies"]]


def newest(requirement: Requirement, python: str) -> dict[str, str]:
    """For each system with a wheel of an allowed version, the newest such version."""
    tags = [f"--platform={tag}" for platform in PLATFORMS.values() for tag in platform]
    command = [sys.executable, "-m", "pip", "index", "versions", requirement.name, "-vv", "--only-binary=:all:"]
    answer = subprocess.run([*command, f"--python-version={python}", *tags], capture_output=True, text=True)
    if "links" not in answer.stdout or (answer.returncode and "No matching" not in answer.stderr):
        raise RuntimeError(f"pip found nothing about {requirement.name}: {answer.stderr[-500:]}")
    versions: dict[str, set[Version]] = {}
    for name in re.findall(r"Found link \S*/([^/\s#?]+\.whl)", answer.stdout):
        try:
            _, version, _, wheel_tags = parse_wheel_filename(name.replace("%2B", "+"))
        except InvalidWheelFilename:
            continue
        if version.local or not requirement.specifier.contains(version, prereleases=False):
            continue
        for system, ending in _ENDINGS.items():
            if any(tag.platform == "any" or re.fullmatch(ending, tag.platform) for tag in wheel_tags):
                versions.setdefault(system, set()).add(version)
    return {system: str(max(known)) for system, known in versions.items()}


def update() -> None:
    """Ask pip about every dependency and Python, and write the answers."""
    answers: dict[str, dict[str, dict[str, str]]] = {}
    for requirement in dependencies():
        by_python = {python: newest(requirement, python) for python in PYTHONS}
        answers[requirement.name] = {
            system: {python: by_python[python][system] for python in PYTHONS if system in by_python[python]}
            for system in PLATFORMS
        }
    ANSWERS.parent.mkdir(parents=True, exist_ok=True)
    ANSWERS.write_text(json.dumps(answers, indent=1) + "\n")


def table() -> str:
    """The answers as a table of Markdown: for each dependency and system, the Pythons with a wheel."""
    answers = json.loads(ANSWERS.read_text())
    rows = ["| | " + " | ".join(PLATFORMS) + " |", "|---" * (len(PLATFORMS) + 1) + "|"]
    for name, systems in answers.items():
        rows.append(f"| {name} | " + " | ".join(_span(systems[system]) for system in PLATFORMS) + " |")
    return "\n".join(rows)


def _span(pythons: dict[str, str]) -> str:
    if not pythons:
        return "none"
    first, last = min(pythons, key=PYTHONS.index), max(pythons, key=PYTHONS.index)
    whole = len(pythons) == PYTHONS.index(last) - PYTHONS.index(first) + 1
    if not whole or first == last:
        return ", ".join(pythons)
    return "all" if len(pythons) == len(PYTHONS) else f"{first} to {last}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="ask the package index again")
    if parser.parse_args().update:
        update()
    print(table())


if __name__ == "__main__":
    main()
