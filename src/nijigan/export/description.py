"""What a page needs to know of a generator, as JSON. Nothing here imports torch if an exported file draws."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nijigan.export.certificate import read_certificate
from nijigan.export.directions import Direction, find_directions, read_directions
from nijigan.generator.attributes import has_unlabelled
from nijigan.generator.generator import HUB, Generator
from nijigan.generator.header import FOLDER_GENERATORS, GeneratorHeader
from nijigan.generator.onnx_network import DIRECTIONS, OPERATIONS, OnnxNetwork
from nijigan.safe_text import safe

JUDGED = "people/test"
"""What the name of a value's accuracy ends with: the reader that judged, and the split."""

_SLOW_BYTES = 8e6
_SLOW_OPERATIONS = 0.3e9


def describe_model(
    generator: Generator, name: str, *, url: str | None = None, directions: Sequence[Direction] | None = None
) -> dict[str, Any]:
    """Describe a generator for a page: values that JSON can hold.

    Only an exported file has an address, a size, a hash and a certificate; for any other generator these are None, and
    the certificate is empty. `directions` of an exported file are read from it, if it has them.

    Args:
        generator: any generator. The packaged one draws with its exported file where onnxruntime is installed.
        name: what people call it.
        url: relative address of the exported file. Default: its name. The pictures of its certificate are next to it,
            in `certificate/`: see `certificate_name`.
        directions: those to describe. Default: those in the file, or else those that are found now, in seconds.

    Raises:
        UserError: the exported file is damaged.
    """
    header, network = generator.header, generator.exported
    if directions is None:
        directions = _stored_directions(network) if network else None
    if directions is None:
        directions = find_directions(generator)
    return {
        "name": name,
        "weights": generator.weights_hash,
        "resolution": header.resolution,
        "latent": {"size": header.latent.size, "prior": header.latent.prior},
        "styled": header.styled,
        "output": header.generator.output,
        "truncatable": header.truncatable,
        "attributes": _attributes(header),
        "priors": [list(row) for row in header.priors],
        "directions": [one.to_json() for one in directions],
        "kimg": header.kimg,
        "licence": header.licence,
        "description": header.description,
        "operations": _operations(generator),
        **_file(network, url),
    }


def certificate_name(place: int) -> str:
    """Relative address of a picture of the certificate; `place` counts from 0."""
    return f"certificate/{place:02d}.png"


def name_of(model: str | Path | None) -> str:
    """What a page calls a generator: the name of its run's folder, of its file or on the Hub."""
    if model is None:
        return "packaged generator"
    if isinstance(model, str) and model.startswith(HUB):
        return model.removeprefix(HUB)
    place = Path(model).resolve()
    if place.name in FOLDER_GENERATORS:
        place = place.parent
    return safe(re.sub(r"\.(?:safetensors|onnx)$", "", place.name)) or "generator"


def slowness(description: dict[str, Any]) -> str:
    """Why pages draw a described generator slowly, in one sentence; empty if they do not."""
    reasons = []
    if (description["bytes"] or 0) > _SLOW_BYTES:
        reasons.append(f"its file has {description['bytes'] / 1e6:.1f} MB")
    if (description["operations"] or 0) > _SLOW_OPERATIONS:
        reasons.append(f"a face takes {description['operations'] / 1e9:.2f} G multiply-adds")
    return f"Pages will load or draw this generator slowly: {' and '.join(reasons)}." if reasons else ""


def _attributes(header: GeneratorHeader) -> list[dict[str, Any]]:
    """The vocabulary, with the accuracy of each value as far as it was measured."""
    return [
        {
            "name": name,
            "values": list(values),
            "accuracy": [header.metrics.get(f"{name}={value}/{JUDGED}") for value in values],
            "unknown": has_unlabelled(header.priors, column),
        }
        for column, (name, values) in enumerate(header.attributes.items())
    ]


def _stored_directions(network: OnnxNetwork) -> list[Direction] | None:
    """The directions in an exported file; None if it has no list of them."""
    stored = network.metadata(DIRECTIONS)
    return read_directions(stored, network.header.latent.size, str(network.path)) if stored else None


def _operations(generator: Generator) -> int | None:
    if generator.exported:
        stored = generator.exported.metadata(OPERATIONS)
        return int(stored) if re.fullmatch(r"[0-9]{1,18}", stored) else None
    from nijigan.export.onnx import count_operations

    return count_operations(generator)


def _file(network: OnnxNetwork | None, url: str | None) -> dict[str, Any]:
    if network is None:
        return {"file": None, "bytes": None, "sha256": None, "certificate": []}
    data = network.path.read_bytes()
    faces = [
        {"face": json.loads(one.face.to_json()), "png": certificate_name(place)}
        for place, one in enumerate(read_certificate(network))
    ]
    return {
        "file": url or network.path.name,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "certificate": faces,
    }
