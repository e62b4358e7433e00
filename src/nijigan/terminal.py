"""What reaches the terminal: no control characters of a stranger's file. What it lacks or refuses breaks no command.

Names in files that others made (recipes, generators, datasets, tables) may hold control characters, which could set the
terminal's title, colour or clear it. `guarded` puts one filter in front of stdout and stderr.
"""

import codecs
import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from nijigan.errors import UserError
from nijigan.safe_text import MISLEADING

if TYPE_CHECKING:
    from rich.console import Console

_CONTROL = re.compile(f"(\x1b\\[[0-9;]*m)|[{MISLEADING}]")  # the group is a colour
_PLAIN = str.maketrans(
    {"─": "-", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "·": "-", "×": "x", "…": "...", "–": "-", "ψ": "psi",
     "━": "-", "┃": "|", "┏": "+", "┓": "+", "└": "+", "┘": "+", "├": "+", "┤": "+", "┡": "+", "┩": "+", "╇": "+",
     "┳": "+", "┴": "+", "┬": "+", "┼": "+", "╺": "-", "╸": "-", "≥": ">=", "≤": "<=", "→": "->", "“": '"', "”": '"',
     "’": "'", "²": "^2", "κ": "kappa"}
)  # fmt: skip
"""Stand-ins for consoles whose encoding lacks a character."""


def printable(text: str, colours: bool = False) -> str:
    r"""Replace control characters by their escapes, such as `\x1b`; tabs and newlines stay.

    Args:
        text: any text.
        colours: whether to keep the sequences that change only the colour.
    """
    return _CONTROL.sub(lambda match: match[1] if colours and match[1] else _escape(match[0][0]) + match[0][1:], text)


def shell(path: Path) -> str:
    """A path as it can be pasted into a command."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def duration(seconds: float) -> str:
    """A duration in words, such as `40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def styled(stderr: bool = False) -> "Console":
    """A rich console for our own tables and progress bars, whose colours and cursor movements pass the filter."""
    from rich.console import Console

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            raise  # the BrokenPipeError: rich would end the program with code 1

    stream: Any = sys.stderr if stderr else sys.stdout
    if isinstance(stream, _Guard):
        return Ours(file=stream.unfiltered)
    return Ours(file=_Quiet(stream) if stderr and stream else stream)  # type: ignore[arg-type]


@contextmanager
def guarded() -> Iterator[None]:
    """Filter stdout and stderr of this process, and write what stdout still holds at the end.

    A character that the console's encoding lacks is replaced by a similar one or its escape. Messages to stderr that
    cannot be written, because the terminal is closed or the disk is full, are dropped.

    Raises:
        BrokenPipeError: the program that reads stdout, such as `head`, has closed it.
        UserError: stdout cannot be written for another reason.
    """
    before = sys.stdout, sys.stderr
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:  # Python may have been started without a stream
        sys.stdout, sys.stderr = _guard(before[0] or nowhere, _Loud), _guard(before[1] or nowhere, _Quiet)
        try:
            yield
        finally:
            try:
                sys.stdout.flush()
            finally:
                sys.stdout, sys.stderr = before


@contextmanager
def colours_kept() -> Iterator[None]:
    """Inside `guarded`, let colours pass on a terminal, for help screens."""
    guards = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, _Guard)]
    for guard in guards:
        guard.colours = guard.isatty()
    try:
        yield
    finally:
        for guard in guards:
            guard.colours = False


class _Loud:
    """A stream that says in a sentence why it cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write."""
        with self._explained():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush."""
        with self._explained():
            self._stream.flush()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with suppress(OSError, ValueError):  # otherwise Python itself fails at its end on what is left to write
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if isinstance(error, BrokenPipeError):
                raise
            raise UserError(f"The output cannot be written to stdout: {error.strerror}.") from error


class _Quiet(_Loud):
    """A stream that drops what cannot be written."""

    @contextmanager
    def _explained(self) -> Iterator[None]:
        with suppress(OSError, ValueError):  # ValueError: it is closed
            yield


class _Guard:
    """A stream behind the filter."""

    colours = False

    def __init__(self, unfiltered: _Loud) -> None:
        self.unfiltered: Any = unfiltered

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)

    def write(self, text: str) -> int:
        """Write the text with its control characters escaped."""
        self.unfiltered.write(printable(text, self.colours))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)


def _guard(stream: TextIO, kind: type[_Loud]) -> Any:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors=_REPLACE)
    return _Guard(kind(stream))


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written for a character that the encoding lacks."""
    assert isinstance(error, UnicodeEncodeError)
    wanted = error.object[error.start : error.end]
    return "".join(c if c.isascii() else _escape(c) for c in wanted.translate(_PLAIN)), error.end


def _escape(text: str) -> str:
    r"""The text with `\x1b` for an escape, `\u202e` for U+202E."""
    return "".join(f"\\x{ord(c):02x}" if c < "\xa0" else c.encode("ascii", "backslashreplace").decode() for c in text)


_REPLACE = "nijigan-plain"
codecs.register_error(_REPLACE, _replace)
