"""Judge a generator against real faces.

    evaluation = evaluate(nijigan.load("runs/a"), FaceDataset(Path("faces")))
    evaluation.metrics.scores["kid"]

Val steers (the best checkpoint, early stop, searches); test is scored once, for what is published. Neither is trained
on.
"""

import logging
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Images, Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.judges.accuracy import judge_conditional_accuracy
from nijigan.judges.feature_spaces import DEFAULT, FeatureSpace, open_feature_space
from nijigan.judges.readers import AttributeReader, ReaderName, open_reader
from nijigan.judges.real import NEIGHBOURS, RealFaces, real_faces
from nijigan.judges.results import Metrics, Protocol
from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.frechet import frechet_score, moments
from nijigan.metrics.intervals import share
from nijigan.metrics.kid import kid
from nijigan.metrics.neighbours import diversity, manifold_scores, nearest, originality, radii, realism
from nijigan.metrics.score import Score
from nijigan.vision.finder import have_faces

log = logging.getLogger("nijigan")

_CHUNK = 256  # faces drawn and described at once, so that memory does not grow with their number
_SEARCH_SEED = 2**41  # far from the seeds of grids, reports and batch norm's calibration
_LOOKED_AT = 2000  # faces that the face finder, the slowest judge, is shown at most


@dataclass(frozen=True)
class GeneratedFaces:
    """What is kept of drawn faces: they can be drawn again from their seeds."""

    features: FeatureArray
    """n×D."""
    found: npt.NDArray[np.bool_]
    """Whether the face finder sees a face in each of the first of them."""


@dataclass(frozen=True)
class Scored:
    """Scores of drawn faces, and what they say of each."""

    scores: dict[str, Score]
    """By name."""
    realism: FeatureArray
    """Of each drawn face, n."""
    distance: FeatureArray
    """From each drawn face to its nearest training face, n."""
    nearest: npt.NDArray[np.int64]
    """That face's row, n."""


@dataclass(frozen=True)
class Evaluation:
    """The outcome, and what its report shows."""

    metrics: Metrics
    scored: Scored
    real: RealFaces


def evaluate(
    generator: Generator,
    dataset: FaceDataset,
    *,
    split: str = "test",
    n: int = 5000,
    seed: int = 0,
    psi: float = 1.0,
    features: str | FeatureSpace = DEFAULT,
    reader: ReaderName | AttributeReader = "auto",
    n_asked: int = 100,
    model: str = "",
    progress: Progress | None = None,
) -> Evaluation:
    """Score a generator by everything that `nijigan.judges` knows.

    Args:
        generator: what to judge.
        dataset: the real faces: train is the manifold, `split` what is scored against, val sets the threshold of yield.
        split: val or test.
        n: faces to draw.
        seed: of the first.
        psi: truncation; below 1 faces are better and more alike, and scores no longer those of the model as trained.
        features: the feature space, or its name; see `open_feature_space`.
        reader: who reads the attributes of drawn faces, where the generator has any, or its name; see `open_reader`.
        n_asked: faces to ask for of each of their values.
        model: where the generator came from, for the record.
        progress: called with (done, total) at each stage.

    Raises:
        UserError: too few faces on either side, no such feature space, or no reader that knows the attributes.
    """
    check_number(n)
    if not 10 <= n_asked <= 10_000:
        raise UserError(f"{n_asked} faces were asked for of each value; choose 10 to 10,000 (100 is usual).")
    generator.check_psi(psi)
    learnt_from = generator.header.dataset
    if learnt_from is not None and learnt_from.fingerprint != dataset.fingerprint:
        log.warning(
            "This generator learnt from %s, not from this state of %s: faces that it was trained on may be among those "
            "it is judged by.", learnt_from.name, dataset.path,
        )  # fmt: skip
    space = (
        features if isinstance(features, FeatureSpace) else open_feature_space(features, generator.header.resolution)
    )
    attributes = generator.header.attributes
    reads = None
    if attributes:
        reads = reader if isinstance(reader, AttributeReader) else open_reader(reader, attributes, dataset, progress)
    real = real_faces(dataset, split, generator.header.resolution, space, progress)
    generated = generate_faces(generator, space, n, seed=seed, psi=psi, progress=progress)
    scored, floors = score(generated, real), real_scores(real, n)
    if floors["yield"].value < 0.5:
        log.warning(
            "Of real faces at %d px only %.0f %% pass as good: the face finder does not know their kind, and the yield "
            "means little here.", real.resolution, 100 * floors["yield"].value,
        )  # fmt: skip
    scores = {name: replace(one, floor=floors[name].value) for name, one in scored.scores.items()}
    accuracies = (
        judge_conditional_accuracy(generator, reads, real, n_asked, seed=seed, psi=psi, progress=progress)
        if reads
        else {}
    )
    metrics = Metrics(
        model=model,
        weights=generator.weights_hash,
        kimg=generator.header.kimg,
        protocol=Protocol(
            dataset=dataset.path.name, fingerprint=dataset.fingerprint, split=split, resolution=real.resolution,
            features=space.name, features_hash=space.hash, n_fake=n, n_real=len(real.features),
            n_yield=len(generated.found), neighbours=NEIGHBOURS, seed=seed, psi=psi, version=version("nijigan"),
            reader=reads.name if reads else None, reader_hash=reads.hash if reads else None,
            n_asked=n_asked if reads else None,
        ),
        scores=scores | {f"accuracy-{name}": balanced for name, (balanced, _) in accuracies.items()},
        conditional_accuracy={name: details for name, (_, details) in accuracies.items()},
    )  # fmt: skip
    return Evaluation(metrics, scored, real)


def check_number(n: int) -> None:
    """Refuse, with a `UserError`, a number of faces that says nothing or does not fit in memory."""
    if not 100 <= n <= 100_000:
        raise UserError(f"{n} faces were asked for; draw 100 to 100,000 (--n 5000 is usual): fewer say nothing.")


def score(generated: GeneratedFaces, real: RealFaces) -> Scored:
    """Every score of drawn faces."""
    inside = realism(generated.features, real.train, real.radii)
    distance, row = nearest(generated.features, real.train)
    scores = _feature_scores(generated.features, real) | {
        "yield": _yield(inside, generated.found, real),
        "originality": originality(distance[:, 0], real.nearest),
    }
    return Scored(scores, inside, distance[:, 0], row[:, 0])


def real_scores(real: RealFaces, n: int) -> dict[str, Score]:
    """What real faces score in the place of n drawn ones: the floor, or the ceiling, of every score.

    Training faces stand in for drawn ones. For yield and originality, which training faces pass by definition, the
    split's own do.
    """
    return _feature_scores(np.asarray(real.train[:n]), real) | {
        "yield": share(int(real.good.sum()), len(real.good)),
        "originality": originality(real.nearest, real.nearest),
    }


def kid_and_yield(
    generator: Generator, real: RealFaces, n: int, progress: Progress | None = None
) -> tuple[Score, Score]:
    """The two scores that steer a training, cheaply: KID over n faces, yield over a quarter of them.

    Touches no random state: latents come from seeds, and not from those that `evaluate` and `compare` use: a checkpoint
    that was chosen for its luck with some latents must not be judged by the same.
    """
    generated = generate_faces(generator, real.space, n, seed=_SEARCH_SEED, looked_at=n // 4, progress=progress)
    inside = realism(generated.features[: len(generated.found)], real.train, real.radii)
    return kid(real.features, generated.features), _yield(inside, generated.found, real)


def generate_faces(
    generator: Generator,
    space: FeatureSpace,
    n: int,
    *,
    seed: int = 0,
    psi: float = 1.0,
    looked_at: int = _LOOKED_AT,
    progress: Progress | None = None,
) -> GeneratedFaces:
    """Draw n faces, describe them all, and show the first `looked_at` to the face finder."""
    features = np.empty((n, space.size), np.float32)
    shown = []
    for start in range(0, n, _CHUNK):
        images = generator.sample(min(_CHUNK, n - start), seed=seed + start, psi=psi)
        features[start : start + len(images)] = space.extract(images)
        if start < looked_at:
            shown.append(images[: looked_at - start])
        if progress is not None:
            progress(start + len(images), n)
    return GeneratedFaces(features, have_faces(np.concatenate(shown), progress=progress))


def good_faces(images: Images, real: RealFaces) -> npt.NDArray[np.bool_]:
    """Which of N faces, uint8 N×H×W×3 at the resolution of `real`, count towards the yield."""
    inside = realism(real.space.extract(images), real.train, real.radii)
    return real.are_good(have_faces(images), inside)


def _yield(inside: FeatureArray, found: npt.NDArray[np.bool_], real: RealFaces) -> Score:
    """The share of good faces among the first, those that the finder was shown."""
    good = real.are_good(found, inside[: len(found)])
    return share(int(good.sum()), len(good))


def _feature_scores(features: FeatureArray, real: RealFaces) -> dict[str, Score]:
    # Neighbour scores and FD depend on the numbers: equal on both sides, and for what real faces score too.
    equal = min(len(features), len(real.features), len(real.train))
    ours, theirs = features[:equal], real.features[:equal]
    return {
        "kid": kid(real.features, features),
        "fd": frechet_score(features, moments(real.features), equal),
        **manifold_scores(theirs, radii(theirs, NEIGHBOURS), ours, NEIGHBOURS),
        "diversity": diversity(theirs, ours),
    }
