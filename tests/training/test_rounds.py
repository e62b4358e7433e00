"""One round of the game, against updates written out by hand."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from nijigan.errors import UserError
from nijigan.networks import Critique
from nijigan.recipe.parts import (
    AugmentConfig,
    BurnInConfig,
    ConditionConfig,
    OptimizerConfig,
    PenaltyConfig,
    TricksConfig,
)
from nijigan.recipe.recipe import Recipe
from nijigan.training.rounds import Rounds, micro_batch_size, mix_seeds, to_unit
from nijigan.training.state import TrainingState, build_optimizer

FABRIC = Fabric(accelerator="cpu", devices=1)
CPU = torch.device("cpu")


def reads(start: int, count: int) -> np.ndarray:
    return np.random.default_rng(start).integers(0, 256, (count, 16, 16, 3), np.uint8)


def unlabelled(start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    return reads(start, count), np.empty((count, 0), np.int64)


def start(recipe: Recipe) -> tuple[TrainingState, Rounds]:
    torch.manual_seed(0)
    state = TrainingState.start(recipe, CPU, {})
    return state, Rounds(recipe, state, FABRIC, unlabelled, face_count=1000)


ATTRIBUTES = {"hair": ("black", "blue", "red"), "eyes": ("green", "red")}


def labelled(start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Faces of which some are known in one attribute only, or in none."""
    return reads(start, count), np.random.default_rng(start).integers(-1, (3, 2), (count, 2))


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

    rounds.run(total=400)

    torch.manual_seed(mix_seeds(tiny.seed, 1, 0))
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
    rounds.run(400)
    first = rounds.averages()
    rounds.run(400)
    second = rounds.averages()
    _, both = start(tiny)
    both.run(400)
    both.run(400)
    together = both.averages()
    for key, value in together.items():
        both_calls = [part[key] for part in (first, second) if part[key] is not None]  # gradients: now and then
        assert value == pytest.approx(sum(both_calls) / len(both_calls), rel=1e-5)


def test_gradients_are_measured_however_many_updates_d_has(tiny: Recipe) -> None:
    _, rounds = start(replace(tiny, n_critic=2))
    for _ in range(20):
        rounds.run(1000)
    averages = rounds.averages()
    assert averages["g_gradient"] is not None
    assert averages["d_gradient"] is not None


def test_every_micro_batch_has_its_share_of_the_past(tiny: Recipe) -> None:
    _, rounds = start(replace(tiny, accumulate=4, tricks=TricksConfig(replay=0.5)))
    old, total = 0, 0
    mix = rounds._mixed_with_past

    def counted(fake: torch.Tensor, number: int) -> torch.Tensor:
        nonlocal old, total
        mixed = mix(fake, number)
        old, total = old + int((mixed != fake).flatten(1).any(1).sum()), total + len(fake)
        return mixed

    rounds._mixed_with_past = counted
    for _ in range(40):
        rounds.run(400)
    assert 0.4 < old / total < 0.6


@pytest.mark.parametrize("network", ["d", "g"])
def test_the_length_of_the_gradient_is_that_of_a_step_of_plain_descent(tiny: Recipe, network: str) -> None:
    descent = OptimizerConfig("sgd", lr=0.5, beta1=0.0)
    state, rounds = start(replace(tiny, g_optimizer=descent, d_optimizer=descent))
    module = state.discriminator if network == "d" else state.generator
    measured = []
    for number in range(20):
        before = weights(module)
        rounds.run(400)
        if (length := rounds.averages()[f"{network}_gradient"]) is not None:
            assert length == pytest.approx(float((weights(module) - before).norm()) / 0.5, rel=1e-3)
            measured.append(number)
    assert measured == [1, 17]


def test_critic_steps_show_that_many_batches(tiny: Recipe) -> None:
    state, rounds = start(replace(tiny, n_critic=3))
    rounds.run(400)
    assert state.images == 24
    assert state.d_optimizer.state_dict()["state"][0]["step"] == 3
    assert state.g_optimizer.state_dict()["state"][0]["step"] == 1


def test_generator_steps(tiny: Recipe) -> None:
    state, rounds = start(replace(tiny, g_steps=2))
    rounds.run(400)
    assert state.images == 8
    assert state.g_optimizer.state_dict()["state"][0]["step"] == 2


def test_whole_epochs_alternate(tiny: Recipe) -> None:
    """Anik et al. train D for some epochs, then G: while one learns, the other's weights stand still."""
    recipe = replace(tiny, alternate_epochs=1)
    state, rounds = start(recipe)
    g_before, d_before = weights(state.generator), weights(state.discriminator)
    rounds.run(4000)
    assert torch.equal(weights(state.generator), g_before)
    assert not torch.equal(weights(state.discriminator), d_before)
    assert rounds.averages()["g_loss"] is None
    state.images = 1000  # the second epoch of 1,000 faces
    d_before = weights(state.discriminator)
    rounds.run(4000)
    assert torch.equal(weights(state.discriminator), d_before)
    assert not torch.equal(weights(state.generator), g_before)
    averages = rounds.averages()
    assert averages["d_loss"] is None
    assert averages["g_loss"] is not None
    assert state.images == 1008


def test_accumulation_averages_the_gradients_of_the_parts(tiny: Recipe) -> None:
    """Seen in Adam's first moment, which after one step is (1 - β1) times the gradient."""
    recipe = replace(tiny, accumulate=2, d_optimizer=OptimizerConfig(lr=1e-9))
    state, rounds = start(recipe)
    discriminator, generator = deepcopy(state.discriminator), deepcopy(state.generator)
    rounds.run(400)
    moments = state.d_optimizer.state_dict()["state"][0]["exp_avg"]

    torch.manual_seed(mix_seeds(recipe.seed, 1, 0))
    real = to_unit(reads(0, 8), CPU, "tanh")
    for part in real.split(4):
        fake = generator(torch.randn(4, recipe.latent.size)).detach()
        loss = rounds.objective.d_loss(discriminator(part).logits, discriminator(fake).logits)
        (loss / 2).backward()
    gradient = next(discriminator.parameters()).grad
    assert torch.allclose(moments, 0.5 * gradient, atol=1e-7)


def test_the_schedule_reaches_the_optimizers(tiny: Recipe) -> None:
    state, rounds = start(replace(tiny, lr_schedule="linear"))
    state.images = 300
    rounds.run(400)
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
        rounds.run(400)
        results[precision] = rounds.averages()
    assert results["bf16"]["d_loss"] == pytest.approx(results["fp32"]["d_loss"], rel=0.05)
    assert results["bf16"] != results["fp32"]


def recorded(state: TrainingState) -> list[torch.Tensor]:
    """What D is shown from now on."""
    seen: list[torch.Tensor] = []
    state.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    return seen


def test_d_sees_augmented_images_of_both_kinds_and_g_learns_through_them(tiny: Recipe) -> None:
    state, rounds = start(replace(tiny, augment=AugmentConfig(p=1.0, colour=False, translation=False)))
    seen = recorded(state)
    rounds.run(400)
    assert len(seen) == 3  # real, generated, and generated for G
    for images in seen:
        blank = (images == 0).all(1).flatten(1).sum(1)  # mid-grey pixels of each image
        assert int(blank.min()) >= 8 * 8 / 4  # at least a quarter of the square lies within


def test_instance_noise_has_its_strength(tiny: Recipe) -> None:
    for output, strength in (("tanh", 0.5), ("sigmoid", 0.25)):  # half the range, half the noise
        recipe = replace(
            tiny, tricks=TricksConfig(instance_noise=0.5), generator=replace(tiny.generator, output=output)
        )
        state, rounds = start(recipe)
        seen = recorded(state)
        rounds.run(400)
        noise = seen[0] - to_unit(reads(0, 8), CPU, output)
        assert float(noise.std()) == pytest.approx(strength, rel=0.05)


def test_g_meets_real_images_only_in_a_paired_game(tiny: Recipe) -> None:
    calls = {}
    for objective in ("hinge", "relativistic"):
        state, rounds = start(replace(tiny, objective=objective))
        seen = recorded(state)
        rounds.run(400)
        calls[objective] = len(seen)
    assert calls == {"hinge": 3, "relativistic": 4}


def test_a_lazy_penalty_pulls_as_hard_on_average(tiny: Recipe) -> None:
    """Over eight D updates of no length on the same batch, R1 in two of them is four times as strong as in each."""
    eager = replace(
        tiny, discriminator=replace(tiny.discriminator, norm="none"), penalty=PenaltyConfig("r1", weight=3.0),
        d_optimizer=OptimizerConfig("sgd", 1e-12, beta1=0.0), g_optimizer=OptimizerConfig("sgd", 1e-12, beta1=0.0),
    )  # fmt: skip
    totals = {}
    for every in (1, 4):
        _, rounds = start(replace(eager, penalty=replace(eager.penalty, every=every)))
        rounds.read_batch = lambda _, count: unlabelled(0, count)
        due: list[float] = []
        penalty = rounds._penalty

        def noted(
            *images: torch.Tensor, penalty: Callable[..., torch.Tensor] = penalty, due: list[float] = due
        ) -> torch.Tensor:
            value = penalty(*images)
            due.append(float(torch.as_tensor(value).detach()))
            return value

        rounds._penalty = noted
        for _ in range(8):
            rounds.run(400)
        totals[every] = sum(due)
        assert sum(value > 0 for value in due) == 8 // every
    assert totals[4] == pytest.approx(totals[1], rel=1e-4)


def test_a_penalty_by_hand(tiny: Recipe) -> None:
    """The penalty noted is γ/2·mean‖∇D(x)‖², from gradients taken image by image."""
    recipe = replace(
        tiny, discriminator=replace(tiny.discriminator, norm="none"), penalty=PenaltyConfig("r1", weight=3.0)
    )
    state, rounds = start(recipe)
    discriminator = deepcopy(state.discriminator)
    rounds.run(400)
    squares = []
    for image in to_unit(reads(0, 8), CPU, "tanh"):
        image = image[None].requires_grad_()
        discriminator(image).logits.sum().backward()
        squares.append(float(image.grad.square().sum()))
    assert rounds.averages()["penalty"] == pytest.approx(3.0 / 2 * np.mean(squares), rel=1e-4)


def test_beta2_follows_its_ramp(tiny: Recipe) -> None:
    recipe = replace(
        tiny, burn_in=BurnInConfig(kimg=0.2, beta2=0.9), g_optimizer=OptimizerConfig(beta2=0.99),
    )  # fmt: skip
    state, rounds = start(recipe)
    state.images = 100
    rounds.run(400)
    assert state.g_optimizer.param_groups[0]["betas"] == pytest.approx((0.5, 0.945))
    assert state.d_optimizer.param_groups[0]["betas"] == pytest.approx((0.5, 0.9495))


def test_seeds_mix_well() -> None:
    seeds = {mix_seeds(seed, rank, images) for seed in range(4) for rank in range(4) for images in range(0, 640, 64)}
    assert len(seeds) == 160
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_clipped_critic_stays_within_its_bounds(tiny: Recipe) -> None:
    """Weights start at N(0, 0.02), so a bound of 0.01 cuts many at once; after every round all lie within."""
    recipe = replace(tiny, objective="wasserstein", n_critic=2, d_optimizer=OptimizerConfig(kind="rmsprop", lr=0.05))
    state, rounds = start(recipe)
    assert weights(state.discriminator).abs().max() > 0.01
    for _ in range(2):
        rounds.run(total=400)
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


@pytest.mark.parametrize("fakes", [True, False])
def test_a_round_with_attributes_by_hand(tiny: Recipe, fakes: bool) -> None:
    """Odena et al. 2017, equations 2 and 3, with the library's losses: fakes get the labels of the real images."""
    recipe = replace(tiny, condition=ConditionConfig("acgan", weight=0.5, fakes=fakes))
    torch.manual_seed(0)
    state = TrainingState.start(recipe, CPU, ATTRIBUTES)
    rounds = Rounds(recipe, state, FABRIC, labelled, face_count=1000)
    generator, discriminator = deepcopy(state.generator), deepcopy(state.discriminator)
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    g_adam = torch.optim.Adam(generator.parameters(), **adam)
    d_adam = torch.optim.Adam(discriminator.parameters(), **adam)

    rounds.run(total=400)

    def class_loss(logits: tuple[torch.Tensor, ...]) -> torch.Tensor:
        per_attribute = [cross_entropy(x, c, ignore_index=-1) for x, c in zip(logits, codes.unbind(1), strict=True)]
        return sum(per_attribute) / 2

    torch.manual_seed(mix_seeds(recipe.seed, 1, 0))
    pixels, labels = labelled(0, 8)
    real, codes = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1, torch.from_numpy(labels)
    ones, zeros = torch.ones(8), torch.zeros(8)
    fake = generator(torch.randn(8, recipe.latent.size), codes)
    on_real, on_fake = discriminator(real, codes), discriminator(fake.detach(), codes)
    d_loss = binary_cross_entropy_with_logits(on_real.logits, ones)
    d_loss += binary_cross_entropy_with_logits(on_fake.logits, zeros)
    d_class_loss = class_loss(on_real.class_logits) + (class_loss(on_fake.class_logits) if fakes else 0)
    d_adam.zero_grad()
    (d_loss + 0.5 * d_class_loss).backward()
    d_adam.step()
    on_fake = discriminator(fake, codes)
    g_class_loss = class_loss(on_fake.class_logits)
    g_adam.zero_grad()
    (binary_cross_entropy_with_logits(on_fake.logits, ones) + 0.5 * g_class_loss).backward()
    g_adam.step()

    assert torch.allclose(weights(state.generator), weights(generator), atol=1e-6)
    assert torch.allclose(weights(state.discriminator), weights(discriminator), atol=1e-6)
    averages = rounds.averages()
    assert averages["d_loss"] == pytest.approx(d_loss.item(), rel=1e-4)
    assert averages["d_class_loss"] == pytest.approx(d_class_loss.item(), rel=1e-4)
    assert averages["g_class_loss"] == pytest.approx(g_class_loss.item(), rel=1e-4)


@pytest.mark.parametrize("kind", ["projection", "acgan", "reacgan"])
@pytest.mark.parametrize("penalty", ["wgan-gp", "r1r2"])
def test_every_kind_of_condition_goes_with_penalties(tiny: Recipe, kind: str, penalty: str) -> None:
    recipe = replace(
        tiny, condition=ConditionConfig(kind), penalty=PenaltyConfig(penalty), objective="relativistic",
        discriminator=replace(tiny.discriminator, norm="none"), accumulate=2,
    )  # fmt: skip
    state = TrainingState.start(recipe, CPU, ATTRIBUTES)
    before = weights(state.generator), weights(state.discriminator)
    rounds = Rounds(recipe, state, FABRIC, labelled, face_count=1000)
    rounds.run(total=400)
    assert not torch.equal(weights(state.generator), before[0])
    assert not torch.equal(weights(state.discriminator), before[1])
    averages = rounds.averages()
    assert all(np.isfinite(value) for key, value in averages.items() if not key.endswith("_gradient"))


def test_faces_of_the_same_attributes_are_drawn_apart_in_one_round_of_four(tiny: Recipe) -> None:
    """With a weight of thousands, and with a distance that cannot be reached, G does nothing else."""
    recipe = replace(tiny, attributes=tuple(ATTRIBUTES), condition=ConditionConfig("projection", diversity=1e4))
    torch.manual_seed(0)
    state = TrainingState.start(recipe, CPU, ATTRIBUTES)
    rounds = Rounds(recipe, state, FABRIC, labelled, face_count=1000, real_distance=255)

    def apart() -> float:
        codes = torch.zeros(64, 2, dtype=torch.int64)
        with torch.no_grad():
            one, two = (state.generator(torch.randn(64, recipe.latent.size), codes) for _ in range(2))
        return float((one - two).abs().mean())

    before = apart()
    for _ in range(41):
        rounds.run(total=4000)
    assert apart() > 1.5 * before
    noted = rounds.averages()["diversity_loss"]
    assert noted is not None
    assert 0 < noted < 1
    for due in (False, False, False, True):
        rounds.run(total=4000)
        assert (rounds.averages()["diversity_loss"] is not None) is due


@pytest.mark.parametrize(
    ("recipe", "distance"),
    [
        ({"condition": ConditionConfig("acgan", diversity=0)}, 20.0),
        ({"condition": ConditionConfig("acgan")}, None),
        ({}, 20.0),
    ],
)
def test_nobody_is_driven_apart_unasked(tiny: Recipe, recipe: dict, distance: float | None) -> None:
    recipe = replace(tiny, **recipe, attributes=tuple(ATTRIBUTES) if recipe else ())
    state = TrainingState.start(recipe, CPU, ATTRIBUTES if recipe.attributes else {})
    rounds = Rounds(recipe, state, FABRIC, labelled if recipe.attributes else unlabelled, 1000, distance)
    rounds.run(total=400)
    assert "diversity_loss" not in rounds.averages()


def test_parts_of_a_batch_are_judged_by_what_they_were_asked_for(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(tiny, condition=ConditionConfig("acgan"), accumulate=4)
    rounds = Rounds(recipe, TrainingState.start(recipe, CPU, ATTRIBUTES), FABRIC, labelled, face_count=1000)
    generated: list[tuple[torch.Tensor, torch.Tensor]] = []
    draw, judge, right = rounds._generate, rounds._discriminate, []

    def drawing(codes: tuple[torch.Tensor, ...]) -> torch.Tensor:
        images = draw(codes)
        generated.append((images, codes[0]))
        return images

    def judging(images: torch.Tensor, codes: tuple[torch.Tensor, ...]) -> Critique:
        right.extend(
            torch.equal(requested, codes[0]) for fake, requested in generated if fake.data_ptr() == images.data_ptr()
        )
        return judge(images, codes)

    monkeypatch.setattr(rounds, "_generate", drawing)
    monkeypatch.setattr(rounds, "_discriminate", judging)
    rounds.run(total=400)
    assert len(right) >= 8  # four parts, in D's step and in G's
    assert all(right)


def test_d_sees_past_fakes_and_g_its_own(tiny: Recipe) -> None:
    state, rounds = start(replace(tiny, tricks=TricksConfig(replay=0.5)))
    assert state.past is not None
    seen: list[torch.Tensor] = []
    judge = rounds._discriminator_loss
    rounds._discriminator_loss = lambda batch, fake, penalised: (seen.append(fake), judge(batch, fake, penalised))[1]
    drawn: list[torch.Tensor] = []
    draw = rounds._generate
    rounds._generate = lambda codes: (drawn.append(draw(codes)), drawn[-1])[1]
    for _ in range(40):
        rounds.run(400)
    assert torch.equal(seen[0], drawn[0])  # there is no past yet
    old = [
        index for index in range(40) for image in seen[index] if not any(torch.equal(image, d) for d in drawn[index])
    ]
    assert 0.4 < len(old) / (39 * 8) < 0.6
    earlier = torch.cat(drawn).half()
    for index in set(old):  # every other image was drawn before, by the same place of another batch
        for image in seen[index]:
            assert (earlier[: 8 * (index + 1)] == image.half()).all(dim=(1, 2, 3)).any()
    assert all((earlier[-8 * 40 :] == image).all(dim=(1, 2, 3)).any() for image in state.past.flatten(0, 1))


def test_replay_is_refused_where_it_cannot_work(tiny: Recipe) -> None:
    replay = TricksConfig(replay=0.5)
    with pytest.raises(UserError, match="works on one device"):
        micro_batch_size(replace(tiny, tricks=replay), 2)
    with pytest.raises(UserError, match="set condition.kind to none"):
        replace(tiny, tricks=replay, condition=ConditionConfig("projection"))
    with pytest.raises(UserError, match="set alternate_epochs to 0"):
        replace(tiny, tricks=replay, alternate_epochs=1)
    with pytest.raises(UserError, match="choose 0"):
        TricksConfig(replay=1.0)
