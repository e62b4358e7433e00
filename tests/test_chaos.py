"""A hundred kills at random moments: nothing is lost, half-written or left behind; what resumes ends the same."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors
from PIL import Image

from nijigan.dataset.faces import FaceDataset
from nijigan.generator.generator import Generator
from nijigan.procedural.faces import write_faces
from nijigan.tensors.tensorfile import unpack

pytestmark = pytest.mark.slow

TRAIN = ["--data", "faces", "--batch-size", "16", "--kimg", "0.64", "--snapshot-kimg", "0.08", "--tick-kimg", "0.08",
         "--device", "cpu", "--precision", "fp32"]  # fmt: skip
"""With "auto", a run that is killed before it has begun measures the speed of both precisions again, beside other work,
and may choose the other one."""


class Commands:
    """Commands of nijigan that run in one folder and may be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.random = random.Random(0)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("chaos_server.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def __call__(self, *arguments: object, seconds: float | None = None) -> dict[str, Any]:
        """Run a command to its end, or kill it after some seconds."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        order = {"arguments": [str(a) for a in arguments], "seconds": seconds, "folder": str(self.folder)}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        if seconds is None:
            assert answer["code"] == 0, answer["output"]
        return answer

    def killed(self, *arguments: object, within: float) -> bool:
        """Kill a command at a random moment of the first `within` seconds; whether it was still running."""
        answer = self(*arguments, seconds=self.random.uniform(0, within))
        assert answer["code"] in (0, -9), answer["output"]
        return bool(answer["code"] == -9)

    def close(self) -> None:
        """End the server."""
        self._server.communicate()


@pytest.fixture(scope="module")
def nijigan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    folder = tmp_path_factory.mktemp("chaos")
    for name, count, seed in (("first", 40, 0), ("second", 40, 1000), ("many", 330, 2000)):
        write_faces(folder / name, count, seed, 32)
    commands = Commands(folder)
    commands("import", "first", "--out", "faces")
    commands("train", "dcgan-tiny", *TRAIN, "--out", "reference")
    yield commands
    commands.close()


def whole(folder: Path) -> None:
    """Check that every file under its final name can be read, checksums included."""
    for path in folder.rglob("*"):
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.suffix == ".safetensors":
            with safetensors.safe_open(path, "pt") as file:
                unpack(file)
        elif path.suffix in (".png", ".webp"):
            with Image.open(path) as picture:
                picture.load()
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".jsonl":
            [json.loads(line) for line in path.read_text().splitlines()]
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")


def hidden(folder: Path) -> list[str]:
    """What a killed command left and no later one removed."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))


def test_50_kills_of_training(nijigan: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    folder = nijigan.folder
    seconds = nijigan("train", "dcgan-tiny", *TRAIN, "--out", "again")["seconds"]
    wanted = (folder / "reference" / "last.safetensors").read_bytes()
    assert (folder / "again" / "last.safetensors").read_bytes() == wanted
    kills = runs = 0
    while kills < 50:
        run = f"run-{runs}"
        runs += 1
        ended = False
        while not ended:
            begun = (folder / run / "recipe.json").exists()
            command = ["resume", run] if begun else ["train", "dcgan-tiny", *TRAIN, "--out", run]
            if kills == 50:
                nijigan(*command)
                break
            ended = not nijigan.killed(*command, within=1.2 * seconds)
            kills += not ended
            if (folder / run).exists():
                whole(folder / run)
        assert (folder / run / "last.safetensors").read_bytes() == wanted
        whole(folder / run)
        assert hidden(folder / run) == []
    with capsys.disabled():
        print(f"\n{kills} kills of training in {runs} runs: weights bit-equal")  # noqa: T201


def test_20_kills_of_import(nijigan: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    folder, outcomes = nijigan.folder, {40: 0, 80: 0}
    nijigan("import", "first", "--out", "grown")
    seconds = nijigan("import", "second", "--out", "grown")["seconds"]
    wanted = FaceDataset(folder / "grown").fingerprint
    for kill in range(20):
        out = f"import-{kill}"
        nijigan("import", "first", "--out", out)
        while not nijigan.killed("import", "second", "--out", out, within=1.1 * seconds):
            nijigan("import", "first", "--out", (out := out + "x"))
        faces = FaceDataset(folder / out)
        outcomes[len(faces.table)] += 1
        whole(folder / out)
        nijigan("import", "second", "--out", out)
        assert FaceDataset(folder / out).fingerprint == wanted
        assert hidden(folder / out) == []
        assert list(folder.glob(f".{out}.*")) == []
    with capsys.disabled():
        print(f"\n20 kills of import: {outcomes[40]} before the new dataset stood, {outcomes[80]} after")  # noqa: T201


def test_10_kills_of_generate(nijigan: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    folder, kills, written = nijigan.folder, 0, 0
    command = ["generate", "reference", "--n", "64", "--scale", "4", "--out"]
    seconds = nijigan(*command, "wanted.png")["seconds"]
    with Image.open(folder / "wanted.png") as picture:
        wanted = picture.tobytes()
    while kills < 10:
        kills += nijigan.killed(*command, "grid.png", within=1.1 * seconds)
        if (folder / "grid.png").exists():
            written += 1
            with Image.open(folder / "grid.png") as picture:
                assert picture.tobytes() == wanted
            (folder / "grid.png").unlink()
    nijigan(*command, "grid.png")
    assert list(folder.glob(".grid*")) == []
    with capsys.disabled():
        print(f"\n10 kills of generate; {written} pictures stood, all whole")  # noqa: T201


def test_10_kills_of_evaluate(nijigan: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    folder, kills, written = nijigan.folder, 0, 0
    nijigan("import", "many", "--out", "judged", "--holdout", "0.9")
    command = ["evaluate", "reference", "--data", "judged", "--n", "100", "--out"]
    seconds = nijigan(*command, "wanted")["seconds"]
    wanted = scores(folder / "wanted")
    while kills < 10:
        kills += nijigan.killed(*command, f"judged-{kills}", within=seconds)
        if (folder / f"judged-{kills - 1}" / "metrics.json").exists():
            written += 1
            assert scores(folder / f"judged-{kills - 1}") == wanted
            whole(folder / f"judged-{kills - 1}")
    nijigan(*command, "judged-0")
    assert scores(folder / "judged-0") == wanted
    assert hidden(folder / "judged-0") == hidden(folder / "judged") == []
    with capsys.disabled():
        print(f"\n10 kills of evaluate; {written} results stood, all whole")  # noqa: T201


def scores(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "metrics.json").read_text())["scores"]
    return result


def kept(run: Path) -> list[Any]:
    """The scores of the evaluations that a sweep keeps in a run's folder."""
    found = [json.loads(path.read_text()) for path in sorted((run / "evaluations").iterdir())]
    assert len(found) == 1
    return [one["scores"] for one in found]


def test_10_kills_of_sweep(nijigan: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    folder, kills = nijigan.folder, 0
    if not (folder / "judged").exists():
        nijigan("import", "many", "--out", "judged", "--holdout", "0.9")
    command = ["sweep", "dcgan-tiny", "--data", "judged", "--batch-size", "16", "--kimg", "0.16", "--vary", "seed=1,2",
               "--n", "100", "--device", "cpu", "--out"]  # fmt: skip
    seconds = nijigan(*command, "wanted-sweep")["seconds"]
    while kills < 10:
        kills += nijigan.killed(*command, "sweep", within=seconds / 3)
        if (folder / "sweep").exists():
            whole(folder / "sweep")
    nijigan(*command, "sweep")
    for seed in (1, 2):
        one, other = (folder / name / f"seed={seed}" / "last.safetensors" for name in ("sweep", "wanted-sweep"))
        assert one.read_bytes() == other.read_bytes()
        assert kept(one.parent) == kept(other.parent)
    assert hidden(folder / "sweep") == []
    assert Generator.load(folder / "sweep" / "seed=1").sample(1).shape == (1, 32, 32, 3)
    with capsys.disabled():
        print(f"\n{kills} kills of sweep: weights bit-equal")  # noqa: T201
