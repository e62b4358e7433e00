"""The models that the server draws with: opened, exported for onnxruntime, and described."""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nijigan.assets import PACKAGED
from nijigan.errors import UserError
from nijigan.generator.generator import HUB, Generator
from nijigan.generator.onnx_network import is_available

DEFAULT_NAME = "default"
"""The name of the packaged generator."""

_LONGEST_NAME = 60

log = logging.getLogger("nijigan")


@dataclass(frozen=True, eq=False)
class Model:
    """A generator under the name that requests use."""

    name: str
    """Letters, digits, dots, dashes and underscores."""
    generator: Generator
    """Draws its faces."""
    file: bytes | None
    """The generator as an ONNX file, which pages draw with; None without onnxruntime."""
    description: dict[str, Any]
    """What `models.json` says of it."""

    @property
    def weights(self) -> str:
        """The hash of its weights."""
        return self.generator.weights_hash


def open_models(models: Sequence[str] = (), *, onnx: bool = True) -> tuple[Model, ...]:
    """Open generators, each under the name of its run folder or file.

    Where onnxruntime is installed, models that are no ONNX files are exported, and drawn from the exported file: it
    draws faster, and it is the file that pages get. Its kernels are stored in fp16 if that changes no weight, so that
    every face keeps its record.

    Args:
        models: run folders, .safetensors or .onnx files or hf:user/model. Default: the packaged generator.
        onnx: draw with onnxruntime where it is installed. Otherwise torch draws, and ONNX files cannot be opened.

    Raises:
        UserError: there is no generator, or one is named twice.
    """
    opened = [(place, _open(place, onnx)) for place in (models or (None,))]
    hashes: dict[str, str | None] = {}
    for place, (generator, _) in opened:
        if generator.weights_hash in hashes:
            first = hashes[generator.weights_hash]
            raise UserError(f"{first} and {place} have the same weights; name one of them.")
        hashes[generator.weights_hash] = place
    names = _names([place for place, _ in opened])
    return tuple(
        Model(name, generator, file, _describe(name, generator, file))
        for name, (_, (generator, file)) in zip(names, opened, strict=True)
    )


def _open(place: str | None, onnx: bool) -> tuple[Generator, bytes | None]:
    """A generator, and the ONNX file that draws the same faces."""
    generator = Generator.load(place)
    if not onnx:
        return Generator(generator.module, generator.header), None
    if not is_available():
        return generator, None
    path = PACKAGED.with_suffix(".onnx") if place is None else Path(place)
    if path.suffix.lower() == ".onnx" and path.is_file():
        return generator, path.read_bytes()
    log.info("Exporting %s to ONNX.", place or "the packaged generator")
    return _exported(generator)


def _exported(generator: Generator) -> tuple[Generator, bytes]:
    from nijigan.export.onnx import write_onnx  # loads torch

    with TemporaryDirectory(prefix="nijigan-") as folder:
        path = Path(folder) / "model.onnx"
        for half in (True, False):
            write_onnx(generator, path, half)
            exported = Generator.load(path)
            if exported.weights_hash == generator.weights_hash:
                break
        return exported, path.read_bytes()


def _names(places: Sequence[str | None]) -> Iterator[str]:
    """A different name for each model, from the name of its file or folder."""
    taken: set[str] = set()
    for place in places:
        plain = DEFAULT_NAME if place is None else _plain(place)
        name, count = plain, 1
        while name in taken:
            count += 1
            name = f"{plain}-{count}"
        taken.add(name)
        yield name


def _plain(place: str) -> str:
    path = Path(place.removeprefix(HUB)).absolute()
    if path.stem in ("best", "last") and path.is_file():  # of a run, whose folder has the name
        path = path.parent
    stem = path.stem if path.suffix.lower() in (".safetensors", ".onnx") else path.name
    return re.sub(r"[^A-Za-z0-9_.-]", "_", stem).strip(".")[:_LONGEST_NAME] or "model"


def _describe(name: str, generator: Generator, file: bytes | None) -> dict[str, Any]:
    """What a page or a program needs to know of a model to request faces of it, or to draw them itself."""
    header = generator.header
    return {
        "name": name,
        "weights": generator.weights_hash,
        "resolution": header.resolution,
        "latent": {"size": header.latent.size, "prior": header.latent.prior},
        "styled": header.styled,
        "output": header.generator.output,
        "truncatable": header.styled or header.latent.prior not in ("uniform", "sphere"),
        "attributes": [
            {
                "name": attribute,
                "values": list(values),
                "accuracy": [None] * len(values),
                "unknown": any(row[column] < 0 for row in header.priors),
            }
            for column, (attribute, values) in enumerate(header.attributes.items())
        ],
        "priors": [list(row) for row in header.priors],
        "directions": [],
        "kimg": header.kimg,
        "licence": header.licence,
        "description": header.description,
        "file": None if file is None else f"models/{name}.onnx",
        "bytes": None if file is None else len(file),
        "sha256": None if file is None else hashlib.sha256(file).hexdigest(),
        "operations": None,
        "certificate": [],
    }
