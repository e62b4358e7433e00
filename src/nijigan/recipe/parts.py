"""The parts of a recipe: frozen dataclasses whose contradictions are refused, with a sentence, when one is made.

The words under a field are its help on the command line. A field that belongs to some kinds only says so, and is left
at its default elsewhere.
"""

from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from nijigan.errors import UserError, check

Kind = Literal["dcgan", "resnet", "r3", "style"]
Norm = Literal["auto", "batch", "layer", "instance", "spectral", "none"]
Prior = Literal["normal", "truncated-normal", "uniform", "sphere"]


_SLOPE = ("wgan-gp", "dragan", "r1", "r2", "r1r2")
_OWNERS: dict[str, dict[str, tuple[object, tuple[str, ...]]]] = {
    "generator": {
        "norm": ("auto", ("dcgan", "resnet")), "activation": ("relu", ("dcgan", "resnet")),
        "upsample": ("transposed", ("dcgan",)), "dropout": (0.0, ("dcgan",)), "mapping_depth": (4, ("style",)),
        "style_mixing": (0.0, ("style",)), "noise": (False, ("style",)), "embedding": (64, ("dcgan", "resnet", "r3")),
    },
    "discriminator": {"downsample": ("stride", ("dcgan",))},
    "condition": {
        "weight": (None, ("acgan", "reacgan")), "fakes": (True, ("acgan",)), "d_embedding": (512, ("reacgan",)),
        "diversity": (1.0, ("projection", "acgan", "reacgan")), "temperature": (0.5, ("reacgan",)),
        "positive_margin": (0.98, ("reacgan",)), "negative_margin": (0.02, ("reacgan",)),
    },
    "penalty": {
        "weight": (None, _SLOPE), "every": (1, _SLOPE), "one_sided": (False, ("wgan-gp", "dragan")),
        "clip": (0.01, ("clip", "auto")),
    },
}  # fmt: skip
"""Part → field → its default, and the kinds that know it; fields that are not here belong to all."""

PARTS_WITH_KINDS = tuple(_OWNERS)


def strangers(part: str, kind: str) -> dict[str, Any]:
    """The fields of a part that one kind of it does not know, with the defaults that they must have there."""
    return {name: default for name, (default, kinds) in _OWNERS[part].items() if kind not in kinds}


@dataclass(frozen=True)
class LatentConfig:
    """The random input of the generator."""

    size: int = 100
    """How many numbers one latent has."""
    prior: Prior = "normal"
    """Their distribution: normal; truncated-normal = normal within ±2; uniform = within ±1; sphere = normal, scaled to
    length sqrt(size)."""

    def __post_init__(self) -> None:
        check(1 <= self.size <= 4096, f"latent.size is {self.size}; choose 1 to 4096.")


@dataclass(frozen=True)
class GeneratorConfig:
    """The network that draws."""

    kind: Kind = "dcgan"
    """The architecture: dcgan = Radford et al. 2016, transposed convolutions with batch norm; resnet = Miyato et al.
    2018, residual blocks; r3 = Huang et al. 2024, residual blocks without normalisation; style = Karras et al. 2019,
    a mapping network whose styles scale and shift activations."""
    width: int = 64
    """Channels of the last hidden layer; every halving of the resolution doubles them, up to max_width."""
    max_width: int = 1024
    """Channels that no layer exceeds."""
    depth: int = 1
    """Convolutions (dcgan, style) or residual blocks (resnet, r3) at each resolution."""
    norm: Literal["auto", "batch", "layer", "instance", "none"] = "auto"
    """Normalisation in dcgan and resnet; auto = batch. r3 has none, and style brings its own."""
    activation: Literal["relu", "leaky"] = "relu"
    """Of dcgan and resnet: relu, or leaky with slope 0.2 as the others have."""
    upsample: Literal["transposed", "pixel-shuffle"] = "transposed"
    """How dcgan doubles the resolution: transposed 4×4 convolutions, or 3×3 ones and pixel shuffle, which leave no
    chequered pattern."""
    dropout: float = 0.0
    """Share of dcgan's channels left out at random in training; sampling uses all."""
    mapping_depth: int = 4
    """Layers of style's mapping network."""
    style_mixing: float = 0.0
    """Share of style's training images drawn from two latents, crossing over at a random layer."""
    noise: bool = False
    """Add noise of learnt strength at each of style's layers in training; sampling uses its mean, zero."""
    output: Literal["tanh", "sigmoid"] = "tanh"
    """Range of the pixels inside networks: tanh = [-1, 1], sigmoid = [0, 1]."""
    embedding: int = 64
    """How many numbers the attributes become beside the latent, where there are any; style has them in its styles."""

    def __post_init__(self) -> None:
        _check_size("generator", self.width, self.max_width, self.depth)
        _check_belong(self, "generator")
        check(1 <= self.embedding <= 1024, f"generator.embedding is {self.embedding}; choose 1 to 1024.")
        check(0 <= self.dropout < 1, f"generator.dropout is {self.dropout}; choose 0 (off) to below 1.")
        check(0 <= self.style_mixing <= 1, f"generator.style_mixing is {self.style_mixing}; choose 0 (off) to 1.")
        check(1 <= self.mapping_depth <= 16, f"generator.mapping_depth is {self.mapping_depth}; choose 1 to 16.")

    @property
    def normalisation(self) -> Literal["batch", "layer", "instance", "none"]:
        """What `norm` stands for."""
        if self.norm != "auto":
            return self.norm
        return "batch" if self.kind in ("dcgan", "resnet") else "none"


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The network that tells drawn from real."""

    kind: Literal["dcgan", "resnet", "r3"] = "dcgan"
    """The architecture: dcgan = Radford et al. 2016, strided convolutions; resnet = Miyato et al. 2018, residual
    blocks; r3 = Huang et al. 2024, residual blocks without normalisation."""
    width: int = 64
    """Channels of the first layer; every halving of the resolution doubles them, up to max_width."""
    max_width: int = 1024
    """Channels that no layer exceeds."""
    depth: int = 1
    """Convolutions (dcgan) or residual blocks (resnet, r3) at each resolution."""
    norm: Norm = "auto"
    """Normalisation: auto = batch for dcgan, spectral for resnet, none for r3."""
    downsample: Literal["stride", "average"] = "stride"
    """How dcgan halves the resolution: strided convolutions, or average pooling after convolutions of stride 1."""
    minibatch_stddev: bool = False
    """Show the last layer how much the faces of a batch differ: Karras et al. 2018, section 3."""

    def __post_init__(self) -> None:
        _check_size("discriminator", self.width, self.max_width, self.depth)
        check(
            self.kind != "r3" or self.norm in ("auto", "none"),
            "The discriminator r3 has no normalisation; set discriminator.norm to auto.",
        )
        _check_belong(self, "discriminator")

    @property
    def normalisation(self) -> Literal["batch", "layer", "instance", "spectral", "none"]:
        """What `norm` stands for."""
        if self.norm != "auto":
            return self.norm
        return {"dcgan": "batch", "resnet": "spectral", "r3": "none"}[self.kind]  # type: ignore[return-value]


@dataclass(frozen=True)
class ConditionConfig:
    """How the networks are told, and held to, what a face is to have: the attributes of the dataset."""

    kind: Literal["none", "projection", "acgan", "reacgan"] = "none"
    """How D judges whether a face has what was asked for: projection = Miyato and Koyama 2018, in the score itself;
    acgan = Odena et al. 2017, a classifier beside it; reacgan = Kang et al. 2021, a classifier on a sphere that also
    compares faces with each other; none = it is asked for nothing."""
    weight: float | None = None
    """Of the class loss, in D's steps and in G's; left out, the published 1 for acgan and 0.5 for reacgan."""
    fakes: bool = True
    """Let D learn to classify drawn faces too, as acgan's authors do; without it, real ones alone."""
    d_embedding: int = 512
    """Dimensions of reacgan's sphere."""
    temperature: float = 0.5
    """Of reacgan's loss: lower is stricter. This and the margins are as published for ten classes (CIFAR-10)."""
    positive_margin: float = 0.98
    """Of reacgan: faces whose cosine with their class is above this are left in peace."""
    negative_margin: float = 0.02
    """Of reacgan: faces of different classes whose cosine is below this are left in peace; published as 1 minus the
    other margin."""
    diversity: float = 1.0
    """Weight in G's loss of what its faces of the same attributes lack of the variety that real ones have; 0 = none.
    Without it G soon draws one face for each combination of values and ignores its latents."""

    def __post_init__(self) -> None:
        _check_belong(self, "condition")
        check(self.weight is None or 0 < self.weight < inf, f"condition.weight is {self.weight}; choose one above 0.")
        check(2 <= self.d_embedding <= 4096, f"condition.d_embedding is {self.d_embedding}; choose 2 to 4096.")
        check(
            0 < self.temperature < inf,
            f"condition.temperature is {self.temperature}; choose one above 0 (0.5 is usual).",
        )
        check(0 <= self.diversity < inf, f"condition.diversity is {self.diversity}; choose 0 or more.")
        for name in ("positive_margin", "negative_margin"):
            margin = getattr(self, name)
            check(-1 <= margin <= 1, f"condition.{name} is {margin}; it bounds a cosine, so choose -1 to 1.")

    @property
    def strength(self) -> float:
        """What `weight` stands for."""
        return self.weight or (0.5 if self.kind == "reacgan" else 1.0)

    @property
    def classifies_fakes(self) -> bool:
        """Whether D's step has the class loss of drawn faces as well as of real ones."""
        return self.kind == "acgan" and self.fakes


def _check_belong(
    config: "GeneratorConfig | DiscriminatorConfig | ConditionConfig | PenaltyConfig",
    part: str,
) -> None:
    """Refuse fields that are not at their default where the kind of the part does not know them."""
    foreign = strangers(part, config.kind).items()
    strange = {name: default for name, default in foreign if getattr(config, name) != default}
    if strange:
        whose = "; ".join(f"{part}.{name} belongs to {_listed(_OWNERS[part][name][1])}" for name in strange)
        flags = " ".join(_flag(part, name, default) for name, default in strange.items())
        raise UserError(f"{whose}, not to {config.kind}; leave it out, or take back what a recipe has: {flags}.")


def _listed(words: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _flag(part: str, name: str, value: object) -> str:
    """How a value is typed."""
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{part}.{'' if value else 'no-'}{option}"
    return f"--{part}.{option} {value}"


def _check_size(player: str, width: int, max_width: int, depth: int) -> None:
    check(1 <= width <= 1024, f"{player}.width is {width}; choose 1 to 1024.")
    check(width <= max_width <= 1024, f"{player}.max_width is {max_width}; choose {player}.width ({width}) to 1024.")
    check(1 <= depth <= 8, f"{player}.depth is {depth}; choose 1 to 8.")


@dataclass(frozen=True)
class OptimizerConfig:
    """How one network's weights move."""

    kind: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    """The algorithm: adam = Kingma and Ba 2015; adamw = Loshchilov and Hutter 2019, weight decay 0.01; rmsprop =
    Hinton's lectures; sgd."""
    lr: float = 2e-4
    """Learning rate before any schedule."""
    beta1: float = 0.5
    """Decay of the first moment: of adam's gradient mean, and sgd's momentum; rmsprop has none."""
    beta2: float = 0.999
    """Decay of the second moment: of adam's and rmsprop's mean square; sgd has none."""

    def __post_init__(self) -> None:
        check(0 < self.lr < 10, f"The learning rate is {self.lr}; choose one above 0 (2e-4 is usual).")
        check(0 <= self.beta1 < 1 and 0 <= self.beta2 < 1, "beta1 and beta2 must lie in [0, 1).")


@dataclass(frozen=True)
class PenaltyConfig:
    """What keeps the discriminator from growing too steep."""

    kind: Literal["auto", "none", "clip", "wgan-gp", "dragan", "r1", "r2", "r1r2"] = "auto"
    """clip = weight clipping, Arjovsky et al. 2017; wgan-gp = Gulrajani et al. 2017; dragan = Kodali et al. 2017; r1,
    r2 and both = Mescheder et al. 2018; auto = clip for the objective wasserstein unless D has spectral norm, none for
    others."""
    weight: float | None = None
    """λ of wgan-gp and dragan, 10 if left out; γ of r1, r2 and r1r2, 2 if left out."""
    every: int = 1
    """Apply it only in every Nth update of D, N times as strongly: Karras et al. 2020, "lazy"."""
    one_sided: bool = False
    """Let wgan-gp and dragan punish slopes above 1 alone."""
    clip: float = 0.01
    """After each update every weight is cut to [-clip, clip]; of the kind clip."""

    def __post_init__(self) -> None:
        check(0 < self.clip < inf, f"penalty.clip is {self.clip}; choose one above 0 (0.01 is usual).")
        check(self.weight is None or 0 < self.weight < inf, f"penalty.weight is {self.weight}; choose one above 0.")
        check(1 <= self.every <= 1000, f"penalty.every is {self.every}; choose 1 (each update) to 1000.")
        _check_belong(self, "penalty")

    @property
    def strength(self) -> float:
        """What `weight` stands for."""
        return self.weight or (10.0 if self.kind in ("wgan-gp", "dragan") else 2.0)


@dataclass(frozen=True)
class AugmentConfig:
    """Differentiable augmentation of everything D sees: Zhao et al., "Differentiable Augmentation", NeurIPS 2020."""

    p: float | Literal["auto"] = 0.0
    """Probability of each change to each image: 0 = off, 1 = the paper's; auto = more for fewer faces, from 1 at 5,000
    or fewer to 0 at 80,000."""
    colour: bool = True
    """Change brightness, saturation and contrast."""
    translation: bool = True
    """Shift by up to an eighth of the picture."""
    cutout: bool = True
    """Blank a square of half the picture's height, or the part of it that lies within."""

    def __post_init__(self) -> None:
        check(self.p == "auto" or 0 <= self.p <= 1, f"augment.p is {self.p}; choose 0 (off) to 1, or auto.")
        check(
            self.p == 0 or self.colour or self.translation or self.cutout,
            "augment.p asks for augmentation but every kind of it is switched off; switch one on, or leave p out.",
        )


@dataclass(frozen=True)
class TricksConfig:
    """What "How to Train a GAN? Tips and tricks to make GANs work" (Chintala et al. 2016, "ganhacks") adds."""

    soft_labels: float = 0.0
    """Draw D's targets at random, up to this far below 1 for real and above 0 for drawn images; of bce and minimax."""
    flipped_labels: float = 0.0
    """Share of D's targets that are swapped, which keeps it from being too sure; of bce and minimax."""
    instance_noise: float = 0.0
    """Standard deviation of the noise added to all that D sees, where pixels span 2, falling to 0 with time."""
    instance_noise_kimg: float = 100.0
    """Thousands of images after which that noise is gone."""

    def __post_init__(self) -> None:
        check(0 <= self.soft_labels < 0.5, f"tricks.soft_labels is {self.soft_labels}; choose 0 (off) to below 0.5.")
        check(
            0 <= self.flipped_labels < 0.5,
            f"tricks.flipped_labels is {self.flipped_labels}; choose 0 (off) to below 0.5.",
        )
        check(0 <= self.instance_noise < inf, "tricks.instance_noise must be 0 (off) or more, and finite.")
        check(0 < self.instance_noise_kimg < inf, "tricks.instance_noise_kimg must be above 0 and finite.")
        check(
            self.instance_noise > 0 or self.instance_noise_kimg == 100,
            "tricks.instance_noise_kimg says when a noise is gone that is not there; set tricks.instance_noise.",
        )


@dataclass(frozen=True)
class BurnInConfig:
    """Ramps over the first part of a run, each along half a cosine: Huang et al. 2024, appendix.

    While it lasts the averaged generator's half-life and the probability of augmentation rise from 0 as well.
    """

    kimg: float = 0.0
    """How long the ramps take; 0 leaves them out."""
    lr: float = 1.0
    """Both learning rates fall to this share of themselves."""
    penalty: float = 1.0
    """The penalty's weight falls to this share of itself."""
    beta2: float | None = None
    """adam's β2 starts here; left out, where it stays."""

    def __post_init__(self) -> None:
        check(0 <= self.kimg < inf, "burn_in.kimg must be 0 (off) or more, and finite.")
        check(0 < self.lr <= 1 and 0 < self.penalty <= 1, "burn_in.lr and burn_in.penalty must lie in (0, 1].")
        check(self.beta2 is None or 0 <= self.beta2 < 1, "burn_in.beta2 must lie in [0, 1).")
        check(
            self.kimg > 0 or (self.lr, self.penalty, self.beta2) == (1.0, 1.0, None),
            "burn_in says where its ramps lead but not how long they are: set burn_in.kimg above 0, or take the ramps "
            "away with burn_in.lr 1, burn_in.penalty 1 and burn_in.beta2 None.",
        )


@dataclass(frozen=True)
class EmaConfig:
    """The moving average of the generator's weights: what samples, checkpoints and scores use."""

    half_life_kimg: float = 5.0
    """Thousands of images after which a weight counts half; 0 switches the average off."""
    warmup: float = 0.05
    """While training is young the half-life is at most this share of the images seen so far."""

    def __post_init__(self) -> None:
        check(0 <= self.half_life_kimg < inf, "ema.half_life_kimg must be 0 (off) or more, and finite.")
        check(0 < self.warmup <= 1, "ema.warmup must lie in (0, 1].")
