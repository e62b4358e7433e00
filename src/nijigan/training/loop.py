"""The training loop."""

import logging
import math
from functools import partial
from pathlib import Path

from nijigan.interrupt import Interrupt
from nijigan.tensors.numerics import fast_numerics
from nijigan.training.checkpoint import not_finite
from nijigan.training.observer.cadence import Recording
from nijigan.training.observer.observer import SilentObserver
from nijigan.training.session import Session

log = logging.getLogger("nijigan")


def run_loop(session: Session, observer: SilentObserver, out: Path) -> None:
    """Run rounds until the run is as long as its recipe says, early stop ends it, or a signal interrupts it.

    Every process runs this loop; the observer of the first one records what happens in the run's folder, `out`.

    Raises:
        TrainingFailedError: a loss, a weight or a generated face is no longer finite.
        KeyboardInterrupt: a signal came, such as Ctrl-C; the run is saved.
    """
    recipe, state, rounds, total = session.recipe, session.state, session.rounds, session.total
    interrupted = False
    with Interrupt(partial(_announce, out)) as interrupt, fast_numerics(session.fabric.device.type):
        while state.images < total and not (interrupted or state.search.stopped):
            # One round. It moves `state.images` on by the real images that it shows.
            before = state.images
            rounds.run(total)
            observer.advance()

            # Decide what to record. All processes must decide the same.
            interrupted = session.agree(interrupt.requested)
            recording = Recording.after_round(
                recipe, before, state.images, len(session.faces), done=state.images >= total, stop=interrupted
            )
            if not recording.tick:
                continue

            # Record it. The averages wait for the device and for the other processes.
            averages = rounds.averages()
            if not all(math.isfinite(value) for value in averages.values() if value is not None):
                raise not_finite("A loss is", state.images, out)
            # The last update may have diverged, although no loss shows it yet.
            if recording.snapshot and session.agree(not state.finite()):
                raise not_finite("A weight is", state.images, out)
            with session.together():  # the others wait for the first process, which judges and saves
                observer.record(averages, before, recording)
            if recording.evaluation:
                state.search.stopped = session.agree(state.search.stopped)

    with session.together():  # a process that ended before the first one would end it too
        observer.finish()
    if state.search.stopped and state.images < total:
        log.info(
            "Neither yield nor KID has improved by more than chance for %d evaluations, so the run ends at %g kimg. "
            "The best generator (%g kimg) %s.",
            recipe.patience, state.images / 1000, state.search.images / 1000,
            f"is {best}" if (best := out / "best.safetensors").exists() else "was deleted during the run",
        )  # fmt: skip
    elif interrupted and state.images < total:
        raise KeyboardInterrupt


def _announce(out: Path) -> None:
    """Say what the first Ctrl-C leads to."""
    log.warning(
        "Stopping: the current round ends, then %s is saved. Press Ctrl-C again to stop at once, without saving.",
        "a checkpoint" if any((out / "checkpoints").glob("*.safetensors")) else "the run's first checkpoint",
    )
