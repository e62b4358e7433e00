"""Looping films that interpolate between the latents of faces."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from nijigan.aliases import Images, Progress
from nijigan.errors import UserError
from nijigan.files import check_path, replacing
from nijigan.generator.enlarging import Upscaler, enlarge
from nijigan.generator.generator import Generator
from nijigan.generator.latents import consecutive_seeds, interpolate, latents
from nijigan.generator.records import MARK, check_replaceable, save_picture
from nijigan.generator.request import Request, check_integers, seeds_record
from nijigan.generator.saving import BATCH, lay_out

_FASTEST = {".webp": 60, ".gif": 50, ".mp4": 60}  # frames per second; browsers slow down a GIF above 50
_MOST_BYTES_IN_MEMORY = 1 << 30
_MOST_STOPS = 5000  # in all sequences: their seeds are one argument of ffmpeg, which has a limit
_MOST_FRAMES = 10_000  # from one stop to the next


def walk(
    generator: Generator,
    out: str | Path,
    *,
    stops: int = 8,
    frames_per_stop: int = 24,
    fps: int = 24,
    n: int = 1,
    columns: int | None = None,
    seed: int = 0,
    psi: float = 1.0,
    scale: int = 4,
    upscaler: Upscaler = "learnt",
    attributes: Mapping[str, str] | None = None,
    seeds: Sequence[int] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Render a looping latent-space interpolation: see `nijigan.generator.latents.interpolate`.

    Args:
        generator: the generator.
        out: `.webp` or `.gif`, which loop, or `.mp4`, which needs ffmpeg.
        stops: faces that each sequence passes through, 2 or more.
        frames_per_stop: frames from one face to the next.
        fps: frames per second.
        n: sequences side by side. The first uses the seeds seed ... seed + stops - 1, the second the next `stops`.
        columns: sequences per row. Default: the nearest to a square.
        seed: seed of the first face.
        psi: truncation, 0 to 2: see `Generator.synthesise`.
        scale: factor by which every face is enlarged.
        upscaler: how: learnt, lanczos or none; see `nijigan.generator.enlarging`.
        attributes: requested values; each sequence keeps the other attributes of its first face.
        seeds: the seeds of the faces to pass through, n times as many as `stops`. Default: consecutive, from `seed`.
        overwrite: replace a file that nijigan did not generate.
        progress: called with (frames rendered, frames in all).

    Raises:
        UserError: a number is out of range, `out` has another suffix, is not nijigan's or cannot be written to, or
            ffmpeg is missing.
    """
    out = Path(out)
    check_path(out)
    check_integers(n=n, stops=stops, frames_per_stop=frames_per_stop, fps=fps)
    if n < 1:
        raise UserError(f"The number of sequences must be 1 or more, not {n}.")
    if stops < 2 or n * stops > _MOST_STOPS:
        raise UserError(f"A walk needs at least 2 stops, and at most {_MOST_STOPS:,} in all its sequences.")
    chosen = consecutive_seeds(seed, n * stops) if seeds is None else seeds
    if len(chosen) != n * stops:
        raise UserError(f"{n} sequences of {stops} stops need {n * stops} seeds, not {len(chosen)}.")
    request = Request(generator, chosen[::stops], psi, attributes or {}, None, scale, upscaler, columns)
    film = _Film(request, chosen, out, stops, frames_per_stop, fps)
    check_replaceable(out, overwrite)
    write_film(_frames(film, progress), out, fps, film.record)


def write_film(frames: Iterator[Images], out: Path, fps: int, record: str) -> None:
    """Write a film that loops.

    Args:
        frames: 1 or more, H×W×3 each.
        out: `.webp` or `.gif`, which keep all frames in memory while they are written, or `.mp4`, which needs ffmpeg.
        fps: frames per second, up to 60 (.gif: 50).
        record: what the film records, one line of ASCII: see `nijigan.generator.records`.

    Raises:
        UserError: `out` cannot be written to, or ffmpeg is missing.
    """
    write = _write_mp4 if out.suffix.lower() == ".mp4" else _write_animation
    write(frames, out, fps, record)


@dataclass(frozen=True)
class _Film:
    """A walk, checked: `request` is for the n faces of the first frame, `seeds` are those of all stops."""

    request: Request
    seeds: Sequence[int]
    out: Path
    stops: int
    frames_per_stop: int
    fps: int

    def __post_init__(self) -> None:
        if self.suffix not in _FASTEST:
            raise UserError(f"A walk cannot be written to {self.out}; use .webp, .gif or .mp4.")
        if self.out.is_dir():
            raise UserError(f"{self.out} is a folder; name a file.")
        if not 1 <= self.frames_per_stop <= _MOST_FRAMES:
            raise UserError(f"{self.frames_per_stop} frames per stop are out of range; choose 1 to {_MOST_FRAMES:,}.")
        if not 1 <= self.fps <= _FASTEST[self.suffix]:
            raise UserError(
                f"{self.fps} frames per second is out of range; choose 1 to {_FASTEST[self.suffix]} for {self.suffix}."
            )
        self.request.check_canvas("choose fewer sequences or a smaller scale.")
        size = self.count * self.n * self.request.side**2 * 3
        if self.suffix != ".mp4" and size > _MOST_BYTES_IN_MEMORY:
            raise UserError(
                f"A {self.suffix} of {self.count:,} such frames does not fit in memory; make it shorter or smaller, or "
                "write an .mp4."
            )

    @property
    def suffix(self) -> str:
        """The format, in lower case and with its dot."""
        return self.out.suffix.lower()

    @property
    def n(self) -> int:
        """Number of sequences."""
        return len(self.request.seeds)

    @property
    def count(self) -> int:
        """Number of frames."""
        return self.stops * self.frames_per_stop

    @property
    def record(self) -> str:
        """The record of the film, as JSON: see `nijigan.generator.records`."""
        more = {"n": self.n, "stops": self.stops, "frames_per_stop": self.frames_per_stop, "fps": self.fps}
        return json.dumps(self.request.record | seeds_record(self.seeds) | more)


def _frames(film: _Film, progress: Progress | None) -> Iterator[Images]:
    """Yield the frames of a film, H×W×3 each; synthesise several at a time."""
    request, generator, latent = film.request, film.request.generator, film.request.generator.header.latent
    places = latents(film.seeds, latent.size, latent.prior).reshape(film.n, film.stops, latent.size)
    codes = request.codes(request.seeds)
    together = max(1, BATCH // film.n)
    for start in range(0, film.count, together):
        frame = np.arange(start, min(start + together, film.count))
        stop, t = frame // film.frames_per_stop, frame % film.frames_per_stop / film.frames_per_stop
        between = interpolate(places[:, stop], places[:, (stop + 1) % film.stops], t, latent.prior)  # n×frames×size
        z = between.swapaxes(0, 1).reshape(-1, latent.size)
        faces = generator.synthesise(z, np.tile(codes, (len(frame), 1)), psi=request.psi, batch_size=BATCH)
        for faces_of_frame in faces.reshape(len(frame), film.n, *faces.shape[1:]):
            yield lay_out(enlarge(faces_of_frame, request.scale, request.upscaler), request.per_row)
        if progress:
            progress(start + len(frame), film.count)


def _write_animation(frames: Iterator[Images], out: Path, fps: int, record: str) -> None:
    """Write an animated WebP or GIF that loops forever."""
    suffix = out.suffix.lower()
    pictures = [Image.fromarray(frame) for frame in frames]
    unit = 1  # the format's resolution in milliseconds
    if suffix == ".gif":
        pictures, unit = _share_palette(pictures), 10
    ends = [round(1000 / unit * (index + 1) / fps) for index in range(len(pictures))]
    durations = [unit * (end - start) for start, end in pairwise([0, *ends])]
    options = {"duration": durations, "loop": 0} | ({} if suffix == ".gif" else {"quality": 90, "method": 2})
    with replacing(out) as temporary:
        save_picture(pictures[0], temporary, suffix, record, save_all=True, append_images=pictures[1:], **options)


def _share_palette(pictures: list[Image.Image]) -> list[Image.Image]:
    """Reduce all pictures to the same 256 colours: a palette per picture would flicker and take 100 times as long."""
    some = pictures[:: max(1, len(pictures) // 32)]
    sheet = Image.fromarray(np.concatenate([np.asarray(picture)[::4, ::4] for picture in some]))
    palette = sheet.quantize(256, Image.Quantize.FASTOCTREE)
    return [picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for picture in pictures]


def _write_mp4(frames: Iterator[Images], out: Path, fps: int, record: str) -> None:
    """Pipe frames through ffmpeg into an H.264 film that can start to play before it is fully downloaded."""
    ffmpeg = _find_ffmpeg()
    first = _even(next(frames))
    height, width, _ = first.shape
    # Players guess the colour space of an untagged film, and a wrong guess turns skin green.
    colours = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    with replacing(out) as temporary, tempfile.TemporaryFile() as messages:
        command = [
            *(ffmpeg, "-v", "error", "-y"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"),
            *("-vf", f"scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd,{colours}", "-pix_fmt", "yuv420p"),
            *("-c:v", "libx264", "-crf", "18", "-movflags", "+faststart"),
            *("-metadata", f"comment={MARK}{record}", str(temporary.resolve())),
        ]
        with (
            suppress(BrokenPipeError),  # ffmpeg has ended early; its exit code and last message say why
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=messages) as process,
        ):
            assert process.stdin is not None
            process.stdin.write(first.tobytes())
            for frame in frames:
                process.stdin.write(_even(frame).tobytes())
        if process.returncode != 0:
            messages.seek(0)
            lines = messages.read().decode(errors="replace").strip().splitlines()
            raise UserError(f"ffmpeg could not write {out}: {lines[-1] if lines else 'no reason given'}. Try a .webp.")


def _even(frame: Images) -> Images:
    """Repeat the last row or column where their number is odd, because yuv420p halves both sides."""
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")


def _find_ffmpeg() -> str:
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise UserError(
            "An .mp4 needs ffmpeg: install it (apt install ffmpeg, brew install ffmpeg), pip install imageio-ffmpeg, "
            "or write a .webp."
        ) from error
