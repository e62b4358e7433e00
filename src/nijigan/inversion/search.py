"""Find the face of a generator that is nearest to a picture.

    upload = prepare(data, generator.header.resolution)
    (found,) = invert(generator, upload.pixels[None])
    generator.draw(found.face), found.nearness.sentence

The best of some hundred random faces are improved by gradient descent on their latents. The attributes are chosen from
all their values, by looking; they cannot be descended on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import cos, pi

import numpy as np
import torch
from torch import Tensor

from nijigan.aliases import Codes, Images, Progress
from nijigan.errors import UserError
from nijigan.generator.face import Face, encode_latent
from nijigan.generator.generator import Generator
from nijigan.generator.latents import Latents, latents
from nijigan.inversion import STEPS
from nijigan.inversion.likeness import as_pixels, describe, loss
from nijigan.inversion.nearness import Nearness, distances, yardsticks
from nijigan.inversion.priors import projected, unlikeliness
from nijigan.tensors.numerics import full_precision

MOST_STEPS = 10_000

_RANDOM = 256  # random faces from which the search starts
_SEED = 2**42  # of the first of them
_STARTS = 2  # of them, for each picture, are improved at first
_FIRST = 1 / 3  # of the steps; then the better one goes on alone
_RATE, _LAST_RATE = 0.4, 0.04  # of Adam: large, because latents have a length of about √size
_PRIOR_WEIGHT = 1.0
_CHUNK = 8  # pictures at once, at 64 px
_MOST_VALUES = 24  # of an attribute are tried, the most frequent ones


@dataclass(frozen=True)
class Inversion:
    """The face that was found for a picture."""

    face: Face
    """The face, with its latent and the values of all attributes: `Generator.draw` generates it again."""
    picture: Images
    """What it looks like: uint8, H×W×3."""
    nearness: Nearness
    """How near it is to the picture."""

    @property
    def distance(self) -> float:
        """The distance of the face from the picture: see `nijigan.inversion.nearness.distances`."""
        return self.nearness.distance


def invert(
    generator: Generator, pictures: Images, *, steps: int = STEPS, progress: Progress | None = None
) -> list[Inversion]:
    """Find the face nearest to each picture. The same pictures give the same faces; no random state changes.

    Args:
        generator: the generator; an exported file is not enough, because gradients are needed.
        pictures: uint8, N×H×W×3, as high and wide as the generator's faces; see `nijigan.inversion.uploads.prepare`.
        steps: steps of gradient descent, 1 to `MOST_STEPS`. More find nearer faces.
        progress: called with (done, total), first for the random faces, then for the steps.

    Raises:
        UserError: the pictures have another size, `steps` is out of range, or the generator is an exported file.
    """
    return list(inversions(generator, pictures, steps=steps, progress=progress))


def inversions(
    generator: Generator, pictures: Images, *, steps: int = STEPS, progress: Progress | None = None
) -> Iterator[Inversion]:
    """Find the same faces as `invert`, whose arguments it takes, each when its group of pictures is done."""
    side = generator.header.resolution
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1:] != (side, side, 3):
        shape = "×".join(map(str, pictures.shape))
        raise UserError(f"The pictures are {pictures.dtype} {shape}; this generator needs uint8 N×{side}×{side}×3.")
    if not 1 <= steps <= MOST_STEPS:
        raise UserError(f"{steps} steps are out of range; choose 1 to {MOST_STEPS:,}.")
    device = next(generator.module.parameters()).device
    chunk = max(1, _CHUNK * 64**2 // side**2)
    parts = [pictures[start : start + chunk] for start in range(0, len(pictures), chunk)]
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, steps * len(parts))

    for part in parts:
        with torch.inference_mode(False), torch.enable_grad(), full_precision(device.type):
            z, codes = _search(generator, _atlas(generator, progress), part, steps, advance)
        yield from _recorded(generator, part, z.numpy(), codes.numpy())


def _recorded(generator: Generator, pictures: Images, z: Latents, codes: Codes) -> list[Inversion]:
    """Record what was found; z is float32 N×size, codes are int64 N×A."""
    faces = [
        Face(generator.weights_hash, 0, 1.0, generator.values(row), encode_latent(latent))
        for latent, row in zip(z, codes, strict=True)
    ]
    drawn = np.stack([generator.draw(face) for face in faces])
    apart = distances(drawn, pictures).tolist()
    near = yardsticks(generator)
    return [
        Inversion(face, picture, Nearness(distance, *near))
        for face, picture, distance in zip(faces, drawn, apart, strict=True)
    ]


@dataclass(frozen=True)
class _Atlas:
    """Random faces of a generator: where the search starts."""

    z: Tensor
    codes: Tensor
    described: Tensor
    """In fp16: half the memory, and exact enough to choose from."""


_kept: dict[Generator, _Atlas] = {}


def _atlas(generator: Generator, progress: Progress | None) -> _Atlas:
    """The random faces of a generator, computed once; those of another generator are forgotten."""
    known = _kept.get(generator)
    if known is not None:
        return known
    latent, seeds = generator.header.latent, range(_SEED, _SEED + _RANDOM)
    z = torch.from_numpy(latents(seeds, latent.size, latent.prior))
    codes = torch.from_numpy(generator.codes(seeds))
    described, done = [], 0
    with torch.no_grad():
        for part in _parts(generator, len(z)):
            described.append(describe(_images(generator, z[part], codes[part])).half())
            done += len(described[-1])
            if progress:
                progress(done, len(z))
    atlas = _Atlas(z, codes, torch.cat(described))
    _kept.clear()
    _kept[generator] = atlas
    return atlas


def _search(
    generator: Generator, atlas: _Atlas, pictures: Images, steps: int, advance: Callable[[], None]
) -> tuple[Tensor, Tensor]:
    """Find the latents and codes of some pictures in `steps` steps, after each of which `advance` is called."""
    with torch.no_grad():
        goals = describe(as_pixels(pictures))
        starts = torch.cdist(goals, atlas.described.float()).topk(_STARTS, largest=False).indices.flatten()
    repeated = goals.repeat_interleave(_STARTS, 0)
    codes = _best_codes(generator, atlas.z[starts], atlas.codes[starts], repeated)
    first = int(steps * _FIRST)
    z, losses = _descend(generator, atlas.z[starts], codes, repeated, range(first), steps, advance)
    ahead = losses.view(-1, _STARTS).argmin(1) + torch.arange(len(goals)) * _STARTS
    z, codes = z[ahead], _best_codes(generator, z[ahead], codes[ahead], goals)
    rest = steps - first
    return _descend(generator, z, codes, goals, range(rest), rest, advance)[0], codes


def _descend(
    generator: Generator,
    start: Tensor,
    codes: Tensor,
    goals: Tensor,
    steps: range,
    horizon: int,
    advance: Callable[[], None],
) -> tuple[Tensor, Tensor]:
    """Improve latents with Adam; their codes stay.

    Args:
        generator: the generator.
        start: latents, N×size.
        codes: N×A.
        goals: the descriptions of the pictures, N×D.
        steps: the steps to take.
        horizon: the step at which the learning rate is at its lowest, after half a cosine.
        advance: called after each step.

    Returns:
        The best latents on the way, and their losses.
    """
    config = generator.header.latent
    z = start.clone().requires_grad_()
    adam = torch.optim.Adam([z], betas=(0.9, 0.99))
    best, lowest = start.clone(), torch.full((len(start),), float("inf"))

    def look() -> Tensor:
        losses = loss(describe(_images(generator, z, codes)), goals) + _PRIOR_WEIGHT * unlikeliness(z, config)
        with torch.no_grad():
            better = losses < lowest
            best[better], lowest[better] = z[better], losses[better]
        return losses.sum()

    for step in steps:
        adam.param_groups[0]["lr"] = _LAST_RATE + (_RATE - _LAST_RATE) * (1 + cos(pi * step / horizon)) / 2
        adam.zero_grad()
        look().backward()  # type: ignore[no-untyped-call]
        adam.step()
        with torch.no_grad():
            z.copy_(projected(z, config))
        advance()
    with torch.no_grad():
        look()
    return best, lowest


@torch.no_grad()
def _best_codes(generator: Generator, z: Tensor, codes: Tensor, goals: Tensor) -> Tensor:
    """Improve the codes, N×A, of N latents, one attribute after the other."""
    codes = codes.clone()
    for column, values in enumerate(_frequent_values(generator)):
        tried = codes.repeat(len(values), 1)
        tried[:, column] = torch.tensor(values).repeat_interleave(len(z))
        wanted = goals.repeat(len(values), 1)
        losses = _losses(generator, z.repeat(len(values), 1), tried, wanted).view(len(values), -1)
        codes[:, column] = torch.tensor(values)[losses.argmin(0)]
    return codes


def _losses(generator: Generator, z: Tensor, codes: Tensor, goals: Tensor) -> Tensor:
    """The losses of N latents, computed in parts."""
    return torch.cat([loss(describe(_images(generator, z[p], codes[p])), goals[p]) for p in _parts(generator, len(z))])


def _frequent_values(generator: Generator) -> list[list[int]]:
    """By attribute, the codes that occurred in training, the most frequent first; -1 is unknown."""
    found = []
    for column in range(len(generator.header.attributes)):
        counts: dict[int, int] = {}
        for *row, count in generator.header.priors:
            counts[row[column]] = counts.get(row[column], 0) + count
        found.append(sorted(counts, key=lambda code: -counts[code])[:_MOST_VALUES])
    return found


def _images(generator: Generator, z: Tensor, codes: Tensor) -> Tensor:
    """The faces of latents on the CPU, N×3×H×W in [0, 1], with gradients."""
    device = next(generator.module.parameters()).device
    inputs = [z.to(device), codes.to(device)] if generator.header.attributes else [z.to(device)]
    images: Tensor = generator.module(*inputs).cpu()
    return images / 2 + 0.5 if generator.header.generator.output == "tanh" else images


def _parts(generator: Generator, count: int) -> Iterator[slice]:
    """Divide faces into passes through the networks that need little memory."""
    size = max(1, 2 * _CHUNK * 64**2 // generator.header.resolution**2)
    yield from (slice(start, start + size) for start in range(0, count, size))
