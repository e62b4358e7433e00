r"""Time to quality: what recipes reach in the same time on the same machine.

    OMP_NUM_THREADS=1 python benchmarks/quality.py --data FACES --recipes sngan-hinge-small dcgan niji \
        --shares 0.25 1 --seeds 1 2 --runs DIR --out FILE.json

The unit of time, T, is what the first recipe needs for `--kimg` thousand images. First, rounds of all recipes alternate
in one process, which tells how many images each sees in T. Then every recipe trains for each share of T with each seed;
lengths follow from these rates, because schedules need to know them. The trainings take turns on one core, so that a
machine that slows down slows all of them; their CPU time is written beside their scores. A training that was
interrupted goes on when the command is given again. A row that is in the file stays, even without its run: a table can
be made in several sittings, of one recipe's shares and seeds after the other.

The scores are those of `nijigan.judges`, of generated faces that nobody selected: yield, distinguishability and KID in
both feature spaces, recall and coverage. Use `--split val` while recipes are still chosen, and test once, at the end.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median

import torch

from nijigan.dataset.faces import FaceDataset
from nijigan.generator.generator import Generator
from nijigan.judges.evaluation import generate_faces, score
from nijigan.judges.feature_spaces import open_feature_space
from nijigan.judges.real import RealFaces, real_faces
from nijigan.metrics.kid import kid
from nijigan.metrics.score import Score
from nijigan.recipe.named_recipes import find_recipe
from nijigan.tensors.numerics import fast_numerics
from nijigan.training.session import Session
from nijigan.training.trainer import finished
from scale import machine

TURN = 8.0
"""Seconds of one recipe's rounds before the next recipe has its turn."""
SLICE = 30.0
"""Seconds of one training before the next one has its turn."""
SCORES = (
    "yield", "distinguishability-lite0", "distinguishability-anime", "kid", "kid-anime", "recall", "coverage",
)  # fmt: skip


@dataclass(frozen=True)
class Training:
    """One training: a recipe for a share of T with one seed."""

    recipe: str
    share: float
    seed: int
    kimg: float

    def folder(self, runs: Path) -> Path:
        """Its run folder."""
        return runs / f"{Path(self.recipe).stem}-{self.share:g}T-seed{self.seed}"

    def command(self, runs: Path, data: Path) -> list[str]:
        """What starts it, or continues it."""
        nijigan = [sys.executable, "-m", "nijigan"]
        folder = str(self.folder(runs))
        if (self.folder(runs) / "recipe.json").exists():
            return [*nijigan, "resume", folder]
        options = {"data": data, "kimg": self.kimg, "seed": self.seed, "out": folder}
        return [*nijigan, "train", self.recipe, *(f"--{name}={value}" for name, value in options.items())]


def rates(recipes: list[str], dataset: FaceDataset, turns: int) -> dict[str, float]:
    """Images per second of CPU time by recipe: the median over turns of bare rounds, after one that warms up."""
    rounds = {name: Session.new(find_recipe(name), dataset, "cpu").rounds for name in recipes}
    found: dict[str, list[float]] = {name: [] for name in recipes}
    with fast_numerics("cpu"):
        for turn in range(turns + 1):
            for name, running in rounds.items():
                images, start = running.state.images, time.process_time()
                while time.process_time() - start < TURN:
                    running.run(10**9)
                if turn:
                    found[name].append((running.state.images - images) / (time.process_time() - start))
    return {name: median(speeds) for name, speeds in found.items()}


def train_in_turns(trainings: list[Training], runs: Path, data: Path) -> dict[Training, float]:
    """Train all that are not finished, in slices on one core; return the CPU seconds of each that ran to its end."""
    runs.mkdir(parents=True, exist_ok=True)
    core = {min(os.sched_getaffinity(0))}
    waiting = deque(training for training in trainings if not done(training.folder(runs)))
    started: dict[Training, subprocess.Popen[bytes]] = {}
    seconds: dict[Training, float] = {}
    try:
        while waiting:
            training = waiting.popleft()
            if training not in started:
                with (runs / f"{training.folder(runs).name}.out").open("ab") as log:
                    started[training] = subprocess.Popen(training.command(runs, data), stdout=log, stderr=log)
                os.sched_setaffinity(started[training].pid, core)
            os.kill(started[training].pid, signal.SIGCONT)
            used = run_slice(started[training].pid)
            if used is None:
                os.kill(started[training].pid, signal.SIGSTOP)
                waiting.append(training)
            elif done(training.folder(runs)):
                seconds[training] = used
            else:
                raise SystemExit(f"{training.folder(runs)} failed; its log is beside it.")
    finally:
        for process in started.values():
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                process.terminate()  # which saves
    return seconds


def run_slice(pid: int) -> float | None:
    """Wait for the end of a slice, or of the process; in the latter case, the CPU seconds that it used."""
    end = time.monotonic() + SLICE
    while time.monotonic() < end:
        ended, _, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return usage.ru_utime + usage.ru_stime
        time.sleep(0.2)
    return None


def done(folder: Path) -> bool:
    """Whether there is a finished run in a folder."""
    return (folder / "recipe.json").exists() and finished(folder)


def judge(generator: Generator, real: RealFaces, n: int) -> dict[str, Score]:
    """The scores of n generated faces."""
    faces = generate_faces(generator, real, n)
    found = score(faces, real).scores | {"kid-anime": kid(real.seen.anime, faces.anime)}
    return {name: found[name] for name in SCORES}


def table(rows: list[dict[str, object]]) -> str:
    """Markdown: one row for each training."""
    head = "| recipe | time | seed | kimg | CPU s | split | " + " | ".join(SCORES) + " |"
    lines = [head, "|---" * (6 + len(SCORES)) + "|"]
    for row in rows:
        scores: dict[str, dict[str, float]] = row["scores"]  # type: ignore[assignment]
        seconds = "" if row["cpu_seconds"] is None else f"{row['cpu_seconds']:.0f}"
        cells = [f"{scores[name]['value'] * (1000 if name.startswith('kid') else 1):.3f}" for name in SCORES]
        lines.append(
            f"| {row['recipe']} | {row['share']:g} T | {row['seed']} | {row['kimg']:.1f} | {seconds} | "
            f"{row['split']} | "
            + " | ".join(cells) + " |"
        )  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="the dataset")
    parser.add_argument("--recipes", nargs="+", required=True, help="names or files; the first one defines T")
    parser.add_argument("--kimg", type=float, default=100.0, help="T: the length of the first recipe")
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0], help="lengths as shares of T")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=5, help="turns in which speed is measured")
    parser.add_argument("--split", default="val", choices=("val", "test"))
    parser.add_argument("--n", type=int, default=2000, help="faces to judge")
    parser.add_argument("--runs", type=Path, required=True, help="where the runs go")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    options = parser.parse_args()

    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # not without ending the trainings
    dataset = FaceDataset(options.data)
    known = json.loads(options.out.read_text()) if options.out.exists() else {}
    speed: dict[str, float] = known.get("images_per_second", {})
    if set(options.recipes) - set(speed):
        speed = rates(options.recipes, dataset, options.turns)
    trainings = [
        Training(name, share, seed, round(options.kimg * share * speed[name] / speed[options.recipes[0]], 1))
        for name, share, seed in product(options.recipes, options.shares, options.seeds)
    ]
    record = {"machine": machine(), "threads": 1, "images_per_second": speed, "kimg": options.kimg,
              "rows": known.get("rows", [])}  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1))  # the speed, so that lengths stay if this is interrupted
    rows = record["rows"]
    how = {"dataset": dataset.path.name, "fingerprint": dataset.fingerprint, "split": options.split, "n": options.n}
    judged = [Training(row["recipe"], row["share"], row["seed"], row["kimg"]) for row in rows
              if {name: row[name] for name in how} == how]  # fmt: skip
    fresh = [training for training in trainings if training not in judged]
    seconds = train_in_turns(fresh, options.runs, options.data)

    real = real_faces(dataset, options.split, find_recipe(options.recipes[0]).resolution, open_feature_space("lite0"))
    for training in fresh:
        scores = judge(Generator.load(training.folder(options.runs) / "last.safetensors"), real, options.n)
        spent = {"cpu_seconds": seconds.get(training)}
        rows.append(asdict(training) | how | spent | {"scores": {name: asdict(s) for name, s in scores.items()}})
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
