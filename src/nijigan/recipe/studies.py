"""The five student studies behind this project: what each claims, and what its recipe does here.

What came out here is not in this file: `assets/papers.json` has it, which `benchmarks/papers.py` writes from
`results/`.
"""

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from nijigan.assets import PAPERS
from nijigan.errors import UserError
from nijigan.jsonio import read_json


@dataclass(frozen=True)
class Claim:
    """One claim, plan or wish of a study."""

    name: str
    """What `assets/papers.json` calls it; unique within the study."""
    claimed: str
    """What the study says."""
    answer: str = ""
    """What nijigan has for it, apart from results."""


@dataclass(frozen=True)
class Result:
    """A run, or several, beside a claim."""

    study: str
    claim: str
    run: str
    """What is trained."""
    place: str
    """The file or folder of the results, in the repository."""
    found: str | None
    """What came out, in a sentence; None: not run yet."""

    @property
    def sentence(self) -> str:
        """What came out and where it is recorded, or that it is not known yet."""
        if self.found is None:
            return f"Not run yet: {self.run} ({self.place})."
        return f"{self.run[0].upper()}{self.run[1:]}: {self.found} ({self.place})."


@dataclass(frozen=True)
class Results:
    """The content of `assets/papers.json`."""

    results: tuple[Result, ...]


@dataclass(frozen=True)
class Row:
    """Losses and scores that a study gives for one epoch."""

    epoch: int
    g_loss: float
    d_loss: float
    real_score: float
    """The mean output of D on real faces, a probability."""
    fake_score: float
    """The mean output of D on generated faces, a probability."""


@dataclass(frozen=True)
class Study:
    """One study."""

    name: str
    """What `nijigan papers` calls it."""
    authors: str
    title: str
    recipes: tuple[str, ...]
    """The recipes with its settings."""
    claims: tuple[Claim, ...]
    changed: str
    """What our recipes do differently, and why."""
    epochs: tuple[int, ...] = ()
    """The epochs whose faces or figures it shows, with that of the untrained generator. Empty: it shows none."""
    table: tuple[Row, ...] = ()
    """Its own table by epoch."""
    faces: int | None = None
    """The number of its training images, if its epochs are of a known number."""


STUDIES = (
    Study(
        "menon-dubey",
        "Menon and Dubey, 2022",
        "Generation of Anime Faces using Generative Adversarial Networks (GANs)",
        ("menon-dubey",),
        (
            Claim("dcgan", "A proposal without results: DCGAN at 28 px with Adam and cross-entropy, in [0, 1]."),
            Claim("optimizers", "Other optimizers (RMSprop, SGD) and losses (Wasserstein, MSE)."),
            Claim(
                "data",
                "21,552 training images.",
                "This set was not used here. `nijigan import` keeps one of several copies of a picture.",
            ),
            Claim(
                "resolution",
                "Higher resolutions if time permits.",
                "One definition of the networks serves every resolution; see docs/recipes.md.",
            ),
        ),
        "As in the proposal, pixels are scaled to [0, 1], and G's output is a sigmoid. Faces are cropped, deduplicated "
        "and split before training.",
    ),
    Study(
        "anik",
        "Anik, Datta, Tonmoy and Islam",
        "Automatic Anime Characters Creation with Generative Adversarial Networks",
        ("anik",),
        (
            Claim(
                "scores",
                "Epochs 1 to 25 on 63,632 faces: D's mean score rises from 0.58 to 0.97 for real faces and falls to "
                "0.03 for generated ones; G's loss stays between 3 and 6. The model is called stable and of high "
                "quality.",
                "With such scores D has won, which the monitor warns about.",
            ),
            Claim(
                "measure",
                "Quantitative assessment should be investigated where labels are uneven.",
                "`nijigan evaluate` compares within each value of an attribute; see docs/judging.md. `--balance` shows "
                "faces with rare values more often.",
            ),
        ),
        "As in the text, latents have 128 numbers and images are 3×28×28. The text says both that each batch trains "
        "both networks and that whole epochs alternate: the recipe does the former, --alternate-epochs the latter.",
        epochs=(0, 1, 5, 10, 15, 20, 25),
        faces=63_632,
        table=(
            Row(1, 3.31, 0.79, 0.58, 0.05),
            Row(5, 5.81, 0.30, 0.91, 0.16),
            Row(10, 5.76, 0.22, 0.99, 0.16),
            Row(15, 3.93, 0.38, 0.85, 0.16),
            Row(20, 4.10, 0.12, 0.96, 0.07),
            Row(25, 4.92, 0.06, 0.97, 0.03),
        ),
    ),
    Study(
        "chen-ning-lin",
        "Chen, Ning and Lin, 2020",
        "Anime Face Generator using GAN",
        ("chen-ning-lin-dcgan", "chen-ning-lin-wgan", "chen-ning-lin-wgan-gp"),
        (
            Claim(
                "yield",
                "A proposal without results: DCGAN, WGAN and WGAN-GP on 96 px faces, evaluated by the yield rate, the "
                "share of good samples.",
                "The yield rate is measured with an interval and a ceiling, automatically and, with `nijigan rate`, by "
                "eye; see docs/judging.md.",
            ),
            Claim("critic", "The Wasserstein loss follows the quality of the images, and helps to debug."),
            Claim("tips", "Tips and tricks (ganhacks): avoid sparse gradients, a spherical Z, and others."),
            Claim("tags", "The tags that come with the images may be used for a conditional GAN."),
        ),
        "Latents lie on a sphere and G uses leaky ReLU, as in the tips they cite; learning rates, λ and D updates are "
        "those of their published scripts. Their WGAN-GP keeps batch norm in D, so the gradient penalty no longer "
        "applies to each image; our recipe uses layer norm.",
    ),
    Study(
        "ti-wen-chen",
        "Ti-Wen Chen",
        "Generate Anime Characters with DCGAN",
        ("ti-wen-chen",),
        (
            Claim(
                "peak",
                "150 epochs; by eye, the best was epoch 125 and later ones were worse. Early stopping on a validation "
                "metric is left for future work.",
                "--evaluate-every keeps the best checkpoint by yield, and --early-stop ends the run.",
            ),
            Claim("deeper", "A deeper network with more parameters would be better."),
        ),
        "The loss is that of algorithm 1 in Goodfellow et al. 2014: G minimises log(1 - D(G(z))).",
        epochs=(0, 1, 25, 50, 75, 100, 125, 150),
    ),
    Study(
        "walia",
        "Walia, Patel, Patel and Parekh",
        "Generating Anime Character Faces Using ACGANs",
        ("walia", "walia-acgan"),
        (
            Claim(
                "classes",
                "An auxiliary classifier GAN on 63,000 faces without labels.",
                "Their networks and losses are those of a DCGAN. Our recipe `walia` is therefore a DCGAN, and "
                "`walia-acgan` the ACGAN of the title, on faces with labels.",
            ),
            Claim(
                "accuracy",
                '"An accuracy of 97 %", 12 % for generated faces; losses near 0.2 (D) and 2 (G) after 25 epochs.',
                "The accuracies are D's mean scores. They show which network is ahead, not how good the faces are. "
                "`nijigan evaluate` measures the faces.",
            ),
            Claim("longer", "The network would perform much better at 500 to 1000 epochs."),
            Claim("batch", "How training should scale with the batch size."),
            Claim("others", "What other generative models do, and which distributions they generate."),
        ),
        "Latents of 128, 4×4 kernels, stride 2, Adam 2e-4 and 100 epochs are as in the study. `walia-acgan` learns "
        "from human tags, or from colours read from the pixels.",
        epochs=(0, 1, 5, 10, 15, 20, 25, 50, 100),
        faces=63_632,
    ),
)


def find_study(name: str) -> Study:
    """A study by its name or by one of its recipes.

    Raises:
        UserError: there is none.
    """
    for study in STUDIES:
        if name == study.name or name in study.recipes:
            return study
    names = ", ".join(study.name for study in STUDIES)
    raise UserError(f"There is no study {name[:60]!a}; choose one of {names}.")


@cache
def all_results() -> tuple[Result, ...]:
    """What came out here, for all studies, in the order of the table."""
    return read_json(Results, PAPERS).results


def results_of(study: Study, claim: Claim) -> tuple[Result, ...]:
    """The results beside a claim."""
    return tuple(one for one in all_results() if (one.study, one.claim) == (study.name, claim.name))


def here(study: Study, claim: Claim) -> list[str]:
    """What there is here beside a claim, in sentences: the answer, then every result."""
    return [claim.answer] * bool(claim.answer) + [result.sentence for result in results_of(study, claim)]


def as_record(study: Study) -> dict[str, Any]:
    """A study as plain values for JSON, with the results in its claims."""
    claims = [asdict(claim) | {"results": [_plain(one) for one in results_of(study, claim)]} for claim in study.claims]
    return asdict(study) | {"claims": claims}


def _plain(result: Result) -> dict[str, str | None]:
    return {"run": result.run, "place": result.place, "found": result.found}
