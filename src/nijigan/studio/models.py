"""The models that the server draws with: opened, exported for onnxruntime, and described."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from nijigan.errors import UserError
from nijigan.export.description import describe_model
from nijigan.files import check_path
from nijigan.generator.generator import HUB, Generator
from nijigan.generator.header import FOLDER_GENERATORS
from nijigan.generator.onnx_network import is_available
from nijigan.safe_text import composed

DEFAULT_NAME = "default"
"""The name of the packaged generator."""

_LONGEST_NAME = 60

log = logging.getLogger("nijigan")


@dataclass(frozen=True, eq=False)
class Model:
    """A generator under the name that requests use."""

    name: str
    """Letters of any language, digits, dots, dashes and underscores."""
    generator: Generator
    """Draws its faces."""
    file: bytes | None
    """The generator as an ONNX file, which pages draw with; None without onnxruntime."""
    description: dict[str, Any]
    """What `models.json` says of it."""
    source: Generator | None = None
    """The generator with its weights, for inversion; None for an exported file, which only draws."""

    @property
    def weights(self) -> str:
        """The hash of its weights."""
        return self.generator.weights_hash


def open_models(models: Sequence[str] | Mapping[str, str] = (), *, onnx: bool = True) -> tuple[Model, ...]:
    """Open generators, each under the name of its run folder or file.

    Where onnxruntime is installed, models that are no ONNX files are exported, and drawn from the exported file: it
    draws faster, and it is the file that pages get. Its kernels are stored in fp16 if that changes no weight, so that
    every face keeps its record.

    Args:
        models: run folders, .safetensors or .onnx files or hf:user/model; or these by their names, as `split_runs`
            returns them. Default: the packaged generator.
        onnx: draw with onnxruntime where it is installed. Otherwise torch draws, and ONNX files cannot be opened.

    Raises:
        UserError: there is no generator, or one is named twice.
    """
    named: Mapping[str, str | None] = (
        models if isinstance(models, Mapping) else dict(zip(_names(models), models, strict=True))
    )
    opened: list[Model] = []
    hashes: dict[str, str | None] = {}
    for name, place in (named or {DEFAULT_NAME: None}).items():
        model = _open(name, place, onnx)
        if model.weights in hashes:
            raise UserError(f"{hashes[model.weights]} and {place} have the same weights; name one of them.")
        hashes[model.weights] = place
        opened.append(model)
    return tuple(opened)


def split_runs(models: Sequence[str]) -> tuple[dict[str, str], dict[str, Path]]:
    """Separate what can draw from what can be watched: run folders are both, but for those without a generator yet.

    Returns:
        The models, and the run folders. A run has one name as a model and for its live page.

    Raises:
        UserError: a path is too long or not permitted.
    """
    drawing, runs = {}, {}
    for name, place in zip(_names(models), models, strict=True):
        folder = Path(place)
        check_path(folder)
        if (folder / "recipe.json").is_file():
            runs[name] = folder
        if name not in runs or any((folder / file).is_file() for file in FOLDER_GENERATORS):
            drawing[name] = place
    return drawing, runs


def _open(name: str, place: str | None, onnx: bool) -> Model:
    """A generator, and the ONNX file that draws the same faces."""
    generator = Generator.load(place)
    if not onnx:
        plain = Generator(generator.module, generator.header)
        return Model(name, plain, None, describe_model(plain, name, directions=()), plain)
    if not is_available():
        return Model(name, generator, None, describe_model(generator, name, directions=()), generator)
    if generator.exported:
        return _described(name, generator, generator if place is None else None)
    log.info("Exporting %s to ONNX ...", place)
    from nijigan.export.onnx import write_onnx  # loads torch

    with TemporaryDirectory(prefix="nijigan-") as folder:
        path = Path(folder) / "model.onnx"
        for half in (True, False):
            write_onnx(generator, path, half, directions=True)
            exported = Generator.load(path)
            if exported.weights_hash == generator.weights_hash:
                break
        return _described(name, exported, generator)


def _described(name: str, generator: Generator, source: Generator | None) -> Model:
    """A model that an exported file draws."""
    assert generator.exported is not None
    description = describe_model(generator, name, url=f"models/{quote(name)}.onnx") | {"certificate": []}
    return Model(name, generator, generator.exported.path.read_bytes(), description, source)


def _names(places: Sequence[str]) -> Iterator[str]:
    """A different name for each model, from the name of its file or folder."""
    taken: set[str] = set()
    for place in places:
        plain = _plain(place)
        name, count = plain, 1
        while name in taken:
            count += 1
            name = f"{plain}-{count}"
        taken.add(name)
        yield name


def _plain(place: str) -> str:
    path = Path(place.removeprefix(HUB)).absolute()
    path = path.resolve() if path.name == ".." else path
    if path.stem in ("best", "last") and path.is_file():  # of a run, whose folder has the name
        path = path.parent
    stem = path.stem if path.suffix.lower() in (".safetensors", ".onnx") else path.name
    return re.sub(r"[^\w.-]", "_", composed(stem)).strip(".")[:_LONGEST_NAME] or "model"
