"""Teach the colour reader's network on people's tags: how `assets/colour-net.safetensors` came to be.

    nijigan import konachan-96-tagged.zip --tags tags.csv --out faces/konachan
    python benchmarks/train_colours.py --data faces/konachan --out src/nijigan/assets/colour-net.safetensors
    python benchmarks/colours.py fit --data faces/konachan --out src/nijigan/assets/colours.json

It starts from EfficientNet-Lite0's ImageNet weights and learns from nine in ten of the tagged training faces; the tenth
tells the second script how much to trust it. It looks at no held-out face.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colours import held_back, tagged
from nijigan.dataset.faces import FaceDataset
from nijigan.files import replacing
from nijigan.vision import lite0
from nijigan.vision.colour_names import VALUES
from nijigan.vision.colour_net import SIDE, ColourNet

WEIGHT = {"hair": 1.0, "eyes": 0.7}  # in the loss; the tags of eyes are wrong more often
BATCH, RATE, WARM_UP = 64, 1e-3, 150
MIXUP = 0.4  # the parameter of the beta distribution that says how much of another face is laid over one
SMOOTHING = 0.05
SMALLEST = 40  # pixels: what is read is often no sharper than this


def taught_by_photographs() -> ColourNet:
    """The network with Lite0's weights, and heads that know nothing: every logit is 0."""
    net = ColourNet()
    pretrained = lite0.load()
    net.stem.load_state_dict(pretrained.stem.state_dict())
    for ours, theirs in zip(net.blocks, pretrained.blocks, strict=False):
        ours.load_state_dict(theirs.state_dict())
    for head in net.heads:
        assert isinstance(head, nn.Linear)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    return net.to(memory_format=torch.channels_last)


def views(faces: npt.NDArray[np.uint8], random: np.random.Generator) -> Tensor:
    """Zoom, turn, shift, mirror, brighten and blur B×96×96×3 faces, none of which changes a colour's name.

    Returns:
        Float B×3×96×96 in [0, 1].
    """
    x, count = torch.from_numpy(faces).permute(0, 3, 1, 2) / 255, len(faces)

    def uniform(low: float, high: float) -> Tensor:
        return torch.from_numpy(random.uniform(low, high, count).astype(np.float32))

    zoom, angle, across, down = uniform(0.75, 1.1), uniform(-0.2, 0.2), uniform(-0.1, 0.1), uniform(-0.1, 0.1)
    cos, sin, mirror = zoom * angle.cos(), zoom * angle.sin(), uniform(-1, 1).sign()
    rows = [torch.stack([cos * mirror, -sin, across], 1), torch.stack([sin * mirror, cos, down], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, "bilinear", padding_mode="reflection", align_corners=False)
    x = x * uniform(0.9, 1.1)[:, None, None, None]
    if random.random() < 0.5:
        size = int(random.integers(SMALLEST, SIDE))
        x = F.interpolate(x, size, mode="bicubic", antialias=True)
        x = F.interpolate(x, SIDE, mode="bicubic")
    return x.clamp(0, 1).contiguous(memory_format=torch.channels_last)


def loss_of(net: ColourNet, faces: Tensor, truths: list[Tensor], random: np.random.Generator) -> Tensor:
    """Cross entropy of faces that another face is laid over (Zhang et al., "mixup", ICLR 2018)."""
    share = float(random.beta(MIXUP, MIXUP))
    share = max(share, 1 - share)
    losses = []
    for logits, truth, weight in zip(
        net(faces.lerp(faces.roll(1, 0), 1 - share)), truths, WEIGHT.values(), strict=True
    ):
        mixed = truth.lerp(truth.roll(1, 0), 1 - share)
        losses.append(weight * F.cross_entropy(logits, mixed, label_smoothing=SMOOTHING))
    return torch.stack(losses).sum()


@torch.no_grad()
def follow(average: ColourNet, net: ColourNet, step: int) -> None:
    """Move the average of the weights towards those of the moment, slowly once it is far from the start."""
    decay = min(0.998, (1 + step) / (10 + step))
    for mean, now in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - decay)


def main() -> None:
    """Teach, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a dataset with tags for hair and eyes")
    parser.add_argument("--out", type=Path, required=True, help="the network, a .safetensors file")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    dataset = FaceDataset(options.data)
    pixels = dataset.pixels("train", SIDE)
    rows, codes = tagged(dataset, "train")
    learnt = ~held_back(len(rows))
    rows = rows[learnt]
    truths = [torch.eye(len(words))[codes[name][learnt]] for name, words in VALUES.items()]
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    net = taught_by_photographs().train()
    average = copy.deepcopy(net).requires_grad_(False)
    new = [parameter for part in (net.summary, net.heads) for parameter in part.parameters()]
    known = [parameter for part in (net.stem, net.blocks) for parameter in part.parameters()]
    optimizer = torch.optim.AdamW([{"params": known}, {"params": new}], betas=(0.9, 0.99), weight_decay=0.05)
    steps, clock, total = options.epochs * len(rows) // BATCH, time.process_time(), 0.0
    order = np.empty(0, np.int64)
    for step in range(steps):
        rate = RATE * min(1, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2
        for group, factor in zip(optimizer.param_groups, (1, 2), strict=True):
            group["lr"] = factor * rate
        while len(order) < BATCH:
            order = np.concatenate([order, random.permutation(len(rows))])
        chosen, order = order[:BATCH], order[BATCH:]
        loss = loss_of(net, views(pixels[rows[chosen]], random), [truth[chosen] for truth in truths], random)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5)
        optimizer.step()
        follow(average, net, step)
        total += loss.item()
        if (step + 1) % 100 == 0:
            print(
                f"{step + 1}/{steps} · {total / 100:.3f} · {time.process_time() - clock:.0f} s of CPU time", flush=True
            )
            total = 0.0

    protocol = {"dataset": dataset.path.name, "fingerprint": dataset.fingerprint, "faces": len(rows)}
    protocol |= {name: getattr(options, name) for name in ("epochs", "seed")}
    weights = {name: value.half() if value.ndim > 1 else value for name, value in average.state_dict().items()}
    with replacing(options.out) as temporary:
        tensors = {name: value.contiguous() for name, value in weights.items()}
        temporary.write_bytes(safetensors.torch.save(tensors, {"nijigan": json.dumps(protocol)}))
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
