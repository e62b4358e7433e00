"""What networks consist of: each layer's output, parameters and operations, as one pass meets them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.flop_counter import FlopCounterMode

from nijigan.networks.blocks import MinibatchStddev, ModulatedNorm
from nijigan.networks.convolutions import EnlargeConv3
from nijigan.networks.style import Equalised, Modulation

Shape = tuple[int, ...]

_NAMES: dict[type[nn.Module], Callable[[nn.Module], str]] = {
    nn.BatchNorm2d: lambda _: "batch norm",
    nn.GroupNorm: lambda layer: "layer norm" if layer.num_groups == 1 else "instance norm",
    nn.ReLU: lambda _: "ReLU",
    nn.LeakyReLU: lambda layer: f"leaky ReLU {layer.negative_slope:g}",
    nn.Tanh: lambda _: "tanh",
    nn.Sigmoid: lambda _: "sigmoid",
    nn.Dropout2d: lambda layer: f"dropout of channels, {layer.p:g}",
    nn.Upsample: lambda layer: f"{layer.mode} ×{layer.scale_factor:g}",
    nn.PixelShuffle: lambda layer: f"pixel shuffle ×{layer.upscale_factor}",
    nn.AvgPool2d: lambda layer: f"average pool {layer.kernel_size}×{layer.kernel_size}",
    nn.Linear: lambda _: "linear",
    MinibatchStddev: lambda _: "minibatch standard deviation",
    ModulatedNorm: lambda _: "batch norm by latent",
    Modulation: lambda _: "leaky ReLU, norm by style",
}
_WHOLE = (ModulatedNorm, Modulation)  # one layer, although they are made of others


@dataclass(frozen=True)
class Layer:
    """One layer of a network."""

    name: str
    """Where it is in the network, as in the names of its weights."""
    kind: str
    """What it does, such as `conv 4×4, stride 2`."""
    output: Shape
    """Shape of its output for one image: C×H×W, or C."""
    parameters: int
    """Number of learnt numbers."""
    operations: int
    """Multiplications and additions for one image in convolutions and matrix products; all else costs next to
    nothing."""


def list_layers(network: nn.Module, inputs: Sequence[Tensor]) -> list[Layer]:
    """The layers of a network in the order in which a pass meets them.

    Numbers that belong to no layer, such as the constant from which some generators start, are listed as `constant`.

    Args:
        network: in evaluation mode; it may be on the device `meta`, without memory.
        inputs: those of one image, with a batch dimension.
    """
    found: list[Layer] = []
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad(), FlopCounterMode(display=False) as counter, _watched(network, found, counter):
        network(*inputs)
    return found


@contextmanager
def _watched(network: nn.Module, found: list[Layer], counter: FlopCounterMode) -> Iterator[None]:
    """While the block runs, append each layer to `found` when a pass has left it."""
    layers, handles, before = dict(_leaves(network)), [], dict[str, int]()

    def watch(name: str, layer: nn.Module) -> None:
        def enter(*_: object) -> None:
            before[name] = counter.get_total_flops()

        def leave(_: nn.Module, __: object, output: Tensor) -> None:
            operations = counter.get_total_flops() - before[name]
            found.append(Layer(name, kind_of(layer), tuple(output.shape[1:]), _count(layer), operations))

        handles.extend([layer.register_forward_pre_hook(enter), layer.register_forward_hook(leave)])

    for name, layer in layers.items():
        watch(name, layer)
    for name, constant in network.named_parameters():
        owner = name.rpartition(".")[0]
        if not any(f"{owner}.".startswith(f"{layer}.") for layer in layers):
            shape = tuple(constant.shape[constant.shape[0] == 1 :])
            row = Layer(name, "constant", shape, constant.numel(), 0)
            handles.append(
                network.get_submodule(owner).register_forward_pre_hook(lambda *_, row=row: found.append(row))
            )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    met = {layer.name for layer in found}
    for name in (name for name in layers if name not in met):  # only its weights are read, as proxies of classes are
        weights = [tuple(weight.shape) for weight in layers[name].parameters()]
        found.extend(Layer(name, "vectors to compare with", shape, prod(shape), 0) for shape in weights)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _leaves(network: nn.Module, start: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Layers by name: modules without others inside, and those that count as one. What does nothing is left out."""
    for name, module in network.named_children():
        full = f"{start}{name}"
        if isinstance(module, nn.Identity) or (isinstance(module, nn.Sequential) and not len(module)):
            continue
        if isinstance(module, _WHOLE) or parametrize.is_parametrized(module) or not any(module.children()):
            yield full, module
        else:
            yield from _leaves(module, f"{full}.")


def kind_of(layer: nn.Module) -> str:
    """What a layer does, in a few words."""
    spectral = ", spectral norm" if parametrize.is_parametrized(layer) else ""
    if isinstance(layer, Equalised):
        return "linear" if layer.weight.ndim == 2 else _convolution(layer.weight.shape[2], 1, 1)
    if isinstance(layer, nn.Embedding):
        return f"embedding of {layer.num_embeddings - 1} values or unknown"
    if isinstance(layer, EnlargeConv3):
        return f"nearest ×2, conv 3×3{spectral}"
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        text = _convolution(layer.kernel_size[0], layer.stride[0], layer.groups)
        return ("transposed " if isinstance(layer, nn.ConvTranspose2d) else "") + text + spectral
    for kind, name in _NAMES.items():
        if isinstance(layer, kind):
            return name(layer) + spectral
    return type(layer).__name__


def _convolution(kernel: int, stride: int, groups: int) -> str:
    stride_text = f", stride {stride}" if stride > 1 else ""
    return f"conv {kernel}×{kernel}{stride_text}" + (f", {groups} groups" if groups > 1 else "")
