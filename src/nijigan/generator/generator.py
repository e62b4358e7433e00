"""The generator: what a user keeps of a training, and the faces that it draws."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from nijigan.aliases import Codes, Images
from nijigan.errors import UserError
from nijigan.files import ASSETS
from nijigan.generator import file as generator_file
from nijigan.generator.attributes import choose
from nijigan.generator.file import GeneratorHeader, TrainingSet
from nijigan.generator.latents import Latents, check_psi, check_seed, latents, truncate
from nijigan.jsonio import parse_json
from nijigan.vocabulary import ANY, UNKNOWN

__all__ = ["Face", "Generator", "GeneratorHeader", "TrainingSet"]

HUB_FILE = "model.safetensors"

_PACKAGED = ASSETS / "default.safetensors"


@dataclass(frozen=True)
class Face:
    """One face by what it takes to draw it again: the same four values are the same picture on any machine."""

    weights: str
    """`Generator.weights_hash`."""
    seed: int
    """Decides the latent, see `nijigan.generator.latents`."""
    psi: float = 1.0
    """Truncation: 1 as trained, less is tamer."""
    attributes: dict[str, str] = field(default_factory=dict)
    """What was asked for, such as {"hair": "blue"}."""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_psi(self.psi)

    def to_json(self) -> str:
        """Write the face as one line of ASCII."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, source: str = "The face") -> Self:
        """Read what `to_json` wrote; anything else is a `UserError` that names `source`."""
        return parse_json(cls, text, source)


class Generator:
    """A trained network with its header: draws faces, and saves itself to one file.

    Args:
        module: N×latent → N×3×H×W, and N×latent and N×A codes → N×3×H×W where there are attributes, as
            `nijigan.networks.build_generator` makes them. The generator takes it as its own: it is put in evaluation
            mode, and its weights must not change any more.
        header: what is known of it; must describe `module`.
    """

    def __init__(self, module: nn.Module, header: GeneratorHeader) -> None:
        self.module = module.eval().requires_grad_(False)
        self.header = header

    @classmethod
    def load(cls, path: str | Path | None = None) -> Self:
        """Open a generator, on the CPU and in fp32.

        Args:
            path: a `.safetensors` file; a run folder, whose best generator is taken, or else its last; a Hugging Face
                Hub id, "user/model"; left out, the generator that ships with nijigan.

        Raises:
            UserError: there is none, or the file is not a sound generator.
        """
        return cls(*generator_file.read(_locate(path)))

    def save(self, path: str | Path, half: bool = False) -> None:
        """Write the generator to `path`, whole or not at all.

        Args:
            path: the file; its folder is made.
            half: store kernels in fp16, at half the size. The rounded weights are another network, by a hair, with a
                `weights_hash` of its own. Batch norm and biases, few and of wide range, stay fp32.

        Raises:
            UserError: a weight is not finite (or, with `half`, beyond fp16), or `path` cannot be written to.
        """
        generator_file.write(Path(path), self.module, self.header, half)

    def to(self, device: str | torch.device) -> Self:
        """Move the network to `device`; faces stay the same within 1/255."""
        self.module.to(device)
        return self

    def sample(
        self, /, n: int = 1, *, seed: int = 0, psi: float = 1.0, batch_size: int = 64, **attributes: str
    ) -> Images:
        """Draw the faces of seeds seed, seed + 1, ..., seed + n - 1.

        Args:
            n: how many faces.
            seed: the first one's seed, in [0, 2^63 - n].
            psi: truncation, 0 to 2: see `synthesise`.
            batch_size: faces per pass through the network; changes memory and time, not the faces.
            attributes: what they are to be, such as hair="blue"; the rest is left to chance, see `codes`.

        Returns:
            uint8, n×H×W×3.

        Raises:
            UserError: a number is out of its range, this generator's prior knows no truncation, or it has no such
                attribute or value.
        """
        if n < 1:
            raise UserError(f"{n} faces were asked for; ask for 1 or more.")
        seeds, latent = range(seed, seed + n), self.header.latent
        z = latents(seeds, latent.size, latent.prior)
        return self.synthesise(z, self.codes(seeds, **attributes), psi=psi, batch_size=batch_size)

    def codes(self, seeds: Sequence[int], /, **attributes: str) -> Codes:
        """Decide what the faces of some seeds are to be.

        Args:
            seeds: N integers in [0, 2^63).
            attributes: what they are to be; "any", or an attribute left out, is drawn by each seed from the training
                faces' conditional distribution given the rest.

        Returns:
            int64, N×A: places in the vocabularies of `header.attributes`, -1 for unknown; A is 0 where there are none.

        Raises:
            UserError: there is no such attribute or value; the sentence lists them.
        """
        return choose(self.header.attributes, self.header.priors, seeds, attributes)

    def values(self, codes: Codes) -> dict[str, str]:
        """Name one face's A codes."""
        attributes = self.header.attributes.items()
        return {
            name: UNKNOWN if code < 0 else words[code]
            for (name, words), code in zip(attributes, codes.tolist(), strict=True)
        }

    def synthesise(
        self, latents: Latents, codes: Codes | None = None, *, psi: float = 1.0, batch_size: int = 64
    ) -> Images:
        """Draw given latents.

        Args:
            latents: float32, N×size.
            codes: int64, N×A, as `codes` gives them; -1 is unknown. Left out, all are.
            psi: truncation, 0 to 2. Style-based generators pull the latents' styles towards the mean style (Karras et
                al. 2019, appendix B); others pull the latents themselves to 0 where the prior is
                normal, truncated or not, and refuse all but 1 where it is uniform or a sphere.
            batch_size: latents per pass through the network.

        Returns:
            uint8, N×H×W×3.

        Raises:
            UserError: the latents or codes are not of this generator's kind, a number is out of its range, the prior
                knows no truncation, or the weights are so large that a pixel is not a number.
        """
        self.check_psi(psi)
        size, resolution = self.header.latent.size, self.header.resolution
        if latents.ndim != 2 or latents.shape[1] != size:
            raise UserError(f"Latents of shape {latents.shape} were given; this generator takes N×{size}.")
        if batch_size < 1:
            raise UserError(f"The batch size is {batch_size}; choose 1 or more.")
        sizes = [len(values) for values in self.header.attributes.values()]
        if codes is None:
            codes = np.full((len(latents), len(sizes)), -1, np.int64)
        integers = np.issubdtype(codes.dtype, np.integer)
        if not integers or codes.shape != (len(latents), len(sizes)) or (codes < -1).any() or (codes >= sizes).any():
            raise UserError(
                f"Codes of shape {codes.shape} do not fit {len(latents)} faces and attributes of {sizes} values."
            )
        if not self._styled:
            latents = truncate(latents, psi, self.header.latent.prior)
        device = next(self.module.parameters()).device
        pictures = np.empty((len(latents), resolution, resolution, 3), np.uint8)
        for start in range(0, len(latents), batch_size):
            inputs = [torch.from_numpy(latents[start : start + batch_size]).to(device)]
            if sizes:
                inputs.append(torch.from_numpy(codes[start : start + batch_size]).to(device))
            with torch.inference_mode(), torch.autocast(device.type, enabled=False):
                images = self.module(*inputs, psi=psi) if self._styled else self.module(*inputs)
                pictures[start : start + batch_size] = self._to_uint8(images)
        return pictures

    def check_psi(self, psi: float) -> None:
        """Refuse, with a `UserError`, a truncation that this generator cannot draw with: see `synthesise`."""
        check_psi(psi, None if self._styled else self.header.latent.prior)

    @property
    def _styled(self) -> bool:
        """Whether ψ acts on styles instead of latents."""
        return self.header.generator.kind == "style"

    def _to_uint8(self, images: Tensor) -> Images:
        """N×3×H×W in the range of the network's output → uint8 N×H×W×3."""
        if not images.isfinite().all():
            raise UserError(
                "This generator draws pixels that are not numbers: its training went wrong, or its file did."
            )
        scaled = images * 127.5 + 127.5 if self.header.generator.output == "tanh" else images * 255
        rounded: Images = scaled.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return rounded

    def face(self, /, seed: int, psi: float = 1.0, **attributes: str) -> Face:
        """Record the face that `sample` draws with the same arguments and n = 1; what that refuses is refused here."""
        self.check_psi(psi)
        self.codes([seed], **attributes)
        return Face(self.weights_hash, seed, psi, {name: value for name, value in attributes.items() if value != ANY})

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 of the weights in hex; `nijigan.generator.file.hash_weights` says of which bytes."""
        return generator_file.hash_weights(self.module)


def _locate(path: str | Path | None) -> Path:
    """The file that `Generator.load` is to read."""
    if path is None:
        if not _PACKAGED.is_file():
            raise UserError(
                "This nijigan comes without a generator of its own; name a run folder or a .safetensors file."
            )
        return _PACKAGED
    place = Path(path)
    if place.is_dir():
        for name in ("best.safetensors", "last.safetensors"):
            if (place / name).is_file():
                return place / name
        raise UserError(
            f"{place} holds no generator yet (no best.safetensors or last.safetensors); train for longer, "
            "or name another run folder."
        )
    if place.is_file():
        return place
    if isinstance(path, str) and re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", path) and place.suffix != ".safetensors":
        return _download(path)
    raise UserError(
        f"There is no generator at {path}; name a run folder, a .safetensors file or a Hub id such as user/model."
    )


def _download(hub_id: str) -> Path:
    """Fetch a generator from the Hugging Face Hub, or find it in the Hub client's cache."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(
            f"There is no {hub_id} on this machine. If it is a model on the Hugging Face Hub, first install "
            "the Hub's client: pip install 'nijigan[hub]'."
        ) from error
    try:
        return Path(huggingface_hub.hf_hub_download(hub_id, HUB_FILE))
    except Exception as error:  # the client also raises what its HTTP library raises, and that has changed before
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(
            f"There is no {hub_id} on this machine, and the Hugging Face Hub did not give its {HUB_FILE}: {reason}"
        ) from error
