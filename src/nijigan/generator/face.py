"""A face, recorded: what generates it again on any machine."""

import base64
import binascii
import json
import re
from dataclasses import asdict, dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from nijigan.errors import UserError, check
from nijigan.generator.latents import Latents, check_psi, check_seed, latents
from nijigan.jsonio import parse_json
from nijigan.recipe.parts import Prior
from nijigan.safe_text import LONGEST_VALUE, is_safe

_LARGEST = 1e4
"""Latents of any prior are far below it; a network given more would draw noise."""
_LONGEST = 1 << 16  # characters of an encoded latent


@dataclass(frozen=True)
class Face:
    """Everything needed to generate one face again: the same values give the same picture on any machine."""

    weights: str
    """`Generator.weights_hash` of its generator."""
    seed: int
    """Determines the latent, and the attributes that are not requested: see `nijigan.generator.latents`."""
    psi: float = 1.0
    """Truncation: 1 samples as in training, less reduces variety."""
    attributes: dict[str, str] = field(default_factory=dict)
    """The requested values, such as {"hair": "blue"}."""
    latent: str = field(default="", repr=False)
    """The latent of a face that no seed gives, such as one between two faces: see `encode_latent`. Empty: that of the
    seed."""

    def __post_init__(self) -> None:
        check(re.fullmatch(r"[0-9a-f]{64}", self.weights) is not None, "It names no hash of weights.")
        check_seed(self.seed)
        check_psi(self.psi)
        for name, value in self.attributes.items():
            valid = name.isidentifier() and name.isascii() and max(len(name), len(value)) <= LONGEST_VALUE
            check(valid, f"An attribute has no valid name, or more than {LONGEST_VALUE} characters.")
            check(is_safe(value), f"The value of {name} has a control character.")
        if self.latent:
            decode_latent(self.latent)

    def latents(self, size: int, prior: Prior) -> Latents:
        """The latent, float32 1×size.

        Args:
            size: the length of the generator's latents.
            prior: their prior, which decides the latent of a seed.

        Raises:
            UserError: the recorded latent has another length.
        """
        if not self.latent:
            return latents([self.seed], size, prior)
        recorded = decode_latent(self.latent)
        check(len(recorded) == size, f"The face has a latent of {len(recorded)} numbers; this generator needs {size}.")
        return recorded[None]

    def to_json(self) -> str:
        """Write the face as one line of ASCII."""
        values = asdict(self)
        if not self.latent:
            del values["latent"]
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str, source: str = "The face") -> Self:
        """Read what `to_json` wrote; refuse anything else with a `UserError` that names `source`."""
        return parse_json(cls, text, source)


def encode_latent(latent: npt.ArrayLike) -> str:
    """A latent as text: the base64 of its numbers as little-endian float32."""
    return base64.b64encode(np.asarray(latent, "<f4").tobytes()).decode("ascii")


def decode_latent(text: str) -> npt.NDArray[np.float32]:
    """The numbers that `encode_latent` wrote.

    Raises:
        UserError: it is something else, or a number is far beyond those of any prior.
    """
    try:
        data = base64.b64decode(text, validate=True) if len(text) <= _LONGEST else b""
    except (binascii.Error, ValueError):
        data = b""
    if not data or len(data) % 4:
        raise UserError("The latent is not the base64 of float32 numbers.")
    numbers = np.frombuffer(data, "<f4").astype(np.float32)
    if not (np.abs(numbers) <= _LARGEST).all():  # nor NaN
        raise UserError(f"The latent has numbers that are not within ±{_LARGEST:,.0f}.")
    return numbers
