"""The table of pictures that may become faces: which of them are usable, and which one of several duplicates stays."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from nijigan.dataset.dropped import Dropped, unusable
from nijigan.dataset.faces import FaceDataset
from nijigan.dataset.manifest import COLUMNS, READ, is_dataset
from nijigan.errors import UserError
from nijigan.importing.crop import Crops
from nijigan.importing.duplicates import BYTES, distances, survivors
from nijigan.importing.label_cleaning import Column
from nijigan.importing.labels.vocabulary import PictureLabels
from nijigan.importing.sources import SourceFile
from nijigan.importing.store import Origin


@dataclass(frozen=True)
class Candidates:
    """Pictures that may become faces. Row n of `rows` and entry n of `origins` belong together."""

    rows: pa.Table
    """The columns of a dataset without the image. The id and split of new pictures are null."""
    origins: list[Origin]
    known: int = 0
    """The first `known` rows are in the dataset already."""

    def attributes(self) -> dict[str, Column]:
        """The human tags that the pictures came with."""
        return self._labels(read=False)

    def readings(self) -> dict[str, Column]:
        """The labels that an earlier import read from the pictures or their names."""
        return self._labels(read=True)

    def _labels(self, read: bool) -> dict[str, Column]:
        marks = [(text or "").split(",") for text in self.rows[READ].to_pylist()]
        columns = {name: self.rows[name].to_pylist() for name in self.rows.column_names if name not in COLUMNS}
        return {
            name: [value if (name in mark) == read else None for value, mark in zip(values, marks, strict=True)]
            for name, values in columns.items()
        }

    def sources(self) -> list[str]:
        """The names of the files that the pictures came from."""
        names: list[str] = self.rows["source"].to_pylist()
        return names

    def sha256(self) -> npt.NDArray[np.bytes_]:
        """SHA-256 of every picture, in hexadecimal."""
        return np.array(self.rows["sha256"].to_pylist(), "S64")

    def hashes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Perceptual hashes of the given rows: uint8, N×224."""
        joined = b"".join(self.rows["phash"].take(rows).to_pylist())
        return np.frombuffer(joined, np.uint8).reshape(len(rows), BYTES)


@dataclass(frozen=True)
class Usable:
    """The new pictures, divided by whether they can be used."""

    candidates: Candidates
    dropped: list[Dropped]
    """All that cannot be used."""
    faceless: list[SourceFile]
    """Those of them in which the detector found no face."""


@dataclass(frozen=True)
class Choice:
    """Which candidates become faces."""

    exact: npt.NDArray[np.int64]
    """For each candidate, the first one with the same bytes."""
    survivor: npt.NDArray[np.int64]
    """For each candidate, the one that stays in its place; itself if it stays."""
    kept: npt.NDArray[np.int64]
    """The candidates that stay, ordered by SHA-256."""


def known_faces(out: Path, pad: bool) -> Candidates:
    """The faces that the dataset `out` has; none if `out` does not exist or is an empty folder.

    Raises:
        UserError: `out` is something other than a dataset, has the other setting of `pad`, or cannot be replaced.
    """
    _check_place(out)
    if not is_dataset(out):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out} exists and is not a dataset of faces; choose another place.")
        return Candidates(pa.table({name: pa.array([], kind) for name, kind in COLUMNS.items()}), [])
    dataset = FaceDataset(out)
    if dataset.pad != pad:
        raise UserError(f"{out} was imported with pad={dataset.pad}; use the same setting, or choose another place.")
    rows = dataset.table.append_column("phash", dataset.columns(["phash"])["phash"])
    origins = [
        Origin(str(file), row, plain=True) for file in dataset.files for row in range(pq.read_metadata(file).num_rows)
    ]
    return Candidates(rows, origins, len(origins))


def _check_place(out: Path) -> None:
    """Refuse a folder that cannot be replaced without harm."""
    try:
        str(out).encode()
    except UnicodeEncodeError:
        raise UserError(f"The name of the folder {str(out)!a} is not Unicode; choose another name.") from None
    with suppress(FileNotFoundError):  # the current folder may have been deleted
        if Path.cwd().is_relative_to(out.resolve()):
            raise UserError(
                f"The current folder is in {out.resolve()}, which an import replaces. Run the import from another "
                "folder, or choose another --out."
            )


def find_usable(
    crops: Crops, labels: Mapping[int, PictureLabels], measures: pa.Table, min_size: int, known: Candidates
) -> Usable:
    """Divide new pictures into usable and unusable ones.

    Args:
        crops: the pictures.
        labels: by the position of the file that a picture is or was cut from.
        measures: what `measure` returned for `crops.entries`.
        min_size: pixels that the shorter side must have.
        known: the faces of the dataset; they are usable even if the detector finds no face in them.
    """
    entries, labels = crops.entries, crops.labels(labels)
    dropped: list[Dropped] = []
    faceless: list[SourceFile] = []
    known_digests = set(known.rows["sha256"].to_pylist())
    used: list[int] = []
    origins: list[Origin] = []
    for row, (entry, found) in enumerate(zip(entries, measures.drop_columns("phash").to_pylist(), strict=True)):
        if found["error"]:
            dropped.append(unusable(entry.name, found["error"], found["too_large"]))
        elif min(found["width"], found["height"]) < min_size:
            dropped.append(Dropped(entry.name, "too small", f"{found['width']}×{found['height']}"))
        elif found["face"] is False and found["sha256"] not in known_digests:
            dropped.append(Dropped(entry.name, "no face", "the detector found none"))
            faceless.append(entry)
        else:
            used.append(row)
            digest = crops.digests.get(crops.pictures[row])
            origins.append(Origin(entry.file, entry.position, found["plain"], found["sha256"], found["bytes"], digest))
    columns = {name: measures[name].take(pa.array(used, pa.int64())) for name in ("width", "height", "sha256", "phash")}
    columns["source"] = pa.array([entries[row].name for row in used], pa.string())
    for name in sorted({READ, *(name for row in used for name in labels.get(row, ()))}):
        columns[name] = pa.array([labels.get(row, {}).get(name) for row in used], pa.string())
    return Usable(Candidates(pa.table(columns), origins), dropped, faceless)


def by_preference(known: Candidates, found: Candidates) -> Candidates:
    """All candidates: known faces first, then by number of pixels and of bytes (descending), digest and name."""
    rows = pa.concat_tables([known.rows, found.rows], promote_options="default")
    origins = known.origins + found.origins
    pixels = rows["width"].to_numpy().astype(np.int64) * rows["height"].to_numpy()
    size = np.array([origin.bytes for origin in origins], np.int64)
    order = np.lexsort((Candidates(rows, origins).sha256(), -size, -pixels, np.arange(len(origins)) >= known.known))
    return Candidates(rows.take(order), [origins[row] for row in order], known.known)


def choose(candidates: Candidates) -> Choice:
    """Keep one of every group of duplicates; `candidates` are in order of preference."""
    _, first, inverse = np.unique(candidates.sha256(), return_index=True, return_inverse=True)
    exact = first[inverse]
    distinct = np.flatnonzero(exact == np.arange(len(exact)))
    near = distinct[survivors(candidates.hashes(distinct), candidates.known)]
    survivor = near[np.searchsorted(distinct, exact)]
    kept = np.flatnonzero(survivor == np.arange(len(survivor)))
    return Choice(exact, survivor, kept[np.argsort(candidates.sha256()[kept])])


def list_duplicates(candidates: Candidates, choice: Choice) -> list[tuple[Dropped, tuple[Origin, Origin]]]:
    """The dropped duplicates, the least similar first, each with its picture and the face that stays in its place."""
    exact, survivor = choice.exact, choice.survivor
    everyone = np.arange(len(survivor))
    rows = everyone[(survivor != everyone) & (exact >= candidates.known)]
    bits, shade, _ = distances(candidates.hashes(rows), candidates.hashes(survivor[rows]))
    names = candidates.sources()
    digests = candidates.rows["sha256"].to_pylist()
    duplicates = []
    for place in np.lexsort((rows, -shade, -bits)):
        row, stays = int(rows[place]), int(survivor[rows[place]])
        if exact[row] == row:
            kind, detail = "near-duplicate", f"{bits[place]} of 256 signs, {shade[place]:.1f} grey levels apart"
        else:
            kind, detail = "exact duplicate", f"of {names[exact[row]]}"
        copy = Dropped(names[row], kind, detail, digests[stays][:16], names[stays])
        duplicates.append((copy, (candidates.origins[row], candidates.origins[stays])))
    return duplicates
