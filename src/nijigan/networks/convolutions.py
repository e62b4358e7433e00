"""Convolutions that pick, pass by pass, the fastest way to compute themselves on the device at hand.

They are torch's layers with the same weights. On CPUs, training in fp32 uses `nijigan.networks.winograd`, and training
in bf16 the gradients of `nijigan.networks.strided_gradients`, where that measures faster. Pictures that are generated
without gradients, and all other devices, use torch's own kernels.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, interpolate

from nijigan.networks import strided_gradients, winograd
from nijigan.networks.winograd import Tiling

_PAIRS = 64**2
"""With fewer pairs of input and output channels, the transforms of a map cost more than the products that they save.
They move memory, which threads share, so that with t threads it takes t² times as many."""
_TILES = 64
"""With fewer tiles in a batch, times the threads, the transforms of the weights cost more than they save."""
_POSITIONS = 1024
"""With fewer positions in a batch of maps to enlarge, folding the weights costs more than it saves."""
_SUMS = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Along one side, the four taps of a transposed convolution as sums of the three taps of one that sees all twice."""
_FOLD = torch.kron(_SUMS, _SUMS).T.contiguous()  # 9×16


class Conv3(nn.Conv2d):
    """N×inner×H×W → N×outer×H×W: a 3×3 convolution with padding 1."""

    def __init__(self, inner: int, outer: int, bias: bool = True) -> None:
        super().__init__(inner, outer, 3, 1, 1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the convolution."""
        return convolve3(input, self.weight, self.bias)


def convolve3(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """N×C×H×W features and O×C×3×3 weights → N×O×H×W, with padding 1."""
    if tiling := _tiling(features, weight, features.shape[2:], stride=1):
        return winograd.convolve(features, weight, bias, tiling, transposed=False)
    return conv2d(features, weight, bias, padding=1)


class EnlargeConv3(Conv3):
    """N×inner×H×W → N×outer×2H×2W: every position repeated twice along each side, then a 3×3 convolution.

    Five of the nine positions that a kernel then sees are repetitions. Where it pays, weights that meet the same
    position are summed first: the layer becomes a transposed 4×4 convolution with stride 2, with four products in place
    of nine, in half the time. So it is while training on CPUs, and in an ONNX file, whose reader sums the weights once.
    Generating with torch keeps to the nine products, so that a face does not depend on its batch.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Enlarge, and apply the convolution."""
        learning = _learning(input, self.weight) and not torch.compiler.is_compiling()  # exports have any batch size
        if learning and _is_exact() and len(input) * input.shape[2] * input.shape[3] >= _POSITIONS:
            return _double(input, _folded(self.weight), self.bias)
        if torch.onnx.is_in_onnx_export():
            return conv_transpose2d(input, _folded(self.weight), self.bias, 2, 1)
        return super().forward(interpolate(input, scale_factor=2.0))


def _folded(weight: Tensor) -> Tensor:
    """O×C×3×3 weights for an enlarged map → C×O×4×4 for the transposed convolution that gives the same, in fp32."""
    with torch.autocast("cpu", enabled=False):  # one rounding, later, as for other weights
        return (weight.flatten(2) @ _FOLD.to(weight)).view(*weight.shape[:2], 4, 4).transpose(0, 1)


class Halve(nn.Conv2d):
    """N×inner×2H×2W → N×outer×H×W: a 4×4 convolution with stride 2 and padding 1."""

    def __init__(self, inner: int, outer: int, bias: bool) -> None:
        super().__init__(inner, outer, 4, 2, 1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the convolution."""
        weight = self.weight  # read once: with spectral norm, each reading is a step of its power iteration
        if input.shape[2] % 2 == input.shape[3] % 2 == 0:
            if tiling := _tiling(input, weight, torch.Size(side // 2 for side in input.shape[2:]), stride=2):
                return winograd.convolve(input, weight, self.bias, tiling, transposed=False)
            if strided_gradients.pay(input, self.out_channels, input.shape[3]):
                return strided_gradients.convolve(input, weight, self.bias, transposed=False)
        return conv2d(input, weight, self.bias, stride=2, padding=1)


class Double(nn.ConvTranspose2d):
    """N×inner×H×W → N×outer×2H×2W: a transposed 4×4 convolution with stride 2 and padding 1."""

    def __init__(self, inner: int, outer: int, bias: bool) -> None:
        super().__init__(inner, outer, 4, 2, 1, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Apply the transposed convolution."""
        if output_size is None:
            return _double(input, self.weight, self.bias)
        return super().forward(input, output_size)


def _double(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """N×C×H×W features and C×O×4×4 weights → N×O×2H×2W, by a transposed convolution with stride 2 and padding 1."""
    if tiling := _tiling(features, weight, features.shape[2:], stride=2):
        return winograd.convolve(features, weight, bias, tiling, transposed=True)
    if strided_gradients.pay(features, len(weight), 2 * features.shape[3]):
        return strided_gradients.convolve(features, weight, bias, transposed=True)
    return conv_transpose2d(features, weight, bias, 2, 1)


def _tiling(features: Tensor, weight: Tensor, small: torch.Size, stride: int) -> Tiling | None:
    """The tiles that make this pass faster than torch's kernels; None if none do. `small` are the smaller map's sides.

    Measured with AVX2 and one and two threads, on maps of 4 to 64 pixels and batches of 8 to 128 (LOG.md). A third of
    the gain is in the gradient of the weights: where they are frozen, torch's kernels are as fast.
    """
    learning = _learning(features, weight)
    in_fp32 = features.dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
    threads = torch.get_num_threads()
    if not (learning and in_fp32) or weight.shape[0] * weight.shape[1] < _PAIRS * threads**2:
        return None
    for m in (4, 2):
        fits = all(side % m == 0 for side in small)
        if fits and len(features) * small.numel() // m**2 >= _TILES * threads:
            return Tiling(m, r=weight.shape[2] // stride, stride=stride)
    return None


def _is_exact() -> bool:
    """Whether transposed convolutions sum in fp32. In bf16, torch sums in bf16 on CPUs that have no kernels for it."""
    return not torch.is_autocast_enabled("cpu") or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _learning(features: Tensor, weight: Tensor) -> bool:
    """Whether this pass trains the weights on a CPU, or estimates the memory that takes."""
    return torch.is_grad_enabled() and weight.requires_grad and features.device.type in ("cpu", "meta")
