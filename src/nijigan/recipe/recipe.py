"""What to train: the `Recipe`; its parts are in `nijigan.recipe.parts`.

A recipe, a dataset's fingerprint and nothing else determine a run. It is a frozen dataclass, as its parts are; the
words under a field are its help on the command line; contradictions are refused when one is made, with a sentence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from typing import Literal, Self

from nijigan.errors import check
from nijigan.jsonio import parse_json, to_json
from nijigan.recipe.parts import (
    AugmentConfig,
    BurnInConfig,
    ConditionConfig,
    DiscriminatorConfig,
    EmaConfig,
    GeneratorConfig,
    LatentConfig,
    OptimizerConfig,
    PenaltyConfig,
    TricksConfig,
    strangers,
)
from nijigan.resolutions import base_resolution, nearest_resolutions

Precision = Literal["auto", "fp32", "bf16", "fp16"]


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
    condition: ConditionConfig = field(default_factory=ConditionConfig)
    attributes: tuple[str, ...] = ()
    """The labels that G learns to obey, such as hair,eyes; left out, all that the dataset has, or none where
    condition.kind is none."""
    objective: Literal["bce", "minimax", "mse", "wasserstein", "hinge", "relativistic"] = "bce"
    """The game: bce = non-saturating cross-entropy; minimax = the original, Goodfellow et al. 2014, equation 1; mse =
    least squares, Mao et al. 2017; wasserstein = Arjovsky et al. 2017; hinge = Lim and Ye 2017; relativistic = paired
    cross-entropy, Jolicoeur-Martineau 2019 and Huang et al. 2024."""
    mse_targets: tuple[float, float, float] = (0.0, 1.0, 1.0)
    """Of the objective mse: a, what D is to say of drawn images; b, of real ones; c, what G wants D to say."""
    label_smoothing: float = 0.0
    """One-sided: real images are asked for 1 minus this instead of 1; of bce and minimax."""
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
    burn_in: BurnInConfig = field(default_factory=BurnInConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    tricks: TricksConfig = field(default_factory=TricksConfig)
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
    every_epochs: float | None = None
    """Passes over the training split between checkpoints, grids and evaluations instead; turned into kimg when the run
    starts."""
    evaluate_faces: int = 2000
    """Faces drawn for each of these evaluations."""
    early_stop: bool = False
    """End the run when the KID on the validation split has not improved by more than chance for `patience`
    evaluations."""
    patience: int = 5
    """Evaluations without a better KID that early_stop waits for."""
    seed: int = 0
    """Decides the weights at the start, the order of the faces and every latent."""

    def __post_init__(self) -> None:
        base = base_resolution(self.resolution)
        check(
            base is not None and 8 <= self.resolution <= 1024,
            f"A resolution of {self.resolution} is not 4, 5, 6 or 7 times a power of two; "
            f"choose {', '.join(map(str, nearest_resolutions(self.resolution)))}.",
        )
        names = [name.strip() for part in self.attributes for name in part.split(",") if name.strip()]
        check(
            bool(names) or not self.attributes, "attributes names none; leave it out, or give names such as hair,eyes."
        )
        object.__setattr__(self, "attributes", tuple(dict.fromkeys(names)))  # typed with commas or with spaces
        check(
            not self.attributes or self.condition.kind != "none",
            f"{', '.join(self.attributes)} cannot be learnt by a D that is not asked for it; choose "
            "--condition.kind reacgan, acgan or projection, or a recipe that has one.",
        )
        check(0 <= self.label_smoothing < 0.5, "label_smoothing must lie in [0, 0.5).")
        for name, value in (
            ("label_smoothing", self.label_smoothing),
            ("tricks.soft_labels", self.tricks.soft_labels),
            ("tricks.flipped_labels", self.tricks.flipped_labels),
        ):
            check(
                value == 0 or self.objective in ("bce", "minimax"),
                f"{name} belongs to the objectives bce and minimax, not to {self.objective}; set it to 0.",
            )
        check(
            self.label_smoothing + self.tricks.soft_labels < 0.5,
            "label_smoothing and tricks.soft_labels lead half way to the wrong answer; keep their sum below 0.5.",
        )
        check(
            self.mse_targets == (0.0, 1.0, 1.0) or self.objective == "mse",
            f"mse_targets belongs to the objective mse, not to {self.objective}; set it to 0 1 1.",
        )
        check(
            all(map(isfinite, self.mse_targets)) and self.mse_targets[0] != self.mse_targets[1],
            f"mse_targets are {self.mse_targets}; choose finite numbers, and another for real than for drawn images.",
        )
        check(
            self.mse_targets[0] != self.mse_targets[2],
            f"mse_targets are {self.mse_targets}: G wants D to say what D is taught to say, so they would not play "
            "against each other; choose another third number.",
        )
        check(
            self.discriminator.normalisation != "batch" or self.penalty.kind in ("auto", "none", "clip"),
            f"The penalty {self.penalty.kind} asks for a slope at each image, but batch norm makes D's answer to one "
            "image depend on the others; choose --discriminator.norm layer, or another penalty.",
        )
        check(
            self.penalty.kind != "clip" or self.discriminator.normalisation != "spectral",
            "Spectral norm divides every weight by their largest singular value, which undoes what clipping does; "
            "choose --penalty.kind none, or another --discriminator.norm.",
        )
        check(
            self.clip is not None or self.penalty.clip == PenaltyConfig().clip,
            f"penalty.clip is {self.penalty.clip}, but nothing is clipped here; choose --penalty.kind clip, or leave "
            "it out.",
        )
        check(
            self.burn_in.penalty == 1 or self.penalty.kind not in ("auto", "none", "clip"),
            "burn_in.penalty lets a penalty on gradients fade, and there is none; set it to 1.",
        )
        check(
            self.burn_in.beta2 is None or all(o.kind.startswith("adam") for o in (self.g_optimizer, self.d_optimizer)),
            "burn_in.beta2 belongs to adam and adamw; set it to None.",
        )
        for name in ("batch_size", "accumulate", "n_critic", "g_steps"):
            check(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be at least 1.")
        check(self.batch_size >= 2, "batch_size must be at least 2: batch norm has no statistics of one image.")
        check(
            self.batch_size % self.accumulate == 0 and self.batch_size // self.accumulate >= 2,
            f"A batch of {self.batch_size} cannot be cut into {self.accumulate} equal parts of two or more images; "
            "choose an accumulate that divides it.",
        )
        check(self.alternate_epochs >= 0, "alternate_epochs must be 0 (off) or more.")
        check(
            self.alternate_epochs == 0 or (self.n_critic == 1 and self.g_steps == 1),
            "alternate_epochs trains one network at a time, so n_critic and g_steps must stay 1.",
        )
        for name in ("kimg", "epochs", "snapshot_kimg", "tick_kimg", "evaluate_every", "every_epochs"):
            length = getattr(self, name)
            check(length is None or 0 < length < inf, f"{name} is {length}; it must be above 0 and finite.")
        check(
            self.every_epochs is None or (self.snapshot_kimg, self.evaluate_every) == (None, None),
            "Say how often to look with every_epochs or with snapshot_kimg and evaluate_every, not with both; what a "
            "recipe has is taken back with --every-epochs None.",
        )
        check(self.patience >= 1, f"patience is {self.patience}; it must be at least 1.")
        check(
            100 <= self.evaluate_faces <= 100_000,
            f"evaluate_faces is {self.evaluate_faces}; choose 100 to 100,000: fewer say nothing.",
        )
        check(0 <= self.seed < 2**63, "The seed must lie between 0 and 2^63 - 1.")

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
        spectral = self.discriminator.normalisation == "spectral"  # holds D's slope, and undoes what clipping does
        auto = self.penalty.kind == "auto" and self.objective == "wasserstein" and not spectral
        clips = self.penalty.kind == "clip" or auto
        return self.penalty.clip if clips else None

    @property
    def tick_every(self) -> float:
        """Kimg between log lines."""
        return self.tick_kimg or max(1.0, self.kimg / 100)

    def resolved(self, faces: int) -> Self:
        """The recipe with its length and cadence in kimg alone, for a training split of `faces` images."""
        recipe = self
        if self.epochs is not None:
            recipe = replace(recipe, kimg=self.epochs * faces / 1000, epochs=None)
        if self.every_epochs is not None:
            every = self.every_epochs * faces / 1000
            recipe = replace(recipe, snapshot_kimg=every, evaluate_every=every, every_epochs=None)
        return recipe

    def ready_for(self, kinds: Mapping[str, str]) -> Self:
        """The recipe with all at its default that other kinds of its parts would not know, or take otherwise.

        Its own kinds stay: they are still to be changed.

        Args:
            kinds: part → kind.
        """
        recipe = self
        for part, kind in kinds.items():
            config = getattr(recipe, part)
            if kind != config.kind:
                reset = strangers(part, kind)
                if hasattr(config, "weight"):
                    reset["weight"] = None  # it was another loss's
                recipe = replace(recipe, **{part: replace(config, **reset)})
        return recipe

    def to_json(self) -> str:
        """The recipe as indented JSON, readable by `from_json` and by people."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str, source: str = "The recipe") -> Self:
        """Read what `to_json` wrote; unknown or ill-typed fields are refused with a `UserError` naming them."""
        return parse_json(cls, text, source)
