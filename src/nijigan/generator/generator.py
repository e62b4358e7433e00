"""The generator: the result of a training, which synthesises faces from seeds."""

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Codes, Images
from nijigan.assets import PACKAGED
from nijigan.errors import UserError
from nijigan.files import check_path
from nijigan.generator import onnx_network
from nijigan.generator.attributes import choose
from nijigan.generator.face import Face
from nijigan.generator.header import FOLDER_GENERATORS, GeneratorHeader, TrainingSet
from nijigan.generator.latents import Latents, check_psi, consecutive_seeds, latents, truncate
from nijigan.generator.onnx_network import OnnxNetwork
from nijigan.safe_text import ANY, UNKNOWN

if TYPE_CHECKING:
    import torch
    from torch import nn

    from nijigan.generator.torch_network import TorchNetwork

__all__ = ["Generator", "GeneratorHeader", "TrainingSet"]

HUB = "hf:"
"""What a model on the Hugging Face Hub starts with, as in hf:user/model. Nothing else is looked up there."""
HUB_FILE = "model.safetensors"

_MOST_PIXELS = 64 * 256**2  # in one pass through the network
_MOST_PIXELS_ON_CPU = 8 * 64**2  # more would leave the cache between two layers, and take half as long again
_HUB_ID = r"[\w-][\w.-]*/[\w-][\w.-]*"


class Generator:
    """A trained network with its header: generates faces, and saves itself to one file.

    Where onnxruntime is installed, the packaged generator draws with it, on the CPU: that starts without importing
    torch. `module` then reads the network when it is first needed.

    Args:
        module: N×latent → N×3×H×W, or with attributes N×latent and N×A codes → N×3×H×W, as
            `nijigan.networks.build_generator` makes them. It is put in evaluation mode, and its weights must not change
            afterwards.
        header: the description of `module`.
    """

    def __init__(self, module: "nn.Module | None", header: GeneratorHeader) -> None:
        self.header = header
        self._module = module.eval().requires_grad_(False) if module else None
        self._onnx: OnnxNetwork | None = None
        self._source: Path | None = None

    @classmethod
    def load(cls, path: str | Path | None = None) -> Self:
        """Load a generator, on the CPU and in fp32.

        Args:
            path: a `.safetensors` file, a run folder (its best generator, or else its last), a file that
                `nijigan export` wrote (`.onnx`), or a model on the Hugging Face Hub as "hf:user/model". Default: the
                packaged generator.

        Raises:
            UserError: there is no generator at `path`, or its file is not valid.
        """
        place = _locate(path)
        twin = place.with_suffix(".onnx")
        if path is None and twin.is_file() and onnx_network.is_available():
            return cls._drawing_with_onnx(twin, place)
        if place.suffix.lower() == ".onnx":
            return cls._drawing_with_onnx(place, None)
        return cls(*_read(place))

    @classmethod
    def _drawing_with_onnx(cls, path: Path, source: Path | None) -> Self:
        network = OnnxNetwork(path)
        generator = cls(None, network.header)
        generator._onnx, generator._source = network, source
        return generator

    @property
    def exported(self) -> OnnxNetwork | None:
        """The exported file, if this generator draws with it."""
        return self._onnx

    @property
    def module(self) -> "nn.Module":
        """The network, in evaluation mode.

        Raises:
            UserError: this is an exported file, which only draws.
        """
        if self._module is None:
            if self._source is None:
                raise UserError("An .onnx file only draws faces; name the run or the .safetensors that it came from.")
            self._module = _read(self._source)[0].eval().requires_grad_(False)
        return self._module

    def save(self, path: str | Path, half: bool = False) -> None:
        """Write the generator to `path`, whole or not at all.

        Args:
            path: the file; its folder is created.
            half: store kernels in fp16, at half the size. The rounded weights make a slightly different network, which
                has another `weights_hash`. Batch norm and biases, few and of wide range, stay fp32.

        Raises:
            UserError: a weight is not finite (or, with `half`, beyond fp16), or `path` cannot be written to.
        """
        from nijigan.generator import file

        file.write(Path(path), self.module, self.header, half)

    def to(self, device: "str | torch.device") -> Self:
        """Move the network to `device`; its faces stay the same within 1/255."""
        if self._onnx is None or str(device) != "cpu":
            self.module.to(device)
            self._onnx = None
        return self

    def sample(
        self, /, n: int = 1, *, seed: int = 0, psi: float = 1.0, batch_size: int = 64, **attributes: str
    ) -> Images:
        """Generate the faces of seeds seed, seed + 1, ..., seed + n - 1.

        Args:
            n: number of faces.
            seed: seed of the first face, in [0, 2^63 - n].
            psi: truncation, 0 to 2: see `synthesise`.
            batch_size: faces per pass through the network; affects memory and time, not the faces.
            attributes: requested values, such as hair="blue"; all other attributes are sampled: see `codes`.

        Returns:
            uint8, n×H×W×3.

        Raises:
            UserError: a number is out of range, this generator's prior cannot be truncated, or it has no such
                attribute or value.
        """
        return self.sample_seeds(consecutive_seeds(seed, n), psi=psi, batch_size=batch_size, **attributes)

    def sample_seeds(
        self, seeds: Sequence[int], /, *, psi: float = 1.0, batch_size: int = 64, **attributes: str
    ) -> Images:
        """Generate the faces of N seeds, uint8 N×H×W×3; arguments and errors are those of `sample`."""
        latent = self.header.latent
        z = latents(seeds, latent.size, latent.prior)
        return self.synthesise(z, self.codes(seeds, **attributes), psi=psi, batch_size=batch_size)

    def codes(self, seeds: Sequence[int], /, **attributes: str) -> Codes:
        """Choose the attribute values of the faces of some seeds.

        Args:
            seeds: N integers in [0, 2^63).
            attributes: requested values. "any", or an attribute that is omitted, is sampled for each seed from the
                training distribution, conditional on the requested values.

        Returns:
            int64, N×A: indices into the vocabularies of `header.attributes`, -1 for unknown; A is 0 for an
            unconditional generator.

        Raises:
            UserError: there is no such attribute or value; the message lists those that exist.
        """
        return choose(self.header.attributes, self.header.priors, seeds, attributes)

    def values(self, codes: Codes) -> dict[str, str]:
        """Turn the A codes of one face into values by attribute."""
        attributes = self.header.attributes.items()
        return {
            name: UNKNOWN if code < 0 else words[code]
            for (name, words), code in zip(attributes, codes.tolist(), strict=True)
        }

    def synthesise(
        self, latents: Latents, codes: Codes | None = None, *, psi: float = 1.0, batch_size: int = 64
    ) -> Images:
        """Generate the faces of given latents.

        Args:
            latents: real numbers, N×size; computed with as float32.
            codes: int64, N×A, as `codes` returns them; -1 is unknown. Default: all unknown.
            psi: truncation, 0 to 2. In style-based generators it moves styles towards the mean style (Karras et al.
                2019, appendix B). In others it scales the latents if their prior is normal, truncated or not; a
                uniform prior and a sphere allow only 1.
            batch_size: latents per pass through the network, at most. On a CPU fewer pass at once, which is faster;
                on other devices above 256 px, to save memory.

        Returns:
            uint8, N×H×W×3.

        Raises:
            UserError: latents or codes do not fit this generator, a number is out of range, the prior cannot be
                truncated, or the weights are so large that a pixel is not a number.
        """
        self.check_psi(psi)
        size = self.header.latent.size
        latents = _real_numbers(latents)
        if latents.ndim != 2 or latents.shape[1] != size:
            raise UserError(f"The latents have the shape {latents.shape}; this generator needs N×{size}.")
        if batch_size < 1:
            raise UserError(f"The batch size is {batch_size}; choose 1 or more.")
        sizes = [len(values) for values in self.header.attributes.values()]
        if codes is None:
            codes = np.full((len(latents), len(sizes)), -1, np.int64)
        codes = np.asarray(codes)
        integers = np.issubdtype(codes.dtype, np.integer)
        if not integers or codes.shape != (len(latents), len(sizes)) or (codes < -1).any() or (codes >= sizes).any():
            raise UserError(
                f"Codes of shape {codes.shape} do not fit {len(latents)} faces and attributes with {sizes} values."
            )
        if not self.header.styled:
            latents = truncate(latents, psi, self.header.latent.prior)
        network = self._network()
        most = _MOST_PIXELS_ON_CPU if network.on_cpu else _MOST_PIXELS
        batch_size = min(batch_size, max(1, most // self.header.resolution**2))
        codes = codes.astype(np.int64)
        pictures = np.empty((len(latents), self.header.resolution, self.header.resolution, 3), np.uint8)
        for start in range(0, len(latents), batch_size):
            part = slice(start, start + batch_size)
            pictures[part] = self._to_uint8(network.run(latents[part], codes[part], psi))
        return pictures

    def _network(self) -> "OnnxNetwork | TorchNetwork":
        """What draws: onnxruntime if it was loaded for that, else the module."""
        if self._onnx is not None:
            return self._onnx
        from nijigan.generator.torch_network import TorchNetwork

        return TorchNetwork(self.module, self.header)

    def _to_uint8(self, images: npt.NDArray[np.float32]) -> Images:
        """Turn N×3×H×W in the range of the network's output into uint8, N×H×W×3."""
        if not np.isfinite(images).all():
            raise UserError(
                "This generator produces pixels that are not numbers; its training diverged or its file is damaged."
            )
        scaled = images * 127.5 + 127.5 if self.header.generator.output == "tanh" else images * 255
        rounded: Images = scaled.round().clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        return rounded

    def check_psi(self, psi: float) -> None:
        """Refuse, with a `UserError`, a truncation that this generator does not support: see `synthesise`."""
        check_psi(psi, None if self.header.styled else self.header.latent.prior)

    def face(self, /, seed: int, psi: float = 1.0, **attributes: str) -> Face:
        """Describe the face that `sample` generates with n = 1 and these arguments, and raise the same errors."""
        self.check_psi(psi)
        self.codes([seed], **attributes)
        return Face(self.weights_hash, seed, psi, {name: value for name, value in attributes.items() if value != ANY})

    def draw(self, face: Face, /) -> Images:
        """Generate a recorded face again: uint8, H×W×3.

        Raises:
            UserError: another generator made the face, or it has no such attribute or value.
        """
        attributes = self.attributes_of(face)
        latent = self.header.latent
        z = face.latents(latent.size, latent.prior)
        picture: Images = self.synthesise(z, self.codes([face.seed], **attributes), psi=face.psi)[0]
        return picture

    def attributes_of(self, face: Face, /, **changes: str) -> dict[str, str]:
        """Find the attributes that generate a recorded face again, with some values changed.

        Args:
            face: a face of this generator.
            changes: requested values, such as hair="blue". All other attributes keep the value that the face has,
                whether it was requested or sampled.

        Raises:
            UserError: another generator made the face, or there is no such attribute or value.
        """
        if face.weights != self.weights_hash:
            raise UserError(
                f"The face was made by another generator, whose weights have the hash {face.weights[:16]}…; this one "
                f"has {self.weights_hash[:16]}…. Name the model that made it."
            )
        codes = self.codes([face.seed], **face.attributes)[0]
        self.codes([face.seed], **changes)
        return self.values(codes) | changes if changes else face.attributes

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 of the weights in hex; `nijigan.generator.file.hash_weights` defines the bytes."""
        if self._onnx is not None:
            return self._onnx.weights_hash
        from nijigan.generator import file

        return file.hash_weights(self.module)


def _read(path: Path) -> "tuple[nn.Module, GeneratorHeader]":
    """Read a `.safetensors` file; torch is imported here."""
    import torch

    from nijigan.generator import file

    module, header = file.read(path)
    return module.to(memory_format=torch.channels_last), header  # type: ignore[call-overload]


def _real_numbers(values: npt.ArrayLike) -> Latents:
    """As float32; refuse, with a `UserError`, what holds anything but finite numbers."""
    with suppress(ValueError, TypeError), np.errstate(over="ignore"):  # rows of unequal length
        array = np.asarray(values)
        if array.dtype.kind in "fiu" and np.isfinite(reals := array.astype(np.float32)).all():
            return reals
    raise UserError("Latents must be an array of finite real numbers, N×size.")


def _locate(path: str | Path | None) -> Path:
    """Find the file that `Generator.load` reads."""
    if path is None:
        if not PACKAGED.is_file():
            raise UserError("This installation has no packaged generator; name a run folder or a .safetensors file.")
        return PACKAGED
    if isinstance(path, str) and path.startswith(HUB):
        return _download(path.removeprefix(HUB))
    place = Path(path)
    check_path(place)
    if place.is_dir():
        for name in FOLDER_GENERATORS:
            if (place / name).is_file():
                return place / name
        raise UserError(
            f"{place} has no generator ({', '.join(FOLDER_GENERATORS)}); if it is a run, train for longer, or name "
            "another folder."
        )
    if place.is_file():
        return place
    advice = "name a run folder, a .safetensors or .onnx file, or a model on the Hugging Face Hub as hf:user/model."
    if isinstance(path, str) and re.fullmatch(_HUB_ID, path):
        advice = f"name another run folder or file; if it is a model on the Hugging Face Hub, write {HUB}{path}."
    raise UserError(f"There is no generator at {path}; {advice}")


def _download(hub_id: str) -> Path:
    """Download a generator from the Hugging Face Hub, or find it in the Hub client's cache."""
    if not re.fullmatch(_HUB_ID, hub_id):
        raise UserError(f"{HUB}{hub_id} is not a model on the Hugging Face Hub; write {HUB}user/model.")
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(
            f"{HUB}{hub_id} needs the client of the Hugging Face Hub; in the folder of nijigan's source, run: "
            "pip install '.[hub]'."
        ) from error
    try:
        return Path(huggingface_hub.hf_hub_download(hub_id, HUB_FILE))
    except Exception as error:  # the client passes on the errors of its HTTP library, which has changed before
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(f"The Hugging Face Hub did not provide {HUB_FILE} of {hub_id}: {reason}") from error
