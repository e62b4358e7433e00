"""Teaching a network to read attributes off faces: which value of each a labelled face shows."""

from collections.abc import Mapping
from math import cos, pi

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nijigan.aliases import Images, Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.judges import anime

Vocabularies = Mapping[str, tuple[str, ...]]
"""Attribute → its values, in the order of their codes."""

BATCH = 64
_WARM_UP = 50  # steps
_SHIFT = 4  # pixels
_BRIGHTNESS = 0.08
_SMOOTHING = 0.1


class ReaderNet(nn.Module):
    """The network of the `anime` features, and a linear layer for each attribute."""

    def __init__(self, attributes: Vocabularies) -> None:
        super().__init__()
        self.trunk = anime.AnimeNet()
        self.heads = nn.ModuleList(nn.Linear(self.trunk.size, len(values)) for values in attributes.values())

    def forward(self, faces: Tensor) -> list[Tensor]:
        """Float N×3×64×64 in [0, 1] → each attribute's logits, N×K."""
        embedding = self.trunk(faces)
        return [head(embedding) for head in self.heads]


def teach(
    dataset: FaceDataset,
    attributes: Vocabularies,
    steps: int,
    *,
    rate: float = 1e-3,
    seed: int = 0,
    progress: Progress | None = None,
) -> ReaderNet:
    """Teach a network to read the labelled faces of a training split, starting from the `anime` features.

    Every class counts alike, however rare: the loss is the cross entropy of logits raised by the logarithm of their
    class's share of the faces, and reading leaves that out (Menon et al., "Long-tail learning via logit adjustment",
    ICLR 2021, eq. 10). A tenth of each label is the shares of all classes: people's tags, those of eyes above all, are
    often wrong. Missing labels have no part in it. Views of a face differ by mirroring, shifts and brightness,
    which change no colour's name. Touches no random state: the linear layers start at 0.

    Args:
        dataset: the faces.
        attributes: some of its attributes, with its vocabularies.
        steps: updates, on 64 faces each; one thread takes about four in a second.
        rate: the greatest learning rate, of AdamW; it falls to 0 by half a cosine.
        seed: decides order and views.
        progress: called with (step, steps).

    Returns:
        The network, in fp32.

    Raises:
        UserError: no training face has a label.
    """
    labels = dataset.labels("train")
    codes = torch.from_numpy(np.stack([labels[name] for name in attributes], 1))  # N×A
    labelled = np.flatnonzero((codes >= 0).any(1))
    if len(labelled) == 0:
        raise UserError(f"{dataset.path} has no labelled face to learn reading from; import it with labels.")
    pixels = dataset.pixels("train", anime.RESOLUTION)
    shares = [_shares(column, len(values)) for column, values in zip(codes.T, attributes.values(), strict=True)]
    net = _untaught(attributes)
    optimizer = torch.optim.AdamW(net.parameters(), betas=(0.9, 0.99), weight_decay=0.05)
    random = np.random.default_rng(seed)
    order = np.empty(0, np.int64)
    for step in range(steps):
        while len(order) < BATCH:
            order = np.concatenate([order, random.permutation(labelled)])
        rows, order = order[:BATCH], order[BATCH:]
        optimizer.param_groups[0]["lr"] = rate * min(1, (step + 1) / _WARM_UP) * (1 + cos(pi * step / steps)) / 2
        with torch.enable_grad(), torch.autocast("cpu", enabled=False):
            logits = net(_views(pixels[rows], random))
            loss = torch.stack(list(map(_loss, logits, codes[rows].T, shares))).sum()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
        optimizer.step()
        if progress is not None:
            progress(step + 1, steps)
    return net.eval().requires_grad_(False)


def _untaught(attributes: Vocabularies) -> ReaderNet:
    with torch.device("meta"):  # nothing is drawn at random: training may be under way in the same process
        net = ReaderNet(attributes)
    net.trunk = anime.load()[0]
    net.heads.to_empty(device="cpu")
    for parameter in net.heads.parameters():
        nn.init.zeros_(parameter)
    return net.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload, no-any-return]


def _shares(codes: Tensor, classes: int) -> Tensor:
    """Each class's share of the labelled faces; a class without any counts as one face, so that none is impossible."""
    counts = torch.bincount(codes[codes >= 0], minlength=classes).clamp(min=1)
    return counts / counts.sum()


def _loss(logits: Tensor, codes: Tensor, shares: Tensor) -> Tensor:
    """Mean cross entropy of B×K logits, adjusted by the K shares, over the faces whose label is known; 0 if none is."""
    known = codes >= 0
    labels = F.one_hot(codes[known], len(shares)).float().lerp(shares, _SMOOTHING)
    return F.cross_entropy(logits[known] + shares.log(), labels, reduction="sum") / known.sum().clamp(min=1)


def _views(faces: Images, random: np.random.Generator) -> Tensor:
    """Mirror, shift and brighten each of B×64×64×3 faces at random: float B×3×64×64 in [0, 1], channels last."""
    count, side = faces.shape[:2]
    wide = np.pad(faces, ((0, 0), (_SHIFT, _SHIFT), (_SHIFT, _SHIFT), (0, 0)), "edge")
    corners, chance = random.integers(0, 2 * _SHIFT + 1, (count, 2)), random.random((count,))
    views = np.empty_like(faces)
    for place, (top, left) in enumerate(corners):
        part = wide[place, top : top + side, left : left + side]
        views[place] = part[:, ::-1] if chance[place] < 0.5 else part
    light = random.uniform(1 - _BRIGHTNESS, 1 + _BRIGHTNESS, (count, 1, 1, 1)).astype(np.float32)
    return torch.from_numpy(np.minimum(views * (light / 255), 1)).permute(0, 3, 1, 2)
