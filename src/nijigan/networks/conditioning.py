"""Networks that are told what a face is to have: its attributes, such as the colour of its hair.

What is asked for travels as codes: int64, N×A, a column for each attribute, a value's place in the attribute's
vocabulary, and -1 for unknown. Any mixture of known and unknown will do.
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
    """Latents and codes to images: the attributes' embeddings are summed and put beside the latent.

    The generator `style` has them added to its styles instead. Beside the latent they would go through its mapping
    network, which learns a hundred times as slowly as the rest, and where styles are mixed an image would have the
    colours that another one was asked for.

    An unknown value has an embedding of its own, learnt from the faces without that label: it stands for "any".

    Args:
        base: a generator of latents that are `embedding` longer, or `style` with styles of that size.
        attributes: every attribute's values, in the order of their codes.
        embedding: how many numbers the attributes become. They start with mean 0 and variance 1, as the latent's have.
    """

    def __init__(self, base: nn.Module, attributes: Mapping[str, Sequence[str]], embedding: int) -> None:
        super().__init__()
        self.base = base
        self.embeddings = nn.ModuleList(nn.Embedding(1 + len(values), embedding) for values in attributes.values())
        for table in self.embeddings:
            nn.init.normal_(table.weight, std=1 / sqrt(len(attributes)))  # type: ignore[arg-type]

    def forward(self, latents: Tensor, codes: Tensor, psi: float | None = None) -> Tensor:
        """Draw images.

        Args:
            latents: N×latent_size.
            codes: N×A.
            psi: truncation, of the generator `style` alone.

        Returns:
            N×3×H×W in [-1, 1], or [0, 1] with a sigmoid output.
        """
        rows = (codes + 1).unbind(1)  # a table's first row is for unknown values
        asked = torch.stack([table(row) for table, row in zip(self.embeddings, rows, strict=True)]).sum(0)
        images: Tensor
        if isinstance(self.base, StyleGenerator):
            images = self.base(latents, 1.0 if psi is None else psi, asked)
        elif psi is None:
            images = self.base(torch.cat([latents, asked], dim=1))
        else:
            raise TypeError("truncation by ψ is the generator style's alone")
        return images

    def estimate_mean_style(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Estimate anew the mean style of the generator `style`, over latents; others have none."""
        if isinstance(self.base, StyleGenerator):
            self.base.estimate_mean_style((latents,) for latents, _ in batches)


class ConditionalDiscriminator(nn.Module):
    """Images and codes to a critique that knows of attributes, made from the features of another discriminator.

    The kinds differ in where the attributes enter. A linear layer for each attribute, `heads`, gives every value v of
    it a vector V_v; with the features h(x), N×C, and in `reacgan` a linear map P of them for each attribute,

    projection: the logit gains ⟨V_code, h(x)⟩ for each known code. Miyato and Koyama, "cGANs with Projection
        Discriminator", ICLR 2018, equation 3.
    acgan: class_logits are ⟨V_v, h(x)⟩ and a bias; codes are not looked at. Odena, Olah and Shlens, "Conditional Image
        Synthesis with Auxiliary Classifier GANs", ICML 2017, section 3.
    reacgan: embeddings are P·h(x)/‖P·h(x)‖ and class_logits their cosines with the V_v, the classes' proxies; codes are
        not looked at. Kang et al., "Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training", NeurIPS 2021,
        section 3.

    The features are sums over places, as Miyato and Koyama's are, and the V start as small as the weights of a DCGAN.
    The logit, too, is a sum over places. So with Adam, which moves every weight at the same speed, a class's score and
    the logit move at the same speed; of a mean over 4×4 places the score would move 16 times as slowly, and D would
    know good faces from bad long before it knew blue hair from red.

    Args:
        base: the discriminator whose features are used.
        attributes: every attribute's values, in the order of their codes.
        condition: the kind, not `none`, and its settings.
        spectral: divide the added layers, too, by their largest singular values, as the authors do where D's are.
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
            # Without a bias: a map's scale, and so its spectral norm, cancels out.
            self.maps.extend(nn.Linear(inner, condition.d_embedding, bias=False) for _ in attributes)
            inner = condition.d_embedding
        bias = self.kind == "acgan"  # says how common each value is
        self.heads = nn.ModuleList(nn.Linear(inner, len(values), bias=bias) for values in attributes.values())
        self.maps.apply(init_dcgan)
        self.heads.apply(init_dcgan)
        if spectral and self.kind != "reacgan":
            add_spectral_norm(self.heads)

    def forward(self, images: Tensor, codes: Tensor) -> Critique:
        """Judge N×3×H×W images, of which N×A codes were asked for or are known."""
        critique: Critique = self.base(images)
        logits, features = critique.logits, critique.features
        match self.kind:
            case "projection":
                for head, code in zip(self.heads, codes.unbind(1), strict=True):
                    logits = logits + _of_known(head(features), code)
                return Critique(logits, features)
            case "acgan":
                return Critique(logits, features, tuple(head(features) for head in self.heads))
            case "reacgan":
                embeddings = tuple(normalize(embed(features).float()) for embed in self.maps)
                proxies = [normalize(head.weight) for head in self.heads]  # type: ignore[arg-type]
                # As a sum of products, which autocast leaves in fp32: the margins are finer than bf16.
                cosines = tuple((e[:, None] * p).sum(2) for e, p in zip(embeddings, proxies, strict=True))
                return Critique(logits, features, cosines, embeddings)
        raise ValueError(f"a discriminator of the kind {self.kind} has no use for attributes")


def _of_known(scores: Tensor, codes: Tensor) -> Tensor:
    """Each image's score for its code, N×values and N → N; 0, without a gradient, where the code is unknown."""
    own = scores.gather(1, codes.clamp(min=0)[:, None])[:, 0]
    return torch.where(codes >= 0, own, torch.zeros_like(own))
