"""Limits of the process and the terminal under which libraries hang or crash instead of raising an error."""

import os
import shutil
from contextlib import suppress

from nijigan.errors import check

ADDRESS_SPACE = 800_000_000
"""Bytes of address space (`ulimit -v`) that every command needs."""
ADDRESS_SPACE_OF_TORCH = 4_000_000_000
"""Bytes that commands need which train or judge."""
OPEN_FILES = 64
"""Open files (`ulimit -n`) that every command needs."""
COLUMNS = 40
"""The least width of a terminal for which text is laid out, in characters."""

_LIGHT = ("import", "inspect", "split", "recipes", "papers", "generate", "walk", "-h", "--help")
_WANTED_FILES = 1024
_LACKS = ("failed to map segment", "can't allocate memory", "can't start new thread", "Cannot allocate memory")


def check_limits(command: str) -> None:
    """Refuse limits that are too low for a command, with a `UserError`, and raise those that may be raised."""
    if shutil.get_terminal_size().columns < COLUMNS:
        os.environ["COLUMNS"] = str(COLUMNS)
    try:
        import resource
    except ImportError:  # Windows
        return
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    needed = ADDRESS_SPACE if command in _LIGHT else ADDRESS_SPACE_OF_TORCH
    check(
        space == resource.RLIM_INFINITY or space >= needed,
        f"This process may use {space / 1e6:,.0f} MB of address space, and this command needs {needed / 1e6:,.0f}; "
        "raise the limit (ulimit -v).",
    )
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < _WANTED_FILES:
        files = _WANTED_FILES if most == resource.RLIM_INFINITY else min(_WANTED_FILES, most)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
        check(
            files >= OPEN_FILES,
            f"This process may open {files} files, and nijigan needs {OPEN_FILES}; raise the limit (ulimit -n).",
        )


def is_lack_of_memory(error: Exception) -> bool:
    """Whether an error says that memory or address space has run out; torch and the loader have no type for it."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _LACKS)
