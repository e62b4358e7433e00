"""The averaged generator of a running training, as a user will get it."""

import torch

from nijigan.generator.attributes import choose
from nijigan.generator.generator import Generator, GeneratorHeader, TrainingSet
from nijigan.generator.latents import latents
from nijigan.tensors.numerics import full_precision
from nijigan.training.ema import recalibrate
from nijigan.training.session import Session

_CALIBRATION = 1024  # latents that re-estimate batch norm's statistics
_CALIBRATION_SEED = 2**40  # the first one's seed, far from those of sample grids and reports


def averaged_generator(session: Session) -> Generator:
    """The averaged generator with its own statistics. The random state of the training does not change.

    The generator shares its tensors with the session's state: save it or use it before the next round.
    """
    recipe, dataset, labels, state = session.recipe, session.dataset, session.labels, session.state
    module = state.ema.module
    device = next(module.parameters()).device
    seeds = range(_CALIBRATION_SEED, _CALIBRATION_SEED + _CALIBRATION)
    inputs = [torch.from_numpy(latents(seeds, recipe.latent.size, recipe.latent.prior)).to(device)]
    if labels.attributes:
        inputs.append(torch.from_numpy(choose(labels.attributes, labels.priors, seeds, {})).to(device))
    with full_precision(device.type):
        recalibrate(module, list(zip(*(torch.split(values, 64) for values in inputs), strict=True)))
    header = GeneratorHeader(
        generator=recipe.generator, latent=recipe.latent, resolution=recipe.resolution, attributes=labels.attributes,
        priors=labels.priors, kimg=state.images / 1000, recipe=recipe, origin=state.origin,
        dataset=TrainingSet(dataset.path.name, dataset.fingerprint, dataset.count("train")),
    )  # fmt: skip
    return Generator(module, header)
