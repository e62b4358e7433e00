"""The report of an import, as text and as JSON."""

import json
from dataclasses import asdict, dataclass

from nijigan.dataset.dropped import Dropped
from nijigan.importing.labels.tag_report import TagReport
from nijigan.importing.sources import NAMED


@dataclass(frozen=True)
class ImportReport:
    """Counts of an import. Every file (with --crop, every crop) is in `new`, `known_already` or `left_out`."""

    out: str
    """The dataset's folder."""
    faces: int
    """Faces in the dataset now."""
    size: int
    """The median of their shorter sides, in pixels."""
    splits: dict[str, int]
    """Faces in train, val and test."""
    labels: dict[str, dict[str, int]]
    """Faces with each value of each attribute."""
    files: int
    """Files found in the sources."""
    crops: int | None
    """Faces cut out of them; None without --crop."""
    new: int
    """Files that became faces."""
    known_already: int
    """Files that are in the dataset from earlier imports."""
    left_out: dict[str, int]
    """Files that were not used, by the kinds of `Dropped`."""
    unusable: tuple[tuple[str, str], ...]
    """Name and reason of each unreadable file."""
    tags: TagReport | None
    """How the tags matched the pictures; None without tags."""
    read: dict[str, dict[str, int]]
    """For each attribute in --label, how many unlabelled faces were `read` and how many stayed `unread`."""
    lost_to_duplicates: dict[str, dict[str, int]]
    """Dropped duplicates with each value of each attribute."""
    notes: tuple[str, ...]
    """Other remarks."""
    seconds: float

    def sentences(self) -> list[str]:
        """The report as sentences."""
        splits = ", ".join(f"{split} {count:,}" for split, count in self.splits.items())
        counts = {"new": self.new, "known already": self.known_already, **self.left_out}
        cut = "" if self.crops is None else f", {self.crops:,} faces cut out of them"
        text = [
            f"{self.faces:,} faces in {self.out}: {splits}; median size {self.size} px.",
        ]
        if self.files:
            counted = ", ".join(f"{what} {count:,}" for what, count in counts.items() if count)
            text.append(f"{self.files:,} files{cut}: {counted}.")
        if self.left_out:
            text.append("dropped.csv lists the files that were not used, and why.")
        if self.unusable:
            named = ", ".join(f"{name} ({reason})" for name, reason in self.unusable[:NAMED])
            more = f" and {len(self.unusable) - NAMED:,} more" if len(self.unusable) > NAMED else ""
            text.append(f"Unreadable: {named}{more}.")
        text += self.tags.sentences() if self.tags else []
        text += [
            f"{name}: read from {c['read']:,} faces; {c['unread']:,} stay unlabelled." for name, c in self.read.items()
        ]
        text += [
            f"{name}: {', '.join(f'{v} {n:,}' for v, n in values.items())}." for name, values in self.labels.items()
        ]
        text += [
            f"Dropped duplicates with a label for {name}: {', '.join(f'{v} {n:,}' for v, n in values.items())}."
            for name, values in self.lost_to_duplicates.items()
        ]
        return [*text, *self.notes, f"The import took {self.seconds:.1f} s."]

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        return "\n".join(self.sentences())


def nothing_usable(sources: str, dropped: list[Dropped]) -> str:
    """The message for an import without a single usable picture."""
    if dropped and all(row.kind == "no face" for row in dropped):
        names = ", ".join(row.file for row in dropped[:NAMED])
        return (
            f"No face was found in the pictures in {sources} ({names}); import them without --crop and --faces-only to "
            "use the whole pictures."
        )
    named = ", ".join(f"{row.file} ({(row.detail or row.kind).rstrip('.')})" for row in dropped[:NAMED])
    files = "1 other file" if len(dropped) == 1 else f"{len(dropped):,} other files"
    found = f"it holds {files}: {named}" if dropped else "it holds no file"
    return f"There is no usable picture in {sources}; {found}. Give JPEG, PNG, WebP or GIF pictures."
