"""What an evaluation finds: scores with their uncertainty, and the protocol that they were taken by."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

from pydantic import AliasChoices, Field

from nijigan.jsonio import parse_json, read_json, to_json
from nijigan.metrics.score import Score


@dataclass(frozen=True)
class Protocol:
    """Everything that must be equal before two scores may be compared, and everything needed to take them again."""

    dataset: str
    """Name of the dataset's folder."""
    fingerprint: str
    """Of its content."""
    split: str
    """The faces scored against: val steers, test is for what is published."""
    resolution: int
    features: str
    """The feature space, such as lite0@128."""
    features_hash: str
    """SHA-256 of its weights and preprocessing."""
    n_fake: int
    n_real: int
    n_yield: int
    """How many of the drawn faces the face finder looked at."""
    neighbours: int
    """k of the nearest-neighbour scores."""
    seed: int
    """Of the first drawn face."""
    psi: float
    version: str
    """Of nijigan."""
    reader: str | None = None
    """Who read attributes off drawn faces; None for a generator without attributes, as for the next two."""
    reader_hash: str | None = None
    """SHA-256 of the reader's weights and vocabularies."""
    n_asked: int | None = None
    """Faces that were asked for of each value of each attribute."""


@dataclass(frozen=True)
class ClassScores:
    """What came of asking for one value of an attribute."""

    accuracy: Score
    """The share of these faces that the reader reads as that value; floor: of real faces labelled so."""
    kid: Score | None
    """Between these faces and real ones labelled so; None where either are too few."""
    n_real: int
    """Faces of the split that are labelled so."""
    diversity: Score | None = None
    """How different these faces are from each other, over how different real ones labelled so are: near 0 where the
    generator ignores its latents. None where either are too few."""


@dataclass(frozen=True)
class ConditionalAccuracy:
    """What a generator draws when it is asked for each value of an attribute, `Protocol.n_asked` times."""

    classes: dict[str, ClassScores]
    """By the value asked for."""
    read: tuple[str, ...]
    """What the reader may read: the values asked for, in their order, then those that it knows beside."""
    confusion: tuple[tuple[int, ...], ...]
    """How many faces asked to be the value of the row were read as that of the column."""

    @property
    def chance(self) -> float:
        """The balanced accuracy of a generator that ignores what it is asked, at best."""
        return 1 / len(self.classes)


@dataclass(frozen=True)
class Metrics:
    """The outcome of one evaluation: `metrics.json`."""

    model: str
    """Where the generator was."""
    weights: str
    """Its weights' hash."""
    kimg: float
    """Its age."""
    protocol: Protocol
    scores: dict[str, Score]
    """By name: kid, fd, precision, recall, density, coverage, diversity, yield, originality, accuracy-hair, ..."""
    conditional_accuracy: Annotated[
        dict[str, ConditionalAccuracy], Field(validation_alias=AliasChoices("conditional_accuracy", "obedience"))
    ] = field(default_factory=dict)  # files of version 0.1 say "obedience"
    """By attribute; empty for a generator without."""

    def __str__(self) -> str:
        """A table for the terminal; KID times 1,000, as it is usually printed."""
        protocol = self.protocol
        width = max(16, *(len(name) + 2 for name in self.scores))
        lines = [
            f"{protocol.n_fake:,} drawn faces against {protocol.n_real:,} of {protocol.dataset}/{protocol.split} "
            f"at {protocol.resolution} px, features {protocol.features}",
            f"{'':{width}}{'score':>10}   {'95 % interval':^19}{'real faces':>12}",
        ]
        for name, score in self.scores.items():
            times = 1000 if name == "kid" else 1
            values = [
                None if v is None else f"{v * times:.3f}" for v in (score.value, score.low, score.high, score.floor)
            ]
            between = f"{values[1]} to {values[2]}" if score.low is not None else ""
            lines.append(
                f"{name + (' ×1000' if times > 1 else ''):{width}}{values[0]:>10}   {between:^19}{values[3] or '':>12}"
            )
        for name, one in self.conditional_accuracy.items():
            lines.append(
                f"{name}: {protocol.n_asked} faces asked for of each of {len(one.classes)} values, "
                f"read by {protocol.reader}; by chance {one.chance:.3f}"
            )
        return "\n".join(lines)

    def to_json(self) -> str:
        """The metrics as indented JSON, readable by `read` and by people."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str, source: str = "The metrics") -> Self:
        """Read what `to_json` wrote; anything else is a `UserError` that names `source`."""
        return parse_json(cls, text, source)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a `metrics.json`; what cannot be read is a `UserError`."""
        return read_json(cls, path)
