r"""A narrower twin of a trained generator of residual blocks, for pages that draw on one thread.

    OMP_NUM_THREADS=1 python benchmarks/narrow.py results/niji/0478 --width 20 --max-width 320 --minutes 14 --out PAIR

Of every map, the channels that count most in the next convolution are kept. Then the twin learns to draw the same face
as the generator from the same latent and labels: it minimises the mean absolute difference of pixels, and that of the
maps of the network of the anime scores. It leaves a pair with the discriminator of its model, from which
`nijigan train niji --start-from PAIR --generator.width 20 --generator.max-width 320` goes on.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from average import write_pair
from nijigan.generator.file import read
from nijigan.generator.header import GeneratorHeader
from nijigan.judges import anime
from nijigan.networks import build_generator
from nijigan.recipe.parts import EmaConfig
from nijigan.training.ema import Ema
from nijigan.training.transfer.pair import DISCRIMINATOR, GENERATOR

BATCH, RATE, PIXELS = 16, 1e-3, 4.0  # faces, Adam's first rate, the weight of pixels beside that of maps
Weights = dict[str, Tensor]


def top(importance: Tensor, count: int) -> Tensor:
    """The indices of the largest numbers, ascending."""
    return importance.topk(count).indices.sort().values


def importance(weights: Weights, norm: str, convolution: str) -> Tensor:
    """How much every channel of a map counts: the scale of its modulated norm times the kernels that then read it."""
    bias, matrix = weights[f"{norm}.affine.bias"], weights[f"{norm}.affine.weight"]
    channels = len(bias) // 2
    scale = (1 + bias[:channels]).abs() + matrix[:channels].norm(dim=1) / 2
    return scale * weights[f"{convolution}.weight"].square().sum((0, 2, 3)).sqrt()


def choose(weights: Weights, new: Weights, start: str) -> Weights:
    """The weights of a generator, without the channels that the narrower one `new` has no place for."""

    def size(norm: str) -> int:
        return len(new[f"{norm}.norm.running_mean"])

    def pick_norm(norm: str, kept: Tensor) -> None:
        for name in ("norm.running_mean", "norm.running_var"):
            found[f"{norm}.{name}"] = weights[f"{norm}.{name}"][kept]
        both = torch.cat([kept, kept + len(weights[f"{norm}.affine.bias"]) // 2])
        for name in ("affine.weight", "affine.bias"):
            found[f"{norm}.{name}"] = weights[f"{norm}.{name}"][both]

    layers = f"{start}layers."
    blocks = sum(name.endswith("main.6.weight") for name in weights)
    last = f"{layers}{blocks}"  # its norm; the convolution to colours is two layers further
    colours = f"{layers}{blocks + 2}"
    readers = [(f"{layers}{b}.main.0", f"{layers}{b}.main.3") for b in range(blocks)] + [(last, colours)]
    streams = [top(importance(weights, norm, convolution), size(norm)) for norm, convolution in readers]
    found = dict(weights)  # what has no channels, such as embeddings, stays
    for norm, kept in zip([norm for norm, _ in readers], streams, strict=True):
        pick_norm(norm, kept)
    area = len(weights[f"{start}dense.bias"]) // len(weights[f"{readers[0][0]}.norm.running_mean"])
    for name in ("weight", "bias"):
        dense = weights[f"{start}dense.{name}"]
        found[f"{start}dense.{name}"] = dense.unflatten(0, (-1, area))[streams[0]].flatten(0, 1)
    for b in range(blocks):
        block, inner, outer = f"{layers}{b}", streams[b], streams[b + 1]
        between = top(importance(weights, f"{block}.main.4", f"{block}.main.6"), size(f"{block}.main.4"))
        pick_norm(f"{block}.main.4", between)
        for name, rows, columns in (
            ("main.3", between, inner),
            ("main.6", outer, between),
            ("shortcut.0", outer, inner),
        ):
            found[f"{block}.{name}.weight"] = weights[f"{block}.{name}.weight"][rows][:, columns]
    found[f"{colours}.weight"] = weights[f"{colours}.weight"][:, streams[-1]]
    return found


def requests(header: GeneratorHeader) -> Iterator[tuple[Tensor, ...]]:
    """Batches of latents, and of codes as often as they occur, if there are attributes."""
    rows = torch.tensor(header.priors or [[1]])
    while True:
        latents = torch.randn(BATCH, header.latent.size)
        codes = rows[torch.multinomial(rows[:, -1].float(), BATCH, replacement=True), :-1]
        yield (latents, codes) if header.attributes else (latents,)


def imitate(model: nn.Module, twin: nn.Module, header: GeneratorHeader, minutes: float) -> nn.Module:
    """Train the twin for some minutes; return it with averaged weights."""
    looks = anime.load()[0].eval().requires_grad_(False)
    adam = torch.optim.Adam(twin.parameters(), RATE, (0.9, 0.99))
    ema = Ema(twin, EmaConfig(half_life_kimg=4))
    begun = time.monotonic()
    for step, inputs in enumerate(requests(header), start=1):
        spent = (time.monotonic() - begun) / (60 * minutes)
        if spent >= 1:
            return ema.module
        adam.param_groups[0]["lr"] = RATE * min(1.0, 1.5 * (1 - spent))
        with torch.no_grad():
            wanted = model(*inputs)
            _, maps = looks.with_stages((wanted + 1) / 2)
        drawn = twin(*inputs)
        differences = [
            (ours - theirs).abs().mean() / theirs.abs().mean()
            for ours, theirs in zip(looks.with_stages((drawn + 1) / 2)[1], maps, strict=True)
        ]
        pixels = (drawn - wanted).abs().mean()
        adam.zero_grad()
        (PIXELS * pixels + torch.stack(differences).sum()).backward()  # type: ignore[no-untyped-call]
        adam.step()
        ema.update(twin, BATCH, step * BATCH)
        if step % 100 == 0:
            print(f"{step * BATCH:,} faces, {100 * spent:.0f} % of the time, pixels differ by {pixels:.4f}", flush=True)
    raise AssertionError  # batches have no end


def main() -> None:
    """Read the options, choose channels, imitate, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("source", type=Path, help="a pair whose generator has residual blocks, depth 1 and modulation")
    parser.add_argument("--width", type=int, required=True, help="channels at the full resolution")
    parser.add_argument("--max-width", type=int, required=True, help="channels at the lowest resolution")
    parser.add_argument("--minutes", type=float, default=14.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the new pair")
    options = parser.parse_args()
    if not (options.source / DISCRIMINATOR).is_file():
        parser.error(f"{options.source} has no {DISCRIMINATOR}; name a pair.")
    torch.manual_seed(options.seed)
    model, header = read(options.source / GENERATOR)
    config = replace(header.generator, width=options.width, max_width=options.max_width)
    header = replace(header, generator=config, recipe=header.recipe and replace(header.recipe, generator=config))
    twin = build_generator(config, header.latent, header.resolution, header.attributes)
    start = "base." if header.attributes else ""
    twin.load_state_dict(choose(dict(model.state_dict()), dict(twin.state_dict()), start))
    twin = imitate(model.eval(), twin.train(), header, options.minutes).eval()
    write_pair(options.source, options.out, twin, header)


if __name__ == "__main__":
    main()
