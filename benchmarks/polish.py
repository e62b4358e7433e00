r"""Teach a trained generator what people keep, by the judge that `taste.py` fits.

    OMP_NUM_THREADS=1 python benchmarks/polish.py PAIR --minutes 12 --out POLISHED

Only the layers that the latent and the labels enter learn, and the convolutions stay: otherwise G pleases the judge
with fine patterns that no eye likes. A face whose log-odds of being kept are above `MARGIN` is left alone. Two losses
hold the rest in place: the face that was drawn before, and the means and deviations of what the judge's networks see in
real faces. It leaves a pair with the discriminator of its model.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from average import write_pair
from narrow import BATCH, requests
from nijigan.generator.file import read
from nijigan.judges import anime
from nijigan.recipe.parts import EmaConfig
from nijigan.training.ema import Ema
from nijigan.training.transfer.pair import GENERATOR
from taste import FIT, SHIFT, Taste, View

MARGIN = 1.2  # log-odds
RATE, BEFORE, MOMENTS, FADE = 4e-4, 0.2, 200.0, 0.95
"""Adam's first rate, the weight of the faces drawn before, that of the moments, and how slowly the moments fade."""


@dataclass
class Moments:
    """Running mean and mean square of the statistics of generated faces, where those of real ones are 0 and 1."""

    mean: Tensor
    deviation: Tensor
    running: tuple[Tensor, Tensor] | None = None

    def loss(self, statistics: Tensor) -> Tensor:
        """How far both are from those of real faces; the gradient is that of this batch."""
        x = (statistics - self.mean) / (self.deviation + 1e-3)
        new = x.mean(0), x.square().mean(0)
        if self.running is not None:
            new = tuple(FADE * old.detach() + (1 - FADE) * now for old, now in zip(self.running, new, strict=True))
        self.running = new
        spread = new[1] - new[0].square() - 1
        return new[0].square().mean() + spread.square().clamp(max=4).mean()


class Polish:
    """A generator that learns, the one that it was, and the judge."""

    def __init__(self, before: nn.Module, generator: nn.Module, fit: dict[str, Tensor]) -> None:
        self.before, self.generator = before.eval().requires_grad_(False), generator.eval()
        for module in generator.modules():
            for weight in module.parameters(recurse=False):
                weight.requires_grad_(isinstance(module, nn.Linear | nn.Embedding))
        self.taste, self.fit = Taste(), fit
        self.moments = Moments(fit["mean"], fit["deviation"])
        self.looks = anime.load()[0].eval().requires_grad_(False)
        self.random = np.random.default_rng(0)

    def loss(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, float]:
        """The loss of a batch, and the mean chance that people keep its faces."""
        with torch.no_grad():
            old = self.before(*inputs)
            maps = self.looks.with_stages((old + 1) / 2)[1]
        new = self.generator(*inputs)
        down, right = self.random.integers(0, 2 * SHIFT + 1, 2).tolist()
        view = View(self.random.random() < 0.7, self.random.random() < 0.5, down, right)
        statistics = self.taste((new + 1) / 2, view)
        odds = statistics @ self.fit["weight"] + self.fit["offset"]
        differences = [
            (ours - theirs).abs().mean() / theirs.abs().mean()
            for ours, theirs in zip(self.looks.with_stages((new + 1) / 2)[1], maps, strict=True)
        ]
        moved = 4 * (new - old).abs().mean() + torch.stack(differences).sum()
        loss = torch.relu(MARGIN - odds).mean() + BEFORE * moved + MOMENTS * self.moments.loss(statistics)
        return loss, float(odds.detach().sigmoid().mean())


def main() -> None:
    """Read the options, polish, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("source", type=Path, help="a pair")
    parser.add_argument("--from", dest="start", type=Path, help="a polished pair to go on from; default: SOURCE")
    parser.add_argument("--fit", type=Path, default=FIT, help="the judge")
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the new pair")
    options = parser.parse_args()
    torch.manual_seed(5)
    before, header = read(options.source / GENERATOR)
    generator, _ = read((options.start or options.source) / GENERATOR)
    polish = Polish(before, generator, safetensors.torch.load_file(options.fit))
    adam = torch.optim.Adam([p for p in generator.parameters() if p.requires_grad], RATE, (0.0, 0.99))
    ema, begun, chances = Ema(generator, EmaConfig(half_life_kimg=3)), time.monotonic(), []
    for step, inputs in enumerate(requests(header), start=1):
        spent = (time.monotonic() - begun) / (60 * options.minutes)
        if spent >= 1:
            break
        adam.param_groups[0]["lr"] = RATE * min(1.0, 2 * (1 - spent))
        loss, chance = polish.loss(inputs)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        ema.update(generator, BATCH, step * BATCH)
        chances.append(chance)
        if step % 50 == 0:
            print(f"{100 * spent:.0f} % of the time, the judge would keep {np.mean(chances[-50:]):.3f}", flush=True)
    write_pair(options.source, options.out, ema.module.eval(), header)


if __name__ == "__main__":
    main()
