"""Arrays on disk that can be computed again: NumPy files with a checksum at their end, mapped into memory.

They are in the folder `cache` of the dataset that they belong to. If that cannot be written, they are in the user's
folder for caches. The environment variable `NIJIGAN_CACHE` names another folder for those of all datasets.
"""

import hashlib
import io
import logging
import math
import os
import sys
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nijigan.errors import UserError
from nijigan.files import check_regular

Shape = tuple[int, ...]
PIXELS, FLOATS = "|u1", "<f4"
"""Types of the numbers, as NumPy writes them: uint8 and float32."""

CHUNK_BYTES = 2**18
ABANDONED_SECONDS = 24 * 60 * 60
"""A temporary file of this age belongs to a process that was killed."""

_MARK = b"\ncrc32:"
_verified: set[tuple[str, int, int, int]] = set()
"""Files whose checksum this process has compared: path, inode, time of change, size."""

log = logging.getLogger("nijigan")


VARIABLE = "NIJIGAN_CACHE"


def cache_file(dataset: Path, name: str, *, write: bool = False) -> Path:
    """Where a file of a dataset's cache is.

    Args:
        dataset: the dataset's folder.
        name: the name of the file.
        write: whether the file is going to be written. Its folder is then created. Otherwise, the file in a dataset
            that cannot be written may be the answer.

    Raises:
        UserError: neither the dataset nor the folder for caches can be written.
    """
    own = dataset / "cache"
    if not os.environ.get(VARIABLE) and _writable(own if own.exists() else dataset):
        return own / name
    dataset = dataset.resolve()
    try:
        place = _caches() / f"{dataset.name}-{hashlib.sha256(os.fsencode(dataset)).hexdigest()[:16]}" / name
        if not write:
            return own / name if (own / name).exists() and not place.exists() else place
        place.parent.mkdir(parents=True, exist_ok=True)
        return place
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        raise UserError(
            f"There is no place for the decoded faces of {dataset} ({error}). Set the environment variable {VARIABLE} "
            "to a folder that can be written."
        ) from error


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def _caches() -> Path:
    """The folder for the caches of datasets that cannot be written."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser().resolve()
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "nijigan" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "nijigan"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "nijigan"


def write_cache(path: Path, shape: Shape, parts: Iterable[npt.NDArray[Any]], dtype: str = PIXELS) -> None:
    """Write an array as a .npy file, and after it the CRC-32 of the file.

    Args:
        path: the file.
        shape: of the whole array, such as N×H×W×3.
        parts: the array in pieces, such as N images, contiguous and of the type below.
        dtype: type of the numbers, as NumPy writes it.

    Raises:
        OSError: it cannot be written. A mapped file would end a full disk with a signal instead.
    """
    header = _header(shape, dtype)
    checksum = zlib.crc32(header)
    with path.open("wb") as stream:
        stream.write(header)
        for part in parts:
            data = part.tobytes()
            checksum = zlib.crc32(data, checksum)
            stream.write(data)
        stream.write(_trailer(checksum))


def open_cache(path: Path, shape: Shape, dtype: str = PIXELS) -> npt.NDArray[Any] | None:
    """Map a file that `write_cache` wrote. The checksum is compared once in a process.

    Returns:
        The array, read-only; None if the file does not exist, is damaged, or holds something else. For
        the last two there is a warning, unless nijigan 0.1 wrote the file, without a checksum.
    """
    header = _header(shape, dtype)
    try:
        check_regular(path)
        state = path.stat()
        with path.open("rb") as stream:
            if not _is_whole(path, state, stream, header):
                unsealed = len(header) + math.prod(shape) * np.dtype(dtype).itemsize
                if state.st_size != unsealed:
                    log.warning("%s is damaged; it is computed again.", path)
                return None
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("Could not read %s (%s); it is computed again.", path, error.strerror or error)
        return None
    return np.memmap(path, dtype, "r", offset=len(header), shape=shape)


def remove_stale(path: Path, pattern: str) -> None:
    """Delete other caches than `path` that match `pattern` in its folder, and abandoned temporary files of such."""
    for other in path.parent.glob(pattern):
        if other != path:
            with suppress(OSError):  # Windows does not delete a file that another process has mapped
                other.unlink()
    for temporary in path.parent.glob(f".{pattern}"):
        with suppress(OSError):
            if time.time() - temporary.stat().st_mtime > ABANDONED_SECONDS:
                temporary.unlink()


def _is_whole(path: Path, state: os.stat_result, stream: io.BufferedReader, header: bytes) -> bool:
    """Whether the file has this header and the checksum that it states."""
    key = (str(path), state.st_ino, state.st_mtime_ns, state.st_size)
    if key in _verified:
        return True
    rest = state.st_size - len(_trailer(0))
    if stream.read(len(header)) != header:
        return False
    checksum = zlib.crc32(header)
    rest -= len(header)
    while rest > 0 and (data := stream.read(min(rest, CHUNK_BYTES))):
        checksum = zlib.crc32(data, checksum)
        rest -= len(data)
    if rest != 0 or stream.read() != _trailer(checksum):
        return False
    _verified.add(key)
    return True


def _header(shape: Shape, dtype: str) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _trailer(checksum: int) -> bytes:
    return _MARK + b"%08x\n" % checksum
