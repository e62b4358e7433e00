"""Devices, processes and precision: everything that depends on the machine."""

import ctypes
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nijigan.errors import UserError, check
from nijigan.recipe.recipe import Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # imports torchmetrics and matplotlib

log = logging.getLogger("nijigan")

_PATIENCE = timedelta(hours=24)
"""How long processes wait for the first, which may judge many faces or teach a reader. One that dies is noticed."""

_SIZE = 512  # side of the matrices that show whether bf16 is fast on a CPU
_AMPERE = 8  # the first compute capability with fast bf16
_MOST_NODES = 10_000


def launch(device: str, devices: int = 1, nodes: int = 1) -> "Fabric":
    """Start the processes of a run; the code after this call runs in each of them.

    Fabric launches, places and communicates. The trainer averages gradients itself: a wrapper around D would break on
    its two forward passes per update.

    Args:
        device: auto, cpu, cuda or mps.
        devices: processes on each node.
        nodes: machines; each is started with the same command by the cluster's scheduler.

    Raises:
        UserError: there is no such device here, or the numbers are out of range.
    """
    _check_counts(device, devices, nodes)
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
    if not fabric.is_global_zero:
        logging.getLogger("nijigan").setLevel(logging.ERROR)  # one process logs for all
    return fabric


def _check_counts(device: str, devices: int, nodes: int) -> None:
    cores = max(2, os.cpu_count() or 1)
    check(devices >= 1, f"--devices is {devices}; it must be at least 1.")
    check(1 <= nodes <= _MOST_NODES, f"--nodes is {nodes}; choose 1 to {_MOST_NODES:,}.")
    check(
        devices <= cores,
        f"--devices is {devices}, but this machine has {cores} cores, and each process needs one; choose fewer.",
    )


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """Turn `auto` into bf16 where it is fast, else fp32.

    On CUDA it is fast from compute capability 8.0 (Ampere) on. A measurement would mislead there: launching a small
    product takes longer than computing it. On other devices a product of matrices is timed, and bf16 is chosen if it
    is at least 1.5 times as fast as fp32.

    Raises:
        UserError: fp16 on a CPU, which has no fast arithmetic for it.
    """
    if precision == "fp16" and device.type == "cpu":
        raise UserError("fp16 is slow and overflows on a CPU; use --precision bf16, fp32 or auto.")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device)[0] >= _AMPERE else "fp32"
    return "bf16" if _bf16_is_fast(device) else "fp32"


@cache
def _bf16_is_fast(device: torch.device) -> bool:
    """Measured once in a process, so that all runs of a sweep get the same answer."""
    log.info("Comparing the speed of bf16 and fp32 on this device.")
    try:
        fp32, bf16 = (_matmul_seconds(dtype, device) for dtype in (torch.float32, torch.bfloat16))
    except (RuntimeError, TypeError):  # a device without bf16
        return False
    return fp32 >= 1.5 * bf16


def total_memory(device: torch.device) -> int | None:
    """The memory that `device` has, in bytes; None if the system does not tell.

    On a CPU it is the machine's memory and swap, or less where a control group or `ulimit -v` sets a limit.
    """
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    limits = [_physical_memory(), _control_group_limit(), _address_space_limit()]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _physical_memory() -> int | None:
    """RAM and swap."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kib = {key: int(rest.split()[0]) for key, _, rest in (line.partition(":") for line in lines) if rest}
        return 1024 * (kib["MemTotal"] + kib["SwapTotal"])
    except (OSError, KeyError, ValueError):  # not Linux
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return None


def _control_group_limit() -> int | None:
    """The limit of a container or a job: control groups, version 2 or 1."""
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # not there, or "max"
            return int(Path(file).read_text(encoding="ascii"))
    return None


def _address_space_limit() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else int(limit)


def memory_format(device: torch.device) -> torch.memory_format:
    """Channels last where convolutions are faster with it."""
    return torch.preserve_format if device.type == "mps" else torch.channels_last


def device_name(device: torch.device) -> str:
    """The device as its maker calls it, if torch knows, such as `NVIDIA H200`; otherwise its type."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory, up to 2 GiB, for the next round, which asks for the same blocks again.

    By default glibc returns large blocks to the system at once. A round of the 64 px DCGAN then takes 30,000 page
    faults and 25 % more time. The setting concerns the whole process, so only the command line calls this.

    Returns:
        Whether it is set. False on other systems, and if glibc refuses it.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries than glibc may lack it
    if mallopt is None:
        return False
    trim_threshold, most_mmaps = -1, -4  # as <malloc.h> numbers them
    # A block with a mapping of its own is unmapped when it is freed. A threshold for them could be 32 MiB at most, but
    # in fp32 one map of a batch of 128 is as large as that.
    return bool(mallopt(most_mmaps, 0)) and bool(mallopt(trim_threshold, 2**31 - 1))


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
