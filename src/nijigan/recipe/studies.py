"""The five student studies behind this project: what each claims, and what its recipe does here."""

from dataclasses import dataclass

from nijigan.errors import UserError


@dataclass(frozen=True)
class Claim:
    """One claim of a study, and our result."""

    claimed: str
    """What the study says."""
    reproduced: str
    """What we measured; the figures are in `results/` and `LOG.md`."""


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
            Claim(
                "A proposal without results: DCGAN at 28 px with cross-entropy and Adam; then RMSprop and SGD, the "
                "Wasserstein loss and MSE; higher resolutions if time permits.",
                "We trained every combination on `dcgan` at 28 px, with other faces, 50 kimg and one seed each, and "
                "compared KID-lite0@128 on the validation split. RMSprop with cross-entropy is best; SGD at the same "
                "learning rate hardly learns (results/sweep-28px).",
            ),
            Claim(
                "21,552 training images.",
                "Many of them are copies; `nijigan import` keeps one of each.",
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
                "Epochs 1 to 25 on 63,632 faces: D's mean score rises from 0.58 to 0.97 for real faces and falls to "
                "0.03 for generated ones; G's loss stays between 3 and 6. The model is called stable and of high "
                "quality.",
                "With such scores D has won, which our monitor warns about. We trained our recipe on the same number "
                "of images, from 12,048 faces. D's mean score is 0.73 to 0.81 for real faces and 0.19 to 0.27 for "
                "generated ones; G's loss is 1.7 to 2.6. At 28 px, 91 % of the generated faces pass the quality "
                "check, and 92 % of real ones (results/anik).",
            ),
            Claim("Quantitative assessment should be investigated.", "`nijigan evaluate`; see docs/judging.md."),
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
                "A proposal without results: DCGAN, WGAN and WGAN-GP on 96 px faces, evaluated by the yield rate, the "
                "share of good samples.",
                "Here the yield rate is measured with an interval and a ceiling (docs/judging.md), automatically and, "
                "with `nijigan rate`, by eye. After 60 kimg on the collection they chose, it is 8 % for DCGAN, 3 % for "
                "WGAN, 0 % for WGAN-GP, and 88 % for real faces (results/chen-ning-lin-*).",
            ),
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
                "150 epochs; by eye, the best was epoch 125 and later ones were worse. Early stopping on a validation "
                "metric is left for future work.",
                "--evaluate-every keeps the best checkpoint by yield, and --early-stop ends the run. In a run of "
                "500 kimg (42 epochs), `dcgan`, which has another loss than `ti-wen-chen`, was best at 275 kimg "
                "(results/dcgan).",
            ),
            Claim(
                "A deeper network with more parameters would be better.",
                "With both networks of `dcgan`, not of `ti-wen-chen`, twice as deep, after 200 kimg at 64 px: KID "
                "×1000 is 3,013 (`dcgan`: 3,057) and the yield of version 0.1 is 2 % (`dcgan`: 1 %) "
                "(results/dcgan-deep).",
            ),
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
                "An auxiliary classifier GAN on 63,000 faces without labels.",
                "Their networks and losses are those of a DCGAN. Our recipe `walia` is therefore a DCGAN.",
            ),
            Claim(
                '"An accuracy of 97 %", and 12 % for generated faces.',
                "These numbers are D's mean scores (`dcgan`: 94 and 6 after 25 epochs). They show which network is "
                "ahead, not how good the faces are. `nijigan evaluate` measures the faces.",
            ),
            Claim(
                "Losses near 0.2 (D) and 2 (G) after 25 epochs.",
                "Our closest run (`dcgan`, latent size 100 and batch 64 instead of theirs) has losses of 0.2 (D) and "
                "7 (G) after 25 epochs, and scores of 0.94 (real) and 0.06 (generated): D has nearly won "
                "(results/dcgan).",
            ),
        ),
        "Latents of 128, 4×4 kernels, stride 2, Adam 2e-4 and 100 epochs are as in the study. `walia-acgan` is the "
        "ACGAN of the title, on faces with labels: human tags, or colours read from the pixels.",
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
