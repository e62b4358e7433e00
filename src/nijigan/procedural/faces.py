"""Procedural faces: anime-like faces with exact labels, for the demo, the docs and the tests.

The seed determines a face: it is the same at every size, and on every machine with the same Pillow. Labels follow
`PRIORS`. Everything else (skin, proportions, tilt, background) varies continuously.
"""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from nijigan.aliases import Images
from nijigan.errors import UserError
from nijigan.files import folder_lock, replacing_folder
from nijigan.procedural.artist import JITTERS, TRAITS, Artist

PRIORS: dict[str, dict[str, float]] = {
    "hair": {"brown": 0.16, "blonde": 0.16, "black": 0.13, "blue": 0.12, "pink": 0.11, "purple": 0.1, "silver": 0.07,
             "green": 0.06, "red": 0.06, "orange": 0.03},
    "eyes": {"blue": 0.24, "brown": 0.17, "green": 0.15, "red": 0.13, "purple": 0.12, "yellow": 0.09, "pink": 0.06,
             "gray": 0.04},
    "style": {"long": 0.3, "short": 0.2, "bob": 0.18, "twintails": 0.14, "ponytail": 0.1, "buns": 0.08},
    "mouth": {"smile": 0.5, "open": 0.3, "neutral": 0.2},
    "glasses": {"no": 0.85, "yes": 0.15},
    "ribbon": {"no": 0.7, "yes": 0.3},
    "blush": {"no": 0.6, "yes": 0.4},
}  # fmt: skip
"""The probability of each value of each attribute. Attributes are independent."""

ATTRIBUTES: dict[str, tuple[str, ...]] = {name: tuple(shares) for name, shares in PRIORS.items()}
"""The vocabulary of every attribute."""

_OWNED = re.compile(r"metadata\.csv|\d{6,}\.jpg")
"""The files that `write_faces` writes; it keeps all others."""
_LOWER, _UPPER = np.array(list(TRAITS.values())).T


def draw_face(seed: int, resolution: int = 64, **fixed: str) -> tuple[Images, dict[str, str]]:
    """Draw one face.

    Args:
        seed: determines the face; 0 or more.
        resolution: height and width in pixels, 16 to 1024.
        fixed: attributes to set, such as hair="blue". Everything else is the same as without them.

    Returns:
        uint8, resolution×resolution×3, and the value of every attribute.

    Raises:
        UserError: an attribute or value does not exist, or a number is out of its range.
    """
    if not 16 <= resolution <= 1024:
        raise UserError(f"Faces cannot be drawn at {resolution} px; choose 16 to 1024.")
    if seed < 0:
        raise UserError(f"The seed is {seed}; choose 0 or more.")
    for name, value in fixed.items():
        if value not in ATTRIBUTES.get(name, ()):
            allowed = ATTRIBUTES.get(name, tuple(ATTRIBUTES))
            what = (
                f"{name} of a procedural face cannot be {value}"
                if name in ATTRIBUTES
                else f"Procedural faces have no {name}"
            )
            raise UserError(f"{what}; choose from {', '.join(allowed)}.")
    # One random number per choice, used or not: setting an attribute must not change the others.
    chance = np.random.Generator(np.random.PCG64(seed)).random(len(PRIORS) + len(TRAITS) + JITTERS)
    choices = zip(PRIORS.items(), chance[: len(PRIORS)].tolist(), strict=True)
    labels = {name: fixed.get(name, _choose(shares, number)) for (name, shares), number in choices}
    traits = _LOWER + (_UPPER - _LOWER) * chance[len(PRIORS) : -JITTERS]
    artist = Artist(labels, dict(zip(TRAITS, traits.tolist(), strict=True)), 2 * chance[-JITTERS:] - 1)
    return artist.draw(resolution), labels


def draw_faces(count: int, seed: int = 0, resolution: int = 64) -> tuple[Images, dict[str, list[str]]]:
    """Draw the faces of the seeds from `seed` to `seed` + `count` - 1.

    Returns:
        uint8, count×resolution×resolution×3, and the `count` values of every attribute.
    """
    images = np.empty((count, resolution, resolution, 3), np.uint8)
    labels: dict[str, list[str]] = {name: [] for name in ATTRIBUTES}
    for index in range(count):
        images[index], values = draw_face(seed + index, resolution)
        for name, value in values.items():
            labels[name].append(value)
    return images, labels


def write_faces(
    folder: Path,
    count: int,
    seed: int = 0,
    resolution: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write faces as JPEG files with their labels in `metadata.csv`, ready to import.

    Args:
        folder: the folder. Faces that were written to it before are replaced at the end; other files are kept.
        count: the number of faces.
        seed: the seed of the first face.
        resolution: height and width in pixels.
        progress: called with (faces drawn, count).
    """
    with (
        folder_lock(folder, _OWNED),
        replacing_folder(folder, _OWNED) as place,
        (place / "metadata.csv").open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow(["file_name", *ATTRIBUTES])
        for index in range(count):
            image, labels = draw_face(seed + index, resolution)
            name = f"{seed + index:06d}.jpg"
            Image.fromarray(image).save(place / name, quality=95, subsampling=0)
            table.writerow([name, *labels.values()])
            if progress:
                progress(index + 1, count)


def _choose(shares: dict[str, float], chance: float) -> str:
    """The value whose interval in [0, 1) contains `chance`."""
    for value, share in shares.items():
        if chance < share:
            return value
        chance -= share
    return next(reversed(shares))  # because of rounding, the intervals may end just below 1
