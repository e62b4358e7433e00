"""Teaching a generator what people keep, without a discriminator.

Only layers whose input is the latent or the labels learn: the convolutions after them stay, for otherwise G pleases the
judge with fine patterns that no eye likes. A face whose log-odds of being kept are above `MARGIN` is not pushed. Two
losses hold the rest in place: the face that was drawn before, and the means and deviations of what the judge sees in
real faces.
"""

import logging
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from nijigan.aliases import Images, NamedProgress, Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import check
from nijigan.generator.generator import Generator
from nijigan.generator.header import GeneratorHeader
from nijigan.generator.latents import check_seed
from nijigan.interrupt import Interrupt
from nijigan.networks import ConditionalGenerator
from nijigan.networks.priors import random_latents
from nijigan.networks.style import StyleGenerator
from nijigan.polish.sight import SHIFT, Sight, View, statistics
from nijigan.polish.taste import Taste
from nijigan.recipe.parts import EmaConfig
from nijigan.training.ema import Ema

BATCH = 16
MARGIN = 2.0
"""Log-odds: a chance of 0.88."""
RATE, BETAS = 4e-4, (0.0, 0.99)
"""Adam's first rate, constant for the first half and then falling to 0, and its betas."""
BEFORE, MOMENTS, FADE = 0.2, 100.0, 0.95
"""The weights of the faces drawn before and of the moments, and what remains of the running moments after a batch."""
PIXELS = 8.0
"""Weight of the difference of pixels beside that of the maps."""
SOFT = 0.7
"""The share of batches that are softened before the judge sees them."""
REAL = 800
"""Real faces whose moments are the goal."""
LEAST_REAL = 50
HALF_LIFE = 3.0
"""Of the average of the weights, in thousands of faces."""
STYLES = 4096
"""Latents whose mean style a style-based generator gets."""
MOST_KIMG = 1000.0

log = logging.getLogger("nijigan")

Inputs = tuple[Tensor, ...]
"""Latents, and codes if there are attributes."""


@dataclass
class Moments:
    """Running mean and mean square of the statistics of generated faces, where those of real ones are 0 and 1."""

    mean: Tensor
    deviation: Tensor
    running: tuple[Tensor, Tensor] | None = None

    def loss(self, statistics: Tensor) -> Tensor:
        """How far both are from those of real faces; the gradient is this batch's share of it."""
        x = (statistics - self.mean) / (self.deviation + 1e-3)
        new = x.mean(0), x.square().mean(0)
        first, second = (moment.detach() for moment in self.running or new)
        new = torch.lerp(first, new[0], 1 - FADE), torch.lerp(second, new[1], 1 - FADE)
        self.running = new
        spread = new[1] - new[0].square() - 1
        return new[0].square().mean() + spread.square().clamp(max=4).mean()


def real_moments(sight: Sight, real: Images, progress: Progress | None = None) -> Moments:
    """The goal: real faces, as large a share of them softened as of the generated ones."""
    sharp = round((1 - SOFT) * len(real))
    seen = []
    for title, part, soft in (("", real[:sharp], False), (", softened", real[sharp:], True)):
        _begin(progress, f"Looking at {len(part)} real faces{title}")
        seen.append(statistics(sight, part, View(soft), progress=progress))
    statistics_of_real = torch.from_numpy(np.concatenate(seen)).to(sight.device)
    return Moments(statistics_of_real.mean(0), statistics_of_real.std(0))


def _begin(progress: Progress | None, title: str) -> None:
    if isinstance(progress, NamedProgress):
        progress.name(title)


class Lesson:
    """A generator that learns, the one that it was, and the judge.

    Attributes:
        module: what learns.
    """

    def __init__(self, generator: Generator, taste: Taste, sight: Sight, moments: Moments, seed: int) -> None:
        self.before, self.header = generator.module, generator.header
        self.module = deepcopy(self.before).eval()
        self._taste, self._sight, self._moments = taste, sight, moments
        self._random = np.random.default_rng(seed)

    def loss(self, inputs: Inputs) -> Tensor:
        """The loss of a batch."""
        with torch.no_grad():
            old = self._drawn(self.before, inputs)
            maps = self._sight.maps(old)
        new = self._drawn(self.module, inputs)
        down, right = self._random.integers(0, 2 * SHIFT + 1, 2).tolist()
        view = View(self._random.random() < SOFT, self._random.random() < 0.5, down, right)
        seen = self._sight(new, view)
        differences = [
            (ours - theirs).abs().mean() / theirs.abs().mean()
            for ours, theirs in zip(self._sight.maps(new), maps, strict=True)
        ]
        moved = PIXELS * (new - old).abs().mean() + torch.stack(differences).sum()
        wanting = torch.relu(MARGIN - self._taste.odds(seen)).mean()
        return wanting + BEFORE * moved + MOMENTS * self._moments.loss(seen)

    def _drawn(self, module: nn.Module, inputs: Inputs) -> Tensor:
        """N×3×H×W faces in [0, 1]."""
        faces: Tensor = module(*inputs)
        return (faces + 1) / 2 if self.header.generator.output == "tanh" else faces


def polish(
    generator: Generator,
    real: Images,
    taste: Taste,
    sight: Sight,
    kimg: float = 10.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Generator:
    """Teach a generator to draw faces that people keep.

    Args:
        generator: any that has its network; it does not change.
        real: uint8, N×H×W×3: faces of the kind that it was trained on.
        taste: the judge.
        sight: what it sees through, on the device of the generator.
        kimg: thousands of faces to draw while learning. A signal ends it early.
        seed: of the latents and views.
        progress: called with (looks taken at real faces, looks to take), then with (faces drawn, faces to draw). If
            it is a `NamedProgress`, it also learns the name of each pass.

    Returns:
        A new generator without metrics, whose other layers are the same. Its description says that it was polished,
        and its `origin` is the hash of `generator`.

    Raises:
        UserError: `kimg` is out of range, or no layer can learn.
    """
    check_request(kimg, seed)
    with torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed)
        lesson = Lesson(generator, taste, sight, real_moments(sight, real, progress), seed)
        _begin(progress, "Polishing")
        module = _learn(lesson, max(1, round(1000 * kimg / BATCH)), progress)
    said = f"{generator.header.description} Polished with {kimg:g} thousand generated faces, seed {seed}.".strip()
    header = replace(generator.header, metrics={}, origin=generator.weights_hash, description=said)
    return Generator(module, header)


def check_request(kimg: float, seed: int) -> None:
    """Raise a `UserError` if `polish` would refuse these numbers."""
    check(0 < kimg <= MOST_KIMG, f"--kimg is {kimg:g}; choose a number above 0, up to {MOST_KIMG:,.0f}, such as 10.")
    check_seed(seed)


def real_faces(dataset: FaceDataset, resolution: int) -> Images:
    """Up to `REAL` training faces, always the same ones, uint8, N×H×W×3.

    Raises:
        UserError: there are too few for moments.
    """
    count = dataset.count("train")
    check(count >= LEAST_REAL, f"{dataset.path} has {count} training faces; polishing needs at least {LEAST_REAL}.")
    rows = np.sort(np.random.default_rng(3).choice(count, min(REAL, count), replace=False))
    return dataset.pixels("train", resolution)[rows]


def _learn(lesson: Lesson, steps: int, progress: Progress | None) -> nn.Module:
    """The average of the weights after some steps."""
    device = next(lesson.module.parameters()).device
    adam = torch.optim.Adam(entrance(lesson.module, _inputs(lesson.header, device)), RATE, BETAS)
    ema = Ema(lesson.module, EmaConfig(half_life_kimg=HALF_LIFE))
    with Interrupt(lambda: log.warning("Stopping early; what was learnt so far is written.")) as interrupt:
        for step in range(1, steps + 1):
            adam.param_groups[0]["lr"] = RATE * min(1.0, 2 * (1 - (step - 1) / steps))
            loss = lesson.loss(_inputs(lesson.header, device))
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            ema.update(lesson.module, BATCH, step * BATCH)
            if progress is not None:
                progress(step * BATCH, steps * BATCH)
            if interrupt.requested:
                break
    if isinstance(ema.module, StyleGenerator | ConditionalGenerator):  # truncation pulls towards the mean style
        ema.module.estimate_mean_style([_inputs(lesson.header, device) for _ in range(STYLES // BATCH)])
    return ema.module


def entrance(module: nn.Module, inputs: Inputs) -> list[nn.Parameter]:
    """The weights that learn: those of layers whose input has no places, since they see latents and labels alone.

    All other weights of `module` are frozen.

    Raises:
        UserError: there is no such layer.
    """
    found: list[nn.Parameter] = []

    def note(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if arguments[0].shape[2:].numel() == 1:
            found.extend(layer.parameters(recurse=False))

    module.requires_grad_(False)
    leaves = [layer for layer in module.modules() if next(layer.parameters(recurse=False), None) is not None]
    hooks = [layer.register_forward_pre_hook(note) for layer in leaves]
    with torch.no_grad():
        module(*inputs)
    for hook in hooks:
        hook.remove()
    check(bool(found), "This generator has no layer that sees the latent alone; it cannot be polished.")
    unique = list({id(weight): weight for weight in found}.values())
    for weight in unique:
        weight.requires_grad_(True)
    return unique


def _inputs(header: GeneratorHeader, device: torch.device) -> Inputs:
    """Random latents, and codes as often as they occurred in training."""
    latents = random_latents(BATCH, header.latent, device)
    if not header.attributes:
        return (latents,)
    rows = torch.tensor(header.priors)
    return latents, rows[torch.multinomial(rows[:, -1].float(), BATCH, replacement=True), :-1].to(device)
