"""What people said of a generator's faces, from the folder where `nijigan rate` keeps their votes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nijigan.aliases import Images
from nijigan.errors import UserError, check
from nijigan.generator.face import Face
from nijigan.generator.generator import Generator
from nijigan.polish.taste import Doubles
from nijigan.rate.store import NAME, VoteStore

FEWEST = 50
"""Faces with votes that are needed: fewer change the packaged judge at random."""


def rated_faces(folder: Path, generators: Sequence[Generator]) -> tuple[Images, Doubles]:
    """The faces of some generators that people have voted on.

    Args:
        folder: that of `ratings.sqlite`.
        generators: those that draw the faces again. Faces of others and real ones are left out.

    Returns:
        uint8, N×H×W×3, and the share of raters who keep each face.

    Raises:
        UserError: there are no votes in `folder`, they are on fewer than `FEWEST` faces of these generators, all are
            alike, or the generators draw at several resolutions.
    """
    if not (folder / NAME).is_file():
        raise UserError(f"{folder} has no {NAME}; name the folder that nijigan rate writes.")
    sizes = {generator.header.resolution for generator in generators}
    check(len(sizes) == 1, "The generators draw at several resolutions; name those of one with --rated.")
    known = {generator.weights_hash: generator for generator in generators}
    images, kept = [], []
    for text, verdicts in _by_face(VoteStore(folder)).items():
        if '"weights"' not in text:  # a real face
            continue
        face = Face.from_json(text, f"A face in {folder / NAME}")
        if face.weights in known:
            images.append(known[face.weights].draw(face))
            kept.append(float(np.mean(verdicts)))
    check(
        len(kept) >= FEWEST,
        f"{folder} has votes on {len(kept)} faces of the named generators; rate at least {FEWEST}, or name "
        "other generators whose faces were rated with --rated.",
    )
    check(
        len(set(kept)) > 1,
        f"The votes in {folder} keep the same share of each face; rate more faces.",
    )
    return np.stack(images), np.array(kept)


def _by_face(store: VoteStore) -> dict[str, list[bool]]:
    """What each rater says of each face at its first showing."""
    found: dict[str, list[bool]] = {}
    for votes in (store.votes(), *store.other_raters().values()):
        for (face, repeat), good in votes.items():
            if not repeat:
                found.setdefault(face, []).append(good)
    return found
