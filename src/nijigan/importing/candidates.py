"""The table of pictures that may become faces: which of them are usable, and which one of several duplicates stays."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nijigan.dataset.dropped import Dropped, unusable
from nijigan.dataset.faces import FaceDataset
from nijigan.dataset.lineage import lineage
from nijigan.dataset.manifest import COLUMNS, FAMILY, READ, check_strangers, is_dataset
from nijigan.dataset.splits import crop_family
from nijigan.errors import UserError
from nijigan.importing.crop import Crops
from nijigan.importing.duplicates import BYTES, distances, spare_variants, survivors, unite_families
from nijigan.importing.label_cleaning import Column, fill_gaps
from nijigan.importing.labels.vocabulary import PictureLabels
from nijigan.importing.sources import SourceFile
from nijigan.importing.store import Origin, stored_faces

Duplicates = Literal["exact", "near", "none"]
"""Which duplicates an import removes: those with the same bytes, near-duplicates too, or none."""


@dataclass(frozen=True)
class Candidates:
    """Pictures that may become faces. Row n of `rows` and entry n of `origins` belong together."""

    rows: pa.Table
    """The columns of a dataset without the image. New pictures have no id, and a split only if they come from another
    dataset."""
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

    def families(self) -> list[str]:
        """The family of every picture, not yet united with those of near-duplicates."""
        families: list[str] = self.rows[FAMILY].to_pylist()
        return families

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
    related: npt.NDArray[np.int64]
    """For each candidate, the one that stays in its place if near-duplicates are removed whatever their tags."""
    families: list[str]
    """For each candidate, its family. Near-duplicates share one, whether they stay or not."""


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
    check_strangers(out)
    dataset = FaceDataset(out)
    if dataset.pad != pad:
        raise UserError(f"{out} was imported with pad={dataset.pad}; use the same setting, or choose another place.")
    rows, origins = stored_faces(dataset)
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
    crops: Crops,
    pictures: Sequence[SourceFile],
    labels: Mapping[int, PictureLabels],
    measures: pa.Table,
    min_size: int,
    known: Candidates,
) -> Usable:
    """Divide new pictures into usable and unusable ones.

    Args:
        crops: the pictures, or what was cut out of them.
        pictures: the files that they are or were cut from.
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
    kept: list[tuple[str, str, str | None]] = []
    for row, (entry, found) in enumerate(zip(entries, measures.drop_columns("phash").to_pylist(), strict=True)):
        picture = pictures[crops.pictures[row]]
        past = lineage(picture.file, picture.position)
        cut_from = crops.digests.get(crops.pictures[row])
        digest = past.sha256 if past and not cut_from else found["sha256"]
        if found["error"]:
            dropped.append(unusable(entry.name, found["error"], found["too_large"]))
        elif min(found["width"], found["height"]) < min_size:
            dropped.append(Dropped(entry.name, "too small", f"{found['width']}×{found['height']}"))
        elif found["face"] is False and digest not in known_digests:
            dropped.append(Dropped(entry.name, "no face", "the detector found none"))
            faceless.append(entry)
        else:
            used.append(row)
            origins.append(Origin(entry.file, entry.position, found["plain"], found["sha256"], found["bytes"]))
            kept.append((digest, past.family if past else cut_from or digest, past.split if past else None))
    columns = {name: measures[name].take(pa.array(used, pa.int64())) for name in ("width", "height", "phash")}
    for place, name in enumerate(("sha256", FAMILY, "split")):
        columns[name] = pa.array([row[place] for row in kept], pa.string())
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


def choose(candidates: Candidates, tags: dict[str, Column], remove: Duplicates) -> Choice:
    """Decide which candidates stay, and unite the families of near-duplicates.

    Known faces always stay.

    Args:
        candidates: the pictures, in order of preference.
        tags: the human tags of each; near-duplicates that contradict each other are not duplicates.
        remove: which duplicates are dropped: `exact` ones (the same bytes), `near` ones too, or `none`.
    """
    digests, known = candidates.sha256(), candidates.known
    exact = _first(digests, known)
    distinct = np.flatnonzero(exact == np.arange(len(exact)))
    hashes = candidates.hashes(distinct)
    near = survivors(hashes, known)
    related = distinct[near][np.searchsorted(distinct, exact)]
    survivor = exact
    if remove == "near":
        tags = dict(tags)
        fill_gaps(tags, exact)
        own = [{name: values[row] for name, values in tags.items()} for row in distinct.tolist()]
        families = candidates.families()  # a new list at each call
        near = spare_variants(near, hashes, own, [families[row] for row in distinct.tolist()], known)
        survivor = distinct[near][np.searchsorted(distinct, exact)]
    elif remove == "none":
        numbers = [*copy_numbers(digests[:known]), *copy_numbers(digests[known:])]
        exact = survivor = _first(np.array([f"{d.decode()} {n}" for d, n in zip(digests, numbers, strict=True)]), known)
    kept = np.flatnonzero(survivor == np.arange(len(survivor)))
    families = unite_families(candidates.families(), related, known, _crops_by_name(candidates))
    return Choice(exact, survivor, kept[np.argsort(digests[kept], kind="stable")], related, families)


def copy_numbers(digests: Iterable[object]) -> list[int]:
    """For each picture, how many earlier ones have the same bytes."""
    seen: Counter[object] = Counter()
    numbers = []
    for digest in digests:
        numbers.append(seen[digest])
        seen[digest] += 1
    return numbers


def _first(keys: npt.NDArray[Any], known: int) -> npt.NDArray[np.int64]:
    """For each candidate, the first one with the same key. Known ones are not compared with each other."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rows = first[inverse]
    rows[:known] = np.arange(known)
    return np.asarray(rows, np.int64)


def _crops_by_name(candidates: Candidates) -> list[tuple[str, str]]:
    """The families of new crops, each with the family that nijigan 0.1 would have given to it by its name."""
    families, known = candidates.families(), candidates.known
    names = map(crop_family, candidates.sources()[known:])
    stored = set(families[:known])
    return [(family, name) for family, name in zip(families[known:], names, strict=True) if name in stored and name]


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
