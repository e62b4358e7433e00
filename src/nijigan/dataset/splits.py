"""Which faces are trained on, validated with and tested on."""

from collections.abc import Sequence

import pyarrow as pa


def assign_splits(rows: pa.Table, illustrations: Sequence[str | None], holdout: float) -> list[str]:
    """The split of every face. Known faces keep theirs; a new crop joins other crops of the same illustration."""
    pictures = [source.partition("#")[0] for source in rows["source"].to_pylist()]
    splits = rows["split"].to_pylist()
    known = {picture: split for picture, split in zip(pictures, splits, strict=True) if split}
    return [
        split or (illustration and known.get(picture)) or split_of(illustration or digest, holdout)
        for split, illustration, picture, digest in zip(
            splits, illustrations, pictures, rows["sha256"].to_pylist(), strict=True
        )
    ]


def split_of(sha256: str, holdout: float) -> str:
    """The split of a new face. It depends only on the hash, and a larger holdout only takes faces from train.

    All crops of an illustration have the illustration's hash here, so that they share a split.
    """
    place = int(sha256[:12], 16) / 16**12
    return "val" if place < holdout / 2 else "test" if place >= 1 - holdout / 2 else "train"
