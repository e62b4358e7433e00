"""A generator as a module of torch, which draws on any device."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from nijigan.aliases import Codes
from nijigan.generator.header import GeneratorHeader
from nijigan.generator.latents import Latents
from nijigan.tensors.numerics import full_precision


class TorchNetwork:
    """Draws faces on the device of `module`, which `header` describes."""

    def __init__(self, module: nn.Module, header: GeneratorHeader) -> None:
        self._module, self._header = module, header
        self._device = next(module.parameters()).device
        self.on_cpu = self._device.type == "cpu"

    def run(self, latents: Latents, codes: Codes, psi: float) -> npt.NDArray[np.float32]:
        """One pass: float32 N×size latents and int64 N×A codes → N×3×H×W in the range of the network's output.

        ψ applies to styles; other generators need truncated latents.
        """
        inputs = [torch.from_numpy(latents).to(self._device)]
        if self._header.attributes:
            inputs.append(torch.from_numpy(codes).to(self._device))
        options: dict[str, Any] = {"psi": psi} if self._header.styled else {}
        with torch.inference_mode(), full_precision(self._device.type):
            images: npt.NDArray[np.float32] = self._module(*inputs, **options).cpu().numpy()
        return images
