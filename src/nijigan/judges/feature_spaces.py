"""Feature spaces: networks that map faces to vectors. Scores compare sets of faces by these vectors, not by pixels.

A score is named after its space, such as KID-lite0@128, and can only be compared within that space.
"""

import hashlib
import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from nijigan.aliases import Images
from nijigan.errors import UserError
from nijigan.generator.file import hash_weights
from nijigan.judges import anime
from nijigan.pictures import resize
from nijigan.vision import lite0
from nijigan.vision.frozen import freeze

DEFAULT = "lite0"

log = logging.getLogger("nijigan")

LITE0_RESOLUTION = 128  # twice the side of 64 px faces; its training resolution, 224, takes three times as long


@dataclass(frozen=True)
class FeatureSpace:
    """A feature space, as `open_feature_space` returns it."""

    name: str
    """The network and its input resolution, such as lite0@128; part of the names of scores."""
    size: int
    """Dimensions D."""
    hash: str
    """SHA-256, in hex, of the weights and the preprocessing: spaces with the same hash are the same space."""
    resolution: int | None
    """Faces are first resized to this many pixels; None: they are not resized."""
    embed: Callable[[Tensor], Tensor] = field(repr=False)
    """float32 N×3×H×W in [0, 1] → N×D."""
    network: str | None = None
    """lite0 or anime, if `nijigan.judges.quality.look` computes these features as well."""

    def extract(
        self, images: Images, batch_size: int = 16, progress: Callable[[int, int], None] | None = None
    ) -> npt.NDArray[np.float32]:
        """Compute the features of faces, in fp32 on the CPU. Changes no random state.

        Args:
            images: uint8 RGB, N×H×W×3.
            batch_size: faces per pass. It affects time and memory, not the features. Small batches are faster because
                the activations of a layer are still in the processor's cache when the next layer reads them.
            progress: called with (done, N) after each batch.

        Returns:
            N×D.

        Raises:
            ValueError: the images have another shape or type.
            UserError: the network returns values that are not finite.
        """
        check_images(images)
        features = np.empty((len(images), self.size), np.float32)
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            pixels = to_pixels(batch, self.resolution)
            with torch.inference_mode(), torch.autocast("cpu", enabled=False):
                found = self.embed(pixels)
            if not found.isfinite().all():
                raise UserError(f"{self.name} turns some faces into values that are not finite; its weights are wrong.")
            features[start : start + batch_size] = found.numpy()
            if progress is not None:
                progress(start + len(batch), len(images))
        return features


def check_images(images: Images) -> None:
    """Raise a `ValueError` unless these are uint8 RGB, N×H×W×3."""
    if not isinstance(images, np.ndarray):
        raise ValueError(f"images must be a uint8 array N×H×W×3; this is a {type(images).__name__}")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:]:
        raise ValueError(f"images must be uint8 N×H×W×3; these are {images.dtype} of shape {images.shape}")


def to_pixels(images: Images, side: int | None) -> Tensor:
    """Faces as networks take them: float32 N×3×side×side in [0, 1].

    Args:
        images: uint8 RGB, N×H×W×3.
        side: to which they are resized; None: they are not.
    """
    if side is not None:
        images = np.stack([np.asarray(resize(Image.fromarray(image), side, side)) for image in images])
    # N×H×W×3 viewed as N×3×H×W is PyTorch's channels-last format, which convolutions accept without a copy.
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 255


def open_feature_space(name: str = DEFAULT, side: int = 64) -> FeatureSpace:
    """Open a feature space.

    Args:
        name: one of
            - `lite0`: EfficientNet-Lite0 with ImageNet weights, packaged with nijigan; faces at 128 px, 1280 pooled
              features (Tan & Le, "EfficientNet", ICML 2019, without squeeze and excitation).
            - `anime`: a network of this project, trained only on anime faces; see `nijigan.judges.anime`.
            - `inception`: the Inception v3 of published FIDs, 2048 features. Requires the extra `inception`
              (torchmetrics and torch-fidelity), and an internet connection on first use.
            - `PATH.onnx`: a custom network, N×3×H×W float32 in [0, 1] → N×D. Requires onnxruntime. If H and W are
              fixed, faces are resized to them.
            - `MODULE:ATTRIBUTE`: an importable `nn.Module`, or a callable that returns one, with the same input and
              output. Its hash covers its name and weights, not its code.
        side: height and width in pixels of the faces to embed. A custom network without a fixed size is tried on two
            faces of this size.

    Raises:
        UserError: the space is unknown, a requirement is missing, or the space cannot process such faces.
    """
    if name in _SPACES:
        return _SPACES[name]()
    if name.endswith(".onnx"):
        return _open_onnx(Path(name), side)
    if ":" in name:
        return _open_module(name, side)
    raise UserError(
        f"There is no feature space {name!r}; choose {', '.join(_SPACES)}, the path of an .onnx file, "
        "or MODULE:ATTRIBUTE of a torch module."
    )


def _open_lite0() -> FeatureSpace:
    net = lite0.load()
    freeze(net)

    def embed(pixels: Tensor) -> Tensor:
        return to_sphere(net(pixels))

    preparation = f"Lanczos to {LITE0_RESOLUTION}, ImageNet mean and deviation, mean over places, to the sphere"
    name = f"lite0@{LITE0_RESOLUTION}"
    hashed = _hash(name, lite0.SHA256, preparation)
    return FeatureSpace(name, lite0.FEATURES, hashed, LITE0_RESOLUTION, embed, "lite0")


def _open_anime() -> FeatureSpace:
    net, weights = anime.load()
    freeze(net)

    def embed(pixels: Tensor) -> Tensor:
        return to_sphere(net(pixels))

    name = f"anime@{anime.RESOLUTION}"
    preparation = f"Lanczos to {anime.RESOLUTION}, to the sphere"
    return FeatureSpace(name, net.size, _hash(name, weights, preparation), anime.RESOLUTION, embed, "anime")


def _open_inception() -> FeatureSpace:
    log.info("Loading the Inception network; its weights are downloaded on first use")
    try:
        from torchmetrics.image import fid  # slow to import, and used only here
    except (ImportError, RuntimeError) as error:  # missing, or with a torchvision for another torch
        raise UserError(_inception_missing(error)) from error
    try:
        with torch.random.fork_rng(devices=[]):
            net = fid.NoTrainInceptionV3("inception-v3-compat", ["2048"])
    except ImportError as error:
        raise UserError(_inception_missing(error)) from error
    except Exception as error:  # a download may fail with HTTP, socket or file errors
        raise UserError(
            f"The weights of the inception features could not be downloaded: {_first_line(error)}. "
            "Connect to the internet, or choose lite0 or anime."
        ) from error

    def embed(pixels: Tensor) -> Tensor:
        features: Tensor = net((pixels * 255).round().to(torch.uint8))
        return features

    name = "inception@299"
    return FeatureSpace(name, 2048, _hash(name, hash_weights(net), "its own bilinear resize"), None, embed)


def _inception_missing(error: Exception) -> str:
    return (
        f"The inception features require torchmetrics and torch-fidelity ({_first_line(error).rstrip('.')}): "
        "pip install 'nijigan[inception]'. Or choose lite0 or anime."
    )


def _open_onnx(path: Path, side: int) -> FeatureSpace:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"Features from {path} require onnxruntime: pip install onnxruntime") from error
    try:
        if path.exists() and not path.is_file():  # reading a pipe might never end
            raise UserError(f"{path} is not a file; name an .onnx file.")
        data = path.read_bytes()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # its errors share no base class
        raise UserError(f"{path} is not an ONNX network that onnxruntime can run: {_first_line(error)}") from error
    source, *others = session.get_inputs()
    shape = source.shape
    if others or len(shape) != 4 or shape[1] != 3 or isinstance(shape[0], int):
        raise UserError(
            f"{path} takes {', '.join(f'{i.name}: {i.shape}' for i in [source, *others])}; features need one input of "
            "shape N×3×H×W with variable N."
        )

    def embed(pixels: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {source.name: pixels.numpy()})[0])

    height, width = shape[2:]
    if isinstance(height, int) and height != width:
        raise UserError(f"{path} takes faces of {height}×{width} pixels; features need square input.")
    resolution = height if isinstance(height, int) else None
    return _measured(path.stem, hashlib.sha256(data).hexdigest(), resolution, side, embed, str(path))


def _open_module(name: str, side: int) -> FeatureSpace:
    module, _, attribute = name.partition(":")
    try:
        with torch.random.fork_rng(devices=[]):
            net = getattr(importlib.import_module(module), attribute)
            net = net if isinstance(net, nn.Module) else net()
    except (Exception, SystemExit) as error:  # importing a user's module may raise anything
        raise UserError(
            f"There is no network at {name}: {_first_line(error)}. Python must be able to import it; set PYTHONPATH to "
            "the folder of your module."
        ) from error
    if not isinstance(net, nn.Module):
        raise UserError(
            f"{name} is a {type(net).__name__}, not a torch.nn.Module; name a module, or a callable that returns one."
        )
    net.eval().requires_grad_(False)

    def embed(pixels: Tensor) -> Tensor:
        features: Tensor = net(pixels.contiguous())
        return features

    return _measured(name, hash_weights(net), None, side, embed, name)


def _measured(
    name: str, weights: str, resolution: int | None, side: int, embed: Callable[[Tensor], Tensor], source: str
) -> FeatureSpace:
    """A custom space. Its dimensions are found by a trial on faces of its resolution, or of `side` pixels."""
    side = resolution or side
    try:
        with torch.inference_mode():
            trial = embed(torch.linspace(0, 1, 2 * 3 * side * side).view(2, 3, side, side))
    except Exception as error:  # a user's network may raise anything
        advice = (
            "" if resolution else " It receives faces at their own size; if it needs another size, it must resize them."
        )
        reason = _first_line(error).rstrip(".")
        raise UserError(f"{source} fails on two faces of {side}×{side} pixels: {reason}.{advice}") from error
    if not isinstance(trial, Tensor) or trial.ndim != 2 or len(trial) != 2 or trial.shape[1] == 0:
        found = f"shape {tuple(trial.shape)}" if isinstance(trial, Tensor) else f"a {type(trial).__name__}"
        raise UserError(f"{source} returns {found} for two faces; features need 2×D.")
    if not trial.is_floating_point() or not trial.isfinite().all():
        raise UserError(f"{source} returns values that are not finite real numbers.")
    name = f"{name}@{resolution}" if resolution else name
    return FeatureSpace(name, trial.shape[1], _hash(name, weights, "[0, 1]"), resolution, embed)


def to_sphere(features: Tensor) -> Tensor:
    """Divide each face's features by the root of their mean square, so that only their direction counts.

    Whatever increases all activations, contrast above all, makes features longer, and the cubic kernel of KID then
    gives a few faces most of the weight. Without normalisation, KID-lite0 rates a DCGAN worse at 200 kimg than at 50,
    and KID-anime rates noise of 10 grey levels worse than noise of 40.
    """
    return features / features.square().mean(1, keepdim=True).sqrt().clamp_min(1e-6)


def _hash(name: str, weights: str, preparation: str) -> str:
    return hashlib.sha256(f"{name}\n{weights}\n{preparation}".encode()).hexdigest()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


_SPACES: dict[str, Callable[[], FeatureSpace]] = {
    "lite0": _open_lite0,
    "anime": _open_anime,
    "inception": _open_inception,
}
