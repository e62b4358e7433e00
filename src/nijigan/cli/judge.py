"""Commands that judge generators: evaluate, compare, rate."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional

from nijigan.cli.common import Device, Model, narrate, open_or_import, progress_bar, torch_device
from nijigan.errors import UserError, check
from nijigan.terminal import shell

if TYPE_CHECKING:
    from nijigan.dataset.faces import FaceDataset
    from nijigan.generator.generator import Generator
    from nijigan.rate.ballot import Ballot

Models = Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="MODEL...", help_behavior_hint="(required)")]

_SPACES = "Feature space: lite0, anime, inception, a path to an .onnx file, or module:attribute."


@dataclass(frozen=True)
class Evaluate:
    """Score a generator against real faces, and write metrics.json and an HTML report."""

    data: Path
    """Dataset that the generator was trained on, or its pictures."""
    model: Model = None
    """Run folder, .safetensors file or hf:user/model. Default: the packaged generator."""
    out: Path | None = None
    """Folder for metrics.json and report.html. Default: evaluation/ in the run folder, or in the current folder."""
    split: Literal["val", "test"] = "test"
    """Split to score against. Use val to choose between models, and test once, for publication."""
    n: int = 5000
    """Number of faces to generate, 100 to 100,000."""
    seed: int = 0
    """Seed of the first face."""
    psi: float = 1.0
    """Truncation, 0 to 2. Only the scores at 1 describe the trained model."""
    features: Annotated[str, tyro.conf.arg(help=_SPACES)] = "lite0"
    reader: Literal["auto", "people", "own"] = "auto"
    """Attribute reader: people = trained on human tags; own = trained on this dataset; auto = people if it knows all
    values, otherwise own."""
    n_asked: int = 100
    """Number of faces to request for each value of each attribute, 10 to 10,000."""
    manifold: bool = False
    """Compute also the yield of version 0.1, for comparison with older scores. It takes a minute longer."""
    device: Device = "auto"
    """Device that generates the faces."""
    overwrite: bool = False
    """Replace files in --out that nijigan did not write."""
    json: bool = False
    """Print the metrics as JSON."""

    def run(self) -> None:
        """Evaluate."""
        from nijigan.generator.generator import Generator
        from nijigan.judges.evaluation import check_request, evaluate
        from nijigan.judges.feature_spaces import open_feature_space
        from nijigan.pages.gallery import check_evaluation_place, write_evaluation

        # What can be refused is refused before pictures are imported.
        run = Path(self.model) if self.model and Path(self.model).is_dir() else None
        out = self.out or (run or Path()) / "evaluation"
        check_evaluation_place(out, self.overwrite)
        device = torch_device(self.device)
        generator = Generator.load(self.model).to(device)
        check_request(generator, n=self.n, n_asked=self.n_asked, seed=self.seed, psi=self.psi, manifold=self.manifold)
        space = open_feature_space(self.features, generator.header.resolution)
        dataset = open_or_import(self.data)
        with progress_bar("Judging") as progress:
            evaluation = evaluate(
                generator, dataset, split=self.split, n=self.n, seed=self.seed, psi=self.psi, features=space,
                reader=self.reader, n_asked=self.n_asked, manifold=self.manifold,
                model=self.model or "the packaged generator", progress=progress,
            )  # fmt: skip
        narrate("Writing the report")
        report = write_evaluation(evaluation, generator, out, run)  # before printing, which may fail
        print(evaluation.metrics.to_json() if self.json else evaluation.metrics)
        narrate(f"Report: {report}")


@dataclass(frozen=True)
class Compare:
    """Compare models on one page. All use the same latents; ranks differ only where intervals do not overlap."""

    models: Models
    """Run folders, .safetensors files or hf:user/model. Other files and folders are skipped, so that sweep/* works."""
    data: Path | None = None
    """Dataset to score against. Default: the one that the first run was trained on."""
    out: Path = Path("compare.html")
    """Path of the page."""
    split: Literal["val", "test"] = "val"
    """Split to score against."""
    n: int = 5000
    """Number of faces to generate with each model, 100 to 100,000."""
    features: Annotated[str, tyro.conf.arg(help=_SPACES)] = "lite0"
    device: Device = "auto"
    """Device that generates the faces."""
    overwrite: bool = False
    """Replace a file at --out that nijigan did not write."""

    def run(self) -> None:
        """Compare."""
        from nijigan.judges.evaluation import check_number
        from nijigan.judges.feature_spaces import open_feature_space
        from nijigan.pages.compare_models import compare
        from nijigan.pages.layout import check_page_place
        from nijigan.pages.models import existing_models, headers_of

        # What can be refused is refused before pictures are imported.
        check_page_place(self.out, self.overwrite)
        check_number(self.n)
        device, models = torch_device(self.device), existing_models(self.models)
        space = open_feature_space(self.features, headers_of(models)[0].resolution)
        dataset = open_or_import(self.data) if self.data else None
        with progress_bar("Judging") as progress:
            compare(
                models, self.out, dataset=dataset, split=self.split, n=self.n, features=space,
                device=device, overwrite=self.overwrite, progress=progress,
            )  # fmt: skip
        print(self.out)


@dataclass(frozen=True)
class Rate:
    """Rate faces by hand, without knowing which model made them or whether they are real: in a browser or on sheets."""

    models: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="MODEL...")] = ()
    """Run folders, .safetensors files or hf:user/model. Required, except with --read."""
    data: Path | None = None
    """Dataset whose validation faces are mixed in. Required, except with --read."""
    out: Path = Path("ratings")
    """Folder for the votes (ratings.sqlite). Use the same folder to continue a rating."""
    n: int = 100
    """Number of faces from each model, 1 to 10,000."""
    real: int | None = None
    """Number of real faces. Default: the number in --n."""
    repeats: float = 0.0
    """Share of the faces to show a second time, 0 to 0.5. It tells how often you agree with yourself."""
    seed: int = 0
    """Seed of the faces and of their order."""
    rater: str = ""
    """Your name, stored with each vote. Default: no name."""
    sheets: Path | None = None
    """Instead of starting the page, write numbered contact sheets and a table to fill in to this new folder."""
    read: Path | None = None
    """Read the table in a folder that --sheets wrote, store its verdicts, and print the result."""
    port: int = 7861
    """Port of the web page."""
    host: str = "127.0.0.1"
    """Address that the page is served on; 0.0.0.0 = all addresses of this machine."""
    token_file: Path | None = None
    """File with the token in the page's link: one line of 16 to 200 letters, digits, dashes and underscores. Default: a
    new token."""

    def run(self) -> None:
        """Read filled-in sheets, write new ones, or serve the page until Ctrl-C; then print the result."""
        from nijigan.generator.generator import Generator
        from nijigan.pages.models import existing_models
        from nijigan.rate.ballot import check_request

        if self.read is not None:
            self._read(self.read)
            return
        check_request(self.n, self.seed, self.real, self.repeats)
        check(self.rater.isprintable() and len(self.rater) <= 100, "--rater must be a name of at most 100 characters.")
        models = {model: Generator.load(model) for model in existing_models(self.models)}
        if self.data is None:
            raise UserError("Name the dataset whose real faces are mixed in: --data FACES.")
        if self.sheets is not None:
            self._write(models, self.sheets, self.data)
        else:
            self._serve(models, self.data)

    def _read(self, folder: Path) -> None:
        from nijigan.rate.sheets import read_sheets
        from nijigan.rate.store import VoteStore
        from nijigan.rate.tally import tally

        if self.models or self.sheets:
            raise UserError("Name no models and no --sheets with --read; the sheets know what they show.")
        key, votes = read_sheets(folder)
        store = VoteStore(self.out, self.rater)
        store.cast_all(votes)
        narrate(f"Stored {len(votes)} verdicts of {self.rater or 'a rater without a name (--rater)'} in {store.path}.")
        print(tally(key, store))

    def _write(self, models: "dict[str, Generator]", folder: Path, data: Path) -> None:
        from nijigan.rate.sheets import VERDICTS, check_folder, write_sheets

        check_folder(folder)
        ballot = self._ballot(models, open_or_import(data))
        with progress_bar("Drawing sheets") as progress:
            sheets = write_sheets(ballot, folder, progress)
        rater = f" --rater {shlex.quote(self.rater)}" if self.rater else ""
        print(
            f"{len(ballot.faces)} faces on {len(sheets)} sheets in {folder}. Write good or bad for each number into "
            f"{folder / VERDICTS}, then run: nijigan rate --read {shell(folder)} --out {shell(self.out)}{rater}"
        )

    def _serve(self, models: "dict[str, Generator]", data: Path) -> None:
        from nijigan.judges.quality import keep_probability
        from nijigan.rate.listening import choose_token, listen
        from nijigan.rate.server import serve
        from nijigan.rate.store import VoteStore
        from nijigan.rate.tally import tally, with_judge

        token = choose_token(self.host, self.token_file)
        with listen(self.port, self.host) as listener:  # a port in use is told before pictures are imported
            dataset = open_or_import(data)
            ballot, store = self._ballot(models, dataset), VoteStore(self.out, self.rater)
            serve(ballot, store, listener, self.host, token)
        count = tally(ballot, store)
        if not count.rated:
            return
        print(count)
        narrate("The same votes compared with the judge of yield:")
        print(with_judge(count, ballot, store, lambda faces: keep_probability(faces) >= 0.5))

    def _ballot(self, models: "dict[str, Generator]", dataset: "FaceDataset") -> "Ballot":
        from nijigan.rate.ballot import build_ballot

        return build_ballot(models, dataset, self.n, self.seed, real=self.real, repeats=self.repeats)
