"""What the routes of one server share: its models, what draws with them, its limits and where ratings go."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
from fastapi import HTTPException, Request

from nijigan.aliases import Codes, Images
from nijigan.errors import UserError
from nijigan.generator.latents import Latents
from nijigan.studio.drawing import Engine
from nijigan.studio.metrics import Metrics
from nijigan.studio.models import Model
from nijigan.studio.problems import CLIENT_GONE, BusyError

T = TypeVar("T")
P = ParamSpec("P")

_THREADS = 2
"""They prepare and encode while the engines draw."""
_LARGE = 1 << 20
"""Pixels of an answer that are encoded in a thread of their own kind, so that small answers need not wait for it."""


@dataclass(frozen=True)
class Limits:
    """How much the server accepts."""

    faces: int = 256
    """Faces in one request."""
    pixels: int = 1 << 24
    """Pixels of all faces of one request, enlarged: 256 faces of 256 px."""
    frames: int = 512
    """Frames of one animation."""
    film_pixels: int = 1 << 25
    """Pixels of all frames of one animation, enlarged."""
    body: int = 1_000_000
    """Bytes of a request's body."""
    waiting: int = 256
    """Requests that wait or are being drawn."""
    waiting_pixels: int = 1 << 26
    """Pixels of these requests."""


class Studio:
    """The state of one server. Its methods are for the thread of the event loop.

    Args:
        models: the models, 1 or more; the first is the one that requests get if they name none.
        ratings: the folder for the votes.
        limits: how much the server accepts.
        batching: draw requests together that wait together.
        runs: run folders to watch, by the names that their pages have.
    """

    def __init__(
        self,
        models: Sequence[Model],
        ratings: Path = Path("ratings"),
        *,
        limits: Limits | None = None,
        batching: bool = True,
        runs: Mapping[str, Path] | None = None,
    ) -> None:
        self.models = tuple(models)
        self.ratings = ratings
        self.limits = limits or Limits()
        self.runs = dict(runs or {})
        self.metrics = Metrics()
        self.engines = {
            model.name: Engine(model.generator, batching=batching, after_batch=partial(self._count, model.name))
            for model in self.models
        }
        self._pool = ThreadPoolExecutor(_THREADS, "nijigan-encoding")
        self._slow_pool = ThreadPoolExecutor(1, "nijigan-encoding-large")
        self._search_pool = ThreadPoolExecutor(1, "nijigan-inversion")
        self._waiting = self._pixels = 0

    def model(self, name: str | None = None) -> Model:
        """Find a model by its name or the hash of its weights. Default: the first.

        Raises:
            UserError: there is none; the message names some that exist.
        """
        for model in self.models:
            if name in (None, model.name, model.weights):
                return model
        known = ", ".join(model.name for model in self.models[:8])
        raise UserError(f"There is no model {ascii(name)[:80]}; choose {known}.")

    @contextmanager
    def admitted(self, pixels: int) -> Iterator[None]:
        """Count a request as waiting.

        Args:
            pixels: the pixels that it asks for.

        Raises:
            BusyError: too much is waiting already.
        """
        limits = self.limits
        if self._waiting >= limits.waiting or (self._waiting and self._pixels + pixels > limits.waiting_pixels):
            raise BusyError
        self._add(1, pixels)
        try:
            yield
        finally:
            self._add(-1, -pixels)

    def _add(self, requests: int, pixels: int) -> None:
        self._waiting += requests
        self._pixels += pixels
        self.metrics.queue.set(self._waiting)
        self.metrics.pixels.set(self._pixels)

    async def draw(self, model: Model, latents: Latents, codes: Codes, psi: Sequence[float]) -> Images:
        """Draw faces when it is their turn; cancelled, it withdraws them.

        Args:
            model: one of the models.
            latents: float32, N×size.
            codes: int64, N×A, as `Generator.codes` returns them.
            psi: the truncation of each face, N.

        Returns:
            Uint8, N×H×W×3.

        Raises:
            UserError: the model does not support a truncation, or the weights are so large that a pixel is no number.
        """
        engine, truncations = self.engines[model.name], np.asarray(psi, np.float64)
        rows = [np.flatnonzero(truncations == value) for value in dict.fromkeys(psi)]
        drawn = [engine.draw(latents[row], codes[row], psi[row[0]]) for row in rows]
        parts = await asyncio.gather(*map(asyncio.wrap_future, drawn))
        if len(parts) == 1:
            return parts[0]
        images = np.empty((len(psi), *parts[0].shape[1:]), np.uint8)
        for row, part in zip(rows, parts, strict=True):
            images[row] = part
        return images

    async def aside(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Call a function that takes milliseconds in another thread, so that the server keeps answering."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(function, *args, **options))

    async def encode(self, pixels: int, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Call a function that takes longer with more pixels in another thread."""
        pool = self._pool if pixels < _LARGE else self._slow_pool
        return await asyncio.get_running_loop().run_in_executor(pool, partial(function, *args, **options))

    async def search(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Call a function that takes seconds, one at a time."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._search_pool, partial(function, *args, **options))

    def close(self) -> None:
        """Withdraw what waits, and end the threads."""
        for engine in self.engines.values():
            engine.close()
        for pool in (self._pool, self._slow_pool, self._search_pool):
            pool.shutdown(wait=True, cancel_futures=True)

    def _count(self, name: str, faces: int) -> None:
        self.metrics.faces.labels(name).inc(faces)
        self.metrics.batches.labels(name).observe(faces)


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Wait for work, but give it up if the client leaves.

    Raises:
        HTTPException: the client has left.
    """
    async with _task(work) as working, _task(_departure(request)) as leaving:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise HTTPException(CLIENT_GONE, "The client has left.")


@asynccontextmanager
async def _task(work: Awaitable[T]) -> AsyncIterator["asyncio.Future[T]"]:
    """A task that is cancelled at the end, if it has not ended itself."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _departure(request: Request) -> None:
    """Return when the client has left; the body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
