"""Inspect a dataset: its counts, and a contact sheet."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from nijigan.dataset.decode import SUFFIXES
from nijigan.dataset.dropped import read_csv
from nijigan.dataset.faces import FaceDataset
from nijigan.dataset.manifest import SPLITS
from nijigan.errors import UserError
from nijigan.files import replacing
from nijigan.pictures import grid


@dataclass(frozen=True)
class Summary:
    """The counts of a dataset."""

    path: str
    fingerprint: str
    faces: int
    splits: dict[str, int]
    """Faces in train, val and test."""
    sizes: dict[str, int]
    """Shorter sides in pixels: smallest, median, largest."""
    labels: dict[str, dict[str, int]]
    """Faces by attribute and value, the most frequent first. "" counts the unlabelled."""
    left_out: dict[str, int]
    """Files that were not used, by kind."""

    def to_json(self) -> str:
        """The counts as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        lines = [
            ("faces", f"{self.faces:,}"),
            *((f"  {split}", f"{count:,}") for split, count in self.splits.items()),
            ("shorter side", ", ".join(f"{name} {side} px" for name, side in self.sizes.items())),
            *(
                (name, ", ".join(f"{v or 'unknown'} {n:,}" for v, n in counts.items()))
                for name, counts in self.labels.items()
            ),
            *((f"dropped: {kind}", f"{count:,}") for kind, count in self.left_out.items()),
            ("fingerprint", self.fingerprint[:16]),
        ]
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def inspect(dataset: FaceDataset) -> Summary:
    """Count the content of a dataset."""
    sides = np.minimum(dataset.table["width"], dataset.table["height"])
    return Summary(
        path=str(dataset.path),
        fingerprint=dataset.fingerprint,
        faces=len(dataset.table),
        splits={split: dataset.count(split) for split in SPLITS},
        sizes={"smallest": int(sides.min()), "median": dataset.size, "largest": int(sides.max())},
        labels={
            name: dict(Counter(value or "" for value in dataset.table[name].to_pylist()).most_common())
            for name in dataset.attributes
        },
        left_out=dict(Counter(row.kind for row in read_csv(dataset.path)).most_common()),
    )


def check_sheet(path: Path) -> None:
    """Raise a `UserError` if `path` is not the name of a picture."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} does not end like the name of a picture; choose a name that ends in .png.")


def contact_sheet(dataset: FaceDataset, path: Path, count: int = 100, side: int = 64) -> Path:
    """Write a contact sheet with faces of a dataset.

    Args:
        dataset: the dataset. Its faces are ordered by hash, so that the first ones are a random sample.
        path: the picture file to write.
        count: the number of faces.
        side: height and width of each face, in pixels.

    Returns:
        `path`.

    Raises:
        UserError: the dataset is damaged, or `path` cannot be written or is not the name of a picture.
    """
    check_sheet(path)
    faces = np.stack(list(islice(dataset.decoded(side), count)))
    with replacing(path) as temporary:
        Image.fromarray(grid(faces)).save(temporary)
    return path
