"""What reaches the terminal: hostile text is escaped, poor consoles and closed streams break nothing."""

import io
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from nijigan.cli.common import narrate
from nijigan.cli.entry import Command, main
from nijigan.errors import UserError
from nijigan.recipe.recipe import Recipe
from nijigan.terminal import colours_kept, guarded, printable, styled

say = print  # what is printed is what is tested here
TITLE = "\x1b]0;owned\x07"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (TITLE, r"\x1b]0;owned\x07"), ("\x1b[31mred", r"\x1b[31mred"), ("a\rb\x08c", r"a\x0db\x08c"),
        ("\x9b2J", r"\x9b2J"), ("\x7f", r"\x7f"), ("abc\u202ecba", r"abc\u202ecba"), ("\udc80", r"\udc80"),
        ("tab\tand\nline", "tab\tand\nline"), ("初音　ミク ψ 👩‍🎨", "初音　ミク ψ 👩‍🎨"), ("\x00", r"\x00"),
    ],
)  # fmt: skip
def test_control_characters_are_shown_as_escapes(text: str, shown: str):
    assert printable(text) == shown


def test_only_colours_pass_where_they_are_ours():
    assert printable("\x1b[1;31mred\x1b[0m \x1b[2J\x1b]0;x\x07", colours=True) == (
        "\x1b[1;31mred\x1b[0m " + r"\x1b[2J\x1b]0;x\x07"
    )


class Stream(io.TextIOWrapper):
    """A console of one encoding, perhaps a terminal, perhaps one that cannot be written."""

    def __init__(self, encoding: str = "utf-8", terminal: bool = False, failure: OSError | None = None) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)
        self.terminal, self.failure = terminal, failure

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        if self.failure:
            raise self.failure
        return super().write(text)

    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch):
    def install(out: Stream, error: Stream) -> tuple[Stream, Stream]:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", error)
        return out, error

    return install


def test_both_streams_are_filtered_and_restored(streams):
    out, error = streams(Stream(terminal=True), Stream(terminal=True))
    with guarded():
        say(TITLE, "\x1b[31m")
        say(TITLE, file=sys.stderr)
        narrate(TITLE)
        with colours_kept():
            say("\x1b[32mhelp\x1b[0m" + TITLE)
    assert (sys.stdout, sys.stderr) == (out, error)
    assert out.text() == r"\x1b]0;owned\x07 \x1b[31m" + "\n\x1b[32mhelp\x1b[0m" + r"\x1b]0;owned\x07" + "\n"
    assert error.text() == r"\x1b]0;owned\x07" + "\n" + r"\x1b]0;owned\x07" + "\n"


def test_progress_bars_keep_their_movements_and_messages_between_them_are_filtered(streams):
    from rich.progress import Progress

    _, error = streams(Stream(), Stream(terminal=True))
    with guarded(), Progress(console=styled(stderr=True), transient=True) as bar:
        bar.add_task("Importing", total=3)
        narrate(f"a file named {TITLE}")
    assert "\x1b[2K" in error.text()
    assert "\x1b]0;" not in error.text()
    assert r"\x1b]0;owned" in error.text()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp932"])
def test_a_console_that_lacks_a_character_shows_another(encoding: str, streams):
    out, error = streams(Stream(encoding), Stream(encoding))
    with guarded():
        say("0.1 × ψ · 初音 ╭─╮ é …")
        say("κ ≥ 2", file=sys.stderr)
    if encoding == "ascii":
        assert out.text() == r"0.1 x psi - \u521d\u97f3 +-+ \xe9 ..." + "\n"
        assert error.text() == "kappa >= 2\n"
    assert "0.1" in out.text()


def test_what_stderr_refuses_is_dropped(streams):
    out, _ = streams(Stream(), Stream(failure=OSError(28, "No space left on device")))
    with guarded():
        narrate("lost")
        say("written")
    assert out.text() == "written\n"


def test_what_stdout_refuses_is_a_sentence(streams, monkeypatch):
    _, error = streams(Stream(failure=OSError(28, "No space left on device")), Stream())
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert main(["recipes", "--json"]) == 2
    assert error.text() == "nijigan: The output cannot be written to stdout: No space left on device.\n"


def test_without_streams_nothing_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with guarded():
        say("nobody reads this")
        narrate("nor this")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
def test_a_full_device_and_closed_streams_end_without_a_traceback():
    command = f"{sys.executable} -m nijigan recipes"
    for redirection, code in ((">/dev/full", 2), (">&-", 0), (">/dev/full 2>&-", 2), ("| true", 0)):
        result = subprocess.run(["bash", "-c", f"{command} {redirection}"], capture_output=True, text=True)
        assert result.returncode == code, (redirection, result.stderr)
        assert "Traceback" not in result.stderr
        assert "Exception ignored" not in result.stderr
    help_ = subprocess.run(["bash", "-c", f"{command} --help >/dev/full"], capture_output=True, text=True)
    assert (help_.returncode, "cannot be written to stdout" in help_.stderr) == (2, True)


def test_every_help_screen_and_list_fits_an_ascii_console():
    commands = [kind.__name__.lower() for kind in get_args(Command)]
    program = (
        "import sys\nfrom nijigan.cli.entry import main\n"
        "for words in [['recipes'], ['papers'], *([c, '--help'] for c in sys.argv[1:])]:\n"
        "    try:\n        main(words)\n    except SystemExit as end:\n        assert not end.code, words\n"
    )
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    result = subprocess.run([sys.executable, "-c", program, *commands], capture_output=True, env=environment)
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout.isascii()
    assert result.stderr == b""


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "a/b", "a\\b", "..", ".hidden", "-x", "", " x", "x" * 101, TITLE, "a:b"]
)
def test_a_recipe_cannot_be_named_like_a_path_or_hold_control_characters(
    name: str, tmp_path: Path, capsys, monkeypatch
):
    with pytest.raises(UserError, match="cannot be the name of a recipe"):
        Recipe(name=name)
    (tmp_path / "evil.json").write_text(json.dumps({"name": name}))
    monkeypatch.chdir(tmp_path)
    assert main(["train", "evil.json", "--data", "nowhere"]) == 2
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert "cannot be the name" in error
    assert [path.name for path in tmp_path.iterdir()] == ["evil.json"]


def test_too_little_address_space_is_a_sentence(monkeypatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (4 * 10**8, 4 * 10**8))
    assert main(["recipes"]) == 2
    assert "may use 400 MB of address space" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["papers"], ["papers", "--json"], ["recipes"], ["recipes", "--json"]])
def test_a_reader_that_has_closed_the_pipe_is_no_failure(command: list[str], monkeypatch: pytest.MonkeyPatch):
    """As after `nijigan papers | head -c 1`: rich by itself would exit with code 1."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(command) == 0
