"""What each feature space sees of what generators get wrong: known flaws in known doses, done to real faces.

    python benchmarks/sensitivity.py --data faces/getchu [--split test] [--models young.safetensors old.safetensors ...]

Prints two Markdown tables. The first has a row for each flaw, its doses from least to most, and under each space KID
and the Fréchet distance to the real faces at each dose. ✓: the score grows with every dose, beginning from the floor
(real training faces in the place of drawn ones); ✗: it does not. Models are listed from young to old, and their scores
should fall.

The second says how plainly each space sees the least dose (of models: the oldest): how far its KID stands above the
floor, in standard errors of the floor. Unlike KIDs themselves, these compare between spaces.

Flawed faces are training faces, so that they and the reals have nothing but their kind in common. A network trained on
training faces might know them; the row of held-out faces shows whether it does. Every row has `--n` faces
on both sides.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.progress import track
from scipy.cluster.vq import kmeans2
from scipy.ndimage import gaussian_filter, map_coordinates

from damage import STRUCTURAL, Flaw, to_uint8
from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.generator.generator import Generator
from nijigan.judges.feature_spaces import FeatureSpace, open_feature_space
from nijigan.metrics.frechet import frechet_distance, moments
from nijigan.metrics.kid import kid
from nijigan.metrics.score import Score
from nijigan.pictures import resize

Floats = npt.NDArray[np.float32]
CLUSTERS = 12
FLOOR, MODELS = "floor", "models, kimg"


def noise(faces: Images, sigma: float, random: np.random.Generator) -> Images:
    """Add Gaussian noise with a standard deviation of `sigma` grey levels."""
    return to_uint8(faces + random.normal(0, sigma, faces.shape))


def blur(faces: Images, sigma: float, random: np.random.Generator) -> Images:
    """Blur with a Gaussian of `sigma` pixels."""
    return to_uint8(gaussian_filter(faces.astype(np.float32), (0, sigma, sigma, 0)))


def warp(faces: Images, pixels: float, random: np.random.Generator) -> Images:
    """Displace by a smooth random field, another for each face, whose root mean square is `pixels`."""
    field = gaussian_filter(random.normal(size=(len(faces), 2, *faces.shape[1:3])), (0, 0, 6, 6))
    field *= pixels / np.sqrt((field**2).sum(1).mean((1, 2)))[:, None, None, None]
    places = np.indices(faces.shape[1:3]) + field
    warped = [
        np.stack([map_coordinates(face[..., c], at, np.float32, mode="reflect") for c in range(3)], -1)
        for face, at in zip(faces, places, strict=True)
    ]
    return to_uint8(np.stack(warped))


def halves(faces: Images, percent: float, random: np.random.Generator) -> Images:
    """Give `percent` of the faces the right half of another."""
    mixed, count, middle = faces.copy(), round(len(faces) * percent / 100), faces.shape[2] // 2
    mixed[:count, :, middle:] = np.roll(faces, 1, 0)[:count, :, middle:]
    return mixed


def fade(faces: Images, percent: float, random: np.random.Generator) -> Images:
    """Take `percent` of the contrast away, towards mid-grey."""
    return to_uint8(127.5 + (faces - 127.5) * (1 - percent / 100))


def chequer(faces: Images, levels: float, random: np.random.Generator) -> Images:
    """Lay over a chequerboard of single pixels, ± `levels`: what transposed convolutions leave behind."""
    board = np.indices(faces.shape[1:3]).sum(0) % 2 * 2 - 1
    return to_uint8(faces + levels * board[:, :, None])


FLAWS: dict[str, tuple[Flaw, Sequence[float]]] = {
    "noise, σ in grey levels": (noise, (10, 20, 40, 60)),
    "blur, σ in px": (blur, (0.5, 1, 2)),
    "smooth warp, px": (warp, (1, 2, 4)),
    "half-and-half, % of faces": (halves, (25, 50, 100)),
    "contrast lost, %": (fade, (10, 20, 40)),
    "chequerboard, ± grey levels": (chequer, (4, 8, 16)),
    **STRUCTURAL,
}
DROPPED = (25, 50)


def modes(faces: Images, random: np.random.Generator) -> npt.NDArray[np.intp]:
    """Rows of the faces sorted by mode, modes in random order.

    Modes are k-means clusters of the faces at 8×8 pixels, a space that favours none of the judged.
    """
    tiny = np.stack([np.asarray(resize(Image.fromarray(face), 8, 8)).ravel() for face in faces]).astype(np.float64)
    _, cluster = kmeans2(tiny, CLUSTERS, minit="++", rng=random)
    return np.lexsort((random.permutation(len(faces)), random.permutation(CLUSTERS)[cluster]))


def sets(dataset: FaceDataset, split: str, n: int, models: list[Path]) -> Iterator[tuple[str, float | str, Images]]:
    """Every set of faces to score: flaw, dose, faces."""
    train, random = dataset.pixels("train", 64), np.random.default_rng(0)
    faces = np.asarray(train[np.sort(random.choice(len(train), n, replace=False))])
    faces = faces[random.permutation(n)]
    yield FLOOR, "training", faces
    yield FLOOR, "held-out", np.asarray(dataset.pixels("val" if split == "test" else "test", 64)[:n])
    for flaw, (apply, doses) in FLAWS.items():
        for dose in doses:
            yield flaw, dose, apply(faces, dose, np.random.default_rng(1))
    order = modes(train, random)
    for dose in DROPPED:
        left = order[round(len(train) * dose / 100) :]
        yield "modes dropped, % of faces", dose, np.asarray(train[np.sort(random.choice(left, n, replace=False))])
    for path in models:
        generator = Generator.load(path)
        yield MODELS, round(generator.header.kimg), generator.sample(n)


def cell(scores: list[Score], floor: float, scale: float, falls: bool) -> str:
    """The scores of one flaw's doses, and whether they follow the doses."""
    values = [score.value * scale for score in scores]
    ladder = values[::-1] if falls else values
    right = all(low < high for low, high in pairwise([floor * scale, *ladder]))
    return " · ".join(f"{value:.3g}" for value in values) + (" ✓" if right else " ✗")


def print_tables(spaces: list[FeatureSpace], results: dict[str, dict[float | str, list[tuple[Score, Score]]]]) -> None:
    """Print both tables."""
    print("| flaw | doses | " + " | ".join(f"KID-{s.name} ×1000 | FD-{s.name}" for s in spaces) + " |")
    print("|---|---|" + "---|---|" * len(spaces))
    floors = results[FLOOR]["training"]
    for kind, scores in results.pop(FLOOR).items():
        figures = " | ".join(f"{k.value * 1000:.3g} | {f.value:.3g}" for k, f in scores)
        print(f"| none: real {kind} faces | | {figures} |")
    for flaw, doses in results.items():
        row = [flaw, " · ".join(f"{dose:g}" for dose in doses)]
        for i, (kid_floor, fd_floor) in enumerate(floors):
            kids, fds = zip(*(scores[i] for scores in doses.values()), strict=True)
            falls = flaw == MODELS
            row += [cell(list(kids), kid_floor.value, 1000, falls), cell(list(fds), fd_floor.value, 1, falls)]
        print("| " + " | ".join(row) + " |")

    print("\n| least dose | " + " | ".join(space.name for space in spaces) + " |")
    print("|---|" + "---|" * len(spaces))
    for flaw, doses in results.items():
        dose, scores = list(doses.items())[-1 if flaw == MODELS else 0]
        row = []
        for (score, _), (floor, _) in zip(scores, floors, strict=True):
            assert floor.low is not None
            assert floor.high is not None
            row.append(f"{(score.value - floor.value) / ((floor.high - floor.low) / 2 / 1.96):.1f}")
        print(f"| {flaw}: {dose:g} | " + " | ".join(row) + " |")


def main() -> None:
    """Score every set in every space, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=("val", "test"), default="test", help="the real faces")
    parser.add_argument("--n", type=int, default=1500)
    parser.add_argument("--spaces", nargs="+", default=["lite0", "anime"], help="see nijigan.judges.feature_spaces")
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="generators, from young to old")
    options = parser.parse_args()

    dataset = FaceDataset(options.data)
    real = np.asarray(dataset.pixels(options.split, 64)[: options.n])
    spaces = [open_feature_space(name) for name in options.spaces]
    references = [space.extract(real) for space in spaces]
    real_moments = [moments(reference) for reference in references]
    results: dict[str, dict[float | str, list[tuple[Score, Score]]]] = {}
    total = 2 + sum(len(doses) for _, doses in FLAWS.values()) + len(DROPPED) + len(options.models)
    scored = sets(dataset, options.split, len(real), options.models)
    for flaw, dose, faces in track(scored, "Scoring", total, console=Console(stderr=True)):
        scores = []
        for space, reference, known in zip(spaces, references, real_moments, strict=True):
            features = space.extract(faces)
            scores.append((kid(reference, features), Score(frechet_distance(moments(features), known))))
        results.setdefault(flaw, {})[dose] = scores
    print(f"{options.data.name}, {options.split}: {len(real)} real faces, {len(real)} others in every row.\n")
    print_tables(spaces, results)


if __name__ == "__main__":
    main()
