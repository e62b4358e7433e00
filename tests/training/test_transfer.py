"""Runs that start from another run's networks: what they know on their first day, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nijigan.data.dataset import FaceDataset
from nijigan.errors import UserError
from nijigan.generator import Generator
from nijigan.latents import latents
from nijigan.parts import ConditionConfig, GeneratorConfig
from nijigan.recipe import Recipe
from nijigan.training import resume, train
from nijigan.training.rounds import Rounds
from nijigan.training.state import TrainingState
from nijigan.training.transfer import adopt

CPU = torch.device("cpu")
HAIR = {"hair": ("black", "blue", "red"), "eyes": ("green", "red")}
NETWORKS = {
    "dcgan": GeneratorConfig(width=4, max_width=8),
    "resnet": GeneratorConfig("resnet", width=4, max_width=8),
    "r3": GeneratorConfig("r3", width=8, max_width=8),
    "style": GeneratorConfig("style", width=4, max_width=8),
}


@pytest.fixture
def run(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> Path:
    return train(tiny, faces, tmp_path / "origin", device="cpu")


def conditional(recipe: Recipe) -> Recipe:
    return replace(recipe, attributes=("hair", "eyes"), condition=ConditionConfig("acgan"))


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_generator_with_attributes_draws_at_first_what_the_one_without_drew(
    kind: str, tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    recipe = replace(tiny, generator=NETWORKS[kind], kimg=0.1)
    run = train(recipe, faces, tmp_path / "origin", device="cpu")
    known = TrainingState.start(recipe, CPU, {})
    adopt(known, {}, run)
    torch.manual_seed(1)
    grown = TrainingState.start(conditional(recipe), CPU, HAIR)
    adopt(grown, HAIR, run)
    z = torch.from_numpy(latents(range(6), recipe.latent.size))
    codes = torch.tensor([[0, 0], [1, -1], [2, 1], [-1, -1], [0, 1], [2, 0]])
    with torch.no_grad():
        for old, new in ((known.generator, grown.generator), (known.ema.module, grown.ema.module)):
            old.eval(), new.eval()
            assert kind == "style" or torch.allclose(old(z), new(z, codes), atol=1e-6)
        images = torch.rand(6, 3, 16, 16) * 2 - 1
        old, new = known.discriminator.eval(), grown.discriminator.eval()
        assert torch.allclose(old(images).logits, new(images, codes).logits, atol=1e-6)


def test_what_was_learnt_is_taken_over_and_the_clock_is_not(run: Path, tiny: Recipe) -> None:
    state, fresh = TrainingState.start(tiny, CPU, {}), TrainingState.start(tiny, CPU, {})
    adopt(state, {}, run)
    again = TrainingState.start(tiny, CPU, {})
    adopt(again, {}, run)
    for name, value in weights(state.discriminator).items():
        assert torch.equal(value, again.discriminator.state_dict()[name])
    assert any(not torch.equal(v, fresh.generator.state_dict()[n]) for n, v in weights(state.generator).items())
    assert (state.images, state.search.images) == (0, 0)
    assert all(not moment.any() for s in state.g_optimizer.state.values() for moment in s.values())


def test_parts_that_know_attributes_are_taken_over_where_those_are_the_same(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    recipe = conditional(tiny)
    run = train(recipe, faces, tmp_path / "origin", device="cpu")
    same = {name: tuple(faces.attributes[name]) for name in ("hair", "eyes")}
    others = same | {"hair": same["hair"][::-1]}
    for attributes, kept in ((same, True), (others, False)):
        torch.manual_seed(5)
        state = TrainingState.start(recipe, CPU, attributes)
        before = {**weights(state.generator), **weights(state.discriminator)}
        adopt(state, attributes, run)
        after = {**weights(state.generator), **weights(state.discriminator)}
        for name in ("embeddings.0.weight", "heads.1.weight"):
            assert torch.equal(before[name], after[name]) is not kept


def test_a_run_that_starts_from_another_resumes_exactly(
    run: Path, tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = train(conditional(tiny), faces, tmp_path / "straight", start_from=run, device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "play", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):  # before anything is saved
            train(conditional(tiny), faces, tmp_path / "parts", start_from=run, device="cpu")
    assert not (tmp_path / "parts" / "checkpoints").exists()
    parts = resume(tmp_path / "parts", device="cpu")
    assert (straight / "last.safetensors").read_bytes() == (parts / "last.safetensors").read_bytes()
    assert Generator.load(parts).header.origin == Generator.load(run).weights_hash
    assert Generator.load(run).header.origin == ""


def test_other_networks_are_refused_and_leave_no_folder(
    run: Path, tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    wider = replace(tiny, generator=replace(tiny.generator, width=2 * tiny.generator.width))
    deeper = replace(tiny, discriminator=replace(tiny.discriminator, depth=2))
    for recipe in (wider, deeper, replace(tiny, resolution=32)):
        with pytest.raises(UserError, match="are others than this recipe's"):
            train(recipe, faces, tmp_path / "new", start_from=run, device="cpu")
    with pytest.raises(UserError, match="no run to start from in .*nowhere"):
        train(tiny, faces, tmp_path / "new", start_from=tmp_path / "nowhere", device="cpu")
    assert not (tmp_path / "new" / "recipe.json").exists()
    train(tiny, faces, tmp_path / "new", start_from=run, device="cpu")


def test_the_callers_random_numbers_are_left_alone(run: Path, tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    train(tiny, faces, tmp_path / "new", start_from=run, device="cpu")
    assert torch.equal(before, torch.random.get_rng_state())
