"""Checks between the fields of a recipe, by topic. Each raises a `UserError` that names the option to change."""

from math import inf, isfinite
from typing import TYPE_CHECKING

from nijigan.errors import check
from nijigan.recipe.derived import RULES
from nijigan.recipe.parts import PenaltyConfig
from nijigan.resolutions import base_resolution, nearest_resolutions

if TYPE_CHECKING:
    from nijigan.recipe.recipe import Recipe

MAX_BATCH, MAX_UPDATES = 65_536, 1_000
MAX_KIMG, MAX_EPOCHS = 1e9, 1_000_000
"""A trillion images; longer runs are typing errors."""
_CROSS_ENTROPIES = ("bce", "minimax")
_NO_GRADIENT_PENALTY = ("auto", "none", "clip")


def check_name(recipe: "Recipe") -> None:
    """The name, which is also that of the folder of a run."""
    name = recipe.name
    check(
        0 < len(name) <= 100 and name.isprintable() and name == name.strip() and name[0] not in ".-"
        and not set(name) & set('/\\:*?"<>|'),
        f"{name[:100]!r} cannot be the name of a recipe; choose up to 100 letters, digits, spaces and . _ - + = ( ), "
        "the first one a letter or digit.",
    )  # fmt: skip


def check_images(recipe: "Recipe") -> None:
    """Resolution and attributes."""
    resolution = recipe.resolution
    check(
        base_resolution(resolution) is not None and 8 <= resolution <= 1024,
        f"A resolution of {resolution} is not 4, 5, 6 or 7 times a power of two; "
        f"choose {' or '.join(map(str, nearest_resolutions(resolution)))}.",
    )
    check(
        not recipe.attributes or recipe.condition.kind != "none",
        f"The attributes {', '.join(recipe.attributes)} need a conditional discriminator; choose --condition.kind "
        "reacgan, acgan or projection, or a recipe that has one.",
    )


def check_targets(recipe: "Recipe") -> None:
    """The objective, and the targets of D and G under it."""
    tricks, targets = recipe.tricks, recipe.mse_targets
    check(0 <= recipe.label_smoothing < 0.5, "label_smoothing must lie in [0, 0.5).")
    for name, value in (
        ("label_smoothing", recipe.label_smoothing),
        ("tricks.soft_labels", tricks.soft_labels),
        ("tricks.flipped_labels", tricks.flipped_labels),
    ):
        check(
            value == 0 or recipe.objective in _CROSS_ENTROPIES,
            f"{name} applies to the objectives bce and minimax, not to {recipe.objective}; set it to 0.",
        )
    check(
        recipe.label_smoothing + tricks.soft_labels < 0.5,
        "label_smoothing and tricks.soft_labels together reach the midpoint between real and fake; keep their sum "
        "below 0.5.",
    )
    check(
        not tricks.replay or recipe.condition.kind == "none",
        "tricks.replay mixes images of other attributes into a batch; remove it, or set condition.kind to none.",
    )
    check(
        not tricks.replay or recipe.alternate_epochs == 0,
        "tricks.replay needs G to train in every round; remove it, or set alternate_epochs to 0.",
    )
    check(
        targets == (0.0, 1.0, 1.0) or recipe.objective == "mse",
        f"mse_targets applies to the objective mse, not to {recipe.objective}; set it to 0 1 1.",
    )
    check(
        all(map(isfinite, targets)) and targets[0] != targets[1],
        f"mse_targets are {targets}; choose finite numbers, with different targets for fakes and reals in D.",
    )
    check(
        targets[0] != targets[2],
        f"mse_targets are {targets}: G has the same target as D on fakes, so the two networks would not compete; "
        "choose another third number.",
    )


def check_regularisers(recipe: "Recipe") -> None:
    """Penalty, normalisation of D, weight clipping and the ramps of burn-in."""
    penalty, norm = recipe.penalty, recipe.discriminator.normalisation
    check(
        norm != "batch" or penalty.kind in _NO_GRADIENT_PENALTY,
        f"The penalty {penalty.kind} needs a gradient for each image, but batch norm makes D's logit for one image "
        "depend on the others; choose --discriminator.norm layer, or another penalty.",
    )
    check(
        penalty.kind != "clip" or norm != "spectral",
        "Spectral norm divides weights by their largest singular value, which undoes weight clipping; choose "
        "--penalty.kind none, or another --discriminator.norm.",
    )
    check(
        recipe.clip is not None or penalty.clip == PenaltyConfig.clip,
        f"penalty.clip is {penalty.clip}, but this recipe does not clip weights; choose --penalty.kind clip, or remove "
        "penalty.clip.",
    )
    check(
        recipe.burn_in.penalty == 1 or penalty.kind not in _NO_GRADIENT_PENALTY,
        "burn_in.penalty ramps the weight of a gradient penalty, but this recipe has none; set it to 1.",
    )
    check(
        recipe.burn_in.beta2 is None
        or all(optimizer.kind.startswith("adam") for optimizer in (recipe.g_optimizer, recipe.d_optimizer)),
        "burn_in.beta2 applies to adam and adamw; set it to None.",
    )


def check_batch(recipe: "Recipe") -> None:
    """The batch, and how updates alternate."""
    for name in ("batch_size", "accumulate", "n_critic", "g_steps"):
        check(getattr(recipe, name) >= 1, f"{name} is {getattr(recipe, name)}; it must be at least 1.")
    for name, most in (
        ("batch_size", MAX_BATCH), ("accumulate", MAX_BATCH), ("n_critic", MAX_UPDATES), ("g_steps", MAX_UPDATES),
        ("alternate_epochs", MAX_EPOCHS),
    ):  # fmt: skip
        value = getattr(recipe, name)
        check(value <= most, f"{name} is {_short(value)}; choose at most {most:,}.")
    check(recipe.batch_size >= 2, "batch_size must be at least 2: batch norm has no statistics for one image.")
    check(
        recipe.batch_size % recipe.accumulate == 0 and recipe.batch_size // recipe.accumulate >= 2,
        f"A batch of {recipe.batch_size} cannot be split into {recipe.accumulate} equal parts of two or more images; "
        "choose an accumulate that divides it.",
    )
    check(
        not recipe.balance or recipe.condition.kind != "none",
        "balance is for values of attributes, and this recipe has none; set condition.kind, or remove balance.",
    )
    check(recipe.alternate_epochs >= 0, "alternate_epochs must be 0 (off) or more.")
    check(
        recipe.alternate_epochs == 0 or (recipe.n_critic == 1 and recipe.g_steps == 1),
        "alternate_epochs trains one network at a time, so n_critic and g_steps must stay 1.",
    )


def check_length(recipe: "Recipe") -> None:
    """The length of the run, and how often it logs, saves and evaluates."""
    for name in ("kimg", "epochs", "snapshot_kimg", "tick_kimg", "evaluate_every", "every_epochs"):
        length = getattr(recipe, name)
        check(length is None or 0 < length < inf, f"{name} is {length}; it must be above 0 and finite.")
        check((length or 0) <= MAX_KIMG, f"{name} is {_short(length or 0)}; choose at most {MAX_KIMG:,.0f}.")
    check(
        recipe.every_epochs is None or (recipe.snapshot_kimg, recipe.evaluate_every) == (None, None),
        "every_epochs replaces snapshot_kimg and evaluate_every; set only one of the two. To undo what a recipe sets, "
        "add --every-epochs None.",
    )
    for epoch in recipe.snapshot_epochs:
        check(0 < epoch <= 1e6, f"snapshot_epochs has {_short(epoch)}; choose numbers above 0, up to a million.")
    check(recipe.patience >= 1, f"patience is {recipe.patience}; it must be at least 1.")
    check(
        100 <= recipe.evaluate_faces <= 100_000,
        f"evaluate_faces is {recipe.evaluate_faces}; choose 100 to 100,000 (fewer are not informative).",
    )


def _short(value: float) -> str:
    """A number in a few characters. An integer may be too large for a float."""
    try:
        return f"{value:.4g}"
    except OverflowError:
        return "a number of hundreds of digits"


def check_derived(recipe: "Recipe") -> None:
    """The fields that are left open."""
    unknown = [field for field in recipe.derived if field not in RULES]
    check(
        not unknown,
        f"derived names {''.join(unknown[:1])}, for which there is no rule; choose from {', '.join(RULES)}.",
    )


def check_seed(recipe: "Recipe") -> None:
    """The seed."""
    check(0 <= recipe.seed < 2**63, "The seed must lie between 0 and 2^63 - 1.")


CHECKS = (
    check_name,
    check_images,
    check_targets,
    check_regularisers,
    check_batch,
    check_length,
    check_derived,
    check_seed,
)
