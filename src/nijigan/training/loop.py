"""The training loop."""

import logging
import math
from pathlib import Path

from nijigan.errors import TrainingFailedError
from nijigan.interrupt import Interrupt
from nijigan.networks.numerics import fast_numerics
from nijigan.training.observer.cadence import Recording
from nijigan.training.observer.observer import SilentObserver
from nijigan.training.session import Session

log = logging.getLogger("nijigan")


def run_loop(session: Session, observer: SilentObserver, out: Path) -> None:
    """Run rounds until the run is as long as its recipe says, early stop ends it, or a signal interrupts it.

    Every process runs this loop; the observer of the first one records what happens in the run's folder, `out`.

    Raises:
        TrainingFailedError: a loss is no longer finite.
        KeyboardInterrupt: SIGINT or SIGTERM came; the run is saved.
    """
    recipe, state, rounds, total = session.recipe, session.state, session.rounds, session.total
    interrupted = False
    with Interrupt() as interrupt, fast_numerics(session.fabric.device.type):
        while state.images < total and not (interrupted or state.search.stopped):
            # One round. It moves `state.images` on by the real images that it shows.
            before = state.images
            rounds.run(total)
            observer.advance()

            # Decide what to record. All processes must decide the same.
            interrupted = session.agree(interrupt.requested)
            recording = Recording.after_round(
                recipe, before, state.images, done=state.images >= total, stop=interrupted
            )
            if not recording.tick:
                continue

            # Record it. The averages wait for the device and for the other processes.
            averages = rounds.averages()
            if not all(math.isfinite(value) for value in averages.values() if value is not None):
                raise TrainingFailedError(_not_finite(state.images, out))
            observer.record(averages, before, recording)
            if recording.evaluation:
                state.search.stopped = session.agree(state.search.stopped)

    observer.finish()
    if state.search.stopped and state.images < total:
        log.info(
            "KID has not improved by more than chance for %d evaluations, so the run ends at %g kimg. The best "
            "generator (%g kimg) is %s.",
            recipe.patience, state.images / 1000, state.search.images / 1000, out / "best.safetensors",
        )  # fmt: skip
    elif interrupted and state.images < total:
        log.warning("Stopped and saved at %g kimg. Continue with `nijigan resume %s`.", state.images / 1000, out)
        raise KeyboardInterrupt


def _not_finite(images: int, out: Path) -> str:
    checkpoints = out / "checkpoints"
    saved = any(checkpoints.glob("*.safetensors"))
    where = f"the last good checkpoint is in {checkpoints}" if saved else "no checkpoint was saved before"
    advice = "Lower the learning rate, or use --precision fp32."
    return f"A loss is no longer finite at {images / 1000:g} kimg; {where}. {advice}"
