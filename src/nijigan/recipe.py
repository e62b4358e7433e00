"""What to train: the `Recipe` and its parts.

A recipe, a dataset's fingerprint and nothing else determine a run. Every part is a frozen dataclass; the words under a
field are its help on the command line; contradictions are refused when the object is made, with a sentence.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Literal, Self, TypeVar

from nijigan.errors import UserError

T = TypeVar("T")
Precision = Literal["auto", "fp32", "bf16", "fp16"]


def _check(condition: bool, sentence: str) -> None:
    if not condition:
        raise UserError(sentence)


@dataclass(frozen=True)
class LatentConfig:
    """The random input of the generator."""

    size: int = 100
    """How many numbers one latent has."""
    prior: Literal["normal"] = "normal"
    """The distribution they are drawn from."""

    def __post_init__(self) -> None:
        _check(1 <= self.size <= 4096, f"latent.size is {self.size}; choose 1 to 4096.")


@dataclass(frozen=True)
class GeneratorConfig:
    """The network that draws."""

    kind: Literal["dcgan"] = "dcgan"
    """The architecture: dcgan = Radford et al. 2016, transposed convolutions with batch norm."""
    width: int = 64
    """Channels of the last hidden layer; every halving of the resolution doubles them."""
    depth: int = 1
    """Convolutions at each resolution; 1 is the published network."""
    output: Literal["tanh", "sigmoid"] = "tanh"
    """Range of the pixels inside networks: tanh = [-1, 1], sigmoid = [0, 1]."""

    def __post_init__(self) -> None:
        _check(1 <= self.width <= 1024, f"generator.width is {self.width}; choose 1 to 1024.")
        _check(1 <= self.depth <= 8, f"generator.depth is {self.depth}; choose 1 to 8.")


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The network that tells drawn from real."""

    kind: Literal["dcgan"] = "dcgan"
    """The architecture: dcgan = Radford et al. 2016, strided convolutions with batch norm."""
    width: int = 64
    """Channels of the first layer; every halving of the resolution doubles them."""
    depth: int = 1
    """Convolutions at each resolution; 1 is the published network."""

    def __post_init__(self) -> None:
        _check(1 <= self.width <= 1024, f"discriminator.width is {self.width}; choose 1 to 1024.")
        _check(1 <= self.depth <= 8, f"discriminator.depth is {self.depth}; choose 1 to 8.")


@dataclass(frozen=True)
class OptimizerConfig:
    """How one network's weights move."""

    kind: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    """The algorithm: adam = Kingma and Ba 2015; adamw = Loshchilov and Hutter 2019; rmsprop = Hinton's lectures."""
    lr: float = 2e-4
    """Learning rate before any schedule."""
    beta1: float = 0.5
    """Decay of the first moment: of adam's gradient mean, and sgd's momentum."""
    beta2: float = 0.999
    """Decay of the second moment: of adam's and rmsprop's mean square."""

    def __post_init__(self) -> None:
        _check(0 < self.lr < 10, f"The learning rate is {self.lr}; choose one above 0 (2e-4 is usual).")
        _check(0 <= self.beta1 < 1 and 0 <= self.beta2 < 1, "beta1 and beta2 must lie in [0, 1).")


@dataclass(frozen=True)
class PenaltyConfig:
    """What keeps the discriminator from growing too steep."""

    kind: Literal["auto", "none", "clip"] = "auto"
    """clip = weight clipping, Arjovsky et al. 2017; auto = clip for the objective wasserstein, none for others."""
    clip: float = 0.01
    """After each update every weight is cut to [-clip, clip]."""

    def __post_init__(self) -> None:
        _check(0 < self.clip < inf, f"penalty.clip is {self.clip}; choose one above 0 (0.01 is usual).")


@dataclass(frozen=True)
class EmaConfig:
    """The moving average of the generator's weights: what samples, checkpoints and scores use."""

    half_life_kimg: float = 5.0
    """Thousands of images after which a weight counts half; 0 switches the average off."""
    warmup: float = 0.05
    """While training is young the half-life is at most this share of the images seen so far."""

    def __post_init__(self) -> None:
        _check(0 <= self.half_life_kimg < inf, "ema.half_life_kimg must be 0 (off) or more, and finite.")
        _check(0 < self.warmup <= 1, "ema.warmup must lie in (0, 1].")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is trained and for how long."""

    name: str = "dcgan"
    """What the recipe is called in tables and files."""
    resolution: int = 64
    """Height and width of the faces in pixels: 4 to 7 times a power of two, 8 to 1024."""
    latent: LatentConfig = field(default_factory=LatentConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    objective: Literal["bce", "minimax", "mse", "wasserstein"] = "bce"
    """The game: bce = non-saturating cross-entropy; minimax = the original, Goodfellow et al. 2014, equation 1; mse =
    least squares, Mao et al. 2017; wasserstein = Arjovsky et al. 2017."""
    label_smoothing: float = 0.0
    """One-sided: real images are asked for 1 minus this instead of 1."""
    penalty: PenaltyConfig = field(default_factory=PenaltyConfig)
    g_optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    d_optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    lr_schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How both learning rates fall to zero over the run, if they do."""
    batch_size: int = 32
    """Images in one update, over all devices and accumulation steps."""
    accumulate: int = 1
    """Parts that a batch is cut into to save memory; batch norm then sees the parts, not the whole."""
    n_critic: int = 1
    """Discriminator updates per round."""
    g_steps: int = 1
    """Generator updates per round."""
    alternate_epochs: int = 0
    """Train D alone for this many epochs, then G alone for as many, and so on; 0 updates both in every round."""
    ema: EmaConfig = field(default_factory=EmaConfig)
    flip: bool = True
    """Show each face mirrored half of the time."""
    precision: Precision = "auto"
    """Arithmetic of the networks; auto takes bf16 where it is fast. Optimizers always keep fp32 weights."""
    kimg: float = 500.0
    """Length: thousands of real images shown to the discriminator."""
    epochs: float | None = None
    """Length in passes over the training split instead; turned into kimg when the run starts."""
    snapshot_kimg: float | None = None
    """Thousands of images between checkpoints and sample grids; left out, a twentieth of the run, at least 1."""
    tick_kimg: float | None = None
    """Thousands of images between log lines and plots; left out, a hundredth of the run, at least 1."""
    evaluate_every: float | None = None
    """Thousands of images between evaluations against the validation split, which choose the best checkpoint; left out,
    never, or every snapshot_kimg with early_stop."""
    evaluate_faces: int = 2000
    """Faces drawn for each of these evaluations."""
    early_stop: bool = False
    """End the run when the KID on the validation split has not improved for `patience` evaluations."""
    patience: int = 5
    """Evaluations without a better KID that early_stop waits for."""
    seed: int = 0
    """Decides the weights at the start, the order of the faces and every latent."""

    def __post_init__(self) -> None:
        base = base_resolution(self.resolution)
        _check(
            base is not None and 8 <= self.resolution <= 1024,
            f"A resolution of {self.resolution} is not 4, 5, 6 or 7 times a power of two; "
            f"choose {', '.join(map(str, nearest_resolutions(self.resolution)))}.",
        )
        _check(0 <= self.label_smoothing < 0.5, "label_smoothing must lie in [0, 0.5).")
        _check(
            self.label_smoothing == 0 or self.objective == "bce",
            f"label_smoothing belongs to the objective bce, not {self.objective}; leave it out or set --objective bce.",
        )
        for name in ("batch_size", "accumulate", "n_critic", "g_steps"):
            _check(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be at least 1.")
        _check(self.batch_size >= 2, "batch_size must be at least 2: batch norm has no statistics of one image.")
        _check(
            self.batch_size % self.accumulate == 0 and self.batch_size // self.accumulate >= 2,
            f"A batch of {self.batch_size} cannot be cut into {self.accumulate} equal parts of two or more images; "
            "choose an accumulate that divides it.",
        )
        _check(self.alternate_epochs >= 0, "alternate_epochs must be 0 (off) or more.")
        _check(
            self.alternate_epochs == 0 or (self.n_critic == 1 and self.g_steps == 1),
            "alternate_epochs trains one network at a time, so n_critic and g_steps must stay 1.",
        )
        for name in ("kimg", "epochs", "snapshot_kimg", "tick_kimg", "evaluate_every"):
            length = getattr(self, name)
            _check(length is None or 0 < length < inf, f"{name} is {length}; it must be above 0 and finite.")
        _check(self.patience >= 1, f"patience is {self.patience}; it must be at least 1.")
        _check(
            100 <= self.evaluate_faces <= 100_000,
            f"evaluate_faces is {self.evaluate_faces}; choose 100 to 100,000: fewer say nothing.",
        )
        _check(0 <= self.seed < 2**63, "The seed must lie between 0 and 2^63 - 1.")

    @property
    def snapshot_every(self) -> float:
        """Kimg between checkpoints and grids."""
        return self.snapshot_kimg or max(1.0, self.kimg / 20)

    @property
    def evaluation_every(self) -> float | None:
        """Kimg between evaluations, or None for none."""
        return self.evaluate_every or (self.snapshot_every if self.early_stop else None)

    @property
    def clip(self) -> float | None:
        """The bound that the discriminator's weights are clipped to, or None."""
        clips = self.penalty.kind == "clip" or (self.penalty.kind == "auto" and self.objective == "wasserstein")
        return self.penalty.clip if clips else None

    @property
    def tick_every(self) -> float:
        """Kimg between log lines."""
        return self.tick_kimg or max(1.0, self.kimg / 100)

    def resolved(self, faces: int) -> Self:
        """The recipe with its length in kimg alone, for a training split of `faces` images."""
        return self if self.epochs is None else replace(self, kimg=self.epochs * faces / 1000, epochs=None)

    def to_json(self) -> str:
        """The recipe as indented JSON, readable by `from_json` and by people."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "The recipe") -> Self:
        """Read what `to_json` wrote; unknown or ill-typed fields are refused with a `UserError` naming them."""
        return parse_json(cls, text, source)


def parse_json(kind: type[T], text: str, source: str) -> T:
    """Build a dataclass from JSON, strictly: every unknown or ill-typed field is a `UserError` that names `source`."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(text, extra="forbid")
    except UserError as error:  # a contradiction between fields
        raise UserError(f"{source} is not valid: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        # A stranger's file may hold control codes that a terminal would obey.
        where = ascii(".".join(map(str, first["loc"])))[1:-1][:80]
        raise UserError(f"{source} is not valid: {where + ': ' if where else ''}{first['msg']}.") from error


def base_resolution(resolution: int) -> int | None:
    """The 4, 5, 6 or 7 that `resolution` is a power of two times of, or None."""
    base = resolution
    while base > 7 and base % 2 == 0:
        base //= 2
    return base if 4 <= base <= 7 else None


def nearest_resolutions(resolution: int) -> list[int]:
    """The allowed resolutions just below and above one that is not allowed."""
    allowed = sorted(base << k for base in (4, 5, 6, 7) for k in range(1, 9) if 8 <= base << k <= 1024)
    below = [r for r in allowed if r < resolution][-1:]
    above = [r for r in allowed if r > resolution][:1]
    return below + above


def read_json(kind: type[T], path: Path) -> T:
    """Read a dataclass from a JSON file, strictly; what cannot be read is a `UserError` that names the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Could not read {path}: {error}.") from error
    return parse_json(kind, text, str(path))
