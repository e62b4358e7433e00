"""Convolutions with fewer multiplications, for training in fp32 on CPUs.

Winograd's minimal filtering: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.
In one dimension, a filter of r taps over a tile of m outputs reads n = m+r-1 inputs d and needs n products:
y = Aᵀ[(G g) ⊙ (Bᵀ d)]. In two dimensions, an m×m tile needs n² products in place of m²r². For all tiles and channels at
once, these are n² products of matrices, which is where the time goes.

- A 3×3 convolution has r = 3. A tile of 4×4 needs 36 products in place of 144, one of 2×2 needs 16 in place of 36.
- A 4×4 convolution with stride 2 is a 2×2 convolution over the four phases of its input, so that r = 2. A tile of 4×4
  needs 25 products in place of 64, one of 2×2 needs 9 in place of 16.
- Its gradients are the transposes of the same maps, and have the same number of products. The gradient with respect to
  the input is also the transposed convolution.

Errors are those of fp32: about 2·10⁻⁶ of a result's standard deviation, from sums in another order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, pad

_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)
"""Where the polynomials are evaluated, beside infinity. Small numbers keep rounding errors small."""

_CHUNK = 2**21
"""Bytes that a map is transformed at a time, so that they stay in the cache between two steps."""


@dataclass(frozen=True)
class Tiling:
    """How a convolution with padding 1 is divided: m×m outputs per tile, kernels of (r·stride)² with that stride."""

    m: int
    r: int
    stride: int

    @property
    def n(self) -> int:
        """Inputs of a tile along one side, in each phase."""
        return self.m + self.r - 1


def convolve(features: Tensor, weight: Tensor, bias: Tensor | None, tiling: Tiling, transposed: bool) -> Tensor:
    """A convolution, or the transposed one, with padding 1; it can be differentiated twice.

    Args:
        features: fp32, N×C×H×W. The sides of the smaller of input and output are multiples of m.
        weight: O×C×k×k, where k = r·stride; C×O×k×k for the transposed convolution.
        bias: one number per output channel.
        tiling: the tiles; see the module's docstring.
        transposed: compute the transposed convolution.

    Returns:
        N×O×H'×W', with H' = H/stride, or H·stride for the transposed convolution.
    """
    convolved: Tensor = _Convolution.apply(features, weight, bias, tiling, transposed)  # type: ignore[no-untyped-call]
    return convolved


class _Convolution(torch.autograd.Function):
    """Both convolutions. `large` and `small` are the sides of the stride, `tiles` and `parts` their transforms."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, tiling: Tiling, transposed: bool
    ) -> Tensor:
        ctx.tiling, ctx.transposed = tiling, transposed
        if features.device.type == "meta":  # an estimate: arithmetic as in torch, and the memory of the transform
            transformed = features.new_empty(features.numel() * tiling.n**2 // tiling.m**2)
            convolved = (conv_transpose2d if transposed else conv2d)(features, weight, None, tiling.stride, 1)
        elif transposed:
            transformed = _expand(features, tiling)  # n²×T×S
            convolved = _collect(transformed @ _kernels(weight, tiling), features.shape, tiling)
        else:
            transformed = _spread(features, tiling)  # n²×T×L
            convolved = _contract(transformed @ _kernels(weight, tiling).mT, features.shape, tiling)
        ctx.save_for_backward(features, weight, transformed)
        return convolved if bias is None else convolved.add_(bias[:, None, None])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        features, weight, transformed = ctx.saved_tensors
        needs = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled() or gradient.device.type == "meta":
            # A gradient penalty will differentiate this gradient: torch knows how.
            first, second, third = _plain_backward(gradient, features, weight, ctx.tiling, ctx.transposed, needs)
            return first, second, third, None, None
        other = (_spread if ctx.transposed else _expand)(gradient, ctx.tiling)
        features_gradient = weight_gradient = None
        if needs[0]:
            kernels = _kernels(weight, ctx.tiling)
            if ctx.transposed:
                features_gradient = _contract(other @ kernels.mT, gradient.shape, ctx.tiling)
            else:
                features_gradient = _collect(other @ kernels, gradient.shape, ctx.tiling)
        if needs[1]:
            parts, tiles = (transformed, other) if ctx.transposed else (other, transformed)
            weight_gradient = _weights(parts.mT @ tiles, weight.shape, ctx.tiling)
        return features_gradient, weight_gradient, gradient.sum(dim=(0, 2, 3)) if needs[2] else None, None, None


def _plain_backward(
    gradient: Tensor, features: Tensor, weight: Tensor, tiling: Tiling, transposed: bool, needs: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    stride, padding, dilation, no_padding = [tiling.stride] * 2, [1, 1], [1, 1], [0, 0]
    bias_sizes = [gradient.shape[1]] if needs[2] else None
    gradients: tuple[Tensor | None, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
        gradient, features, weight, bias_sizes, stride, padding, dilation, transposed, no_padding, 1, needs
    )
    return gradients


@cache
def matrices(m: int, r: int) -> tuple[Tensor, Tensor, Tensor]:
    """A (n²×m²), B (n²×n²) and G (n²×r²) of an m×m tile and r×r taps, by the method of Toom and Cook.

    Polynomials of m and r coefficients are evaluated at n points, the last of which is infinity. Their products are
    values of a polynomial whose coefficients follow by the inverse of the evaluation. The filter is its transpose.
    """
    n = m + r - 1

    def evaluation(coefficients: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        finite = [[point**power for power in range(coefficients)] for point in _POINTS[: n - 1]]
        return np.array([*finite, [0.0] * (coefficients - 1) + [1.0]])

    one_sided = evaluation(m), np.linalg.inv(evaluation(n)).T, evaluation(r)
    a, b, g = (torch.from_numpy(np.kron(matrix, matrix)).float() for matrix in one_sided)
    return a, b, g


def _spread(large: Tensor, tiling: Tiling) -> Tensor:
    """The overlapping tiles of N×C×H×W, transformed by B: n²×T×(stride²·C), for T tiles."""
    n, m, stride = tiling.n, tiling.m, tiling.stride
    padded = pad(large.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    tiles = padded.unfold(1, stride * n, stride * m).unfold(2, stride * n, stride * m)  # N×ty×tx×C×(n·s)×(n·s)
    phases = torch.unflatten(torch.unflatten(tiles, 5, (n, stride)), 4, (n, stride)).permute(4, 6, 0, 1, 2, 5, 7, 3)
    return _transform(matrices(m, tiling.r)[1], phases, stride**2 * large.shape[1])


def _expand(small: Tensor, tiling: Tiling) -> Tensor:
    """The tiles of N×O×h×w, transformed by A: n²×T×O. The transpose of `_contract`."""
    m = tiling.m
    tiles = torch.unflatten(torch.unflatten(small.permute(0, 2, 3, 1), 2, (-1, m)), 1, (-1, m)).permute(
        2, 4, 0, 1, 3, 5
    )
    return _transform(matrices(m, tiling.r)[0], tiles, small.shape[1])


def _transform(matrix: Tensor, tiles: Tensor, channels: int) -> Tensor:
    """`matrix`, p×q², times q×q×N×...×channels: p×T×channels."""
    size = tiles[0, 0, 0].numel()
    transformed = tiles.new_empty(len(matrix), tiles.shape[2] * size)
    for start, stop in _chunks(tiles.shape[2], size * len(matrix)):
        flat = tiles[:, :, start:stop].reshape(matrix.shape[1], -1)
        torch.mm(matrix, flat, out=transformed[:, start * size : stop * size])
    return transformed.view(len(matrix), -1, channels)


def _contract(products: Tensor, large_shape: torch.Size, tiling: Tiling) -> Tensor:
    """Products, n²×T×O, to outputs of the convolution, N×O×h×w in channels last, by Aᵀ."""
    m, channels = tiling.m, products.shape[2]
    count, rows, columns = large_shape[0], *(side // (m * tiling.stride) for side in large_shape[2:])
    matrix, flat = matrices(m, tiling.r)[0].T, products.flatten(1)
    size = rows * columns * channels
    outputs = _channels_last(products, (count, channels, rows * m, columns * m))
    tiled = outputs.permute(0, 2, 3, 1).view(count, rows, m, columns, m, channels)
    for start, stop in _chunks(count, size * len(products)):
        tiles = (matrix @ flat[:, start * size : stop * size]).view(m, m, -1, rows, columns, channels)
        tiled[start:stop] = tiles.permute(2, 3, 0, 4, 1, 5)
    return outputs


def _collect(products: Tensor, small_shape: torch.Size, tiling: Tiling) -> Tensor:
    """Products, n²×T×(stride²·C), to N×C×H×W in channels last: Bᵀ, then the sum of overlapping tiles.

    The transpose of `_spread`.
    """
    n, m, stride, over = tiling.n, tiling.m, tiling.stride, tiling.r - 1
    channels = products.shape[2] // stride**2
    count, rows, columns = small_shape[0], *(side // m for side in small_shape[2:])
    matrix, flat = matrices(m, tiling.r)[1].T, products.flatten(1)
    size = rows * columns * products.shape[2]
    padded = products.new_empty(count, rows + 1, m, stride, columns + 1, m, stride, channels)
    padded[:, rows:].zero_()
    padded[:, :rows, :, :, columns:].zero_()
    for start, stop in _chunks(count, size * len(products)):
        tiles = matrix @ flat[:, start * size : stop * size]
        tiles = tiles.view(n, n, -1, rows, columns, stride, stride, channels).permute(2, 3, 0, 5, 4, 1, 6, 7)
        part = padded[start:stop]
        part[:, :rows, :, :, :columns] = tiles[:, :, :m, :, :, :m]
        part[:, 1:, :over, :, :columns] += tiles[:, :, m:, :, :, :m]  # the last rows belong to the next tile too
        part[:, :rows, :, :, 1:, :over] += tiles[:, :, :m, :, :, m:]
        part[:, 1:, :over, :, 1:, :over] += tiles[:, :, m:, :, :, m:]
    height, width = rows * m * stride, columns * m * stride
    plane = padded.view(count, height + m * stride, width + m * stride, channels)[:, 1 : 1 + height, 1 : 1 + width]
    return _channels_last(products, (count, channels, height, width)).copy_(plane.permute(0, 3, 1, 2))


def _kernels(weight: Tensor, tiling: Tiling) -> Tensor:
    """O×C×k×k weights, transformed by G: n²×O×(stride²·C)."""
    r, stride = tiling.r, tiling.stride
    taps = torch.unflatten(torch.unflatten(weight, 3, (r, stride)), 2, (r, stride)).permute(
        2, 4, 0, 3, 5, 1
    )  # r×r×O×s×s×C
    matrix = matrices(tiling.m, r)[2]
    return (matrix @ taps.reshape(r * r, -1)).view(len(matrix), weight.shape[0], -1)


def _weights(kernels: Tensor, shape: torch.Size, tiling: Tiling) -> Tensor:
    """The transpose of `_kernels`: n²×O×(stride²·C) to O×C×k×k in channels last."""
    r, stride = tiling.r, tiling.stride
    taps = matrices(tiling.m, r)[2].T @ kernels.flatten(1)
    weights = taps.view(r, r, shape[0], stride, stride, shape[1]).permute(2, 0, 3, 1, 4, 5)
    return weights.reshape(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2)


def _channels_last(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """An uninitialised tensor that is no view of another one: an activation in place may follow."""
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _chunks(images: int, numbers: int) -> Iterator[tuple[int, int]]:
    """Where parts of a batch begin and end whose transforms, `numbers` fp32 numbers an image, fit into `_CHUNK`."""
    step = max(1, _CHUNK // (4 * numbers))
    for start in range(0, images, step):
        yield start, min(start + step, images)
