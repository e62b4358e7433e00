"""How fast training is: our trainer against a loop as tutorials write it, and against the processor's own limit.

    OMP_WAIT_POLICY=passive python benchmarks/training.py [--rounds 4] [--ticks 2]

Both sides train the 64 px DCGAN of width 64 with batches of 128 on the same procedural faces, alternating.
Ours runs as users run it: averaged weights, logging and loading on, precision auto. The reference is fp32 and eager,
reads image files through a `DataLoader` with two workers, and updates as the PyTorch DCGAN tutorial describes, in a
process of its own that waits while ours works. Then the arithmetic of our round, counted without recomputation, is set
against the best bf16 matrix-product rate seen in the same run; the fp32 rate beside it says how much this processor
gains from bf16 at all. Nothing else should be running.
"""

import argparse
import multiprocessing
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
from nijigan.runs import read_log
from nijigan.training import resume, train
from nijigan.training.dry_run import plan

BATCH = 128
TICK = 10 * BATCH  # images between two log lines with their plots, as in a default run of 128 kimg


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
    """The best rate of 1024², 2048² and 4096² products, in GFLOP/s."""
    best = 0.0
    for size in (1024, 2048, 4096):
        matrix = torch.ones(size, size, dtype=dtype)
        for _ in range(6):
            start = time.perf_counter()
            matrix @ matrix
            best = max(best, 2 * size**3 / (time.perf_counter() - start) / 1e9)
    return best


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="turns of each side")
    parser.add_argument("--ticks", type=int, default=2, help="ticks in a turn, of ten batches each")
    options = parser.parse_args()
    images = options.ticks * TICK
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_faces(folder / "pictures", 4000, resolution=64)
        import_faces([folder / "pictures"], folder / "faces")
        dataset, run = FaceDataset(folder / "faces"), folder / "run"
        recipe = replace(
            find_recipe("dcgan"), resolution=64, latent=LatentConfig(size=100), generator=GeneratorConfig(),
            discriminator=DiscriminatorConfig(), batch_size=BATCH, kimg=TICK / 1000, tick_kimg=TICK / 1000,
            snapshot_kimg=1000,
        )  # fmt: skip
        gflop = plan(recipe, dataset, "cpu").gflop_per_image
        train(recipe, dataset, run, device="cpu")  # warm up
        pipe, theirs_pipe = multiprocessing.get_context("spawn").Pipe()
        tutorial = multiprocessing.get_context("spawn").Process(
            target=tutorial_process, args=(folder / "pictures", theirs_pipe)
        )
        tutorial.start()
        pipe.send(2)  # its warm-up
        pipe.recv()
        ours, theirs, limit, single = [], [], [], []
        print("turn   ours img/s   tutorial img/s   ratio   matmul GFLOP/s: bf16    fp32   share of bf16")
        for turn in range(options.rounds):
            limit.append(matmul_rate(torch.bfloat16))
            single.append(matmul_rate(torch.float32))
            done = len(read_log(run))
            resume(run, kimg=(read_log(run)[-1]["images"] + images + TICK) / 1000, device="cpu")
            lines = read_log(run)[done:]
            # The first tick of each turn pays for opening the run; the rest is training.
            ours.append((lines[-1]["images"] - lines[0]["images"]) / (lines[-1]["seconds"] - lines[0]["seconds"]))
            pipe.send(1)  # the loader has filled its queue while it waited
            pipe.recv()
            pipe.send(images // BATCH)
            theirs.append(images / pipe.recv())
            print(f"{turn + 1:4} {ours[-1]:12.0f} {theirs[-1]:16.0f} {ours[-1] / theirs[-1]:7.2f} {limit[-1]:22.0f}"
                  f" {single[-1]:7.0f} {ours[-1] * gflop / limit[-1]:15.0%}", flush=True)  # fmt: skip
        pipe.send(0)
        tutorial.join()
    ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"\n{gflop:.3f} GFLOP per image; median ratio {ratio:.2f}; median share of the best bf16 matmul rate "
          f"({max(limit):.0f} GFLOP/s, {max(limit) / max(single):.1f} times fp32) "
          f"{median(ours) * gflop / max(limit):.0%}")  # fmt: skip


if __name__ == "__main__":
    main()
