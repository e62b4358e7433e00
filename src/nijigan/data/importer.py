"""Import: pictures from anywhere into a dataset of faces."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nijigan.data import measure, sources as places
from nijigan.data.dataset import FORMAT, fingerprint
from nijigan.data.decode import MAX_PIXELS
from nijigan.errors import UserError
from nijigan.files import replacing_folder

@dataclass(frozen=True)
class ImportReport:
    seen: int
    kept: int
    seconds: float

def import_faces(sources: Sequence[Path], out: Path, *, tags: Path | None = None, tag_map: Path | None = None,
    merge: Sequence[str] = (), min_count: int = 0, holdout: float = 0.2, min_size: int = 16, max_pixels: int = MAX_PIXELS,
    pad: bool = False, progress: Callable[[int, int], None] | None = None) -> ImportReport:
    begun = time.monotonic()
    listing = places.walk([Path(s) for s in sources])
    if not listing.entries:
        raise UserError("nothing")
    table = measure.measure(listing.entries, max_pixels, progress)
    rows = {}
    for entry, row in zip(listing.entries, table.to_pylist(), strict=True):
        if row["error"] is None and min(row["width"], row["height"]) >= min_size:
            rows.setdefault(row["sha256"], (entry, row))
    def split(sha: str) -> str:
        u = int(sha[:12], 16) / 16**12
        return "val" if u < holdout / 2 else "test" if u >= 1 - holdout / 2 else "train"
    kept = [rows[sha] for sha in sorted(rows)]
    faces = pa.table({
        "id": [r["sha256"][:16] for _, r in kept],
        "image": [{"bytes": places.read(e.source, e.position), "path": e.name} for e, _ in kept],
        "width": pa.array([r["width"] for _, r in kept], pa.int32()), "height": pa.array([r["height"] for _, r in kept], pa.int32()),
        "split": [split(r["sha256"]) for _, r in kept], "source": [e.name for e, _ in kept],
        "sha256": [r["sha256"] for _, r in kept], "phash": pa.array([b""] * len(kept), pa.binary()),
    })
    with replacing_folder(out) as folder:
        pq.write_table(faces, folder / "faces-00000.parquet", compression="none")
        (folder / "dataset.json").write_text(json.dumps({"format": FORMAT, "fingerprint": fingerprint(faces, (), pad), "pad": pad, "attributes": {}, "files": ["faces-00000.parquet"]}))
    return ImportReport(len(listing.entries), len(kept), time.monotonic() - begun)
