"""One round of the game, against updates written out by hand."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch.nn.functional import binary_cross_entropy_with_logits

from nijigan.recipe import OptimizerConfig, Recipe
from nijigan.training.rounds import Rounds, mix, rate_factor, to_unit, turns
from nijigan.training.state import TrainingState, build_optimizer

FABRIC = Fabric(accelerator="cpu", devices=1)
CPU = torch.device("cpu")


def reads(start: int, count: int) -> np.ndarray:
    return np.random.default_rng(start).integers(0, 256, (count, 16, 16, 3), np.uint8)


def start(recipe: Recipe) -> tuple[TrainingState, Rounds]:
    torch.manual_seed(0)
    state = TrainingState.start(recipe, CPU, fp16=False)
    return state, Rounds(recipe, state, FABRIC, reads, faces=1000)


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_a_round_is_the_update_of_the_tutorials(tiny: Recipe) -> None:
    """The same round in the plain words of every DCGAN tutorial: library losses, labels of ones and zeros, Adam."""
    state, rounds = start(tiny)
    generator, discriminator = deepcopy(state.generator), deepcopy(state.discriminator)
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    g_adam, d_adam = (
        torch.optim.Adam(generator.parameters(), **adam),
        torch.optim.Adam(discriminator.parameters(), **adam),
    )

    rounds.play(total=400)

    torch.manual_seed(mix(tiny.seed, 1, 0))
    real = torch.from_numpy(reads(0, 8)).permute(0, 3, 1, 2) / 127.5 - 1
    ones, zeros = torch.ones(8), torch.zeros(8)
    fake = generator(torch.randn(8, tiny.latent.size))
    d_loss = binary_cross_entropy_with_logits(discriminator(real).logits, ones)
    d_loss += binary_cross_entropy_with_logits(discriminator(fake.detach()).logits, zeros)
    d_adam.zero_grad()
    d_loss.backward()
    d_adam.step()
    g_loss = binary_cross_entropy_with_logits(discriminator(fake).logits, ones)
    g_adam.zero_grad()
    g_loss.backward()
    g_adam.step()

    assert torch.allclose(weights(state.discriminator), weights(discriminator), atol=1e-6)
    assert torch.allclose(weights(state.generator), weights(generator), atol=1e-6)
    averages = rounds.averages()
    assert averages["d_loss"] == pytest.approx(d_loss.item(), rel=1e-5)
    assert averages["g_loss"] == pytest.approx(g_loss.item(), rel=1e-5)
    assert state.images == 8


def test_averages_are_means_since_the_last_call(tiny: Recipe) -> None:
    _, rounds = start(tiny)
    rounds.play(400)
    first = rounds.averages()
    rounds.play(400)
    second = rounds.averages()
    _, both = start(tiny)
    both.play(400)
    both.play(400)
    together = both.averages()
    for key, value in together.items():
        assert value == pytest.approx((first[key] + second[key]) / 2, rel=1e-5)


def test_critic_steps_show_that_many_batches(tiny: Recipe) -> None:
    state, rounds = start(replace(tiny, n_critic=3))
    rounds.play(400)
    assert state.images == 24
    assert state.d_optimizer.state_dict()["state"][0]["step"] == 3
    assert state.g_optimizer.state_dict()["state"][0]["step"] == 1


def test_generator_steps(tiny: Recipe) -> None:
    state, rounds = start(replace(tiny, g_steps=2))
    rounds.play(400)
    assert state.images == 8
    assert state.g_optimizer.state_dict()["state"][0]["step"] == 2


def test_whole_epochs_alternate(tiny: Recipe) -> None:
    """Anik et al. train D for some epochs, then G: while one learns, the other's weights stand still."""
    recipe = replace(tiny, alternate_epochs=1)
    state, rounds = start(recipe)
    g_before, d_before = weights(state.generator), weights(state.discriminator)
    rounds.play(4000)
    assert torch.equal(weights(state.generator), g_before)
    assert not torch.equal(weights(state.discriminator), d_before)
    assert rounds.averages()["g_loss"] is None
    state.images = 1000  # the second epoch of 1,000 faces
    d_before = weights(state.discriminator)
    rounds.play(4000)
    assert torch.equal(weights(state.discriminator), d_before)
    assert not torch.equal(weights(state.generator), g_before)
    averages = rounds.averages()
    assert averages["d_loss"] is None
    assert averages["g_loss"] is not None
    assert state.images == 1008


def test_turns() -> None:
    assert turns(0, 3.7) == (True, True)
    assert [turns(2, epoch) for epoch in (0, 1.9, 2, 3.9, 4)] == [
        (True, False), (True, False), (False, True), (False, True), (True, False),
    ]  # fmt: skip


def test_accumulation_averages_the_gradients_of_the_parts(tiny: Recipe) -> None:
    """Seen in Adam's first moment, which after one step is (1 - β1) times the gradient."""
    recipe = replace(tiny, accumulate=2, d_optimizer=OptimizerConfig(lr=1e-9))
    state, rounds = start(recipe)
    discriminator, generator = deepcopy(state.discriminator), deepcopy(state.generator)
    rounds.play(400)
    moments = state.d_optimizer.state_dict()["state"][0]["exp_avg"]

    torch.manual_seed(mix(recipe.seed, 1, 0))
    real = to_unit(reads(0, 8), CPU, "tanh")
    for part in real.split(4):
        fake = generator(torch.randn(4, recipe.latent.size)).detach()
        loss = rounds.objective.d_loss(discriminator(part).logits, discriminator(fake).logits)
        (loss / 2).backward()
    gradient = next(discriminator.parameters()).grad
    assert torch.allclose(moments, 0.5 * gradient, atol=1e-7)


def test_schedules() -> None:
    assert rate_factor("constant", 0.7) == 1
    assert rate_factor("linear", 0.25) == 0.75
    assert rate_factor("cosine", 0) == 1
    assert rate_factor("cosine", 0.5) == pytest.approx(0.5)
    assert rate_factor("cosine", 1) == pytest.approx(0, abs=1e-12)


def test_the_schedule_reaches_the_optimizers(tiny: Recipe) -> None:
    state, rounds = start(replace(tiny, lr_schedule="linear"))
    state.images = 300
    rounds.play(400)
    assert state.g_optimizer.param_groups[0]["lr"] == pytest.approx(2e-4 / 4)


@pytest.mark.parametrize(("output", "low"), [("tanh", -1.0), ("sigmoid", 0.0)])
def test_pixels_become_the_networks_range(output: str, low: float) -> None:
    pixels = np.array([0, 255, 51], np.uint8).reshape(1, 1, 1, 3)
    unit = to_unit(pixels, CPU, output)
    assert unit.shape == (1, 3, 1, 1)
    assert unit.flatten().tolist() == pytest.approx([low, 1.0, low + (1 - low) * 0.2])


def test_bf16_differs_from_fp32_by_rounding_alone(tiny: Recipe) -> None:
    results = {}
    for precision in ("fp32", "bf16"):
        _, rounds = start(replace(tiny, precision=precision))
        rounds.play(400)
        results[precision] = rounds.averages()
    assert results["bf16"]["d_loss"] == pytest.approx(results["fp32"]["d_loss"], rel=0.05)
    assert results["bf16"] != results["fp32"]


def test_seeds_mix_well() -> None:
    seeds = {mix(seed, rank, images) for seed in range(4) for rank in range(4) for images in range(0, 640, 64)}
    assert len(seeds) == 160
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_clipped_critic_stays_within_its_bounds(tiny: Recipe) -> None:
    """Weights start at N(0, 0.02), so a bound of 0.01 cuts many at once; after every round all lie within."""
    recipe = replace(tiny, objective="wasserstein", n_critic=2, d_optimizer=OptimizerConfig(kind="rmsprop", lr=0.05))
    state, rounds = start(recipe)
    assert weights(state.discriminator).abs().max() > 0.01
    for _ in range(2):
        rounds.play(total=400)
        assert weights(state.discriminator).abs().max() <= 0.01
    assert weights(state.generator).abs().max() > 0.01


@pytest.mark.parametrize("kind", ["adam", "adamw", "rmsprop", "sgd"])
def test_an_optimizer_built_at_rest_moves_as_a_new_one(kind: str, tiny: Recipe) -> None:
    """Making the moments before the first step must not change any step."""
    torch.manual_seed(0)
    ours = torch.nn.Linear(4, 3)
    theirs = deepcopy(ours)
    config = OptimizerConfig(kind=kind, lr=0.01, beta1=0.5, beta2=0.9)
    optimizer = build_optimizer(config, ours)
    plain = {
        "adam": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.5, 0.9)),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.5, 0.9)),
        "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.5),
    }[kind](theirs.parameters())
    for step in range(3):
        batch = torch.randn(5, 4, generator=torch.Generator().manual_seed(step))
        for module, stepper in ((ours, optimizer), (theirs, plain)):
            stepper.zero_grad()
            module(batch).square().sum().backward()
            stepper.step()
    assert torch.allclose(weights(ours), weights(theirs), atol=1e-7)
