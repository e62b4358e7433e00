"""Networks without memory have the names and shapes of real ones, and cost neither random numbers nor imports."""

import pytest
import torch

from nijigan.networks import build_discriminator, build_generator
from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.recipe import Recipe
from nijigan.tensors.unallocated import unallocated

ATTRIBUTES = {"hair": ("black", "blue", "red"), "eyes": ("green", "red")}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_both_networks_of_every_recipe_have_the_shapes_of_real_ones(recipe: Recipe) -> None:
    attributes = ATTRIBUTES if recipe.condition.kind != "none" else {}

    def shapes() -> list[tuple[str, torch.Size, torch.dtype]]:
        generator = build_generator(recipe.generator, recipe.latent, recipe.resolution, attributes)
        discriminator = build_discriminator(recipe.discriminator, recipe.resolution, attributes, recipe.condition)
        named = {
            **generator.state_dict(),
            **{f"D.{name}": tensor for name, tensor in discriminator.state_dict().items()},
        }
        return [(name, tensor.shape, tensor.dtype) for name, tensor in named.items()]

    if recipe.name == "r3gan":
        with torch.device("meta"):  # 200 million weights
            real = shapes()
    else:
        real = shapes()
    state = torch.get_rng_state()
    with unallocated():
        empty = shapes()
        assert build_generator(recipe.generator, recipe.latent, recipe.resolution).state_dict()
    assert empty == real
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_is_allocated_in_the_block_and_all_is_as_before_after_it() -> None:
    with unallocated():
        tensors = [torch.randn(3), torch.zeros(2, 2), torch.ones(4) / 3, torch.empty(5).normal_(), torch.rand(1) * 2]
        layer = torch.nn.Linear(10**6, 10**6)  # 4 TB
    assert {tensor.device.type for tensor in [*tensors, *layer.parameters()]} == {"meta"}
    assert [tuple(tensor.shape) for tensor in tensors] == [(3,), (2, 2), (4,), (5,), (1,)]
    assert torch.ones(2).tolist() == [1, 1]
    assert (torch.ones(2) / 2).tolist() == [0.5, 0.5]
