"""Which numbers of a run's log are shown together, for the plots and for the live page."""

from dataclasses import dataclass

SHARES = ("yield", "variety", "originality", "accuracy")
"""Figures whose values are shares: their axis starts at 0, and is in per cent."""
ACCURACY = "accuracy-"
"""What the key of an attribute's conditional accuracy starts with."""


@dataclass(frozen=True)
class Figure:
    """Curves over kimg in one picture."""

    name: str
    """Of the file."""
    title: str
    curves: dict[str, str]
    """By key of a log line, the label."""

    @property
    def scale(self) -> float:
        """What values are multiplied by."""
        return 1000 if self.name == "kid" else 1


_FIGURES = (
    Figure("losses", "Loss", {"d_loss": "discriminator", "g_loss": "generator"}),
    Figure(
        "projected",
        "Loss of the projected discriminator",
        {"d_projected_loss": "discriminator", "g_projected_loss": "generator"},
    ),
    Figure("scores", "Score", {"real_score": "real faces", "fake_score": "generated faces"}),
    Figure("penalty", "Penalty", {"penalty": "discriminator"}),
    Figure("gradients", "Length of the gradient", {"d_gradient": "discriminator", "g_gradient": "generator"}),
    Figure("class", "Class loss", {"d_class_loss": "discriminator", "g_class_loss": "generator"}),
    Figure("diversity-loss", "Diversity lost", {"diversity_loss": "generator"}),
    Figure("yield", "Share of faces that people keep", {"yield": "generated faces"}),
    Figure("kid", "KID × 1000 on validation faces", {"kid": "generated faces"}),
    Figure("variety", "Share of real faces that are covered", {"coverage": "coverage", "recall": "recall"}),
    Figure("originality", "Share of faces that are no copies", {"originality": "generated faces"}),
)


def figures(measured: set[str]) -> tuple[Figure, ...]:
    """The figures of a run whose log lines have numbers under these keys; those without a curve are left out."""
    accuracies = {key: key.removeprefix(ACCURACY) for key in sorted(measured) if key.startswith(ACCURACY)}
    every = (*_FIGURES, Figure("accuracy", "Conditional accuracy", accuracies))
    return tuple(figure for figure in every if measured & figure.curves.keys())
