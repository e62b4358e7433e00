"""Models for a comparison, each evaluated under the same protocol, and only once."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nijigan.aliases import Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.files import write_text
from nijigan.generator.generator import Generator
from nijigan.jsonio import read_json
from nijigan.judges.evaluation import evaluate
from nijigan.judges.feature_spaces import DEFAULT, open_feature_space
from nijigan.judges.readers import AttributeReader, open_reader
from nijigan.judges.real import NEIGHBOURS, check_judgeable
from nijigan.judges.results import Metrics
from nijigan.pages.ranking import ComparedModel
from nijigan.pages.report import model_name
from nijigan.runs import RunInfo, read_log

_FORMAT = 2  # of a kept evaluation; increase it when a score is computed differently
_STRIP = 64  # faces shown of each model, from the same latents


def evaluated(
    model: str,
    dataset: FaceDataset,
    *,
    name: str | None = None,
    split: str = "val",
    n: int = 5000,
    features: str = DEFAULT,
    reader: AttributeReader | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> ComparedModel:
    """Evaluate a model for a comparison, or read a kept evaluation of the same weights under the same protocol.

    Evaluations are kept in the run's folder, in `evaluations/`. Nothing is kept for a model that is a file.

    Args:
        model: a run folder, a file or a Hub id.
        dataset: the faces to score against.
        name: the name in the comparison. Default: that of the run or file.
        split: val or test.
        n: number of faces to generate.
        features: the feature space.
        reader: the attribute reader, if models with different attributes are compared; see `common_reader`.
        device: the device that generates the faces.
        progress: called with (done, total) at each stage.

    Raises:
        UserError: as in `evaluate`, or there is no such model.
    """
    check_judgeable(dataset, split)  # before a reader is trained
    generator, folder = Generator.load(model).to(device), Path(model)
    attributes = generator.header.attributes
    space = open_feature_space(features, generator.header.resolution)
    if attributes and reader is None:
        reader = open_reader("auto", attributes, dataset, progress)

    # Everything that the scores depend on.
    key = [_FORMAT, NEIGHBOURS, generator.weights_hash, dataset.fingerprint, split, n, space.hash]
    if attributes and reader:
        key.append(reader.hash)
    kept = folder / "evaluations" / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.json"

    metrics = _read(kept)
    if metrics is None or metrics.weights != generator.weights_hash:
        metrics = evaluate(
            generator, dataset, split=split, n=n, features=space, reader=reader or "auto", model=model,
            progress=progress,
        ).metrics  # fmt: skip
        if folder.is_dir():
            write_text(kept, metrics.to_json())
    return _compared(name or model_name(model), metrics, generator, folder)


def common_reader(
    models: Sequence[str], dataset: FaceDataset, progress: Progress | None = None
) -> AttributeReader | None:
    """One reader that knows the attributes of all models, so that their scores can be compared.

    Returns:
        The reader; None if all models are unconditional.

    Raises:
        UserError: there is no such model, or no reader that knows all attributes.
    """
    attributes: dict[str, tuple[str, ...]] = {}
    for model in models:
        for name, values in Generator.load(model).header.attributes.items():
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
            dataset = FaceDataset(Path(info.dataset))
            if dataset.fingerprint != info.fingerprint:
                raise UserError(
                    f"The faces in {info.dataset} have changed since {model} was trained; name a dataset with --data."
                )
            return dataset
    raise UserError(
        "None of these models is a run with a known dataset; add the faces to score against with --data FACES."
    )


def _read(path: Path) -> Metrics | None:
    with suppress(UserError):  # missing or damaged
        return Metrics.read(path)
    return None


def _compared(name: str, metrics: Metrics, generator: Generator, folder: Path) -> ComparedModel:
    curve = read_log(folder)
    return ComparedModel(
        name=name,
        metrics=metrics,
        samples=generator.sample(_STRIP),
        seconds=curve[-1].get("seconds") if curve else None,
        curve=curve,
        error=None,
    )
