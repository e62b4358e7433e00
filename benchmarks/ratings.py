"""Which scores agree with ratings by eye, on generators that the judge of yield has not seen.

    OMP_NUM_THREADS=2 python benchmarks/ratings.py --data runs/faces64 runs/konachan [--out results/ratings]

Reads the verdicts in `results/ratings`. For each generator, the judge of yield is fitted to the faces of all others, as
by `train_quality.py`: once without the generator itself, once without all generators of its run, and once without the
ballots of the grids in `results`, which were rated last. Prints, and writes as `table.json`:

- the shares kept by eye and by the fit, their mean absolute error and rank correlation, and the area under the curve;
- for every score its rank correlation with the yield by eye over all generators, and the 95 % interval of that over
  draws of generators with replacement. Scores compare the rated faces with validation faces of the first dataset, at
  64 px. Only 64 faces of a generator count towards the scores that depend on their number.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.stats import rankdata, spearmanr

from nijigan.aliases import Images
from nijigan.dataset.faces import FaceDataset
from nijigan.judges.feature_spaces import open_feature_space
from nijigan.judges.manifold_yield import open_manifold
from nijigan.judges.quality import look
from nijigan.judges.real import NEIGHBOURS, real_faces
from nijigan.metrics.frechet import frechet_distance, moments
from nijigan.metrics.kid import kid
from nijigan.metrics.neighbours import diversity, manifold_scores, radii
from nijigan.metrics.two_sample import distinguishability
from nijigan.pictures import resize
from rated_faces import EXTRA, RatedFaces, agreements, rated_faces
from train_quality import Floats, Lessons, both_ways, rated_lessons, unrated_lessons

Doubles = npt.NDArray[np.float64]
LAST_BALLOTS = (4, 5)  # of the grids
FEW = 64  # faces of each generator for scores that depend on their number
LOWER = ("kid", "fd", "distinguishability")  # scores by which less is better
DRAWS = 2000
LEAST = 0.1  # share kept by eye: the others are easy to tell from good generators


def held_out(rated: RatedFaces, described: Floats, more: Lessons, groups: npt.NDArray[np.str_]) -> Doubles:
    """For each face, the chance of being kept by a fit that has not seen its group."""
    chances = np.zeros(len(groups))
    for group in np.unique(groups):
        unseen = groups == group
        fit = (rated_lessons(rated, described, ~unseen) + more).fit()
        chances[unseen] = 1 / (1 + np.exp(-fit.logits(described[: len(groups)][unseen])))
    return chances


def area(scores: Doubles, good: npt.NDArray[np.bool_]) -> float:
    """The area under the curve: the chance that a good face has the higher score."""
    ranks, count = rankdata(scores), int(good.sum())
    return float((ranks[good].sum() - count * (count + 1) / 2) / (count * (len(good) - count)))


def summary(rated: RatedFaces, chances: Doubles, rows: npt.NDArray[np.bool_]) -> dict[str, object]:
    """How well chances predict the verdicts in some rows."""
    rows = rows & ~np.isin(rated.generators, EXTRA)
    names = sorted(set(rated.generators[rows & rated.fake].tolist()))
    by_eye = [float(rated.kept[rows & (rated.generators == name)].mean()) for name in names]
    fitted = [float(chances[rows & (rated.generators == name)].mean()) for name in names]
    generated, real = rows & rated.fake, rows & ~rated.fake
    return {
        "generators": len(names),
        "area": area(chances[generated], rated.kept[generated] > 0.5),
        "mean absolute error": float(np.abs(np.subtract(fitted, by_eye)).mean()),
        "rank correlation": float(spearmanr(fitted, by_eye)[0]),
        "real faces": float(chances[real].mean()),
        "shares": dict(zip(names, fitted, strict=True)),
    }


def scores_of(rated: RatedFaces, data: Path) -> dict[str, dict[str, float]]:
    """Every score of every rated generator but the yield of today: score → generator → value."""
    dataset = FaceDataset(data)
    lite0 = open_feature_space("lite0")
    real = real_faces(dataset, "val", 64, lite0)
    manifold = open_manifold(dataset, 64, lite0)
    sides = {"lite0": real.seen.lite0, "anime": real.seen.anime}
    found: dict[str, dict[str, float]] = {}
    for name in rated.names():
        faces = np.stack([_at_64(rated.images[row]) for row in np.flatnonzero(rated.generators == name)])
        seen = look(faces)
        values = {"yield-manifold": manifold.judge(faces, seen.lite0).value,
                  "realism": float(np.median(manifold.realism(seen.lite0)))}  # fmt: skip
        for space, features in (("lite0", seen.lite0), ("anime", seen.anime)):
            against = sides[space]
            many = manifold_scores(against, radii(against, NEIGHBOURS), features, NEIGHBOURS)
            few = manifold_scores(against, radii(against, NEIGHBOURS), features[:FEW], NEIGHBOURS)
            values |= {
                f"kid-{space}": kid(against, features).value,
                f"fd-{space}": frechet_distance(moments(features[:FEW]), moments(against)),
                f"distinguishability-{space}": distinguishability(against, features[:FEW]).value,
                **{f"{score}-{space}": many[score].value for score in ("precision", "density")},
                **{f"{score}-{space}": few[score].value for score in ("recall", "coverage")},
                f"diversity-{space}": diversity(against, features).value,
            }
        for score, value in values.items():
            found.setdefault(score, {})[name] = value
    return found


def former_shares(rated: RatedFaces, data: Path) -> dict[str, dict[str, float]]:
    """How well the two shares of faces that version 0.1 knew predict the verdicts: precision, and its yield.

    The area of single faces is that of realism for the yield, whose other check, the detector, says only yes or no; and
    of the number of real balls that contain a face, which is above 0 for precision.
    """
    dataset, lite0 = FaceDataset(data), open_feature_space("lite0")
    against = np.asarray(real_faces(dataset, "val", 64, lite0).features)
    manifold, reach = open_manifold(dataset, 64, lite0), radii(against, NEIGHBOURS)
    rows = np.flatnonzero(rated.fake & ~np.isin(rated.generators, EXTRA))
    features = look(np.stack([_at_64(rated.images[row]) for row in rows])).lite0
    squares = (features**2).sum(1)[:, None] + (against**2).sum(1) - 2 * features @ against.T
    balls = (squares < reach**2).sum(1)
    good = rated.kept[rows] > 0.5
    return {
        "yield-manifold": {"area": area(manifold.realism(features), good)},
        "precision-lite0": {"area": area(balls, good)},
    }


def _at_64(face: Images) -> Images:
    return face if face.shape[0] == 64 else np.asarray(resize(Image.fromarray(face), 64, 64))


def correlations(
    scores: dict[str, dict[str, float]], by_eye: dict[str, float], least: float = 0.0
) -> dict[str, list[float]]:
    """Each score's rank correlation with the yield by eye, and its 95 % interval; highest first.

    Only generators of which people keep at least `least` count.
    """
    random, names = np.random.default_rng(0), sorted(name for name, share in by_eye.items() if share >= least)
    draws = random.integers(len(names), size=(DRAWS, len(names)))
    eye = np.array([by_eye[name] for name in names])
    table = {}
    for score, of in scores.items():
        values = np.array([of[name] for name in names]) * (-1 if score.startswith(LOWER) else 1)
        found = [spearmanr(values[draw], eye[draw])[0] for draw in draws if np.ptp(values[draw]) and np.ptp(eye[draw])]
        table[score] = [float(spearmanr(values, eye)[0]), *map(float, np.quantile(found, (0.025, 0.975)))]
    return dict(sorted(table.items(), key=lambda item: -item[1][0]))


def main() -> None:
    """Print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rated = rated_faces(options.data)
    described, more = both_ways(rated.images), unrated_lessons(options.data)
    # Faces of EXTRA are those of the generator `packaged`.
    groups = np.where(np.isin(rated.generators, EXTRA), "packaged", rated.generators)
    every, last = np.ones(len(groups), np.bool_), np.isin(rated.batches, LAST_BALLOTS)
    seen = set(groups[~last].tolist())
    chances = held_out(rated, described, more, groups)
    table: dict[str, object] = {"faces": int(rated.fake.sum()), "real faces": int((~rated.fake).sum())}
    table["agreement"] = agreements()
    table["by eye"] = by_eye = rated.by_eye()
    table["without the generator"] = unseen = summary(rated, chances, every)
    table["without its run"] = summary(rated, held_out(rated, described, more, rated.runs), every)
    fit = (rated_lessons(rated, described, ~last) + more).fit()
    fresh = 1 / (1 + np.exp(-fit.logits(described[: len(last)])))
    table["without the last ballots"] = summary(
        rated, fresh, last & (np.array([name not in seen for name in groups]) | ~rated.fake)
    )
    scores = {"yield": dict(unseen["shares"]), **scores_of(rated, options.data[0])}  # type: ignore[call-overload]
    table["former shares"] = former = former_shares(rated, options.data[0])
    for name, found in former.items():
        found["mean absolute error"] = float(np.mean([abs(scores[name][g] - share) for g, share in by_eye.items()]))
    table["rank correlation with the yield by eye"] = correlations(scores, by_eye)
    table[f"the same from {LEAST:.0%} on"] = correlations(scores, by_eye, LEAST)
    table["scores"] = scores
    text = json.dumps(table, indent=1)
    print(text)
    if options.out:
        (options.out / "table.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
