"""Tensors and a text in one safetensors file, with a checksum: a flipped bit is noticed when the file is read.

safetensors itself checks the layout of a file, not its content.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

TEXT = "nijigan"
"""Key of the text in the file's metadata."""
CHECKSUM = "nijigan-blake2b"
"""Key of the checksum. Files of version 0.1 have none."""


class DamagedFileError(ValueError):
    """The content of a file is not what was written."""


def pack(tensors: Mapping[str, Tensor], text: str) -> bytes:
    """The content of a file with these tensors and this text: the same bytes every time."""
    data = safetensors.torch.save(dict(tensors), {TEXT: text, CHECKSUM: checksum(tensors, text)})
    # safetensors writes metadata in an order that changes from call to call.
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    table = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    table += b" " * (-len(table) % 8)  # tensors begin at a multiple of 8
    return len(table).to_bytes(8, "little") + table + data[end:]


def unpack(file: Any) -> tuple[str | None, dict[str, Tensor]]:
    """Read an open file, compare its checksum, and return its text (None if it has none) and its tensors.

    Args:
        file: what `safetensors.safe_open(path, "pt")` gives.

    Raises:
        DamagedFileError: the checksum differs.
    """
    metadata = file.metadata() or {}
    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    check_content(metadata, tensors)
    return metadata.get(TEXT), tensors


def check_content(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> None:
    """Refuse, with a `DamagedFileError`, tensors and metadata that differ from the checksum, if there is one."""
    stated = metadata.get(CHECKSUM)
    if stated is not None and stated != checksum(tensors, metadata.get(TEXT, "")):
        raise DamagedFileError("its content does not match its checksum")


def checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """BLAKE2b, 128 bits, over the text and over every tensor's name, type, shape and values, by name."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
