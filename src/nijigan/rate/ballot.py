"""The faces to rate: generated ones of every model and real ones, in an order that reveals nothing of their source."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from nijigan.aliases import Images
from nijigan.dataset.splits import split_advice
from nijigan.errors import UserError

if TYPE_CHECKING:
    from nijigan.dataset.faces import FaceDataset
    from nijigan.generator.generator import Generator

REAL = "real faces"
"""The source of real faces."""

log = logging.getLogger("nijigan")


@dataclass(frozen=True, eq=False)
class Ballot:
    """The faces to rate, in display order."""

    images: Images
    """uint8, M×H×W×3."""
    faces: tuple[str, ...]
    """The identity of each face on any ballot: JSON with a generated face's weights and seed, or a real face's hash."""
    sources: tuple[str, ...]
    """The name of each face's model, or `REAL`."""


def build_ballot(models: "Mapping[str, Generator]", dataset: "FaceDataset", n: int = 100, seed: int = 0) -> Ballot:
    """Generate n faces with each model, choose n real ones, and shuffle them all.

    Args:
        models: by name. All must have the same resolution, which would otherwise reveal the source.
        dataset: the real faces are those of its val split.
        n: number of faces from each source; fewer real ones if the split has fewer.
        seed: seed of each model's first face, of the choice of real faces and of the order.

    Raises:
        UserError: there is no model, a model has two names, resolutions differ, there is no validation face, or a
            number is out of range.
    """
    if not models:
        raise UserError("There is nothing to rate; name a model.")
    names: dict[str, str] = {}
    for name, generator in models.items():
        if (other := names.setdefault(generator.weights_hash, name)) != name:
            raise UserError(f"{other} and {name} have the same weights and generate the same faces; name one of them.")
    resolutions = {name: generator.header.resolution for name, generator in models.items()}
    resolution = next(iter(resolutions.values()))
    if len(set(resolutions.values())) > 1:
        sizes = ", ".join(f"{name} {size} px" for name, size in resolutions.items())
        raise UserError(
            f"The resolution would reveal the source of a face ({sizes}); rate models of one resolution at a time."
        )
    generated = [generator.sample(n, seed=seed) for generator in models.values()]
    real_images, real = _choose_real(dataset, resolution, n, seed)
    faces = [generator.face(seed + i).to_json() for generator in models.values() for i in range(n)]
    sources = [name for name in models for _ in range(n)]

    order = np.random.Generator(np.random.PCG64([seed, 1])).permutation(len(faces) + len(real))
    return Ballot(
        images=np.concatenate([*generated, real_images])[order],
        faces=tuple(np.array([*faces, *real])[order].tolist()),
        sources=tuple(np.array([*sources, *[REAL] * len(real)])[order].tolist()),
    )


def _choose_real(dataset: "FaceDataset", resolution: int, n: int, seed: int) -> tuple[Images, list[str]]:
    """Up to n validation faces and their identities."""
    count = dataset.count("val")
    if count == 0:
        raise UserError(
            f"{dataset.path} has no validation faces to mix in. {split_advice(dataset.path, len(dataset.table))}"
        )
    if count < n:
        log.warning("The dataset has only %d validation faces to mix in, not %d.", count, n)
    rows = np.sort(np.random.Generator(np.random.PCG64([seed, 0])).choice(count, min(n, count), replace=False))
    hashes = dataset.table.filter(pc.field("split") == "val")["sha256"].take(rows).to_pylist()
    faces = [json.dumps({"sha256": sha256, "resolution": resolution}) for sha256 in hashes]
    return dataset.pixels("val", resolution)[rows], faces
