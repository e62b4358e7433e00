"""The five student studies behind this project: what each claims, beside what its recipe does here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """One thing a study says, and what we saw."""

    claimed: str
    """In the study."""
    reproduced: str
    """Here; figures are of `results/` and `LOG.md`."""


@dataclass(frozen=True)
class Study:
    """One study."""

    authors: str
    title: str
    recipes: tuple[str, ...]
    """The recipes with its settings."""
    claims: tuple[Claim, ...]
    changed: str
    """What we do otherwise, and why."""


STUDIES = (
    Study(
        "Menon and Dubey, 2022",
        "Generation of Anime Faces using Generative Adversarial Networks (GANs)",
        ("menon-dubey",),
        (
            Claim(
                "A proposal without results: DCGAN at 28 px with cross-entropy and Adam; then RMSprop and SGD, the "
                "Wasserstein loss and MSE; higher resolutions if time permits.",
                "The whole grid on `dcgan` at 28 px and other faces, 50 kimg and one seed each, KID-lite0@128 on val: "
                "RMSprop with cross-entropy is best, SGD at that rate learns next to nothing (results/sweep-28px).",
            ),
            Claim(
                "21,552 pictures to train on.",
                "That collection has 17,029 distinct files by an independent count; import drops the copies.",
            ),
        ),
        "Pixels are scaled to [0, 1] as they ask, with a sigmoid at the end of G. Faces are cropped, deduplicated and "
        "split before anything is trained.",
    ),
    Study(
        "Anik, Datta, Tonmoy and Islam",
        "Automatic Anime Characters Creation with Generative Adversarial Networks",
        ("anik",),
        (
            Claim(
                "Epochs 1 to 25 on 63,632 faces: D's score of real faces rises from 0.58 to 0.97 and that of drawn "
                "ones falls to 0.03; G's loss stays at 3 to 6; the model is called stable and of high quality.",
                "Those scores are of a discriminator that has won, of which the monitor warns. The recipe, as many "
                "images of 12,048 faces: 0.73 to 0.81, 0.19 to 0.27, 1.7 to 2.6, and 91 % of its faces pass as good "
                "at 28 px, where 92 % of real ones do (results/anik).",
            ),
            Claim("Quantitative assessment should be investigated.", "`nijigan evaluate`: see docs/judging.md."),
        ),
        "Latents of 128 and pictures of 3×28×28 as in the text. The text trains both networks in each batch and speaks "
        "of whole epochs in turn as well: the recipe does the first, --alternate-epochs the second.",
    ),
    Study(
        "Chen, Ning and Lin, 2020",
        "Anime Face Generator using GAN",
        ("chen-ning-lin-dcgan", "chen-ning-lin-wgan", "chen-ning-lin-wgan-gp"),
        (
            Claim(
                "A proposal without results: DCGAN, WGAN and WGAN-GP on 96 px faces, judged by the yield rate, good "
                "samples over all.",
                "The yield rate is a measured share with an interval and a ceiling (docs/judging.md), by machine and, "
                "with `nijigan rate`, by eye. After 60 kimg of the collection they chose it is 8 % for DCGAN, 3 % for "
                "WGAN, 0 for WGAN-GP, and 88 % for real faces (results/chen-ning-lin-*).",
            ),
        ),
        "Latents lie on a sphere and G's activations leak, as the tips they cite ask; rates, λ and critic updates are "
        "those of their published scripts. Their critic keeps batch norm under the gradient penalty, which no longer "
        "asks for a slope at each image: ours has layer norm.",
    ),
    Study(
        "Ti-Wen Chen",
        "Generate Anime Characters with DCGAN",
        ("ti-wen-chen",),
        (
            Claim(
                "150 epochs; the best at 125, by eye, worse after: stop early on a validation metric.",
                "--evaluate-every keeps the best checkpoint by KID, --early-stop ends the run; a plain DCGAN's best of "
                "500 kimg (41 epochs) was at 275 (results/dcgan).",
            ),
            Claim(
                "A deeper network with more parameters would be better.",
                "Twice the depth in both networks, 200 kimg at 64 px: KID ×1000 3,013 where `dcgan` has 3,057, yield "
                "2 % where it has 1 %, for 2.5 times the arithmetic (results/dcgan-deep).",
            ),
        ),
        "The game is algorithm 1's: G descends log(1 - D(G(z))).",
    ),
    Study(
        "Walia, Patel, Patel and Parekh",
        "Generating Anime Character Faces Using ACGANs",
        ("walia", "walia-acgan"),
        (
            Claim(
                "An auxiliary classifier GAN on 63,000 faces without labels.",
                "Their networks and losses are a DCGAN's, and so is the recipe.",
            ),
            Claim(
                '"An accuracy of 97 %", and 12 % for drawn faces.',
                "Those are D's mean scores (`dcgan`: 94 and 6 after 25 epochs), which say who is ahead, not how "
                "good the faces are; `nijigan evaluate` does.",
            ),
            Claim(
                "Loss near 0.2 for D and 2 for G after 25 epochs.",
                "`dcgan`, theirs but for latents of 100 and batches of 64, has 0.2 and 7 after 25 epochs, and 0.94 and "
                "0.06 for scores: D has all but won (results/dcgan).",
            ),
        ),
        "Latents of 128, 4×4 kernels, stride 2, Adam 2e-4 and 100 epochs are theirs. `walia-acgan` is what the title "
        "says, on faces with labels: people's, or colours read from the pixels.",
    ),
)
