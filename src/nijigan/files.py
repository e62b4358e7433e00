"""Files that are whole or absent: everything is written beside its place, flushed to disk, then renamed."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nijigan.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it takes the place of `path`, on failure it is removed.

    The temporary name keeps the suffix of `path`, so that libraries that choose a format by it still do.

    Raises:
        UserError: the disk is full or the folder cannot be written to; `path` is as it was.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _could_not_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new empty folder beside `path`; on success it takes the place of `path`, on failure it is removed.

    The old folder, if any, is moved aside before the rename and removed after it. Killed between the two, it stands
    under its name for the meantime: see `recover_folder`.

    Raises:
        UserError: the disk is full or the place cannot be written to; `path` is as it was.
    """
    token = secrets.token_hex(4)
    temporary, old = path.with_name(f".{path.name}.{token}.new"), path.with_name(f".{path.name}.{token}.old")
    try:
        recover_folder(path)
        temporary.mkdir(parents=True)
        yield temporary
        os.sync()
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        _sync(path.parent)
    except OSError as error:
        raise _could_not_write(path, error) from error
    finally:
        with suppress(OSError):
            if old.exists() and not path.exists():
                old.rename(path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def recover_folder(path: Path) -> None:
    """Put back a folder that `replacing_folder` had moved aside when it was killed; otherwise do nothing."""
    if not path.exists():
        for old in sorted(path.parent.glob(f".{path.name}.*.old"))[:1]:
            old.rename(path)


def _could_not_write(path: Path, error: OSError) -> UserError:
    return UserError(f"Could not write {path}: {error.strerror or error}. Free some space or choose another place.")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
