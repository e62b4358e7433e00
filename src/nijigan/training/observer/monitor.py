"""What a person sees of a run: progress bar, log.jsonl, TensorBoard, sample grids, plots, timelapse."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL import Image
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from nijigan.aliases import Images
from nijigan.errors import UserError
from nijigan.files import replacing, write_text
from nijigan.pictures import grid
from nijigan.runs import read_log, snapshots_of
from nijigan.terminal import duration, styled

log = logging.getLogger("nijigan")
_FIRST_WORD, _SILENCE = 2.0, 60.0  # seconds until the first message, and the longest without one
_SCORES = "yield {yield:.0%} · KID ×1000 {kid_thousands:,.0f} · coverage {coverage:.0%}"
_SHOWN = {"d_loss": "D loss", "g_loss": "G loss", "real_score": "D(real)", "fake_score": "D(fake)"}


class Monitor:
    """Records one run in its folder. Everything later than the image count it starts at is removed first.

    Args:
        folder: the run's folder.
        images: images seen when training starts or continues.
        total: images at the end.
    """

    def __init__(self, folder: Path, images: int, total: int) -> None:
        self.folder = folder
        self.lines = [line for line in read_log(folder) if line["images"] <= images]
        for path, seen in [*snapshots_of(folder), *snapshots_of(folder, "snapshots", ".safetensors")]:
            if seen > images:
                path.unlink()
        write_text(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in self.lines))
        from nijigan.training.observer.events import Events  # slow to import

        self._events = Events(folder / "tensorboard", images)
        self._failed: set[str] = set()
        console = styled(stderr=True)
        self._progress = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(f"{images / 1000:g} kimg", total=total, completed=images)
        self._total, self._begun_at = total, images

    def __enter__(self) -> Self:
        self._begun = time.monotonic()
        self._next_word = self._begun + _FIRST_WORD
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, images: int) -> None:
        """Move the progress bar. Elsewhere, say after two seconds that training goes on, then every minute."""
        self._progress.update(self._task, completed=images)
        now = time.monotonic()
        if self._progress.disable and now >= self._next_word:
            self._next_word = now + _SILENCE
            rate = (images - self._begun_at) / (now - self._begun)
            left = duration(max(0, self._total - images) / rate) if rate else "unknown"
            log.info("%s · %s · %s left", position(images, self._total), speed(rate), left)

    def tick(self, line: dict[str, Any]) -> None:
        """Record one log line: a JSON object with `images`, `kimg` and the numbers to plot."""
        self.lines.append(line)
        with self._optional("log.jsonl"), (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        with self._optional("tensorboard"):
            numbers = {key: value for key, value in line.items() if key not in ("images", "kimg") and value is not None}
            self._events.scalars(numbers, line["images"])
        with self._optional("plots"):
            from nijigan.training.observer.plots import plot_curves  # matplotlib is slow to import

            plot_curves(self.lines, self.folder / "plots")
        summary = " · ".join(
            [
                position(line["images"], self._total),
                f"epoch {line['epoch']:.2f}",
                speed(line["images_per_second"]),
                f"{duration(max(0, self._total - line['images']) / line['images_per_second'])} left",
            ]
            + [f"{label} {line[key]:.2f}" for key, label in _SHOWN.items() if line[key] is not None]
            + ([_SCORES.format(kid_thousands=1000 * line["kid"], **line)] if "coverage" in line else [])
        )
        self._progress.update(self._task, description=summary, completed=line["images"])
        if self._progress.disable:
            self._next_word = time.monotonic() + _SILENCE
            log.info("%s", summary)

    def samples(self, faces: Images, images: int, before: int) -> None:
        """Write the grid of faces generated from the run's fixed latents, uint8 N×H×W×3, as `snapshot_name` says."""
        canvas = grid(faces)
        path = self.folder / "samples" / f"{snapshot_name(images, before)}.png"
        with self._optional("samples"), replacing(path) as temporary:
            Image.fromarray(canvas).save(temporary)
        with self._optional("tensorboard"):
            self._events.picture("samples", canvas, images)

    def timelapse(self) -> None:
        """Put the sample grids one after another into `timelapse.webp`; the last one stays for two seconds."""
        frames: list[Image.Image] = []
        for path, _ in snapshots_of(self.folder):
            with self._optional(f"samples/{path.name}"), Image.open(path) as picture:
                frames.append(picture.convert("RGB"))
        if not frames:
            return
        frames = [frame for frame in frames if frame.size == frames[-1].size]
        with self._optional("timelapse.webp"), replacing(self.folder / "timelapse.webp") as temporary:
            frames[0].save(
                temporary,
                save_all=True,
                append_images=frames[1:],
                loop=0,
                quality=80,
                duration=[250] * (len(frames) - 1) + [2000],
            )

    @contextmanager
    def _optional(self, name: str) -> Iterator[None]:
        """Train on if a file that training does not need cannot be read or written; warn once of each."""
        try:
            yield
        except (OSError, UserError, ValueError) as error:
            if name not in self._failed:
                reason = error.__cause__ or error
                log.warning(
                    "%s cannot be read or written: %s. Training is not affected.",
                    self.folder / name,
                    getattr(reason, "strerror", None) or reason,
                )
            self._failed.add(name)


def snapshot_name(images: int, before: int) -> str:
    """The name of a snapshot after the round from `before` to `images`. Names are unique and sort by age.

    The round that reaches 100 kimg has kimg-000100. A later one before 101 kimg, for example at 100,384 images, has
    kimg-000100_384.
    """
    kimg, rest = divmod(images, 1000)
    return f"kimg-{kimg:06d}" if kimg > before // 1000 else f"kimg-{kimg:06d}_{rest:03d}"


def position(images: int, total: int) -> str:
    """How far a run of `total` images is, such as `12.5/200 kimg`, with more digits the shorter the run is."""
    digits = 1 if total >= 10_000 else 2 if total >= 1000 else 3
    end = f"{total / 1000:.{digits}f}".rstrip("0").rstrip(".")
    return f"{images / 1000:.{digits}f}/{end} kimg"


def speed(images_per_second: float) -> str:
    """A speed, such as `120 img/s` or `0.31 img/s`."""
    return f"{images_per_second:.0f} img/s" if images_per_second >= 10 else f"{images_per_second:.2g} img/s"
