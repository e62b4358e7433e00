"""TensorBoard's event file, written without a thread: a full disk is an error where it happens."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import image, scalar


class Events:
    """Appends to one new event file in a folder.

    Args:
        folder: created at the first write.
        images: images seen when training starts or continues; TensorBoard hides what earlier files have beyond.
    """

    def __init__(self, folder: Path, images: int) -> None:
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
        self._pending = [Event(wall_time=time.time(), file_version="brain.Event:2")]
        if images:
            self._add(images + 1, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, values: Mapping[str, float], images: int) -> None:
        """Write numbers by name.

        Raises:
            OSError: the file cannot be written.
        """
        for name, value in values.items():
            self._add(images, summary=scalar(name, value))  # type: ignore[no-untyped-call]
        self._write()

    def picture(self, name: str, pixels: NDArray[Any], images: int) -> None:
        """Write a picture, uint8 H×W×3; errors as in `scalars`."""
        self._add(images, summary=image(name, pixels, dataformats="HWC"))  # type: ignore[no-untyped-call]
        self._write()

    def _add(self, step: int, **content: Any) -> None:
        self._pending.append(Event(wall_time=time.time(), step=step, **content))

    def _write(self) -> None:
        events, self._pending = self._pending, []
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            for event in events:
                RecordWriter(file).write(event.SerializeToString())
