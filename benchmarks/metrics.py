"""Which scores may steer: every one of them on known flaws in known doses, and on one generator at several ages.

    python benchmarks/metrics.py --data faces [--features lite0] [--models young.safetensors old.safetensors ...]

Prints a Markdown table: a row for each flaw with its doses from least to most, a column for each score. Monotone (✓)
means that each dose is scored worse than the one before it, beginning from the floor (real training faces in the place
of drawn ones), and models better with age. Flaws are those of `sensitivity.py`.
"""

import argparse
import json
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.progress import track

from nijigan.dataset.faces import FaceDataset
from nijigan.judges.evaluation import judge_faces, real_scores, score
from nijigan.judges.feature_spaces import open_feature_space
from nijigan.judges.real import real_faces
from nijigan.pages.meanings import MEANINGS
from sensitivity import DROPPED, FLAWS, FLOOR, MODELS, sets


def main() -> None:
    """Score every set by every score, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=("val", "test"), default="test", help="the real faces")
    parser.add_argument("--n", type=int, default=1500)
    parser.add_argument("--features", default="lite0", help="see nijigan.judges.feature_spaces")
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="generators, from young to old")
    parser.add_argument("--out", type=Path, help="write every score as JSON: flaw, dose, score")
    options = parser.parse_args()
    dataset, space = FaceDataset(options.data), open_feature_space(options.features)
    real = real_faces(dataset, options.split, 64, space)
    found: dict[str, list[tuple[float | str, dict[str, float]]]] = {}
    total = 2 + sum(len(doses) for _, doses in FLAWS.values()) + len(DROPPED) + len(options.models)
    shown = track(
        sets(dataset, options.split, options.n, options.models), "Scoring", total, console=Console(stderr=True)
    )
    for flaw, dose, faces in shown:
        scores = score(judge_faces([faces], len(faces), real), real).scores
        found.setdefault(flaw, []).append((dose, {name: one.value for name, one in scores.items()}))
    floor = {name: one.value for name, one in real_scores(real, options.n).items()}
    if options.out:
        kept = {flaw: {str(dose): scores for dose, scores in doses} for flaw, doses in found.items()}
        options.out.write_text(json.dumps({"real": floor, **kept}, indent=1) + "\n")
    floors = dict(found.pop(FLOOR))
    print(f"{options.data.name}, {options.split}, {space.name}: {len(real.features)} real faces, {options.n} others.\n")
    print("| | doses | " + " | ".join(name + " ×1000" * (name == "kid") for name in floor) + " |")
    print("|---|---|" + "---|" * len(floor))
    for kind, scores in (("training", floor), ("held-out", floors["held-out"])):
        print(f"| none: real {kind} faces | | " + " | ".join(show(name, scores[name]) for name in floor) + " |")
    for flaw, doses in found.items():
        row = [flaw, " · ".join(f"{dose:g}" for dose, _ in doses)]
        for name in floor:
            values = [scores[name] for _, scores in doses]
            row.append(" · ".join(show(name, value) for value in values) + (" ✓" if monotone(
                [badness(name, value, floor[name]) for value in (values[::-1] if flaw == MODELS else values)]
            ) else " ✗"))  # fmt: skip
        print("| " + " | ".join(row) + " |")


def show(name: str, value: float) -> str:
    """Three digits; KID times 1,000."""
    return f"{value * (1000 if name == 'kid' else 1):.3g}"


def badness(name: str, value: float, floor: float) -> float:
    """How much worse than real faces: for a score without a better side, how far from them."""
    better = MEANINGS[name].better
    return (floor - value) * better if better else abs(value - floor)


def monotone(ladder: list[float]) -> bool:
    """Whether each step is worse than the one before, and the first worse than real faces."""
    return all(low < high for low, high in pairwise([0.0, *ladder]))


if __name__ == "__main__":
    main()
