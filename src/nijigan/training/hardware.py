"""Devices, processes and precision: everything that depends on the machine."""

import ctypes
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch

from nijigan.errors import UserError
from nijigan.recipe.recipe import Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # imports torchmetrics and matplotlib

_PATIENCE = timedelta(hours=24)
"""How long processes wait for the first, which may judge many faces or teach a reader. One that dies is noticed."""

_SIZE = 512  # side of the matrices that show whether bf16 is fast


def launch(device: str, devices: int = 1, nodes: int = 1) -> "Fabric":
    """Start the processes of a run; the code after this call runs in each of them.

    Fabric launches, places and communicates. The trainer averages gradients itself: a wrapper around D would break on
    its two forward passes per update.

    Args:
        device: auto, cpu, cuda or mps.
        devices: processes on each node.
        nodes: machines; each is started with the same command by the cluster's scheduler.

    Raises:
        UserError: there is no such device here.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        strategy = DDPStrategy(timeout=_PATIENCE) if devices * nodes > 1 else "auto"
        fabric = Fabric(accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy)
    except (MisconfigurationException, ImportError, RuntimeError, ValueError) as error:
        raise UserError(
            f"Cannot use {devices} × {device} here: {str(error).splitlines()[0]} Try --device auto."
        ) from error
    fabric.launch()
    if fabric.device.type == "cpu":
        _keep_freed_memory()
    if not fabric.is_global_zero:
        logging.getLogger("nijigan").setLevel(logging.ERROR)  # one process logs for all
    return fabric


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """Turn `auto` into bf16 where multiplying matrices in it is at least 1.5 times as fast as in fp32, else fp32.

    Raises:
        UserError: fp16 on a CPU, which has no fast arithmetic for it.
    """
    if precision == "fp16" and device.type == "cpu":
        raise UserError("fp16 is slow and overflows on a CPU; use --precision bf16, fp32 or auto.")
    if precision != "auto":
        return precision
    try:
        return (
            "bf16"
            if _matmul_seconds(torch.float32, device) >= 1.5 * _matmul_seconds(torch.bfloat16, device)
            else "fp32"
        )
    except (RuntimeError, TypeError):  # a device without bf16
        return "fp32"


def memory_format(device: torch.device) -> torch.memory_format:
    """Channels last where convolutions are faster with it."""
    return torch.preserve_format if device.type == "mps" else torch.channels_last


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _keep_freed_memory() -> None:
    """Let glibc keep freed memory, up to 2 GiB, for the next round, which asks for the same blocks again.

    By default glibc returns large blocks to the system at once. A round of the 64 px DCGAN then takes 30,000 page
    faults and 25 % more time.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries than glibc may lack it
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3  # as <malloc.h> numbers them
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_threshold, 2**30)


def _matmul_seconds(dtype: torch.dtype, device: torch.device) -> float:
    matrix = torch.ones(_SIZE, _SIZE, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(5):
        synchronise(device)
        start = time.perf_counter()
        for _ in range(4):
            matrix @ matrix
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return best


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Leave the caller's random state as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
