"""What an import says about tables of labels."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from nijigan.importing.sources import NAMED


@dataclass
class TagReport:
    """How many lines of tables matched pictures, and what was taken for what."""

    files: list[str] = field(default_factory=list)
    """The tables that are used."""
    columns: list[str] = field(default_factory=list)
    """For each of them, what its columns were taken for."""
    unused: list[tuple[str, str]] = field(default_factory=list)
    """Name of each table that is not used, and why."""
    matched: int = 0
    """Pictures that got a label."""
    untagged: int = 0
    """Pictures that got none."""
    missing: list[str] = field(default_factory=list)
    """Ids without a picture."""
    hints: list[str] = field(default_factory=list)
    """For each table with ids that nearly name a picture, how many these are, and an example."""
    ambiguous: list[str] = field(default_factory=list)
    """Ids that match several pictures. They label none."""
    repeated: int = 0
    """Lines that repeat earlier ones."""
    conflicting: list[str] = field(default_factory=list)
    """Ids with contradictory lines or tags. The attributes in question stay unlabelled."""
    malformed: int = 0
    """Lines that cannot be read."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Tags that are not in the mapping, and how often they occur."""

    def sentences(self) -> list[str]:
        """The report as sentences."""
        text = []
        if self.files:
            files = _few(self.files)
            text.append(f"Tags from {files}: {self.matched:,} pictures labelled, {self.untagged:,} without tags.")
        text += self.columns[:NAMED]
        if len(self.columns) > NAMED:
            text.append(f"--json prints what the columns of {len(self.columns) - NAMED:,} more tables were taken for.")
        for ids, what in (
            (self.missing, "ids have no picture"),
            (self.ambiguous, "ids match several pictures and label none; give their paths"),
            (self.conflicting, "ids have contradictory tags, and stay unlabelled for those attributes"),
        ):
            if ids:
                text.append(f"{len(ids):,} {what}: {_few(ids)}.")
        text += self.hints[:NAMED]
        if self.repeated:
            text.append(f"{self.repeated:,} lines repeat others.")
        if self.malformed:
            text.append(f"{self.malformed:,} lines could not be read.")
        if self.unknown:
            common = [f"{tag} ({count:,})" for tag, count in Counter(self.unknown).most_common(NAMED + 1)]
            text.append(f"{len(self.unknown):,} tags are not in the mapping: {_few(common)}.")
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.unused:
            by_reason.setdefault(reason, []).append(name)
        text += [f"Tables not used: {_few(names)}: {reason}" for reason, names in by_reason.items()]
        return text


def _few(names: Sequence[str]) -> str:
    return ", ".join(name[:100] for name in names[:NAMED]) + (", …" if len(names) > NAMED else "")
