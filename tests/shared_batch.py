"""Some rounds of training on images, latents and augmentation that do not depend on how many processes share a batch.

torchrun --nproc-per-node 2 tests/shared_batch.py RECIPE FOLDER
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from conftest import shrink
from nijigan.cli.common import leave
from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.parts import BurnInConfig, LatentConfig, OptimizerConfig
from nijigan.recipe.recipe import Recipe
from nijigan.training import rounds as training_rounds
from nijigan.training.hardware import launch
from nijigan.training.rounds import Rounds
from nijigan.training.state import TrainingState

PROCESSES, ROUNDS, BATCH = 2, 2, 8


def recipe_of(name: str) -> Recipe:
    """A narrow version of a named recipe, with plain gradient descent: Adam would enlarge tiny differences."""
    recipe, descent = shrink(RECIPES[name]), OptimizerConfig(kind="sgd", lr=0.01)
    return replace(
        recipe,
        augment=replace(recipe.augment, p=0.5),
        g_optimizer=descent,
        d_optimizer=descent,
        burn_in=BurnInConfig(),
        batch_size=BATCH,
    )


def fix_inputs(rank: int, processes: int) -> Callable[[int, int], tuple[np.ndarray, np.ndarray]]:
    """Draw latents and augmentation for the whole batch and use this process's share; return how to read images."""
    share = slice(rank * BATCH // processes, (rank + 1) * BATCH // processes)
    seeds = iter(range(10**6))
    augment = training_rounds.augment

    def latents(count: int, config: LatentConfig, device: torch.device) -> Tensor:
        return torch.randn(BATCH, config.size, generator=torch.Generator().manual_seed(next(seeds)))[share]

    def augmented(images: Tensor, *options: object) -> Tensor:
        whole = images.new_zeros(BATCH, *images.shape[1:])
        whole[share] = images
        torch.manual_seed(next(seeds))
        return augment(whole, *options)[share]

    def read(position: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        pixels = np.random.default_rng(position).integers(0, 256, (count, 16, 16, 3), np.uint8)
        return pixels[share], np.empty((len(pixels[share]), 0), np.int64)

    training_rounds.random_latents = latents
    training_rounds.augment = augmented
    return read


def run(name: str, processes: int) -> tuple[dict[str, Tensor], dict[str, Tensor], int]:
    """Train for some rounds: the gradients of every update, the weights at the end, and the rank of this process."""
    recipe = recipe_of(name)
    fabric = launch("cpu", processes)
    torch.manual_seed(0)
    state = TrainingState.start(recipe, fabric.device, {})
    rounds = Rounds(recipe, state, fabric, fix_inputs(fabric.global_rank, processes), face_count=1000)
    gradients: dict[str, Tensor] = {}

    def note(optimizer: Optimizer, *_: object) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                gradients[f"{len(gradients):05}"] = parameter.grad.clone()

    for optimizer in (state.d_optimizer, state.g_optimizer):
        optimizer.register_step_pre_hook(note)
    for _ in range(ROUNDS):
        rounds.run(1000)
    networks = {"g": state.generator, "d": state.discriminator}
    weights = {f"{key}.{name}": value for key, net in networks.items() for name, value in net.state_dict().items()}
    return gradients, weights, fabric.global_rank


def main() -> None:
    """Run one of the processes, and write what it computed."""
    name, folder = sys.argv[1:]
    gradients, weights, rank = run(name, PROCESSES)
    for kind, tensors in {"gradients": gradients, "weights": weights}.items():
        save_file({key: one.contiguous() for key, one in tensors.items()}, Path(folder) / f"{kind}-{rank}.safetensors")
    leave(PROCESSES)


if __name__ == "__main__":
    main()
