"""A generator as an ONNX file, which onnxruntime draws with: nothing of torch is imported.

`nijigan.export.onnx` writes such files. The graph takes `latents`, N×size, then `codes`, N×A, if there are attributes,
then the number `psi` in a style-based generator. It returns `images`, N×3×H×W in the range of the network's output. The
file's metadata has the header and the hash of the weights.
"""

import hashlib
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Codes
from nijigan.errors import UserError
from nijigan.generator.header import GeneratorHeader
from nijigan.generator.latents import Latents

HEADER, WEIGHTS, CHECKSUM = "nijigan", "nijigan-weights", "nijigan-checksum"
"""Keys of the metadata: the header as JSON, the hash of the weights, and `SEAL` with a checksum. Loading needs them."""
CERTIFICATE, OPERATIONS, DIRECTIONS = "nijigan-certificate", "nijigan-operations", "nijigan-directions"
"""Further keys, which only exporting reads: see `nijigan.export`. Files of earlier versions lack them."""
SEAL = "nijigan-sha256:"
"""What stands before the SHA-256 of the whole file, in hex, whose own 64 digits count as zeros."""

_MOST_BYTES = 2 << 30  # more than a model in one file can have


def is_available() -> bool:
    """Whether onnxruntime is installed."""
    return find_spec("onnxruntime") is not None


class OnnxNetwork:
    """Draws faces on the CPU.

    Args:
        path: the file.

    Raises:
        UserError: onnxruntime is not installed, or the file is damaged or no generator that nijigan exported.
    """

    on_cpu = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session = _open(path)
        metadata = self._session.get_modelmeta().custom_metadata_map
        sealed = metadata.get(CHECKSUM, "").startswith(SEAL)
        if HEADER not in metadata or not sealed or not re.fullmatch(r"[0-9a-f]{64}", metadata.get(WEIGHTS, "")):
            raise UserError(f"{path} is no generator that nijigan exported; export it with nijigan export.")
        self.header = GeneratorHeader.from_json(metadata[HEADER], str(path))
        self.weights_hash: str = metadata[WEIGHTS]
        expected = {"latents": [self.header.latent.size]}
        if self.header.attributes:
            expected["codes"] = [len(self.header.attributes)]
        if self.header.styled:
            expected["psi"] = []
        found = {node.name: node.shape[1:] for node in self._session.get_inputs()}
        if list(found.items()) != list(expected.items()):
            raise UserError(f"{path} does not hold the network that its header describes; export it again.")

    def __reduce__(self) -> tuple[type["OnnxNetwork"], tuple[Path]]:
        """A copy opens the file again: sessions cannot be copied or sent to other processes."""
        return OnnxNetwork, (self.path,)

    def metadata(self, key: str) -> str:
        """A text in the file's metadata; empty if there is none."""
        text: str = self._session.get_modelmeta().custom_metadata_map.get(key, "")
        return text

    def run(self, latents: Latents, codes: Codes, psi: float) -> npt.NDArray[np.float32]:
        """One pass: float32 N×size latents and int64 N×A codes → N×3×H×W in the range of the network's output.

        ψ applies to styles; other generators need truncated latents.

        Raises:
            UserError: the graph is not that of a generator.
        """
        inputs: dict[str, npt.NDArray[Any]] = {"latents": latents}
        if self.header.attributes:
            inputs["codes"] = codes
        if self.header.styled:
            inputs["psi"] = np.array(psi, np.float32)
        try:
            images: npt.NDArray[np.float32] = np.asarray(self._session.run(["images"], inputs)[0])
        except Exception as error:  # onnxruntime raises errors of its own kinds
            reason = _first_line(error)
            raise UserError(f"onnxruntime cannot draw with {self.path}: {reason} Export it again.") from error
        side = self.header.resolution
        if images.dtype != np.float32 or images.shape != (len(latents), 3, side, side):
            raise UserError(f"{self.path} does not draw the faces that its header describes; export it again.")
        return images


def _open(path: Path) -> Any:
    if not is_available():
        raise UserError(f"{path} needs onnxruntime; in the folder of nijigan's source, run: pip install '.[studio]'.")
    if not 0 < path.stat().st_size < _MOST_BYTES:
        raise UserError(f"{path} is empty or too large for an ONNX file; export it again.")
    data = path.read_bytes()
    seal = re.search(SEAL.encode() + rb"([0-9a-f]{64})", data)
    if seal and seal[1].decode() != checksum(data):
        raise UserError(f"{path} is damaged: its content is not what was written. Copy or export it again.")
    try:
        return open_session(data)
    except Exception as error:  # onnxruntime raises errors of its own kinds
        raise UserError(f"{path} is not an ONNX file that onnxruntime can run: {_first_line(error)}") from error


def open_session(data: bytes) -> Any:
    """An `onnxruntime.InferenceSession` of a file's content, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it would print warnings of its own
    options.intra_op_num_threads = _threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the cores to others between passes
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def checksum(data: bytes) -> str:
    """SHA-256 of a file in hex, with zeros in place of the digits after `SEAL`."""
    start = data.index(SEAL.encode()) + len(SEAL)
    return hashlib.sha256(data[:start] + b"0" * 64 + data[start + 64 :]).hexdigest()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def _threads() -> int:
    """OMP_NUM_THREADS, which onnxruntime does not read itself; 0, its default, if that is no useful number."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(told), os.cpu_count() or 1) if re.fullmatch(r"[0-9]{1,6}", told) else 0
