"""What a rater is asked: faces of every model and real ones, in an order that tells nothing of where each is from."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from nijigan.aliases import Images
from nijigan.errors import UserError

if TYPE_CHECKING:
    from nijigan.dataset.faces import FaceDataset
    from nijigan.generator.generator import Generator

REAL = "real faces"
"""The source of those that nobody drew for this."""

log = logging.getLogger("nijigan")


@dataclass(frozen=True, eq=False)
class Ballot:
    """Faces in the order in which they are shown."""

    images: Images
    """uint8, M×H×W×3."""
    faces: tuple[str, ...]
    """What identifies each on any ballot: JSON with a drawn face's weights and seed, or with a real one's hash."""
    sources: tuple[str, ...]
    """The name of each one's model, or `REAL`."""


def build_ballot(models: "Mapping[str, Generator]", dataset: "FaceDataset", n: int = 100, seed: int = 0) -> Ballot:
    """Draw n faces from each model, choose n real ones, and shuffle them all.

    Args:
        models: by name; all of one resolution, as another would give them away.
        dataset: its validation faces are the real ones.
        n: faces from each source; of the real ones as many as there are, if fewer.
        seed: of each model's first face, of the choice and of the order.

    Raises:
        UserError: no model, one under two names, different resolutions, no validation face, or a number out of its
            range.
    """
    if not models:
        raise UserError("There is nothing to rate; name a model.")
    names: dict[str, str] = {}
    for name, generator in models.items():
        if (other := names.setdefault(generator.weights_hash, name)) != name:
            raise UserError(f"{other} and {name} have the same weights and draw the same faces; name one of them.")
    resolutions = {name: generator.header.resolution for name, generator in models.items()}
    resolution = next(iter(resolutions.values()))
    if len(set(resolutions.values())) > 1:
        sizes = ", ".join(f"{name} {size} px" for name, size in resolutions.items())
        raise UserError(f"The size of a face would tell whose it is ({sizes}); rate models of one resolution together.")
    drawn = [generator.sample(n, seed=seed) for generator in models.values()]
    images, real = _choose_real(dataset, resolution, n, seed)
    faces = [model.face(one).to_json() for model in models.values() for one in range(seed, seed + n)]
    sources = [name for name in models for _ in range(n)]

    order = np.random.Generator(np.random.PCG64([seed, 1])).permutation(len(faces) + len(real))
    return Ballot(
        images=np.concatenate([*drawn, images])[order],
        faces=tuple(np.array([*faces, *real])[order].tolist()),
        sources=tuple(np.array([*sources, *[REAL] * len(real)])[order].tolist()),
    )


def _choose_real(dataset: "FaceDataset", resolution: int, n: int, seed: int) -> tuple[Images, list[str]]:
    """Up to n validation faces and what identifies them."""
    count = dataset.count("val")
    if count == 0:
        raise UserError(f"{dataset.path} has no validation faces to mix in; import more pictures or hold more out.")
    if count < n:
        log.warning("There are only %d validation faces to mix in, not %d.", count, n)
    rows = np.sort(np.random.Generator(np.random.PCG64([seed, 0])).choice(count, min(n, count), replace=False))
    hashes = dataset.table.filter(pc.field("split") == "val")["sha256"].take(rows).to_pylist()
    faces = [json.dumps({"sha256": sha256, "resolution": resolution}) for sha256 in hashes]
    return dataset.pixels("val", resolution)[rows], faces
