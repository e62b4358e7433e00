"""The generator's file: a `.safetensors` with the weights and, as JSON in its metadata, a `GeneratorHeader`.

Opening a file from a stranger is safe: nothing in it is executed, and its sizes are checked before memory is taken for
them.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any, Self

import pydantic_core
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from nijigan.errors import UserError
from nijigan.files import replacing
from nijigan.generator.attributes import Combination, check_attributes
from nijigan.jsonio import parse_json
from nijigan.networks import build_generator
from nijigan.recipe.parts import GeneratorConfig, LatentConfig
from nijigan.recipe.recipe import Recipe
from nijigan.resolutions import base_resolution

FORMAT = 1

log = logging.getLogger("nijigan")

_METADATA_KEY = "nijigan"
_MOST_HEADER_BYTES = 4 << 20
_MOST_PARAMETERS = 1 << 28  # 1 GiB in fp32; the published 64 px DCGAN has 3.6 million


@dataclass(frozen=True)
class TrainingSet:
    """The faces a generator has learnt from."""

    name: str
    """What people call the dataset."""
    fingerprint: str
    """The dataset's hash: the same faces, the same fingerprint."""
    count: int
    """Faces in the training split."""


@dataclass(frozen=True)
class GeneratorHeader:
    """What a generator's file says of its weights: first what it takes to draw, then how they came to be."""

    generator: GeneratorConfig
    """The network."""
    latent: LatentConfig
    """Its input."""
    resolution: int
    """Height and width of the faces in pixels."""
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What can be asked for: every attribute's values, in the order of their codes."""
    priors: tuple[Combination, ...] = ()
    """Which values the training faces had together, and how often: see `nijigan.generator.attributes`."""
    kimg: float = 0.0
    """Thousands of real images that were shown to the discriminator."""
    recipe: Recipe | None = None
    """How it was trained, resolved: with the dataset and the origin, enough to train it again."""
    origin: str = ""
    """The hash of the generator whose networks its training started from, see `Generator.weights_hash`; empty where it
    started from nothing."""
    dataset: TrainingSet | None = None
    """What it was trained on."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Scores by name; the name says on which features and split."""
    licence: str = ""
    """What others may do with the weights: an SPDX name or a sentence."""
    description: str = ""
    """The model card: what it draws, what it learnt from, what it is not for."""
    format: int = FORMAT
    """Version of this layout; a file with a newer one is refused."""

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise UserError(f"A format of {self.format} is not known; this nijigan reads {FORMAT}.")
        if not (8 <= self.resolution <= 1024 and base_resolution(self.resolution)):
            raise UserError(f"A resolution of {self.resolution} is not 4, 5, 6 or 7 times a power of two, 8 to 1024.")
        check_attributes(self.attributes, self.priors)
        if not all(map(isfinite, (self.kimg, *self.metrics.values()))):
            raise UserError("kimg and metrics must be finite numbers.")

    def to_json(self) -> str:
        """Write the header as JSON, readable by `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, source: str = "The generator's header") -> Self:
        """Read what `to_json` wrote; anything else is a `UserError` that names `source`."""
        try:
            raw = pydantic_core.from_json(text)
        except ValueError as error:
            raise UserError(f"{source} has a damaged header: {error}. Fetch or save it again.") from error
        version = raw.get("format") if isinstance(raw, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise UserError(
                f"{source} was made by a newer nijigan: its format is {version}, this one reads up to {FORMAT}. "
                "Upgrade nijigan."
            )
        try:
            recipe = _recipe(raw, source)
            return replace(parse_json(cls, json.dumps(raw), source), recipe=recipe)
        except UserError as error:
            raise UserError(f"{error} If it was made by a newer nijigan, upgrade; if not, fetch it again.") from error


def _recipe(raw: Any, source: str) -> Recipe | None:
    """Take the recipe out of a raw header: one that today's rules refuse is no reason not to draw."""
    recipe = raw.pop("recipe", None) if isinstance(raw, dict) else None
    if recipe is None:
        return None
    try:
        return parse_json(Recipe, json.dumps(recipe), f"The recipe in {source}")
    except UserError as error:
        log.warning("%s It is left out; the generator draws all the same.", error)
        return None


def write(path: Path, module: nn.Module, header: GeneratorHeader, half: bool) -> None:
    """Write a generator's file, whole or not at all; with `half`, kernels in fp16 and vectors still in fp32.

    Raises:
        UserError: a weight is not finite (or, with `half`, beyond fp16), or `path` cannot be written to.
    """
    tensors = {
        name: (tensor.half() if half and tensor.ndim > 1 else tensor).contiguous()
        for name, tensor in weights(module).items()
    }
    _refuse_non_finite(tensors, f"The generator for {path}")
    text = header.to_json()
    if len(text) > _MOST_HEADER_BYTES // 4:  # which escapes and the table of contents may multiply
        raise UserError(f"The header for {path} is too long to be read again; shorten its texts or its attributes.")
    data = safetensors.torch.save(tensors, {_METADATA_KEY: text})
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def read(path: Path) -> tuple[nn.Module, GeneratorHeader]:
    """Open a generator's file: the network, on the CPU and in fp32, and its header.

    Raises:
        UserError: the file is no generator, is damaged, or asks for more than `nijigan` will give.
    """
    try:
        _check_start(path)
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_METADATA_KEY)
            if text is None:
                raise UserError(f"{path} holds tensors but no nijigan generator; name a file that nijigan has saved.")
            header = GeneratorHeader.from_json(text, str(path))
            module = _build_on_meta(header, path)
            tensors = _read_tensors(file, module, path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"Could not read the generator {path}: {error}. Fetch or save it again.") from error
    _refuse_non_finite(tensors, str(path))
    module.load_state_dict(tensors, assign=True)  # batch norm starts its step counters, which are not stored, anew
    return module, header


def weights(module: nn.Module) -> dict[str, Tensor]:
    """Collect what decides the pictures, in fp32 on the CPU: parameters and running statistics, no step counters."""
    state: Mapping[str, Tensor] = module.state_dict()
    return {name: tensor.detach().float().cpu() for name, tensor in state.items() if tensor.is_floating_point()}


def hash_weights(module: nn.Module) -> str:
    """Hash a network's weights with SHA-256, in lower-case hex: the same numbers, the same hash, however stored.

    Hashed, tensor by tensor in the order of their names: the name in UTF-8, a zero byte, the shape as decimal numbers
    with commas between, a zero byte, and the values in row-major order as little-endian fp32.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(weights(module).items()):
        digest.update(f"{name}\0{','.join(map(str, tensor.shape))}\0".encode())
        digest.update(tensor.contiguous().numpy().astype("<f4", copy=False).data)
    return digest.hexdigest()


def _check_start(path: Path) -> None:
    """Refuse, by its first 8 bytes, what is no safetensors file or has an absurdly long table of contents."""
    with path.open("rb") as file:
        start = file.read(8)
    if len(start) == 8 and int.from_bytes(start, "little") <= _MOST_HEADER_BYTES:
        return
    if start.startswith((b"PK\3\4", b"\x80")):
        raise UserError(
            f"{path} is a zip or a pickle, as PyTorch saves them, and opening one can run a stranger's code; "
            "name a .safetensors file that nijigan has saved."
        )
    raise UserError(f"{path} is not a .safetensors file, or is damaged; fetch or save it again.")


def _build_on_meta(header: GeneratorHeader, path: Path) -> nn.Module:
    """Build the network that the header describes, without memory for its weights."""
    with torch.device("meta"):
        module = build_generator(header.generator, header.latent, header.resolution, header.attributes)
    parameters = sum(tensor.numel() for tensor in module.state_dict().values())
    if parameters > _MOST_PARAMETERS:
        raise UserError(
            f"{path} describes a network of {parameters:,} parameters; nijigan opens at most {_MOST_PARAMETERS:,}."
        )
    return module


def _read_tensors(file: Any, module: nn.Module, path: Path) -> dict[str, Tensor]:
    """Read exactly the tensors that `module` needs, as fp32 copies: the file may change or go afterwards."""
    expected = {name: list(tensor.shape) for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
    found = set(file.keys())
    problem = ""
    if missing := sorted(expected.keys() - found):
        problem = f"it lacks {missing[0]}"
    elif extra := found - expected.keys():
        problem = f"{len(extra)} of its tensors have no place there"
    for name in () if problem else expected:
        piece = file.get_slice(name)
        if piece.get_shape() != expected[name] or piece.get_dtype() not in ("F32", "F16", "BF16"):
            problem = f"{name} is {piece.get_dtype()} {piece.get_shape()} instead of floats {expected[name]}"
    if problem:
        raise UserError(
            f"{path} does not hold the network that its header describes: {problem}. Fetch or save it again."
        )
    return {name: file.get_tensor(name).to(torch.float32, copy=True) for name in expected}


def _refuse_non_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(f"{source} has weights in {name} that are not finite numbers; take an earlier generator.")
