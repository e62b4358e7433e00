"""Commands that make and show datasets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from nijigan.cli.common import narrate, progress_bar
from nijigan.dataset.limits import MAX_PIXELS


@dataclass(frozen=True)
class Import:
    """Turn pictures into a faces dataset: decoded, checked, without duplicates, split in train, val and test."""

    sources: Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="SRC...", help_behavior_hint="(required)")]
    """Folders, .zip archives, Parquet files or single pictures."""
    out: Path
    """The dataset folder; faces it holds already are kept and stay in their split."""
    crop: bool = False
    """The pictures are illustrations: cut every face out of them."""
    crop_margin: float = 0.25
    """Around each face that is cut out, as a share of its size."""
    faces_only: bool = False
    """Leave out pictures that the detector does not take for a face."""
    tags: Path | None = None
    """Labels: `id,<hair> hair <eyes> eyes` lines, a CSV with a header, booru tags, or imagefolder metadata."""
    tag_map: Path | None = None
    """For booru tags: a CSV or JSON of tag → attribute=value."""
    label: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """What to read on faces that have no label, also on those imported before: hair,eyes,year."""
    merge: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A value to count as another, such as orange=red or hair:orange=red; again for the next."""
    min_count: int = 0
    """Values rarer than this become unlabelled."""
    holdout: float = 0.2
    """Share set apart: half for validation, half for the test."""
    min_size: int = 16
    """Pictures with a side shorter than this are left out."""
    max_pixels: int = MAX_PIXELS
    """Pictures with more pixels than this are left out unopened."""
    pad: bool = False
    """Pad pictures that are not square instead of cropping them to the centre."""
    json: bool = False
    """Print the report as JSON."""

    def run(self) -> None:
        """Import."""
        from nijigan.importing.importer import import_faces

        with progress_bar("Importing") as progress:
            report = import_faces(
                self.sources, self.out, crop=self.crop, crop_margin=self.crop_margin, faces_only=self.faces_only,
                tags=self.tags, tag_map=self.tag_map, label=self.label, merge=self.merge, min_count=self.min_count,
                holdout=self.holdout, min_size=self.min_size, max_pixels=self.max_pixels, pad=self.pad,
                progress=progress,
            )  # fmt: skip
        print(report.to_json() if self.json else report)


@dataclass(frozen=True)
class Inspect:
    """Count a dataset's faces, sizes, labels and dropped duplicates, and draw a contact sheet."""

    faces: Annotated[Positional[Path], tyro.conf.arg(metavar="FACES")]
    """The dataset folder."""
    sheet: Path | None = None
    """Where the contact sheet goes; left out, contact-sheet.png in the dataset."""
    json: bool = False
    """Print the numbers as JSON."""

    def run(self) -> None:
        """Inspect."""
        from nijigan.dataset.faces import FaceDataset
        from nijigan.dataset.inspection import contact_sheet, inspect

        dataset = FaceDataset(self.faces)
        summary = inspect(dataset)
        sheet = contact_sheet(dataset, self.sheet or self.faces / "contact-sheet.png")
        print(summary.to_json() if self.json else summary)
        narrate(f"Contact sheet: {sheet}")
