"""One round of training: the discriminator's updates, then the generator's."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from nijigan.aliases import Codes, Images
from nijigan.errors import UserError
from nijigan.losses.augment import augment, probability
from nijigan.losses.class_losses import build_class_loss, diversity_loss
from nijigan.losses.objectives import build_objective
from nijigan.losses.penalties import build_penalty, clip_weights
from nijigan.networks import Critique, learning_parameters
from nijigan.networks.priors import random_latents
from nijigan.recipe.parts import OptimizerConfig
from nijigan.recipe.recipe import Recipe
from nijigan.tensors.numerics import autocast_device, full_precision
from nijigan.training.projected_game import ProjectedGame
from nijigan.training.schedules import Schedule, schedule_at, turns
from nijigan.training.state import SLOTS, TrainingState

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # imports torchmetrics and matplotlib

DIVERSITY_EVERY = 4
"""The diversity loss is computed only in every Nth round, with N times the weight, to save passes of G."""

_GRADIENT_EVERY = 16
"""The lengths of the gradients are measured in the second of as many rounds, which no lazy penalty is in."""
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

ReadBatch = Callable[[int, int], tuple[Images, Codes]]
"""(position, count) → this process's share of `count` real faces from there on, uint8 n×H×W×3, and their codes, n×A."""


@dataclass(frozen=True)
class MicroBatch:
    """Real images that pass through a network at once, with their labels."""

    images: Tensor
    """N×3×H×W in the generator's range."""
    codes: tuple[Tensor, ...] = ()
    """The second input of both networks: one tensor, N×A int64, if there are attributes, otherwise empty."""


@dataclass(frozen=True)
class Updates:
    """The updates of one round. They depend only on the recipe and on the number of images seen so far."""

    schedule: Schedule
    penalties: tuple[bool, ...]
    """One entry for each update of the discriminator: whether the penalty is part of it."""
    g_updates: int
    diversity: bool
    """Whether the diversity loss is part of the generator's updates."""


class Rounds:
    """Runs rounds on a state and keeps the averages of what happened.

    Args:
        recipe: with its precision resolved.
        state: the networks and optimizers, which each round updates.
        fabric: says which process this is.
        read_batch: reads real faces.
        face_count: number of faces in the training split; one epoch.
        real_distance: mean difference, in grey levels, between real faces of the same attributes, for the diversity
            loss. None without attributes, and if all faces are equal.
    """

    def __init__(
        self,
        recipe: Recipe,
        state: TrainingState,
        fabric: "Fabric",
        read_batch: ReadBatch,
        face_count: int,
        real_distance: float | None = None,
    ) -> None:
        self.recipe, self.state, self.fabric = recipe, state, fabric
        self.read_batch, self.face_count = read_batch, face_count
        self._learning = learning_parameters(state.discriminator, recipe.discriminator.frozen)
        state.discriminator.requires_grad_(False)
        self._let_discriminator_learn()
        self._low = -1.0 if recipe.generator.output == "tanh" else 0.0  # black
        self.game = None if state.projected is None else ProjectedGame(state.projected, self._low, self._augmented)
        self.real_distance = real_distance if recipe.attributes and recipe.condition.diversity else None
        self.objective, self.penalty = build_objective(recipe), build_penalty(recipe.penalty)
        self.class_loss = build_class_loss(recipe.condition)
        self.augment = probability(recipe.augment, face_count)
        self.schedule = Schedule()
        self._measuring = False
        self.micro_batch_size = micro_batch_size(recipe, fabric.world_size)
        dtype = _DTYPES[recipe.precision]
        self._device_type = autocast_device(fabric.device)
        self.autocast = torch.autocast(self._device_type, dtype, enabled=dtype is not torch.float32)
        keys = ["d_loss", "g_loss", "real_score", "fake_score"] + ["penalty"] * (self.penalty is not None)
        keys += ["d_class_loss", "g_class_loss"] * (self.class_loss is not None)
        keys += ["diversity_loss"] * (self.real_distance is not None)
        keys += ["d_gradient", "g_gradient"] * (recipe.precision != "fp16")  # there, overflows are part of the method
        keys += ["d_projected_loss", "g_projected_loss"] * (self.game is not None)
        self._sums = {key: torch.zeros((), device=fabric.device) for key in keys}
        self._counts = dict.fromkeys(self._sums, 0)

    def next_updates(self, total: int) -> Updates:
        """The updates of the next round in a run of `total` images. The schedules span all of them."""
        recipe, images = self.recipe, self.state.images
        d_turn, g_turn = turns(recipe.alternate_epochs, images / self.face_count)
        updates = range(images // recipe.batch_size, images // recipe.batch_size + recipe.n_critic * d_turn)
        return Updates(
            schedule=schedule_at(recipe, images, total),
            penalties=tuple(self.penalty is not None and update % recipe.penalty.every == 0 for update in updates),
            g_updates=recipe.g_steps * g_turn,
            diversity=self.real_distance is not None
            and images // (recipe.batch_size * recipe.n_critic) % DIVERSITY_EVERY == 0,
        )

    def run(self, total: int) -> None:
        """Run the next round of a run of `total` images."""
        self.run_updates(self.next_updates(total))

    def run_updates(self, updates: Updates) -> None:
        """Run one round: the discriminator's updates, then the generator's, then the moving average."""
        recipe, state = self.recipe, self.state
        torch.manual_seed(mix_seeds(recipe.seed, self.fabric.global_rank + 1, state.images))
        self.schedule = updates.schedule
        number = state.images // (recipe.batch_size * recipe.n_critic)
        self._measuring = number % _GRADIENT_EVERY == 1
        state.generator.train()
        state.discriminator.train()
        if state.projected is not None:
            state.projected.train()

        # Discriminator. The generator's update reuses the last fakes, which saves a pass of G.
        batches: list[MicroBatch] = []
        fake: Tensor | None = None
        for update, penalised in enumerate(updates.penalties, start=1):
            batches = self._read_batches()
            fake = self._update_discriminator(
                batches, penalised, update == len(updates.penalties) and updates.g_updates > 0
            )
            state.images += recipe.batch_size

        # Generator. The gradients of D's weights are not needed here.
        for discriminator in (state.discriminator, state.projected):
            if discriminator is not None:
                discriminator.requires_grad_(False)
        for _ in range(updates.g_updates):
            self._update_generator(batches or self._read_batches(), fake, updates.diversity)
            fake = None
        self._let_discriminator_learn()

        # If only G trains, the images that it generates count as progress. The averaged weights follow G's updates.
        if not updates.penalties:
            state.images += recipe.batch_size
        if updates.g_updates:
            shown = recipe.batch_size * max(1, len(updates.penalties))
            state.ema.update(state.generator, shown, state.images, updates.schedule.ramp)

    def _let_discriminator_learn(self) -> None:
        for parameter in self._learning:
            parameter.requires_grad_(True)
        if self.state.projected is not None:
            self.state.projected.requires_grad_(True)

    def averages(self) -> dict[str, float | None]:
        """Means over all processes since the last call; None for losses that were not computed.

        G's loss, for example, is not computed while only D trains. The call waits for the device and for the other
        processes.
        """
        sums = self._mean_over_processes(torch.stack(list(self._sums.values()))).tolist()
        means = {
            key: total / count if (count := self._counts[key]) else None
            for key, total in zip(self._sums, sums, strict=True)
        }
        for value in self._sums.values():
            value.zero_()
        self._counts = dict.fromkeys(self._sums, 0)
        return means

    def _update_discriminator(self, batches: list[MicroBatch], penalised: bool, keep: bool) -> Tensor:
        """Update D once on all micro-batches; return the last one's fakes, with G's graph if `keep`."""
        for number, batch in enumerate(batches, start=1):
            with torch.set_grad_enabled(keep and number == len(batches)):
                fake = self._generate(batch.codes)
            loss = self._discriminator_loss(batch, self._mixed_with_past(fake.detach(), number - 1), penalised)
            if self.game is not None:
                with self.autocast:
                    projected = self.game.d_loss(batch.images, fake)
                self._note(d_projected_loss=projected)
                loss = loss + projected
            with full_precision(self._device_type) if penalised else nullcontext():
                self._backward(loss)
        self._step("d", self.state.d_optimizer, self.state.discriminator, self.recipe.d_optimizer)
        if self.state.projected is not None and self.state.p_optimizer is not None:
            self._step("p", self.state.p_optimizer, self.state.projected, self.recipe.d_optimizer)
        self.state.scaler.update()
        if self.recipe.clip is not None:
            clip_weights(self.state.discriminator, self.recipe.clip)
        return fake

    def _mixed_with_past(self, fake: Tensor, number: int) -> Tensor:
        """Some of the fakes replaced by those of earlier rounds, if the recipe says so; these join the past.

        Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial Training", CVPR 2017,
        section 2.3. A slot at random is replaced by the new ones, once all have been filled. `number` counts the
        micro-batches of an update from 0.
        """
        past, share = self.state.past, self.recipe.tricks.replay
        if past is None or not share:
            return fake
        count = self.state.images // self.recipe.batch_size * self.recipe.accumulate + number
        filled = min(count, SLOTS)
        slots = torch.randint(max(1, filled), (len(fake),), device=fake.device)
        old = past[slots, torch.arange(len(fake), device=fake.device)].to(fake.dtype)
        chosen = torch.rand(len(fake), device=fake.device) < (share if filled else 0.0)
        target = count if count < SLOTS else int(torch.randint(SLOTS, ()))
        past[target] = fake.half()
        return torch.where(chosen[:, None, None, None], old, fake)

    def _discriminator_loss(self, batch: MicroBatch, fake: Tensor, penalised: bool) -> Tensor:
        # Real and fake images pass separately: batch norm must see each kind's own statistics.
        on_real = self._discriminate(batch.images, batch.codes)
        on_fake = self._discriminate(fake, batch.codes)
        loss = self.objective.d_loss(on_real.logits, on_fake.logits)
        self._note(
            d_loss=loss,
            real_score=self.objective.score(on_real.logits).mean(),
            fake_score=self.objective.score(on_fake.logits).mean(),
        )
        if penalised:
            loss = loss + self._penalty(batch, fake)
        if self.class_loss is not None:
            class_loss = self.class_loss(on_real, *batch.codes)
            if self.recipe.condition.classifies_fakes:
                class_loss = class_loss + self.class_loss(on_fake, *batch.codes)
            self._note(d_class_loss=class_loss)
            loss = loss + self.recipe.condition.strength * class_loss
        return loss

    def _update_generator(self, batches: list[MicroBatch], fake: Tensor | None, diverse: bool) -> None:
        """Update G once on all micro-batches. The last one is first: `fake` has its fakes, if there are any."""
        for batch in (batches[-1], *batches[:-1]):
            fake = self._generate(batch.codes) if fake is None else fake
            self._backward(self._generator_loss(batch, fake, diverse))
            fake = None
        self._step("g", self.state.g_optimizer, self.state.generator, self.recipe.g_optimizer)
        self.state.scaler.update()

    def _generator_loss(self, batch: MicroBatch, fake: Tensor, diverse: bool) -> Tensor:
        on_fake = self._discriminate(fake, batch.codes)
        real_logits = self._discriminate(batch.images, batch.codes).logits if self.objective.paired else None
        loss = self.objective.g_loss(on_fake.logits, real_logits)
        self._note(g_loss=loss)
        if self.game is not None:
            with self.autocast:
                projected = self.game.g_loss(fake)
            self._note(g_projected_loss=projected)
            loss = loss + self.recipe.projected.weight * projected
        if self.class_loss is not None:
            class_loss = self.class_loss(on_fake, *batch.codes)
            self._note(g_class_loss=class_loss)
            loss = loss + self.recipe.condition.strength * class_loss
        if diverse:
            loss = loss + self._diversity_loss(fake, batch)
        return loss

    def _read_batches(self) -> list[MicroBatch]:
        """This process's share of the next batch, in micro-batches."""
        pixels, codes = self.read_batch(self.state.images, self.recipe.batch_size)
        images = torch.split(to_unit(pixels, self.fabric.device, self.recipe.generator.output), self.micro_batch_size)
        if not codes.shape[1]:
            return [MicroBatch(real) for real in images]
        labels = torch.split(torch.from_numpy(codes).to(self.fabric.device), self.micro_batch_size)
        return [MicroBatch(real, (known,)) for real, known in zip(images, labels, strict=True)]

    def _generate(self, codes: tuple[Tensor, ...]) -> Tensor:
        """Generate one micro-batch. Its attributes are those of its real images, so they follow the data's priors."""
        latent = random_latents(self.micro_batch_size, self.recipe.latent, self.fabric.device)
        with self.autocast:
            images: Tensor = self.state.generator(latent, *codes)
        return images

    def _discriminate(self, images: Tensor, codes: tuple[Tensor, ...]) -> Critique:
        """D's output for N×3×H×W images, augmented; logits in fp32."""
        with self.autocast:
            critique: Critique = self.state.discriminator(self._augmented(images), *codes)
        return replace(critique, logits=critique.logits.float())

    def _augmented(self, images: Tensor) -> Tensor:
        """The images as D sees them: augmented, and with instance noise if the schedule has any."""
        images = augment(images, self.augment * self.schedule.augment, self.recipe.augment, self._low)
        if self.schedule.noise:
            images = images + self.schedule.noise * (1 - self._low) / 2 * torch.randn_like(images)
        return images

    def _penalty(self, real: MicroBatch, fake: Tensor) -> Tensor:
        """The penalty on D, times `penalty.every`. Its gradients are with respect to images before augmentation."""
        assert self.penalty is not None  # `next_updates` includes none otherwise

        def critic(images: Tensor) -> Tensor:
            logits: Tensor = self.state.discriminator(self._augmented(images), *real.codes).logits
            return logits

        with full_precision(self._device_type):  # 16 bits are too few for second derivatives
            penalty = self.schedule.penalty * self.penalty(critic, real.images.float(), fake.float())
        self._note(penalty=penalty)
        return self.recipe.penalty.every * penalty

    def _diversity_loss(self, fake: Tensor, batch: MicroBatch) -> Tensor:
        """G's diversity loss, times `DIVERSITY_EVERY`."""
        assert self.real_distance is not None  # `next_updates` includes none otherwise
        levels = 127.5 if self.recipe.generator.output == "tanh" else 255.0  # per unit of the generator's range
        loss = diversity_loss(fake, self._generate(batch.codes), self.real_distance / levels)
        self._note(diversity_loss=loss)
        return DIVERSITY_EVERY * self.recipe.condition.diversity * loss

    def _backward(self, loss: Tensor) -> None:
        torch.autograd.backward(self.state.scaler.scale(loss / self.recipe.accumulate))

    def _step(self, network: str, optimizer: Optimizer, module: nn.Module, config: OptimizerConfig) -> None:
        """Update one network. The scaler is updated later: gradients of one backward pass have one scale."""
        for group in optimizer.param_groups:
            group["lr"] = config.lr * self.schedule.lr
            if "betas" in group:
                group["betas"] = (config.beta1, self.schedule.beta2(config, self.recipe.burn_in))
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        if self.fabric.world_size > 1:
            flat = self._mean_over_processes(torch.cat([g.flatten() for g in gradients]))
            for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
                gradient.copy_(mean.view_as(gradient))
        if self._measuring and f"{network}_gradient" in self._sums:
            self._note(**{f"{network}_gradient": get_total_norm(gradients)})
        self.state.scaler.step(optimizer)
        optimizer.zero_grad()

    def _mean_over_processes(self, values: Tensor) -> Tensor:
        if self.fabric.world_size == 1:
            return values
        mean = self.fabric.all_reduce(values, reduce_op="mean")
        assert isinstance(mean, Tensor)
        return mean

    def _note(self, **values: Tensor) -> None:
        for key, value in values.items():
            self._sums[key] += value.detach()
            self._counts[key] += 1


def micro_batch_size(recipe: Recipe, processes: int) -> int:
    """Images that pass through a network at once on each of `processes` processes.

    Raises:
        UserError: the batch cannot be divided evenly, or a setting works on one device only.
    """
    if recipe.tricks.replay and processes > 1:
        raise UserError("tricks.replay works on one device; remove it, or train with --devices 1.")
    size, left = divmod(recipe.batch_size, processes * recipe.accumulate)
    if left or size < 2:
        raise UserError(
            f"A batch of {recipe.batch_size} cannot be divided among {processes} processes times {recipe.accumulate} "
            "accumulation steps with two or more images each; choose a --batch-size that divides evenly."
        )
    return size


def to_unit(images: Images, device: torch.device, output: str) -> Tensor:
    """uint8 N×H×W×3 → float N×3×H×W in the generator's range; the memory stays channels-last."""
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
    return pixels / 127.5 - 1 if output == "tanh" else pixels / 255


def mix_seeds(*numbers: int) -> int:
    """A 63-bit seed from several non-negative integers: different tuples give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
