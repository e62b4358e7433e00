"""Signals that end a program: Ctrl-C, SIGTERM, a closed terminal. A training finishes its round and saves first."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

_ALWAYS = ("SIGINT", "SIGTERM")
_BY_DEFAULT = ("SIGHUP", "SIGQUIT", "SIGXCPU", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGBREAK")
"""Signals that end a process unless it handles them, and that systems and schedulers send. Not all systems know all."""

_SAME_REQUEST = 1.0
"""Seconds. `timeout` and some terminals send a signal twice."""


class Interrupt:
    """While entered, the first signal that would end the process only sets `requested`, so that the loop can save.

    A second Ctrl-C, more than a second later, raises KeyboardInterrupt at once. A signal that is ignored, as SIGHUP is
    after `nohup`, or that the caller handles itself, keeps its handler, except SIGINT and SIGTERM. Outside the main
    thread Python allows no handlers, so nothing happens there.

    Args:
        announce: tells the user what happens next. It is called once, at the first signal, in another thread. None: the
            first signal raises KeyboardInterrupt too.
    """

    def __init__(self, announce: Callable[[], None] | None = None) -> None:
        self.requested = False
        self._announce = announce
        self._since = 0.0
        self._old: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            numbers = {name: getattr(signal, name, None) for name in _ALWAYS + _BY_DEFAULT}
            for name, number in numbers.items():
                if number and (name in _ALWAYS or _free(signal.getsignal(number))):
                    self._old[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._old = {}

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self._announce is None:
            raise KeyboardInterrupt
        if not self.requested:
            self.requested, self._since = True, time.monotonic()
            # In a thread: the signal may have come in the middle of a print, which cannot print again.
            threading.Thread(target=self._announce).start()
        elif number == signal.SIGINT and time.monotonic() - self._since > _SAME_REQUEST:
            raise KeyboardInterrupt


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise KeyboardInterrupt for each signal that would end the process, so that temporary files are removed."""
    with Interrupt():
        yield


def _free(handler: Any) -> bool:
    """Whether a signal has its default handler, or that of an outer `Interrupt`."""
    return handler is signal.SIG_DFL or isinstance(getattr(handler, "__self__", None), Interrupt)
