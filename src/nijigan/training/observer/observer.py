"""What is recorded of a run: log lines, warnings, sample grids, evaluations, checkpoints."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.training.checkpoint import not_finite, save_state
from nijigan.training.observer.cadence import Recording
from nijigan.training.observer.health import Health, diversity, share_at_clip
from nijigan.training.observer.monitor import Monitor, snapshot_name
from nijigan.training.observer.snapshot import averaged_generator
from nijigan.training.session import Session

log = logging.getLogger("nijigan")

_GRID = 64  # faces in the sample grid, of seeds 0 to 63 in every run


class SilentObserver:
    """The observer of all processes except the first. It records nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def advance(self) -> None:
        """Do nothing."""

    def record(self, averages: Mapping[str, float | None], before: int, recording: Recording) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


class Observer(SilentObserver):
    """Records a run in its folder. It does not change the random state of the training.

    Args:
        session: the training; `seconds` and `search` of its state are kept up to date.
        out: the run's folder.
    """

    def __init__(self, session: Session, out: Path) -> None:
        self._session, self._out = session, out
        self._recipe, self._state = session.recipe, session.state
        self._validation = None
        if session.recipe.evaluation_every is not None:
            from nijigan.training.observer.validation import Validation  # loads the judges

            self._validation = Validation(session, out)
        self._monitor = Monitor(out, self._state.images, session.total)
        # Diversity is measured among faces of one combination of values: one face for each combination looks varied.
        self._requested, self._comparable = session.labels.most_common(_GRID)
        self._health = Health(session.recipe, self._requested)
        for line in self._monitor.lines:
            self._health.tick(line)  # warnings from before the interruption are not repeated
        self._clock, self._ticked = time.perf_counter(), self._state.images

    def __enter__(self) -> Self:
        self._monitor.__enter__()
        if self._state.images == 0:  # what the untrained generator makes, and a sign that all is well
            self._monitor.samples(averaged_generator(self._session).sample(_GRID, seed=0), 0, before=-1)
        self._clock = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._monitor.__exit__(kind, error, trace)

    def advance(self) -> None:
        """Move the progress bar."""
        self._monitor.advance(self._state.images)

    def record(self, averages: Mapping[str, float | None], before: int, recording: Recording) -> None:
        """Record what `recording` lists.

        Args:
            averages: of the losses and scores since the last record.
            before: images seen before the last round.
            recording: what to record.

        Raises:
            TrainingFailedError: a generated face has pixels that are not finite.
        """
        line = self._line(averages)
        generator = averaged_generator(self._session) if recording.snapshot else None
        grid = None
        if generator is not None:
            try:
                grid = generator.sample(_GRID, seed=0)
            except UserError as error:  # the pixels are not finite: the weights are, but too large
                raise not_finite("A generated face is", self._state.images, self._out) from error
            line["diversity"] = self._diversity(generator)
        if recording.evaluation and generator is not None and self._validation is not None:
            start = time.perf_counter()
            line |= self._validation.judge(generator)
            self._clock += time.perf_counter() - start  # judging is not training
        self._monitor.tick(line)
        for warning in self._health.tick(line):
            log.warning("%s", warning)
        if generator is not None and grid is not None:
            self._monitor.samples(grid, self._state.images, before)
            try:
                if self._recipe.keep == "every":
                    name = snapshot_name(self._state.images, before)
                    generator.save(self._out / "snapshots" / f"{name}.safetensors")
                generator.save(self._out / "last.safetensors")
            finally:
                save_state(self._out, self._state, self._recipe)

    def finish(self) -> None:
        """Turn the sample grids into a timelapse."""
        self._monitor.timelapse()

    def _line(self, averages: Mapping[str, float | None]) -> dict[str, Any]:
        """The log line of this tick. The time for recording counts towards the next line's images per second."""
        state, now = self._state, time.perf_counter()
        passed, shown = now - self._clock, state.images - self._ticked
        self._clock, self._ticked = now, state.images
        state.seconds += passed
        line = {
            "images": state.images, "kimg": state.images / 1000, "epoch": state.images / len(self._session.faces),
            **averages, "images_per_second": shown / passed, "seconds": state.seconds,
        }  # fmt: skip
        if self._recipe.clip is not None:
            line["at_clip"] = share_at_clip(state.discriminator, self._recipe.clip)
        return line

    def _diversity(self, generator: Generator) -> float | None:
        faces = generator.sample(_GRID, seed=0, **self._requested)  # type: ignore[arg-type]
        return diversity(faces, self._session.faces[self._comparable])
