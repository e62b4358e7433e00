"""A generator that is small, untrained and yet draws pictures with contrast, for tests to open, draw with and break."""

import torch
from torch import Tensor, nn

from nijigan.generator.attributes import choose
from nijigan.generator.generator import Generator, GeneratorHeader, TrainingSet
from nijigan.generator.latents import latents
from nijigan.networks import build_generator
from nijigan.recipe.parts import GeneratorConfig, LatentConfig
from nijigan.recipe.recipe import Recipe


def small_header(**changes) -> GeneratorHeader:
    recipe = Recipe(name="small", resolution=32, generator=GeneratorConfig(width=4), latent=LatentConfig(size=10))
    fields = {
        "generator": recipe.generator,
        "latent": recipe.latent,
        "resolution": recipe.resolution,
        "kimg": 1.5,
        "recipe": recipe,
        "dataset": TrainingSet("drawn", "ab" * 32, 100),
        "metrics": {"kid-lite0@128/val": 0.25},
        "licence": "MIT",
        "description": "Ünïcode 二次元",
    }
    return GeneratorHeader(**(fields | changes))


def small_generator(seed: int = 0, **changes) -> Generator:
    header = small_header(**changes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = build_generator(header.generator, header.latent, header.resolution, header.attributes)
        for layer in module.modules():
            if isinstance(layer, nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=0.2)
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1.0  # so that one batch sets the running statistics
    codes = choose(header.attributes, header.priors, range(64), {})
    inputs = [torch.from_numpy(latents(range(64), header.latent.size)), torch.from_numpy(codes)]
    module.train()(*inputs[: 1 + bool(header.attributes)])
    return Generator(module, header)


ATTRIBUTES = {
    "attributes": {"hair": ("black", "blue", "red"), "eyes": ("green", "red")},
    "priors": ((1, 0, 50), (0, 1, 30), (1, 1, 20)),
}
"""Changes to a header that give a generator attributes."""


class Gradient(nn.Module):
    """Fades from the colour of a latent's first three numbers on the left to that of the next three on the right."""

    def __init__(self, resolution: int) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.linspace(0, 1, resolution).expand(resolution, resolution))

    def forward(self, z: Tensor) -> Tensor:
        left, right = z[:, :3, None, None].tanh(), z[:, 3:6, None, None].tanh()
        return left + (right - left) * self.places


def smooth_generator() -> Generator:
    """Draws what lossy formats keep, at 32 px."""
    return Generator(Gradient(32), small_header())
