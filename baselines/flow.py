r"""A small flow-matching model beside the GANs: the same faces, averaged weights and judge, as many CPU seconds.

    OMP_NUM_THREADS=1 python baselines/flow.py --data FACES --seconds 1800 --out runs/flow
    OMP_NUM_THREADS=1 python baselines/flow.py --data FACES --seconds 1800 --out runs/flow --judge results/flow.json

A network learns the velocity that carries noise to faces along straight lines: Lipman, Chen, Ben-Hamu, Nickel and Le,
"Flow Matching for Generative Modeling", ICLR 2023, equation 23 with σ = 0. With x₀ ~ N(0, 1), a face x₁ and t uniform
in [0, 1], it minimises E‖v((1 - t)x₀ + t·x₁, t) - (x₁ - x₀)‖². Faces are drawn by Euler steps from t = 0 to 1.

A training that was interrupted goes on when the command is given again.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from math import log
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention, silu

from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset, FaceStream
from nijigan.files import replacing
from nijigan.judges.evaluation import judge_faces, score
from nijigan.judges.feature_spaces import open_feature_space
from nijigan.judges.real import real_faces
from nijigan.metrics.kid import kid
from nijigan.recipe.parts import EmaConfig
from nijigan.tensors.tensorfile import pack, unpack
from nijigan.training.ema import Ema
from nijigan.training.hardware import resolve_precision

STEPS = (1, 4, 16, 50)
"""Euler steps with which the model is judged."""
_BATCH, _RATE, _SAVE, _TIME = 16, 4e-4, 120.0, 128  # images, Adam's rate, seconds between checkpoints, time features


class Block(nn.Module):
    """A residual block: two 3×3 convolutions after group norms, the second of which the time scales and shifts."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, inner), nn.Conv2d(inner, outer, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, outer, affine=False), nn.Conv2d(outer, outer, 3, padding=1)
        self.time = nn.Linear(_TIME, 2 * outer)
        self.shortcut = nn.Conv2d(inner, outer, 1) if inner != outer else nn.Identity()
        for last in (self.time, self.conv2):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """N×inner×H×W and N×128 → N×outer×H×W."""
        scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
        h = self.norm2(self.conv1(silu(self.norm1(x)))) * (1 + scale) + shift
        out: Tensor = self.shortcut(x) + self.conv2(silu(h))
        return out


class Attention(nn.Module):
    """Self-attention with four heads over all positions, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.mix, self.out = nn.GroupNorm(8, channels), nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(
            channels, channels, 1
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → the same."""
        n, _, height, width = x.shape
        q, k, v = self.mix(self.norm(x)).view(n, 3, 4, -1, height * width).transpose(-1, -2).unbind(1)
        seen = scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(x.shape)
        out: Tensor = x + self.out(seen)
        return out


class Velocity(nn.Module):
    """A U-Net: one block at each resolution on the way down and on the way up, attention at the lowest."""

    def __init__(self, width: int = 24, levels: int = 4) -> None:
        super().__init__()
        widths = [min(width * 2**level, 256) for level in range(levels)]
        self.time = nn.Sequential(nn.Linear(_TIME, _TIME), nn.SiLU(), nn.Linear(_TIME, _TIME), nn.SiLU())
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList(
            Block(inner, outer) for inner, outer in zip([width, *widths[:-1]], widths, strict=True)
        )
        self.middle, self.attention = Block(widths[-1], widths[-1]), Attention(widths[-1])
        self.up = nn.ModuleList(
            Block(inner + skip, skip) for inner, skip in zip([widths[-1], *widths[:0:-1]], widths[::-1], strict=True)
        )
        self.norm, self.last = nn.GroupNorm(8, width), nn.Conv2d(width, 3, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """N×3×H×W between noise and faces, and N times → N×3×H×W velocities."""
        frequencies = torch.exp(torch.linspace(0, log(1000), _TIME // 2, device=x.device))
        angles = t[:, None] * frequencies
        time = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        x, kept = self.first(x), []
        for level, block in enumerate(self.down):
            x = block(nn.functional.avg_pool2d(x, 2) if level else x, time)
            kept.append(x)
        x = self.attention(self.middle(x, time))
        for level, block in enumerate(self.up):
            x = interpolate(x, scale_factor=2.0) if level else x
            x = block(torch.cat([x, kept[-1 - level]], dim=1), time)
        velocity: Tensor = self.last(silu(self.norm(x)))
        return velocity


def in_bf16() -> torch.autocast:
    """Arithmetic as the GANs': bf16 where that is fast."""
    return torch.autocast("cpu", torch.bfloat16, enabled=resolve_precision("auto", torch.device("cpu")) == "bf16")


def flow_loss(model: nn.Module, faces: Tensor, generator: torch.Generator) -> Tensor:
    """The mean squared error of the velocity, at one random time and noise for each of N×3×H×W faces in [-1, 1]."""
    noise = torch.randn(faces.shape, generator=generator)
    t = torch.rand(len(faces), generator=generator)
    between = torch.lerp(noise, faces, t[:, None, None, None])
    with in_bf16():
        predicted: Tensor = model(between, t)
    return (predicted.float() - (faces - noise)).square().mean()


@torch.no_grad()
def euler(model: nn.Module, noise: Tensor, steps: int) -> Tensor:
    """N×3×H×W noise → faces, by equal steps along the velocity."""
    x = noise
    for step in range(steps):
        x = x + model(x, torch.full((len(x),), step / steps)).float() / steps
    return x


def batches(model: nn.Module, n: int, steps: int, resolution: int, seed: int = 0) -> Iterator[Images]:
    """Draw n faces, uint8 N×H×W×3, in batches."""
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, n, 64):
        noise = torch.randn(min(64, n - start), 3, resolution, resolution, generator=generator)
        with in_bf16():
            faces = euler(model, noise, steps)
        yield ((faces.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def train(dataset: FaceDataset, out: Path, seconds: float, seed: int, resolution: int = 64) -> nn.Module:
    """Train for CPU seconds, or go on until them; return the averaged model."""
    torch.manual_seed(seed)
    model = Velocity()
    ema, adam = Ema(model, EmaConfig(half_life_kimg=20)), torch.optim.Adam(model.parameters(), _RATE)
    stream = FaceStream(dataset.pixels("train", resolution), seed)
    of: list[object] = [seed, dataset.fingerprint, resolution]
    images, used, until = load(out, model, ema, adam, of)
    if used > seconds and until != seconds:  # the last step ends a little later than the time
        raise SystemExit(f"The model in {out} has trained for {used:.0f} s already, more than --seconds {seconds:g}.")
    begun = saved = time.process_time()
    spent = used
    while (spent := used + time.process_time() - begun) < seconds:
        faces = torch.from_numpy(stream.read(images, _BATCH)).permute(0, 3, 1, 2).float() / 127.5 - 1
        for group in adam.param_groups:
            group["lr"] = _RATE * min(1.0, (1 - spent / seconds) / 0.2)  # falls over the last fifth, as niji's
        loss = flow_loss(model, faces, torch.Generator().manual_seed(seed * 1_000_003 + images))
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        images += _BATCH
        ema.update(model, _BATCH, images)
        if time.process_time() - saved > _SAVE:
            saved = time.process_time()
            save(out, model, ema, adam, {"images": images, "spent": spent, "until": seconds, "of": of})
            print(f"{images / 1000:.1f} kimg, {spent:.0f} of {seconds:.0f} s, loss {loss.item():.4f}", flush=True)
    save(out, model, ema, adam, {"images": images, "spent": spent, "until": seconds, "of": of})
    return ema.module


def save(out: Path, model: nn.Module, ema: Ema, adam: torch.optim.Adam, numbers: dict[str, object]) -> None:
    """Write everything that the training needs to go on."""
    tensors = {f"{part}.{name}": value for part, module in (("model", model), ("ema", ema.module))
               for name, value in module.state_dict().items()}  # fmt: skip
    for index, moments in adam.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": value for name, value in moments.items()}
    with replacing(out / "checkpoint.safetensors") as temporary:
        temporary.write_bytes(pack(tensors, json.dumps(numbers)))


def load(out: Path, model: nn.Module, ema: Ema, adam: torch.optim.Adam, of: list[object]) -> tuple[int, float, float]:
    """Fill in what was saved `of` this seed, dataset and resolution.

    Returns:
        Images, CPU seconds, and the CPU seconds at which the training was to end; zeros at the start.
    """
    if not (out / "checkpoint.safetensors").exists():
        return 0, 0.0, 0.0
    with safe_open(out / "checkpoint.safetensors", framework="pt") as file:
        text, tensors = unpack(file)
    for part, module in (("model", model), ("ema", ema.module)):
        module.load_state_dict({n.removeprefix(f"{part}."): t for n, t in tensors.items() if n.startswith(f"{part}.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("adam."):
            _, index, moment = name.split(".")
            state.setdefault(int(index), {})[moment] = value
    adam.load_state_dict(adam.state_dict() | {"state": state})
    numbers = json.loads(text or "")
    if numbers["of"] != of:
        raise SystemExit(f"The model in {out} has another seed, dataset or resolution; choose another --out.")
    return int(numbers["images"]), float(numbers["spent"]), float(numbers["until"])


def judge(model: nn.Module, dataset: FaceDataset, n: int, resolution: int = 64) -> list[dict[str, object]]:
    """The scores of n faces and the seconds for one, for each number of steps."""
    real = real_faces(dataset, "val", resolution, open_feature_space("lite0"))
    rows: list[dict[str, object]] = []
    for steps in STEPS:
        begun = time.process_time()
        drawn = list(batches(model, n, steps, resolution))
        seconds = (time.process_time() - begun) / n
        found = judge_faces(drawn, n, real)
        scores = score(found, real).scores | {"kid-anime": kid(real.seen.anime, found.anime)}
        rows.append({"steps": steps, "seconds_a_face": seconds, "scores": {k: asdict(s) for k, s in scores.items()}})
    return rows


def main() -> None:
    """Read the options, train, judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="the dataset")
    parser.add_argument("--seconds", type=float, required=True, help="CPU seconds of training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--judge", type=Path, help="judge the model and write the scores to this JSON file")
    parser.add_argument("--n", type=int, default=2000, help="faces to judge")
    options = parser.parse_args()
    dataset = FaceDataset(options.data)
    model = train(dataset, options.out, options.seconds, options.seed).eval()
    if options.judge:
        rows = judge(model, dataset, options.n)
        about = {"seconds": options.seconds, "seed": options.seed, "n": options.n, "rows": rows}
        options.judge.write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
