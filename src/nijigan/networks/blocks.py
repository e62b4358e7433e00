"""What every network here shares."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Critique:
    """What a discriminator says of N images."""

    logits: Tensor
    """N unbounded scores; higher is more real."""


def init_dcgan(module: nn.Module) -> None:
    """Start as the DCGAN authors' released code does: weights N(0, 0.02), batch-norm scales N(1, 0.02), biases 0.

    Use with `Module.apply`. Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks", ICLR 2016, section 4.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
