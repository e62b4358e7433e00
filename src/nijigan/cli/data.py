"""The commands that create and inspect datasets."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from nijigan.cli.common import narrate, progress_bar
from nijigan.dataset.limits import MAX_PIXELS
from nijigan.errors import UserError


@dataclass(frozen=True)
class Import:
    """Import pictures into a dataset of faces.

    Pictures are checked, duplicates are dropped, and the faces are split into train, val and test.
    """

    sources: Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="SRC...", help_behavior_hint="(required)")]
    """Folders, .zip archives, Parquet files or single pictures to import."""
    out: Path
    """The dataset folder. Faces that are already in it stay there, in the same splits."""
    crop: bool = False
    """Cut the faces out of illustrations, and import these crops instead of the whole pictures."""
    crop_margin: float = 0.25
    """Space around each face with --crop, as a share of the face's size, 0 to 1."""
    keep_faces: bool = False
    """With --crop, leave pictures whole that already are a face."""
    follow_links: bool = False
    """Follow links in a folder that lead out of it."""
    faces_only: bool = False
    """Drop pictures in which no face is detected."""
    tags: Path | None = None
    """Table of labels: CSV, TSV, JSON, JSON lines or Parquet with a column of file names or ids, booru tags, or lines
    of `id,<hair> hair <eyes> eyes`. Default: tables in the sources called metadata, tags, labels, train or similar."""
    tag_map: Path | None = None
    """CSV or JSON file that maps booru tags to labels: tag → attribute=value. Default: none."""
    id_column: str | None = None
    """Header of the column that names the pictures. Default: the column whose cells are names of pictures."""
    label: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Attributes to read from unlabelled faces, also of earlier imports: any of hair,eyes,year."""
    merge: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Rename a value, such as orange=red or hair:orange=red."""
    min_count: int = 0
    """Drop values with fewer faces than this; those faces become unlabelled."""
    duplicates: Literal["exact", "near", "none"] = "near"
    """Duplicates to remove: exact (the same bytes), near (also near-duplicates, unless their human tags differ) or
    none. Near-duplicates that stay share a split."""
    keep_duplicates: bool = False
    """Keep all duplicates, like --duplicates none."""
    holdout: float | None = None
    """Share of new faces that are not used for training, from 0 to below 1: half go to val, half to test. Default: 0.2.
    `nijigan split` changes the splits of faces that are in the dataset already."""
    min_size: int = 16
    """Skip pictures whose shorter side has fewer pixels than this."""
    max_pixels: int = MAX_PIXELS
    """Skip pictures with more pixels than this, without decoding them."""
    pad: bool = False
    """Pad pictures that are not square with white, instead of cropping them to the centre square."""
    json: bool = False
    """Print the report as JSON."""

    def run(self) -> None:
        """Run the import and print its report."""
        from nijigan.importing.importer import import_faces

        if self.keep_duplicates and self.duplicates == "exact":
            raise UserError("--duplicates exact removes duplicates, and --keep-duplicates keeps them; choose one.")
        with progress_bar("Importing") as progress:
            report = import_faces(
                self.sources, self.out, crop=self.crop, crop_margin=self.crop_margin, keep_faces=self.keep_faces,
                follow_links=self.follow_links, faces_only=self.faces_only, tags=self.tags, tag_map=self.tag_map,
                id_column=self.id_column, label=self.label, merge=self.merge, min_count=self.min_count,
                duplicates="none" if self.keep_duplicates else self.duplicates,
                holdout=self.holdout, min_size=self.min_size, max_pixels=self.max_pixels, pad=self.pad,
                progress=progress,
            )  # fmt: skip
        print(report.to_json() if self.json else report)


@dataclass(frozen=True)
class Split:
    """Divide the faces of a dataset into train, val and test again.

    Later imports keep these splits. Near-duplicates, and faces from one illustration, share a split.
    """

    faces: Annotated[Positional[Path], tyro.conf.arg(metavar="FACES")]
    """The dataset folder."""
    holdout: float
    """Share of faces that are not used for training, from 0 to below 1: half go to val, half to test."""
    json: bool = False
    """Print the counts as JSON."""

    def run(self) -> None:
        """Divide the faces and print the counts."""
        from nijigan.importing.store import split_faces

        report = split_faces(self.faces, self.holdout)
        print(report.to_json() if self.json else report)


@dataclass(frozen=True)
class Inspect:
    """Count the faces, sizes, labels and dropped files of a dataset, and write a contact sheet."""

    faces: Annotated[Positional[Path], tyro.conf.arg(metavar="FACES")]
    """The dataset folder."""
    sheet: Path | None = None
    """Picture file for the contact sheet. Default: contact-sheet.png in the dataset folder, and none if that cannot be
    written."""
    json: bool = False
    """Print the counts as JSON."""

    def run(self) -> None:
        """Print the counts and write the contact sheet."""
        from nijigan.dataset.faces import FaceDataset
        from nijigan.dataset.inspection import check_sheet, contact_sheet, inspect

        sheet = self.sheet or self.faces / "contact-sheet.png"
        check_sheet(sheet)
        with progress_bar("Inspecting"):
            dataset = FaceDataset(self.faces)
            summary = inspect(dataset)
            print(summary.to_json() if self.json else summary, flush=True)  # whatever becomes of the sheet
            if self.sheet is None and not os.access(self.faces, os.W_OK):
                narrate(f"No contact sheet: {self.faces} cannot be written. Choose another place with --sheet.")
            else:
                narrate(f"Contact sheet: {contact_sheet(dataset, sheet)}")
