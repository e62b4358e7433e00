"""Readers: which value of each attribute a face shows, as a network sees it. They judge whether a generator obeys.

The labels that a generator learns from may come from the colours of its faces, and whoever judges it must not look at
faces in the same way. A reader is therefore a network that has learnt from labelled faces, and is known by how often
it is right on faces that it has not learnt from. There are two:

- `people` has learnt hair and eye colour from tags that people gave, and comes with nijigan.
- `own` learns from the training split of the dataset at hand, whatever its attributes, in a minute or two.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nijigan.aliases import Codes, Images, Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.files import ASSETS, replacing
from nijigan.generator.file import hash_weights
from nijigan.jsonio import parse_json
from nijigan.judges import anime
from nijigan.judges.feature_spaces import FeatureSpace
from nijigan.judges.teaching import ReaderNet, Vocabularies, teach

ReaderName = Literal["auto", "people", "own"]

PEOPLE = ASSETS / "attribute-reader.safetensors"
"""Kernels in fp16, the rest in fp32; `benchmarks/train_reader.py` made it."""

_FORMAT = 1  # of an own reader; raise it when it is taught in another way
_OWN_STEPS = 400
_METADATA_KEY = "nijigan"


@dataclass(frozen=True)
class AttributeReaderHeader:
    """What a reader's file says of its weights."""

    attributes: dict[str, tuple[str, ...]]
    """What it reads: every attribute's values, in the order of its logits."""
    accuracy: dict[str, float]
    """By attribute: how often it is right on held-out faces, every value counting alike."""
    taught: dict[str, str | int | float]
    """The fingerprint of the faces that it learnt from, and how."""


@dataclass(frozen=True)
class AttributeReader:
    """A reader: `open_reader` opens one."""

    header: AttributeReaderHeader
    logits: FeatureSpace
    """Faces → the logits of all attributes, one attribute after the other."""

    @property
    def name(self) -> str:
        """`people` or `own`."""
        return self.logits.name

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of weights and vocabularies: readers of one hash read alike."""
        return self.logits.hash

    def read(self, images: Images, progress: Progress | None = None) -> dict[str, Codes]:
        """Say which value of each attribute faces show; touches no random state.

        Args:
            images: uint8 RGB, N×H×W×3; they are resized to 64 px.
            progress: called with (done, N) after each batch.

        Returns:
            For each attribute int64 of length N, places in its vocabulary.
        """
        vocabularies = self.header.attributes
        ends = np.cumsum([len(values) for values in vocabularies.values()])
        parts = np.split(self.logits.extract(images, progress=progress), ends[:-1], axis=1)
        return {name: part.argmax(1) for name, part in zip(vocabularies, parts, strict=True)}


def open_reader(
    name: ReaderName, attributes: Vocabularies, dataset: FaceDataset, progress: Progress | None = None
) -> AttributeReader:
    """Open a reader that knows every value of some attributes.

    Args:
        name: `people`; `own`; or `auto`, the people's where it knows all values, else the dataset's own.
        attributes: what is to be read.
        dataset: the faces that the own reader learns from. What it has learnt is kept in their cache.
        progress: called with (step, steps) while it learns.

    Raises:
        UserError: the reader does not know some value.
    """
    if name != "own":
        reader = people()
        unknown = _unknown(attributes, reader.header.attributes)
        if not unknown:
            return reader
        if name == "people":
            raise UserError(f"The people's reader does not know {unknown}; choose --reader own.")
    if unknown := _unknown(attributes, dataset.attributes):
        raise UserError(
            f"No face in {dataset.path} is labelled {unknown}, so no reader can learn to see it; judge against the "
            "faces that the generator learnt from."
        )
    return _own(dataset, progress)


def people() -> AttributeReader:
    """The reader that comes with nijigan: hair and eye colours as people tagged them."""
    return _open(PEOPLE, "people")


def save(net: ReaderNet, header: AttributeReaderHeader, path: Path) -> None:
    """Write a reader to a file, its kernels rounded to fp16."""
    tensors = {
        name: (tensor.half() if tensor.ndim > 1 else tensor).contiguous() for name, tensor in net.state_dict().items()
    }
    data = safetensors.torch.save(tensors, {_METADATA_KEY: json.dumps(asdict(header))})
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def balanced_accuracy(read: Codes, codes: Codes) -> float:
    """The mean over classes of the share of a class's faces that were read as such.

    Args:
        read: length N.
        codes: what the faces are, length N; -1, unknown, does not count. One or more must be known.
    """
    return float(np.mean([(read[codes == code] == code).mean() for code in np.unique(codes[codes >= 0])]))


def examine(reader: AttributeReader, dataset: FaceDataset, split: str) -> dict[str, float]:
    """The reader's balanced accuracy on a split of the dataset that taught it, of every attribute labelled there."""
    read, labels = reader.read(dataset.pixels(split, anime.RESOLUTION)), dataset.labels(split)
    return {name: balanced_accuracy(read[name], codes) for name, codes in labels.items() if (codes >= 0).any()}


def as_reader(net: ReaderNet, header: AttributeReaderHeader, name: str) -> AttributeReader:
    """What reads with a network, which must not change any more."""
    net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def logits(pixels: Tensor) -> Tensor:
        return torch.cat(net(pixels), 1)

    digest = hashlib.sha256(json.dumps([hash_weights(net), header.attributes]).encode()).hexdigest()
    size = sum(map(len, header.attributes.values()))
    return AttributeReader(header, FeatureSpace(name, size, digest, anime.RESOLUTION, logits))


def _own(dataset: FaceDataset, progress: Progress | None) -> AttributeReader:
    """The reader that learns from a dataset, or has learnt before.

    It learns all of its attributes, so that generators of some and of others are judged by the same.
    """
    key = [_FORMAT, dataset.fingerprint, hash_weights(anime.load()[0])]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    path = dataset.path / "cache" / f"judge-reader-{digest}.safetensors"
    with suppress(UserError):  # not there, or damaged
        return _open(path, "own")
    net = teach(dataset, dataset.attributes, _OWN_STEPS, progress=progress)
    header = AttributeReaderHeader(dataset.attributes, {}, {"fingerprint": dataset.fingerprint, "steps": _OWN_STEPS})
    save(net, replace(header, accuracy=examine(as_reader(net, header, "own"), dataset, "val")), path)
    return _open(path, "own")


def _open(path: Path, name: str) -> AttributeReader:
    try:
        with safe_open(path, framework="pt") as file:
            header = parse_json(AttributeReaderHeader, (file.metadata() or {}).get(_METADATA_KEY, ""), str(path))
            with torch.device("meta"):  # nothing is drawn at random: training may be under way in the same process
                net = ReaderNet(header.attributes)
            net.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()}, assign=True)  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path} is no reader of attributes, or is damaged; fetch or make it again.") from error
    return as_reader(net, header, name)


def _unknown(attributes: Vocabularies, known: Vocabularies) -> str:
    """The first value that is not known, such as hair=silver, or nothing."""
    values = ((name, value) for name, words in attributes.items() for value in words)
    return next((f"{name}={value}" for name, value in values if value not in known.get(name, ())), "")
