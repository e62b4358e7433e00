"""Drawing faces for many clients at once: one thread per model, and one pass for the requests that wait together."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

from nijigan.aliases import Codes, Images
from nijigan.generator.generator import Generator
from nijigan.generator.latents import Latents, truncate

MOST_TOGETHER = 32
"""Faces in one batch: more would only delay who comes next."""
SHARE = 8
"""Faces of a request for more than a batch in one batch, while others wait: it delays small ones by little."""

_Part = tuple["_Job", slice]


class _Job:
    """What one request needs drawn, and what is drawn of it."""

    def __init__(self, latents: Latents, codes: Codes, psi: float, resolution: int) -> None:
        self.latents, self.codes, self.psi = latents, codes, psi
        self.images: Images = np.empty((len(latents), resolution, resolution, 3), np.uint8)
        self.taken = self.drawn = 0
        self.future: Future[Images] = Future()

    def take(self, most: int) -> slice:
        """Choose the next faces to draw, at most `most`."""
        part = slice(self.taken, min(len(self.latents), self.taken + most))
        self.taken = part.stop
        return part

    def keep(self, part: slice, images: Images) -> None:
        """Store faces that are drawn; the last ones complete the job."""
        self.images[part] = images
        self.drawn += part.stop - part.start
        if self.drawn == len(self.latents) and self.future.set_running_or_notify_cancel():
            self.future.set_result(self.images)

    def fail(self, error: Exception) -> None:
        """End the job without its faces."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class Engine:
    """Draws the faces of one generator in a thread of its own.

    Requests that wait while a batch is drawn form the next batch. A face is the same in every batch within 1/255: a
    network in evaluation mode treats the faces of a batch independently. With onnxruntime on one thread, the packaged
    generator's faces are equal to the bit in batches of 1 to 64.

    Args:
        generator: the generator. Nothing else may draw with it while the engine is open.
        batching: draw several requests together. Without, one request is drawn after the other.
        after_batch: called in the thread with the number of faces of each batch.
    """

    def __init__(
        self, generator: Generator, *, batching: bool = True, after_batch: Callable[[int], None] | None = None
    ) -> None:
        self._generator, self._batching, self._after_batch = generator, batching, after_batch
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="nijigan-drawing", daemon=True)
        self._thread.start()

    def draw(self, latents: Latents, codes: Codes, psi: float) -> "Future[Images]":
        """Draw the faces of given latents when it is their turn; cancel the result to withdraw them.

        Args:
            latents: float32, N×size.
            codes: int64, N×A, as `Generator.codes` returns them.
            psi: truncation: see `Generator.synthesise`.

        Returns:
            Uint8, N×H×W×3. The errors of `Generator.synthesise` are raised by the result, others here.

        Raises:
            UserError: this generator does not support the truncation.
            RuntimeError: the engine is closed.
        """
        header = self._generator.header
        self._generator.check_psi(psi)
        if not header.styled:  # as `synthesise` does it; requests that differ only in ψ may then be drawn together
            latents, psi = truncate(latents, psi, header.latent.prior), 1.0
        job = _Job(latents, codes, psi, header.resolution)
        with self._changed:
            if self._closed:
                raise RuntimeError("The engine is closed.")
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def close(self, seconds: float = 5.0) -> None:
        """Withdraw all that waits, and wait for the thread to finish its batch."""
        with self._changed:
            self._closed = True
            for job in self._jobs:
                job.future.cancel()
            self._jobs.clear()
            self._changed.notify()
        self._thread.join(seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._jobs or self._closed):
                    self._changed.wait()
                if self._closed:
                    return
                parts = self._take()
            if not parts:  # what waited has been withdrawn
                continue
            self._draw(parts)
            if self._after_batch:
                self._after_batch(sum(part.stop - part.start for _, part in parts))

    def _take(self) -> list[_Part]:
        """The next batch. Requests are taken in their order; a large one gives way to others after a share.

        All faces have the same ψ.
        """
        parts: list[_Part] = []
        large: list[_Job] = []
        cut: list[_Job] = []
        room = MOST_TOGETHER
        for _ in range(len(self._jobs)):
            job = self._jobs.popleft()
            if job.future.done():  # withdrawn, or failed
                continue
            if parts and (job.psi != parts[0][0].psi or room <= 0 or not self._batching):
                self._jobs.append(job)
                continue
            is_large = len(job.latents) > MOST_TOGETHER
            alone = not (parts or self._jobs)
            most = min(room, SHARE if is_large and not alone else room) if self._batching else len(job.latents)
            part = job.take(most)
            parts.append((job, part))
            room -= part.stop - part.start
            if job.taken < len(job.latents):
                (large if is_large else cut).append(job)
        self._jobs.extendleft(cut)  # at most one: the batch was full
        self._jobs.extend(large)
        return parts

    def _draw(self, parts: list[_Part]) -> None:
        try:
            latents = np.concatenate([job.latents[part] for job, part in parts])
            codes = np.concatenate([job.codes[part] for job, part in parts])
            images = self._generator.synthesise(latents, codes, psi=parts[0][0].psi)
        except Exception as error:
            if len(parts) == 1:
                parts[0][0].fail(error)
            else:  # one request must not spoil the others
                for single in parts:
                    self._draw([single])
            return
        start = 0
        for job, part in parts:
            end = start + part.stop - part.start
            job.keep(part, images[start:end])
            start = end
