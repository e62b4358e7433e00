"""Rounds with a projected discriminator, against updates written out by hand; and what is kept of it."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.recipe.parts import AugmentConfig, ProjectedConfig
from nijigan.recipe.recipe import Recipe
from nijigan.training import train
from nijigan.training.dry_run import plan
from nijigan.training.rounds import Rounds, mix_seeds
from nijigan.training.state import TrainingState
from nijigan.training.transfer import start as start_module
from nijigan.training.transfer.pair import open_networks, write_pair
from nijigan.training.transfer.start import load_networks

CPU = torch.device("cpu")


@pytest.fixture
def guided(tiny: Recipe) -> Recipe:
    return replace(tiny, projected=ProjectedConfig(0.5, 64), kimg=0.08, snapshot_kimg=0.04, tick_kimg=0.04)


def unlabelled(start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    faces = np.random.default_rng(start).integers(0, 256, (count, 16, 16, 3), np.uint8)
    return faces, np.empty((count, 0), np.int64)


def start(recipe: Recipe) -> tuple[TrainingState, Rounds]:
    torch.manual_seed(0)
    state = TrainingState.start(recipe, CPU, {})
    return state, Rounds(recipe, state, Fabric(accelerator="cpu", devices=1), unlabelled, face_count=1000)


def weights(module: torch.nn.Module | None) -> torch.Tensor:
    assert module is not None
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_gradients_of_one_pass_are_unscaled_alike(guided: Recipe) -> None:
    """The scale doubles after each update; heads and D are updated with the scale that their loss had."""
    plain = replace(guided, d_optimizer=replace(guided.d_optimizer, kind="sgd", lr=1e-3))
    moved = []
    for scaler in (torch.amp.GradScaler("cpu", enabled=False), torch.amp.GradScaler("cpu", 64.0, growth_interval=1)):
        state, rounds = start(plain)
        state.scaler = scaler
        before = weights(state.projected), weights(state.discriminator)
        rounds.run(total=8)
        moved.append((weights(state.projected) - before[0], weights(state.discriminator) - before[1]))
    for without, scaled in zip(*moved, strict=True):
        assert without.abs().max() > 0
        assert torch.allclose(without, scaled, rtol=1e-3, atol=1e-7)


def test_a_round_is_an_update_of_the_heads_and_one_of_g_against_both(guided: Recipe) -> None:
    state, rounds = start(guided)
    generator, discriminator, heads = (
        deepcopy(state.generator),
        deepcopy(state.discriminator),
        deepcopy(state.projected),
    )
    assert heads is not None
    g_adam, d_adam, p_adam = (
        torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (generator, discriminator, heads)
    )

    rounds.run(total=400)

    torch.manual_seed(mix_seeds(guided.seed, 1, 0))
    real = torch.from_numpy(unlabelled(0, 8)[0]).permute(0, 3, 1, 2) / 127.5 - 1
    fake = generator(torch.randn(8, guided.latent.size))
    on_real, on_fake = discriminator(real).logits, discriminator(fake.detach()).logits
    seen, truth = heads.look((fake + 1) / 2), heads.look((real + 1) / 2)  # each with a shift of its own
    pairs = zip(heads(truth), heads([m.detach() for m in seen]), strict=True)
    p_loss = torch.stack([(1 - r).relu().mean() + (1 + f).relu().mean() for r, f in pairs]).sum()
    (torch.nn.functional.softplus(-on_real).mean() + torch.nn.functional.softplus(on_fake).mean() + p_loss).backward()
    d_adam.step()
    p_adam.step()
    p_g_loss = -torch.stack([scores.mean() for scores in heads(seen)]).sum()
    g_adam.zero_grad()
    (torch.nn.functional.softplus(-discriminator(fake).logits).mean() + 0.5 * p_g_loss).backward()
    g_adam.step()

    assert torch.allclose(weights(state.projected), weights(heads), atol=1e-6)
    assert torch.allclose(weights(state.discriminator), weights(discriminator), atol=1e-6)
    assert torch.allclose(weights(state.generator), weights(generator), atol=1e-5)
    averages = rounds.averages()
    assert averages["d_projected_loss"] == pytest.approx(p_loss.item(), rel=1e-5)
    assert averages["g_projected_loss"] == pytest.approx(p_g_loss.item(), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{"accumulate": 2}, {"n_critic": 2}, {"g_steps": 2}, {"augment": AugmentConfig(1.0)}],
    ids=lambda changes: next(iter(changes)),
)
def test_every_kind_of_round_moves_all_networks(guided: Recipe, changes: dict[str, object]) -> None:
    state, rounds = start(replace(guided, **changes))  # type: ignore[arg-type]
    before = [weights(net) for net in (state.generator, state.discriminator, state.projected)]
    for _ in range(2):
        rounds.run(400)
    after = [weights(net) for net in (state.generator, state.discriminator, state.projected)]
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert state.finite()


def test_pairs_keep_the_heads_and_trainings_start_from_them(guided: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    run = train(guided, faces, tmp_path / "run", device="cpu")
    write_pair(run, tmp_path / "pair")
    theirs = open_networks(run).weights["projected"]
    ours = open_networks(tmp_path / "pair").weights["projected"]
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    state, _ = start(guided)
    load_networks(state, guided, {}, tmp_path / "pair")
    assert state.projected is not None
    assert all(torch.equal(v, ours[n]) for n, v in state.projected.state_dict().items() if n in ours)


@pytest.mark.parametrize("config", [ProjectedConfig(), ProjectedConfig(0.5, 96)], ids=["none", "another size"])
def test_other_heads_start_from_scratch(
    guided: Recipe, config: ProjectedConfig, faces: FaceDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(guided, faces, tmp_path / "run", device="cpu")
    other = replace(guided, projected=config)
    state, _ = start(other)
    new = None if state.projected is None else weights(state.projected)
    caplog.set_level("INFO", logger="nijigan")
    load_networks(state, other, {}, run)
    assert (state.projected is None) == (config.weight == 0)
    assert new is None or torch.equal(weights(state.projected), new)
    assert ("sees faces of another size" in caplog.text) == (config.weight > 0)
    plain = train(replace(guided, projected=ProjectedConfig()), faces, tmp_path / "plain", device="cpu")
    state, _ = start(guided)
    fresh = weights(state.projected)
    load_networks(state, guided, {}, plain)
    assert torch.equal(weights(state.projected), fresh)


def test_networks_that_do_not_fit_are_refused(
    guided: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(guided, faces, tmp_path / "run", device="cpu")
    networks = open_networks(run)
    del networks.weights["projected"]["heads.0.1.bias"]
    monkeypatch.setattr(start_module, "open_networks", lambda _: networks)
    state, _ = start(guided)
    with pytest.raises(UserError, match="do not fit at heads.0.1.bias"):
        load_networks(state, guided, {}, run)


def test_a_plan_counts_what_the_heads_cost(guided: Recipe, tiny: Recipe, faces: FaceDataset) -> None:
    with_heads, without = plan(guided, faces, "cpu"), plan(replace(guided, projected=tiny.projected), faces, "cpu")
    assert with_heads.gflop_per_image > without.gflop_per_image + 0.05
    assert with_heads.parameters == without.parameters  # of G and D, as `recipes --layers` lists them
    assert with_heads.gigabytes > without.gigabytes
