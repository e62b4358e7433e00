"""Conditional networks: wrappers that add attributes, such as hair colour, to any generator and discriminator.

Attributes are passed as codes: int64, N×A, one column per attribute. A code is the index of a value in the attribute's
vocabulary, or -1 for unknown. Known and unknown values may be mixed.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from nijigan.networks.blocks import Critique, add_spectral_norm, init_dcgan
from nijigan.networks.dcgan import DCGANDiscriminator
from nijigan.networks.r3 import R3Discriminator
from nijigan.networks.resnet import ResNetDiscriminator
from nijigan.networks.style import StyleGenerator
from nijigan.recipe.parts import ConditionConfig

Discriminator = DCGANDiscriminator | ResNetDiscriminator | R3Discriminator


class ConditionalGenerator(nn.Module):
    """Latents and codes to images: the embeddings of the attributes are summed and appended to the latent.

    In the generator `style` the sum is added to the styles instead. Appended to the latent, it would pass through the
    mapping network, which learns a hundred times more slowly than the other layers; and with style mixing, an image
    would get the values requested for another one.

    "Unknown" has its own embedding, learnt from faces without that label. It represents "any value".

    Args:
        base: a generator whose latents include `embedding` more numbers, or `style` with styles of that size.
        attributes: attribute → values, in the order of their codes.
        embedding: length of the embedding. Its numbers initially have mean 0 and variance 1, like those of a latent.
    """

    def __init__(self, base: nn.Module, attributes: Mapping[str, Sequence[str]], embedding: int) -> None:
        super().__init__()
        self.base = base
        self.embeddings = nn.ModuleList(nn.Embedding(1 + len(values), embedding) for values in attributes.values())
        for table in self.embeddings:
            nn.init.normal_(table.weight, std=1 / sqrt(len(attributes)))  # type: ignore[arg-type]

    def forward(self, latents: Tensor, codes: Tensor, psi: float | None = None) -> Tensor:
        """Generate images.

        Args:
            latents: N×latent_size.
            codes: N×A.
            psi: truncation, for the generator `style` only.

        Returns:
            N×3×H×W in [-1, 1], or [0, 1] with a sigmoid output.

        Raises:
            TypeError: `psi` is given, but the generator is not `style`.
        """
        rows = (codes + 1).unbind(1)  # the first row of a table is for unknown values
        embedding = torch.stack([table(row) for table, row in zip(self.embeddings, rows, strict=True)]).sum(0)
        images: Tensor
        if isinstance(self.base, StyleGenerator):
            images = self.base(latents, 1.0 if psi is None else psi, embedding)
        elif psi is None:
            images = self.base(torch.cat([latents, embedding], dim=1))
        else:
            raise TypeError("only the generator style supports truncation by ψ")
        return images

    def estimate_mean_style(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Recompute the mean style from `batches` of (latents, codes). Generators other than `style` have none."""
        if isinstance(self.base, StyleGenerator):
            self.base.estimate_mean_style((latents,) for latents, _ in batches)


class ConditionalDiscriminator(nn.Module):
    """Images and codes to a `Critique`, computed from the features of an unconditional discriminator.

    For each attribute, `heads` has a linear layer with a vector V_v for each value v; in `reacgan`, `maps` also has a
    linear map P. With the features h(x), N×C, the kinds are:

    projection: ⟨V_code, h(x)⟩ is added to the logit for each known code. Miyato and Koyama, "cGANs with Projection
        Discriminator", ICLR 2018, equation 3.
    acgan: class_logits are ⟨V_v, h(x)⟩ plus a bias; codes are not used. Odena, Olah and Shlens, "Conditional Image
        Synthesis with Auxiliary Classifier GANs", ICML 2017, section 3.
    reacgan: embeddings are P·h(x)/‖P·h(x)‖, and class_logits are their cosines with the class proxies V_v; codes are
        not used. Kang et al., "Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training", NeurIPS 2021,
        section 3.

    As in Miyato and Koyama, features are sums over positions. The V are initialised as small as the weights of a DCGAN.
    Adam moves all weights at the same speed, and the logit is a sum over positions too, so class scores and logit learn
    at the same speed. With a mean over 4×4 positions the class scores would learn 16 times more slowly, and D would
    tell real from fake long before it could tell blue hair from red.

    Args:
        base: the discriminator whose features are used.
        attributes: attribute → values, in the order of their codes.
        condition: the kind, other than `none`, and its settings.
        spectral: apply spectral norm to the added layers too, as the authors do in a D that has it.
    """

    def __init__(
        self,
        base: Discriminator,
        attributes: Mapping[str, Sequence[str]],
        condition: ConditionConfig,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.base = base
        self.kind = condition.kind
        inner = base.feature_size
        self.maps = nn.ModuleList()
        if self.kind == "reacgan":
            # No bias and no spectral norm: the scale of a map cancels out.
            self.maps.extend(nn.Linear(inner, condition.d_embedding, bias=False) for _ in attributes)
            inner = condition.d_embedding
        bias = self.kind == "acgan"  # it learns how common each value is
        self.heads = nn.ModuleList(nn.Linear(inner, len(values), bias=bias) for values in attributes.values())
        self.maps.apply(init_dcgan)
        self.heads.apply(init_dcgan)
        if spectral and self.kind != "reacgan":
            add_spectral_norm(self.heads)

    def forward(self, images: Tensor, codes: Tensor) -> Critique:
        """Images, N×3×H×W, and the N×A codes that were requested or are known, to a `Critique`."""
        critique: Critique = self.base(images)
        logits, features = critique.logits, critique.features
        match self.kind:
            case "projection":
                for head, code in zip(self.heads, codes.unbind(1), strict=True):
                    logits = logits + _known_scores(head(features), code)
                return Critique(logits, features)
            case "acgan":
                return Critique(logits, features, tuple(head(features) for head in self.heads))
            case "reacgan":
                embeddings = tuple(normalize(embed(features).float()) for embed in self.maps)
                proxies = [normalize(head.weight) for head in self.heads]  # type: ignore[arg-type]
                # A sum of products stays in fp32 under autocast; bf16 is too coarse for the margins.
                cosines = tuple((e[:, None] * p).sum(2) for e, p in zip(embeddings, proxies, strict=True))
                return Critique(logits, features, cosines, embeddings)
        raise ValueError(f"a discriminator of the kind {self.kind} takes no attributes")


def _known_scores(scores: Tensor, codes: Tensor) -> Tensor:
    """N×values scores and N codes → N scores, one per image; 0 with no gradient where the code is unknown."""
    own = scores.gather(1, codes.clamp(min=0)[:, None])[:, 0]
    return torch.where(codes >= 0, own, torch.zeros_like(own))
