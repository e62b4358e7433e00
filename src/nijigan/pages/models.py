"""Models for a comparison, each evaluated under the same protocol, and only once."""

import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nijigan.aliases import Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.files import write_text
from nijigan.generator.generator import Generator, GeneratorHeader
from nijigan.generator.header import FOLDER_GENERATORS
from nijigan.jsonio import read_json
from nijigan.judges.evaluation import check_request, evaluate
from nijigan.judges.feature_spaces import DEFAULT, FeatureSpace, open_feature_space
from nijigan.judges.quality import weights_hash
from nijigan.judges.readers import AttributeReader, open_reader
from nijigan.judges.real import NEIGHBOURS, check_judgeable
from nijigan.judges.results import Metrics, storable
from nijigan.pages.charts import Line, points
from nijigan.pages.ranking import ComparedModel
from nijigan.pages.report import model_name
from nijigan.runs import RunInfo, read_log

_FORMAT = 3  # of a kept evaluation; increase it when a score is computed differently
_STRIP = 64  # faces shown of each model, from the same latents
_N_ASKED = 100  # faces requested for each value of each attribute

log = logging.getLogger("nijigan")


def evaluated(
    model: str,
    dataset: FaceDataset,
    *,
    name: str | None = None,
    split: str = "val",
    n: int = 5000,
    features: str | FeatureSpace = DEFAULT,
    reader: AttributeReader | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> ComparedModel:
    """Evaluate a model for a comparison, or read a kept evaluation of the same weights under the same protocol.

    Evaluations are kept in the run's folder, in `evaluations/`. Nothing is kept for a model that is a file.

    Args:
        model: a run folder, a file or hf:user/model.
        dataset: the faces to score against.
        name: the name in the comparison. Default: that of the run or file.
        split: val or test.
        n: number of faces to generate.
        features: the feature space or its name.
        reader: the attribute reader, if models with different attributes are compared; see `common_reader`.
        device: the device that generates the faces.
        progress: called with (done, total) at each stage.

    Raises:
        UserError: as in `evaluate`, or there is no such model.
    """
    check_judgeable(dataset, split)  # before a reader is trained
    generator, folder = Generator.load(model).to(device), Path(model)
    attributes = generator.header.attributes
    check_request(generator, n=n, n_asked=_N_ASKED, seed=0, psi=1)
    resolution = generator.header.resolution
    space = features if isinstance(features, FeatureSpace) else open_feature_space(features, resolution)
    if attributes and reader is None:
        reader = open_reader("auto", attributes, dataset, progress)

    # Everything that the scores depend on.
    key = [_FORMAT, NEIGHBOURS, weights_hash(), generator.weights_hash, dataset.fingerprint, split, n, space.hash]
    if attributes and reader:
        key.append(reader.hash)
    kept = folder / "evaluations" / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.json"

    name = storable(name or model_name(model))
    metrics = _read(kept, generator.weights_hash)
    if metrics is None:
        log.info("Evaluating %s", name)
        metrics = evaluate(
            generator, dataset, split=split, n=n, n_asked=_N_ASKED, features=space, reader=reader or "auto",
            model=model, progress=progress,
        ).metrics  # fmt: skip
        if folder.is_dir():
            _keep(metrics, kept)
    return _compared(name, metrics, generator, folder)


def existing_models(models: Sequence[str]) -> list[str]:
    """The runs and generator files among what a pattern such as `sweep/*` matches.

    Other files and folders that exist, such as the page and the failed runs of a sweep, are skipped with a warning.

    Raises:
        UserError: no model is left, or one is named twice.
    """
    if not models:
        raise UserError("Name at least one model: run folders, .safetensors or .onnx files or hf:user/model.")
    found = [model for model in models if _may_be_model(Path(model))]
    if not found:
        raise UserError(
            f"{models[0]} is neither a run with a generator nor a .safetensors or .onnx file; name such a model."
        )
    for model in models:
        if model not in found:
            log.warning("Skipping %s, which is neither a run with a generator nor a .safetensors or .onnx file.", model)
    places = [str(Path(model).resolve()) if Path(model).exists() else model for model in found]
    for model, place in zip(found, places, strict=True):
        if places.count(place) > 1:
            raise UserError(f"{model} is named twice; name each model once.")
    return found


def headers_of(models: Sequence[str]) -> list[GeneratorHeader]:
    """The headers of models that can be compared.

    Raises:
        UserError: there is no such model, its file is damaged, or their resolutions differ.
    """
    headers = [Generator.load(model).header for model in models]
    for model, header in zip(models, headers, strict=True):
        if header.resolution != headers[0].resolution:
            raise UserError(
                f"{models[0]} generates faces of {headers[0].resolution} px and {model} of {header.resolution} px; "
                "compare models of one resolution at a time."
            )
    return headers


def common_reader(
    headers: Sequence[GeneratorHeader], dataset: FaceDataset, progress: Progress | None = None
) -> AttributeReader | None:
    """One reader that knows the attributes of all models, so that their scores can be compared.

    Returns:
        The reader; None if all models are unconditional.

    Raises:
        UserError: there is no reader that knows all attributes.
    """
    attributes: dict[str, tuple[str, ...]] = {}
    for header in headers:
        for name, values in header.attributes.items():
            attributes[name] = tuple(dict.fromkeys((*attributes.get(name, ()), *values)))
    return open_reader("auto", attributes, dataset, progress) if attributes else None


def dataset_of(models: Sequence[str]) -> FaceDataset:
    """The dataset that the first run among the models was trained on.

    Raises:
        UserError: no model is a run, or the dataset has changed.
    """
    for model in models:
        if (file := Path(model) / "run.json").is_file():
            info = read_json(RunInfo, file)
            try:
                dataset = FaceDataset(Path(info.dataset))
            except (OSError, ValueError) as error:  # a path that the system cannot even look up
                raise UserError(f"{file} does not name a dataset; name one with --data FACES.") from error
            if dataset.fingerprint != info.fingerprint:
                raise UserError(
                    f"The faces in {info.dataset} have changed since {model} was trained; name a dataset with --data."
                )
            return dataset
    raise UserError(
        "None of these models is a run with a known dataset; add the faces to score against with --data FACES."
    )


def _may_be_model(place: Path) -> bool:
    """Whether `place` is a file or folder of a generator, or does not exist, and may be on the Hub."""
    try:
        if place.is_dir():
            return any((place / name).is_file() for name in FOLDER_GENERATORS)
        return not place.exists() or place.suffix in (".safetensors", ".onnx")
    except OSError as error:  # a name that is too long
        raise UserError(f"There is no model at {place}: {error.strerror}.") from error


def _read(path: Path, weights: str) -> Metrics | None:
    """A kept evaluation of these weights; None if it is missing, damaged or of another model."""
    with suppress(UserError):
        metrics = Metrics.read(path)
        if metrics.weights == weights and "yield" in metrics.scores:
            return metrics
    return None


def _keep(metrics: Metrics, path: Path) -> None:
    try:
        write_text(path, metrics.to_json())
    except UserError as error:  # a run on a disk that is full or cannot be written to can be compared nevertheless
        log.warning("The scores are not kept for the next comparison: %s", error)


def _compared(name: str, metrics: Metrics, generator: Generator, folder: Path) -> ComparedModel:
    curve = read_log(folder)
    return ComparedModel(
        name=name,
        metrics=metrics,
        samples=generator.sample(_STRIP),
        seconds=_seconds(curve),
        curve=curve,
        error=None,
    )


def _seconds(curve: Sequence[Line]) -> float | None:
    """The duration of a training according to its log; None if the log does not tell."""
    found = points(curve[-1:], "seconds")
    return found[0][1] if found else None
