"""Every way in which a training ends, except SIGKILL, saves it; what training does not need cannot end it."""

import errno
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.interrupt import Interrupt
from nijigan.recipe.recipe import Recipe
from nijigan.runs import read_log
from nijigan.training import resume, train
from nijigan.training.observer.monitor import Monitor
from nijigan.training.rounds import Rounds
from nijigan.training.session import Session


def checkpoint(run: Path) -> dict[str, torch.Tensor]:
    with safe_open(max((run / "checkpoints").glob("*.safetensors")), framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    """SIGHUP does what it does by default, also where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def straight(faces: FaceDataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The last weights of the tiny recipe, in one go."""
    from conftest import shrink
    from nijigan.recipe.named_recipes import RECIPES

    recipe = shrink(RECIPES["dcgan"])
    return checkpoint(train(recipe, faces, tmp_path_factory.mktemp("straight") / "run", device="cpu"))


def send(*numbers: signal.Signals, before_round: int) -> Callable[[Rounds, int], None]:
    """A stand-in for `Rounds.run` that sends this process signals before one of its rounds."""
    run, rounds = Rounds.run, iter(range(10_000))

    def interrupted(self: Rounds, total: int) -> None:
        if next(rounds) == before_round:
            for number in numbers:
                os.kill(os.getpid(), number)
        run(self, total)

    return interrupted


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGINT, signal.SIGINT),  # as `timeout -s INT` sends them
        (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM),  # a computer that shuts down
        (signal.SIGHUP,),
        (signal.SIGXCPU, signal.SIGQUIT, signal.SIGUSR1),
    ],
    ids=str,
)
def test_a_signal_saves_at_the_end_of_the_round(
    numbers: tuple[signal.Signals, ...],
    straight: dict[str, torch.Tensor],
    tiny: Recipe,
    faces: FaceDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    handlers = [signal.getsignal(number) for number in numbers]
    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "run", send(*numbers, before_round=4))
        with pytest.raises(KeyboardInterrupt, match=r"saved up to 0.04 kimg: continue with `nijigan resume .*run`"):
            train(tiny, faces, tmp_path / "run", device="cpu")
    assert handlers == [signal.getsignal(number) for number in numbers]
    assert caplog.text.count("the current round ends, then the run's first checkpoint is saved") == 1
    assert (tmp_path / "run" / "timelapse.webp").is_file()
    resumed = checkpoint(resume(tmp_path / "run", device="cpu"))
    assert resumed.keys() == straight.keys()
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


def test_what_the_first_signal_says_when_there_is_a_checkpoint(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Rounds, "run", send(signal.SIGINT, before_round=30))
    with pytest.raises(KeyboardInterrupt, match="saved up to 0.248 kimg"):
        train(tiny, faces, tmp_path / "run", device="cpu")
    assert "then a checkpoint is saved. Press Ctrl-C again to stop at once, without saving." in caplog.text


@pytest.mark.parametrize(("before_round", "told"), [(4, "nothing is saved yet"), (30, "saved up to 0.2 kimg")])
def test_a_second_ctrl_c_stops_at_once(
    before_round: int,
    told: str,
    tiny: Recipe,
    faces: FaceDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nijigan.interrupt._SAME_REQUEST", -1.0)
    monkeypatch.setattr(Rounds, "run", send(signal.SIGINT, signal.SIGINT, before_round=before_round))
    with pytest.raises(KeyboardInterrupt, match=f"{told}: continue with"):
        train(tiny, faces, tmp_path / "run", device="cpu")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_the_first_round_is_told(
    number: signal.Signals, tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Monitor.__init__

    def interrupted(self: Monitor, *arguments: int) -> None:
        os.kill(os.getpid(), number)
        start(self, *arguments)

    monkeypatch.setattr(Monitor, "__init__", interrupted)
    with pytest.raises(KeyboardInterrupt, match="nothing is saved yet: continue with .* starts at 0 kimg"):
        train(tiny, faces, tmp_path / "run", device="cpu")


def test_a_signal_before_there_is_a_run_leaves_nothing(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "faces", property(lambda self: os.kill(os.getpid(), signal.SIGTERM)))
    with pytest.raises(KeyboardInterrupt) as stop:
        train(tiny, faces, tmp_path / "run", device="cpu")
    assert not stop.value.args
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_ignored_and_foreign_signals_stay_as_they_are() -> None:
    old = [signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGUSR1, print)]
    try:
        with Interrupt(print) as interrupt:
            os.kill(os.getpid(), signal.SIGHUP)  # after nohup
            assert signal.getsignal(signal.SIGUSR1) is print
        assert not interrupt.requested
    finally:
        signal.signal(signal.SIGHUP, old[0])
        signal.signal(signal.SIGUSR1, old[1])


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("nijigan.training.observer.events.Events._write", "tensorboard"),
        ("nijigan.training.observer.plots.Figure.savefig", "plots"),
        ("PIL.Image.Image.save", "samples"),
        ("PIL.Image.open", "samples/kimg-000000_200.png"),
    ],
)
def test_what_training_does_not_need_cannot_end_it(
    place: str,
    named: str,
    tiny: Recipe,
    faces: FaceDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(place, full)
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    assert read_log(run)[-1]["images"] == 400
    assert max((run / "checkpoints").iterdir()).stem == "000000000400"
    warnings = [record.getMessage() for record in caplog.records if "not affected" in record.getMessage()]
    assert sum(f"run/{named} cannot be read or written: No space left" in warning for warning in warnings) == 1


def test_a_full_disk_at_a_checkpoint_says_how_to_continue(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left on device. Free some space .* `nijigan resume .*run`"):
        train(tiny, faces, tmp_path / "run", device="cpu")


def start(run: Path, faces: FaceDataset, **streams: object) -> subprocess.Popen[bytes]:
    """A training of 200 kimg without an end in sight, with its first checkpoint at 100 kimg."""
    command = [sys.executable, "-m", "nijigan", "train", "dcgan-tiny", "--data", str(faces.path), "--out", str(run)]
    options = ["--device", "cpu", "--kimg", "200", "--snapshot-kimg", "100", "--tick-kimg", "0.1"]
    return subprocess.Popen([*command, *options], **streams)  # type: ignore[call-overload]


def wait_for_log(run: Path, lines: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while len(read_log(run)) < lines:
        assert process.poll() is None, "the run ended early"
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("stderr", ["full", "head", "closed"])
def test_training_goes_on_without_a_place_to_print(stderr: str, faces: FaceDataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    if stderr == "head":
        process = start(run, faces, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
    elif stderr == "full":
        with Path("/dev/full").open("w") as full:
            process = start(run, faces, stdout=full, stderr=full)
    else:
        process = start(run, faces, preexec_fn=lambda: [os.close(stream) for stream in (0, 1, 2)])
    wait_for_log(run, 3, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert int(max((run / "checkpoints").iterdir()).stem) == read_log(run)[-1]["images"]


@pytest.mark.slow
def test_a_terminal_that_is_closed_saves(faces: FaceDataset, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    run = tmp_path / "run"

    def attach() -> None:
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = start(run, faces, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=attach)
    os.close(theirs)
    wait_for_log(run, 2, process)
    os.close(ours)  # the system sends SIGHUP, and writing fails from now on
    assert process.wait(60) == 130
    assert int(max((run / "checkpoints").iterdir()).stem) == read_log(run)[-1]["images"]
