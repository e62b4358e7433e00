"""Judge a generator against real faces.

    evaluation = evaluate(nijigan.load("runs/a"), FaceDataset(Path("faces")))
    evaluation.metrics.scores["kid"]

Use the val split for every choice (the best checkpoint, early stop, sweeps), and evaluate on the test split once, for
publication. Neither split is trained on.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Images, Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.generator.latents import check_seed
from nijigan.judges import quality
from nijigan.judges.conditional_accuracy import judge_conditional_accuracy
from nijigan.judges.faults import Fault, find_faults
from nijigan.judges.feature_spaces import DEFAULT, FeatureSpace, open_feature_space
from nijigan.judges.looks import LOOKS, looks
from nijigan.judges.manifold_yield import FACES as MANIFOLD_FACES
from nijigan.judges.manifold_yield import open_manifold
from nijigan.judges.readers import AttributeReader, ReaderName, open_reader, unknown_value
from nijigan.judges.real import NEIGHBOURS, RealFaces, check_judgeable, real_faces
from nijigan.judges.results import ConditionalAccuracy, Metrics, Protocol, storable
from nijigan.metrics.arrays import FeatureArray
from nijigan.metrics.frechet import frechet_score, moments
from nijigan.metrics.intervals import mean_share
from nijigan.metrics.kid import kid
from nijigan.metrics.neighbours import diversity, manifold_scores, nearest, originality, radii
from nijigan.metrics.score import Score
from nijigan.metrics.two_sample import distinguishability
from nijigan.vision.finder import check_finder

log = logging.getLogger("nijigan")

_CHUNK = 256  # faces generated and embedded at once, so that memory does not grow with their number
_SEARCH_SEED = 2**41  # far from the seeds of grids, reports and batch norm's calibration


@dataclass(frozen=True)
class GeneratedFaces:
    """What is kept of generated faces. The faces themselves can be generated again from their seeds."""

    features: FeatureArray
    """n×D, in the feature space of the evaluation."""
    keep: FeatureArray
    """The chance that a person keeps each face, n."""
    looks: FeatureArray
    """Sharpness and colours of each face, n×5."""
    lite0: FeatureArray
    """Features of the first faces, as many as the split has real ones, in the space lite0."""
    anime: FeatureArray
    """The same in the space anime."""


@dataclass(frozen=True)
class Scored:
    """The scores of generated faces, and the values of each face that they are based on."""

    scores: dict[str, Score]
    """By name."""
    keep: FeatureArray
    """The chance that a person keeps each generated face, n."""
    distance: FeatureArray
    """Distance from each generated face to its nearest training face, n."""
    nearest: npt.NDArray[np.int64]
    """Row of that training face, n."""


@dataclass(frozen=True)
class Evaluation:
    """The metrics, and what their report shows."""

    metrics: Metrics
    scored: Scored
    real: RealFaces
    faults: list[Fault]
    """The four faults of the faces, the worst first."""


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
    manifold: bool = False,
    model: str = "",
    progress: Progress | None = None,
) -> Evaluation:
    """Compute every score of `nijigan.judges`.

    Args:
        generator: the generator to judge.
        dataset: the real faces. `split` is scored against; faces of its train split are neighbours and floors.
        split: val or test.
        n: number of faces to generate.
        seed: seed of the first face.
        psi: truncation; below 1, the scores are not those of the trained model.
        features: the feature space or its name; see `open_feature_space`.
        reader: the attribute reader or its name, for a conditional generator; see `open_reader`.
        n_asked: number of faces to request for each value of each attribute.
        manifold: compute also yield-manifold; see `nijigan.judges.manifold_yield`.
        model: where the generator came from, for the record.
        progress: called with (done, total) at each stage.

    Raises:
        UserError: a number is out of range, a split has too few faces, the feature space is unknown, no reader knows
            the attributes, or `manifold` is set and the face detector cannot be loaded.
    """
    check_request(generator, n=n, n_asked=n_asked, seed=seed, psi=psi, manifold=manifold)
    check_judgeable(dataset, split)  # before a reader is trained
    _warn_of_other_faces(generator, dataset)

    resolution = generator.header.resolution
    space = features if isinstance(features, FeatureSpace) else open_feature_space(features, resolution)
    reads = _reader(generator, dataset, reader, progress)
    real = real_faces(dataset, split, resolution, space, progress)

    log.info("Generating %s faces and judging each of them", f"{n:,}")
    generated = generate_faces(generator, real, n, seed=seed, psi=psi, progress=progress)
    scored, floors = score(generated, real, progress), real_scores(real, n)
    if manifold:
        scored.scores["yield-manifold"], floors["yield-manifold"] = _manifold_yields(
            generator, real, generated, seed, psi, progress
        )
    scores = {name: replace(found, floor=floors[name].value) for name, found in scored.scores.items()}
    faults = _faults(scores, generated, real)

    accuracies = _accuracies(generator, reads, real, n_asked, seed, psi, progress)
    scores |= {f"accuracy-{name}": balanced for name, (balanced, _) in accuracies.items()}
    details = {name: found for name, (_, found) in accuracies.items()}
    protocol = _protocol(real, n, seed, psi, reads, n_asked, manifold)
    metrics = Metrics(storable(model), generator.weights_hash, generator.header.kimg, protocol, scores, details)
    return Evaluation(metrics, scored, real, faults)


def check_number(n: int) -> None:
    """Raise a `UserError` if n faces are too few for a score or too many for memory."""
    if not 100 <= n <= 100_000:
        raise UserError(f"The number of faces to generate must be 100 to 100,000 (--n 5000 is usual); it is {n}.")


def check_request(generator: Generator, *, n: int, n_asked: int, seed: int, psi: float, manifold: bool = False) -> None:
    """Raise a `UserError` if `evaluate` would refuse one of these values."""
    check_number(n)
    if manifold:
        check_finder()
    if not 10 <= n_asked <= 10_000:
        raise UserError(
            f"The number of faces to request for each value must be 10 to 10,000 (100 is usual); it is {n_asked}."
        )
    generator.check_psi(psi)
    check_seed(seed)
    values = max(map(len, generator.header.attributes.values()), default=0)
    check_seed(seed + max(n, n_asked * values) - 1)


def score(generated: GeneratedFaces, real: RealFaces, progress: Progress | None = None) -> Scored:
    """Every score of generated faces except conditional accuracy."""
    log.info("Computing the scores")
    distance, row = nearest(generated.features, real.train, progress=progress)
    scores = {
        "yield": mean_share(generated.keep),
        **_feature_scores(generated.features, real, progress),
        "distinguishability-lite0": distinguishability(real.seen.lite0, generated.lite0),
        "distinguishability-anime": distinguishability(real.seen.anime, generated.anime),
        "originality": originality(distance[:, 0], real.nearest),
    }
    return Scored(scores, generated.keep, distance[:, 0], row[:, 0])


def real_scores(real: RealFaces, n: int) -> dict[str, Score]:
    """What real faces score in place of n generated ones: the floor, or the ceiling, of every score.

    Training faces stand in for generated ones. Yield and originality use the split's own faces instead: the judge of
    yield may have learnt from training faces, and a training face is not original by definition. The floor of
    distinguishability is chance.
    """
    kept = mean_share(real.seen.keep)
    _warn_of_low_ceiling(kept.value, real.resolution)
    return _feature_scores(np.asarray(real.train[:n]), real) | {
        "yield": kept,
        "distinguishability-lite0": Score(0.5),
        "distinguishability-anime": Score(0.5),
        "originality": originality(real.nearest, real.nearest),
    }


def quick_scores(generator: Generator, real: RealFaces, n: int, progress: Progress | None = None) -> dict[str, Score]:
    """The scores of a run's checkpoints, at a lower cost: yield, KID, recall, coverage and originality over n faces.

    It changes no random state. Its seeds are not those of `evaluate` and `compare`: a checkpoint that was selected
    because it was lucky with some latents must not be judged by the same latents.
    """
    generated = generate_faces(generator, real, n, seed=_SEARCH_SEED, progress=progress)
    equal = min(n, len(real.features))
    part = real.features[:equal]
    varied = manifold_scores(part, radii(part, NEIGHBOURS), generated.features[:equal], NEIGHBOURS)
    return {
        "yield": mean_share(generated.keep),
        "kid": kid(real.features, generated.features),
        "recall": varied["recall"],
        "coverage": varied["coverage"],
        "originality": originality(nearest(generated.features, real.train)[0][:, 0], real.nearest),
    }


def generate_faces(
    generator: Generator,
    real: RealFaces,
    n: int,
    *,
    seed: int = 0,
    psi: float = 1.0,
    progress: Progress | None = None,
) -> GeneratedFaces:
    """Generate n faces, and judge each of them as the faces of `real` were."""
    sizes = ((start, min(_CHUNK, n - start)) for start in range(0, n, _CHUNK))
    batches = (generator.sample(count, seed=seed + start, psi=psi) for start, count in sizes)
    return judge_faces(batches, n, real, progress)


def judge_faces(batches: Iterable[Images], n: int, real: RealFaces, progress: Progress | None = None) -> GeneratedFaces:
    """Judge n faces that come in batches, uint8 N×H×W×3 at the resolution of `real`."""
    compared, start = min(n, len(real.features)), 0
    found = GeneratedFaces(
        features=np.empty((n, real.space.size), np.float32),
        keep=np.empty(n, np.float32),
        looks=np.empty((n, LOOKS), np.float32),
        lite0=np.empty((compared, real.seen.lite0.shape[1]), np.float32),
        anime=np.empty((compared, real.seen.anime.shape[1]), np.float32),
    )
    for images in batches:
        rows, left = slice(start, start + len(images)), max(0, compared - start)
        seen = quality.look(images)
        same = {"lite0": seen.lite0, "anime": seen.anime}.get(real.space.network or "")
        found.features[rows] = real.space.extract(images) if same is None else same
        found.keep[rows], found.looks[rows] = seen.keep, looks(images)
        found.lite0[rows], found.anime[rows] = seen.lite0[:left], seen.anime[:left]
        start += len(images)
        if progress is not None:
            progress(start, n)
    return found


def _manifold_yields(
    generator: Generator, real: RealFaces, generated: GeneratedFaces, seed: int, psi: float, progress: Progress | None
) -> tuple[Score, Score]:
    """The yield of version 0.1, of the first generated faces and of the split's."""
    old = open_manifold(real.dataset, real.resolution, real.space, progress)
    count = min(MANIFOLD_FACES, len(generated.features))
    images = generator.sample(count, seed=seed, psi=psi)
    return (
        old.judge(images, generated.features[:count], progress),
        old.judge_split(real.dataset, real.split, real.resolution, progress),
    )


def _faults(scores: Mapping[str, Score], generated: GeneratedFaces, real: RealFaces) -> list[Fault]:
    """The four faults of generated faces, the worst first."""
    equal = min(len(generated.features), len(real.features))
    part = real.features[:equal]
    gaps = nearest(part, generated.features[:equal])[0][:, 0] / radii(part, NEIGHBOURS).clip(1e-12)
    actual = looks(real.dataset.pixels(real.split, real.resolution))
    return find_faults(scores, generated.keep, generated.looks, actual, gaps)


def _warn_of_other_faces(generator: Generator, dataset: FaceDataset) -> None:
    """Warn if the generator was trained on another dataset, which may share faces with the held-out splits."""
    trained_on = generator.header.dataset
    if trained_on is not None and trained_on.fingerprint != dataset.fingerprint:
        log.warning(
            "This generator was trained on %s, not on %s in its present state. The faces that it is judged against may "
            "include faces that it was trained on.", trained_on.name, dataset.path,
        )  # fmt: skip


@cache  # a sweep or a comparison evaluates many models on the same faces
def _warn_of_low_ceiling(real_yield: float, resolution: int) -> None:
    """Warn once if the judge would throw away most real faces."""
    if real_yield < 0.5:
        log.warning(
            "The judge of yield would keep only %.0f %% of the real faces at %d px. It learnt from ratings of anime "
            "faces and does not know this kind of face, so the yield is not informative here.",
            100 * real_yield, resolution,
        )  # fmt: skip


def _reader(
    generator: Generator, dataset: FaceDataset, reader: ReaderName | AttributeReader, progress: Progress | None
) -> AttributeReader | None:
    """The reader, opened; None for an unconditional generator."""
    attributes = generator.header.attributes
    if not attributes:
        return None
    if not isinstance(reader, AttributeReader):
        return open_reader(reader, attributes, dataset, progress)
    if unknown := unknown_value(attributes, reader.header.attributes):
        raise UserError(f"This attribute reader does not know {unknown}; use one that knows all values.")
    return reader


def _accuracies(
    generator: Generator,
    reader: AttributeReader | None,
    real: RealFaces,
    m: int,
    seed: int,
    psi: float,
    progress: Progress | None,
) -> dict[str, tuple[Score, ConditionalAccuracy]]:
    """The conditional accuracy of every attribute; empty without a reader."""
    if reader is None:
        return {}
    log.info("Requesting every value of %s %d times", " and ".join(generator.header.attributes), m)
    return judge_conditional_accuracy(generator, reader, real, m, seed=seed, psi=psi, progress=progress)


def _protocol(
    real: RealFaces, n: int, seed: int, psi: float, reader: AttributeReader | None, n_asked: int, manifold: bool
) -> Protocol:
    return Protocol(
        dataset=storable(real.dataset.path.name),
        fingerprint=real.dataset.fingerprint,
        split=real.split,
        resolution=real.resolution,
        features=real.space.name,
        features_hash=real.space.hash,
        n_fake=n,
        n_real=len(real.features),
        quality_hash=quality.weights_hash(),
        n_yield=min(n, MANIFOLD_FACES) if manifold else None,
        neighbours=NEIGHBOURS,
        seed=seed,
        psi=psi,
        version=version("nijigan"),
        reader=reader.name if reader else None,
        reader_hash=reader.hash if reader else None,
        n_asked=n_asked if reader else None,
    )


def _feature_scores(features: FeatureArray, real: RealFaces, progress: Progress | None = None) -> dict[str, Score]:
    """The scores that compare two sets of features."""
    # Neighbour scores and FD depend on the number of faces. It is equal on both sides, and for the floor as well.
    equal = min(len(features), len(real.features), len(real.train))
    fake_part, real_part = features[:equal], real.features[:equal]
    return {
        "kid": kid(real.features, features),
        "fd": frechet_score(features, moments(real.features), equal, progress),
        **manifold_scores(real_part, radii(real_part, NEIGHBOURS), fake_part, NEIGHBOURS),
        "diversity": diversity(real_part, fake_part),
    }
