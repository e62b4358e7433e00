"""A generator as a module of torch, which draws on any device."""

from typing import Any

import numpy as np
import torch
from torch import nn

from nijigan.aliases import Codes, Images
from nijigan.errors import UserError
from nijigan.generator.header import GeneratorHeader
from nijigan.generator.latents import Latents
from nijigan.tensors.numerics import full_precision

_MOST_PIXELS = 64 * 256**2  # in one pass through the network
_MOST_PIXELS_ON_CPU = 8 * 64**2  # more would leave the cache between two layers, and take half as long again


def draw(
    module: nn.Module, header: GeneratorHeader, latents: Latents, codes: Codes, psi: float, batch_size: int
) -> Images:
    """Generate faces: float32 N×size latents and int64 N×A codes → uint8 N×H×W×3.

    ψ applies to styles; other generators need truncated latents.

    Raises:
        UserError: a pixel is not a number.
    """
    device = next(module.parameters()).device
    most = _MOST_PIXELS_ON_CPU if device.type == "cpu" else _MOST_PIXELS
    step = min(batch_size, max(1, most // header.resolution**2))
    options: dict[str, Any] = {"psi": psi} if header.generator.kind == "style" else {}
    pictures = np.empty((len(latents), header.resolution, header.resolution, 3), np.uint8)
    for start in range(0, len(latents), step):
        inputs = [torch.from_numpy(latents[start : start + step]).to(device)]
        if header.attributes:
            inputs.append(torch.from_numpy(codes[start : start + step].astype(np.int64)).to(device))
        with torch.inference_mode(), full_precision(device.type):
            pictures[start : start + step] = _to_uint8(module(*inputs, **options), header.generator.output)
    return pictures


def _to_uint8(images: torch.Tensor, output: str) -> Images:
    """N×3×H×W in the range of a network's output, tanh or sigmoid, to uint8 N×H×W×3."""
    if not images.isfinite().all():
        raise UserError(
            "This generator produces pixels that are not numbers; its training diverged or its file is damaged."
        )
    scaled = images * 127.5 + 127.5 if output == "tanh" else images * 255
    rounded: Images = scaled.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return rounded
