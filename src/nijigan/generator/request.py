"""A request for faces: which ones, of which generator, at what size. It checks itself, once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import get_args

import numpy as np

from nijigan.aliases import Codes
from nijigan.errors import UserError, check
from nijigan.generator.enlarging import Upscaler
from nijigan.generator.face import Face
from nijigan.generator.generator import Generator
from nijigan.generator.latents import Latents, check_seeds, latents
from nijigan.pictures import names_width
from nijigan.safe_text import ANY

LONGEST_SIDE = 16_383  # pixels: WebP's limit; a square of it takes 800 MB in any format
GAP = 2  # pixels between the faces of a grid

_MOST_IN_GRID = 4096


@dataclass(frozen=True)
class Request:
    """The faces of some seeds, once or once per value of an attribute.

    Raises:
        UserError: a number is out of range, a seed occurs twice, or the generator does not have such an attribute or
            value.
    """

    generator: Generator
    """The generator that synthesises them."""
    seeds: Sequence[int]
    """Different seeds, 1 or more; see `nijigan.generator.latents.consecutive_seeds`."""
    psi: float = 1.0
    """Truncation, 0 to 2: see `Generator.synthesise`."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """The requested values. `ANY`, or an attribute that is missing, is sampled: see `Generator.codes`."""
    each: str | None = None
    """An attribute to vary: every seed is synthesised once per value of it."""
    scale: int = 1
    """Factor by which every face is enlarged."""
    upscaler: Upscaler = "learnt"
    """How faces are enlarged: see `nijigan.generator.enlarging`."""
    columns: int | None = None
    """Faces per row of a grid. Default: the nearest to a square, or all faces of a value with `each`."""
    latent: str = ""
    """The latent of the only face, if no seed gives it: see `Face.latent`."""

    def __post_init__(self) -> None:
        check_seeds(self.seeds)
        self.generator.check_psi(self.psi)
        check_integers(scale=self.scale, columns=self.columns)
        largest = LONGEST_SIDE // self.generator.header.resolution
        if not 1 <= self.scale <= largest:
            raise UserError(f"A scale of {self.scale} is out of range; choose 1 to {largest}.")
        if self.upscaler not in get_args(Upscaler):
            raise UserError(f"There is no upscaler {self.upscaler!r}; choose one of {', '.join(get_args(Upscaler))}.")
        if self.columns is not None and self.columns < 1:
            raise UserError(f"The number of columns must be 1 or more, not {self.columns}.")
        self.generator.codes(self.seeds[:1], **self.attributes)
        if self.latent:
            check(len(self.seeds) == 1, "A recorded latent gives one face; name one seed.")
            self.latents(self.seeds)
        if self.each is not None:
            self._check_each(self.each)

    def _check_each(self, each: str) -> None:
        self.generator.codes(self.seeds[:1], **{each: ANY})
        if each in self.requested:
            raise UserError(f"{each} cannot be both varied and fixed to {self.requested[each]}; choose one of the two.")

    @property
    def requested(self) -> dict[str, str]:
        """The requested values, without those that are sampled."""
        return {name: value for name, value in self.attributes.items() if value != ANY}

    @property
    def rows(self) -> tuple[str, ...]:
        """The values of `each`, from top to bottom of a matrix; empty without `each`."""
        return self.generator.header.attributes[self.each] if self.each else ()

    @property
    def count(self) -> int:
        """Number of faces: one per seed, or one per seed and value of `each`."""
        return len(self.seeds) * max(1, len(self.rows))

    @property
    def side(self) -> int:
        """Height and width of every face in pixels, enlarged."""
        return self.generator.header.resolution * self.scale

    @property
    def per_row(self) -> int:
        """Faces per row of a grid."""
        return self.columns or (len(self.seeds) if self.each else ceil(sqrt(len(self.seeds))))

    @property
    def lines(self) -> int:
        """Rows of faces in a grid, or per value of `each`."""
        return ceil(len(self.seeds) / self.per_row)

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width in pixels of a grid of all faces, with the names of its rows."""
        lines = self.lines * max(1, len(self.rows))
        height, width = (n * (self.side + GAP) + GAP for n in (lines, self.per_row))
        return height, width + (names_width(height, self.rows) if self.rows else 0)

    @property
    def record(self) -> dict[str, object]:
        """The request as a grid stores it."""
        return {
            "n": len(self.seeds),
            "weights": self.generator.weights_hash,
            **seeds_record(self.seeds),
            "psi": self.psi,
            "attributes": self.requested,
            "each": self.each,
            "columns": self.columns,
            "scale": self.scale,
            "upscaler": self.upscaler,
            **({"latent": self.latent} if self.latent else {}),
        }

    def check_canvas(self, advice: str) -> None:
        """Refuse, with a `UserError` that ends in `advice`, faces that are too many or too large for one grid."""
        if self.count > _MOST_IN_GRID or max(self.canvas) > LONGEST_SIDE:
            raise UserError(
                f"A grid of {self.count:,} faces of {self.side} pixels is too large for one image (limits: "
                f"{_MOST_IN_GRID:,} faces, {LONGEST_SIDE:,} pixels a side); {advice}"
            )

    def latents(self, seeds: Sequence[int]) -> Latents:
        """The latents, N×size, of the faces of N seeds."""
        latent = self.generator.header.latent
        if self.latent:
            return self.face(seeds[0], self.codes(seeds)[0]).latents(latent.size, latent.prior)
        return latents(seeds, latent.size, latent.prior)

    def codes(self, seeds: Sequence[int], row: int = 0) -> Codes:
        """Find the attribute codes, N×A, of the faces of N seeds in one row of a matrix."""
        codes = self.generator.codes(seeds, **self.attributes)
        if self.each:
            codes[:, list(self.generator.header.attributes).index(self.each)] = row
        return codes

    def face(self, seed: int, codes: Codes) -> Face:
        """Record one face by its seed and its A codes.

        Without `each`, the face records the requested values. In a matrix it records the values of all attributes,
        because sampling again, given the row's value, would choose others.
        """
        attributes = self.generator.values(codes) if self.each else self.requested
        return Face(self.generator.weights_hash, int(seed), self.psi, attributes, self.latent)


def check_integers(**numbers: int | None) -> None:
    """Refuse, with a `UserError`, numbers that are not integers."""
    for name, number in numbers.items():
        if number is not None and not isinstance(number, int | np.integer):
            raise UserError(f"{name} must be an integer, not {str(number)[:40]!r}.")


def seeds_record(seeds: Sequence[int]) -> dict[str, object]:
    """Seeds as a record stores them: the first of consecutive ones, or all."""
    if all(seed == seeds[0] + index for index, seed in enumerate(seeds)):
        return {"seed": int(seeds[0])}
    return {"seeds": [int(seed) for seed in seeds]}


def attributes_like(face: Face, generator: Generator, changes: Mapping[str, str], each: str | None) -> dict[str, str]:
    """The attributes to request for a recorded face: as it has them, with `changes`, and without `each`, which varies.

    Raises:
        UserError: another generator made the face, or there is no such attribute or value.
    """
    varied = {each: ANY} if each and each not in changes else {}
    return generator.attributes_of(face, **changes, **varied)
