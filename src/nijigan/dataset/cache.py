"""Decoded pixels on disk: a NumPy file with a checksum at its end, mapped into memory."""

import io
import logging
import os
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from nijigan.aliases import Images

CHUNK_BYTES = 2**18
ABANDONED_SECONDS = 24 * 60 * 60
"""A temporary file of this age belongs to a process that was killed."""

_MARK = b"\ncrc32:"
_verified: set[tuple[str, int, int, int]] = set()
"""Files whose checksum this process has compared: path, inode, time of change, size."""

log = logging.getLogger("nijigan")


def write_cache(path: Path, shape: tuple[int, int, int, int], images: Iterable[Images]) -> None:
    """Write N images as a .npy file, and after them the CRC-32 of the file.

    Args:
        path: the file.
        shape: N×H×W×3.
        images: N times uint8, H×W×3.

    Raises:
        OSError: it cannot be written. A mapped file would end a full disk with a signal instead.
    """
    header = _header(shape)
    checksum = zlib.crc32(header)
    with path.open("wb") as stream:
        stream.write(header)
        for image in images:
            data = image.tobytes()
            checksum = zlib.crc32(data, checksum)
            stream.write(data)
        stream.write(_trailer(checksum))


def open_cache(path: Path, shape: tuple[int, int, int, int]) -> Images | None:
    """Map a file that `write_cache` wrote. The checksum is compared once in a process.

    Returns:
        uint8 of the given shape, read-only; None if the file does not exist, is damaged, or holds something else. For
        the last two there is a warning.
    """
    try:
        state = path.stat()
        with path.open("rb") as stream:
            if not _is_whole(path, state, stream, _header(shape)):
                log.warning("%s is damaged or of an earlier version; decoding the faces again.", path)
                return None
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("Could not read %s (%s); decoding the faces again.", path, error.strerror or error)
        return None
    return np.memmap(path, np.uint8, "r", offset=len(_header(shape)), shape=shape)


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


def _header(shape: tuple[int, int, int, int]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _trailer(checksum: int) -> bytes:
    return _MARK + b"%08x\n" % checksum
