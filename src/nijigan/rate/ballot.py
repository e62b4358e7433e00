"""The faces to rate: generated ones of every model and real ones, in an order that reveals nothing of their source."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from nijigan.aliases import Images
from nijigan.dataset.splits import split_advice
from nijigan.errors import UserError
from nijigan.generator.latents import check_seed
from nijigan.judges.results import storable
from nijigan.rate.store import Showing

if TYPE_CHECKING:
    from nijigan.dataset.faces import FaceDataset
    from nijigan.generator.generator import Generator

REAL = "real faces"
"""The source of real faces."""
MAX_FACES = 10_000
"""From each source: more than a person rates, and few enough for memory."""

log = logging.getLogger("nijigan")


@dataclass(frozen=True, eq=False)
class BallotKey:
    """What a ballot shows, in display order."""

    faces: tuple[str, ...]
    """The identity of each face on any ballot: JSON with a generated face's weights and seed, or a real face's hash."""
    sources: tuple[str, ...]
    """The name of each face's model, or `REAL`."""
    repeats: tuple[bool, ...]
    """Whether each face is shown for the second time, to see whether the rater agrees with themself."""

    @property
    def showings(self) -> tuple[Showing, ...]:
        """What a vote is about, in display order."""
        return tuple(zip(self.faces, self.repeats, strict=True))


@dataclass(frozen=True, eq=False)
class Ballot(BallotKey):
    """The faces to rate, in display order."""

    images: Images
    """uint8, M×H×W×3."""


def build_ballot(
    models: "Mapping[str, Generator]",
    dataset: "FaceDataset",
    n: int = 100,
    seed: int = 0,
    *,
    real: int | None = None,
    repeats: float = 0.0,
) -> Ballot:
    """Generate n faces with each model, choose real ones, shuffle them all, and repeat some.

    Args:
        models: by name. All must have the same resolution, which would otherwise reveal the source.
        dataset: the real faces are those of its val split.
        n: number of faces from each model, 1 to 10,000.
        seed: seed of each model's first face, of the choice of real faces and of the order.
        real: number of real faces, by default n; fewer if the split has fewer.
        repeats: share of the faces that is shown a second time, 0 to 0.5. Repeats come in the second half.

    Raises:
        UserError: there is no model, a model has two names, resolutions differ, there is no validation face, or a
            number is out of range.
    """
    check_request(n, seed, real, repeats)
    if not models:
        raise UserError("There is nothing to rate; name a model.")
    if REAL in models:
        raise UserError(f"A model cannot be called {REAL!r} in a rating; rename its folder or file.")
    models = {storable(name): generator for name, generator in models.items()}
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
    log.info("Generating %d faces with each of %d models.", n, len(models))
    generated = [generator.sample(n, seed=seed) for generator in models.values()]
    real_images, hashes = _choose_real(dataset, resolution, n if real is None else real, seed)
    faces = [generator.face(seed + i).to_json() for generator in models.values() for i in range(n)]
    sources = [name for name in models for _ in range(n)]

    order = _order(len(faces) + len(hashes), repeats, seed)
    return Ballot(
        images=np.concatenate([*generated, real_images])[order],
        faces=tuple(np.array([*faces, *hashes])[order].tolist()),
        sources=tuple(np.array([*sources, *[REAL] * len(hashes)])[order].tolist()),
        repeats=tuple((~np.isin(np.arange(len(order)), np.unique(order, return_index=True)[1])).tolist()),
    )


def _order(count: int, repeats: float, seed: int) -> npt.NDArray[np.int64]:
    """A permutation of `count` faces, after which a share of its first half follows again in another order.

    Only faces of the first half are repeated, mixed with those of the second half, so that a rater has seen many others
    in between and cannot tell a repeat by its place.
    """
    random = np.random.Generator(np.random.PCG64([seed, 1]))
    order = random.permutation(count)
    first, second = np.split(order, [count - count // 2])
    again = random.choice(first, min(round(repeats * count), len(first)), replace=False)
    return np.concatenate([first, random.permutation(np.concatenate([second, again]))]) if len(again) else order


def check_request(n: int, seed: int, real: int | None = None, repeats: float = 0.0) -> None:
    """Raise a `UserError` if `build_ballot` would refuse these numbers."""
    if not 1 <= n <= MAX_FACES:
        raise UserError(f"The number of faces from each model must be 1 to {MAX_FACES:,} (--n); it is {n}.")
    if real is not None and not 0 <= real <= MAX_FACES:
        raise UserError(f"The number of real faces must be 0 to {MAX_FACES:,} (--real); it is {real}.")
    if not 0 <= repeats <= 0.5:
        raise UserError(f"The share of repeated faces must be 0 to 0.5 (--repeats); it is {repeats}.")
    check_seed(seed)
    check_seed(seed + n - 1)


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
