"""How fast faces are drawn: against the loop that tutorials write, and against their number.

    python benchmarks/generating.py [--counts 100 1000] [--turns 4] [--faces 150] [--out FILE]

The loop loads the same generator with torch, synthesises face after face without gradients, and saves each with Pillow.
Both sides write one PNG per face into a folder, in turns of one process. Then `nijigan generate` draws so many faces
into a .zip, in a process of its own: seconds, CPU seconds and peak memory, start included. Nothing else should be
running. The default is a short form; the long one is

    python benchmarks/generating.py --counts 100 1000 10000 100000 --out results/scale/generate.json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from torch import nn

from nijigan.assets import PACKAGED
from nijigan.generator import file as generator_file
from nijigan.generator.generator import Generator, GeneratorHeader
from nijigan.generator.latents import latents
from nijigan.generator.saving import generate
from scale import write

PROBE = """
import sys
from nijigan.cli import main
from scale import used
code = main(sys.argv[1:])
import json
print(json.dumps(used()))
sys.exit(code)
"""


def plain_loop(module: nn.Module, header: GeneratorHeader, generator: Generator, folder: Path, n: int) -> None:
    """Draw n faces as tutorials do."""
    folder.mkdir()
    for seed in range(n):
        z = torch.from_numpy(latents([seed], header.latent.size, header.latent.prior))
        codes = torch.from_numpy(generator.codes([seed]))
        with torch.no_grad():
            image = module(z, codes)[0]
        pixels = (image * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{seed}.png")


def compare(turns: int, faces: int) -> list[float]:
    """The time of the loop divided by ours, in each turn."""
    module, header = generator_file.read(PACKAGED)
    module.eval()
    generator, ratios = Generator.load(), []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        generate(generator, place / "warm", n=8)
        plain_loop(module, header, generator, place / "plain warm", 8)
        print("turn   ours faces/s   loop faces/s   ratio")
        for turn in range(turns):
            start = time.perf_counter()
            generate(generator, place / f"ours {turn}", n=faces)
            ours, start = time.perf_counter() - start, time.perf_counter()
            plain_loop(module, header, generator, place / f"plain {turn}", faces)
            theirs = time.perf_counter() - start
            ratios.append(theirs / ours)
            print(f"{turn + 1:4} {faces / ours:14.0f} {faces / theirs:14.0f} {ratios[-1]:7.2f}", flush=True)
    return ratios


def measure(n: int) -> dict[str, float]:
    """Draw n faces into a .zip, in a new process."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", PROBE, "generate", "--n", str(n), "--out", str(Path(folder) / "faces.zip")]
        start = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stderr)
    return {"n": n, "seconds": round(seconds, 2), **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    """Compare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--faces", type=int, default=150, help="faces in a turn")
    parser.add_argument("--out", type=Path, help="also write what was measured as JSON")
    words = parser.parse_args()
    ratios = compare(words.turns, words.faces)
    print(f"\nmedian ratio {median(ratios):.2f}, {torch.get_num_threads()} threads\n")
    print("| faces | s | CPU s | peak MB |\n|---|---|---|---|")
    rows = []
    for n in words.counts:
        rows.append(row := measure(n))
        print(f"| {n:,} | {row['seconds']:.1f} | {row['cpu_seconds']:.1f} | {row['megabytes']:.0f} |", flush=True)
        write(words.out, rows, threads=torch.get_num_threads(), ratios=[round(ratio, 3) for ratio in ratios])


if __name__ == "__main__":
    main()
