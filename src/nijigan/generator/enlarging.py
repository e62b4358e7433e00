"""Enlarging faces after they are synthesised."""

from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Images
from nijigan.assets import ASSETS
from nijigan.generator.onnx_network import is_available, open_session
from nijigan.pictures import enlarge as resample
from nijigan.pictures import resize_all

Upscaler = Literal["learnt", "lanczos", "none"]
"""learnt = a small network, which keeps lines sharp; lanczos = a fixed filter, which blurs them a little; none = every
pixel becomes a square."""

PACKAGED = ASSETS / "upscaler.onnx"
"""The network of `nijigan.vision.upscaler` for onnxruntime, made from its weights by `benchmarks/train_upscaler.py`."""

_Network = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""Faces, N×3×H×W in [0, 1] → N×3×2H×2W."""

_DOUBLINGS = 2  # of its own output the network makes nothing sharper
_MOST_PIXELS = 8 * 64**2  # in one pass: more would leave the processor's cache


def enlarge(images: Images, scale: int, upscaler: Upscaler = "learnt") -> Images:
    """Enlarge faces by an integer factor.

    The network doubles, at most twice. Lanczos then resizes its result where the factor is neither 2 nor 4.

    Args:
        images: uint8, N×H×W×3.
        scale: 1 or more; 1 returns the same images.
        upscaler: how.

    Returns:
        uint8, N×scale·H×scale·W×3.
    """
    if scale == 1:
        return images
    if upscaler == "none":
        squares: Images = images.repeat(scale, axis=1).repeat(scale, axis=2)
        return squares
    if upscaler == "lanczos":
        return resample(images, scale)
    doublings = min(_DOUBLINGS, (scale - 1).bit_length())
    larger = images
    for _ in range(doublings):
        larger = _double(larger)
    return resize_all(larger, scale * images.shape[1], scale * images.shape[2])


def _double(images: Images) -> Images:
    """N×H×W×3 → N×2H×2W×3, uint8."""
    run = _session() if is_available() else _module()
    step = max(1, _MOST_PIXELS // (images.shape[1] * images.shape[2]))
    parts = [
        run(np.moveaxis(images[at : at + step], 3, 1).astype(np.float32) / np.float32(255))
        for at in range(0, len(images), step)
    ]
    doubled: Images = np.moveaxis((np.concatenate(parts) * 255).round().clip(0, 255).astype(np.uint8), 1, 3)
    return doubled


@cache
def _session() -> _Network:
    """The network as onnxruntime runs it, which starts without importing torch."""
    session = open_session(PACKAGED.read_bytes())
    return lambda faces: np.asarray(session.run(["larger"], {"faces": faces})[0])


@cache
def _module() -> _Network:
    """The network as torch runs it."""
    import torch

    from nijigan.vision import upscaler

    net = upscaler.load()

    def run(faces: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            found: npt.NDArray[np.float32] = net(torch.from_numpy(np.ascontiguousarray(faces))).numpy()
        return found

    return run
