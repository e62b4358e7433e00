"""The parts of a recipe: frozen dataclasses that reject contradictory values with a `UserError`.

The string under a field is its help text on the command line. `kind_field` marks a field that only some kinds of the
part have. D is the discriminator, G the generator.
"""

from dataclasses import dataclass
from math import inf
from typing import Literal

from nijigan.errors import check
from nijigan.recipe.kinds import check_kind, kind_field

Kind = Literal["dcgan", "resnet", "r3", "style"]
Norm = Literal["auto", "batch", "layer", "instance", "spectral", "none"]
Prior = Literal["normal", "truncated-normal", "uniform", "sphere"]

_GRADIENT_PENALTIES = ("wgan-gp", "dragan", "r1", "r2", "r1r2")


@dataclass(frozen=True)
class LatentConfig:
    """The random input of the generator."""

    size: int = 100
    """Length of a latent vector."""
    prior: Prior = "normal"
    """Distribution of latents: normal; truncated-normal = normal within ±2; uniform = within ±1; sphere = normal
    vectors scaled to length sqrt(size)."""

    def __post_init__(self) -> None:
        check(1 <= self.size <= 4096, f"latent.size is {self.size}; choose 1 to 4096.")


@dataclass(frozen=True)
class GeneratorConfig:
    """The generator, G. It turns latents into images."""

    kind: Kind = "dcgan"
    """Architecture: dcgan = Radford et al. 2016, transposed convolutions with batch norm; resnet = Miyato et al. 2018,
    residual blocks; r3 = Huang et al. 2024, residual blocks without normalisation; style = Karras et al. 2019, a
    mapping network whose styles scale and shift activations."""
    width: int = 64
    """Channels of the last hidden layer. They double with every halving of the resolution, up to max_width."""
    max_width: int = 1024
    """Upper limit on the channels of any layer."""
    depth: int = 1
    """Number of convolutions (dcgan, style) or residual blocks (resnet, r3) at each resolution."""
    norm: Literal["auto", "batch", "layer", "instance", "none"] = kind_field("auto", "dcgan", "resnet")
    """Normalisation in dcgan and resnet; auto = batch. r3 has none, and style has its own."""
    modulated: bool = kind_field(False, "resnet")
    """Let the latent set the scales and shifts of resnet's batch norm: Chen et al. 2019."""
    activation: Literal["relu", "leaky"] = kind_field("relu", "dcgan", "resnet")
    """Activation in dcgan and resnet: relu, or leaky with slope 0.2. The other kinds use leaky."""
    upsample: Literal["transposed", "pixel-shuffle"] = kind_field("transposed", "dcgan")
    """How dcgan doubles the resolution: transposed = 4×4 transposed convolutions; pixel-shuffle = 3×3 convolutions and
    pixel shuffle, which avoid checkerboard artefacts."""
    dropout: float = kind_field(0.0, "dcgan")
    """Fraction of dcgan's channels that are dropped at random during training."""
    mapping_depth: int = kind_field(4, "style")
    """Number of layers in style's mapping network."""
    style_mixing: float = kind_field(0.0, "style")
    """Fraction of style's training images that are generated from two latents, switching at a random layer."""
    noise: bool = kind_field(False, "style")
    """Add noise of learnt strength at each of style's layers during training. Sampling adds none."""
    output: Literal["tanh", "sigmoid"] = "tanh"
    """Range of pixel values inside the networks: tanh = [-1, 1], sigmoid = [0, 1]."""
    embedding: int = kind_field(64, "dcgan", "resnet", "r3")
    """Length of the attribute embedding that is appended to the latent of a conditional generator. In style, the
    embedding is as long as a style and is added to it."""

    def __post_init__(self) -> None:
        _check_size("generator", self.width, self.max_width, self.depth)
        check_kind(self, "generator")
        check(1 <= self.embedding <= 1024, f"generator.embedding is {self.embedding}; choose 1 to 1024.")
        check(
            not self.modulated or self.normalisation == "batch",
            f"generator.modulated changes batch norm, and generator.norm is {self.norm}; set it to batch.",
        )
        check(0 <= self.dropout < 1, f"generator.dropout is {self.dropout}; choose 0 (off) to below 1.")
        check(0 <= self.style_mixing <= 1, f"generator.style_mixing is {self.style_mixing}; choose 0 (off) to 1.")
        check(1 <= self.mapping_depth <= 16, f"generator.mapping_depth is {self.mapping_depth}; choose 1 to 16.")

    @property
    def normalisation(self) -> Literal["batch", "layer", "instance", "none"]:
        """`norm` with auto resolved."""
        if self.norm != "auto":
            return self.norm
        return "batch" if self.kind in ("dcgan", "resnet") else "none"


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator, D. It tells generated images from real ones."""

    kind: Literal["dcgan", "resnet", "r3"] = "dcgan"
    """Architecture: dcgan = Radford et al. 2016, strided convolutions; resnet = Miyato et al. 2018, residual blocks;
    r3 = Huang et al. 2024, residual blocks without normalisation."""
    width: int = 64
    """Channels of the first layer. They double with every halving of the resolution, up to max_width."""
    max_width: int = 1024
    """Upper limit on the channels of any layer."""
    depth: int = 1
    """Number of convolutions (dcgan) or residual blocks (resnet, r3) at each resolution."""
    norm: Norm = "auto"
    """Normalisation: auto = batch for dcgan, spectral for resnet, none for r3."""
    downsample: Literal["stride", "average"] = kind_field("stride", "dcgan")
    """How dcgan halves the resolution: stride = strided convolutions; average = convolutions of stride 1 and average
    pooling."""
    minibatch_stddev: bool = False
    """Append the standard deviation across the batch to the input of the last layer: Karras et al. 2018, section 3."""
    frozen: int = 0
    """Number of D's first layers or blocks that keep the weights of the run that this one starts from: Mo et al. 2020,
    "Freeze the Discriminator"."""

    def __post_init__(self) -> None:
        _check_size("discriminator", self.width, self.max_width, self.depth)
        check(
            self.kind != "r3" or self.norm in ("auto", "none"),
            "The discriminator r3 has no normalisation; set discriminator.norm to auto.",
        )
        check_kind(self, "discriminator")
        check(0 <= self.frozen <= 64, f"discriminator.frozen is {self.frozen}; choose 0 (none) to 64.")

    @property
    def normalisation(self) -> Literal["batch", "layer", "instance", "spectral", "none"]:
        """`norm` with auto resolved."""
        if self.norm != "auto":
            return self.norm
        return {"dcgan": "batch", "resnet": "spectral", "r3": "none"}[self.kind]  # type: ignore[return-value]


@dataclass(frozen=True)
class ProjectedConfig:
    """A second discriminator, which sees faces through a frozen network: Sauer et al. 2021, Kumari et al. 2022."""

    weight: float = 0.0
    """Weight of its loss in that of G; 0 = no second discriminator."""
    size: int = 128
    """Height and width to which faces are resized for it: a multiple of 32, from 64 to 512."""

    def __post_init__(self) -> None:
        check(0 <= self.weight < inf, f"projected.weight is {self.weight}; choose 0 (off) or a positive number.")
        check(
            64 <= self.size <= 512 and self.size % 32 == 0,
            f"projected.size is {self.size}; choose a multiple of 32, from 64 to 512.",
        )
        check(
            self.weight > 0 or self.size == ProjectedConfig.size,
            f"projected.size is {self.size}, but there is no second discriminator; set projected.weight, or remove "
            "projected.size.",
        )


@dataclass(frozen=True)
class ConditionConfig:
    """How both networks are conditioned on the attributes of the dataset."""

    kind: Literal["none", "projection", "acgan", "reacgan"] = "none"
    """How D judges attributes: projection = Miyato and Koyama 2018, an inner product added to the logit; acgan = Odena
    et al. 2017, an auxiliary classifier; reacgan = Kang et al. 2021, an auxiliary classifier on the unit sphere that
    also compares faces with each other; none = unconditional."""
    weight: float | None = kind_field(None, "acgan", "reacgan", carries_over=False)
    """Weight of the class loss for both D and G. Default: 1 for acgan, 0.5 for reacgan."""
    fakes: bool = kind_field(True, "acgan")
    """Train acgan's classifier on generated faces as well as on real ones, as its authors do."""
    d_embedding: int = kind_field(512, "reacgan")
    """Number of dimensions of reacgan's embeddings."""
    temperature: float = kind_field(0.5, "reacgan")
    """Temperature of reacgan's loss; lower is stricter. The default temperature and margins are those published for
    ten classes (CIFAR-10)."""
    positive_margin: float = kind_field(0.98, "reacgan")
    """reacgan stops pulling a face towards its class when their cosine is above this."""
    negative_margin: float = kind_field(0.02, "reacgan")
    """reacgan stops pushing two faces of different classes apart when their cosine is below this. The paper sets it to
    1 - positive_margin."""
    diversity: float = kind_field(1.0, "projection", "acgan", "reacgan")
    """Weight of G's diversity loss, which penalises less variety among generated faces of equal attributes than among
    real ones; 0 = off. Without it, G soon generates one face per combination of values and ignores its latents."""

    def __post_init__(self) -> None:
        check_kind(self, "condition")
        check(self.weight is None or 0 < self.weight < inf, f"condition.weight is {self.weight}; choose one above 0.")
        check(2 <= self.d_embedding <= 4096, f"condition.d_embedding is {self.d_embedding}; choose 2 to 4096.")
        check(
            0 < self.temperature < inf,
            f"condition.temperature is {self.temperature}; choose one above 0 (0.5 is usual).",
        )
        check(0 <= self.diversity < inf, f"condition.diversity is {self.diversity}; choose 0 (off) or more.")
        for name in ("positive_margin", "negative_margin"):
            margin = getattr(self, name)
            check(-1 <= margin <= 1, f"condition.{name} is {margin}, but it bounds a cosine; choose -1 to 1.")

    @property
    def strength(self) -> float:
        """`weight` with its default resolved."""
        return self.weight or (0.5 if self.kind == "reacgan" else 1.0)

    @property
    def classifies_fakes(self) -> bool:
        """Whether D's loss includes the class loss of generated faces as well as of real ones."""
        return self.kind == "acgan" and self.fakes


def _check_size(network: str, width: int, max_width: int, depth: int) -> None:
    check(1 <= width <= 1024, f"{network}.width is {width}; choose 1 to 1024.")
    check(width <= max_width <= 1024, f"{network}.max_width is {max_width}; choose {network}.width ({width}) to 1024.")
    check(1 <= depth <= 8, f"{network}.depth is {depth}; choose 1 to 8.")


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer of one network."""

    kind: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    """Algorithm: adam = Kingma and Ba 2015; adamw = Loshchilov and Hutter 2019, with weight decay 0.01; rmsprop =
    Hinton's lectures; sgd."""
    lr: float = 2e-4
    """Learning rate, before any schedule."""
    beta1: float = 0.5
    """Decay rate of adam's gradient mean, or sgd's momentum. rmsprop ignores it."""
    beta2: float = 0.999
    """Decay rate of the mean square in adam and rmsprop. sgd ignores it."""

    def __post_init__(self) -> None:
        check(0 < self.lr < 10, f"The learning rate is {self.lr}; choose one above 0 (2e-4 is usual).")
        check(0 <= self.beta1 < 1 and 0 <= self.beta2 < 1, "beta1 and beta2 must lie in [0, 1).")


@dataclass(frozen=True)
class PenaltyConfig:
    """The regulariser that limits the gradient of the discriminator."""

    kind: Literal["auto", "none", "clip", "wgan-gp", "dragan", "r1", "r2", "r1r2"] = "auto"
    """Regulariser: clip = weight clipping, Arjovsky et al. 2017; wgan-gp = Gulrajani et al. 2017; dragan = Kodali et
    al. 2017; r1, r2 and r1r2 (both) = Mescheder et al. 2018; auto = clip for the objective wasserstein unless D has
    spectral norm, otherwise none."""
    weight: float | None = kind_field(None, *_GRADIENT_PENALTIES, carries_over=False)
    """Weight of the penalty: λ for wgan-gp and dragan, γ for r1, r2 and r1r2. Default: λ = 10, γ = 2."""
    every: int = kind_field(1, *_GRADIENT_PENALTIES)
    """Apply the penalty only in every Nth update of D, with N times the weight ("lazy" in Karras et al. 2020)."""
    one_sided: bool = kind_field(False, "wgan-gp", "dragan")
    """Penalise only gradient norms above 1 in wgan-gp and dragan."""
    clip: float = kind_field(0.01, "clip", "auto")
    """Bound for weight clipping: after each update of D, its weights are clipped to [-clip, clip]."""

    def __post_init__(self) -> None:
        check(0 < self.clip < inf, f"penalty.clip is {self.clip}; choose one above 0 (0.01 is usual).")
        check(self.weight is None or 0 < self.weight < inf, f"penalty.weight is {self.weight}; choose one above 0.")
        check(1 <= self.every <= 1000, f"penalty.every is {self.every}; choose 1 (each update) to 1000.")
        check_kind(self, "penalty")

    @property
    def strength(self) -> float:
        """`weight` with its default resolved."""
        return self.weight or (10.0 if self.kind in ("wgan-gp", "dragan") else 2.0)


@dataclass(frozen=True)
class AugmentConfig:
    """Differentiable augmentation of all images that D sees: Zhao et al., NeurIPS 2020."""

    p: float | Literal["auto"] = 0.0
    """Probability of each augmentation for each image: 0 = off; 1 = as published; auto = higher for smaller datasets,
    from 1 for 5,000 faces or fewer down to 0 for 80,000."""
    colour: bool = True
    """Change brightness, saturation and contrast."""
    translation: bool = True
    """Shift the image by up to an eighth of its size."""
    cutout: bool = True
    """Blank a square of half the image's height, which may extend beyond the border."""
    ramp_kimg: float = 0.0
    """Thousands of images over which the probability rises from 0, along half a cosine; 0 = no ramp."""

    def __post_init__(self) -> None:
        check(self.p == "auto" or 0 <= self.p <= 1, f"augment.p is {self.p}; choose 0 (off) to 1, or auto.")
        check(0 <= self.ramp_kimg < inf, "augment.ramp_kimg must be 0 (off) or more, and finite.")
        check(
            self.p == 0 or self.colour or self.translation or self.cutout,
            "augment.p is set, but every kind of augmentation is switched off; switch one on, or set augment.p to 0.",
        )


@dataclass(frozen=True)
class TricksConfig:
    """Options from "How to Train a GAN? Tips and tricks to make GANs work" (Chintala et al. 2016, "ganhacks")."""

    soft_labels: float = 0.0
    """Largest random shift of D's targets (bce, minimax): down from 1 for real images, up from 0 for generated ones."""
    flipped_labels: float = 0.0
    """Fraction of D's targets that are swapped (bce, minimax), to reduce the overconfidence of D."""
    instance_noise: float = 0.0
    """Standard deviation of the noise added to every input of D, whose pixels span a range of 2. It decays to 0."""
    instance_noise_kimg: float = 100.0
    """Thousands of images after which instance_noise has decayed to 0."""
    replay: float = 0.0
    """Share of the generated images that D trains on which come from earlier rounds, so that it does not forget what G
    has stopped drawing."""

    def __post_init__(self) -> None:
        check(0 <= self.soft_labels < 0.5, f"tricks.soft_labels is {self.soft_labels}; choose 0 (off) to below 0.5.")
        check(
            0 <= self.flipped_labels < 0.5,
            f"tricks.flipped_labels is {self.flipped_labels}; choose 0 (off) to below 0.5.",
        )
        check(0 <= self.replay < 1, f"tricks.replay is {self.replay}; choose 0 (off) to below 1.")
        check(0 <= self.instance_noise < inf, "tricks.instance_noise must be 0 (off) or more, and finite.")
        check(0 < self.instance_noise_kimg < inf, "tricks.instance_noise_kimg must be above 0 and finite.")
        check(
            self.instance_noise > 0 or self.instance_noise_kimg == TricksConfig.instance_noise_kimg,
            "tricks.instance_noise_kimg has no effect without noise; set tricks.instance_noise above 0.",
        )


@dataclass(frozen=True)
class BurnInConfig:
    """Ramps over the first part of a run, each along half a cosine: Huang et al. 2024, appendix.

    During the ramps, the half-life of the averaged weights and the augmentation probability rise from 0.
    """

    kimg: float = 0.0
    """Length of the ramps in thousands of images; 0 = no ramps."""
    lr: float = 1.0
    """Both learning rates fall to this fraction of their value."""
    penalty: float = 1.0
    """The penalty's weight falls to this fraction of its value."""
    beta2: float | None = None
    """Initial β2 of adam, from which it rises to the optimizer's beta2. Default: no ramp."""

    def __post_init__(self) -> None:
        check(0 <= self.kimg < inf, "burn_in.kimg must be 0 (off) or more, and finite.")
        check(0 < self.lr <= 1 and 0 < self.penalty <= 1, "burn_in.lr and burn_in.penalty must lie in (0, 1].")
        check(self.beta2 is None or 0 <= self.beta2 < 1, "burn_in.beta2 must lie in [0, 1).")
        check(
            self.kimg > 0 or (self.lr, self.penalty, self.beta2) == (1.0, 1.0, None),
            "burn_in has ramps without a length; set burn_in.kimg above 0, or remove the ramps with burn_in.lr 1, "
            "burn_in.penalty 1 and burn_in.beta2 None.",
        )


@dataclass(frozen=True)
class EmaConfig:
    """The moving average of the generator's weights, which samples, checkpoints and scores use."""

    half_life_kimg: float = 5.0
    """Half-life of the average in thousands of images; 0 = no average."""
    warmup: float = 0.05
    """Upper limit on the half-life as a fraction of the images seen so far."""

    def __post_init__(self) -> None:
        check(0 <= self.half_life_kimg < inf, "ema.half_life_kimg must be 0 (off) or more, and finite.")
        check(0 < self.warmup <= 1, "ema.warmup must lie in (0, 1].")
