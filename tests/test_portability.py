"""nijigan without the calls that only Unix has, and without the libraries that not every installation has.

Each check runs in a fresh interpreter. The calls are hidden from nijigan alone, because the other libraries have builds
of their own for systems that lack them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nijigan.cli import main
from nijigan.errors import UserError
from nijigan.importing.importer import ImportOptions, import_faces
from nijigan.procedural.faces import write_faces
from nijigan.vision import finder

UNIX = ("fcntl", "resource", "pwd", "grp", "termios")
CALLS = ("sync", "fchmod", "mkfifo", "getuid", "geteuid", "sysconf", "O_NOFOLLOW", "O_DIRECTORY")
SIGNALS = ("SIGHUP", "SIGQUIT", "SIGXCPU", "SIGUSR1", "SIGUSR2", "SIGALRM")
WINDOWS = (*UNIX, *CALLS, *SIGNALS, "animeface")

HIDE = """
import builtins, importlib, json, os, pkgutil, signal, sys

hidden = set(json.loads(sys.argv.pop(1)))
asked = set()
real = builtins.__import__

def lacking(name, globals=None, *rest, **options):
    if name in hidden and str((globals or {}).get("__name__")).partition(".")[0] == "nijigan":
        asked.add(name)
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, globals, *rest, **options)

builtins.__import__ = lacking
for name in hidden & {"animeface", "scipy", "torchmetrics"}:
    sys.modules[name] = None
for module in (os, signal):
    for name in hidden & set(dir(module)):
        delattr(module, name)
"""
IMPORT_ALL = """
import nijigan

names = [module.name for module in pkgutil.walk_packages(nijigan.__path__, "nijigan.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
assert len(names) > 100

from nijigan.cli import main

try:
    main(["--help"])
except SystemExit as end:
    assert not end.code
"""
WHOLE = """
from pathlib import Path
from nijigan.cli import main
from nijigan.procedural.faces import write_faces

write_faces(Path("pictures"), 80, resolution=32)
for words in (
    ["import", "pictures", "--out", "faces"],
    ["import", "pictures", "--out", "faces"],
    ["train", "dcgan-tiny", "--data", "faces", "--out", "run", "--kimg", "0.2", "--resolution", "32"],
    ["resume", "run", "--kimg", "0.3"],
    ["generate", "run", "--n", "4", "--out", "grid.png"],
):
    assert main(words) == 0, words
assert {"fcntl", "resource"} <= asked
"""


def run_without(hidden: Sequence[str], program: str, folder: Path | None = None) -> str:
    command = [sys.executable, "-c", HIDE + program, json.dumps(hidden)]
    environment = os.environ | {"USERNAME": "someone"}  # as on Windows; torch asks for it
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=folder, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "hidden",
    [("fcntl",), ("sync",), ("animeface",), (*UNIX[1:], *SIGNALS), (*WINDOWS, "scipy", "torchmetrics")],
    ids=["fcntl", "os.sync", "animeface", "other calls", "all and test libraries"],
)
def test_every_module_and_the_help_work_without(hidden: tuple[str, ...]) -> None:
    assert "generate" in run_without(hidden, IMPORT_ALL)


def test_faces_are_imported_learned_and_generated_without_unix_calls(tmp_path: Path) -> None:
    run_without(WINDOWS, WHOLE, tmp_path)
    assert (tmp_path / "grid.png").exists()


@pytest.fixture(params=["missing", "broken"])
def no_finder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """animeface is missing, or its library cannot be loaded."""

    def refuse(name: str) -> None:
        raise OSError(f"{name}: invalid ELF header")

    if request.param == "missing":
        monkeypatch.setitem(sys.modules, "animeface", None)
    else:
        monkeypatch.setattr(finder.ctypes, "CDLL", refuse)
    caches = (finder._library, finder._networks)
    for cached in caches:
        cached.cache_clear()
    yield
    monkeypatch.undo()
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("no_finder")
@pytest.mark.parametrize("options", [["--crop"], ["--faces-only"], ["--label", "hair"], ["--label", "year,eyes"]])
def test_imports_that_need_the_detector_say_so_at_once(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_faces(tmp_path / "pictures", 3, resolution=32)
    assert main(["import", str(tmp_path / "pictures"), "--out", str(tmp_path / "faces"), *options]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("nijigan: The face detector animeface cannot be loaded (")
    assert message.endswith(", or omit --crop, --faces-only, --label hair,eyes and --manifold.")
    assert "pip install animeface" in message
    assert os.listdir(tmp_path) == ["pictures"]  # noqa: PTH208


@pytest.mark.usefixtures("no_finder")
def test_an_evaluation_that_needs_the_detector_says_so_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "--data", str(tmp_path / "missing"), "--manifold", "--out", str(tmp_path / "evaluation")]
    assert main(words) == 2
    assert "animeface cannot be loaded" in capsys.readouterr().err


@pytest.mark.usefixtures("no_finder")
def test_every_function_of_the_finder_says_so() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    for function in (finder.find_faces, finder.has_face, finder.may_be_face):
        with pytest.raises(UserError, match="animeface cannot be loaded"):
            function(pixels)
    with pytest.raises(UserError, match="animeface cannot be loaded"):
        finder.have_faces(pixels[None])


@pytest.mark.usefixtures("no_finder")
def test_other_imports_do_without_the_detector(tmp_path: Path) -> None:
    write_faces(tmp_path / "pictures", 5, resolution=160)
    report = import_faces([tmp_path / "pictures"], tmp_path / "faces", label=["year"])
    assert report.faces == 5
    assert not any("illustrations" in note for note in report.notes)
    ImportOptions(label=("year",))
