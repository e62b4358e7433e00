"""Measure every picture with Daft, on this machine or on a cluster (DAFT_RUNNER=ray).

This is the only module that uses Daft. Where Daft cannot run, threads do the same work: in a forked process, which
does not inherit Daft's threads and would wait for them for ever, and under a limit on address space (`ulimit -v`),
where Daft crashes.
"""

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nijigan.dataset.decode import Picture, TooLargeError, UnreadableError, decode
from nijigan.errors import UserError
from nijigan.importing.duplicates import SIDE, perceptual_hashes
from nijigan.importing.sources import SourceFile, read
from nijigan.pictures import resize
from nijigan.vision.finder import check_finder, may_be_face

BATCH = 64
DAFT_BYTES = 2**32
"""Address space that Daft gets. It needs 3 GB on two cores; physical memory is another matter."""

FAILURE = {
    "error": pa.string(),  # why it cannot be used; the other columns are then null
    "too_large": pa.bool_(),
}
MEASURES = pa.struct(
    {
        **FAILURE,
        "sha256": pa.string(),  # of the file, in hexadecimal
        "bytes": pa.int64(),  # its size
        "width": pa.int32(),
        "height": pa.int32(),
        "plain": pa.bool_(),  # as in `Picture`
        "phash": pa.binary(),
        "face": pa.bool_(),  # whether it may be a face; null if not checked
    }
)

Work = Callable[[Sequence[bytes], Sequence[int]], pa.Array]
"""Called with the files (as `os.fsencode` returns them) and positions of a batch; returns a struct for each entry."""


def each(
    entries: Sequence[SourceFile],
    work: Work,
    result: pa.StructType,
    batch: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[pa.Table]:
    """Call `work` for every entry, on all cores.

    Files are read from front to back: the batches follow the order of files and of the positions in them.

    Args:
        entries: the entries.
        work: called with batches of entries, in parallel. It must not fail because of a single entry.
        result: the type of what it returns.
        batch: the largest number of entries in a batch. Few entries get smaller ones, so that there is progress to see.
        progress: called with (entries done, entries in all).

    Yields:
        Batches in the order of completion: the columns of `result`, and the index of the entry as `row`.
    """
    order = sorted(range(len(entries)), key=lambda row: (entries[row].file, entries[row].position))
    places = pa.table(
        {
            "row": np.array(order, np.int64),
            "file": pa.array([os.fsencode(entries[row].file) for row in order], pa.binary()),  # need not be Unicode
            "position": pa.array([entries[row].position for row in order], pa.int64()),
        }
    )
    batch = max(1, min(batch, len(entries) // (4 * (os.cpu_count() or 1))))
    schema = pa.schema([places.schema.field("row"), *result])
    done = 0
    if progress:
        progress(done, len(entries))
    for part in (_by_daft if _daft_can_run() else _by_threads)(places, work, result, batch):
        yield part.cast(schema)  # Daft widens strings
        done += len(part)
        if progress:
            progress(done, len(entries))


def _by_daft(places: pa.Table, work: Work, result: pa.StructType, batch: int) -> Iterator[pa.Table]:
    if not len(places):
        return
    daft = _daft()

    def call(file: Any, position: Any) -> pa.Array:
        return work(file.to_pylist(), position.to_pylist())

    function = daft.func.batch(return_dtype=daft.DataType.from_arrow_type(result), unnest=True, batch_size=batch)(call)
    frame = daft.from_arrow(places).into_batches(batch)
    for part in frame.select(frame["row"], function(frame["file"], frame["position"])).to_arrow_iter():
        yield pa.Table.from_batches([part])


def _by_threads(places: pa.Table, work: Work, result: pa.StructType, batch: int) -> Iterator[pa.Table]:
    def call(start: int) -> pa.Table:
        part = places.slice(start, batch)
        columns = work(part["file"].to_pylist(), part["position"].to_pylist()).flatten()
        return pa.table([part["row"].combine_chunks(), *columns], names=["row", *(field.name for field in result)])

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        try:
            parts = threads.map(call, range(0, len(places), batch))
        except RuntimeError as error:  # no memory is left for the stack of a thread
            raise UserError(f"There is too little memory to read pictures ({error}); allow 1 GB or more.") from error
        yield from parts


def _daft_can_run() -> bool:
    return _started_in in (None, os.getpid()) and _free_address_space() >= DAFT_BYTES


def _free_address_space() -> float:
    """Bytes of address space that this process may still allocate."""
    if sys.platform != "linux":
        return float("inf")
    try:
        import resource
    except ImportError:
        return float("inf")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    return float("inf") if limit == resource.RLIM_INFINITY else limit - used


def measure(
    entries: Sequence[SourceFile],
    max_pixels: int,
    progress: Callable[[int, int], None] | None = None,
    *,
    detect: bool = False,
) -> pa.Table:
    """Read, check, decode and hash every entry.

    Args:
        entries: files that may be pictures.
        max_pixels: the largest width × height that is decoded.
        progress: called with (entries done, entries in all).
        detect: whether to run the face detector.

    Returns:
        One row per entry, in the order of `entries`, with the columns of `MEASURES`. A file that cannot be used has an
        `error` instead of measures, and does not stop the others.

    Raises:
        UserError: `detect` is set and the face detector cannot be loaded.
    """
    if detect:
        check_finder()

    def work(files: Sequence[bytes], positions: Sequence[int]) -> pa.Array:
        return _measure(files, positions, max_pixels, detect)

    parts = list(each(entries, work, MEASURES, BATCH, progress))
    return pa.concat_tables(parts).sort_by("row").drop_columns("row") if parts else pa.schema(MEASURES).empty_table()


def open_entry(file: bytes, position: int, max_pixels: int | None) -> tuple[bytes, Picture]:
    """The bytes of an entry, and the decoded picture.

    Raises:
        UnreadableError: it cannot be read, for whatever reason.
    """
    try:
        data = read(os.fsdecode(file), position)
        return data, decode(data, max_pixels)
    except UnreadableError:
        raise
    except Exception as error:  # such as a damaged archive, or a file that was deleted
        raise UnreadableError(f"cannot be read: {str(error) or type(error).__name__}") from error


def failure(error: UnreadableError) -> dict[str, Any]:
    """The columns of `FAILURE` for an error."""
    return {"error": str(error), "too_large": isinstance(error, TooLargeError)}


def _measure(files: Sequence[bytes], positions: Sequence[int], max_pixels: int, detect: bool) -> pa.Array:
    rows: list[dict[str, Any]] = []
    thumbnails: list[npt.NDArray[np.uint8]] = []
    for file, position in zip(files, positions, strict=True):
        try:
            data, picture = open_entry(file, position, max_pixels)
        except UnreadableError as error:
            rows.append(failure(error))
            continue
        thumbnails.append(np.asarray(resize(picture.image, SIDE, SIDE)))
        width, height = picture.image.size
        digest = hashlib.sha256(data).hexdigest()
        rows.append({"sha256": digest, "bytes": len(data), "width": width, "height": height, "plain": picture.plain})
        if detect:
            rows[-1]["face"] = may_be_face(np.asarray(picture.image))
    if thumbnails:
        hashes = iter(perceptual_hashes(np.stack(thumbnails)))
        for row in rows:
            if "sha256" in row:
                row["phash"] = next(hashes).tobytes()
    return pa.array(rows, MEASURES)


_started_in: int | None = None
"""The process in which Daft was started."""


def _daft() -> Any:
    """Import Daft: late, because it takes half a second, and without telemetry, progress bars and warnings."""
    global _started_in
    _started_in = os.getpid()
    os.environ.update(DO_NOT_TRACK="true", DAFT_ANALYTICS_ENABLED="0")
    os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
    logging.getLogger("daft").setLevel(logging.ERROR)  # it warns when it cannot describe our command to itself
    import daft

    return daft
