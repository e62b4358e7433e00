"""The game of G against the projected discriminator: its two losses."""

from collections.abc import Callable

import torch
from torch import Tensor

from nijigan.losses.objectives import hinge_d_loss, wasserstein_g_loss
from nijigan.networks.projected import ProjectedDiscriminator


class ProjectedGame:
    """Hinge losses, summed over the heads: Sauer et al. 2021, section 4.

    What the frozen network sees of generated images is kept from D's update to G's, which saves a pass.

    Args:
        discriminator: its heads.
        low: value of black in the images, -1 or 0; white is 1.
        augment: applied to all images before they are looked at.
    """

    def __init__(self, discriminator: ProjectedDiscriminator, low: float, augment: Callable[[Tensor], Tensor]) -> None:
        self.discriminator, self.low, self.augment = discriminator, low, augment
        self._fake: Tensor | None = None
        self._seen: tuple[Tensor, ...] = ()

    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """The loss of the heads on N×3×H×W images; it has no gradient for `fake`."""
        self._fake, self._seen = fake, self._look(fake)
        with torch.no_grad():
            truth = self._look(real)
        on_real = self.discriminator(truth)
        on_fake = self.discriminator([seen.detach() for seen in self._seen])
        return torch.stack([hinge_d_loss(r, f) for r, f in zip(on_real, on_fake, strict=True)]).sum()

    def g_loss(self, fake: Tensor) -> Tensor:
        """G's loss on N×3×H×W images."""
        seen = self._seen if fake is self._fake else self._look(fake)
        self._fake, self._seen = None, ()
        return torch.stack([wasserstein_g_loss(logits) for logits in self.discriminator(seen)]).sum()

    def _look(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.discriminator.look((self.augment(images) - self.low) / (1 - self.low))
