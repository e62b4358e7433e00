"""Import: from pictures anywhere to a dataset of faces, each there once, labelled, and in its split for good."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from nijigan.dataset.decode import MAX_PIXELS
from nijigan.dataset.dropped import Dropped, unusable, write_csv
from nijigan.dataset.faces import COLUMNS, MANIFEST, SPLITS, FaceDataset
from nijigan.errors import UserError
from nijigan.files import replacing_folder
from nijigan.importing import matching
from nijigan.importing.crop import MARGIN, Crops, cut_faces, write_squares
from nijigan.importing.duplicates import BYTES, distances, survivors
from nijigan.importing.labels import (
    Column,
    apply_readings,
    fill_gaps,
    forget_rare,
    forget_unusable,
    merge_values,
    parse_merge,
)
from nijigan.importing.measure import measure
from nijigan.importing.readings import COLOURS, parse_label, read_labels
from nijigan.importing.report import ImportReport, nothing_usable
from nijigan.importing.sheets import write_faceless, write_sheet
from nijigan.importing.sources import SourceFile, close, list_sources
from nijigan.importing.store import Origin, write_faces
from nijigan.importing.tags import PictureLabels


def import_faces(
    sources: Sequence[Path],
    out: Path,
    *,
    crop: bool = False,
    crop_margin: float = MARGIN,
    faces_only: bool = False,
    tags: Path | None = None,
    tag_map: Path | None = None,
    label: Sequence[str] = (),
    merge: Sequence[str] = (),
    min_count: int = 0,
    holdout: float = 0.2,
    min_size: int = 16,
    max_pixels: int = MAX_PIXELS,
    pad: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Turn pictures into a dataset of faces, or add them to one.

    Of pictures that are the same or nearly so one stays: one that the dataset has already, else the largest in pixels,
    then in bytes. Which one stays does not depend on the order of the files. Faces that `out` has already stay, and in
    their split.

    Args:
        sources: folders, .zip archives, Parquet files, single pictures.
        out: the dataset's folder, replaced as a whole at the end; until then what was there stands.
        crop: cut the faces out of the pictures, which are illustrations; tags of one that shows several faces are not
            used, and everything below is about the crops.
        crop_margin: around each face, 0 to 1 of its size.
        faces_only: set new pictures aside that the detector does not take for a face.
        tags: labels, in a format of `nijigan.importing.tags`; left out, a tags.csv or metadata.csv|jsonl in `sources`.
        tag_map: what booru-style tags mean: lines of `tag,attribute=value`, or the same as JSON.
        label: attributes to read where nobody gave them, of `hair`, `eyes` and `year`: on new faces and those that
            `out` has already.
        merge: values to rename, `old=new` or `attribute:old=new`.
        min_count: values that fewer faces bear become unknown.
        holdout: share of the faces set apart, half for validation and half for the test.
        min_size: pixels that the shorter side must have.
        max_pixels: the most width × height that is decoded.
        pad: whether loading pads pictures that are not square with white, rather than crop them to the centre square.
        progress: called with (pictures done, pictures in all), for each round of work on pictures anew.

    Raises:
        UserError: there is no usable picture, `out` is something else than a dataset, or an option makes no sense.
    """
    begun = time.monotonic()
    out = Path(out)
    if not 0 <= holdout < 1:
        raise UserError(f"holdout is {holdout}; choose a share from 0 to below 1.")
    if not 1 <= max_pixels <= MAX_PIXELS:
        raise UserError(f"max_pixels is {max_pixels:,}; choose 1 to {MAX_PIXELS:,}.")
    if min_count < 0:
        raise UserError(f"min_count is {min_count}; choose 0 (keep all values) or more.")
    if not 0 <= crop_margin <= 1:
        raise UserError(f"crop_margin is {crop_margin}; choose a share of the face's size from 0 to 1.")
    merges = [parse_merge(text) for text in merge]
    wanted = parse_label(label)
    known = _known(out, pad)
    if not sources and not known.known:
        raise UserError("Name what to import: folders, .zip archives, Parquet files or single pictures.")

    listing = list_sources([Path(source) for source in sources])
    pictures = sorted(listing.pictures)  # by name: nothing below depends on the order in which they were found
    labels, tag_report = matching.label(pictures, listing.tables, tags and Path(tags), tag_map and Path(tag_map))
    whole = Crops(pictures, list(range(len(pictures))))
    with cut_faces(pictures, out, crop_margin, max_pixels, progress) if crop else nullcontext(whole) as crops:
        measures = measure(crops.entries, max_pixels, progress, look=faces_only)
        found, dropped, faceless = _found(crops, labels, measures, min_size, known)
        dropped += crops.dropped
        dropped += [Dropped(name, "not a picture", reason) for name, reason in listing.aside]
        candidates = _by_preference(known, found)
        if not candidates.origins:
            raise UserError(nothing_usable(", ".join(map(str, sources)), dropped))

        exact, keeper = _judge(candidates)
        kept = np.flatnonzero(keeper == np.arange(len(keeper)))
        kept = kept[np.argsort(candidates.sha256()[kept])]
        attributes = candidates.attributes()
        idle = merge_values([attributes], merges)
        forgotten = forget_unusable(attributes)
        readings = _readings(candidates, attributes, kept, wanted, progress)
        notes = [note for note in merge_values([readings], merges) if note in idle] + forgotten
        fill_gaps(attributes, keeper)
        read = apply_readings(attributes, readings, kept)
        notes += forget_rare(attributes, kept, min_count)
        faces = _faces(candidates, kept, attributes, holdout)
        duplicates = _duplicates(candidates, exact, keeper)
        dropped += [row for row, _ in duplicates]
        with replacing_folder(out) as folder:
            write_faces(folder, faces, [candidates.origins[row] for row in kept], pad)
            write_csv(folder, dropped, out)
            write_sheet(folder, [pair for row, pair in duplicates if row.kind == "near-duplicate"], out)
            write_faceless(folder, faceless, out)
            write_squares(folder, pictures, crops, out)
        close()
    return ImportReport(
        out=str(out),
        faces=len(faces),
        size=int(np.median(np.minimum(faces["width"], faces["height"]))),
        splits={split: faces["split"].to_pylist().count(split) for split in SPLITS},
        labels={name: dict(Counter(filter(None, faces[name].to_pylist())).most_common()) for name in attributes},
        files=len(pictures) + len(listing.aside),
        crops=len(crops.entries) if crop else None,
        new=len(faces) - candidates.known,
        known_already=int((exact[candidates.known :] < candidates.known).sum()),
        left_out=dict(Counter(row.kind for row in dropped).most_common()),
        unusable=tuple((row.file, row.detail) for row in dropped if row.kind == "unreadable"),
        tags=tag_report,
        read=read,
        notes=tuple(notes),
        seconds=time.monotonic() - begun,
    )


@dataclass(frozen=True)
class _Candidates:
    """Pictures that may become faces, their rows and origins in step."""

    rows: pa.Table
    """A dataset's columns but the image; id and split are null for new pictures."""
    origins: list[Origin]
    known: int = 0
    """The first so many are in the dataset already."""

    def attributes(self) -> dict[str, Column]:
        """The labels that they came with."""
        return {name: self.rows[name].to_pylist() for name in self.rows.column_names if name not in COLUMNS}

    def sha256(self) -> npt.NDArray[np.bytes_]:
        return np.array(self.rows["sha256"].to_pylist(), "S64")

    def hashes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        joined = b"".join(self.rows["phash"].take(rows).to_pylist())
        return np.frombuffer(joined, np.uint8).reshape(len(rows), BYTES)


def _known(out: Path, pad: bool) -> _Candidates:
    """The faces that `out` has already."""
    if not (out / MANIFEST).exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out} exists and is no dataset of faces; choose another place.")
        return _Candidates(pa.table({name: pa.array([], kind) for name, kind in COLUMNS.items()}), [])
    dataset = FaceDataset(out)
    if dataset.pad != pad:
        raise UserError(f"{out} was imported with pad={dataset.pad}; do the same again, or choose another place.")
    rows = dataset.table.append_column(
        "phash", pa.concat_tables(pq.read_table(f, columns=["phash"]) for f in dataset.files)["phash"]
    )
    origins = [
        Origin(str(file), row, plain=True) for file in dataset.files for row in range(pq.read_metadata(file).num_rows)
    ]
    return _Candidates(rows, origins, len(origins))


def _found(
    crops: Crops, given: Mapping[int, PictureLabels], measures: pa.Table, min_size: int, known: _Candidates
) -> tuple[_Candidates, list[Dropped], list[SourceFile]]:
    """Tell what can be used from what cannot, of which those that are no face are listed once more."""
    entries, labels = crops.entries, crops.labels(given)
    dropped: list[Dropped] = []
    faceless: list[SourceFile] = []
    digests = set(known.rows["sha256"].to_pylist())
    used: list[int] = []
    origins: list[Origin] = []
    for row, (entry, found) in enumerate(zip(entries, measures.drop_columns("phash").to_pylist(), strict=True)):
        if found["error"]:
            dropped.append(unusable(entry.name, found["error"], found["too_large"]))
        elif min(found["width"], found["height"]) < min_size:
            dropped.append(Dropped(entry.name, "too small", f"{found['width']}×{found['height']}"))
        elif found["face"] is False and found["sha256"] not in digests:
            dropped.append(Dropped(entry.name, "no face", "not to the detector"))
            faceless.append(entry)
        else:
            used.append(row)
            family = crops.digests.get(crops.pictures[row])
            origins.append(Origin(entry.file, entry.position, found["plain"], found["sha256"], found["bytes"], family))
    columns = {name: measures[name].take(pa.array(used, pa.int64())) for name in ("width", "height", "sha256", "phash")}
    columns["source"] = pa.array([entries[row].name for row in used], pa.string())
    for name in sorted({name for row in used for name in labels.get(row, ())}):
        columns[name] = pa.array([labels.get(row, {}).get(name) for row in used], pa.string())
    return _Candidates(pa.table(columns), origins), dropped, faceless


def _by_preference(known: _Candidates, found: _Candidates) -> _Candidates:
    """All together: known faces first, then the larger in pixels, then in bytes, then by digest and name."""
    rows = pa.concat_tables([known.rows, found.rows], promote_options="default")
    origins = known.origins + found.origins
    pixels = rows["width"].to_numpy().astype(np.int64) * rows["height"].to_numpy()
    size = np.array([origin.bytes for origin in origins], np.int64)
    order = np.lexsort((_Candidates(rows, origins).sha256(), -size, -pixels, np.arange(len(origins)) >= known.known))
    return _Candidates(rows.take(order), [origins[row] for row in order], known.known)


def _judge(candidates: _Candidates) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For every candidate: the first with the same bytes, and the one that stands for it in the dataset."""
    _, first, inverse = np.unique(candidates.sha256(), return_index=True, return_inverse=True)
    exact = first[inverse]
    distinct = np.flatnonzero(exact == np.arange(len(exact)))
    near = distinct[survivors(candidates.hashes(distinct), candidates.known)]
    return exact, near[np.searchsorted(distinct, exact)]


def _readings(
    candidates: _Candidates,
    attributes: dict[str, Column],
    kept: npt.NDArray[np.int64],
    names: Sequence[str],
    progress: Callable[[int, int], None] | None,
) -> dict[str, Column]:
    """Read what nobody labelled, of the faces that stay."""
    for name in names:
        attributes.setdefault(name, [None] * len(candidates.origins))
    sources = candidates.rows["source"].to_pylist()
    readings: dict[str, Column] = {}
    for alike in ([name for name in names if name in COLOURS], [name for name in names if name not in COLOURS]):
        unlabelled = [row for row in kept.tolist() if any(attributes[name][row] is None for name in alike)]
        readings |= read_labels(alike, candidates.origins, sources, unlabelled, progress)
    return readings


def _faces(
    candidates: _Candidates, kept: npt.NDArray[np.int64], attributes: Mapping[str, Sequence[str | None]], holdout: float
) -> pa.Table:
    """The rows of the dataset."""
    rows = candidates.rows.take(kept)
    digests = rows["sha256"].to_pylist()
    columns = {name: rows[name] for name in ("width", "height", "source", "sha256", "phash")}
    columns["id"] = pa.array([digest[:16] for digest in digests])
    columns["split"] = pa.array(_splits(rows, [candidates.origins[row].family for row in kept], holdout))
    for name, values in attributes.items():
        columns[name] = pa.array([values[row] for row in kept], pa.string())
    return pa.table(columns)


def _splits(rows: pa.Table, families: Sequence[str | None], holdout: float) -> list[str]:
    """Known faces stay where they are; newcomers out of an illustration go where others out of it are."""
    pictures = [source.partition("#")[0] for source in rows["source"].to_pylist()]
    splits = rows["split"].to_pylist()
    known = {picture: split for picture, split in zip(pictures, splits, strict=True) if split}
    return [
        split or (family and known.get(picture)) or _split(family or digest, holdout)
        for split, family, picture, digest in zip(splits, families, pictures, rows["sha256"].to_pylist(), strict=True)
    ]


def _split(sha256: str, holdout: float) -> str:
    """Where a new face goes: it follows from its bytes alone, and a larger holdout only takes from train.

    Of faces cut out of an illustration these are the illustration's: what is held out then comes from other pictures.
    """
    place = int(sha256[:12], 16) / 16**12
    return "val" if place < holdout / 2 else "test" if place >= 1 - holdout / 2 else "train"


def _duplicates(
    candidates: _Candidates, exact: npt.NDArray[np.int64], keeper: npt.NDArray[np.int64]
) -> list[tuple[Dropped, tuple[Origin, Origin]]]:
    """What is left out as a duplicate, with its picture and that of the face that stays; the least similar first."""
    everyone = np.arange(len(keeper))
    rows = everyone[(keeper != everyone) & (exact >= candidates.known)]
    bits, shade, _ = distances(candidates.hashes(rows), candidates.hashes(keeper[rows]))
    names = candidates.rows["source"].to_pylist()
    digests = candidates.rows["sha256"].to_pylist()
    duplicates = []
    for place in np.lexsort((rows, -shade, -bits)):
        row, stays = int(rows[place]), int(keeper[rows[place]])
        if exact[row] == row:
            kind, detail = "near-duplicate", f"{bits[place]} of 256 signs, {shade[place]:.1f} grey levels apart"
        else:
            kind, detail = "exact duplicate", f"of {names[exact[row]]}"
        copy = Dropped(names[row], kind, detail, digests[stays][:16], names[stays])
        duplicates.append((copy, (candidates.origins[row], candidates.origins[stays])))
    return duplicates
