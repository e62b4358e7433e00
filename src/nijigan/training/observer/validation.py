"""Evaluation while training: scores on the validation split, and the best generator so far."""

import logging
import time
from dataclasses import replace
from pathlib import Path

from nijigan.aliases import Progress
from nijigan.generator.generator import Generator
from nijigan.judges.conditional_accuracy import conditional_accuracy
from nijigan.judges.evaluation import quick_scores
from nijigan.judges.feature_spaces import DEFAULT, open_feature_space
from nijigan.judges.readers import open_reader
from nijigan.judges.real import real_faces
from nijigan.training.best import Judged
from nijigan.training.session import Session

log = logging.getLogger("nijigan")

_SECONDS = 10.0  # between lines that say how far the features of the real faces are


def said_now_and_then() -> Progress:
    """A progress that says how far the work is every ten seconds, beside the progress of the training."""
    said = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() >= said + _SECONDS:
            said = time.monotonic()
            log.info("%s of %s", f"{done:,}", f"{total:,}")

    return progress


class Validation:
    """Scores a run's generator on the validation split, and keeps the best in `best.safetensors`.

    Computing the features of the real faces takes a minute the first time; then they are cached in the dataset's
    folder.

    Args:
        session: the training.
        out: the run's folder.
    """

    def __init__(self, session: Session, out: Path) -> None:
        self._recipe, self._state, self._out = session.recipe, session.state, out
        dataset, attributes = session.dataset, session.labels.attributes
        space = open_feature_space(DEFAULT)
        self._real = real_faces(dataset, "val", session.recipe.resolution, space, said_now_and_then())
        self._reader = open_reader("auto", attributes, dataset) if attributes else None

    def judge(self, generator: Generator) -> dict[str, float | None]:
        """Score a generator, keep it if it is the best so far, and decide whether early stop ends the run.

        Returns:
            What the log line gets: yield, kid, both with their intervals, recall, coverage, originality, and
            accuracy-NAME for each attribute.
        """
        state, recipe = self._state, self._recipe
        found = quick_scores(generator, self._real, recipe.evaluate_faces)
        good, kid, coverage = found["yield"], found["kid"], found["coverage"].value
        scores = {} if self._reader is None else conditional_accuracy(generator, self._reader)
        accuracies = {f"accuracy-{name}": score.value for name, score in scores.items()}
        if state.search.record(Judged(good.value, kid.value, coverage, good.low, kid.high), state.images):
            metrics = {
                "yield/val": good.value, f"kid-{self._real.space.name}/val": kid.value,
                "recall/val": found["recall"].value, "coverage/val": coverage,
            }  # fmt: skip
            if self._reader is not None:
                metrics |= {f"{name}/{self._reader.name}": value for name, value in accuracies.items()}
            best = Generator(generator.module, replace(generator.header, metrics=metrics))
            best.save(self._out / "best.safetensors")
        state.search.stopped = recipe.early_stop and state.search.stale >= recipe.patience
        return {
            "yield": good.value, "yield_low": good.low, "yield_high": good.high,
            "kid": kid.value, "kid_low": kid.low, "kid_high": kid.high,
            "recall": found["recall"].value, "coverage": coverage, "originality": found["originality"].value,
        } | accuracies  # fmt: skip
