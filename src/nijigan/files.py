"""Write files and folders so that they are complete or absent: write next to the target, flush, then rename."""

import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from nijigan.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

EVERYTHING = re.compile(".*", re.DOTALL)
"""Matches every file name: the writer of a folder owns all of its content."""

RECOVERY_SECONDS = 5.0
"""How long a reader waits for another process that is between the two renames of a folder."""

_SCRATCH = r"(?:old|new|crops(?:\.[0-9a-f]{8})?\.zip)"

PART = r"\..+\.[0-9a-f]{8}\.part(?:\.[^.]*)?"
"""Matches the names of temporary files."""

_ABANDONED_SECONDS = 86_400  # without locks, age tells what was abandoned
_swept: set[Path] = set()


def check_path(path: Path) -> None:
    """Refuse, with a `UserError`, a path that is too long, has a null character or is not permitted."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{str(path)[:60]!r} cannot be opened: {reason}. Name another file or folder.") from error


def check_writable(path: Path) -> None:
    """Create the folder of a file that will be written later; refuse, with a `UserError`, a place that cannot be."""
    check_path(path)
    with _reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path):
            pass


@contextmanager
def replacing(path: Path, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary file in the same folder. On success it replaces `path`; on failure it is removed.

    The temporary name keeps the suffix of `path`, because some libraries choose the file format by the suffix. The
    first call of a process for a folder removes the temporary files that killed processes left there.

    Args:
        path: the file; its folder is created.
        flush: wait until the disk has the file, so that it survives a loss of power. It takes a millisecond or more.

    Raises:
        UserError: the disk is full, the folder is not writable, or `path` is a pipe or a device; it is unchanged.
    """
    if not path.name:
        raise UserError(f"{path} is a folder, not a file to write; name a file.")
    with _reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        check_regular(path)  # no file takes the place of /dev/null
        sweep(path.parent)
        with _temporary(path) as temporary:
            yield temporary
            if flush:
                _sync_file(temporary)
            temporary.replace(path)
        if flush:
            _sync_folder(path.parent)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Create a temporary file for `path`, locked so that no other process sweeps it, and remove it at the end."""
    while True:
        temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            if fcntl:
                with suppress(OSError):  # some network disks have no locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            else:
                os.close(descriptor)  # Windows renames no open file
                descriptor = -1
            if temporary.exists():  # otherwise another process swept it before it was locked
                yield temporary
                return
        finally:
            with suppress(OSError):
                temporary.unlink()
            if descriptor >= 0:
                os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder, once per process and folder."""
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError):
        for place in [place for place in folder.iterdir() if re.fullmatch(PART, place.name, re.DOTALL)]:
            with suppress(OSError):
                _remove_abandoned(place)


def _remove_abandoned(place: Path) -> None:
    """Remove a temporary file unless a process still holds it."""
    if fcntl is None:
        if time.time() - place.stat().st_mtime > _ABANDONED_SECONDS:
            place.unlink()
        return
    descriptor = os.open(place, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an OSError if it is held
        place.unlink()
    finally:
        os.close(descriptor)


def check_regular(path: Path) -> None:
    """Raise an OSError if `path` is a pipe or a device: one may wait for ever, the other has no content to replace."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove(path: Path) -> None:
    """Delete a file, a link, or a folder with everything in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def replacing_folder(path: Path, owned: re.Pattern[str] = EVERYTHING) -> Iterator[Path]:
    """Yield a new empty folder next to `path`. On success it replaces `path`; on failure it is removed.

    Where the system can swap two folders in one step (Linux, macOS), `path` exists at every moment. Elsewhere the old
    folder is renamed first, and `recover_folder` undoes that if the process is killed before the second rename.
    Hold `folder_lock` meanwhile, so that no other process takes the new folder for the remains of a killed one.

    Args:
        path: the folder; it need not exist.
        owned: matches the names that the writer owns. All other files and folders in `path` are kept. Of a folder whose
            name matches with a `/` after it, the writer owns what matches with that prefix, such as `cache/1.npy`.

    Raises:
        UserError: the disk is full or the place is not writable; `path` is unchanged.
    """
    path = path.resolve()  # of a symbolic link, the folder that it points to is replaced
    token = secrets.token_hex(4)
    new, old = path.with_name(f".{path.name}.{token}.new"), path.with_name(f".{path.name}.{token}.old")
    try:
        with _reported(path):
            recover_folder(path, owned)
            new.mkdir(parents=True)
            yield new
            _sync_tree(new)
            if path.exists():
                shutil.copymode(path, new)
                _move_foreign(path, new, owned)
            _swap(new, path, old)
            _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            if old.exists() and not path.exists():
                old.rename(path)
        for folder in (new, old):
            _discard(folder, path, owned)


def recover_folder(path: Path, owned: re.Pattern[str] = EVERYTHING) -> None:
    """Repair what a process left that was killed in `replacing_folder`; call this before reading `path`.

    A folder that was renamed and not yet replaced gets its name back. If `path` exists, remains next to it are deleted,
    so that they cannot come back after `path` itself is deleted; foreign files in them return to `path`. Nothing
    happens while another process holds `folder_lock`.

    Args:
        path: the folder.
        owned: as for `replacing_folder`.

    Raises:
        UserError: the folder cannot get its name back.
    """
    path = path.resolve()
    remains = _remains(path)
    if not remains:
        return
    moved = [place for place in remains if place.suffix == ".old" and not path.exists()]
    with suppress(UserError), folder_lock(path, owned, wait=RECOVERY_SECONDS if moved else 0):
        pass  # taking the lock cleans up
    if moved and not path.exists() and any(place.exists() for place in moved):
        raise UserError(f"An interrupted process renamed {path} to {moved[-1].name}; rename it back.")


@contextmanager
def folder_lock(path: Path, owned: re.Pattern[str] = EVERYTHING, wait: float = 0) -> Iterator[None]:
    """Keep other processes from changing the folder `path`, and remove what killed ones left next to it.

    The lock is a hidden file next to the folder, so that it outlives the replacement of the folder. It is removed at
    the end, and a file left by a killed process does not block.

    Args:
        path: the folder; it need not exist.
        owned: as for `replacing_folder`.
        wait: seconds to wait for another process.

    Raises:
        UserError: another process holds the lock, or the lock file cannot be written.
    """
    path = path.resolve()
    if not path.name:
        raise UserError(f"{path} is the root of the file system; choose another folder.")
    file = path.with_name(f".{path.name}.lock")
    with _lock(file, path, wait):
        try:
            _clean_up(path, owned)
            yield
        finally:
            with suppress(OSError):  # Windows does not delete open files; filelock deletes it there
                file.unlink()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`. The lock ends with the process, however the process ends.

    Raises:
        UserError: another process holds it, or the file cannot be written.
    """
    with _lock(path, path.parent, 0):
        yield


@contextmanager
def _lock(file: Path, place: Path, wait: float) -> Iterator[None]:
    """Hold a lock file for at most one process; messages name `place`."""
    lock = FileLock(file)
    with _reported(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=wait)
        except Timeout as error:
            raise UserError(f"Another process is using {place}; wait for it to end, or stop it.") from error
    try:
        yield
    finally:
        lock.release()


def _remains(path: Path) -> list[Path]:
    """The hidden files and folders next to `path` that belong to its replacement, the oldest first."""
    pattern = re.compile(rf"\.?\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.{_SCRATCH}")
    try:
        places = [place for place in path.parent.iterdir() if pattern.fullmatch(place.name)]
        return sorted(places, key=lambda place: place.lstat().st_mtime)
    except OSError:  # no such folder, or one that vanished in between
        return []


def _clean_up(path: Path, owned: re.Pattern[str]) -> None:
    """With the lock held: give `path` its name back if it lost it, then delete the remains of killed processes."""
    remains = _remains(path)
    if not path.exists():
        for old in [place for place in remains if place.suffix == ".old"][-1:]:
            with suppress(OSError):
                old.rename(path)
    for place in remains:
        _discard(place, path, owned)


def _discard(place: Path, path: Path, owned: re.Pattern[str]) -> None:
    """Delete the remains at `place`. Foreign files in them move to `path`; those that cannot move stay."""
    with suppress(OSError):
        if not place.is_dir():
            place.unlink(missing_ok=True)
            return
        if path.is_dir():
            _move_foreign(place, path, owned)
    with suppress(OSError):
        _delete_owned(place, owned)


def _delete_owned(place: Path, owned: re.Pattern[str], prefix: str = "") -> None:
    """Delete what is `owned` in a folder, and the folder if nothing else is in it."""
    for entry in place.iterdir():
        folder = entry.is_dir() and not entry.is_symlink()
        if folder and owned.fullmatch(f"{prefix}{entry.name}/"):
            with suppress(OSError):
                _delete_owned(entry, owned, f"{prefix}{entry.name}/")
        elif owned.fullmatch(prefix + entry.name):
            remove(entry)
    place.rmdir()


def _move_foreign(source: Path, target: Path, owned: re.Pattern[str], prefix: str = "") -> None:
    """Move what is not `owned` from one folder to another on the same disk; `target` is made if anything is moved."""
    for entry in sorted(source.iterdir()):
        name = prefix + entry.name
        if owned.fullmatch(f"{name}/") and entry.is_dir() and not entry.is_symlink():
            _move_foreign(entry, target / entry.name, owned, f"{name}/")
        elif not owned.fullmatch(name):
            target.mkdir(exist_ok=True)
            _move(entry, target / entry.name)


def _move(entry: Path, place: Path) -> None:
    """Rename; merge folders if there is one at `place` already. Files are never overwritten."""
    if not os.path.lexists(place):
        entry.rename(place)
    elif all(folder.is_dir() and not folder.is_symlink() for folder in (entry, place)):
        for inner in sorted(entry.iterdir()):
            _move(inner, place / inner.name)
        with suppress(OSError):
            entry.rmdir()


def _swap(new: Path, path: Path, old: Path) -> None:
    """Put `new` in the place of `path`; the folder that was there ends up as `new` or `old`."""
    if path.exists() and not _exchange(new, path):
        path.rename(old)
    if new.exists() and not path.exists():
        new.rename(path)


def _exchange(one: Path, other: Path) -> bool:
    """Swap the names of two folders in one step; False where the system or the file system cannot."""
    names = os.fsencode(one), os.fsencode(other)
    current = -100  # AT_FDCWD
    calls = {
        "linux": ("renameat2", (current, names[0], current, names[1], 2)),  # RENAME_EXCHANGE
        "darwin": ("renamex_np", (*names, 2)),  # RENAME_SWAP
    }
    if sys.platform not in calls:
        return False
    name, arguments = calls[sys.platform]
    function = getattr(ctypes.CDLL(None), name, None)
    return function is not None and function(*arguments) == 0


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Raise a `UserError` where the system refuses to write `path`."""
    try:
        yield
    except OSError as error:
        advice = "Free some space or choose" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Choose"
        raise UserError(f"Could not write {path}: {error.strerror or error}. {advice} another place.") from error


def _sync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder` to disk."""
    for inner, _, files in os.walk(folder, topdown=False):
        for name in files:
            _sync_file(Path(inner, name))
        _sync_folder(Path(inner))


def _sync_file(path: Path) -> None:
    with path.open("r+b") as file:  # Windows flushes only what may be written
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Flush a folder's list of names, where the system can: Windows and some network disks cannot."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
