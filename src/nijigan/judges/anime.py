"""A compact network that embeds anime faces. It was trained only on such faces, not on ImageNet."""

import hashlib

import safetensors.torch
from torch import Tensor, nn

from nijigan.assets import ASSETS
from nijigan.tensors.unallocated import unallocated

RESOLUTION = 64
"""Height and width of the faces it was trained on, in pixels."""

WEIGHTS = ASSETS / "anime-features.safetensors"
"""The weights, made by `benchmarks/train_features.py`. Kernels are fp16, batch norm is fp32."""


def _convolution(inner: int, outer: int, kernel: int, stride: int = 1) -> nn.Sequential:
    padding = (kernel - stride + 1) // 2
    return nn.Sequential(nn.Conv2d(inner, outer, kernel, stride, padding, bias=False), nn.BatchNorm2d(outer))


class Block(nn.Module):
    """Two 3×3 convolutions with a shortcut (He et al., "Deep Residual Learning", CVPR 2016, figure 2)."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(inner, outer, 3, stride)
        self.second = _convolution(outer, outer, 3)
        self.shortcut = _convolution(inner, outer, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """N×inner×H×W → N×outer×H/stride×W/stride."""
        residual = self.second(self.first(x).relu())
        total: Tensor = residual + self.shortcut(x)
        return total.relu()


class AnimeNet(nn.Module):
    """Faces to embeddings: a stem and three residual stages at 32, 16, 8 and 4 px, then average pooling.

    It has 1.2 million parameters and takes 45 million multiply-adds per face.
    """

    size = 256
    """Dimensions of the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(3, 32, 4, 2)  # halves the size; with an even kernel every pixel is used equally often
        self.stages = nn.Sequential(Block(32, 64, 2), Block(64, 128, 2), Block(128, self.size, 2))

    def forward(self, faces: Tensor) -> Tensor:
        """Embed faces.

        Args:
            faces: float, N×3×64×64 in [0, 1].

        Returns:
            N×256, non-negative.
        """
        return self.with_stages(faces)[0]

    def with_stages(self, faces: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The embedding, as by `forward`, and the outputs of the stages: N×64×16×16, N×128×8×8 and N×256×4×4."""
        x, outputs = self.stem(faces * 2 - 1).relu(), []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return x.mean((2, 3)), outputs


def load() -> tuple[AnimeNet, str]:
    """The trained network, in fp32, and the SHA-256 of its file in hex."""
    data = WEIGHTS.read_bytes()
    with unallocated():  # no random initialisation, which would disturb a training in this process
        net = AnimeNet()
    net.load_state_dict({n: v.float() for n, v in safetensors.torch.load(data).items()}, assign=True)
    return net, hashlib.sha256(data).hexdigest()
