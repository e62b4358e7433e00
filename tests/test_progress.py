"""What commands say about how far they are, off a terminal."""

import io
import sys
import time
from pathlib import Path

import pytest

from blobs import blob, encode, write
from nijigan.aliases import NamedProgress
from nijigan.cli import progress
from nijigan.cli.progress import progress_bar
from nijigan.importing.importer import import_faces
from nijigan.terminal import duration


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty times as fast as for users."""
    for name in ("FIRST_SECONDS", "LINE_SECONDS", "POLL_SECONDS"):
        monkeypatch.setattr(progress, name, getattr(progress, name) / 50)


def test_lines_say_what_happens_and_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("Importing") as bar:
        time.sleep(0.1)
        bar.name("Checking the pictures")
        bar(500, 2000)
        time.sleep(0.35)
        bar.name("Quick")
        bar(1, 2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Importing ..."
    assert lines[1:] == [
        "Checking the pictures: 500 of 2,000, 0 s left",
        "Checking the pictures: 500 of 2,000, 1 s left",
    ]


def test_lines_of_work_without_an_end_tell_how_long_it_has_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "LINE_SECONDS", 10.0)
    lines = progress._Lines("Measuring the speed")
    now[0] += 2
    assert lines._line() == "Measuring the speed ..."
    now[0] += 10
    assert lines._line() == "Measuring the speed ... 12 s so far"


def test_the_time_left_is_that_of_the_pass_although_nobody_named_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = progress._Lines("Judging")
    lines(10, 100)
    now[0] += 3600
    assert lines._line() == "Judging: 10 of 100, 9.0 h left"
    lines(5, 5000)  # another pass, after an hour
    now[0] += 1
    lines(10, 5000)
    assert lines._line() == "Judging: 10 of 5,000, 8 min left"
    lines(20, 5000)
    assert lines._line() == "Judging: 20 of 5,000, 4 min left"
    lines(10, 5000)  # and another of the same size
    now[0] += 2
    assert lines._line() == "Judging: 10 of 5,000, 17 min left"


def test_what_is_quick_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("Importing") as bar:
        bar(1, 1)
    assert capsys.readouterr().err == ""


def test_lines_that_nobody_can_read_disturb_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            tried.append(text)
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    with progress_bar("Importing"):
        time.sleep(0.4)
    assert tried == ["Importing ..."]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (9000, "2.5 h")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_every_pass_of_an_import_has_a_name_and_counts(tmp_path: Path) -> None:
    class Recorder:
        def __init__(self) -> None:
            self.passes: dict[str, list[tuple[int, int]]] = {}

        def __call__(self, done: int, total: int) -> None:
            list(self.passes.values())[-1].append((done, total))

        def name(self, title: str) -> None:
            assert title not in self.passes
            self.passes[title] = []

    folder = write(tmp_path / "p", {f"{seed}.png": encode(blob(seed)) for seed in range(3)})
    recorder = Recorder()
    assert isinstance(recorder, NamedProgress)
    import_faces(folder, tmp_path / "faces", label=["hair"], progress=recorder)
    assert {title: ticks[-1:] for title, ticks in recorder.passes.items()} == {
        "Listing the pictures": [],
        "Checking the pictures": [(3, 3)],
        "Finding duplicates": [],
        "Reading labels from the pictures": [(3, 3)],
        "Looking for illustrations": [],
        "Writing the dataset": [(3, 3)],
    }
