"""Films of faces that turn into each other, in a loop."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from nijigan.aliases import Codes, Images, Progress
from nijigan.errors import UserError
from nijigan.files import replacing
from nijigan.generator.drawing import BATCH, check_grid, check_range, lay_out
from nijigan.generator.generator import Generator
from nijigan.generator.latents import Latents, interpolate, latents
from nijigan.pictures import enlarge

_FASTEST = {".webp": 60, ".gif": 50, ".mp4": 60}  # browsers slow a GIF down that asks for more
_MOST_BYTES_IN_MEMORY = 1 << 30


def walk(
    generator: Generator,
    out: Path,
    *,
    stops: int = 8,
    frames_per_stop: int = 24,
    fps: int = 24,
    n: int = 1,
    columns: int | None = None,
    seed: int = 0,
    psi: float = 1.0,
    scale: int = 4,
    attributes: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> None:
    """Film a walk from latent to latent that ends where it began.

    It follows great circles, or straight lines where the prior is uniform: see `nijigan.generator.latents.interpolate`.

    The first walker visits the faces of seeds seed ... seed + stops - 1, the next one those of the next `stops` seeds.

    Args:
        generator: who draws.
        out: `.webp` or `.gif`, which loop without end, or `.mp4` where there is an ffmpeg.
        stops: faces on the way, at least 2.
        frames_per_stop: frames from one face to the next.
        fps: frames per second.
        n: walkers side by side.
        columns: walkers in a row; left out, the nearest to a square.
        seed: the first face's seed.
        psi: truncation, 0 to 2: see `Generator.synthesise`.
        scale: enlarge every face this many times.
        attributes: what the faces are to be; a walker keeps what it was left to chance as its first face has it.
        progress: called with (frames drawn, frames).

    Raises:
        UserError: a number is out of its range, `out` is of another kind or cannot be written to, or ffmpeg is missing.
    """
    suffix = out.suffix.lower()
    if suffix not in _FASTEST:
        raise UserError(f"A walk cannot be written to {out}: end in .webp, .gif or .mp4.")
    if stops < 2 or frames_per_stop < 1:
        raise UserError("A walk needs 2 stops or more, and 1 frame or more from each to the next.")
    if not 1 <= fps <= _FASTEST[suffix]:
        raise UserError(f"{fps} frames per second is out of range; choose 1 to {_FASTEST[suffix]} for {suffix}.")
    if n < 1:
        raise UserError(f"{n} walkers were asked for; ask for 1 or more.")
    check_range(generator, n * stops, seed, psi, scale)
    side = generator.header.resolution * scale
    check_grid(n, columns, side)
    count, latent = stops * frames_per_stop, generator.header.latent
    if suffix != ".mp4" and count * n * side**2 * 3 > _MOST_BYTES_IN_MEMORY:
        raise UserError(f"A {suffix} of {count:,} such frames does not fit in memory; make it smaller, or an .mp4.")
    places = latents(range(seed, seed + n * stops), latent.size, latent.prior).reshape(n, stops, latent.size)
    codes = generator.codes(range(seed, seed + n * stops, stops), **(attributes or {}))
    frames = _draw(generator, places, codes, psi, frames_per_stop, columns, scale, progress)
    if suffix == ".mp4":
        _write_mp4(out, frames, fps)
    else:
        _write_animation(out, frames, fps)


def _draw(
    generator: Generator,
    places: Latents,
    codes: Codes,
    psi: float,
    frames_per_stop: int,
    columns: int | None,
    scale: int,
    progress: Progress | None,
) -> Iterator[Images]:
    """Yield the frames, H×W×3 each, of walks through `places`, n×stops×size, by faces of so many `codes`, n×A."""
    n, stops, size = places.shape
    count = stops * frames_per_stop
    together = max(1, BATCH // n)
    for start in range(0, count, together):
        frame = np.arange(start, min(start + together, count))
        stop, t = frame // frames_per_stop, frame % frames_per_stop / frames_per_stop
        between = interpolate(  # n×frames×size
            places[:, stop], places[:, (stop + 1) % stops], t, generator.header.latent.prior
        )
        z = between.swapaxes(0, 1).reshape(-1, size)
        faces = generator.synthesise(z, np.tile(codes, (len(frame), 1)), psi=psi, batch_size=BATCH)
        for walkers in faces.reshape(len(frame), n, *faces.shape[1:]):
            yield lay_out(enlarge(walkers, scale), columns)
        if progress:
            progress(start + len(frame), count)


def _write_animation(out: Path, frames: Iterator[Images], fps: int) -> None:
    """Write an animated WebP or GIF that loops without end."""
    pictures = [Image.fromarray(frame) for frame in frames]
    unit = 1  # milliseconds that the format can tell apart
    if out.suffix.lower() == ".gif":
        pictures, unit = _share_palette(pictures), 10
    ends = [round(1000 / unit * (index + 1) / fps) for index in range(len(pictures))]
    durations = [unit * (end - start) for start, end in pairwise([0, *ends])]
    with replacing(out) as temporary:
        pictures[0].save(
            temporary, save_all=True, append_images=pictures[1:], duration=durations, loop=0, quality=90, method=2
        )


def _share_palette(pictures: list[Image.Image]) -> list[Image.Image]:
    """Reduce all pictures to the same 256 colours: one palette each would flicker, and take a hundred times as long."""
    some = pictures[:: max(1, len(pictures) // 32)]
    sheet = Image.fromarray(np.concatenate([np.asarray(picture)[::4, ::4] for picture in some]))
    palette = sheet.quantize(256, Image.Quantize.FASTOCTREE)
    return [picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for picture in pictures]


def _write_mp4(out: Path, frames: Iterator[Images], fps: int) -> None:
    """Pipe frames through ffmpeg into an H.264 film that starts to play while it is still being fetched."""
    ffmpeg = _find_ffmpeg()
    first = _even(next(frames))
    height, width, _ = first.shape
    # Players take an untagged film for whatever they like, and skin turns green: say which colours these are.
    colours = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    with replacing(out) as temporary, tempfile.TemporaryFile() as narration:
        command = [
            *(ffmpeg, "-v", "error", "-y"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"),
            *("-vf", f"scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd,{colours}", "-pix_fmt", "yuv420p"),
            *("-c:v", "libx264", "-crf", "18", "-movflags", "+faststart", str(temporary.resolve())),
        ]
        with (
            suppress(BrokenPipeError),  # ffmpeg has ended early; its exit code and last words say why
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=narration) as process,
        ):
            assert process.stdin is not None
            process.stdin.write(first.tobytes())
            for frame in frames:
                process.stdin.write(_even(frame).tobytes())
        if process.returncode != 0:
            narration.seek(0)
            words = narration.read().decode(errors="replace").strip().splitlines()
            raise UserError(f"ffmpeg could not write {out}: {words[-1] if words else 'no reason given'}. Try a .webp.")


def _even(frame: Images) -> Images:
    """Repeat the last row and column where their number is odd: yuv420p halves both sides."""
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")


def _find_ffmpeg() -> str:
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise UserError(
            "An .mp4 needs ffmpeg: install it (apt install ffmpeg, brew install ffmpeg) or pip install imageio-ffmpeg, "
            "or write a .webp."
        ) from error
