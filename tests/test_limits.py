"""Limits of the process and the terminal, and files that are no files."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nijigan.cli.entry import main
from nijigan.cli.limits import check_limits, is_lack_of_memory
from nijigan.dataset.cache import open_cache
from nijigan.errors import UserError
from nijigan.importing.importer import ImportOptions
from nijigan.jsonio import read_json
from nijigan.judges import readers
from nijigan.rate.sheets import read_sheets
from nijigan.recipe.recipe import Recipe
from nijigan.runs import read_log


@pytest.fixture
def open_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("open_files")
def test_the_number_of_open_files_is_raised_where_it_may_be() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, most))
    check_limits("import")
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(1024, most)


def test_too_few_open_files_are_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (12, 12) if kind == resource.RLIMIT_NOFILE else (-1, -1))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: None)
    assert main(["recipes"]) == 2
    assert capsys.readouterr().err == (
        "nijigan: This process may open 12 files, and nijigan needs 64; raise the limit (ulimit -n).\n"
    )


@pytest.mark.parametrize(
    ("command", "enough"), [("import", True), ("generate", True), ("train", False), ("lab", False)]
)
def test_commands_that_train_or_judge_need_more_address_space(
    command: str, enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (2 * 10**9, -1) if kind == resource.RLIMIT_AS else (-1, -1))
    if enough:
        check_limits(command)
    else:
        with pytest.raises(UserError, match="may use 2,000 MB of address space, and this command needs 4,000"):
            check_limits(command)


@pytest.mark.parametrize(
    ("error", "lack"),
    [
        (MemoryError(), True), (RuntimeError("can't start new thread"), True), (RuntimeError("shapes differ"), False),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True), (ImportError("no x"), False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
    ],
)  # fmt: skip
def test_errors_without_a_type_are_told_as_lack_of_memory(
    error: Exception, lack: bool, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert is_lack_of_memory(error) == lack

    def run(self: object) -> None:
        raise error

    monkeypatch.setattr("nijigan.cli.recipes.Recipes.run", run)
    if lack:
        assert main(["recipes"]) == 2
        assert "too little memory" in capsys.readouterr().err
    else:
        with pytest.raises(type(error)):
            main(["recipes"])


def test_help_is_laid_out_on_the_narrowest_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("COLUMNS", "1")
    with pytest.raises(SystemExit):
        main(["recipes", "--help"])
    assert "Print" in capsys.readouterr().out


def test_pipes_in_place_of_files_are_not_waited_for(tmp_path: Path) -> None:
    for name in ("log.jsonl", "recipe.json", "cache.npy", "reader.safetensors", "key.json"):
        os.mkfifo(tmp_path / name)
    assert open_cache(tmp_path / "cache.npy", (1, 2, 2, 3)) is None
    for read in (
        lambda: read_log(tmp_path),
        lambda: read_json(Recipe, tmp_path / "recipe.json"),
        lambda: readers._open(tmp_path / "reader.safetensors", "own"),
        lambda: read_sheets(tmp_path),
    ):
        with pytest.raises(UserError):
            read()


@pytest.mark.parametrize("size", [0, -5])
def test_a_smallest_size_below_one_pixel_is_refused(size: int) -> None:
    with pytest.raises(UserError, match=f"min_size is {size}; choose 1 pixel or more"):
        ImportOptions(min_size=size)


def test_a_request_for_help_gets_no_other_advice(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def refuse(*arguments: object) -> None:
        raise UserError("The output cannot be written.")

    monkeypatch.setattr("nijigan.cli.entry._command", refuse)
    assert main(["train", "--help"]) == 2
    assert capsys.readouterr().err == "nijigan: The output cannot be written.\n"
