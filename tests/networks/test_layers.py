"""The layers of every recipe, against the networks' own weights and closed forms of what they cost."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from nijigan.networks.layers import Layer, list_layers
from nijigan.recipe.named_recipes import RECIPES
from nijigan.tensors.unallocated import unallocated
from nijigan.training.state import build_networks, layers_of

ATTRIBUTES = {"hair": ["red", "blue", "green"], "eyes": ["red", "blue"]}


def networks_of(name: str) -> list[tuple[nn.Module, list[Layer]]]:
    """Generator and discriminator of a recipe, each with its layers."""
    recipe = RECIPES[name]
    attributes = {} if recipe.condition.kind == "none" else ATTRIBUTES
    recipe = replace(recipe, attributes=tuple(attributes))
    with unallocated():
        networks = build_networks(recipe, attributes)
    return list(zip(networks, layers_of(recipe, attributes), strict=True))


@pytest.mark.parametrize("name", RECIPES)
def test_the_layers_of_every_recipe_have_all_its_weights(name: str) -> None:
    resolution = RECIPES[name].resolution
    networks = networks_of(name)
    for network, layers in networks:
        assert sum(layer.parameters for layer in layers) == sum(weight.numel() for weight in network.parameters())
        assert len({layer.name for layer in layers}) == len(layers)
        assert not any(layer.kind[0].isupper() for layer in layers if layer.kind != "ReLU")  # a class without a name
    assert networks[0][1][-1].output == (3, resolution, resolution)


def test_convolutions_cost_two_operations_for_each_weight_and_position() -> None:
    (_, drawing), (_, judging) = networks_of("dcgan")
    found = {layer.name: layer for layer in drawing}
    assert found["layers.0"].kind == "transposed conv 4×4"
    assert found["layers.0"].output == (512, 4, 4)
    assert found["layers.0"].operations == 2 * 100 * 512 * 4 * 4
    assert found["layers.3"].kind == "transposed conv 4×4, stride 2"
    assert found["layers.3"].operations == 2 * 512 * 256 * 16 * (4 * 4)  # each of 4×4 inputs meets the whole kernel
    first = judging[0]
    assert (first.kind, first.output, first.parameters) == ("conv 4×4, stride 2", (64, 32, 32), 3 * 64 * 16 + 64)
    assert first.operations == 2 * 3 * 64 * 16 * (32 * 32)


def test_what_no_layer_holds_is_listed_too() -> None:
    (_, drawing), (_, judging) = networks_of("reacgan")
    constants = [layer for layer in drawing if layer.kind == "constant"]
    assert [(layer.name, layer.output) for layer in constants] == [("base.constant", (256, 4, 4))]
    proxies = [layer for layer in judging if layer.kind == "vectors to compare with"]
    assert [(layer.name, layer.output) for layer in proxies] == [("heads.0", (3, 512)), ("heads.1", (2, 512))]
    assert any(layer.kind.endswith("spectral norm") for layer in networks_of("sngan-hinge-small")[1][1])


def test_listing_changes_no_output() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    x = torch.randn(1, 3)
    before = layer(x)
    rows = list_layers(layer, [x])
    assert [row.kind for row in rows] == ["linear", "ReLU"]
    assert rows[0].operations == 2 * 3 * 4
    assert torch.equal(layer(x), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in layer.modules())
