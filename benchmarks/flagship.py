r"""The long training of `niji`, in pieces: from one pair to the next, by one command on any machine.

    python benchmarks/flagship.py --data FACES --runs DIR --start-from results/niji/0510 --kimg 250
    python benchmarks/flagship.py --data FACES --runs DIR --start-from results/niji/0510 --minutes 10 --device cuda

A piece trains at a constant rate; with `--tail` it falls to 0 over the last fifth. One that starts from another has the
settings of the last piece, class weight 0.3 and no augmentation. Pairs before 0510 have a wider generator: add
`-- --generator.width 24 --generator.max-width 384`. An interrupted piece goes on when the command is given again. It
leaves `results/niji/NNNN`, whose name is the number of thousand images seen since the beginning: the pair in half
precision to go on from, the recipe, the log and one grid.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

from nijigan.runs import read_log
from nijigan.training.trainer import finished
from nijigan.training.transfer.pair import write_pair

OUT = Path(__file__).parents[1] / "results" / "niji"
NIJIGAN = [sys.executable, "-m", "nijigan"]
EVALUATE = 50
"""Thousand images between evaluations."""
AS_BEFORE = ["--augment.p", "0", "--augment.ramp-kimg", "0", "--condition.weight", "0.3"]
"""Settings of the last piece."""


def train(options: argparse.Namespace, run: Path) -> None:
    """Train one piece to its end, from its start or from where it was interrupted."""
    if (run / "recipe.json").exists():
        if not finished(run):
            subprocess.run([*NIJIGAN, "resume", str(run), "--device", options.device], check=True)
        return
    length = ["--minutes", str(options.minutes)] if options.minutes else ["--kimg", str(options.kimg)]
    schedule = "tail" if options.tail else "constant"
    start = [*AS_BEFORE, "--start-from", str(options.start_from)] if options.start_from else []
    settings = ["--lr-schedule", schedule, "--evaluate-every", str(EVALUATE), "--seed", str(options.seed)]
    where = ["--data", str(options.data), "--out", str(run), "--device", options.device]
    subprocess.run([*NIJIGAN, "train", "niji", *where, *length, *settings, *start, *options.set], check=True)


def keep(run: Path, before: int) -> Path:
    """Copy what the project keeps of a piece; `before` is the kimg that its start had seen."""
    log = read_log(run)
    folder = OUT / f"{before + round(log[-1]['kimg']):04}"
    if folder.exists():
        raise SystemExit(f"{folder} exists; move it away, or train this piece for another length.")
    write_pair(run, folder, half=True)
    shutil.copy(run / "recipe.json", folder)
    shutil.copy(run / "log.jsonl", folder)
    grid = max((run / "samples").glob("kimg-*.png"))
    Image.open(grid).save(folder / "grid.webp", quality=80, method=6)
    return folder


def main() -> None:
    """Read the options, train, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="the dataset")
    parser.add_argument("--runs", type=Path, required=True, help="where the run goes")
    parser.add_argument("--start-from", type=Path, help="a folder of results/niji; default: random weights")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--kimg", type=float, help="length in thousand images")
    length.add_argument("--minutes", type=float, help="length in minutes")
    parser.add_argument("--tail", action="store_true", help="let the rate fall to 0: the last piece")
    parser.add_argument("--seed", type=int, default=1, help="a new one for each piece")
    parser.add_argument("--device", default="auto")
    parser.add_argument("set", nargs="*", help="after --: other options of nijigan train")
    options = parser.parse_args()
    if options.start_from and not options.start_from.name.isdecimal():
        parser.error(f"--start-from {options.start_from}: name a folder of results/niji, which is a number.")
    before = int(options.start_from.name) if options.start_from else 0
    length_name = f"{options.minutes:g}min" if options.minutes else f"{options.kimg:g}kimg"
    run = options.runs / f"niji-{before:04}-{length_name}{'-tail' * options.tail}-seed{options.seed}"
    train(options, run)
    print(json.dumps({"kept": str(keep(run, before).relative_to(OUT.parents[1]))}))


if __name__ == "__main__":
    main()
