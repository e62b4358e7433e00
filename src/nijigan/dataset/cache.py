"""Arrays on disk that can be computed again: NumPy files with a checksum at their end, mapped into memory."""

import io
import logging
import os
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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
        the last two there is a warning.
    """
    try:
        state = path.stat()
        with path.open("rb") as stream:
            if not _is_whole(path, state, stream, _header(shape, dtype)):
                log.warning("%s is damaged or from an earlier version; it is computed again.", path)
                return None
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("Could not read %s (%s); it is computed again.", path, error.strerror or error)
        return None
    return np.memmap(path, dtype, "r", offset=len(_header(shape, dtype)), shape=shape)


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
