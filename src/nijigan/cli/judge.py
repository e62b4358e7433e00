"""Commands that judge."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from nijigan.cli.common import Device, Model, narrate, open_or_import, progress_bar, torch_device
from nijigan.errors import UserError

Models = Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="MODEL...", help_behavior_hint="(required)")]

_SPACES = "The feature space: lite0, anime, inception, a path to an .onnx file, or module:attribute."


@dataclass(frozen=True)
class Evaluate:
    """Score a generator against real faces: metrics.json, and a report to read."""

    data: Path
    """The dataset it learnt from, or its pictures."""
    model: Model = None
    """A run folder, a .safetensors file or a Hub id; left out, the generator that comes with nijigan."""
    out: Path | None = None
    """Folder for metrics.json and report.html; left out, evaluation/ in the run, or here for a file."""
    split: Literal["val", "test"] = "test"
    """The faces to score against: val while you still choose, test once, for what you publish."""
    n: int = 5000
    """Faces to draw."""
    seed: int = 0
    """Seed of the first face."""
    psi: float = 1.0
    """Truncation; scores are those of the model as trained at 1 alone."""
    features: Annotated[str, tyro.conf.arg(help=_SPACES)] = "lite0"
    reader: Literal["auto", "people", "own"] = "auto"
    """Who reads attributes off drawn faces: people, taught by people's tags; own, taught by the labels of these faces;
    auto, people where it knows every value."""
    n_asked: int = 100
    """Faces to ask for of each value of each attribute."""
    device: Device = "auto"
    """Where to draw."""
    json: bool = False
    """Print the metrics as JSON."""

    def run(self) -> None:
        """Evaluate."""
        from nijigan.generator.generator import Generator
        from nijigan.judges.evaluation import evaluate
        from nijigan.pages.gallery import write_evaluation

        generator = Generator.load(self.model).to(torch_device(self.device))
        with progress_bar("Judging") as progress:
            evaluation = evaluate(
                generator, open_or_import(self.data), split=self.split, n=self.n, seed=self.seed, psi=self.psi,
                features=self.features, reader=self.reader, n_asked=self.n_asked,
                model=self.model or "the generator in the box", progress=progress,
            )  # fmt: skip
        print(evaluation.metrics.to_json() if self.json else evaluation.metrics)
        run = Path(self.model) if self.model and Path(self.model).is_dir() else None
        out = self.out or (run or Path()) / "evaluation"
        narrate(f"Report: {write_evaluation(evaluation, generator, out, run)}")


@dataclass(frozen=True)
class Compare:
    """Put models side by side on one page: the same latents, and ranks only where intervals separate them."""

    models: Models
    """Run folders, .safetensors files or Hub ids."""
    data: Path | None = None
    """The faces to score against; left out, those that the first run was trained on."""
    out: Path = Path("compare.html")
    """The page."""
    split: Literal["val", "test"] = "val"
    """The faces to score against."""
    n: int = 5000
    """Faces to draw from each."""
    features: Annotated[str, tyro.conf.arg(help=_SPACES)] = "lite0"
    device: Device = "auto"
    """Where to draw."""

    def run(self) -> None:
        """Compare."""
        from nijigan.judges.evaluation import check_number
        from nijigan.pages.comparison import compare
        from nijigan.pages.models import common_reader, dataset_of, evaluated
        from nijigan.pages.report import model_name

        check_number(self.n)
        device = torch_device(self.device)
        _check_named(self.models)
        dataset = open_or_import(self.data) if self.data else dataset_of(self.models)
        with progress_bar("Learning to read") as progress:
            reader = common_reader(self.models, dataset, progress)
        names = [model_name(model) for model in self.models]
        entries = []
        for model, name in zip(self.models, names, strict=True):
            shown = name if names.count(name) == 1 else model
            with progress_bar(f"Judging {model}") as progress:
                entry = evaluated(
                    model, dataset, name=shown, split=self.split, n=self.n, features=self.features, reader=reader,
                    device=device, progress=progress,
                )  # fmt: skip
            entries.append(entry)
        compare(entries, self.out)
        print(self.out)


@dataclass(frozen=True)
class Rate:
    """Rate faces by hand in the browser, blind between models and real faces: yield by a person."""

    models: Models
    """Run folders, .safetensors files or Hub ids."""
    data: Path
    """The dataset whose validation faces are mixed in."""
    out: Path = Path("ratings")
    """Folder for the votes, ratings.sqlite; the same folder goes on where you left."""
    n: int = 100
    """Faces from each model, and real ones."""
    seed: int = 0
    """Decides the faces and their order."""
    port: int = 7861
    """Of the page, on this machine alone."""

    def run(self) -> None:
        """Serve the page until Ctrl-C, then print the result."""
        from functools import partial

        from nijigan.generator.generator import Generator
        from nijigan.judges.evaluation import good_faces
        from nijigan.judges.feature_spaces import open_feature_space
        from nijigan.judges.real import real_faces
        from nijigan.rate.ballot import build_ballot
        from nijigan.rate.server import serve
        from nijigan.rate.store import VoteStore
        from nijigan.rate.tally import tally

        _check_named(self.models)
        dataset = open_or_import(self.data)
        ballot = build_ballot({model: Generator.load(model) for model in self.models}, dataset, self.n, self.seed)
        store = VoteStore(self.out)
        serve(ballot, store, self.port)
        if not store.votes():
            return
        print(tally(ballot, store))
        with progress_bar("Judging") as progress:
            real = real_faces(dataset, "val", ballot.images.shape[1], open_feature_space(), progress)
        narrate("With the automatic yield beside:")
        print(tally(ballot, store, partial(good_faces, real=real)))


def _check_named(models: tuple[str, ...]) -> None:
    if not models:
        raise UserError("Name a model, or several: run folders, .safetensors files or Hub ids.")
    if len(set(models)) < len(models):
        raise UserError("A model is named twice; name each once.")
