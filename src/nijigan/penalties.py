"""What keeps a discriminator from growing too steep."""

import torch
from torch import nn


@torch.no_grad()
def clip_weights(module: nn.Module, bound: float) -> None:
    """Cut every parameter to [-bound, bound], after each update of the critic.

    Arjovsky, Chintala and Bottou, "Wasserstein GAN", ICML 2017, algorithm 1: "a clearly terrible way to enforce a
    Lipschitz constraint", in its authors' words, kept for what it teaches.
    """
    torch._foreach_clamp_min_([p.data for p in module.parameters()], -bound)
    torch._foreach_clamp_max_([p.data for p in module.parameters()], bound)
