"""A generator as one ONNX file, for onnxruntime in any language.

`nijigan.generator.onnx_network` says what the file has and reads it again.
"""

import io
import warnings
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from nijigan.aliases import Progress
from nijigan.errors import UserError
from nijigan.export.certificate import certificate_json, certify
from nijigan.export.directions import directions_json, find_directions
from nijigan.files import replacing
from nijigan.generator.file import stored_weights
from nijigan.generator.generator import Generator
from nijigan.generator.header import GeneratorHeader
from nijigan.generator.onnx_network import (
    CERTIFICATE,
    CHECKSUM,
    DIRECTIONS,
    HEADER,
    OPERATIONS,
    SEAL,
    WEIGHTS,
    checksum,
    is_available,
)
from nijigan.networks.layers import list_layers

if TYPE_CHECKING:
    import onnx

_OPSET = 18
_BATCH = 2  # of the example; the files take any


def write_onnx(
    generator: Generator,
    path: str | Path,
    half: bool = False,
    directions: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write a generator as an ONNX file, whole or not at all, with its certificate: see `nijigan.export.certificate`.

    Args:
        generator: the generator.
        path: the file; its folder is created.
        half: store kernels in fp16, at half the size, as `Generator.save` does. Arithmetic is fp32 in any case. If
            that rounds them, the network has another `weights_hash`.
        directions: also store directions in latent space, which takes seconds: see `nijigan.export.directions`.
        progress: called with (faces drawn for the directions, such faces in all).

    Raises:
        UserError: the package onnx is missing, a weight is not finite (or, with `half`, beyond fp16), or `path` cannot
            be written to.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError(
            "Exporting needs the package onnx; in the folder of nijigan's source, run: pip install '.[studio]'."
        ) from error
    module = deepcopy(generator.module)  # with the weights as the file will have them
    module.load_state_dict(stored_weights(module, half, f"The generator for {path}"), strict=False)
    model = onnx.load_from_string(_traced(module, generator.header))
    if half:
        _halve(model.graph)
    stored = Generator(module, generator.header)
    properties = {
        HEADER: generator.header.to_json(),
        WEIGHTS: stored.weights_hash,
        CERTIFICATE: certificate_json(certify(stored)),
        OPERATIONS: str(count_operations(stored)),
        CHECKSUM: SEAL + "0" * 64,
    }
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(_sealed(model))
        if directions:
            drawing = Generator.load(temporary) if is_available() else stored  # onnxruntime is several times faster
            properties[DIRECTIONS] = directions_json(find_directions(drawing, progress))
            onnx.helper.set_model_props(model, properties)
            temporary.write_bytes(_sealed(model))


def _sealed(model: "onnx.ModelProto") -> bytes:
    """The file's content, with its checksum."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data.replace(SEAL.encode() + b"0" * 64, (SEAL + checksum(data)).encode())


def count_operations(generator: Generator) -> int:
    """Pairs of a multiplication and an addition that one face takes, in convolutions and matrix products."""
    inputs = list(_inputs(generator.header, 1).values())
    return sum(layer.operations for layer in list_layers(generator.module, inputs)) // 2


class _Positional(nn.Module):
    """The network with ψ as its last input, if it takes one."""

    def __init__(self, module: nn.Module, header: GeneratorHeader) -> None:
        super().__init__()
        self.module, self.styled = module, header.styled

    def forward(self, *inputs: Tensor) -> Tensor:
        images: Tensor = self.module(*inputs[:-1], psi=inputs[-1]) if self.styled else self.module(*inputs)
        return images


def _traced(module: nn.Module, header: GeneratorHeader) -> bytes:
    """The network as ONNX in fp32, with a batch of any size."""
    inputs = _inputs(header, _BATCH)
    if header.styled:
        inputs["psi"] = torch.ones(())
    batched = {name: {0: "n"} for name in [*inputs, "images"] if name != "psi"}
    stream: Any = io.BytesIO()  # the exporter that does not need a path takes a stream too
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own age, and of constants of the traced shapes
        torch.onnx.export(
            _Positional(module, header).eval(), tuple(inputs.values()), stream, dynamo=False, opset_version=_OPSET,
            input_names=list(inputs), output_names=["images"], dynamic_axes=batched,
            do_constant_folding=False,  # scaled weights would be rounded anew in fp16; onnxruntime folds when it opens
        )  # fmt: skip
    traced: bytes = stream.getvalue()
    return traced


def _inputs(header: GeneratorHeader, count: int) -> dict[str, Tensor]:
    """Latents and, if there are attributes, codes of some faces."""
    inputs = {"latents": torch.zeros(count, header.latent.size)}
    if header.attributes:
        inputs["codes"] = torch.zeros(count, len(header.attributes), dtype=torch.int64)
    return inputs


def _halve(graph: "onnx.GraphProto") -> None:
    """Store matrices and kernels in fp16, and convert them to fp32 before their first use."""
    import onnx

    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values: np.ndarray[Any, Any] = onnx.numpy_helper.to_array(tensor)
        name, stored = tensor.name, f"{tensor.name}.half"
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
