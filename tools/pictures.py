"""Draw the pictures of the packaged generator in README and docs: unselected, seeds from 0 on.

python tools/pictures.py
"""

import subprocess
import sys
from pathlib import Path

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


def main() -> None:
    """Run every command."""
    for name, words in PICTURES.items():
        command = [sys.executable, "-m", "nijigan", *words, "--out", str(IMAGES / name), "--overwrite"]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
