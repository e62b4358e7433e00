"""Everything that changes during a run, and its conversion to named tensors and back."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from nijigan.errors import UserError
from nijigan.jsonio import parse_json
from nijigan.networks import build_discriminator, build_generator
from nijigan.networks.layers import Layer, list_layers
from nijigan.networks.projected import ProjectedDiscriminator
from nijigan.recipe.parts import OptimizerConfig
from nijigan.recipe.recipe import Recipe
from nijigan.tensors.unallocated import unallocated
from nijigan.training.best import BestSearch
from nijigan.training.ema import Ema
from nijigan.training.hardware import memory_format

log = logging.getLogger("nijigan")

Attributes = Mapping[str, Sequence[str]]
SLOTS = 16
"""Micro-batches of generated images that are kept for later rounds."""


@dataclass
class TrainingState:
    """The networks, their optimizers, the averaged generator and the position in the run."""

    generator: nn.Module
    discriminator: nn.Module
    ema: Ema
    g_optimizer: Optimizer
    d_optimizer: Optimizer
    scaler: torch.amp.GradScaler
    projected: ProjectedDiscriminator | None = None
    """The second discriminator, if the recipe has one."""
    p_optimizer: Optimizer | None = None
    """Its optimizer, with the settings of D's."""
    images: int = 0
    """Real images shown so far: the clock of the run."""
    seconds: float = 0.0
    """Seconds spent training so far, over all resumptions."""
    past: Tensor | None = None
    """Generated images of earlier rounds, SLOTS×n×3×H×W in fp16, if D trains on some; n is a micro-batch."""
    search: BestSearch = field(default_factory=BestSearch)
    """The results of the evaluations so far."""
    origin: str = ""
    """Hash of the generator that the run started from; empty if it started from scratch."""

    @classmethod
    def start(cls, recipe: Recipe, device: torch.device, attributes: Attributes) -> "TrainingState":
        """New networks for these attributes, initialised from torch's random state, and new optimizers."""
        generator, discriminator = build_networks(recipe, attributes)
        generator.to(device=device, memory_format=memory_format(device))  # type: ignore[call-overload]
        discriminator.to(device=device, memory_format=memory_format(device))  # type: ignore[call-overload]
        projected = ProjectedDiscriminator(recipe.projected.size) if recipe.projected.weight else None
        if projected is not None:
            projected.to(device=device, memory_format=memory_format(device))  # type: ignore[call-overload]
        size = (SLOTS, recipe.batch_size // recipe.accumulate, 3, recipe.resolution, recipe.resolution)
        return cls(
            generator=generator,
            discriminator=discriminator,
            ema=Ema(generator, recipe.ema),
            g_optimizer=build_optimizer(recipe.g_optimizer, generator),
            d_optimizer=build_optimizer(recipe.d_optimizer, discriminator),
            scaler=torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16"),
            projected=projected,
            p_optimizer=None if projected is None else build_optimizer(recipe.d_optimizer, projected),
            past=torch.zeros(size, dtype=torch.float16, device=device) if recipe.tricks.replay else None,
        )

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All tensors by name, contiguous and on the CPU, and all other values, for JSON."""
        tensors = {name: value.detach().to("cpu").contiguous() for name, value in self._named()}
        return tensors, {
            "images": self.images,
            "seconds": self.seconds,
            "search": asdict(self.search),
            "scaler": self.scaler.state_dict(),
            "origin": self.origin,
        }

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Load what `tensors` returned, in place: each tensor keeps its memory format and device.

        Raises:
            UserError: the names or shapes differ from those of this state's networks.
        """
        try:
            named = dict(self._named())
            if odd := {n for n in named.keys() | tensors.keys() if n not in named or n not in tensors}:
                raise KeyError(min(odd))
            for name, value in named.items():
                if tensors[name].shape != value.shape:
                    raise ValueError(f"{name} has a different shape")
                value.copy_(tensors[name])
            search = json.dumps(_search(numbers.get("search", {})))
            self.images, self.seconds = int(numbers["images"]), float(numbers["seconds"])
            self.search, self.origin = (
                parse_json(BestSearch, search, "The search for the best"),
                str(numbers.get("origin", "")),
            )
            self.scaler.load_state_dict(numbers["scaler"])
        except (KeyError, TypeError, ValueError, RuntimeError, UserError) as error:
            raise UserError(
                f"The checkpoint does not fit the recipe of this run: {error}. If recipe.json was edited, restore it."
            ) from error

    def finite(self) -> bool:
        """Whether all weights of the networks and of the averaged generator are finite numbers."""
        networks = [self.generator, self.discriminator, self.ema.module]
        networks += [] if self.projected is None else [self.projected]
        weights = [weight.detach() for network in networks for weight in network.parameters()]
        return bool(torch.stack([weight.isfinite().all() for weight in weights]).all())

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        modules = {"generator": self.generator, "discriminator": self.discriminator, "ema": self.ema.module}
        optimizers = {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}
        if self.projected is not None and self.p_optimizer is not None:
            modules["projected"], optimizers["p_optimizer"] = self.projected, self.p_optimizer
        for prefix, module in modules.items():
            for name, value in module.state_dict().items():
                yield f"{prefix}.{name}", value
        for prefix, optimizer in optimizers.items():
            for index, parameter in enumerate(_parameters(optimizer)):
                for key, value in sorted(optimizer.state[parameter].items()):
                    if isinstance(value, Tensor):  # sgd without momentum keeps a None
                        yield f"{prefix}.{index:03d}.{key}", value
        if self.past is not None:
            yield "past", self.past


def build_networks(recipe: Recipe, attributes: Attributes) -> tuple[nn.Module, nn.Module]:
    """A recipe's generator and discriminator for these attributes, initialised from torch's random state."""
    generator = build_generator(recipe.generator, recipe.latent, recipe.resolution, attributes)
    return generator, build_discriminator(recipe.discriminator, recipe.resolution, attributes, recipe.condition)


def layers_of(recipe: Recipe, attributes: Attributes) -> tuple[list[Layer], list[Layer]]:
    """The layers of a recipe's generator and discriminator, without the memory that the networks would take."""
    with unallocated():
        generator, discriminator = build_networks(recipe, attributes)
        codes = [torch.empty(1, len(attributes), dtype=torch.long)] if attributes else []
        latents, images = torch.empty(1, recipe.latent.size), torch.empty(1, 3, recipe.resolution, recipe.resolution)
    return list_layers(generator.eval(), [latents, *codes]), list_layers(discriminator.eval(), [images, *codes])


def build_optimizer(config: OptimizerConfig, module: nn.Module) -> Optimizer:
    """An optimizer over the parameters of `module`; its moments exist from the start, so that names never change."""
    optimizer = _at_rest(config, list(module.parameters()))
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # creates the moments; with a rate and gradients of 0 nothing moves
    optimizer.zero_grad()
    for moments in optimizer.state.values():
        if "step" in moments:
            moments["step"].zero_()
    for group in optimizer.param_groups:
        group["lr"] = config.lr
    return optimizer


def _at_rest(config: OptimizerConfig, parameters: list[nn.Parameter]) -> Optimizer:
    betas = (float(config.beta1), float(config.beta2))  # torch refuses a mixture with integers
    fused = parameters[0].device.type != "meta"  # the fast kernels need data
    match config.kind:
        case "adam":
            return Adam(parameters, lr=0.0, betas=betas, fused=fused)
        case "adamw":
            return AdamW(parameters, lr=0.0, betas=betas, fused=fused)
        case "rmsprop":
            return RMSprop(parameters, lr=0.0, alpha=config.beta2)
        case "sgd":
            return SGD(parameters, lr=0.0, momentum=config.beta1)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _search(numbers: dict[str, Any]) -> dict[str, Any]:
    """The search for the best as it is saved; a new one in place of one by KID, as in version 0.1."""
    kid = numbers.get("kid", "") if isinstance(numbers, dict) and "score" not in numbers else ""
    if not (kid is None or isinstance(kid, float)):  # a search of today, or damaged
        return numbers
    if kid is not None and not numbers.get("stopped"):
        log.warning(
            "Version 0.1 chose the best generator by KID. Now yield decides: the search begins anew, and the next "
            "evaluation replaces best.safetensors and the checkpoint of that generator."
        )
    return {"stopped": numbers.get("stopped", False)}
