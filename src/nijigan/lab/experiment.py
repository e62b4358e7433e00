"""Every objective with every penalty on points in the plane: training and measuring.

    outcome = run_experiment("hinge", PenaltyConfig(kind="r1"), "ring")  # seconds on one core
    draw_figure(run_all(), Path("lab.png"))  # all of them

The two data sets are in common use: eight Gaussians on a ring (Metz et al., "Unrolled Generative Adversarial Networks",
ICLR 2017) and twenty-five on a grid (Srivastava et al., "VEEGAN", NeurIPS 2017). G and D are small multilayer
perceptrons without normalisation. All experiments share the settings below; only objective and penalty differ.

Three figures are measured on 2,000 points of the trained generator:

- *Quality*: the share of points within three standard deviations of the nearest mode ("high quality" in Srivastava et
  al. 2017).
- *Modes covered*: the number of modes that have at least a tenth of the high-quality points that they would have in the
  data. The paper asks for one point only, but points spread evenly along the ring would pass that: 8 % of them are of
  high quality.
- *Distance*: the sliced 1-Wasserstein distance to 2,000 points of the data (Bonneel et al., "Sliced and Radon
  Wasserstein Barycenters of Measures", JMIV 2015), over 64 evenly spaced directions. Its unit is that of the plane: a
  shift by 1 is a distance of 2/π. Its floor is the mean distance between two samples of the data, `Mixture.floor`.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import cos, inf, pi
from multiprocessing import get_context
from statistics import fmean
from typing import Literal, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nijigan.aliases import Progress
from nijigan.errors import check
from nijigan.generator.latents import check_seed
from nijigan.losses.objectives import build_objective
from nijigan.losses.penalties import build_penalty, clip_weights
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
"""Ten to a hundred times weaker than for images: D needs steep slopes to resolve modes this small."""

STEPS = 2000
_BATCH = 128
_HIDDEN = (64, 64, 64)  # units per hidden layer, in G and in D
_LATENT = 2
_RATE = 4e-3  # initial learning rate of Adam for G and D; decays to 0 along half a cosine
_BETAS = (0.0, 0.99)

_POINTS = 2000  # of the generator, and as many of the data
_PAIRS = 20  # of samples for the floor; a single pair varies by a third
_COVERED = 0.1
_ANGLES = (np.arange(64) + 0.5) * pi / 64  # beside the axes, along which columns and rows of the grid coincide
_DIRECTIONS = np.stack((np.cos(_ANGLES), np.sin(_ANGLES)))  # 2×64


@dataclass(frozen=True)
class Mixture:
    """A mixture of isotropic Gaussians in the plane, with equal weights."""

    centres: Points
    """Modes×2."""
    sigma: float
    """Standard deviation of each mode along each axis."""

    @property
    def scale(self) -> float:
        """The standard deviation of the centres along each axis; G and D see points divided by it."""
        return float(self.centres.std())

    def sample(self, n: int) -> Tensor:
        """Sample float32 n×2 with torch's global generator."""
        centres = torch.from_numpy(self.centres).float()
        return centres[torch.randint(len(centres), (n,))] + self.sigma * torch.randn(n, 2)

    @property
    def floor(self) -> float:
        """The mean distance between two samples of the data, each as large as those that are compared."""
        with _torch_sandbox(0):
            samples = [self.sample(_POINTS).double().numpy() for _ in range(2 * _PAIRS)]
        return fmean(sliced_wasserstein(a, b) for a, b in zip(samples[::2], samples[1::2], strict=True))


_EIGHTHS = np.arange(8) * pi / 4
_AXIS = np.arange(-4.0, 5.0, 2.0)
MIXTURES: dict[Data, Mixture] = {
    "ring": Mixture(2 * np.stack((np.cos(_EIGHTHS), np.sin(_EIGHTHS)), axis=1), 0.02),
    "grid": Mixture(np.stack(np.meshgrid(_AXIS, _AXIS), axis=-1).reshape(-1, 2), 0.05),
}


@dataclass(frozen=True)
class Outcome:
    """The result of one experiment."""

    objective: str
    penalty: PenaltyConfig
    data: Data
    points: Points
    """Generated points, 2,000×2."""
    modes: int
    """Number of modes covered."""
    quality: float
    """Share of high-quality points."""
    distance: float
    """Sliced Wasserstein distance to the data; infinite if a generated point is not finite."""


def run_experiment(objective: str, penalty: PenaltyConfig, data: Data, steps: int = STEPS, seed: int = 0) -> Outcome:
    """Train one generator and measure its points.

    On one kind of machine, the outcome depends only on the arguments. torch's random state and number of threads are
    restored afterwards.

    Args:
        objective: one of `OBJECTIVES`.
        penalty: of any kind; applied at every step, whatever its `every`.
        data: one of `MIXTURES`.
        steps: number of rounds, each with one update of D and one of G.
        seed: seed of weights, latents and data.
    """
    check(objective in OBJECTIVES, f"There is no objective {objective}; choose {', '.join(OBJECTIVES)}.")
    mixture = MIXTURES[data]
    recipe = Recipe(
        objective=objective,  # type: ignore[arg-type]
        penalty=penalty, discriminator=DiscriminatorConfig(norm="none"),
    )  # fmt: skip
    with _torch_sandbox(seed):
        generator = _perceptron(_LATENT, 2)
        _train(recipe, mixture, generator, steps)
        with torch.no_grad():
            points = (mixture.scale * generator(torch.randn(_POINTS, _LATENT))).double().numpy()
        real = mixture.sample(_POINTS).double().numpy()
    modes, quality = coverage(points, mixture)
    return Outcome(objective, penalty, data, points, modes, quality, sliced_wasserstein(points, real))


def run_all(
    steps: int = STEPS,
    seed: int = 0,
    workers: int = 1,
    progress: Progress = lambda done, total: None,
) -> list[Outcome]:
    """Run every objective with every penalty on both data sets.

    Args:
        steps: number of rounds of each experiment.
        seed: seed of weights, latents and data, the same for every experiment.
        workers: number of parallel processes. It does not change the outcomes.
        progress: called with (experiments done, experiments in total).

    Raises:
        UserError: `steps` or `workers` is below 1, or the seed is negative or has more than 63 bits.
    """
    check(steps >= 1 and workers >= 1, "The number of steps and the number of workers must be at least 1.")
    check_seed(seed)
    cells = [(objective, penalty, data) for data in MIXTURES for objective in OBJECTIVES for penalty in PENALTIES]
    progress(0, len(cells))
    if workers == 1:
        outcomes = []
        for cell in cells:
            outcomes.append(run_experiment(*cell, steps, seed))
            progress(len(outcomes), len(cells))
        return outcomes
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run_experiment, *cell, steps, seed) for cell in cells]
        for done, _ in enumerate(as_completed(futures), 1):
            progress(done, len(cells))
    return [future.result() for future in futures]


def coverage(points: Points, mixture: Mixture) -> tuple[int, float]:
    """The number of modes covered and the share of high-quality points, as the module's docstring defines them.

    Args:
        points: n×2; a point that is not finite belongs to no mode.
        mixture: the data.
    """
    distances = _lengths(points[np.isfinite(points).all(axis=1)], mixture.centres)
    nearest = distances.argmin(axis=1)[distances.min(axis=1) <= 3 * mixture.sigma]
    counts = np.bincount(nearest, minlength=len(mixture.centres))
    fair = (1 - np.exp(-4.5)) * len(points) / len(mixture.centres)  # Rayleigh: the mass within three sigmas
    return int((counts >= _COVERED * fair).sum()), len(nearest) / len(points)


def sliced_wasserstein(a: Points, b: Points) -> float:
    """The sliced 1-Wasserstein distance between two sets of n points: n×2 and n×2, at least 0.

    Bonneel et al. 2015, section 3: the mean, over directions, of the 1-Wasserstein distance between the projections.
    On a line, the cheapest pairing is that of the sorted points (Peyré and Cuturi, "Computational Optimal Transport",
    2019, remark 2.28). The directions are the same 64 in every call. Infinite if a point is not finite.
    """
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return inf
    sorted_a, sorted_b = (np.sort(points @ _DIRECTIONS, axis=0) for points in (a, b))
    return float(np.abs(sorted_a - sorted_b).mean())


def _lengths(a: Points, b: Points) -> Points:
    """Euclidean distances from each of n points to each of m: n×m."""
    lengths: Points = np.linalg.norm(a[:, None] - b, axis=-1)
    return lengths


def _train(recipe: Recipe, mixture: Mixture, generator: nn.Module, steps: int) -> None:
    """Algorithm 1 of Goodfellow et al. 2014, with the objective and penalty of `recipe`."""
    discriminator = _perceptron(2, 1)
    objective, penalty = build_objective(recipe), build_penalty(recipe.penalty)
    g_optimizer, d_optimizer = (
        torch.optim.Adam(network.parameters(), lr=_RATE, betas=_BETAS, fused=True)
        for network in (generator, discriminator)
    )

    def critic(points: Tensor) -> Tensor:
        logits: Tensor = discriminator(points)
        return logits.flatten()

    for step in range(steps):
        for optimizer in (g_optimizer, d_optimizer):
            optimizer.param_groups[0]["lr"] = _RATE * 0.5 * (1 + cos(pi * step / steps))
        real, fake = mixture.sample(_BATCH) / mixture.scale, generator(torch.randn(_BATCH, _LATENT))
        d_optimizer.zero_grad()
        loss = objective.d_loss(*critic(torch.cat((real, fake.detach()))).chunk(2))
        if penalty is not None:
            loss = loss + penalty(critic, real, fake.detach())
        torch.autograd.backward(loss)
        d_optimizer.step()
        if recipe.clip is not None:
            clip_weights(discriminator, recipe.clip)

        discriminator.requires_grad_(False)
        g_optimizer.zero_grad()
        torch.autograd.backward(objective.g_loss(critic(fake), critic(real) if objective.paired else None))
        g_optimizer.step()
        discriminator.requires_grad_(True)


def _perceptron(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise((inputs, *_HIDDEN, outputs)):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@contextmanager
def _torch_sandbox(seed: int) -> Iterator[None]:
    """Seed torch and use one thread, so that sums round equally on any number of cores; restore both afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
