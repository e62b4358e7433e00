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

from nijigan.errors import UserError
from nijigan.files import replacing
from nijigan.generator.file import hash_weights, stored_weights
from nijigan.generator.generator import Generator
from nijigan.generator.header import GeneratorHeader
from nijigan.generator.onnx_network import CHECKSUM, HEADER, SEAL, WEIGHTS, checksum

if TYPE_CHECKING:
    import onnx

_OPSET = 18
_BATCH = 2  # of the example; the files take any


def write_onnx(generator: Generator, path: str | Path, half: bool = False) -> None:
    """Write a generator as an ONNX file, whole or not at all.

    Args:
        generator: the generator.
        path: the file; its folder is created.
        half: store kernels in fp16, at half the size, as `Generator.save` does. Arithmetic is fp32 in any case. If
            that rounds them, the network has another `weights_hash`.

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
    properties = {HEADER: generator.header.to_json(), WEIGHTS: hash_weights(module), CHECKSUM: SEAL + "0" * 64}
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(data.replace(SEAL.encode() + b"0" * 64, (SEAL + checksum(data)).encode()))


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
    inputs: dict[str, Tensor] = {"latents": torch.zeros(_BATCH, header.latent.size)}
    if header.attributes:
        inputs["codes"] = torch.zeros(_BATCH, len(header.attributes), dtype=torch.int64)
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
