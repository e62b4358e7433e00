"""The files in the package: where the weights are, and the vocabulary of the packaged generator, read without torch."""

import json
from contextlib import suppress
from pathlib import Path

ASSETS = Path(__file__).parent
"""The folder of the files."""

PACKAGED = ASSETS / "default.safetensors"
"""Next to it lies `default.onnx`, the same generator as `nijigan export --half` writes it."""

PACKAGED_DISCRIMINATOR = ASSETS / "default-discriminator.safetensors"
"""The discriminator that it was trained with: with it, trainings start from the package."""

PAPERS = ASSETS / "papers.json"
"""What came out here beside the claims of the student studies; `benchmarks/papers.py` writes it from `results/`."""


def packaged_vocabulary() -> dict[str, list[str]]:
    """The values of every attribute of the packaged generator, from the file's header; empty without such a file."""
    with suppress(OSError, ValueError, KeyError), PACKAGED.open("rb") as file:
        table = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        attributes: dict[str, list[str]] = json.loads(table["__metadata__"]["nijigan"])["attributes"]
        return attributes
    return {}
