"""What to train: the `Recipe`. Its parts are in `nijigan.recipe.parts`, the checks between them in `.checks`.

A recipe and the fingerprint of a dataset determine a run; nothing else does. A recipe is a frozen dataclass. The string
under a field is its help text on the command line; contradictory values raise a `UserError` at construction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import ceil
from typing import Any, Literal, Self

from nijigan.errors import check
from nijigan.jsonio import parse_json, to_json
from nijigan.recipe.checks import CHECKS
from nijigan.recipe.derived import REFERENCE, RULES, Facts
from nijigan.recipe.kinds import has_kind_fields, reset_for_kind
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
    ProjectedConfig,
    TricksConfig,
)

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Recipe:
    """Everything that determines what is trained and for how long."""

    name: str = "dcgan"
    """Name of the recipe in tables and files."""
    resolution: int = 64
    """Height and width of the faces in pixels: 4 to 7 times a power of two, from 8 to 1024."""
    latent: LatentConfig = field(default_factory=LatentConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    projected: ProjectedConfig = field(default_factory=ProjectedConfig)
    condition: ConditionConfig = field(default_factory=ConditionConfig)
    attributes: tuple[str, ...] = ()
    """Attributes to condition on, such as hair,eyes. Default: every attribute of the dataset, or none if condition.kind
    is none."""
    objective: Literal["bce", "minimax", "mse", "wasserstein", "hinge", "relativistic"] = "bce"
    """The loss: bce = non-saturating cross-entropy, Goodfellow et al. 2014; minimax = equation 1 of the same paper; mse
    = least squares (LSGAN), Mao et al. 2017; wasserstein = Arjovsky et al. 2017; hinge = Lim and Ye 2017; relativistic
    = paired cross-entropy, Jolicoeur-Martineau 2019 and Huang et al. 2024."""
    mse_targets: tuple[float, float, float] = (0.0, 1.0, 1.0)
    """LSGAN targets (a, b, c): D on fakes, D on reals, G."""
    label_smoothing: float = 0.0
    """One-sided label smoothing (bce, minimax): D's target for real images is 1 minus this."""
    penalty: PenaltyConfig = field(default_factory=PenaltyConfig)
    g_optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    d_optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    lr_schedule: Literal["constant", "tail", "linear", "cosine"] = "constant"
    """Schedule of both learning rates: constant; tail = constant, then a linear decay to zero over the last fifth of
    the run; linear or cosine = a decay to zero over the whole run."""
    batch_size: int = 32
    """Images per update, summed over all devices and accumulation steps."""
    accumulate: int = 1
    """Number of micro-batches that each batch is split into, to save memory. Batch norm sees one at a time."""
    n_critic: int = 1
    """Updates of D per round."""
    g_steps: int = 1
    """Updates of G per round."""
    alternate_epochs: int = 0
    """Train only D for this many epochs, then only G for as many, alternately; 0 = update both in every round."""
    burn_in: BurnInConfig = field(default_factory=BurnInConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    tricks: TricksConfig = field(default_factory=TricksConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    flip: bool = True
    """Mirror each real face horizontally with probability 1/2."""
    balance: bool = False
    """Show faces with rare values of an attribute more often, those with common ones less often (conditional recipes).
    An epoch then repeats some faces, at most twenty times, and leaves out others."""
    precision: Precision = "auto"
    """Arithmetic of the networks; auto = bf16 where it is fast, otherwise fp32. Weights are always stored in fp32."""
    kimg: float = 500.0
    """Length of the run: thousands of real images shown to D."""
    epochs: float | None = None
    """Length of the run in passes over the training split, in place of kimg. Default: use kimg."""
    snapshot_kimg: float | None = None
    """Thousands of images between snapshots (checkpoint, sample grid, generator file). Default: 1/20 of the run, at
    least 1."""
    keep: Literal["last", "best", "every"] = "best"
    """What stays of the snapshots: last = the two newest checkpoints; best = these, and that of the best evaluation;
    every = all checkpoints, and the averaged generator of each in snapshots/."""
    tick_kimg: float | None = None
    """Thousands of images between ticks (log line, plots). Default: 1/100 of the run, at least 1."""
    evaluate_every: float | None = None
    """Thousands of images between evaluations on the validation split, which select the best checkpoint by its yield.
    Default: at each snapshot if the run may stop early, otherwise never."""
    every_epochs: float | None = None
    """Passes over the training split between snapshots and evaluations, instead of thousands of images. Default: count
    images."""
    snapshot_epochs: tuple[float, ...] = ()
    """Passes over the training split after which a snapshot is due besides the regular ones, such as 1 5 25. Default:
    none."""
    evaluate_faces: int = 2000
    """Number of faces to generate for each evaluation."""
    early_stop: bool = False
    """End the run when neither yield nor KID has improved by more than chance for some evaluations (patience)."""
    patience: int = 5
    """Number of evaluations without a better yield or KID after which a run that may stop early ends."""
    derived: tuple[str, ...] = ()
    """Fields that follow from the resolution, the number of faces and their labels, unless they are set. A dry
    run shows their values. Default: none."""
    seed: int = 0
    """Seed of the initial weights, the order of the faces and all latents."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", _split_names(self.attributes))
        for check_topic in CHECKS:
            check_topic(self)

    @property
    def snapshot_every(self) -> float:
        """Kimg between snapshots."""
        return self.snapshot_kimg or max(1.0, self.kimg / 20)

    @property
    def evaluation_every(self) -> float | None:
        """Kimg between evaluations; None if there are none."""
        return self.evaluate_every or (self.snapshot_every if self.early_stop else None)

    @property
    def clip(self) -> float | None:
        """The bound for clipping the discriminator's weights; None if they are not clipped."""
        spectral = self.discriminator.normalisation == "spectral"  # limits D's gradient already, and undoes clipping
        auto = self.penalty.kind == "auto" and self.objective == "wasserstein" and not spectral
        return self.penalty.clip if self.penalty.kind == "clip" or auto else None

    @property
    def tick_every(self) -> float:
        """Kimg between ticks."""
        return self.tick_kimg or max(1.0, self.kimg / 100)

    @property
    def images(self) -> int:
        """The length of a resolved recipe in images: whole batches."""
        return ceil(self.kimg * 1000 / self.batch_size) * self.batch_size

    def resolved(self, faces: int, labelled: bool = False) -> Self:
        """The recipe with its derived fields filled in, and epochs converted to kimg.

        Args:
            faces: number of training faces.
            labelled: whether they have attributes to condition on.
        """
        used = self.condition.kind != "none" if "condition" not in self.derived else labelled or bool(self.attributes)
        facts = Facts(self.resolution, faces, used)
        recipe = replace(self, derived=())
        for name in self.derived:  # the condition first: what depends on labels depends on whether they are used
            recipe = recipe._derive(name, facts)
            facts = replace(facts, labelled=recipe.condition.kind != "none")
        if self.epochs is not None:
            recipe = replace(recipe, kimg=self.epochs * faces / 1000, epochs=None)
        if self.every_epochs is not None:
            every = self.every_epochs * faces / 1000
            recipe = replace(recipe, snapshot_kimg=every, evaluate_every=every, every_epochs=None)
        return recipe

    def _derive(self, name: str, facts: Facts) -> Self:
        """The recipe with one field, or part, filled in; unchanged if it was set."""
        part, _, field_name = name.rpartition(".")
        owner = getattr(self, part) if part else self
        if getattr(owner, field_name) != RULES[name](REFERENCE):
            return self
        value = RULES[name](facts)
        return replace(self, **{part: replace(owner, **{field_name: value})} if part else {name: value})

    def reset_for(self, settings: Mapping[str, str]) -> Self:
        """Reset the fields that would not fit the kinds in `settings`, so that these can then be set.

        What is set is no longer derived.

        Args:
            settings: field → value, such as "penalty.kind" → "r1". Other fields are ignored.
        """
        parts = {part: f"{part}.kind" for part in PARTS_WITH_KINDS}
        open_fields = tuple(f for f in self.derived if not any(f"{name}.".startswith(f"{f}.") for name in settings))
        changes: dict[str, Any] = {
            part: reset_for_kind(getattr(self, part), settings[f]) for part, f in parts.items() if f in settings
        }
        return replace(self, derived=open_fields, **changes)

    def to_json(self) -> str:
        """The recipe as indented JSON, for `from_json` and for people."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str, source: str = "The recipe") -> Self:
        """Read the output of `to_json`. Unknown or ill-typed fields raise a `UserError` that names them."""
        return parse_json(cls, text, source)


PARTS_WITH_KINDS = tuple(f.name for f in fields(Recipe) if has_kind_fields(f.type))
"""The parts of a recipe that have fields only some of their kinds have."""


def _split_names(words: tuple[str, ...]) -> tuple[str, ...]:
    """Attribute names that were separated by commas or spaces, each once."""
    names = [name.strip() for word in words for name in word.split(",") if name.strip()]
    check(bool(names) or not words, "attributes is empty; remove it, or give names such as hair,eyes.")
    return tuple(dict.fromkeys(names))
