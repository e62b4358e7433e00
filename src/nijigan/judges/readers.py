"""Attribute readers: networks that recognise which value of each attribute a face shows.

They measure conditional accuracy. A generator's labels may come from the colour reader of the import, and a judge must
not use the same method. An attribute reader is therefore a network trained on labelled faces, with a known accuracy on
held-out faces. There are two:

- `people`, the human-tag reader, was trained on human tags of hair and eye colour. It is packaged with nijigan.
- `own` is trained on the training split of the dataset in use, on all its attributes, in a minute or two.
"""

import hashlib
import json
import logging
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nijigan.aliases import Codes, Images, Progress
from nijigan.assets import ASSETS
from nijigan.dataset.cache import cache_file
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.files import check_regular, replacing
from nijigan.generator.file import hash_weights
from nijigan.jsonio import parse_json
from nijigan.judges import anime
from nijigan.judges.feature_spaces import FeatureSpace
from nijigan.judges.reader_training import ReaderNet, Vocabularies, train_reader
from nijigan.tensors.tensorfile import DamagedFileError, pack, unpack
from nijigan.tensors.unallocated import unallocated

ReaderName = Literal["auto", "people", "own"]

PEOPLE = ASSETS / "attribute-reader.safetensors"
"""The human-tag reader, made by `benchmarks/train_reader.py`. Kernels are fp16, all else is fp32."""

log = logging.getLogger("nijigan")

_FORMAT = 1  # of the dataset's own reader; increase it when its training changes
_OWN_STEPS = 400


@dataclass(frozen=True)
class AttributeReaderHeader:
    """The header of a reader's file."""

    attributes: dict[str, tuple[str, ...]]
    """The values of every attribute that it reads, in the order of its logits."""
    accuracy: dict[str, float]
    """Balanced accuracy on held-out faces, by attribute."""
    taught: dict[str, str | int | float]
    """The fingerprint of the faces that it was trained on, and the settings of its training."""


@dataclass(frozen=True)
class AttributeReader:
    """An attribute reader, as `open_reader` returns it."""

    header: AttributeReaderHeader
    logits: FeatureSpace
    """Maps faces to the logits of all attributes, concatenated."""

    @property
    def name(self) -> str:
        """`people` or `own`."""
        return self.logits.name

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of weights and vocabularies: readers with the same hash give the same results."""
        return self.logits.hash

    def read(self, images: Images, progress: Progress | None = None) -> dict[str, Codes]:
        """Recognise the value of each attribute. Changes no random state.

        Args:
            images: uint8 RGB, N×H×W×3, resized to 64 px.
            progress: called with (done, N) after each batch.

        Returns:
            By attribute, int64 of length N: indices into its vocabulary.
        """
        vocabularies = self.header.attributes
        ends = np.cumsum([len(values) for values in vocabularies.values()])
        parts = np.split(self.logits.extract(images, progress=progress), ends[:-1], axis=1)
        return {name: part.argmax(1) for name, part in zip(vocabularies, parts, strict=True)}


def open_reader(
    name: ReaderName, attributes: Vocabularies, dataset: FaceDataset, progress: Progress | None = None
) -> AttributeReader:
    """Open a reader that knows every value of the given attributes.

    Args:
        name: `people`; `own`; or `auto`, which is `people` if that reader knows all values, else `own`.
        attributes: the attributes to read.
        dataset: the faces that the `own` reader is trained on. The trained reader is kept in their cache.
        progress: called with (step, steps) while the `own` reader is trained.

    Raises:
        UserError: the reader does not know one of the values.
    """
    if name != "own":
        reader = people()
        unknown = unknown_value(attributes, reader.header.attributes)
        if not unknown:
            return reader
        if name == "people":
            raise UserError(f"The human-tag reader (people) does not know {unknown}; choose --reader own.")
    if unknown := unknown_value(attributes, dataset.attributes):
        raise UserError(
            f"No face in {dataset.path} is labelled {unknown}, so no reader can be trained on it; judge against the "
            "faces that the generator was trained on."
        )
    return _own(dataset, progress)


def unknown_value(attributes: Vocabularies, known: Vocabularies) -> str:
    """The first unknown value, such as hair=silver; empty if all are known."""
    values = ((name, value) for name, words in attributes.items() for value in words)
    return next((f"{name}={value}" for name, value in values if value not in known.get(name, ())), "")


def people() -> AttributeReader:
    """The packaged human-tag reader of hair and eye colour."""
    return _open(PEOPLE, "people")


def save(net: ReaderNet, header: AttributeReaderHeader, path: Path) -> None:
    """Write a reader to a file, with its kernels rounded to fp16."""
    tensors = {
        name: (tensor.half() if tensor.ndim > 1 else tensor).contiguous() for name, tensor in net.state_dict().items()
    }
    data = pack(tensors, json.dumps(asdict(header)))
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def balanced_accuracy(read: Codes, codes: Codes) -> float:
    """The mean over classes of the share of their faces that were recognised correctly.

    Args:
        read: the recognised codes, length N.
        codes: the true codes, length N. Faces with -1 (unknown) do not count. At least one must be known.
    """
    return float(np.mean([(read[codes == code] == code).mean() for code in np.unique(codes[codes >= 0])]))


def split_accuracy(reader: AttributeReader, dataset: FaceDataset, split: str) -> dict[str, float]:
    """Balanced accuracy of every labelled attribute, on a split of the dataset that the reader was trained on."""
    read, labels = reader.read(dataset.pixels(split, anime.RESOLUTION)), dataset.labels(split)
    return {name: balanced_accuracy(read[name], codes) for name, codes in labels.items() if (codes >= 0).any()}


def as_reader(net: ReaderNet, header: AttributeReaderHeader, name: str) -> AttributeReader:
    """Turn a trained network into a reader. The network must not be changed afterwards."""
    net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def logits(pixels: Tensor) -> Tensor:
        return torch.cat(net(pixels), 1)

    digest = hashlib.sha256(json.dumps([hash_weights(net), header.attributes]).encode()).hexdigest()
    size = sum(map(len, header.attributes.values()))
    return AttributeReader(header, FeatureSpace(name, size, digest, anime.RESOLUTION, logits))


def _own(dataset: FaceDataset, progress: Progress | None) -> AttributeReader:
    """The reader of a dataset, trained now or read from the cache.

    It is trained on all attributes, so that generators with different attributes are judged by the same reader.
    """
    key = [_FORMAT, dataset.fingerprint, hash_weights(anime.load()[0])]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    name = f"judge-reader-{digest}.safetensors"
    with suppress(UserError):  # missing or damaged
        kept = _open(cache_file(dataset.path, name), "own")
        if kept.header.attributes == dataset.attributes:
            return kept
    path = cache_file(dataset.path, name, write=True)
    log.info("Training an attribute reader on the labels of %s training faces", f"{dataset.count('train'):,}")
    net = train_reader(dataset, dataset.attributes, _OWN_STEPS, progress=progress)
    header = AttributeReaderHeader(dataset.attributes, {}, {"fingerprint": dataset.fingerprint, "steps": _OWN_STEPS})
    save(net, replace(header, accuracy=split_accuracy(as_reader(net, header, "own"), dataset, "val")), path)
    return _open(path, "own")


def _open(path: Path, name: str) -> AttributeReader:
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            text, tensors = unpack(file)
            header = parse_json(AttributeReaderHeader, text or "", str(path))
            with unallocated():  # no random initialisation, which would disturb a training in this process
                net = ReaderNet(header.attributes)
            net.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
    except (OSError, SafetensorError, DamagedFileError, RuntimeError) as error:
        raise UserError(f"{path} is not an attribute reader, or it is damaged; download or train it again.") from error
    return as_reader(net, header, name)
