"""Train the network behind the `anime` feature space on real faces: how `assets/anime-features.safetensors` came to be.

    nijigan import konachan-96-tagged.zip --tags tags.csv --out faces/konachan
    nijigan import animefacedataset-64.zip --out faces/getchu
    python benchmarks/train_features.py --data faces/konachan faces/getchu --out anime-features.safetensors

Stopped at any moment and started again with the same arguments, it goes on from its last checkpoint (beside the result)
to the same weights.

Only the training splits are learnt from, and three things at once:

1. Which two views show the same face (NT-Xent; Chen et al., "A Simple Framework for Contrastive Learning", ICML 2020,
   eq. 1). Views differ by shifts, mirroring, a little rotation, zoom and colour; never by blur, noise or pasting.
2. Hair and eye colour, where a face has tags.
3. What was done to a face: nothing, noise, blur, a smooth warp, or a part of another face pasted in.

The first makes a space in which faces lie apart, the last keeps it from looking past what generators get wrong. The
heads are thrown away.
"""

import argparse
import json
import logging
import math
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nijigan.dataset.faces import FaceDataset
from nijigan.files import replacing
from nijigan.judges.anime import RESOLUTION, AnimeNet

TEMPERATURE = 0.2
WARM_UP = 200  # steps
CORRUPTIONS = ("none", "noise", "blur", "warp", "paste")


@dataclass(frozen=True)
class Faces:
    """Faces of one split of several datasets, one after the other."""

    pixels: list[npt.NDArray[np.uint8]]
    """Of each dataset, N×64×64×3."""
    tags: Tensor
    """A row a face, a column an attribute: places in the vocabularies, -1 where a face has no tag."""

    @classmethod
    def open(cls, datasets: list[FaceDataset], split: str, vocabularies: dict[str, tuple[str, ...]]) -> "Faces":
        """The faces of `split`; tags are those of the datasets whose vocabulary is the one wanted."""
        tags = []
        for dataset in datasets:
            labels, unknown = dataset.labels(split), np.full(dataset.count(split), -1)
            tags.append(
                np.stack([labels[n] if dataset.attributes.get(n) == v else unknown for n, v in vocabularies.items()], 1)
            )
        pixels = [dataset.pixels(split, RESOLUTION) for dataset in datasets]
        return cls(pixels, torch.from_numpy(np.concatenate(tags)))

    def read(self, rows: Tensor) -> Tensor:
        """B rows → float B×3×64×64 in [0, 1]."""
        starts = np.cumsum([0, *map(len, self.pixels)])
        which = np.searchsorted(starts, rows.numpy(), side="right") - 1
        faces = np.stack([self.pixels[d][row - starts[d]] for d, row in zip(which, rows.tolist(), strict=True)])
        return torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255


class Pupil(nn.Module):
    """The network with its heads."""

    def __init__(self, vocabularies: dict[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.net = AnimeNet()
        size = self.net.size
        self.projection = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, 128))
        self.tags = nn.ModuleList(nn.Linear(size, len(words)) for words in vocabularies.values())
        self.corruption = nn.Linear(size, len(CORRUPTIONS))


def uniform(count: int, low: float, high: float, random: torch.Generator) -> Tensor:
    """`count` numbers between low and high."""
    return torch.rand(count, generator=random) * (high - low) + low


def log_uniform(count: int, low: float, high: float, random: torch.Generator) -> Tensor:
    """`count` numbers between low and high, every doubling equally likely."""
    return uniform(count, math.log(low), math.log(high), random).exp()


def place(faces: Tensor, angle: Tensor, zoom: Tensor, shift: Tensor, mirror: Tensor, mode: str) -> Tensor:
    """Turn (radians), zoom, shift (pixels, B×2) and mirror (±1) each face; what comes in at the border is reflected."""
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    offset = shift * 2 / faces.shape[-1]
    theta = torch.stack([torch.stack([cos * mirror, -sin, offset[:, 0]], 1),
                         torch.stack([sin * mirror, cos, offset[:, 1]], 1)], 1)  # fmt: skip
    grid = F.affine_grid(theta, list(faces.shape), align_corners=False)
    return F.grid_sample(faces, grid, mode, padding_mode="reflection", align_corners=False)


def recolour(faces: Tensor, random: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation by up to 8 %."""
    brightness, contrast, saturation = (uniform(len(faces), 0.92, 1.08, random)[:, None, None, None] for _ in range(3))
    grey = faces.mean(1, keepdim=True)
    faces = grey + (faces - grey) * saturation
    mean = faces.mean((1, 2, 3), keepdim=True)
    return ((mean + (faces - mean) * contrast) * brightness).clamp(0, 1)


def sharp_view(faces: Tensor, random: torch.Generator) -> Tensor:
    """Whole-pixel shifts and mirroring only: as crisp as the faces that will be judged."""
    count, zero, one = len(faces), torch.zeros(len(faces)), torch.ones(len(faces))
    shift = torch.randint(-6, 7, (count, 2), generator=random).float()
    mirror = torch.randint(2, (count,), generator=random) * 2.0 - 1
    return recolour(place(faces, zero, one, shift, mirror, "nearest"), random)


def loose_view(faces: Tensor, random: torch.Generator) -> Tensor:
    """Turned by up to 12 degrees, zoomed by up to a sixth, shifted by up to 6 pixels, perhaps mirrored."""
    count = len(faces)
    shift = torch.stack([uniform(count, -6, 6, random), uniform(count, -6, 6, random)], 1)
    mirror = torch.randint(2, (count,), generator=random) * 2.0 - 1
    angle, zoom = uniform(count, -0.21, 0.21, random), log_uniform(count, 0.9, 1.18, random)
    return recolour(place(faces, angle, zoom, shift, mirror, "bicubic"), random)


def noise(faces: Tensor, random: torch.Generator) -> Tensor:
    """Gaussian noise with a standard deviation of 3 to 60 grey levels."""
    sigma = log_uniform(len(faces), 3, 60, random)[:, None, None, None] / 255
    return faces + sigma * torch.randn(faces.shape, generator=random)


def blur(faces: Tensor, random: torch.Generator) -> Tensor:
    """Gaussian blur with a standard deviation of 0.4 to 2.5 pixels."""
    sigma = log_uniform(len(faces), 0.4, 2.5, random)[:, None]
    kernel = (-0.5 * (torch.arange(-7, 8) / sigma).square()).exp()
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    flat = F.pad(faces, (7, 7, 7, 7), mode="reflect").flatten(0, 1)[None]
    flat = F.conv2d(flat, kernel[:, None, None], groups=len(kernel))
    return F.conv2d(flat, kernel[:, None, :, None], groups=len(kernel))[0].view_as(faces)


def warp(faces: Tensor, random: torch.Generator) -> Tensor:
    """Displace by a smooth random field whose root mean square is 0.5 to 4 pixels."""
    count, side = len(faces), faces.shape[-1]
    cells = int(torch.randint(3, 9, (), generator=random))
    field = F.interpolate(
        torch.randn(count, 2, cells, cells, generator=random), size=side, mode="bicubic", align_corners=True
    )
    field = field / field.square().mean((1, 2, 3), keepdim=True).sqrt()
    field = field * log_uniform(count, 0.5, 4, random)[:, None, None, None] * 2 / side
    identity = F.affine_grid(torch.eye(2, 3).expand(count, 2, 3), list(faces.shape), align_corners=False)
    grid = identity + field.permute(0, 2, 3, 1)
    return F.grid_sample(faces, grid, "bicubic", padding_mode="reflection", align_corners=False)


def paste(faces: Tensor, random: torch.Generator) -> Tensor:
    """Lay a rectangle of another face over each, a third to two thirds as high and wide, with edges 1 to 8 px soft."""
    count, side = len(faces), faces.shape[-1]
    softness, places = log_uniform(count, 1, 8, random)[:, None], torch.arange(side) + 0.5
    masks = []
    for _ in range(2):  # down, across
        half = uniform(count, side / 6, side / 3, random)[:, None]
        centre = half + uniform(count, 0, 1, random)[:, None] * (side - 2 * half)
        masks.append(((half - (places - centre).abs()) / softness + 0.5).clamp(0, 1))
    mask = (masks[0][:, :, None] * masks[1][:, None, :])[:, None]
    return faces.lerp(faces.roll(1, 0), mask)


def corrupt(faces: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Do one of the four things to each face; which, as places in CORRUPTIONS."""
    parts = faces.chunk(4)
    done = [f(part, random).clamp(0, 1) for f, part in zip((noise, blur, warp, paste), parts, strict=True)]
    kinds = torch.cat([torch.full((len(part),), kind) for kind, part in enumerate(parts, 1)])
    return torch.cat(done), kinds


def nt_xent(a: Tensor, b: Tensor) -> Tensor:
    """Normalised temperature-scaled cross entropy of B pairs (Chen et al. 2020, eq. 1)."""
    z = F.normalize(torch.cat([a, b]))
    similarity = (z @ z.T / TEMPERATURE).masked_fill(torch.eye(len(z), dtype=torch.bool), -math.inf)
    return F.cross_entropy(similarity, torch.arange(len(z)).roll(len(a)))


def losses(pupil: Pupil, faces: Tensor, tags: Tensor, random: torch.Generator) -> dict[str, Tensor]:
    """The three losses on one batch."""
    sharp, loose = sharp_view(faces, random), loose_view(faces, random)
    corrupted, kinds = corrupt(sharp, random)
    views = torch.cat([sharp, loose, corrupted]).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        embeddings = pupil.net(views)
    a, b, c = embeddings.float().chunk(3)
    known = [F.cross_entropy(head(torch.cat([a, b])), tags[:, i].repeat(2), ignore_index=-1)
             for i, head in enumerate(pupil.tags)]  # fmt: skip
    weights = torch.tensor([0.25, 1, 1, 1, 1])  # as many clean faces as corrupted ones of all kinds
    done = F.cross_entropy(pupil.corruption(torch.cat([a, c])), torch.cat([torch.zeros_like(kinds), kinds]), weights)
    return {
        "instance": nt_xent(pupil.projection(a), pupil.projection(b)),
        "tags": torch.stack(known).mean(),
        "corruption": done,
    }


@torch.inference_mode()
def examine(pupil: Pupil, faces: Faces, vocabularies: dict[str, tuple[str, ...]]) -> dict[str, float]:
    """Accuracies on faces that were not learnt from; those of tags are means over the classes."""
    pupil.eval()
    random = torch.Generator().manual_seed(0)
    embeddings, right, kinds = [], [], []
    count = len(faces.tags) // 4 * 4  # `corrupt` takes quarters
    for rows in torch.arange(count).split(256):
        clean = faces.read(rows)
        embeddings.append(pupil.net(clean))
        corrupted, kind = corrupt(clean, random)
        right.append(pupil.corruption(pupil.net(corrupted)).argmax(1) == kind)
        kinds.append(kind)
    known = torch.cat(embeddings)
    report = {}
    for name, head, tags in zip(vocabularies, pupil.tags, faces.tags[:count].T, strict=True):
        hit = head(known).argmax(1) == tags
        shares = [hit[tags == code].float().mean() for code in tags.unique() if code >= 0]
        if shares:
            report[name] = float(torch.stack(shares).mean())
    report["none"] = float((pupil.corruption(known).argmax(1) == 0).float().mean())
    for kind, name in enumerate(CORRUPTIONS[1:], 1):
        report[name] = float(torch.cat(right)[torch.cat(kinds) == kind].float().mean())
    pupil.train()
    return report


def save(path: Path, pupil: Pupil, optimizer: torch.optim.Optimizer) -> None:
    """Write every tensor that training changes."""
    tensors = {f"pupil.{name}": value for name, value in pupil.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in moments.items()}
    with replacing(path) as temporary:
        safetensors.torch.save_file({name: value.contiguous() for name, value in tensors.items()}, temporary)


def restore(path: Path, pupil: Pupil, optimizer: torch.optim.Optimizer) -> int:
    """Read what `save` wrote; the number of steps taken."""
    weights, moments = {}, defaultdict(dict)
    for name, value in safetensors.torch.load_file(path).items():
        owner, _, key = name.partition(".")
        if owner == "pupil":
            weights[key] = value
        else:
            index, _, kind = key.partition(".")
            moments[int(index)][kind] = value
    pupil.load_state_dict(weights)
    optimizer.load_state_dict(optimizer.state_dict() | {"state": dict(moments)})
    return int(moments[0]["step"])


def rate(step: int, steps: int, peak: float) -> float:
    """A linear warm-up, then half a cosine down to 0."""
    return peak * min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def main() -> None:
    """Train, report on the validation splits, write the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="datasets; tags are those of the first")
    parser.add_argument("--out", type=Path, required=True, help="the network, a .safetensors file")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=128, help="faces; three views of each are looked at")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)

    datasets = [FaceDataset(path) for path in options.data]
    vocabularies = datasets[0].attributes
    faces = Faces.open(datasets, "train", vocabularies)
    torch.manual_seed(options.seed)
    pupil = Pupil(vocabularies).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(pupil.parameters(), lr=options.lr, betas=(0.9, 0.99), fused=True)
    checkpoint = options.out.with_suffix(".checkpoint.safetensors")
    first = restore(checkpoint, pupil, optimizer) if checkpoint.exists() else 0
    clock, saved, sums = time.process_time(), time.monotonic(), {}
    for step in range(first, options.steps):
        random = torch.Generator().manual_seed(options.seed * 10**6 + step)
        rows = torch.randint(len(faces.tags), (options.batch,), generator=random)
        parts = losses(pupil, faces.read(rows), faces.tags[rows], random)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, options.steps, options.lr)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()
        optimizer.step()
        sums = {name: sums.get(name, 0.0) + part.item() for name, part in parts.items()}
        done = step + 1
        if done % 50 == 0:
            text = " · ".join(f"{name} {value / 50:.3f}" for name, value in sums.items())
            print(f"{done}/{options.steps} · {text} · {time.process_time() - clock:.0f} s of CPU time", flush=True)
            sums = {}
        if time.monotonic() - saved > 120 or done == options.steps:
            save(checkpoint, pupil, optimizer)
            saved = time.monotonic()

    for dataset in datasets:
        report = examine(pupil, Faces.open([dataset], "val", vocabularies), vocabularies)
        print(dataset.path.name, "val:", " · ".join(f"{name} {value:.3f}" for name, value in report.items()))
    protocol = {
        "datasets": {dataset.path.name: dataset.fingerprint for dataset in datasets},
        **{name: getattr(options, name) for name in ("steps", "batch", "lr", "seed")},
    }
    weights = {name: value.half() if value.ndim > 1 else value for name, value in pupil.net.state_dict().items()}
    with replacing(options.out) as temporary:
        safetensors.torch.save_file(
            {name: value.contiguous() for name, value in weights.items()}, temporary, {"nijigan": json.dumps(protocol)}
        )
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
