"""The average of the weights of generators that one training went through, chosen after it.

    python benchmarks/average.py results/niji/0478-narrow results/niji/0510 --out PAIR

The discriminator is that of the last. Averages over longer than a run's own half-life are as in Karras et al.,
"Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR 2024, section 3, with equal weights.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from nijigan.generator.file import read, write
from nijigan.generator.header import GeneratorHeader
from nijigan.tensors.tensorfile import unpack
from nijigan.training.transfer.pair import DISCRIMINATOR, GENERATOR, write_discriminator


@torch.no_grad()
def average(modules: list[nn.Module]) -> nn.Module:
    """The last module, with the mean of all weights and of the statistics of batch norm."""
    states = [module.state_dict() for module in modules]
    for name, value in states[-1].items():
        if value.is_floating_point():
            value.copy_(torch.stack([state[name] for state in states]).mean(0))
    return modules[-1]


def write_pair(source: Path, out: Path, generator: nn.Module, header: GeneratorHeader) -> None:
    """Write a generator as a pair, with the discriminator of `source`."""
    with safe_open(source / DISCRIMINATOR, framework="pt") as file:
        text, tensors = unpack(file)
    recipe = json.loads(text or "")["recipe"]
    out.mkdir(parents=True, exist_ok=True)
    write(out / GENERATOR, generator, header, half=True)
    write_discriminator(out, tensors, recipe | {"generator": asdict(header.generator)})


def main() -> None:
    """Read the options, average, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("pairs", type=Path, nargs="+", help="folders with a generator; the last is a pair")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new pair")
    options = parser.parse_args()
    modules, headers = zip(*(read(folder / GENERATOR) for folder in options.pairs), strict=True)
    write_pair(options.pairs[-1], options.out, average(list(modules)), headers[-1])


if __name__ == "__main__":
    main()
