"""The family of games on toy data: every objective with every penalty, on points in the plane, one picture of all.

    outcome = play("hinge", PenaltyConfig(kind="r1"), "ring")  # one game, seconds on one core
    draw(lab(), Path("lab.png"))  # all of them

The data are the classics: eight Gaussians on a ring (Metz et al., "Unrolled Generative Adversarial Networks", ICLR
2017) and twenty-five on a grid (Srivastava et al., "VEEGAN", NeurIPS 2017). Both players are small perceptrons without
normalisation, and every game has the same settings, those below, so that objective and penalty alone make a difference.

What is measured, on 2,000 points of the trained generator:

- *High quality* is a point within three standard deviations of the nearest mode, as in Srivastava et al. 2017.
- *Covered* is a mode with a tenth or more of the high-quality points that it would have in the data. That paper asks
  for a single one, a bar that a generator clears by smearing its points evenly along the ring: each mode gets 8 %.
- *Distance* is the 1-Wasserstein distance from 1,000 of the points to as many from the data, by an optimal assignment.
  Two draws from the data are a distance apart as well, `Mixture.floor`: no game can be expected to do better.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise, repeat
from math import cos, inf, pi
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
from torch import Tensor, nn

from nijigan.errors import check
from nijigan.files import replacing
from nijigan.games.objectives import build_objective
from nijigan.games.penalties import build_penalty, clip_weights
from nijigan.generator.latents import check_seed
from nijigan.recipe.parts import DiscriminatorConfig, PenaltyConfig
from nijigan.recipe.recipe import Recipe

Data = Literal["ring", "grid"]
Points = npt.NDArray[np.float64]

OBJECTIVES = get_args(get_type_hints(Recipe)["objective"])
PENALTIES = (
    PenaltyConfig(kind="none"),
    PenaltyConfig(kind="clip", clip=0.1),
    PenaltyConfig(kind="wgan-gp", weight=0.1),
    PenaltyConfig(kind="dragan", weight=0.1),
    PenaltyConfig(kind="r1", weight=0.1),
    PenaltyConfig(kind="r2", weight=0.1),
    PenaltyConfig(kind="r1r2", weight=0.1),
)
"""Ten to a hundred times gentler than for pictures: the modes are small, and D has to be steep to tell them apart."""

STEPS = 2000
_BATCH = 128
_HIDDEN = (64, 64, 64)  # units of the layers, in both players
_LATENT = 2
_RATE = 4e-3  # of both players' Adam, falling to 0 along half a cosine
_BETAS = (0.0, 0.99)

_JUDGED = 2000
_ASSIGNED = 1000
_COVERED = 0.1


@dataclass(frozen=True)
class Mixture:
    """Equally likely round Gaussians in the plane."""

    centres: Points
    """Modes×2."""
    sigma: float
    """Their standard deviation along each axis."""

    @property
    def scale(self) -> float:
        """The standard deviation of the centres along each axis: players see points in this unit."""
        return float(self.centres.std())

    def sample(self, n: int) -> Tensor:
        """Draw float32 n×2 from torch's random state."""
        centres = torch.from_numpy(self.centres).float()
        return centres[torch.randint(len(centres), (n,))] + self.sigma * torch.randn(n, 2)

    @property
    def floor(self) -> float:
        """The distance between two draws of as many points as are compared: what a perfect generator would have."""
        with _torch_sandbox(0):
            a, b = (self.sample(_ASSIGNED).double().numpy() for _ in range(2))
        return wasserstein_distance(a, b)


_ANGLES = np.arange(8) * np.pi / 4
_AXIS = np.arange(-4.0, 5.0, 2.0)
MIXTURES: dict[Data, Mixture] = {
    "ring": Mixture(2 * np.stack((np.cos(_ANGLES), np.sin(_ANGLES)), axis=1), 0.02),
    "grid": Mixture(np.stack(np.meshgrid(_AXIS, _AXIS), axis=-1).reshape(-1, 2), 0.05),
}


@dataclass(frozen=True)
class Outcome:
    """How one game ended."""

    objective: str
    penalty: PenaltyConfig
    data: Data
    points: Points
    """What the generator draws, 2,000×2."""
    modes: int
    """Modes covered."""
    quality: float
    """The share of points of high quality."""
    distance: float
    """To the data; infinite if the generator's numbers are no longer finite."""


def play(objective: str, penalty: PenaltyConfig, data: Data, steps: int = STEPS, seed: int = 0) -> Outcome:
    """Play one game: as many rounds of one update of D and one of G as there are `steps`.

    The outcome depends on the arguments alone, on one kind of machine. torch's random state and number of threads are
    left as they were.

    Args:
        objective: one of `OBJECTIVES`.
        penalty: of any kind; applied at every step, whatever its `every` says.
        data: one of `MIXTURES`.
        steps: rounds.
        seed: decides weights, latents and data.
    """
    check(objective in OBJECTIVES, f"There is no objective {objective}; choose {', '.join(OBJECTIVES)}.")
    mixture = MIXTURES[data]
    game = Recipe(
        objective=objective,  # type: ignore[arg-type]
        penalty=penalty, discriminator=DiscriminatorConfig(norm="none"),
    )  # fmt: skip
    with _torch_sandbox(seed):
        generator = _perceptron(_LATENT, 2)
        _train(game, mixture, generator, steps)
        with torch.no_grad():
            points = (mixture.scale * generator(torch.randn(_JUDGED, _LATENT))).double().numpy()
        truth = mixture.sample(_ASSIGNED).double().numpy()
    modes, quality = covered(points, mixture)
    return Outcome(objective, penalty, data, points, modes, quality, wasserstein_distance(points[:_ASSIGNED], truth))


def lab(
    steps: int = STEPS,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Outcome]:
    """Play every objective with every penalty on both data sets.

    Args:
        steps: rounds of each game.
        seed: decides weights, latents and data, for every game alike.
        workers: processes that play at the same time; they change nothing but the time it takes.
        progress: called with (games played, games in all).

    Raises:
        UserError: fewer than one step or worker, or a seed that is negative or has more than 63 bits.
    """
    check(steps >= 1 and workers >= 1, "A game needs a step and somebody to play it; choose 1 or more of both.")
    check_seed(seed)
    games = [(objective, penalty, data) for data in MIXTURES for objective in OBJECTIVES for penalty in PENALTIES]
    outcomes = []
    progress(0, len(games))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 else nullcontext() as pool:
        for outcome in (pool.map if pool else map)(play, *zip(*games, strict=True), repeat(steps), repeat(seed)):
            outcomes.append(outcome)
            progress(len(outcomes), len(games))
    return outcomes


def covered(points: Points, mixture: Mixture) -> tuple[int, float]:
    """How many modes the points cover, and which share of the points is of high quality, as the module defines them.

    Args:
        points: n×2; those that are not finite belong to no mode.
        mixture: the truth.
    """
    distances = _lengths(points[np.isfinite(points).all(axis=1)], mixture.centres)
    nearest = distances.argmin(axis=1)[distances.min(axis=1) <= 3 * mixture.sigma]
    counts = np.bincount(nearest, minlength=len(mixture.centres))
    fair = (1 - np.exp(-4.5)) * len(points) / len(mixture.centres)  # Rayleigh: the mass within three sigmas
    return int((counts >= _COVERED * fair).sum()), len(nearest) / len(points)


def wasserstein_distance(a: Points, b: Points) -> float:
    """The 1-Wasserstein distance between two sets of n points: the mean length of the cheapest pairing, Euclidean.

    Peyré and Cuturi, "Computational Optimal Transport", 2019, section 2.2: between equally many points of equal weight
    an optimal plan is a permutation. Infinite if a point is not finite.
    """
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return inf
    lengths = _lengths(a, b)
    return float(lengths[linear_sum_assignment(lengths)].mean())


def _lengths(a: Points, b: Points) -> Points:
    """Euclidean, from each of n points to each of m: n×m."""
    lengths: Points = np.linalg.norm(a[:, None] - b, axis=-1)
    return lengths


def _train(game: Recipe, mixture: Mixture, generator: nn.Module, steps: int) -> None:
    """Algorithm 1 of Goodfellow et al. 2014, with the objective and penalty of `game`."""
    critic = _perceptron(2, 1)
    objective, penalise = build_objective(game), build_penalty(game.penalty)
    g_optimizer, d_optimizer = (
        torch.optim.Adam(player.parameters(), lr=_RATE, betas=_BETAS, fused=True) for player in (generator, critic)
    )

    def judge(points: Tensor) -> Tensor:
        logits: Tensor = critic(points)
        return logits.flatten()

    for step in range(steps):
        for optimizer in (g_optimizer, d_optimizer):
            optimizer.param_groups[0]["lr"] = _RATE * 0.5 * (1 + cos(pi * step / steps))
        real, drawn = mixture.sample(_BATCH) / mixture.scale, generator(torch.randn(_BATCH, _LATENT))
        d_optimizer.zero_grad()
        loss = objective.d_loss(*judge(torch.cat((real, drawn.detach()))).chunk(2))
        if penalise is not None:
            loss = loss + penalise(judge, real, drawn.detach())
        torch.autograd.backward(loss)
        d_optimizer.step()
        if game.clip is not None:
            clip_weights(critic, game.clip)

        critic.requires_grad_(False)
        g_optimizer.zero_grad()
        torch.autograd.backward(objective.g_loss(judge(drawn), judge(real) if objective.paired else None))
        g_optimizer.step()
        critic.requires_grad_(True)


def _perceptron(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise((inputs, *_HIDDEN, outputs)):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@contextmanager
def _torch_sandbox(seed: int) -> Iterator[None]:
    """One thread, so that sums round the same however many cores there are, and a random state of our own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


_INK, _PALE, _GOOD = "#334155", "#cbd5e1", "#15803d"
_MODES, _POINTS = "#f9c6d3", "#2b6cb0"
_TITLES = {"ring": "Ring of 8 Gaussians", "grid": "5 × 5 Gaussians"}
_PANEL, _GAP, _CAPTION = 1.42, 0.1, 0.24  # inches
_LEFT, _TOP, _HEADING, _MARGIN = 1.15, 0.85, 0.75, 0.2


def draw(outcomes: Sequence[Outcome], out: Path) -> None:
    """Draw outcomes as small pictures: a block for each data set, a row for each objective, a column for each penalty.

    Args:
        outcomes: of any games, at most one of each kind.
        out: a .png, .svg or .pdf.

    Raises:
        UserError: another ending, or the file cannot be written.
    """
    check_picture(out)
    rows = list(dict.fromkeys(o.objective for o in outcomes))
    columns = list(dict.fromkeys(o.penalty.kind for o in outcomes))
    blocks = list(dict.fromkeys(o.data for o in outcomes))
    row_height = _PANEL + _CAPTION + _GAP
    block_height = _HEADING + len(rows) * row_height
    width = _LEFT + len(columns) * (_PANEL + _GAP) + _MARGIN
    height = _TOP + len(blocks) * block_height + _MARGIN
    figure = Figure(figsize=(width, height), facecolor="white")

    def write(x: float, y: float, text: str, **style: Any) -> None:
        """At inches from the left and from the top."""
        usual: dict[str, Any] = {"color": _INK, "fontsize": 9, "va": "baseline"}
        figure.text(x / width, 1 - y / height, text, **usual | style)

    write(_MARGIN, 0.4, "Every game with every penalty", fontsize=15, weight="bold")
    write(_MARGIN, 0.66, "Pink: the true modes. Blue: drawn points. Above: modes covered, and the Wasserstein distance")
    for block, data in enumerate(blocks):
        mixture = MIXTURES[data]
        top = _TOP + block * block_height
        write(_MARGIN, top + 0.3, _TITLES[data], fontsize=12, weight="bold")
        write(_MARGIN + 2.1, top + 0.3, f"two draws of the data are {mixture.floor:.2f} apart", color="#64748b")
        for column, kind in enumerate(columns):
            x = _LEFT + column * (_PANEL + _GAP) + _PANEL / 2
            write(x, top + 0.62, "no penalty" if kind == "none" else kind, ha="center", weight="bold")
        for row, objective in enumerate(rows):
            y = top + _HEADING + row * row_height + _CAPTION + _PANEL / 2
            write(_LEFT - 0.1, y, objective, ha="right", va="center", weight="bold")
        for outcome in outcomes:
            if outcome.data == data:
                x = _LEFT + columns.index(outcome.penalty.kind) * (_PANEL + _GAP)
                y = top + _HEADING + rows.index(outcome.objective) * row_height + _CAPTION
                good = outcome.modes >= 7 / 8 * len(mixture.centres)
                style = {"color": _GOOD, "weight": "bold"} if good else {}
                write(x, y - 0.05, f"{outcome.modes}/{len(mixture.centres)}", **style)
                write(x + _PANEL, y - 0.05, f"{outcome.distance:.2f}", ha="right")
                axes = figure.add_axes((x / width, 1 - (y + _PANEL) / height, _PANEL / width, _PANEL / height))
                _panel(axes, outcome, _GOOD if good else _PALE)
    with replacing(out) as temporary:
        figure.savefig(temporary, dpi=120)


def check_picture(out: Path) -> None:
    """Refuse, with a `UserError`, a name whose ending `draw` cannot write; worth doing before minutes of play."""
    kinds = (".png", ".svg", ".pdf")
    check(out.suffix.lower() in kinds, f"{out} is not the name of a picture; end it in {', '.join(kinds)}.")


def _panel(axes: Axes, outcome: Outcome, frame: str) -> None:
    centres = MIXTURES[outcome.data].centres
    reach = 1.3 * np.abs(centres).max()
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
    axes.spines[:].set_color(frame)
    axes.scatter(centres[:, 0], centres[:, 1], s=110 if len(centres) < 10 else 60, color=_MODES, linewidths=0)
    seen = outcome.points[(np.abs(outcome.points) < reach).all(axis=1)]
    axes.scatter(seen[:, 0], seen[:, 1], s=2.5, color=_POINTS, alpha=0.35, linewidths=0)
    if len(seen) < 0.05 * len(outcome.points):
        axes.text(0, 0, "points are\nelsewhere", color=_INK, fontsize=9, ha="center", va="center")
