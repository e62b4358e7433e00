"""The description of a generator: what synthesis needs, and how it was trained. It is JSON in the generator's file."""

import json
import logging
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from typing import Any, Self

import pydantic_core

from nijigan.errors import UserError, check
from nijigan.generator.attributes import Combination, check_attributes
from nijigan.jsonio import parse_json
from nijigan.recipe.parts import GeneratorConfig, LatentConfig
from nijigan.recipe.recipe import Recipe
from nijigan.resolutions import base_resolution

FORMAT = 1

PAIR_GENERATOR = "generator.safetensors"
"""The generator in the folder of a pair, beside its discriminator."""

FOLDER_GENERATORS = ("best.safetensors", "last.safetensors", PAIR_GENERATOR)
"""The generators in the folder of a run or of a pair, the preferred one first."""

_NEWEST_FORMAT = 1000  # a larger number is damage
log = logging.getLogger("nijigan")


@dataclass(frozen=True)
class TrainingSet:
    """The faces that a generator was trained on."""

    name: str
    """Name of the dataset."""
    fingerprint: str
    """Hash of the dataset's content."""
    count: int
    """Number of faces in the training split."""


@dataclass(frozen=True)
class GeneratorHeader:
    """The description of a generator in its file: first what synthesis needs, then how it was trained."""

    generator: GeneratorConfig
    """Architecture of the network."""
    latent: LatentConfig
    """Size and prior of the latents."""
    resolution: int
    """Height and width of the faces in pixels."""
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The vocabulary of every attribute: its values in the order of their codes."""
    priors: tuple[Combination, ...] = ()
    """How often each combination of codes occurred in training: see `nijigan.generator.attributes`."""
    kimg: float = 0.0
    """Thousands of real images shown to the discriminator."""
    recipe: Recipe | None = None
    """The resolved recipe: together with the dataset and the origin, enough to repeat the training."""
    origin: str = ""
    """`Generator.weights_hash` of the generator that the training started from; empty if it started from scratch."""
    dataset: TrainingSet | None = None
    """The dataset it was trained on."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Scores by name; the name includes the feature space and the split."""
    licence: str = ""
    """Licence of the weights: an SPDX identifier or a sentence."""
    description: str = ""
    """The model card: what it generates, what it was trained on, what it is not for."""
    format: int = FORMAT
    """Version of this layout; files with a newer one are refused."""

    def __post_init__(self) -> None:
        check(self.format == FORMAT, f"Its format is unknown; this version of nijigan reads format {FORMAT}.")
        if not (8 <= self.resolution <= 1024 and base_resolution(self.resolution)):
            raise UserError(f"A resolution of {self.resolution} is not 4, 5, 6 or 7 times a power of two, 8 to 1024.")
        check_attributes(self.attributes, self.priors)
        if not all(map(isfinite, (self.kimg, *self.metrics.values()))):
            raise UserError("kimg and metrics must be finite numbers.")
        check(self.kimg >= 0 and (self.dataset is None or self.dataset.count >= 0), "A count of images is negative.")

    @property
    def styled(self) -> bool:
        """Whether ψ applies to styles instead of latents."""
        return self.generator.kind == "style"

    @property
    def truncatable(self) -> bool:
        """Whether ψ may differ from 1: see `nijigan.generator.latents.check_psi`."""
        return self.styled or self.latent.prior in ("normal", "truncated-normal")

    def to_json(self) -> str:
        """Write the header as JSON, readable by `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, source: str = "The generator's header") -> Self:
        """Read what `to_json` wrote; refuse anything else with a `UserError` that names `source`."""
        try:
            raw = pydantic_core.from_json(text)
        except ValueError as error:
            raise UserError(f"{source} has a damaged header: {error}. Download or save it again.") from error
        version = raw.get("format") if isinstance(raw, dict) else None
        if isinstance(version, int) and FORMAT < version < _NEWEST_FORMAT:
            raise UserError(
                f"{source} was made by a newer nijigan: its format is {version}, and this one reads up to {FORMAT}. "
                "Upgrade nijigan."
            )
        try:
            recipe = _recipe(raw, source)
            return replace(parse_json(cls, json.dumps(raw), source), recipe=recipe)
        except UserError as error:
            raise UserError(f"{error} If a newer nijigan made it, upgrade; if not, download it again.") from error


def _recipe(raw: Any, source: str) -> Recipe | None:
    """Take the recipe out of a raw header; an invalid recipe is dropped, since synthesis does not need it."""
    recipe = raw.pop("recipe", None) if isinstance(raw, dict) else None
    if recipe is None:
        return None
    try:
        return parse_json(Recipe, json.dumps(recipe), f"The recipe in {source}")
    except UserError as error:
        log.warning("%s It is ignored; the generator itself can be used.", error)
        return None
