"""Write a dataset of faces: its Parquet files and `dataset.json`."""

import hashlib
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nijigan.aliases import Progress
from nijigan.dataset.decode import decode, to_png
from nijigan.dataset.faces import FaceDataset
from nijigan.dataset.manifest import (
    COLUMNS,
    DAMAGE,
    FAMILY,
    FORMAT,
    OWNED,
    SHEETS,
    SPLITS,
    check_strangers,
    damaged,
    fingerprint,
    read_manifest,
    write_manifest,
)
from nijigan.dataset.splits import check_holdout, split_again
from nijigan.errors import UserError, check
from nijigan.files import folder_lock, replacing_folder
from nijigan.importing.sources import close, read

SUFFIX_BY_START = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"RI": ".webp"}
GROUP_ROWS = 1000
GROUP_BYTES = 2**25
FILE_BYTES = 2**28

log = logging.getLogger("nijigan")


@dataclass(frozen=True)
class Origin:
    """Where the picture of a face is read from."""

    file: str
    position: int
    plain: bool
    """Whether its bytes are stored unchanged. Otherwise it is stored as an RGB PNG."""
    sha256: str | None = None
    """SHA-256 of the file when it was measured, to notice changes; None if unknown."""
    bytes: int = 0
    """Size of the file; 0 if unknown."""


def stored_faces(dataset: FaceDataset) -> tuple[pa.Table, list[Origin]]:
    """All columns of a dataset but the image, ordered by id, and where the picture of each face is."""
    rows = dataset.table.append_column("phash", dataset.columns(["phash"])["phash"])
    try:
        counts = [(str(file), pq.read_metadata(file).num_rows) for file in dataset.files]
    except DAMAGE as error:
        raise damaged(dataset.path, error) from error
    return rows, [Origin(file, row, plain=True) for file, count in counts for row in range(count)]


def write_faces(
    folder: Path, faces: pa.Table, origins: Sequence[Origin], pad: bool, progress: Progress | None = None
) -> None:
    """Write the Parquet files and `dataset.json` of a dataset into an empty folder.

    Args:
        folder: the folder.
        faces: the rows, ordered by id: all columns of a dataset but the image, attributes last.
        origins: where the picture of each row is.
        pad: whether readers pad pictures that are not square, rather than crop them.
        progress: called with (pictures copied, pictures in all).

    Raises:
        UserError: a picture has changed since it was measured, or is damaged.
    """
    attributes = tuple(name for name in faces.column_names if name not in COLUMNS)
    splits = Counter(faces["split"].to_pylist())
    manifest = {
        "format": FORMAT,
        "fingerprint": fingerprint(faces, attributes, pad),
        "pad": pad,
        "faces": len(faces),
        "splits": {split: splits[split] for split in SPLITS},
        "attributes": {name: sorted(set(faces[name].drop_null().to_pylist())) for name in attributes},
        "priors": _joint_counts(faces.filter(pc.equal(faces["split"], "train")), attributes),
        "files": _write_parquet(folder, faces, origins, _schema(attributes), progress),
    }
    write_manifest(folder, manifest)


@dataclass(frozen=True)
class SplitReport:
    """What `split_faces` did."""

    out: str
    """The dataset's folder."""
    before: dict[str, int]
    """Faces in train, val and test before."""
    splits: dict[str, int]
    """Faces in train, val and test now."""
    moved: int
    """Faces that are in another split now."""

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        before, now = (
            ", ".join(f"{split} {count:,}" for split, count in counts.items()) for counts in (self.before, self.splits)
        )
        if not self.moved:
            return f"{self.out}: {now}. No face changed its split."
        return (
            f"{self.out}: {now} (before: {before}). {self.moved:,} faces changed their split.\n"
            "Generators that were trained before may have learnt faces that are now in val or test."
        )


def split_faces(path: Path, holdout: float) -> SplitReport:
    """Divide the faces of a dataset again, as if they were new.

    Pictures, ids, labels and the sheets of earlier imports stay. Cached pixels are removed.

    Args:
        path: the dataset.
        holdout: share of the faces that train does not get: half for val, half for test. From 0 to below 1.

    Raises:
        UserError: `path` is not a dataset, cannot be written or is in use, or `holdout` is out of its range.
    """
    path = Path(path)
    check_holdout(holdout)
    read_manifest(path)  # before a lock file is written next to it
    check(os.access(path, os.W_OK), f"{path} cannot be written; make a copy first: nijigan import {path} --out COPY")
    with folder_lock(path, OWNED):
        check_strangers(path)
        dataset = FaceDataset(path)
        faces, origins = stored_faces(dataset)
        before, after = faces["split"].to_pylist(), split_again(faces[FAMILY].to_pylist(), holdout)
        if before != after:
            faces = faces.set_column(faces.column_names.index("split"), "split", pa.array(after))
            log.info("Writing the %s faces of %s with their new splits", f"{len(faces):,}", path)
            with replacing_folder(path, OWNED) as folder:
                write_faces(folder, faces, origins, dataset.pad)
                for name in SHEETS:
                    if (path / name).is_file():
                        shutil.copyfile(path / name, folder / name)
            close()
    was, now = ({split: splits.count(split) for split in SPLITS} for splits in (before, after))
    return SplitReport(str(path), was, now, sum(one != other for one, other in zip(before, after, strict=True)))


def _joint_counts(faces: pa.Table, attributes: Sequence[str]) -> list[dict[str, Any]]:
    """How often each combination of labels occurs, the most frequent first. Unknown labels are omitted.

    nijigan itself computes the counts from the rows. They are written for other readers of the file: scripts that
    sample realistic combinations then need no Parquet library.
    """
    if not attributes:
        return []
    counts = Counter(zip(*(faces[name].to_pylist() for name in attributes), strict=True))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], [value or "" for value in item[0]]))
    return [
        {"labels": {name: v for name, v in zip(attributes, values, strict=True) if v is not None}, "count": count}
        for values, count in ordered
    ]


def _schema(attributes: Sequence[str]) -> pa.Schema:
    """The columns, with the metadata from which Hugging Face `datasets` recognises pictures."""
    fields = [pa.field(name, COLUMNS.get(name, pa.string())) for name in (*COLUMNS, *attributes)]
    features = {
        f.name: {"_type": "Image"} if f.name == "image" else {"dtype": str(f.type), "_type": "Value"} for f in fields
    }
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})


def _write_parquet(
    folder: Path, faces: pa.Table, origins: Sequence[Origin], schema: pa.Schema, progress: Progress | None
) -> list[str]:
    names: list[str] = []
    writer: pq.ParquetWriter | None = None
    room = 0
    try:
        for start, pictures in _in_order(folder / ".pictures.tmp", origins, progress):
            if writer is None or room <= 0:
                if writer:
                    writer.close()
                names.append(f"faces-{len(names):05}.parquet")
                # Pictures are compressed already, and uncompressed pages can be memory-mapped.
                writer = pq.ParquetWriter(folder / names[-1], schema, compression="none", write_page_checksum=True)
                room = FILE_BYTES
            rows = faces.slice(start, len(pictures))
            images = [
                {"bytes": data, "path": _name(source) + SUFFIX_BY_START[data[:2]]}
                for data, source in zip(pictures, rows["source"].to_pylist(), strict=True)
            ]
            rows = rows.append_column(schema.field("image"), pa.array(images, schema.field("image").type))
            writer.write_table(rows.select(schema.names).cast(schema))
            room -= sum(map(len, pictures))
    finally:
        if writer:
            writer.close()
    return names


def _name(source: str) -> str:
    """The last part of a picture's name without its suffix: `one#0` for the crop `art/one.png#0`."""
    path = PurePosixPath(source)
    return path.stem + "".join(path.suffix.partition("#")[1:])


def _in_order(spool: Path, origins: Sequence[Origin], progress: Progress | None) -> Iterator[tuple[int, list[bytes]]]:
    """Yield (first row, pictures) in the order of `origins`, and yet read every source once, from front to back.

    Faces are ordered by hash, so that reading them directly would jump back and forth in their sources. They are copied
    into the file `spool` first.
    """
    ends = np.zeros(len(origins), np.int64)
    sizes = np.zeros(len(origins), np.int64)
    with spool.open("wb") as stream:
        in_files = sorted(range(len(origins)), key=lambda row: (origins[row].file, origins[row].position))
        for done, row in enumerate(in_files, 1):
            sizes[row] = stream.write(picture(origins[row]))
            ends[row] = stream.tell()
            if progress:
                progress(done, len(origins))
    with spool.open("rb") as stream:
        start = 0
        while start < len(origins):
            pictures: list[bytes] = []
            room = GROUP_BYTES
            for row in range(start, min(start + GROUP_ROWS, len(origins))):
                stream.seek(ends[row] - sizes[row])
                pictures.append(stream.read(sizes[row]))
                room -= sizes[row]
                if room <= 0:
                    break
            yield start, pictures
            start += len(pictures)
    spool.unlink()


def picture(origin: Origin) -> bytes:
    """The picture of a face, as a dataset stores it.

    Raises:
        UserError: it has changed since it was measured, or is damaged.
    """
    try:
        data = read(origin.file, origin.position)
        if origin.sha256 and hashlib.sha256(data).hexdigest() != origin.sha256:
            raise ValueError("its content is different")
        return data if origin.plain else to_png(decode(data, None).image)
    except Exception as error:  # it was readable before
        raise UserError(
            f"{origin.file} changed during the import or is damaged ({error}). Import again; if that fails too, import "
            "without this file."
        ) from error
