"""Context managers that set the precision of the networks' arithmetic and restore it on exit.

A GPU from Ampere on multiplies fp32 matrices in TF32 where it is allowed to: 10 bits of mantissa instead of 23. For the
updates of a training that is accurate enough, and several times as fast. It is too coarse for second derivatives, and
two devices would no longer generate the same picture: penalties and everything that generates for users run in
`full_precision`.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch


@contextmanager
def fast_numerics(device_type: str) -> Iterator[None]:
    """For the updates of a training: TF32 for fp32 products, and cuDNN's fastest algorithm for the shapes at hand.

    Both exist on CUDA devices; elsewhere nothing changes.
    """
    with _settings(tf32=True, benchmark=True) if device_type == "cuda" else nullcontext():
        yield


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """For penalties and for pictures: fp32 products are computed in full fp32, regardless of the surrounding code.

    Whether a backward pass uses TF32 is decided when it runs, so it belongs inside the block too.

    Args:
        device_type: where autocast is switched off: cpu, cuda or mps.
    """
    with _settings(tf32=False, benchmark=torch.backends.cudnn.benchmark), torch.autocast(device_type, enabled=False):
        yield


def autocast_device(device: torch.device) -> str:
    """The device type for `torch.autocast`, which does not know `meta`, the device of tensors without content."""
    return "cpu" if device.type == "meta" else device.type


@contextmanager
def _settings(tf32: bool, benchmark: bool) -> Iterator[None]:
    cudnn = torch.backends.cudnn
    was_benchmark, cudnn.benchmark = cudnn.benchmark, benchmark
    try:
        with _newer_switches(tf32) if _newer_switches_are_used() else _older_switches(tf32):
            yield
    finally:
        cudnn.benchmark = was_benchmark


def _newer_switches_are_used() -> bool:
    """Whether the caller has set `fp32_precision` somewhere: torch then refuses to answer for the older switches."""
    try:
        torch.get_float32_matmul_precision()
        return not isinstance(torch.backends.cudnn.allow_tf32, bool)
    except RuntimeError:
        return True


@contextmanager
def _older_switches(tf32: bool) -> Iterator[None]:
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32 = before[1]


@contextmanager
def _newer_switches(tf32: bool) -> Iterator[None]:
    backends: Any = torch.backends
    switches = [backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv]
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch in switches:
            switch.fp32_precision = "tf32" if tf32 else "ieee"
        yield
    finally:
        for switch, precision in zip(switches, before, strict=True):
            switch.fp32_precision = precision
