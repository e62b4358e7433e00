"""Models as entries of a comparison: judged alike, and only once."""

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
from nijigan.judges.real import NEIGHBOURS
from nijigan.judges.results import Metrics
from nijigan.pages.ranking import ComparedModel
from nijigan.pages.report import model_name
from nijigan.runs import RunInfo, read_log

_FORMAT = 2  # of what is kept; raise it when a score is taken in another way
_STRIP = 64  # faces shown of each, from the same latents


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
    """Judge a model for a comparison, or take what was found when the same weights were judged the same way.

    What is found is kept in the run's folder, in `evaluations/`; a model that is a file leaves nothing behind.

    Args:
        model: a run folder, a file or a Hub id.
        dataset: the faces to score against.
        name: what the comparison calls it.
        split: val or test.
        n: faces to draw.
        features: the feature space.
        reader: who reads attributes, where models with different ones are compared; see `common_reader`.
        device: where to draw.
        progress: called with (done, total) at each stage.

    Raises:
        UserError: as in `evaluate`, or there is no such model.
    """
    generator, folder = Generator.load(model).to(device), Path(model)
    space = open_feature_space(features, generator.header.resolution)
    key = [_FORMAT, NEIGHBOURS, generator.weights_hash, dataset.fingerprint, split, n, space.hash]
    if generator.header.attributes:
        reader = reader or open_reader("auto", generator.header.attributes, dataset, progress)
        key.append(reader.hash)
    kept = folder / "evaluations" / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.json"
    metrics = None
    with suppress(UserError):  # not there, or damaged
        metrics = Metrics.read(kept)
    if metrics is None or metrics.weights != generator.weights_hash:
        metrics = evaluate(
            generator,
            dataset,
            split=split,
            n=n,
            features=space,
            reader=reader or "auto",
            model=model,
            progress=progress,
        ).metrics
        if folder.is_dir():
            write_text(kept, metrics.to_json())
    curve = read_log(folder)
    return ComparedModel(
        name=name or model_name(model), metrics=metrics, samples=generator.sample(_STRIP),
        seconds=curve[-1].get("seconds") if curve else None, curve=curve, error=None,
    )  # fmt: skip


def common_reader(
    models: Sequence[str], dataset: FaceDataset, progress: Progress | None = None
) -> AttributeReader | None:
    """One reader that knows the attributes of all models, so that their scores can be compared; None: they have none.

    Raises:
        UserError: there is no such model, or none that knows them all.
    """
    attributes: dict[str, tuple[str, ...]] = {}
    for model in models:
        for name, values in Generator.load(model).header.attributes.items():
            attributes[name] = tuple(dict.fromkeys((*attributes.get(name, ()), *values)))
    return open_reader("auto", attributes, dataset, progress) if attributes else None


def dataset_of(models: Sequence[str]) -> FaceDataset:
    """The faces that the first of the models that is a run was trained on.

    Raises:
        UserError: none of them is a run.
    """
    for model in models:
        if (file := Path(model) / "run.json").is_file():
            info = read_json(RunInfo, file)
            dataset = FaceDataset(Path(info.dataset))
            if dataset.fingerprint != info.fingerprint:
                raise UserError(f"The faces in {info.dataset} have changed since {model} began; use --data.")
            return dataset
    raise UserError("None of these is a run that knows its faces; say what to score against with --data FACES.")
