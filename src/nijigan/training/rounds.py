"""One round of the game: the updates of the discriminator, then those of the generator."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from nijigan.aliases import Codes, Images
from nijigan.errors import UserError
from nijigan.losses.augment import augment, probability
from nijigan.losses.class_losses import build_class_loss, diversity_loss
from nijigan.losses.objectives import build_objective
from nijigan.losses.penalties import build_penalty, clip_weights
from nijigan.networks import Critique
from nijigan.networks.priors import random_latents
from nijigan.recipe.parts import OptimizerConfig
from nijigan.recipe.recipe import Recipe
from nijigan.training.schedules import Pace, pace, turns
from nijigan.training.state import TrainingState

DIVERSITY_EVERY = 4
"""Rounds from one diversity loss, four times as strong, to the next: each has G draw once more."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


Read = tuple[Images, Codes]


@dataclass(frozen=True)
class Batch:
    """Real images, and what they are."""

    images: Tensor
    """N×3×H×W in the generator's range."""
    codes: tuple[Tensor, ...] = ()
    """N×A int64 where there are attributes: what the networks take beside latents or images."""


class Rounds:
    """Plays rounds on a state and keeps the averages of what happened.

    Args:
        recipe: with its precision resolved.
        state: what is changed.
        fabric: says which process this is.
        read: (position, count) → this process's share of `count` real faces from there, uint8 n×H×W×3, and their
            codes, int64 n×A.
        faces: in the training split, which makes an epoch.
        distance: the mean difference, in grey levels, between real faces of the same attributes, for `diversity_loss`;
            None without attributes, and where all faces are equal.
    """

    def __init__(
        self,
        recipe: Recipe,
        state: TrainingState,
        fabric: Fabric,
        read: Callable[[int, int], Read],
        faces: int,
        distance: float | None = None,
    ) -> None:
        self.recipe, self.state, self.fabric, self.read, self.faces = recipe, state, fabric, read, faces
        self.distance = distance if recipe.attributes and recipe.condition.diversity else None
        self.objective, self.penalty = build_objective(recipe), build_penalty(recipe.penalty)
        self.class_loss = build_class_loss(recipe.condition)
        self.augment = probability(recipe.augment, faces)
        self.pace = Pace()
        self.part = part_size(recipe, fabric.world_size)
        dtype = _DTYPES[recipe.precision]
        self._autocast = torch.autocast(fabric.device.type, dtype, enabled=dtype is not torch.float32)
        keys = ["d_loss", "g_loss", "real_score", "fake_score"] + ["penalty"] * (self.penalty is not None)
        keys += ["d_class_loss", "g_class_loss"] * (self.class_loss is not None)
        keys += ["diversity_loss"] * (self.distance is not None)
        self._sums = {key: torch.zeros((), device=fabric.device) for key in keys}
        self._counts = dict.fromkeys(self._sums, 0)

    def play(self, total: int) -> None:
        """Play one round; `total` is the length of the run in images, which the schedules are stretched over."""
        recipe, state = self.recipe, self.state
        torch.manual_seed(mix_seeds(recipe.seed, self.fabric.global_rank + 1, state.images))
        self.pace = pace(recipe, state.images, total)
        number = state.images // (recipe.batch_size * recipe.n_critic)
        d_turn, g_turn = turns(recipe.alternate_epochs, state.images / self.faces)
        state.generator.train()
        state.discriminator.train()

        fake: Tensor | None = None
        batches: list[Batch] = []
        for left in reversed(range(recipe.n_critic if d_turn else 0)):
            batches = self._real()
            for batches_left, batch in zip(reversed(range(len(batches))), batches, strict=True):
                with torch.set_grad_enabled(g_turn and left == 0 and batches_left == 0):  # the ones that serve G too
                    fake = self._draw(batch.codes)
                # Real and drawn images pass apart: batch norm must see each kind's own statistics.
                real_critique = self._judge(batch.images, batch.codes)
                fake_critique = self._judge(fake.detach(), batch.codes)
                loss = self.objective.d_loss(real_critique.logits, fake_critique.logits)
                self._note(
                    d_loss=loss,
                    real_score=self.objective.score(real_critique.logits).mean(),
                    fake_score=self.objective.score(fake_critique.logits).mean(),
                )
                loss = loss + self._penalty(batch, fake.detach())
                if self.class_loss is not None:
                    class_loss = self.class_loss(real_critique, *batch.codes)
                    if recipe.condition.classifies_fakes:
                        class_loss = class_loss + self.class_loss(fake_critique, *batch.codes)
                    self._note(d_class_loss=class_loss)
                    loss = loss + recipe.condition.strength * class_loss
                self._backward(loss)
            self._step(state.d_optimizer, state.discriminator, recipe.d_optimizer)
            if recipe.clip is not None:
                clip_weights(state.discriminator, recipe.clip)
            state.images += recipe.batch_size

        state.discriminator.requires_grad_(False)  # its gradients would be thrown away
        for _ in range(recipe.g_steps if g_turn else 0):
            for batch in reversed(batches or self._real()):  # the last drawn images were asked for by the last part
                # The discriminator has moved since it judged them, so they serve once more.
                drawn = self._draw(batch.codes) if fake is None else fake
                critique = self._judge(drawn, batch.codes)
                real = self._judge(batch.images, batch.codes).logits if self.objective.paired else None
                loss = self.objective.g_loss(critique.logits, real)
                self._note(g_loss=loss)
                if self.class_loss is not None:
                    class_loss = self.class_loss(critique, *batch.codes)
                    self._note(g_class_loss=class_loss)
                    loss = loss + recipe.condition.strength * class_loss
                if self.distance is not None and number % DIVERSITY_EVERY == 0:
                    loss = loss + self._diversity_loss(drawn, batch, self.distance)
                self._backward(loss)
                fake = None
            self._step(state.g_optimizer, state.generator, recipe.g_optimizer)
        state.discriminator.requires_grad_(True)
        if not d_turn:
            state.images += recipe.batch_size  # the clock goes on while G trains alone
        if g_turn:
            shown = recipe.batch_size * (recipe.n_critic if d_turn else 1)
            state.ema.update(state.generator, shown, state.images, self.pace.risen)

    def averages(self) -> dict[str, float | None]:
        """Means over all processes since the last call; what did not happen (G's loss while D trains alone) is None."""
        sums = self._mean_over_processes(torch.stack(list(self._sums.values()))).tolist()
        means = {
            key: total / count if (count := self._counts[key]) else None
            for key, total in zip(self._sums, sums, strict=True)
        }
        for value in self._sums.values():
            value.zero_()
        self._counts = dict.fromkeys(self._sums, 0)
        return means

    def _real(self) -> list[Batch]:
        """This process's share of the next batch, in the parts that pass at once."""
        pixels, codes = self.read(self.state.images, self.recipe.batch_size)
        images = torch.split(to_unit(pixels, self.fabric.device, self.recipe.generator.output), self.part)
        if not codes.shape[1]:
            return [Batch(part) for part in images]
        parts = torch.split(torch.from_numpy(codes).to(self.fabric.device), self.part)
        return [Batch(part, (part_codes,)) for part, part_codes in zip(images, parts, strict=True)]

    def _draw(self, codes: tuple[Tensor, ...]) -> Tensor:
        """Draw as many images as there are in a part, of the same attributes as its real ones.

        The faces asked for are those that the data has: what is asked for follows the labels' joint distribution.
        """
        latent = random_latents(self.part, self.recipe.latent, self.fabric.device)
        with self._autocast:
            images: Tensor = self.state.generator(latent, *codes)
        return images

    def _judge(self, images: Tensor, codes: tuple[Tensor, ...]) -> Critique:
        """D's verdict, logits in fp32, on what it is shown of N×3×H×W images."""
        with self._autocast:
            critique: Critique = self.state.discriminator(self._show(images), *codes)
        return replace(critique, logits=critique.logits.float())

    def _show(self, images: Tensor) -> Tensor:
        """What D gets to see: augmented, and with instance noise while there is some."""
        low = -1.0 if self.recipe.generator.output == "tanh" else 0.0
        images = augment(images, self.augment * self.pace.risen, self.recipe.augment, low)
        if self.pace.noise:
            images = images + self.pace.noise * (1 - low) / 2 * torch.randn_like(images)
        return images

    def _penalty(self, real: Batch, fake: Tensor) -> Tensor | float:
        """The penalty on D where it is due, as many times as strong as it is rare; slopes are before augmentation."""
        every = self.recipe.penalty.every
        if self.penalty is None or (self.state.images // self.recipe.batch_size) % every:
            return 0.0

        def critic(images: Tensor) -> Tensor:
            logits: Tensor = self.state.discriminator(self._show(images), *real.codes).logits
            return logits

        with torch.autocast(self.fabric.device.type, enabled=False):  # second derivatives need fp32
            penalty = self.pace.penalty * self.penalty(critic, real.images.float(), fake.float())
        self._note(penalty=penalty)
        return every * penalty

    def _diversity_loss(self, drawn: Tensor, batch: Batch, distance: float) -> Tensor:
        """G's loss for drawing faces of the same attributes too much alike, as many times as strong as it is rare."""
        levels = 127.5 if self.recipe.generator.output == "tanh" else 255.0  # in a unit of the generator's range
        loss = diversity_loss(drawn, self._draw(batch.codes), distance / levels)
        self._note(diversity_loss=loss)
        return DIVERSITY_EVERY * self.recipe.condition.diversity * loss

    def _backward(self, loss: Tensor) -> None:
        torch.autograd.backward(self.state.scaler.scale(loss / self.recipe.accumulate))

    def _step(self, optimizer: Optimizer, module: nn.Module, config: OptimizerConfig) -> None:
        for group in optimizer.param_groups:
            group["lr"] = config.lr * self.pace.lr
            if "betas" in group:
                group["betas"] = (config.beta1, self.pace.beta2(config, self.recipe.burn_in))
        if self.fabric.world_size > 1:
            gradients = [p.grad for p in module.parameters() if p.grad is not None]
            flat = self._mean_over_processes(torch.cat([g.flatten() for g in gradients]))
            for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
                gradient.copy_(mean.view_as(gradient))
        self.state.scaler.step(optimizer)
        self.state.scaler.update()
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


def part_size(recipe: Recipe, processes: int) -> int:
    """Images that go through a network at once, on each of so many processes.

    Raises:
        UserError: the batch cannot be shared evenly.
    """
    part, left = divmod(recipe.batch_size, processes * recipe.accumulate)
    if left or part < 2:
        raise UserError(
            f"A batch of {recipe.batch_size} cannot be shared by {processes} processes times {recipe.accumulate} "
            "accumulation steps, two images or more each; choose a --batch-size that divides evenly."
        )
    return part


def to_unit(images: Images, device: torch.device, output: str) -> Tensor:
    """uint8 N×H×W×3 → float N×3×H×W in the generator's range; the memory stays channels-last."""
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
    return pixels / 127.5 - 1 if output == "tanh" else pixels / 255


def mix_seeds(*numbers: int) -> int:
    """A 63-bit seed from several non-negative integers: different tuples give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
