"""The outcome of an evaluation: scores with their uncertainty, and the protocol under which they were measured."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

from pydantic import AliasChoices, Field

from nijigan.jsonio import parse_json, read_json, to_json
from nijigan.metrics.score import Score


def storable(name: str) -> str:
    """A name that every file can hold: the bytes of a file's name that are not valid Unicode become escapes."""
    return name.encode(errors="backslashreplace").decode()


@dataclass(frozen=True)
class Protocol:
    """Everything that must be equal before two scores are compared, and everything needed to measure them again."""

    dataset: str
    """Name of the dataset's folder."""
    fingerprint: str
    """Fingerprint of its content."""
    split: str
    """The faces scored against: val for choices, test for publication."""
    resolution: int
    """Height and width in pixels."""
    features: str
    """The feature space, such as lite0@128."""
    features_hash: str
    """SHA-256 of its weights and preprocessing."""
    n_fake: int
    """Number of generated faces."""
    n_real: int
    """Number of real faces."""
    neighbours: int
    """The k of nearest-neighbour scores."""
    seed: int
    """Seed of the first generated face."""
    psi: float
    """Truncation."""
    version: str
    """Version of nijigan."""
    quality_hash: str | None = None
    """SHA-256 of the judge of yield, `nijigan.judges.quality`. None in files of version 0.1: their yield is another."""
    n_yield: int | None = None
    """Number of generated faces that the face detector was shown for yield-manifold; None: it was not computed."""
    reader: str | None = None
    """The attribute reader. This and the next two are None for an unconditional generator."""
    reader_hash: str | None = None
    """SHA-256 of the reader's weights and vocabularies."""
    n_asked: int | None = None
    """Number of faces requested for each value of each attribute."""


@dataclass(frozen=True)
class ClassScores:
    """The scores of the faces for which one value of an attribute was requested."""

    accuracy: Score
    """The share in which the reader recognises that value; its floor is that share of real faces with this label."""
    kid: Score | None
    """KID between these faces and real faces with this label; None if there are too few of either."""
    n_real: int
    """Number of faces of the split with this label."""
    diversity: Score | None = None
    """Mean distance of these faces from each other over that of real faces with this label: near 0 if the generator
    ignores its latents. None if there are too few of either."""


@dataclass(frozen=True)
class ConditionalAccuracy:
    """What a reader recognises when each value of an attribute is requested `Protocol.n_asked` times."""

    classes: dict[str, ClassScores]
    """By requested value."""
    read: tuple[str, ...]
    """What the reader can recognise: the requested values, in their order, then its other values."""
    confusion: tuple[tuple[int, ...], ...]
    """Number of faces with the requested value of the row that were recognised as the value of the column."""

    @property
    def chance(self) -> float:
        """The highest balanced accuracy of a generator that ignores its labels."""
        return 1 / len(self.classes)


@dataclass(frozen=True)
class Metrics:
    """The outcome of one evaluation: `metrics.json`."""

    model: str
    """Where the generator came from."""
    weights: str
    """Hash of its weights."""
    kimg: float
    """Length of its training, in thousands of real images."""
    protocol: Protocol
    scores: dict[str, Score]
    """By name: yield, kid, fd, precision, recall, density, coverage, diversity, distinguishability-lite0, originality,
    accuracy-hair, ..."""
    conditional_accuracy: Annotated[
        dict[str, ConditionalAccuracy], Field(validation_alias=AliasChoices("conditional_accuracy", "obedience"))
    ] = field(default_factory=dict)  # the key in files of version 0.1 is "obedience"
    """By attribute; empty for an unconditional generator."""

    def __post_init__(self) -> None:
        if self.protocol.quality_hash is None and "yield" in self.scores:  # a file of version 0.1
            renamed = {"yield-manifold" if name == "yield" else name: score for name, score in self.scores.items()}
            object.__setattr__(self, "scores", renamed)

    def __str__(self) -> str:
        """A table for the terminal. KID is multiplied by 1,000, as usual."""
        protocol = self.protocol
        width = max(16, *(len(name) + 2 for name in self.scores))
        lines = [
            f"{protocol.n_fake:,} generated faces against {protocol.n_real:,} real faces "
            f"({protocol.dataset}, {protocol.split} split) at {protocol.resolution} px, features {protocol.features}",
            f"{'':{width}}{'score':>10}   {'95 % interval':^19}{'real faces':>12}",
        ]
        for name, score in self.scores.items():
            times = 1000 if name == "kid" else 1
            values = [
                None if v is None else f"{v * times:.3f}" for v in (score.value, score.low, score.high, score.floor)
            ]
            between = f"{values[1]} to {values[2]}" if score.low is not None else ""
            between += " *" * (name == "fd" and bool(between))
            lines.append(
                f"{name + (' ×1000' if times > 1 else ''):{width}}{values[0]:>10}   {between:^19}{values[3] or '':>12}"
            )
        if "fd" in self.scores and self.scores["fd"].low is not None:
            lines.append("* the range over disjoint subsets: no valid interval exists for the Fréchet distance")
        for name, found in self.conditional_accuracy.items():
            lines.append(
                f"{name}: {protocol.n_asked} faces for each of {len(found.classes)} values, read by {protocol.reader}; "
                f"chance {found.chance:.3f}"
            )
        return "\n".join(lines)

    def to_json(self) -> str:
        """The metrics as indented JSON, readable by `read` and by people."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str, source: str = "The metrics") -> Self:
        """Parse the output of `to_json`; anything else is a `UserError` that names `source`."""
        return parse_json(cls, text, source)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a `metrics.json`; a file that cannot be read is a `UserError`."""
        return read_json(cls, path)
