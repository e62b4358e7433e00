"""Draw the pictures of the packaged generator in README and docs: unselected, seeds from 0 on.

python tools/pictures.py             # the packaged generator
python tools/pictures.py --papers    # the strips of docs/papers.md: the first rows of grids in results/
"""

import subprocess
import sys
from pathlib import Path

from PIL import Image

RESULTS = Path(__file__).parents[1] / "results"
IMAGES = Path(__file__).parents[1] / "docs" / "images"
PICTURES = {
    "faces.webp": ["generate", "--n", "64", "--seed", "0", "--scale", "2"],
    "hair.webp": ["generate", "--each", "hair", "--n", "12", "--seed", "0"],
    "eyes.webp": ["generate", "--each", "eyes", "--n", "12", "--seed", "0"],
    "walk.webp": [
        "walk",
        "--n",
        "6",
        "--columns",
        "6",
        "--stops",
        "4",
        "--frames-per-stop",
        "10",
        "--seed",
        "0",
        "--scale",
        "2",
    ],
}
"""By file: the command that draws it."""

STRIPS = {
    "papers-anik.webp": (28, 2, 2, ("anik",)),
    "papers-chen-ning-lin.webp": (
        96, 1, 1, ("chen-ning-lin-dcgan", "chen-ning-lin-wgan", "chen-ning-lin-wgan-gp"),
    ),
    "papers-ti-wen-chen.webp": (64, 1, 1, ("dcgan", "dcgan-deep")),
}  # fmt: skip
"""By file: size of the faces, rows of each grid, factor of enlargement, and the folders in results."""
_GAP = 2  # pixels between the faces of a grid


def draw_strips() -> None:
    """Put the first rows of some grids below each other."""
    for name, (size, rows, scale, folders) in STRIPS.items():
        grids = [Image.open(RESULTS / folder / "grid.png").convert("RGB") for folder in folders]
        height = _GAP + rows * (size + _GAP)
        strip = Image.new("RGB", (grids[0].width, height * len(grids)), "white")
        for place, grid in enumerate(grids):
            strip.paste(grid.crop((0, 0, grid.width, height)), (0, place * height))
        strip = strip.resize((strip.width * scale, strip.height * scale), Image.Resampling.NEAREST)
        strip.save(IMAGES / name, lossless=False, quality=90, method=6)


def main() -> None:
    """Run every command."""
    if "--papers" in sys.argv[1:]:
        draw_strips()
        return
    for name, words in PICTURES.items():
        command = [sys.executable, "-m", "nijigan", *words, "--out", str(IMAGES / name), "--overwrite"]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
