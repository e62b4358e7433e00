"""A generator as an ONNX file, which onnxruntime draws with: nothing of torch is imported.

`nijigan.export.onnx` writes such files. The graph takes `latents`, N×size, then `codes`, N×A, if there are attributes,
then the number `psi` in a style-based generator. It returns `images`, N×3×H×W in the range of the network's output. The
file's metadata has the header and the hash of the weights.
"""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Codes, Images
from nijigan.errors import UserError
from nijigan.generator.header import GeneratorHeader
from nijigan.generator.latents import Latents

HEADER, WEIGHTS = "nijigan", "nijigan-weights"
"""Keys of the metadata: the header as JSON, and the hash of the weights."""

_MOST_BYTES = 2 << 30  # more than a model in one file can have
_MOST_PIXELS = 8 * 64**2  # in one pass: more would leave the cache between two layers


def is_available() -> bool:
    """Whether onnxruntime is installed."""
    return find_spec("onnxruntime") is not None


class OnnxNetwork:
    """Draws faces on the CPU.

    Args:
        path: the file.

    Raises:
        UserError: onnxruntime is not installed, or the file is not a generator that nijigan exported.
    """

    def __init__(self, path: Path) -> None:
        self._session = _open(path)
        metadata = self._session.get_modelmeta().custom_metadata_map
        if HEADER not in metadata or not re.fullmatch(r"[0-9a-f]{64}", metadata.get(WEIGHTS, "")):
            raise UserError(f"{path} is no generator that nijigan exported; export it with nijigan export.")
        self.header = GeneratorHeader.from_json(metadata[HEADER], str(path))
        self.weights_hash: str = metadata[WEIGHTS]
        names = ["latents", *["codes"] * bool(self.header.attributes), *["psi"] * self._styled]
        shapes = {node.name: node.shape for node in self._session.get_inputs()}
        size, codes = self.header.latent.size, len(self.header.attributes)
        expected = {"latents": size, "codes": codes}
        if list(shapes) != names or any(shapes[name][1:] != [expected[name]] for name in names if name != "psi"):
            raise UserError(f"{path} does not hold the network that its header describes; export it again.")

    @property
    def _styled(self) -> bool:
        return self.header.generator.kind == "style"

    def draw(self, latents: Latents, codes: Codes, psi: float) -> Images:
        """Generate faces: float32 N×size latents and int64 N×A codes → uint8 N×H×W×3.

        ψ applies to styles; other generators need truncated latents.

        Raises:
            UserError: a pixel is not a number.
        """
        side = self.header.resolution
        step = max(1, _MOST_PIXELS // side**2)
        pictures = np.empty((len(latents), side, side, 3), np.uint8)
        for start in range(0, len(latents), step):
            inputs: dict[str, npt.NDArray[Any]] = {"latents": latents[start : start + step]}
            if self.header.attributes:
                inputs["codes"] = codes[start : start + step].astype(np.int64)
            if self._styled:
                inputs["psi"] = np.array(psi, np.float32)
            (images,) = self._session.run(["images"], inputs)
            pictures[start : start + step] = to_uint8(images, self.header.generator.output)
        return pictures


def to_uint8(images: npt.NDArray[np.float32], output: str) -> Images:
    """N×3×H×W in the range of a network's output, tanh or sigmoid, to uint8 N×H×W×3."""
    if not np.isfinite(images).all():
        raise UserError(
            "This generator produces pixels that are not numbers; its training diverged or its file is damaged."
        )
    scaled = images * 127.5 + 127.5 if output == "tanh" else images * 255
    return np.ascontiguousarray(scaled.round().clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1))


def _open(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"{path} needs onnxruntime; in the folder of nijigan's source, run: pip install '.[studio]'."
        ) from error
    if not 0 < path.stat().st_size < _MOST_BYTES:
        raise UserError(f"{path} is empty or too large for an ONNX file; export it again.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it would print warnings of its own
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0")) if _is_number() else 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the cores to others between passes
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises errors of its own kinds
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        raise UserError(f"{path} is not an ONNX file that onnxruntime can run: {reason}") from error


def _is_number() -> bool:
    return os.environ.get("OMP_NUM_THREADS", "").isdecimal()
