"""How fast training is: our trainer against a loop as tutorials write it, and against the processor's own limit.

    OMP_WAIT_POLICY=passive python benchmarks/training.py [--turns 4] [--seconds 20] [--avx2] [--out FILE]

Both sides train the 64 px DCGAN of width 64 with batches of 128 on the same procedural faces, in turns of so many
seconds. Ours runs as users run it: averaged weights, logging and loading on, precision auto. The reference is fp32 and
eager, reads image files through a `DataLoader` with two workers, and updates as the PyTorch DCGAN tutorial describes,
in a process of its own that waits while ours works.

The arithmetic of our round, as torch's own kernels would need it, is set against the best rates of fp32 and bf16 matrix
products in the same run. In fp32 on a CPU our convolutions need fewer products than that (`networks/winograd.py`), so
that the share may exceed 100 %. `--avx2` switches off the newer instructions, so that the machine computes as most
laptops do. Nothing else should be running.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from nijigan.dataset.faces import FaceDataset
from nijigan.importing.importer import import_faces
from nijigan.procedural.faces import write_faces
from nijigan.recipe.named_recipes import find_recipe
from nijigan.recipe.parts import DiscriminatorConfig, GeneratorConfig, LatentConfig
from nijigan.recipe.recipe import Recipe
from nijigan.runs import read_log
from nijigan.training import resume, train
from nijigan.training.dry_run import plan
from scale import AVX2, forced, instructions, machine

BATCH = 128
PATIENCE = 1.0  # seconds that one matrix product may take


class ImageFiles(Dataset[Tensor]):
    """Faces from files, decoded and normalised one by one."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        image = Image.open(self.paths[index]).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 127.5 - 1


def tutorial_networks() -> tuple[nn.Module, nn.Module]:
    """The tutorial's generator and discriminator: those of the released code."""
    g: list[nn.Module] = []
    for inner, outer, stride, padding in ((100, 512, 1, 0), (512, 256, 2, 1), (256, 128, 2, 1), (128, 64, 2, 1)):
        g += [nn.ConvTranspose2d(inner, outer, 4, stride, padding, bias=False), nn.BatchNorm2d(outer), nn.ReLU(True)]
    g += [nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()]
    d: list[nn.Module] = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for inner in (64, 128, 256):
        d += [nn.Conv2d(inner, 2 * inner, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * inner), nn.LeakyReLU(0.2, True)]
    d += [nn.Conv2d(512, 1, 4, 1, 0, bias=False), nn.Sigmoid()]
    return nn.Sequential(*g), nn.Sequential(*d)


def tutorial_training(folder: Path) -> Iterator[None]:
    """Train for ever, yielding after each batch."""
    generator, discriminator = tutorial_networks()
    criterion = nn.BCELoss()
    d_adam = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    g_adam = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    loader = DataLoader(ImageFiles(folder), batch_size=BATCH, shuffle=True, num_workers=2, drop_last=True,
                        multiprocessing_context="fork")  # fmt: skip
    while True:
        for real in loader:
            label = torch.ones(BATCH)
            discriminator.zero_grad()
            error_real = criterion(discriminator(real).view(-1), label)
            error_real.backward()
            fake = generator(torch.randn(BATCH, 100, 1, 1))
            label.fill_(0)
            error_fake = criterion(discriminator(fake.detach()).view(-1), label)
            error_fake.backward()
            d_adam.step()
            generator.zero_grad()
            label.fill_(1)
            error = criterion(discriminator(fake).view(-1), label)
            error.backward()
            g_adam.step()
            (error_real + error_fake).item(), error.item()  # the tutorial keeps every loss
            yield


def tutorial_process(folder: Path, pipe: Connection) -> None:
    """Train for as many batches as the pipe asks for and answer with the seconds they took, until it asks for none."""
    training = tutorial_training(folder)
    while batches := pipe.recv():
        start = time.perf_counter()
        for _ in range(batches):
            next(training)
        pipe.send(time.perf_counter() - start)


def matmul_rate(dtype: torch.dtype) -> float:
    """The best rate of matrix products, in GFLOP/s. Larger ones are left out where they would take seconds."""
    best = 0.0
    for size in (256, 512, 1024, 2048, 4096):
        if best and 2 * size**3 / best / 1e9 > PATIENCE:
            break
        matrix = torch.ones(size, size, dtype=dtype)
        for _ in range(4):
            start = time.perf_counter()
            matrix @ matrix
            best = max(best, 2 * size**3 / (time.perf_counter() - start) / 1e9)
    return best


def our_recipe(tick: int) -> Recipe:
    """The tutorial's networks as a recipe, with a log line after every `tick` images."""
    return replace(
        find_recipe("dcgan"), resolution=64, latent=LatentConfig(size=100), generator=GeneratorConfig(),
        discriminator=DiscriminatorConfig(), batch_size=BATCH, kimg=tick / 1000, tick_kimg=tick / 1000,
        snapshot_kimg=1000,
    )  # fmt: skip


def our_turn(run: Path, images: int, tick: int) -> float:
    """Images per second of our trainer, over the next `images` or a little more."""
    log = read_log(run)
    resume(run, kimg=(log[-1]["images"] + images + tick) / 1000, device="cpu")
    lines = read_log(run)[len(log) :]
    # The first tick of each turn pays for opening the run; the rest is training.
    return float((lines[-1]["images"] - lines[0]["images"]) / (lines[-1]["seconds"] - lines[0]["seconds"]))


def alternate(turns: int, seconds: float) -> dict[str, object]:
    """Let both sides train in turns, printing each; what was measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_faces(folder / "pictures", 4000, resolution=64)
        import_faces([folder / "pictures"], folder / "faces")
        dataset, run = FaceDataset(folder / "faces"), folder / "run"
        cost = plan(our_recipe(BATCH), dataset, "cpu")
        tick = BATCH * max(1, round(seconds / 2 * cost.images_per_second / BATCH))
        train(our_recipe(tick), dataset, run, device="cpu")  # warm up
        pipe, theirs_pipe = multiprocessing.get_context("spawn").Pipe()
        tutorial = multiprocessing.get_context("spawn").Process(
            target=tutorial_process, args=(folder / "pictures", theirs_pipe)
        )
        tutorial.start()
        pipe.send(1)  # its warm-up
        batches = max(1, round(seconds / max(pipe.recv(), 1e-3)))
        ours, theirs, single, half = [], [], [], []
        print("turn   ours img/s   tutorial img/s   ratio   products GFLOP/s: fp32    bf16")
        for turn in range(turns):
            single.append(matmul_rate(torch.float32))
            half.append(matmul_rate(torch.bfloat16))
            ours.append(our_turn(run, tick, tick))
            pipe.send(1)  # the loader has filled its queue while it waited
            pipe.recv()
            pipe.send(batches)
            theirs.append(batches * BATCH / pipe.recv())
            print(f"{turn + 1:4} {ours[-1]:12.1f} {theirs[-1]:16.1f} {ours[-1] / theirs[-1]:7.2f}"
                  f" {single[-1]:23.0f} {half[-1]:7.0f}", flush=True)  # fmt: skip
        pipe.send(0)
        tutorial.join()
    return {
        "machine": machine(),
        "instructions": f"{instructions()}{', forced' * forced()}",
        "threads": torch.get_num_threads(),
        "precision": cost.recipe.precision,
        "gflop_per_image": cost.gflop_per_image,
        "ours": ours,
        "tutorial": theirs,
        "ratio": median(a / b for a, b in zip(ours, theirs, strict=True)),
        "share_of_fp32": median(ours) * cost.gflop_per_image / max(single),
        "share_of_bf16": median(ours) * cost.gflop_per_image / max(half),
        "bf16_to_fp32": max(half) / max(single),
    }


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=4, help="turns of each side")
    parser.add_argument("--seconds", type=float, default=20, help="length of a turn")
    parser.add_argument("--avx2", action="store_true", help="compute without newer instructions")
    parser.add_argument("--out", type=Path, help="write what was measured here, as JSON")
    options = parser.parse_args()
    if options.avx2 and not forced():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | AVX2)  # libraries read them when loaded
    found = alternate(options.turns, options.seconds)
    print(f"\n{found['instructions']}, {found['threads']} threads, {found['precision']}: median ratio "
          f"{found['ratio']:.2f}; {found['gflop_per_image']:.3f} GFLOP per image, {found['share_of_fp32']:.0%} of the "
          f"fp32 product rate, {found['share_of_bf16']:.0%} of the bf16 product rate")  # fmt: skip
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
