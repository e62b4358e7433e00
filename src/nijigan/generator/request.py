"""A request for faces: which ones, of which generator, at what size. It checks itself, once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, sqrt

from nijigan.aliases import Codes
from nijigan.errors import UserError
from nijigan.generator.generator import Face, Generator
from nijigan.generator.latents import check_seed
from nijigan.pictures import names_width
from nijigan.safe_text import ANY

LONGEST_SIDE = 16_383  # pixels: WebP's limit; a square of it takes 800 MB in any format
GAP = 2  # pixels between the faces of a grid

_MOST_IN_GRID = 4096


@dataclass(frozen=True)
class Request:
    """The faces of seeds `seed` to `seed + n - 1`, once or once per value of an attribute.

    Raises:
        UserError: a number is out of range, or the generator does not have such an attribute or value.
    """

    generator: Generator
    """The generator that synthesises them."""
    n: int
    """Number of seeds, 1 or more."""
    seed: int = 0
    """The first seed."""
    psi: float = 1.0
    """Truncation, 0 to 2: see `Generator.synthesise`."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """The requested values. `ANY`, or an attribute that is missing, is sampled: see `Generator.codes`."""
    each: str | None = None
    """An attribute to vary: every seed is synthesised once per value of it."""
    scale: int = 1
    """Factor by which every face is enlarged."""
    columns: int | None = None
    """Faces per row of a grid. Default: the nearest to a square, or `n` with `each`."""

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UserError(f"The number of faces must be 1 or more, not {self.n}.")
        check_seed(self.seed)
        check_seed(self.seed + self.n - 1)
        self.generator.check_psi(self.psi)
        largest = LONGEST_SIDE // self.generator.header.resolution
        if not 1 <= self.scale <= largest:
            raise UserError(f"A scale of {self.scale} is out of range; choose 1 to {largest}.")
        if self.columns is not None and self.columns < 1:
            raise UserError(f"The number of columns must be 1 or more, not {self.columns}.")
        self.generator.codes([self.seed], **self.attributes)
        if self.each is not None:
            self._check_each(self.each)

    def _check_each(self, each: str) -> None:
        self.generator.codes([self.seed], **{each: ANY})
        if each in self.requested:
            raise UserError(f"{each} cannot be both varied and fixed to {self.requested[each]}; choose one of the two.")
        if self.columns is not None:
            raise UserError(f"A matrix of {each} has a column for each seed; set n instead of columns.")

    @property
    def seeds(self) -> range:
        """The seeds, n of them."""
        return range(self.seed, self.seed + self.n)

    @property
    def requested(self) -> dict[str, str]:
        """The requested values, without those that are sampled."""
        return {name: value for name, value in self.attributes.items() if value != ANY}

    @property
    def rows(self) -> tuple[str, ...]:
        """The values of `each`, one per row of a matrix; empty without `each`."""
        return self.generator.header.attributes[self.each] if self.each else ()

    @property
    def count(self) -> int:
        """Number of faces: n, or n per value of `each`."""
        return self.n * max(1, len(self.rows))

    @property
    def side(self) -> int:
        """Height and width of every face in pixels, enlarged."""
        return self.generator.header.resolution * self.scale

    @property
    def per_row(self) -> int:
        """Faces per row of a grid."""
        return self.n if self.each else self.columns or ceil(sqrt(self.n))

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width in pixels of a grid of all faces, with the names of its rows."""
        height, width = (n * (self.side + GAP) + GAP for n in (ceil(self.count / self.per_row), self.per_row))
        return height, width + (names_width(height, self.rows) if self.rows else 0)

    @property
    def record(self) -> dict[str, object]:
        """The request as the PNG of a grid stores it."""
        return {
            "n": self.n,
            "weights": self.generator.weights_hash,
            "seed": self.seed,
            "psi": self.psi,
            "attributes": self.requested,
            "each": self.each,
            "columns": self.columns,
            "scale": self.scale,
        }

    def check_canvas(self, advice: str) -> None:
        """Refuse, with a `UserError` that ends in `advice`, faces that are too many or too large for one grid."""
        if self.count > _MOST_IN_GRID or max(self.canvas) > LONGEST_SIDE:
            raise UserError(
                f"A grid of {self.count:,} faces of {self.side} pixels is too large for one image (limits: "
                f"{_MOST_IN_GRID:,} faces, {LONGEST_SIDE:,} pixels a side); {advice}"
            )

    def codes(self, seeds: range, row: int = 0) -> Codes:
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
        return Face(self.generator.weights_hash, seed, self.psi, attributes)
