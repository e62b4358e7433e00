"""Files that are whole or absent: everything is written beside its place, flushed to disk, then renamed."""

import errno
import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nijigan.errors import UserError

ASSETS = Path(__file__).parent / "assets"
"""The weights that come in the package."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it takes the place of `path`, on failure it is removed.

    The temporary name keeps the suffix of `path`, so that libraries that choose a format by it still do.

    Raises:
        UserError: the disk is full or the folder cannot be written to; `path` is as it was.
    """
    if not path.name:
        raise UserError(f"{path} is a folder, not a file to write; name a file.")
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
        aside = path.parent.glob(f".{glob.escape(path.name)}.*.old")
        for old in sorted(aside, key=lambda folder: folder.stat().st_mtime)[-1:]:
            old.rename(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` for the duration; it is given up when the process ends, however it ends.

    Raises:
        UserError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"Another process is at work in {path.parent}; wait for it or stop it.") from error
        yield


def _could_not_write(path: Path, error: OSError) -> UserError:
    advice = "Free some space or choose" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Choose"
    return UserError(f"Could not write {path}: {error.strerror or error}. {advice} another place.")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
