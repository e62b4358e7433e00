"""Show how far a command is: as a bar on a terminal, as a line every ten seconds elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from nijigan.terminal import duration, styled

if TYPE_CHECKING:  # both take long to import
    from rich.progress import Progress

    from nijigan.aliases import NamedProgress

FIRST_SECONDS = 2.0
"""A pass that ends sooner is not mentioned."""
LINE_SECONDS = 10.0
POLL_SECONDS = 0.25


@contextmanager
def progress_bar(title: str) -> Iterator["NamedProgress"]:
    """Show progress on stderr while the block runs.

    On a terminal, a bar moves. Elsewhere, such as in a log file, a line says how far the work is: two seconds after
    each pass begins, then every ten seconds, whether or not there is progress.

    Args:
        title: what is in progress, until the passes get names of their own.

    Yields:
        A function to call with (done, total). Its method `name` begins a pass with another title.
    """
    from rich import progress

    console = styled(stderr=True)
    if console.is_terminal:
        columns = progress.Progress.get_default_columns()
        shared = sys.stdout.isatty()  # else what is printed would go to the terminal and not into the pipe
        with progress.Progress(*columns, console=console, transient=True, redirect_stdout=shared) as bar:
            yield _Bar(bar, title)
        return
    lines, stop = _Lines(title), threading.Event()
    thread = threading.Thread(target=lines.print_until, args=(stop,), daemon=True)
    with suppress(RuntimeError):  # no memory is left for a thread; the work itself matters more
        thread.start()
    try:
        yield lines
    finally:
        stop.set()
        if thread.is_alive():
            thread.join()


class _Bar:
    def __init__(self, bar: "Progress", title: str) -> None:
        self._bar = bar
        self._task = bar.add_task(title, total=None)

    def __call__(self, done: int, total: int) -> None:
        task = self._bar.tasks[0]
        if _is_new_pass((int(task.completed), int(task.total or total)), (done, total)):
            self._bar.reset(self._task)
        self._bar.update(self._task, completed=done, total=total)

    def name(self, title: str) -> None:
        self._bar.remove_task(self._task)  # a new task, because the time left is that of the pass
        self._task = self._bar.add_task(title, total=None)


class _Lines:
    def __init__(self, title: str) -> None:
        self._done = self._total = 0
        self.name(title)

    def __call__(self, done: int, total: int) -> None:
        if _is_new_pass((self._done, self._total or total), (done, total)):
            self._begun = time.monotonic()
        self._done, self._total = done, total

    def name(self, title: str) -> None:
        self._title, self._done, self._total, self._begun, self._printed = title, 0, 0, time.monotonic(), 0.0

    def print_until(self, stop: threading.Event) -> None:
        """Print lines until `stop` is set, or until stderr cannot be written to."""
        with suppress(OSError, ValueError):
            while not stop.wait(POLL_SECONDS):
                due = self._printed + LINE_SECONDS if self._printed else self._begun + FIRST_SECONDS
                if time.monotonic() >= due:
                    self._printed = time.monotonic()
                    print(self._line(), file=sys.stderr, flush=True)

    def _line(self) -> str:
        done, total, seconds = self._done, self._total, time.monotonic() - self._begun
        if not total:
            return f"{self._title} ..." + (f" {duration(seconds)} so far" if seconds >= LINE_SECONDS else "")
        left = f", {duration(seconds * (total - done) / done)} left" if 0 < done < total else ""
        return f"{self._title}: {done:,} of {total:,}{left}"


def _is_new_pass(before: tuple[int, int], now: tuple[int, int]) -> bool:
    """Whether (done, total) are those of another pass, so that the time left is to be measured anew."""
    return now[0] < before[0] or now[1] != before[1]
