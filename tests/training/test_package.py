"""Trainings that start from the pair in the package."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nijigan.assets import PACKAGED, PACKAGED_DISCRIMINATOR
from nijigan.dataset.faces import FaceDataset
from nijigan.generator.generator import Generator
from nijigan.recipe.named_recipes import RECIPES
from nijigan.training import train
from nijigan.training.state import TrainingState
from nijigan.training.transfer.pair import PACKAGE, open_networks, write_pair
from nijigan.training.transfer.start import load_networks

CPU = torch.device("cpu")
NIJI = replace(RECIPES["niji"], derived=())


def test_the_pair_is_the_packaged_generator_with_its_discriminator() -> None:
    networks = open_networks(PACKAGE)
    assert networks.origin == Generator.load().weights_hash
    assert networks.recipe.name == "niji"
    assert PACKAGED.stat().st_size <= 8_000_000
    assert PACKAGED_DISCRIMINATOR.stat().st_size <= 8_000_000


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"hair": ("red", "blue"), "hat": ("yes", "no")},
        {name: tuple(values) for name, values in Generator.load().header.attributes.items()},
    ],
    ids=["no labels", "other labels", "its labels"],
)
def test_the_shipped_recipe_starts_from_it(attributes: dict[str, tuple[str, ...]]) -> None:
    """Whatever labels the faces have: D's part that tells real from fake is that of the package, G draws its faces."""
    recipe = replace(NIJI, attributes=tuple(attributes))
    if not attributes:
        recipe = replace(recipe, condition=replace(recipe.condition, kind="none", weight=None))
    torch.manual_seed(0)
    state = TrainingState.start(recipe, CPU, attributes)
    load_networks(state, recipe, attributes, PACKAGE)
    theirs = open_networks(PACKAGE)
    kernels = {n.removeprefix("base."): t for n, t in theirs.weights["discriminator"].items() if n.startswith("base.")}
    ours = {name.removeprefix("base."): value for name, value in state.discriminator.state_dict().items()}
    assert kernels
    for name, kernel in kernels.items():
        assert torch.equal(ours[name], kernel), name

    # With every label unknown, all of them draw what the package draws for faces without labels.
    packaged = Generator.load(PACKAGED).module.eval()
    latents, unknown = torch.randn(4, recipe.latent.size), torch.full((4, len(theirs.attributes)), -1)
    inputs = (latents, torch.full((4, len(attributes)), -1)) if attributes else (latents,)
    with torch.no_grad():
        expected, drawn = packaged(latents, unknown), state.ema.module.eval()(*inputs)
    if set(attributes) != {"hair", "hat"}:  # an attribute that it does not know starts from scratch
        assert float((drawn - expected).abs().max()) < 2e-2  # batch norm's statistics are measured anew later
    else:
        assert drawn.shape == expected.shape


def test_a_folder_of_that_name_comes_first(
    tiny, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    monkeypatch.chdir(tmp_path)
    write_pair(run, tmp_path / "package")
    assert open_networks(PACKAGE).origin == Generator.load(tmp_path / "package" / "generator.safetensors").weights_hash
