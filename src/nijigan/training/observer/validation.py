"""Evaluation while training: scores on the validation split, and the best generator so far."""

from dataclasses import replace
from pathlib import Path

from nijigan.generator.generator import Generator
from nijigan.judges.conditional_accuracy import conditional_accuracy
from nijigan.judges.evaluation import kid_and_yield
from nijigan.judges.feature_spaces import DEFAULT, open_feature_space
from nijigan.judges.readers import open_reader
from nijigan.judges.real import real_faces
from nijigan.training.session import Session


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
        self._real = real_faces(dataset, "val", session.recipe.resolution, open_feature_space(DEFAULT))
        self._reader = open_reader("auto", attributes, dataset) if attributes else None

    def judge(self, generator: Generator) -> dict[str, float | None]:
        """Score a generator, keep it if it is the best so far, and decide whether early stop ends the run.

        Returns:
            What the log line gets: kid, kid_low, kid_high, yield, and accuracy-NAME for each attribute.
        """
        state, recipe = self._state, self._recipe
        kid, good = kid_and_yield(generator, self._real, recipe.evaluate_faces)
        scores = {} if self._reader is None else conditional_accuracy(generator, self._reader)
        accuracies = {f"accuracy-{name}": score.value for name, score in scores.items()}
        if state.search.record(kid.value, state.images, kid.high):
            metrics = {f"kid-{self._real.space.name}/val": kid.value, "yield/val": good.value}
            if self._reader is not None:
                metrics |= {f"{name}/{self._reader.name}": value for name, value in accuracies.items()}
            best = Generator(generator.module, replace(generator.header, metrics=metrics))
            best.save(self._out / "best.safetensors")
        state.search.stopped = recipe.early_stop and state.search.stale >= recipe.patience
        return {"kid": kid.value, "kid_low": kid.low, "kid_high": kid.high, "yield": good.value} | accuracies
