"""Training of an attribute reader on labelled faces."""

from collections.abc import Iterator, Mapping
from math import cos, pi

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nijigan.aliases import Images, Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.judges import anime
from nijigan.tensors.unallocated import unallocated

Vocabularies = Mapping[str, tuple[str, ...]]
"""Attribute → its values, in the order of their codes."""

BATCH = 64
"""Faces per step."""
_WARM_UP = 50  # steps
_SHIFT = 4  # pixels
_BRIGHTNESS = 0.08
_SMOOTHING = 0.1


class ReaderNet(nn.Module):
    """The network of the `anime` features with one linear layer per attribute."""

    def __init__(self, attributes: Vocabularies) -> None:
        super().__init__()
        self.trunk = anime.AnimeNet()
        self.heads = nn.ModuleList(nn.Linear(self.trunk.size, len(values)) for values in attributes.values())

    def forward(self, faces: Tensor) -> list[Tensor]:
        """Float N×3×64×64 in [0, 1] → the logits of each attribute, N×K."""
        embedding = self.trunk(faces)
        return [head(embedding) for head in self.heads]


def train_reader(
    dataset: FaceDataset,
    attributes: Vocabularies,
    steps: int,
    *,
    rate: float = 1e-3,
    seed: int = 0,
    progress: Progress | None = None,
) -> ReaderNet:
    """Train a network to read the labelled faces of a training split, starting from the `anime` features.

    All classes weigh the same, however rare. The loss is the cross entropy of logits to which the logarithm of the
    class frequency is added; reading omits it (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, eq.
    10). One tenth of each target is the class frequencies, because human tags, especially of eyes, are often wrong.
    Missing labels do not contribute. Faces are mirrored, shifted and brightened at random, which changes no colour's
    name. The linear layers start at 0. No random state is changed.

    Args:
        dataset: the faces.
        attributes: some of its attributes, with their vocabularies.
        steps: number of updates, each on 64 faces; about four per second on one thread.
        rate: highest learning rate of AdamW. It decays to 0 along half a cosine.
        seed: seed of the order and the augmentation.
        progress: called with (step, steps).

    Returns:
        The network, in fp32.

    Raises:
        UserError: no training face has a label.
    """
    codes = _training_codes(dataset, attributes)
    shares = [_shares(column, len(values)) for column, values in zip(codes.T, attributes.values(), strict=True)]
    pixels = dataset.pixels("train", anime.RESOLUTION)
    random = np.random.default_rng(seed)
    batches = _batches(np.flatnonzero((codes >= 0).any(1)), random)

    net = _untrained(attributes)
    optimizer = torch.optim.AdamW(net.parameters(), betas=(0.9, 0.99), weight_decay=0.05)
    for step in range(steps):
        rows = next(batches)
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


def _training_codes(dataset: FaceDataset, attributes: Vocabularies) -> Tensor:
    """N×A codes of the training faces, -1 where unknown; a `UserError` if none is known."""
    labels = dataset.labels("train")
    codes = torch.from_numpy(np.stack([labels[name] for name in attributes], 1))
    if not (codes >= 0).any():
        raise UserError(f"{dataset.path} has no labelled face to train a reader on; import it with labels.")
    return codes


def _batches(rows: npt.NDArray[np.int64], random: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """Batches of rows without end, from one random order after another."""
    order = np.empty(0, np.int64)
    while True:
        while len(order) < BATCH:
            order = np.concatenate([order, random.permutation(rows)])
        yield order[:BATCH]
        order = order[BATCH:]


def _untrained(attributes: Vocabularies) -> ReaderNet:
    with unallocated():  # no random initialisation, which would disturb a training in this process
        net = ReaderNet(attributes)
    net.trunk = anime.load()[0]
    net.heads.to_empty(device="cpu")
    for parameter in net.heads.parameters():
        nn.init.zeros_(parameter)
    return net.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload, no-any-return]


def _shares(codes: Tensor, classes: int) -> Tensor:
    """Each class's share of the labelled faces. A class without faces counts as one, so that none has probability 0."""
    counts = torch.bincount(codes[codes >= 0], minlength=classes).clamp(min=1)
    return counts / counts.sum()


def _loss(logits: Tensor, codes: Tensor, shares: Tensor) -> Tensor:
    """Mean cross entropy of B×K logits, adjusted by the K shares, over faces with a known label; 0 without any."""
    known = codes >= 0
    labels = F.one_hot(codes[known], len(shares)).float().lerp(shares, _SMOOTHING)
    return F.cross_entropy(logits[known] + shares.log(), labels, reduction="sum") / known.sum().clamp(min=1)


def _views(faces: Images, random: np.random.Generator) -> Tensor:
    """Mirror, shift and brighten each of B×64×64×3 faces at random: float B×3×64×64 in [0, 1], channels last."""
    count, side = faces.shape[:2]
    wide = np.pad(faces, ((0, 0), (_SHIFT, _SHIFT), (_SHIFT, _SHIFT), (0, 0)), "edge")
    corners, chance = random.integers(0, 2 * _SHIFT + 1, (count, 2)), random.random((count,))
    views = np.empty_like(faces)
    for index, (top, left) in enumerate(corners):
        part = wide[index, top : top + side, left : left + side]
        views[index] = part[:, ::-1] if chance[index] < 0.5 else part
    light = random.uniform(1 - _BRIGHTNESS, 1 + _BRIGHTNESS, (count, 1, 1, 1)).astype(np.float32)
    return torch.from_numpy(np.minimum(views * (light / 255), 1)).permute(0, 3, 1, 2)
