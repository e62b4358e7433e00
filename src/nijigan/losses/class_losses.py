"""Class losses: what makes a discriminator tell an attribute's values apart, and a generator draw the one asked for.

They take the `Critique` of N images and the N×A codes of what the images are, or were to be; -1 is unknown. They return
nats: the mean over the attributes of the mean over the images whose value is known, and 0 with a gradient of 0 where
there is none. D minimises them on real images and their labels, G on drawn images and what was asked for: both want
the images to be classified rightly, so this is no contest. What D learns from drawn images is `acgan`'s alone, and
optional: `ConditionConfig.classifies_fakes`. The weight, `ConditionConfig.strength`, is the caller's to apply.

Projection needs no class loss: its classes are in the logit.

All that conditional generators are asked for pulls their faces towards what is typical of a combination of values, and
a discriminator that sees a hundred combinations does not miss the variety within them: see `diversity_loss`.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from nijigan.networks import Critique
from nijigan.recipe.parts import ConditionConfig

ClassLoss = Callable[[Critique, Tensor], Tensor]
"""(critique of N images, N×A codes) → a loss in nats."""


def acgan_loss(critique: Critique, codes: Tensor) -> Tensor:
    """Cross-entropy of the class logits: -log P(c | x).

    Odena, Olah and Shlens, "Conditional Image Synthesis with Auxiliary Classifier GANs", ICML 2017, equation 3: D
    minimises it on real and on drawn images, G on drawn ones.
    """
    columns = zip(critique.class_logits, codes.unbind(1), strict=True)
    losses = [cross_entropy(logits.float(), code, ignore_index=-1, reduction="none") for logits, code in columns]
    return _mean_of_known(losses, codes)


def reacgan_loss(
    critique: Critique,
    codes: Tensor,
    temperature: float = 0.5,
    positive_margin: float = 0.98,
    negative_margin: float = 0.02,
) -> Tensor:
    """D2D-CE, the data-to-data cross-entropy, of unit embeddings and their cosines with the classes' proxies.

    Kang et al., "Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training", NeurIPS 2021, equation 6. With the
    embedding f of an image, the proxy v of its class, and the embeddings f_j of the batch's images of other classes,

        -log( e^(p/τ) / (e^(p/τ) + Σ_j e^(n_j/τ)) ),  p = min(0, f·v - m_p),  n_j = max(0, f·f_j - m_n).

    An image is drawn to its proxy and pushed away from other classes, from the most similar images most; beyond the
    margins m_p and m_n it is left in peace, and the loss of a batch so sorted is log(1 + the number of j). D minimises
    it on real images, G on drawn ones; the batch is what is passed at once, real or drawn.
    """
    columns = zip(critique.embeddings, critique.class_logits, codes.unbind(1), strict=True)
    losses = []
    for embeddings, cosines, code in columns:
        own = cosines.gather(1, code.clamp(min=0)[:, None])  # N×1
        attraction = (own - positive_margin).clamp(max=0) / temperature
        with torch.autocast(embeddings.device.type, enabled=False):
            similarities = embeddings @ embeddings.T  # N×N
        repulsion = (similarities - negative_margin).clamp(min=0) / temperature
        negatives = (code[:, None] != code) & (code >= 0)
        exponents = torch.cat([attraction, repulsion.masked_fill(~negatives, -torch.inf)], dim=1)  # N×(1+N)
        losses.append(exponents.logsumexp(1) - attraction[:, 0])
    return _mean_of_known(losses, codes)


def diversity_loss(drawn: Tensor, again: Tensor, distance: float) -> Tensor:
    """What drawn faces lack of the variety of real ones: max(0, 1 - d/τ), 0 from there on.

    Yang et al., "Diversity-Sensitive Conditional Generative Adversarial Networks", ICLR 2019, section 3, let G maximise
    min(d(G(z, c), G(z', c)) / |z - z'|, τ) for pairs of latents and one condition c. Here τ is that of the data, and d
    the mean over all N pairs, which may differ among themselves as real pairs do: nothing drives G beyond τ but for
    the scatter of that mean. And |z - z'|, much the same for all pairs of independent latents, is left out.

    Args:
        drawn: N×3×H×W.
        again: N×3×H×W, of the same attributes one by one, from other latents.
        distance: τ, the mean of |x - y| over the pixels of real faces of the same attributes, in the same range.
    """
    return (1 - (drawn.float() - again.float()).abs().mean() / distance).clamp(min=0)


def _mean_of_known(losses: list[Tensor], codes: Tensor) -> Tensor:
    """The mean over the attributes, N losses each, of the mean over the images whose value is known."""
    known = codes >= 0
    stacked = torch.stack(losses, dim=1)  # N×A
    sums = torch.where(known, stacked, torch.zeros_like(stacked)).sum(0)
    return (sums / known.sum(0).clamp(min=1)).mean()


def build_class_loss(condition: ConditionConfig) -> ClassLoss | None:
    """The class loss a recipe asks for; None if it has none."""
    reacgan = partial(
        reacgan_loss,
        temperature=condition.temperature,
        positive_margin=condition.positive_margin,
        negative_margin=condition.negative_margin,
    )
    losses: dict[str, ClassLoss] = {"acgan": acgan_loss, "reacgan": reacgan}
    return losses.get(condition.kind)
