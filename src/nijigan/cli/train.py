"""Commands that train. The options of a recipe, with their help, are the fields in `nijigan.recipe`."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from nijigan.cli.common import Device, Model, leave, narrate, open_or_import, progress_bar, torch_device
from nijigan.errors import UserError, check
from nijigan.files import check_path, check_writable
from nijigan.recipe.recipe import Recipe
from nijigan.terminal import shell

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Demo:
    """Create a dataset of procedural faces, train a small DCGAN on it, and show the results."""

    out: Path = Path("demo")
    """Folder for everything that the demo writes."""

    def run(self) -> None:
        """Run the demo."""
        from nijigan.demo import demo
        from nijigan.training.hardware import keep_freed_memory

        keep_freed_memory()
        with progress_bar("Drawing") as progress:
            demo(self.out, progress)


@dataclass(frozen=True)
class Train:
    """Train a recipe on a dataset of faces. In the options, G is the generator and D is the discriminator."""

    recipe: Annotated[Positional[str], tyro.conf.arg(metavar="RECIPE")]
    """A name from `nijigan recipes`, or the path of a recipe's JSON file."""
    data: Path
    """A dataset folder. A folder of pictures or a .zip is first imported into a new folder next to it (NAME-faces)."""
    settings: Annotated[
        Recipe, tyro.conf.arg(name="")
    ]  # its fields are options without a prefix: --kimg, --generator.width
    out: Path | None = None
    """The run folder to write. Default: runs/RECIPE."""
    start_from: Path | None = None
    """Initialise both networks from another run, from a pair that nijigan export wrote, or, with the word package, from
    the pair in the package (transfer learning). Default: random weights."""
    device: Device = "auto"
    """Device to train on."""
    devices: int = 1
    """Number of processes per machine, with one device each."""
    nodes: int = 1
    """Number of machines."""
    overwrite: bool = False
    """Delete the files of another run in --out, and any other files there that have the names of a run's files."""
    minutes: float | None = None
    """Length of the run in minutes on this device. The speed is measured first, and the length is then fixed in kimg.
    Default: the recipe's length."""
    dry_run: bool = False
    """Print the plan (faces, weights, arithmetic, memory, time) for one device, without training."""
    json: bool = False
    """With --dry-run, print the plan and the whole recipe as JSON."""

    def run(self) -> None:
        """Train, or print the plan."""
        if self.json and not self.dry_run:
            raise UserError("--json applies to --dry-run; add it, or remove --json.")
        for option in ("dry_run", "minutes"):
            if getattr(self, option) and self.devices * self.nodes > 1:
                name = option.replace("_", "-")
                raise UserError(f"--{name} measures one device, not several; remove --devices and --nodes.")
        if self.minutes is not None and not 0 < self.minutes < 60 * 24 * 366:
            raise UserError(f"--minutes is {self.minutes:g}; choose a number above 0 and below a year, such as 10.")
        from nijigan.dataset.manifest import is_dataset  # pyarrow is slow to import

        if self.dry_run and not is_dataset(self.data):
            raise UserError(
                f"--dry-run needs a dataset, and {self.data} is none; import the pictures first: nijigan import "
                f"{shell(self.data)} --out FACES"
            )
        dataset, settings = open_or_import(self.data), self.settings
        if self.dry_run or self.minutes is not None:
            from nijigan.training.dry_run import plan

            with progress_bar("Measuring the speed"):
                cost = plan(settings, dataset, self.device, self.start_from)
            if self.minutes is not None:
                kimg = max(0.1, round(cost.images_per_second * self.minutes * 60 / 1000, 1))
                settings = replace(settings.reset_for({"kimg": ""}), kimg=kimg, epochs=None)
                cost = replace(cost, recipe=replace(cost.recipe, kimg=kimg))
                _log.info("%g minutes at %.0f images/s are %g kimg.", self.minutes, cost.images_per_second, kimg)
            if self.dry_run:
                print(cost.to_json() if self.json else cost)
                return
        from nijigan.training import train
        from nijigan.training.hardware import keep_freed_memory

        keep_freed_memory()
        out = train(
            settings, dataset, self.out or Path("runs") / settings.name, start_from=self.start_from,
            device=self.device, devices=self.devices, nodes=self.nodes, overwrite=self.overwrite,
        )  # fmt: skip
        _tell_samples(out)
        leave(self.devices * self.nodes)


def _tell_samples(run: Path) -> None:
    """Say where the faces of a run are, and how to generate more."""
    _log.info(
        "Samples: %s. Generate more with `nijigan generate %s --n 64 --out grid.png`.", run / "samples", shell(run)
    )


@dataclass(frozen=True)
class Resume:
    """Continue a run from its last checkpoint."""

    folder: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
    data: Path | None = None
    """New location of the run's dataset, if it was moved. Default: the folder in run.json."""
    kimg: float | None = None
    """New length of the run, in thousands of images. Default: the length in its recipe."""
    device: Device = "auto"
    """Device to train on."""
    devices: int = 1
    """Number of processes per machine, with one device each."""
    nodes: int = 1
    """Number of machines."""

    def run(self) -> None:
        """Resume."""
        from nijigan.training import resume
        from nijigan.training.hardware import keep_freed_memory

        keep_freed_memory()

        out = resume(
            self.folder, dataset=open_or_import(self.data) if self.data else None, kimg=self.kimg,
            device=self.device, devices=self.devices, nodes=self.nodes,
        )  # fmt: skip
        _tell_samples(out)
        leave(self.devices * self.nodes)


@dataclass(frozen=True)
class Sweep:
    """Train a recipe with every combination of some settings, evaluate each run, and compare them on one page."""

    recipe: Annotated[Positional[str], tyro.conf.arg(metavar="RECIPE")]
    """A name from `nijigan recipes`, or the path of a recipe's JSON file."""
    data: Path
    """A dataset folder. A folder of pictures or a .zip is first imported into a new folder next to it (NAME-faces)."""
    settings: Annotated[Recipe, tyro.conf.arg(name="")]  # shared by all combinations
    vary: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A field and its values: FIELD=VALUE,VALUE,... Repeat the option to vary more fields. FIELD is a field of the
    recipe. The short names optimizer, lr, beta1 and beta2 set both networks."""
    out: Path = Path("sweep")
    """Folder of the sweep. An interrupted sweep continues if the command is repeated."""
    device: Device = "auto"
    """Device to train on."""
    n: int = 2000
    """Number of faces to generate from each run for its evaluation."""

    def run(self) -> None:
        """Train, evaluate and compare."""
        from nijigan.judges.evaluation import check_number
        from nijigan.sweep import combinations, sweep
        from nijigan.training.hardware import keep_freed_memory

        keep_freed_memory()
        vary: dict[str, list[str]] = {}
        for assignment in self.vary:
            field, equals, values = (part.strip() for part in assignment.partition("="))
            if not equals or not field or field in vary:
                raise UserError(
                    f"--vary {assignment[:60]} is not valid; write FIELD=VALUE,VALUE with a new field, such as "
                    "lr=1e-4,2e-4."
                )
            vary[field] = [value.strip() for value in values.split(",")]
        combinations(self.settings, vary)  # what can be refused is refused before pictures are imported
        check_number(self.n)
        print(sweep(self.settings, open_or_import(self.data), vary, self.out, device=self.device, n=self.n))


@dataclass(frozen=True)
class Polish:
    """Teach a trained generator to draw faces that people keep, in minutes and without its discriminator.

    A judge, fitted to the verdicts of two vision models on thousands of faces, shows the way; your own verdicts adapt
    it. Only layers whose input is the latent or the labels learn.
    """

    data: Path
    """The dataset that the generator was trained on, or its pictures: its real faces hold variety in place."""
    model: Model = None
    """A run folder, a .safetensors file or hf:user/model. Default: the packaged generator."""
    out: Path = Path("polished.safetensors")
    """The file of the new generator."""
    ratings: Path | None = None
    """Folder of nijigan rate with votes on at least 50 faces of the generator. Default: the packaged judge alone."""
    rated: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Repeat for each: other generators whose faces were rated there, such as the one before an earlier polish."""
    kimg: float = 10.0
    """Thousands of faces to draw while learning, above 0, up to 1,000."""
    seed: int = 0
    """Seed of the latents."""
    device: Device = "auto"
    """Device to learn on."""
    overwrite: bool = False
    """Replace an existing file at --out."""

    def run(self) -> None:
        """Polish."""
        check_path(self.out)
        check(self.out.suffix == ".safetensors", f"{self.out} needs the suffix .safetensors; name another file.")
        check(not self.out.is_dir(), f"{self.out} is a folder; name a file.")
        check(self.overwrite or not self.out.exists(), f"{self.out} exists; choose another name, or use --overwrite.")
        check(bool(self.ratings) or not self.rated, "--rated names generators of --ratings; add it, or omit --rated.")
        from nijigan.generator.generator import Generator
        from nijigan.polish.polishing import check_request, polish, real_faces
        from nijigan.polish.sight import Sight
        from nijigan.polish.taste import Taste
        from nijigan.polish.votes import rated_faces

        check_request(self.kimg, self.seed)
        check_writable(self.out)
        device, generator = torch_device(self.device), Generator.load(self.model)
        narrate(f"Polishing {self.model or 'the packaged generator'}.")
        _ = generator.to(device).module  # an .onnx file has none, which is said before pictures are read
        voted = None
        if self.ratings is not None:
            others = [Generator.load(name) for name in self.rated]
            voted = rated_faces(self.ratings, [generator, *others])
        dataset, learnt = open_or_import(self.data), generator.header.dataset
        if learnt is not None and learnt.fingerprint != dataset.fingerprint:
            _log.warning(
                "%s is not the dataset that the generator was trained on (%s): faces move towards those of the former.",
                dataset.path, learnt.name,
            )  # fmt: skip
        real = real_faces(dataset, generator.header.resolution)
        sight, taste = Sight().to(device), Taste.load()
        if voted is not None:
            with progress_bar(f"Adapting the judge to votes on {len(voted[0]):,} faces") as progress:
                taste = taste.adapted(sight, *voted, progress)
        with progress_bar("Looking at real faces") as progress:
            polished = polish(generator, real, taste, sight, self.kimg, self.seed, progress)
        polished.to("cpu").save(self.out)
        print(self.out)
        _log.info(
            "Generate faces with `nijigan generate %s --n 64 --out grid.png`. The judge taught them and cannot say how "
            "good they are: look, or rate them blind beside %s with nijigan rate.",
            shell(self.out), self.model or "the packaged ones",
        )  # fmt: skip
