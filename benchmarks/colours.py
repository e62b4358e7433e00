"""Fit the reader of hair and eye colours to people's tags, and measure it: how `assets/colours.json` came to be.

    nijigan import konachan-96-tagged.zip --tags tags.csv --out faces/konachan
    python benchmarks/train_colours.py --data faces/konachan --out src/nijigan/assets/colour-net.safetensors
    python benchmarks/colours.py fit --data faces/konachan --out src/nijigan/assets/colours.json
    python benchmarks/colours.py measure --data faces/konachan --split val test --plots docs/images

`fit` sees the training split alone: counts of colours are fitted to nine in ten of its tagged faces, which the network
has learnt from, and the tenth says how far to trust the two. `measure` reads held-out faces with what ships, counts
every face that it leaves unread as wrong, and draws the confusion matrices as `hair-confusion.png` and
`eyes-confusion.png`.
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.cluster.vq import kmeans2
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from nijigan.dataset.faces import FaceDataset
from nijigan.files import replacing, write_text
from nijigan.vision.anatomy import SIDE, find_anatomy
from nijigan.vision.colour_names import VALUES
from nijigan.vision.colour_net import colour_logits
from nijigan.vision.colours import (
    EMPHASIS,
    MIN_CONFIDENCE,
    ColourModel,
    PartModel,
    Reading,
    describe,
    oklab,
    read_colours,
)

Array = npt.NDArray[Any]
CELL = 2  # samples along a side of a cell of the map of places
SHARPNESS = {"hair": 3, "eyes": 2}  # power that a cell's explained variance is raised to: more and the part is narrower
COLOURS, SOFTNESS = 64, 0.042
DECAY = 3e-3


def tagged(dataset: FaceDataset, split: str) -> tuple[Array, dict[str, Array]]:
    """Rows of the faces of a split that bear both tags, and their codes in `VALUES`."""
    labels = dataset.labels(split)
    rows = np.flatnonzero(np.all([labels[name] >= 0 for name in VALUES], 0))
    codes = {}
    for name, words in VALUES.items():
        codes[name] = np.array([words.index(word) for word in dataset.attributes[name]])[labels[name][rows]]
    return rows, codes


def held_back(count: int) -> Array:
    """Which of so many faces nothing is fitted to but how far to trust the network and the counts of colours."""
    return np.arange(count) % 10 == 0


def explained(samples: Array, codes: Array) -> Array:
    """How much of the variance of each cell's colour the tags explain (η²), mirrored and averaged: S/2×S/2.

    Args:
        samples: F×N×S×S×4, the frames of F faces.
        codes: their tags.
    """
    frames, side = samples.shape[1], samples.shape[2] // CELL
    cells = oklab(samples[..., :3]).reshape(-1, side, CELL, side, CELL, 3).mean((2, 4)) * EMPHASIS
    seen = (samples[..., 3] == 255).reshape(-1, side, CELL, side, CELL).all((2, 4))
    codes = np.repeat(codes, frames)
    shares = np.zeros((side, side))
    for place in np.ndindex(side, side):
        colours, tags = cells[:, *place][seen[:, *place]], codes[seen[:, *place]]
        between = 0.0
        for tag in np.unique(tags):
            chosen = colours[tags == tag]
            between += len(chosen) * np.square(chosen.mean(0) - colours.mean(0)).sum()
        shares[place] = between / np.square(colours - colours.mean(0)).sum()
    return (shares + shares[:, ::-1]) / 2 if frames == 1 else shares


def fit_palette(parts: dict[str, Array]) -> Array:
    """K-means of as many samples of the head as of the eyes."""
    random = np.random.default_rng(0)
    chosen = []
    for samples in parts.values():
        seen = samples[samples[..., 3] == 255]
        chosen.append(seen[random.choice(len(seen), 20_000, replace=False), :3])
    colours = (oklab(np.concatenate(chosen)) * EMPHASIS).astype(np.float64)
    return kmeans2(colours, COLOURS, iter=20, minit="++", rng=random)[0].round(3).astype(np.float32)


def fit_weights(x: Array, y: Array, classes: int) -> tuple[Array, Array]:
    """Multinomial logistic regression with weight decay, which does not fall on the biases: classes×2·K, classes.

    It is fitted to histograms about their mean, at one scale for all, so that the decay treats every colour alike.
    """
    mean, scale = x.mean(0), x.std(0).mean()
    x = np.concatenate([(x - mean) / scale, np.ones((len(x), 1))], 1)
    truth = np.eye(classes)[y]

    def loss(flat: Array) -> tuple[float, Array]:
        w = flat.reshape(classes, -1)
        logits = x @ w.T
        decayed = w * (np.arange(x.shape[1]) < x.shape[1] - 1)
        value = -(truth * log_softmax(logits, 1)).sum() / len(x) + DECAY / 2 * np.square(decayed).sum()
        return value, ((softmax(logits, 1) - truth).T @ x / len(x) + DECAY * decayed).ravel()

    w = minimize(loss, np.zeros(classes * x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    weights, bias = w.reshape(classes, -1)[:, :-1] / scale, w.reshape(classes, -1)[:, -1]
    return weights, bias - weights @ mean


def fit_trust(logits: Sequence[Array], y: Array) -> tuple[float, float]:
    """By what to multiply logits (each N×K) before they are added, so that the chances of N truths are greatest."""

    def loss(trust: Array) -> float:
        total = sum(share * one for share, one in zip(trust, logits, strict=True))
        return -float(log_softmax(total, 1)[np.arange(len(y)), y].mean())

    best = minimize(loss, np.full(len(logits), 0.5), method="L-BFGS-B", bounds=[(0, None)] * len(logits))
    counts, network = best.x.round(2).tolist()
    return counts, network


def rounded(array: Array, digits: int) -> list[Any]:
    """As nested lists, in numbers that are short as text."""
    return array.astype(np.float64).round(digits).tolist()


def fit(options: argparse.Namespace) -> None:
    """Fit everything to the training split, cross-validate, write the model."""
    dataset = FaceDataset(options.data)
    rows, codes = tagged(dataset, "train")
    pixels = dataset.pixels("train", SIDE)
    with ThreadPoolExecutor() as threads:
        anatomies = list(threads.map(lambda row: find_anatomy(pixels[row]), rows))
    found = np.array([anatomy is not None for anatomy in anatomies])
    parts = {name: np.stack([getattr(one, name) for one in anatomies if one is not None]) for name in VALUES}
    held = held_back(len(rows))[found]
    seen = [colour_logits(pixels[row]) for row in rows[found][held]]
    print(f"train: {len(rows):,} tagged faces, {found.mean():.1%} found")
    palette = fit_palette({name: samples[~held] for name, samples in parts.items()})
    models = {}
    for name, words in VALUES.items():
        y = codes[name][found]
        place = explained(parts[name][~held], y[~held])
        place = ((place / place.max()) ** SHARPNESS[name]).round(2).astype(np.float32)
        x = np.stack([describe(samples, place, palette, SOFTNESS) for samples in parts[name]]).astype(np.float64)
        weights, bias = fit_weights(x[~held], y[~held], len(words))
        logits = [x[held] @ weights.T + bias, np.stack([one[name] for one in seen])]
        trust = fit_trust(logits, y[held])
        both = trust[0] * logits[0] + trust[1] * logits[1]
        right = [f"{np.mean(one.argmax(1) == y[held]):.3f}" for one in (*logits, both)]
        print(f"\n{name}, {held.sum():,} faces: right by counts {right[0]}, by the network {right[1]}, "
              f"by both {right[2]} (trust {trust[0]:.2f} and {trust[1]:.2f})")  # fmt: skip
        reliability(softmax(both, 1).max(1), both.argmax(1) == y[held])
        models[name] = PartModel(
            place=tuple(map(tuple, rounded(place, 2))),
            bias=dict(zip(words, rounded(bias, 2), strict=True)),
            weights={word: tuple(row) for word, row in zip(words, rounded(weights, 2), strict=True)},
            trust=trust,
        )
    model = ColourModel(
        fitted_on=f"{dataset.path.name} {dataset.fingerprint[:16]}, {(~held).sum():,} faces",
        palette=tuple(map(tuple, rounded(palette, 3))),
        softness=SOFTNESS,
        parts=models,
    )
    text = json.dumps(asdict(model), indent=1)
    text = re.sub(r"\[[^][{}]*\]", lambda row: re.sub(r"\s+", "", row[0]).replace(",", ", "), text)  # numbers in rows
    write_text(options.out, text + "\n")
    print(f"{options.out}: {options.out.stat().st_size / 1e3:.0f} kB")


def reliability(confidence: Array, right: Array, least: float = 0.0) -> None:
    """Print how often readings are right by their confidence, and at which threshold how many are, from `least` on."""
    print("| confidence | faces | mean confidence | right |\n|---|---|---|---|")
    for low in (tenth / 10 for tenth in range(10) if tenth / 10 >= least):
        here = (confidence >= low) & (confidence < low + 0.1 + (low > 0.85))
        if here.any():
            means = f"{confidence[here].mean():.3f} | {right[here].mean():.3f}"
            print(f"| {low:.1f} to {low + 0.1:.1f} | {here.sum()} | {means} |")
    print("| read at confidence ≥ | faces read | right of these | right of all |\n|---|---|---|---|")
    for low in (bound for bound in (0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9) if bound >= least):
        read = confidence >= low
        print(f"| {low:.1f} | {read.mean():.3f} | {right[read].mean():.3f} | {(read & right).mean():.3f} |")


def measure(options: argparse.Namespace) -> None:
    """Read held-out faces as a user would, and count."""
    dataset = FaceDataset(options.data)
    readings: list[dict[str, Reading]] = []
    truth: dict[str, list[Array]] = {name: [] for name in VALUES}
    clock, cpu = time.perf_counter(), time.process_time()
    for split in options.split:
        rows, codes = tagged(dataset, split)
        pixels = np.asarray(dataset.pixels(split, SIDE)[rows])
        with ThreadPoolExecutor() as threads:
            readings += threads.map(read_colours, pixels)
        for name in VALUES:
            truth[name].append(codes[name])
    cpu, clock, count = time.process_time() - cpu, time.perf_counter() - clock, len(readings)
    rates = f"{count / clock:.0f} a second, {count / cpu:.0f} a CPU second"
    print(f"{' and '.join(options.split)}: {count:,} faces, {rates}")
    for name, words in VALUES.items():
        y = np.concatenate(truth[name])
        values = [reading[name].value for reading in readings]
        codes = np.array([words.index(value) if value else len(words) for value in values])
        confusion = np.zeros((len(words), len(words) + 1), np.int64)
        np.add.at(confusion, (y, codes), 1)
        recall = np.diag(confusion) / confusion.sum(1)
        read = codes < len(words)
        print(f"\n{name}: right {(codes == y).mean():.3f} (unread is wrong), mean over classes {recall.mean():.3f}, "
              f"read {read.mean():.3f}, right of these {(codes == y)[read].mean():.3f}")  # fmt: skip
        print(" · ".join(f"{word} {share:.2f}" for word, share in zip(words, recall, strict=True)))
        reliability(np.array([reading[name].confidence for reading in readings]), codes == y, MIN_CONFIDENCE)
        if options.plots:
            title = f"{name}, {count:,} held-out faces"
            draw_confusion(options.plots / f"{name}-confusion.png", title, words, confusion)


def draw_confusion(path: Path, title: str, words: Sequence[str], confusion: Array) -> None:
    """Draw tags against readings, each row in per cent of its faces."""
    shares = 100 * confusion / confusion.sum(1, keepdims=True)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.5:
            colour = "white" if share > 55 else "black"
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axes.axvline(len(words) - 0.5, color="gray", lw=0.8)
    axes.set_xticks(range(len(words) + 1), [*words, "unread"], rotation=45, ha="right")
    axes.set_yticks(range(len(words)), [f"{w} ({n})" for w, n in zip(words, confusion.sum(1), strict=True)])
    axes.set_xlabel("read")
    axes.set_ylabel("tagged (faces)")
    axes.set_title(f"{title}, % of each row", fontsize=10)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def main() -> None:
    """Fit or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(required=True)
    fitting: argparse.ArgumentParser = actions.add_parser("fit")
    fitting.add_argument("--out", type=Path, required=True, help="the model, a .json file")
    measuring: argparse.ArgumentParser = actions.add_parser("measure")
    measuring.add_argument("--split", nargs="+", choices=("val", "test"), default=["val"])
    measuring.add_argument("--plots", type=Path, help="folder for the confusion matrices")
    action: Callable[[argparse.Namespace], None]
    for subparser, action in ((fitting, fit), (measuring, measure)):
        subparser.add_argument("--data", type=Path, required=True, help="a dataset with tags for hair and eyes")
        subparser.set_defaults(action=action)
    options = parser.parse_args()
    options.action(options)


if __name__ == "__main__":
    main()
