"""Class losses: they train D to classify the values of attributes, and G to generate the requested value.

They take the `Critique` of N images and N×A codes: the labels of real images, or the values requested of generated
ones; -1 is unknown. They return nats: the mean over the attributes of the mean over the images whose value is known.
Where no value is known, both the loss and its gradient are 0.

D minimises a class loss on real images and G on generated ones. Both want correct classification, so they do not
compete here. Only `acgan` can also train D on generated images (`ConditionConfig.classifies_fakes`). The caller applies
the weight, `ConditionConfig.strength`. Projection needs no class loss, because its classes are part of the logit.

Conditioning pulls generated faces towards what is typical of a combination of values, and a discriminator that sees a
hundred combinations does not penalise the lack of variety within each of them; `diversity_loss` does.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from nijigan.networks import Critique
from nijigan.recipe.parts import ConditionConfig
from nijigan.tensors.numerics import autocast_device

ClassLoss = Callable[[Critique, Tensor], Tensor]
"""(critique of N images, N×A codes) → a loss in nats."""


def acgan_loss(critique: Critique, codes: Tensor) -> Tensor:
    """Cross-entropy of the class logits: -log P(c | x).

    Odena, Olah and Shlens, "Conditional Image Synthesis with Auxiliary Classifier GANs", ICML 2017, equation 3: D
    minimises it on real and on generated images, G on generated ones.
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
    """D2D-CE, the data-to-data cross-entropy, of unit embeddings and their cosines with class proxies.

    Kang et al., "Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training", NeurIPS 2021, equation 6. With the
    embedding f of an image, the proxy v of its class, and the embeddings f_j of the batch's images of other classes,

        -log( e^(p/τ) / (e^(p/τ) + Σ_j e^(n_j/τ)) ),  p = min(0, f·v - m_p),  n_j = max(0, f·f_j - m_n).

    An image is attracted by its proxy and repelled by images of other classes, most by the most similar ones. Beyond
    the margins m_p and m_n there is no force, and the loss of a perfectly sorted batch is log(1 + the number of j). D
    minimises the loss on real images, G on generated ones; a batch has only one of the two.
    """
    columns = zip(critique.embeddings, critique.class_logits, codes.unbind(1), strict=True)
    losses = []
    for embeddings, cosines, code in columns:
        own = cosines.gather(1, code.clamp(min=0)[:, None])  # N×1
        attraction = (own - positive_margin).clamp(max=0) / temperature
        with torch.autocast(autocast_device(embeddings.device), enabled=False):
            similarities = embeddings @ embeddings.T  # N×N
        repulsion = (similarities - negative_margin).clamp(min=0) / temperature
        negatives = (code[:, None] != code) & (code >= 0)
        exponents = torch.cat([attraction, repulsion.masked_fill(~negatives, -torch.inf)], dim=1)  # N×(1+N)
        losses.append(exponents.logsumexp(1) - attraction[:, 0])
    return _mean_of_known(losses, codes)


def diversity_loss(fake: Tensor, other: Tensor, distance: float) -> Tensor:
    """How much less generated faces vary than real ones: max(0, 1 - d/τ).

    Yang et al., "Diversity-Sensitive Conditional Generative Adversarial Networks", ICLR 2019, section 3, let G maximise
    min(d(G(z, c), G(z', c)) / |z - z'|, τ) for pairs of latents and one condition c. Here τ is measured on the data,
    and d is the mean over all N pairs, so that single pairs may be closer or farther apart, as real ones are, and G is
    not driven beyond τ (except by the scatter of that mean). |z - z'| is omitted: it is nearly equal for all pairs of
    independent latents.

    Args:
        fake: N×3×H×W.
        other: N×3×H×W, generated for the same attributes in the same order, from other latents.
        distance: τ, the mean of |x - y| over the pixels of pairs of real faces with equal attributes, in the same unit.
    """
    return (1 - (fake.float() - other.float()).abs().mean() / distance).clamp(min=0)


def _mean_of_known(losses: list[Tensor], codes: Tensor) -> Tensor:
    """The mean over the attributes, each with N losses, of the mean over the images whose value is known."""
    known = codes >= 0
    stacked = torch.stack(losses, dim=1)  # N×A
    sums = torch.where(known, stacked, torch.zeros_like(stacked)).sum(0)
    return (sums / known.sum(0).clamp(min=1)).mean()


def build_class_loss(condition: ConditionConfig) -> ClassLoss | None:
    """The class loss of a recipe; None if it has none."""
    reacgan = partial(
        reacgan_loss,
        temperature=condition.temperature,
        positive_margin=condition.positive_margin,
        negative_margin=condition.negative_margin,
    )
    losses: dict[str, ClassLoss] = {"acgan": acgan_loss, "reacgan": reacgan}
    return losses.get(condition.kind)
