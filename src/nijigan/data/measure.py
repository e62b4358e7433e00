"""What is computed from every picture by itself, on Daft: on this machine, or a cluster with DAFT_RUNNER=ray.

Everything that the project uses of Daft is in this file.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nijigan.data.decode import TooLargeError, UnreadableError, decode, resize
from nijigan.data.dedupe import SIDE, perceptual_hashes
from nijigan.data.sources import Entry, read

BATCH = 256

MEASURES = pa.struct(
    {
        "error": pa.string(),  # why it cannot be used; everything below is null then
        "too_large": pa.bool_(),
        "sha256": pa.string(),  # of the file, in hexadecimal
        "bytes": pa.int64(),  # its size
        "width": pa.int32(),
        "height": pa.int32(),
        "plain": pa.bool_(),  # as in `Picture`
        "phash": pa.binary(),
    }
)


def measure(entries: Sequence[Entry], max_pixels: int, progress: Callable[[int, int], None] | None = None) -> pa.Table:
    """Read, check, decode and hash every entry.

    Returns:
        One row an entry, in the order of `entries`, with the columns of `MEASURES`. A file that cannot be used has an
        `error` instead of measures; no file makes the whole fail.
    """
    if not entries:
        return pa.schema(MEASURES).empty_table()
    daft = _daft()

    def batch(file: Any, position: Any) -> pa.Array:
        return _measure(file.to_pylist(), position.to_pylist(), max_pixels)

    measures = daft.func.batch(return_dtype=daft.DataType.from_arrow_type(MEASURES), unnest=True, batch_size=BATCH)(
        batch
    )
    columns = {
        "row": np.arange(len(entries)),
        "file": [os.fsencode(entry.file) for entry in entries],  # file names need not be Unicode
        "position": [entry.position for entry in entries],
    }
    frame = daft.from_pydict(columns).into_batches(BATCH)
    parts: list[pa.RecordBatch] = []
    done = 0
    for part in frame.select(frame["row"], measures(frame["file"], frame["position"])).to_arrow_iter():
        parts.append(part)
        done += len(part)
        if progress:
            progress(done, len(entries))
    table = pa.Table.from_batches(parts).sort_by("row").drop_columns("row")
    return table.cast(pa.schema(MEASURES))  # Daft widens strings


def _measure(files: Sequence[bytes], positions: Sequence[int], max_pixels: int) -> pa.Array:
    rows: list[dict[str, Any]] = []
    thumbnails: list[npt.NDArray[np.uint8]] = []
    for file, position in zip(files, positions, strict=True):
        try:
            data = read(os.fsdecode(file), position)
            picture = decode(data, max_pixels)
            thumbnails.append(np.asarray(resize(picture.image, SIDE, SIDE)))
        except UnreadableError as error:
            rows.append({"error": str(error), "too_large": isinstance(error, TooLargeError)})
            continue
        except Exception as error:  # a damaged archive, a file that vanished: it is named and set aside like the others
            rows.append({"error": f"cannot be read: {error}", "too_large": False})
            continue
        width, height = picture.image.size
        digest = hashlib.sha256(data).hexdigest()
        rows.append({"sha256": digest, "bytes": len(data), "width": width, "height": height, "plain": picture.plain})
    if thumbnails:
        hashes = iter(perceptual_hashes(np.stack(thumbnails)))
        for row in rows:
            if "sha256" in row:
                row["phash"] = next(hashes).tobytes()
    return pa.array(rows, MEASURES)


def _daft() -> Any:
    """Import Daft, late because it takes half a second, and quiet: it must not phone home nor draw bars."""
    os.environ.update(DO_NOT_TRACK="true", DAFT_ANALYTICS_ENABLED="0")
    os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
    import daft

    return daft
