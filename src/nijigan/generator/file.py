"""The generator's file: a `.safetensors` with the weights and, as JSON in its metadata, a `GeneratorHeader`.

Opening an untrusted file is safe: nothing in it is executed, and sizes are checked before memory is allocated.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from nijigan.errors import UserError
from nijigan.files import replacing
from nijigan.generator.header import GeneratorHeader
from nijigan.networks import build_generator
from nijigan.tensors.tensorfile import TEXT, DamagedFileError, check_content, pack
from nijigan.tensors.unallocated import unallocated

_MOST_HEADER_BYTES = 4 << 20
_LONGEST_MESSAGE = 500  # characters of an error of safetensors, which may quote a whole file
_MOST_PARAMETERS = 1 << 28  # 1 GiB in fp32; the published 64 px DCGAN has 3.6 million


def write(path: Path, module: nn.Module, header: GeneratorHeader, half: bool) -> None:
    """Write a generator's file, whole or not at all; with `half`, kernels in fp16 and vectors in fp32.

    Raises:
        UserError: a weight is not finite (or, with `half`, beyond fp16), or `path` cannot be written to.
    """
    tensors = stored_weights(module, half, f"The generator for {path}")
    text = header.to_json()
    if len(text) > _MOST_HEADER_BYTES // 4:  # escapes and the table of contents may make it longer
        raise UserError(f"The header for {path} would be too long to read back; shorten its texts or its attributes.")
    data = pack(tensors, text)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def read(path: Path) -> tuple[nn.Module, GeneratorHeader]:
    """Read a generator's file: the network, on the CPU and in fp32, and its header.

    Raises:
        UserError: the file is not a generator, is damaged, or describes a network above the size limit.
    """
    try:
        _check_start(path)
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(TEXT)
            if text is None:
                raise UserError(f"{path} has tensors but no nijigan generator; name a file that nijigan has saved.")
            header = GeneratorHeader.from_json(text, str(path))
            module = _build_unallocated(header, path)
            tensors = _read_tensors(file, module, path)
    except (OSError, SafetensorError, DamagedFileError) as error:
        raise UserError(
            f"Could not read the generator {path}: {_harmless(str(error))}. Download or save it again."
        ) from error
    _refuse_non_finite(tensors, str(path))
    module.load_state_dict(tensors, assign=True)  # the step counters of batch norm, which are not stored, restart at 0
    return module, header


def weights(module: nn.Module) -> dict[str, Tensor]:
    """Collect parameters and running statistics, without step counters, in fp32 on the CPU."""
    state: Mapping[str, Tensor] = module.state_dict()
    return {name: tensor.detach().float().cpu() for name, tensor in state.items() if tensor.is_floating_point()}


def stored_weights(module: nn.Module, half: bool, source: str) -> dict[str, Tensor]:
    """The weights as a file has them: with `half`, kernels in fp16 and vectors in fp32.

    Raises:
        UserError: a weight is not finite (or, with `half`, beyond fp16); the message names `source`.
    """
    return stored_tensors(weights(module), half, source)


def stored_tensors(tensors: Mapping[str, Tensor], half: bool, source: str) -> dict[str, Tensor]:
    """Floats as a file has them: as `stored_weights` does. Others, such as counters, are left out."""
    stored = {
        name: (tensor.half() if half and tensor.ndim > 1 else tensor.float()).contiguous()
        for name, tensor in tensors.items()
        if tensor.is_floating_point()
    }
    _refuse_non_finite(stored, source)
    return stored


def hash_weights(module: nn.Module) -> str:
    """Hash a network's weights with SHA-256, in lower-case hex.

    The hash depends on the values, not on how they are stored. The hashed bytes are, for each tensor in the order of
    their names: the name in UTF-8, a zero byte, the shape as decimal numbers separated by commas, a zero byte, and the
    values in row-major order as little-endian fp32.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(weights(module).items()):
        digest.update(f"{name}\0{','.join(map(str, tensor.shape))}\0".encode())
        digest.update(tensor.contiguous().numpy().astype("<f4", copy=False).data)
    return digest.hexdigest()


def _harmless(text: str) -> str:
    """Shorten a message and escape its control characters: safetensors quotes what an untrusted file contains."""
    short = text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in short)


def _check_start(path: Path) -> None:
    """Refuse, by its first 8 bytes, a file that is not safetensors or has too long a table of contents."""
    with path.open("rb") as file:
        start = file.read(8)
    if len(start) == 8 and int.from_bytes(start, "little") <= _MOST_HEADER_BYTES:
        return
    if start.startswith((b"PK\3\4", b"\x80")):
        raise UserError(
            f"{path} is a zip or a pickle, as PyTorch saves them, and opening one can run untrusted code; "
            "name a .safetensors file that nijigan has saved."
        )
    raise UserError(f"{path} is not a .safetensors file, or is damaged; download or save it again.")


def _build_unallocated(header: GeneratorHeader, path: Path) -> nn.Module:
    """Build the network that the header describes, without allocating its weights."""
    with unallocated():
        module = build_generator(header.generator, header.latent, header.resolution, header.attributes)
    parameters = sum(tensor.numel() for tensor in module.state_dict().values())
    if parameters > _MOST_PARAMETERS:
        raise UserError(
            f"{path} describes a network of {parameters:,} parameters; nijigan opens at most {_MOST_PARAMETERS:,}."
        )
    return module


def _read_tensors(file: Any, module: nn.Module, path: Path) -> dict[str, Tensor]:
    """Read exactly the tensors that `module` needs, as fp32 copies, so that the file may change afterwards."""
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
            f"{path} does not hold the network that its header describes: {problem}. Download or save it again."
        )
    stored = {name: file.get_tensor(name) for name in expected}
    check_content(file.metadata() or {}, stored)
    return {name: tensor.to(torch.float32, copy=True) for name, tensor in stored.items()}


def _refuse_non_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(f"{source} has weights in {name} that are not finite numbers; use an earlier generator.")
