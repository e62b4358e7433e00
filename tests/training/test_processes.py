"""Several processes: if one of them fails, the others neither wait for ever nor end with a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nijigan.dataset.faces import FaceDataset
from nijigan.runs import read_log
from nijigan.training.session import Session

WORKER = """
import os, sys
from itertools import count

from nijigan.cli.entry import main
from nijigan.training.observer import observer
from nijigan.training.rounds import Rounds

what, rank = os.environ["WHAT"], int(os.environ.get("LOCAL_RANK", 0))
rounds, run = count(), Rounds.run

def full(*_):
    raise OSError(28, "No space left on device")

def die(self, total):
    if next(rounds) == 5:
        os._exit(1) if what == "exit" else os.kill(os.getpid(), 2)
    run(self, total)

if what == "save" and rank == 0:
    observer.save_state = full
if what == "exit" and rank == 1 or what == "interrupt" and rank == 0:
    Rounds.run = die
sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "code", "told"),
    [
        ("save", 2, "No space left on device"),
        ("exit", 2, "Another process of this training ended"),
        ("interrupt", 128 + signal.SIGINT, "saved up to 0.192 kimg"),
    ],
)
def test_all_processes_end_with_one(what: str, code: int, told: str, faces: FaceDataset, tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    run = tmp_path / "run"
    options = ["--device", "cpu", "--devices", "2", "--kimg", "1", "--snapshot-kimg", "0.5", "--tick-kimg", "0.25"]
    command = [sys.executable, str(tmp_path / "worker.py"), "train", "dcgan-tiny"]
    done = subprocess.run(
        [*command, "--data", str(faces.path), "--out", str(run), *options],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "WHAT": what},
        stderr=subprocess.PIPE,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.count(told) == 1
    assert "Traceback" not in done.stderr
    if what == "interrupt":
        assert read_log(run)[-1]["images"] == 192


class _Other(Session):
    """A process that another one's failure reaches."""

    def agree(self, flag: bool) -> bool:
        return True


def test_a_failure_elsewhere_ends_this_process_without_a_word() -> None:
    nothing: Any = SimpleNamespace()
    process = _Other(nothing, nothing, nothing, nothing)
    with pytest.raises(SystemExit) as ending, process.together():
        pass
    assert ending.value.code == 2
    with pytest.raises(OSError, match="full"), process.together():
        raise OSError("full")
