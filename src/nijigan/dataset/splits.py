"""Which faces are trained on, validated with and tested on.

A split is assigned to a family: faces that show the same drawing, or were cut out of the same illustration. Otherwise a
network could be tested on what it was trained on.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from nijigan.dataset.manifest import FAMILY
from nijigan.errors import check
from nijigan.terminal import shell

DEFAULT_HOLDOUT = 0.2
"""The share of faces that train does not get."""

RANKED_BELOW = 500
"""A new dataset with fewer faces than this is divided by rank, so that its shares are exact."""


def assign_splits(
    families: Sequence[str], stored: Sequence[str | None], known: int, kept: Sequence[int], holdout: float
) -> list[str]:
    """The split of every face that is kept.

    Known faces keep theirs, and new ones follow the known faces of their family. New faces that bring a split along,
    from the dataset that they are copied from, keep it; if those of one family bring several, the first counts. The
    split of any other family follows from its hash: in a new dataset of fewer than 500 faces from the rank of the hash,
    otherwise from its value.

    Args:
        families: the family of each picture, as 64 hexadecimal digits.
        stored: the split that each picture has already; None if it has none.
        known: the first `known` pictures are faces of the dataset already.
        kept: the pictures that become faces. The splits that others bring along count for their families.
        holdout: share of faces that train does not get, 0 to below 1: half for val, half for test.
    """
    in_dataset: dict[str, str] = {}
    brought: dict[str, str] = {}
    for row, (family, split) in enumerate(zip(families, stored, strict=True)):
        if split:
            (in_dataset if row < known else brought).setdefault(family, split)
    own = [families[row] for row in kept]
    new = not in_dataset and not brought and len(kept) < RANKED_BELOW
    fresh = _by_rank(own, holdout) if new else {family: split_of(family, holdout) for family in own}
    return [
        (row < known and stored[row]) or in_dataset.get(family) or brought.get(family) or fresh[family]
        for row, family in zip(kept, own, strict=True)
    ]


def split_again(families: Sequence[str], holdout: float) -> list[str]:
    """The split of every face of a dataset that is divided as if it were new; see `assign_splits`."""
    return assign_splits(families, [None] * len(families), 0, range(len(families)), holdout)


def split_of(sha256: str, holdout: float) -> str:
    """The split of a family in a large dataset. It depends only on the hash.

    A larger holdout only takes faces from train.
    """
    return _at(int(sha256[:12], 16) / 16**12, holdout)


def check_holdout(holdout: float) -> None:
    """Raise a `UserError` if a share is out of its range."""
    check(0 <= holdout < 1, f"holdout is {holdout}; choose a share from 0 to below 1.")


def split_advice(path: Path, faces: int, minimum: int = 1) -> str:
    """How a user gets at least `minimum` faces in val and in test.

    Args:
        path: the dataset.
        faces: the number of its faces.
        minimum: the number of faces that val and test need.
    """
    holdout = next((share / 10 for share in range(2, 7) if faces * share / 20 >= minimum), 0.6)
    command = f"nijigan split {shell(path)} --holdout {holdout}"
    needed = math.ceil(minimum / 0.3)
    if faces < needed:
        return f"Import pictures until there are {needed} faces or more, then change the splits: {command}"
    return f"Import more pictures, or change the splits: {command}"


def _by_rank(families: Sequence[str], holdout: float) -> dict[str, str]:
    """The splits of all families, by the share of faces whose families have a smaller hash."""
    sizes = Counter(families)
    splits, before = {}, 0
    for family in sorted(sizes):
        splits[family] = _at((before + sizes[family] / 2) / len(families), holdout)
        before += sizes[family]
    return splits


def _at(place: float, holdout: float) -> str:
    return "val" if place < holdout / 2 else "test" if place >= 1 - holdout / 2 else "train"


def fill_families(table: pa.Table) -> pa.Table:
    """Add the families of faces that nijigan 0.1 imported, which did not store them.

    The crops of an illustration are a family; their sources are its name with `#` and a number. Any other face is a
    family of its own.
    """
    rows = zip(table[FAMILY].to_pylist(), table["source"].to_pylist(), table["sha256"].to_pylist(), strict=True)
    families = [family or crop_family(source or "") or digest for family, source, digest in rows]
    return table.set_column(table.column_names.index(FAMILY), FAMILY, pa.array(families, pa.string()))


def crop_family(source: str) -> str | None:
    """The family of a crop that nijigan 0.1 imported, by its source; None if the face is not a crop."""
    crop = re.fullmatch(r"(.+)#\d+", source, re.DOTALL)
    return hashlib.sha256(f"crops of {crop[1]}".encode()).hexdigest() if crop else None
