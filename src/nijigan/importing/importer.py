"""Import pictures into a dataset of faces: without duplicates, labelled, and divided into train, val and test."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa

from nijigan.aliases import NamedProgress, Progress
from nijigan.dataset.dropped import Dropped, write_csv
from nijigan.dataset.limits import MAX_PIXELS
from nijigan.dataset.manifest import FAMILY, OWNED, READ, SPLITS
from nijigan.dataset.splits import DEFAULT_HOLDOUT, assign_splits, check_holdout
from nijigan.errors import UserError, check
from nijigan.files import folder_lock, replacing_folder
from nijigan.importing.candidates import (
    Candidates,
    Choice,
    Duplicates,
    by_preference,
    choose,
    copy_numbers,
    find_usable,
    known_faces,
    list_duplicates,
)
from nijigan.importing.contact_sheets import write_faceless, write_sheet
from nijigan.importing.crop import Crops, cut_faces, hint_at_crop, write_squares
from nijigan.importing.label_cleaning import (
    MAX_VALUES,
    Column,
    Merge,
    apply_readings,
    fill_gaps,
    forget_rare,
    forget_unusable,
    list_readings,
    merge_values,
    parse_merge,
)
from nijigan.importing.labels.matching import label as find_labels
from nijigan.importing.labels.tag_report import TagReport
from nijigan.importing.measure import measure
from nijigan.importing.readings import check_readable, parse_label, read_unlabelled
from nijigan.importing.report import ImportReport, nothing_usable
from nijigan.importing.sources import NAMED, Listing, SourceFile, close, list_sources, overlooked_labels
from nijigan.importing.store import write_faces
from nijigan.terminal import shell
from nijigan.vision.framing import MARGIN

NOT_IN_THE_PICTURE = ("year",)
"""Attributes whose values do not make near-duplicates different pictures."""


@dataclass(frozen=True)
class ImportOptions:
    """How to import. Each field is a keyword argument of `import_faces`.

    Raises:
        UserError: a value is out of its range or cannot be understood, or `label` needs the missing face detector.
    """

    crop: bool = False
    """Cut the faces out of the pictures. All other options then apply to the crops. The tags of a picture are used if
    it shows one face."""
    crop_margin: float = MARGIN
    """Space around each face that is cut out, as a share of its size, 0 to 1."""
    keep_faces: bool = False
    """With `crop`, leave pictures whole that already are a face."""
    follow_links: bool = False
    """Follow links in a folder that lead out of it. Otherwise they are listed in the report."""
    faces_only: bool = False
    """Drop new pictures in which the detector finds no face."""
    tags: Path | None = None
    """A table of labels: CSV, TSV, JSON, JSON lines or Parquet. Default: tables in the sources with one of the
    `nijigan.importing.sources.USUAL_NAMES`, such as metadata.csv or tags.csv."""
    tag_map: Path | None = None
    """The meaning of booru tags: lines of `tag,attribute=value`, or the same as JSON."""
    id_column: str | None = None
    """The header of the column that names the pictures. Default: the column whose cells are names of pictures."""
    label: Sequence[str] = ()
    """Attributes to read from pictures without a label: `hair`, `eyes` and `year`. Faces that the dataset already has
    are read too."""
    merge: Sequence[str] = ()
    """Values to rename: `old=new` or `attribute:old=new`."""
    min_count: int = 0
    """Drop values with fewer faces than this."""
    duplicates: Duplicates = "near"
    """Which duplicates to remove: `exact` (the same bytes), `near` (near-duplicates too, unless their tags differ) or
    `none`."""
    holdout: float | None = None
    """Share of the new faces that train does not get: half for val, half for test. From 0 to below 1. Default: 0.2.
    `nijigan.importing.store.split_faces` divides faces again that are in a dataset already."""
    min_size: int = 16
    """Skip pictures whose shorter side has fewer pixels than this."""
    max_pixels: int = MAX_PIXELS
    """Skip pictures with more pixels than this."""
    pad: bool = False
    """Whether a loaded picture that is not square is padded with white, rather than cropped to the centre square."""

    def __post_init__(self) -> None:
        if self.holdout is not None:
            check_holdout(self.holdout)
        check(1 <= self.max_pixels <= MAX_PIXELS, f"max_pixels is {self.max_pixels:,}; choose 1 to {MAX_PIXELS:,}.")
        check(
            self.duplicates in get_args(Duplicates), f"duplicates is {self.duplicates!r}; choose exact, near or none."
        )
        check(self.min_size >= 1, f"min_size is {self.min_size}; choose 1 pixel or more.")
        check(self.min_count >= 0, f"min_count is {self.min_count}; choose 0 (keep all values) or more.")
        check(
            0 <= self.crop_margin <= 1,
            f"crop_margin is {self.crop_margin}; choose a share of the face's size from 0 to 1.",
        )
        check(self.crop or not self.keep_faces, "keep_faces has an effect only with crop; use both or neither.")
        self.merges()
        check_readable(self.attributes_to_read())

    def merges(self) -> list[Merge]:
        """`merge`, parsed."""
        return [parse_merge(text) for text in self.merge]

    def attributes_to_read(self) -> tuple[str, ...]:
        """`label`, parsed."""
        return parse_label(self.label)


def import_faces(  # noqa: D417 (`ImportOptions` describes the others)
    sources: Path | Sequence[Path],
    out: Path,
    *,
    crop: bool = False,
    crop_margin: float = MARGIN,
    keep_faces: bool = False,
    follow_links: bool = False,
    faces_only: bool = False,
    tags: Path | None = None,
    tag_map: Path | None = None,
    id_column: str | None = None,
    label: Sequence[str] = (),
    merge: Sequence[str] = (),
    min_count: int = 0,
    duplicates: Duplicates = "near",
    holdout: float | None = None,
    min_size: int = 16,
    max_pixels: int = MAX_PIXELS,
    pad: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Turn pictures into a dataset of faces, or add them to one. `ImportOptions` describes the keyword arguments.

    Args:
        sources: folders, .zip archives, Parquet files, single pictures.
        out: the dataset's folder, replaced at the end. Faces that are already in it stay there, in the same splits.
        progress: called with (pictures done, pictures in all), in each pass over the pictures. If it is a
            `NamedProgress`, it also learns the name of each pass.

    Raises:
        UserError: there is no usable picture, `out` is not a dataset, another process imports into it, an option is
            out of its range, or it needs the face detector (animeface) and that cannot be loaded.
    """
    options = ImportOptions(
        crop=crop, crop_margin=crop_margin, keep_faces=keep_faces, follow_links=follow_links, faces_only=faces_only,
        tags=tags and Path(tags), tag_map=tag_map and Path(tag_map), id_column=id_column, label=label, merge=merge,
        min_count=min_count, duplicates=duplicates, holdout=holdout, min_size=min_size, max_pixels=max_pixels, pad=pad,
    )  # fmt: skip
    with folder_lock(Path(out), OWNED):
        given = [sources] if isinstance(sources, str | Path) else sources
        return _import([Path(source) for source in given], Path(out), options, progress)


def _import(sources: Sequence[Path], out: Path, options: ImportOptions, progress: Progress | None) -> ImportReport:
    begun = time.monotonic()
    known = known_faces(out, options.pad)
    check(bool(sources or known.known), "Name what to import: folders, .zip archives, Parquet files or pictures.")
    _name(progress, "Listing the pictures")
    listing = list_sources(sources, options.follow_links)
    pictures = sorted(listing.pictures)  # by name: the result does not depend on the order in which they were found
    keep = {merge.old for merge in options.merges()}
    tags, tag_report = find_labels(
        pictures, listing.tables, options.tags, options.tag_map, options.id_column, keep
    )  # fmt: skip
    if tag_report:
        listing.aside.extend((name, f"a table that is not used: {reason}") for name, reason in tag_report.unused)
    with _crops(pictures, out, options, progress) as crops:
        _name(progress, "Checking the pictures")
        measures = measure(crops.entries, options.max_pixels, progress, detect=options.faces_only)
        usable = find_usable(crops, pictures, tags, measures, options.min_size, known)
        dropped = usable.dropped + crops.dropped + _not_pictures(listing)
        candidates = by_preference(known, usable.candidates)
        if not candidates.origins:
            raise UserError(nothing_usable(", ".join(map(str, sources)), dropped))
        _name(progress, "Finding duplicates")
        choice = choose(candidates, _tags(candidates, options), options.duplicates)
        labels = _label(candidates, choice, options, progress)
        holdout = DEFAULT_HOLDOUT if options.holdout is None else options.holdout
        faces = _faces(candidates, choice, labels, holdout)
        overlooked = overlooked_labels(listing, options.tags, labelled=any(tags.values()))
        notes = [*_links(listing), *overlooked, *_crop_notes(crops, candidates, choice, options, progress)]
        duplicates = list_duplicates(candidates, choice)
        dropped += [row for row, _ in duplicates]
        _name(progress, "Writing the dataset")
        with replacing_folder(out, OWNED) as folder:
            write_faces(folder, faces, [candidates.origins[row] for row in choice.kept], options.pad, progress)
            write_csv(folder, dropped, out, _used(candidates, choice))
            write_sheet(folder, [pair for row, pair in duplicates if row.kind == "near-duplicate"], out)
            write_faceless(folder, usable.faceless, out)
            write_squares(folder, pictures, crops, out)
        close()
    files = _Files(
        seen=len(pictures) + len(listing.aside) + len(listing.links),
        crops=len(crops.entries) - crops.whole if options.crop else None,
        known_already=int((choice.exact[candidates.known :] < candidates.known).sum()),
        new=len(faces) - candidates.known,
        dropped=dropped,
        lost=_lost_labels(candidates, choice, labels.attributes),
        notes=_notes(candidates, choice, options, out),
    )
    labels = replace(labels, notes=[*labels.notes, *notes])
    return _report(out, faces, files, labels, tag_report, time.monotonic() - begun)


def _name(progress: Progress | None, title: str) -> None:
    """Announce a pass to those who can show its name."""
    if isinstance(progress, NamedProgress):
        progress.name(title)


@dataclass(frozen=True)
class _Files:
    """What became of the files of an import; see `ImportReport`."""

    seen: int
    crops: int | None
    known_already: int
    new: int
    dropped: list[Dropped]
    lost: dict[str, dict[str, int]]
    notes: list[str]


@dataclass(frozen=True)
class _Labels:
    """The labels of all candidates, and what happened on the way to them."""

    attributes: dict[str, Column]
    readings: Column
    """For each candidate, the attributes that were read, joined by commas."""
    read: dict[str, dict[str, int]]
    """For each attribute that was read, on how many faces that succeeded (`read`) and failed (`unread`)."""
    notes: list[str]


def _crops(
    pictures: list[SourceFile], out: Path, options: ImportOptions, progress: Progress | None
) -> AbstractContextManager[Crops]:
    """The faces cut out of the pictures, or the pictures themselves."""
    if options.crop:
        _name(progress, "Cutting out the faces")
        return cut_faces(
            pictures, out, options.crop_margin, options.max_pixels, progress, keep_faces=options.keep_faces
        )
    return nullcontext(Crops(pictures, list(range(len(pictures)))))


def _not_pictures(listing: Listing) -> list[Dropped]:
    links = [Dropped(name, "link", "leads out of its folder; --follow-links follows it") for name in listing.links]
    return [Dropped(name, "not a picture", reason) for name, reason in listing.aside] + links


def _links(listing: Listing) -> list[str]:
    """The note about links that were not followed."""
    if not listing.links:
        return []
    count, named = len(listing.links), ", ".join(listing.links[:NAMED])
    more = f" and {count - NAMED:,} more" if count > NAMED else ""
    return [f"Links that lead out of their folder were not followed: {named}{more}. --follow-links follows them."]


def _crop_notes(
    crops: Crops, candidates: Candidates, choice: Choice, options: ImportOptions, progress: Progress | None
) -> list[str]:
    """What the report says about whole faces among illustrations, or illustrations among faces."""
    if options.crop:
        return [f"{crops.whole:,} pictures already are a face and stayed whole."] if options.keep_faces else []
    _name(progress, "Looking for illustrations")
    new = [row for row in choice.kept if row >= candidates.known]
    sizes = candidates.rows.select(["width", "height"]).take(pa.array(new, pa.int64())).to_pylist()
    return hint_at_crop([candidates.origins[row] for row in new], [(size["width"], size["height"]) for size in sizes])


def _tags(candidates: Candidates, options: ImportOptions) -> dict[str, Column]:
    """The human tags by which near-duplicates may differ."""
    tags = {
        name: values
        for name, values in candidates.attributes().items()
        if name not in NOT_IN_THE_PICTURE and len(set(values)) <= MAX_VALUES
    }
    merge_values([tags], options.merges())
    forget_unusable(tags)
    return tags


def _label(candidates: Candidates, choice: Choice, options: ImportOptions, progress: Progress | None) -> _Labels:
    """Merge values, take labels over from duplicates, read missing ones, and drop rare values.

    Human tags come first, then what earlier imports read, then what this one reads.
    """
    attributes, earlier, merges, kept = candidates.attributes(), candidates.readings(), options.merges(), choice.kept
    without_effect = merge_values([attributes, earlier], merges)
    notes = forget_unusable(attributes) + forget_unusable(earlier)
    notes += fill_gaps(attributes, choice.survivor)
    fill_gaps(earlier, choice.survivor)
    tagged = {name: {row for row, v in enumerate(values) if v is not None} for name, values in attributes.items()}
    apply_readings(attributes, earlier, kept)
    names = options.attributes_to_read()
    if names:
        _name(progress, "Reading labels from the pictures")
    readings = read_unlabelled(names, attributes, candidates.origins, candidates.sources(), kept, progress)
    notes = [note for note in merge_values([readings], merges) if note in without_effect] + notes
    read = apply_readings(attributes, readings, kept)
    notes += forget_rare(attributes, kept, options.min_count)
    return _Labels(attributes, list_readings(attributes, tagged, len(candidates.origins)), read, notes)


def _faces(candidates: Candidates, choice: Choice, labels: _Labels, holdout: float) -> pa.Table:
    """The rows of the dataset, without their images."""
    kept = choice.kept
    rows = candidates.rows.take(kept)
    digests = rows["sha256"].to_pylist()
    columns = {name: rows[name] for name in ("width", "height", "source", "sha256", "phash")}
    copies = copy_numbers(digests)
    columns["id"] = pa.array([d[:16] + (f"-{n}" if n else "") for d, n in zip(digests, copies, strict=True)])
    columns[FAMILY] = pa.array([choice.families[row] for row in kept])
    stored = candidates.rows["split"].to_pylist()
    columns["split"] = pa.array(assign_splits(choice.families, stored, candidates.known, kept.tolist(), holdout))
    for name, values in {READ: labels.readings, **labels.attributes}.items():
        columns[name] = pa.array([values[row] for row in kept], pa.string())
    return pa.table(columns)


def _lost_labels(
    candidates: Candidates, choice: Choice, attributes: Mapping[str, Sequence[str | None]]
) -> dict[str, dict[str, int]]:
    """How many of the dropped duplicates had each value of each attribute."""
    everyone = np.arange(len(choice.survivor))
    rows = np.flatnonzero((choice.survivor != everyone) & (choice.exact >= candidates.known)).tolist()
    lost = {name: Counter(filter(None, (values[row] for row in rows))) for name, values in attributes.items()}
    return {name: dict(counts.most_common()) for name, counts in lost.items() if counts}


def _used(candidates: Candidates, choice: Choice) -> set[str]:
    """The names of the files that became faces."""
    names = candidates.sources()
    return {names[row] for row in choice.kept if row >= candidates.known}


def _notes(candidates: Candidates, choice: Choice, options: ImportOptions, out: Path) -> list[str]:
    """Remarks about near-duplicates that stay, and about faces that keep their split."""
    new = choice.kept[choice.kept >= candidates.known]
    similar = int((choice.related[new] != new).sum())
    copied = sum(split is not None for split in candidates.rows["split"].take(new).to_pylist())
    notes = []
    if similar:
        near = options.duplicates == "near"
        reason = "their tags differ" if near else f"--duplicates is {options.duplicates}"
        notes.append(f"{similar:,} new faces are like others and stay, because {reason}. Such faces share a split.")
    if copied:
        notes.append(f"{copied:,} new faces keep their split in the dataset that they come from.")
    if options.holdout is not None and (copied or candidates.known):
        command = f"nijigan split {shell(out)} --holdout {options.holdout}"
        notes.append(f"--holdout does not change faces that have a split. To divide all faces again: {command}")
    return notes


def _report(
    out: Path, faces: pa.Table, files: _Files, labels: _Labels, tags: TagReport | None, seconds: float
) -> ImportReport:
    return ImportReport(
        out=str(out),
        faces=len(faces),
        size=int(np.median(np.minimum(faces["width"], faces["height"]))),
        splits={split: faces["split"].to_pylist().count(split) for split in SPLITS},
        labels={name: dict(Counter(filter(None, faces[name].to_pylist())).most_common()) for name in labels.attributes},
        files=files.seen,
        crops=files.crops,
        new=files.new,
        known_already=files.known_already,
        left_out=dict(Counter(row.kind for row in files.dropped).most_common()),
        unusable=tuple((row.file, row.detail) for row in files.dropped if row.kind == "unreadable"),
        tags=tags,
        read=labels.read,
        lost_to_duplicates=files.lost,
        notes=(*files.notes, *labels.notes),
        seconds=seconds,
    )
