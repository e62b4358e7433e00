"""Conditional accuracy: the share of generated faces in which a reader recognises the requested value.

Every value is requested equally often, and the other attributes are sampled. The reader also errs on real faces, so
every accuracy stands next to the reader's own on real faces with the same labels: a perfect generator would score that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Codes, Images, Progress
from nijigan.generator.generator import Generator
from nijigan.judges.readers import AttributeReader
from nijigan.judges.real import RealFaces
from nijigan.judges.results import ClassScores, ConditionalAccuracy
from nijigan.metrics.intervals import share
from nijigan.metrics.kid import kid
from nijigan.metrics.neighbours import diversity
from nijigan.metrics.score import Score

Counts = tuple[int, ...]
"""One row of a confusion matrix."""

_SEARCH_SEED = 2**42  # far from the seeds of reports, and from the other seeds used to steer a training
_MIN_FOR_CEILING = 10  # real faces of a value: fewer would make a mean that weights values equally unstable
_MIN_WITHIN_CLASS = 50  # generated and real faces: KID's interval is then right in 92 to 98 % of simulated draws


def conditional_accuracy(
    generator: Generator, reader: AttributeReader, m: int = 32, seed: int = _SEARCH_SEED
) -> dict[str, Score]:
    """Balanced accuracy by attribute, as used to monitor a training.

    It changes no random state, and its seeds are not those of `judge_conditional_accuracy`.

    Args:
        generator: a conditional generator.
        reader: a reader that knows all values of the generator; see `open_reader`.
        m: number of faces to request for each value.
        seed: seed of the first face.

    Returns:
        By attribute, see `accuracy`; without floors.
    """
    scores = {}
    for name, values in generator.header.attributes.items():
        order = _columns(reader, name, values)
        requested = _request(generator, name, m, seed)
        scores[name] = accuracy([_count(reader.read(faces)[name], order) for _, faces in requested])
    return scores


def judge_conditional_accuracy(
    generator: Generator,
    reader: AttributeReader,
    real: RealFaces,
    m: int = 100,
    *,
    seed: int = 0,
    psi: float = 1.0,
    progress: Progress | None = None,
) -> dict[str, tuple[Score, ConditionalAccuracy]]:
    """Request every value of every attribute, and compare with the real faces that have the same label.

    Args:
        generator: a conditional generator.
        reader: a reader that knows all its values.
        real: the real faces. KID and diversity within a class are measured in their feature space.
        m: number of faces to request for each value.
        seed: seed of the first face.
        psi: truncation.
        progress: called with (generated faces, all faces to generate).

    Returns:
        By attribute the balanced accuracy and its details. The floor of the balanced accuracy is the reader's mean over
        the values with at least 10 real faces in the split. If no value has that many, it is the accuracy that the
        reader's file states.
    """
    truth = reader.read(real.dataset.pixels(real.split, real.resolution), progress)
    total, done = m * sum(map(len, generator.header.attributes.values())), 0
    found = {}
    for name, values in generator.header.attributes.items():
        order = _columns(reader, name, values)
        classes: dict[str, ClassScores] = {}
        confusion: list[Counts] = []
        for code, (value, faces) in zip(order, _request(generator, name, m, seed, psi), strict=False):
            counts = _count(reader.read(faces)[name], order)
            hits = share(counts[len(classes)], m)
            classes[value] = _class_scores(hits, faces, real, _labelled(real, name, value), truth[name] == code)
            confusion.append(counts)
            done += m
            if progress is not None:
                progress(done, total)
        balanced = replace(accuracy(confusion), floor=_ceiling(classes, reader, name))
        read = tuple(reader.header.attributes[name][code] for code in order)
        found[name] = balanced, ConditionalAccuracy(classes, read, tuple(confusion))
    return found


def accuracy(confusion: Sequence[Counts]) -> Score:
    """The balanced accuracy over K values that were requested equally often, and its 95 % interval.

    With m faces of each value it is the share of hits among all K·m. The values differ in their probability of a hit,
    and a sum of trials with different probabilities varies no more than a binomial sum with their mean probability
    (Hoeffding, "On the distribution of the number of successes in independent trials", 1956). Wilson's interval for K·m
    equal trials is therefore safe: it contains the true value in 95 % of cases, or in more if the values differ much.

    Args:
        confusion: K rows of R ≥ K counts. Index k is the same value in rows and columns, and all rows have one sum.
    """
    return share(sum(row[k] for k, row in enumerate(confusion)), sum(map(sum, confusion)))


def _request(generator: Generator, name: str, m: int, seed: int, psi: float = 1.0) -> Iterator[tuple[str, Images]]:
    """Every value and m faces of it; each value has its own seeds, so that hits are independent."""
    for index, value in enumerate(generator.header.attributes[name]):
        yield value, generator.sample(m, seed=seed + index * m, psi=psi, **{name: value})  # type: ignore[arg-type]


def _class_scores(
    hits: Score, faces: Images, real: RealFaces, rows: npt.NDArray[np.int64], recognised: npt.NDArray[np.bool_]
) -> ClassScores:
    """The scores of one value.

    Args:
        hits: the share of `faces` in which the reader recognises the value.
        faces: the faces for which the value was requested.
        real: the real faces.
        rows: the rows of the split's faces that have this label.
        recognised: for every face of the split, whether the reader recognises the value.
    """
    floor = float(recognised[rows].mean()) if len(rows) else None
    distance = variety = None
    if min(len(rows), len(faces)) >= _MIN_WITHIN_CLASS:
        features = real.space.extract(faces)
        distance, variety = kid(real.features[rows], features), diversity(real.features[rows], features)
    return ClassScores(replace(hits, floor=floor), distance, len(rows), variety)


def _ceiling(classes: Mapping[str, ClassScores], reader: AttributeReader, name: str) -> float | None:
    """What a perfect generator would score: the reader's balanced accuracy on real faces."""
    floors = [
        scores.accuracy.floor
        for scores in classes.values()
        if scores.accuracy.floor is not None and scores.n_real >= _MIN_FOR_CEILING
    ]
    return fmean(floors) if floors else reader.header.accuracy.get(name)


def _columns(reader: AttributeReader, name: str, values: Sequence[str]) -> list[int]:
    """The reader's codes in the order of a confusion matrix: those of the requested values, then all others."""
    known = reader.header.attributes[name]
    return [known.index(value) for value in (*values, *(value for value in known if value not in values))]


def _count(codes: Codes, order: Sequence[int]) -> Counts:
    """How often each code of `order` occurs."""
    return tuple(np.bincount(codes, minlength=len(order))[order].tolist())


def _labelled(real: RealFaces, name: str, value: str) -> npt.NDArray[np.int64]:
    """The rows of the split's faces that have this label."""
    values = real.dataset.attributes.get(name, ())
    if value not in values:
        return np.empty(0, np.int64)
    return np.flatnonzero(real.dataset.labels(real.split)[name] == values.index(value))
