"""What the benchmarks of cost against size share: the machine in words, faces drawn on all cores, files of results."""

import io
import json
import os
import platform
import re
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from PIL import Image

from nijigan.procedural.faces import draw_face

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
"""Environment variables that switch off newer instructions, so that a machine computes as most laptops do."""

CHUNK = 500
"""Pictures that one process draws at a time; an even number."""


def machine() -> str:
    """The processor, its instructions, the cores that this process may use, and whether others use them too."""
    names = [line.partition(":")[2].strip() for line in _processor() if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    shared = ", shared" if hasattr(os, "getloadavg") and os.getloadavg()[0] > usable_cores() + 1 else ""
    return f"{name}, {instructions()}, {usable_cores()} of {os.cpu_count()} cores{shared}"


def instructions() -> str:
    """The instructions that torch uses on this machine: AVX2, AVX512 or AVX512-BF16, for example."""
    import torch  # late: processes that draw do not need it

    name: str = torch.backends.cpu.get_cpu_capability()
    newer = [
        mark
        for mark, flag in (("BF16", "avx512_bf16"), ("AMX", "amx_bf16"))
        if any(flag in line for line in _processor())
    ]
    return "-".join([name, *newer]) if name == "AVX512" else name


def forced() -> bool:
    """Whether newer instructions are switched off by `AVX2`."""
    return os.environ.keys() >= AVX2.keys()


def _processor() -> list[str]:
    """What Linux says about the processor."""
    details = Path("/proc/cpuinfo")
    return details.read_text(encoding="utf-8").splitlines() if details.exists() else []


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write(path: Path | None, rows: Sequence[dict[str, Any]], **about: Any) -> None:
    """Write the rows of a benchmark with the machine as JSON, one row a line; nothing without a path."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    head = json.dumps({"machine": machine(), **about})
    path.write_text(f'{head[:-1]}, "rows": [\n ' + ",\n ".join(map(json.dumps, rows)) + "\n]}\n")


def used() -> dict[str, float]:
    """CPU seconds and peak memory of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, ru_maxrss includes what the parent held when it started this process
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))[1]) / 1024
    else:
        peak = usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    return {"cpu_seconds": usage.ru_utime + usage.ru_stime, "megabytes": peak}


def pictures(count: int, cache: Path | None = None) -> Iterator[bytes]:
    """Distinct pictures as JPEG of quality 90: procedural faces, each followed by its mirror image.

    Args:
        count: the number of pictures.
        cache: an archive of drawn faces, named by their seeds. Default: draw them.
    """
    yield from chain.from_iterable(on_all_cores(_pictures, parts(count, cache)))


Part = tuple[int, int, Path | None]
"""The first picture of a part, the number of pictures in it, and the archive of drawn faces."""


def parts(count: int, cache: Path | None) -> list[Part]:
    """Divide so many pictures among processes."""
    return [(start, min(CHUNK, count - start), cache) for start in range(0, count, CHUNK)]


def on_all_cores(work: Callable[[Part], Any], todo: Sequence[Part]) -> Iterator[Any]:
    """`work` of each part, in order, each in one of as many processes as there are usable cores."""
    with ProcessPoolExecutor(usable_cores(), get_context("spawn")) as pool:
        for number, result in enumerate(pool.map(work, todo)):
            print(f"\rdrawn {number * CHUNK:,}", end="", file=sys.stderr, flush=True)
            yield result
    print(file=sys.stderr)


def _pictures(part: Part) -> list[bytes]:
    return [as_jpeg(picture, 90) for picture in draw(part)]


def draw(part: Part) -> Iterator[Image.Image]:
    """The pictures of a part."""
    start, count, cache = part
    for number in range(start, start + count):
        seed = number // 2
        face = Image.open(archive(cache).open(f"{seed}.jpg")) if cache else Image.fromarray(draw_face(seed, 64)[0])
        yield face.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if number % 2 else face.convert("RGB")


@lru_cache(1)
def archive(path: Path) -> ZipFile:
    """An archive that stays open: reading its directory takes long."""
    return ZipFile(path)


def as_jpeg(picture: Image.Image, quality: int) -> bytes:
    """A picture as JPEG."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
