"""Generated faces as files: a grid in one image, or one PNG per face. All record how to generate them again."""

import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import TypeVar
from zipfile import ZipFile, ZipInfo

import numpy as np
from PIL import Image

from nijigan.aliases import Images, Progress
from nijigan.errors import UserError
from nijigan.files import check_path, replacing
from nijigan.generator.enlarging import Upscaler, enlarge
from nijigan.generator.face import Face
from nijigan.generator.generator import Generator
from nijigan.generator.latents import consecutive_seeds
from nijigan.generator.records import (
    MARK,
    check_folder,
    check_record,
    check_replaceable,
    face_png,
    is_saved,
    save_picture,
)
from nijigan.generator.request import GAP, Request
from nijigan.pictures import grid, name_rows

BATCH = 64

_QUALITY = {"quality": 95}  # of lossy formats
_LONGEST_IN_NAME = 40  # characters of a value: file systems allow 255 bytes for a name
_PICTURES = (".png", ".webp", ".jpg", ".jpeg")
_NAMES = "seed-[0-9][0-9][0-9][0-9][0-9][0-9]*.png"
"""Matches what `_name` returns."""

_Faces = Iterator[tuple[Face, Images]]
_Writer = Callable[[Path, Request, _Faces], None]
_Result = TypeVar("_Result")
_THREADS = 2  # encoding a face takes a sixth of the time of synthesising it


def generate(
    generator: Generator,
    out: str | Path,
    *,
    n: int = 64,
    seed: int = 0,
    psi: float = 1.0,
    scale: int = 1,
    upscaler: Upscaler = "learnt",
    columns: int | None = None,
    attributes: Mapping[str, str] | None = None,
    each: str | None = None,
    seeds: Sequence[int] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Generate faces into files. `nijigan.read_face` reads what the picture of a single face records.

    Args:
        generator: the generator.
        out: `.png`, `.webp` or `.jpg` for a grid of at most 4,096 faces; `.zip` or a folder for one PNG per face,
            named `seed-000007.png`. Existing files that nijigan generated are replaced; in a folder, faces that are
            there already are not drawn again, so that a stopped call goes on where it was.
        n: number of faces, or of faces per value with `each`.
        seed: seed of the first face.
        psi: truncation, 0 to 2: see `Generator.synthesise`.
        scale: factor by which every face is enlarged.
        upscaler: how: learnt, lanczos or none; see `nijigan.generator.enlarging`.
        columns: faces per row of a grid. Default: the nearest to a square, or one row per value with `each`.
        attributes: requested values, such as {"hair": "blue"}; all other attributes are sampled.
        each: attribute to vary: every seed is generated once per value, and a grid names the rows of each value.
        seeds: the seeds of the faces, in this order. Default: seed ... seed + n - 1.
        overwrite: replace files that nijigan did not generate, and mix faces of several generators in a folder.
        progress: called with (faces generated, faces in all).

    Raises:
        UserError: a number is out of range, the generator does not have such an attribute or value, or `out` has
            another suffix, cannot be written to, or holds what `overwrite` would allow to replace.
    """
    if not str(out):
        raise UserError("The name of the file or folder is empty; give one.")
    chosen = consecutive_seeds(seed, n) if seeds is None else seeds
    request = Request(generator, chosen, psi, attributes or {}, each, scale, upscaler, columns)
    write(request, Path(out), overwrite, progress)


def write(request: Request, out: Path, overwrite: bool = False, progress: Progress | None = None) -> None:
    """Generate the faces of a request into files; arguments and errors are those of `generate`."""
    writer = check_place(request, out, overwrite)

    def is_there(face: Face) -> bool:
        """An earlier call was stopped after it had written this face."""
        return is_saved(out / _name(face, request), face, request.side)

    writer(out, request, _faces(request, progress, is_there if writer is _write_folder else None))


def check_place(request: Request, out: Path, overwrite: bool = False) -> _Writer:
    """Choose how to write into `out`; refuse, with a `UserError`, what `write` cannot or must not write there."""
    check_path(out)
    writer = _writer(out, request)
    check_replaceable(out, overwrite)
    if writer is _write_folder:
        check_folder(out, _NAMES, request.generator.weights_hash, overwrite)
    return writer


def lay_out(images: Images, columns: int | None) -> Images:
    """Lay out N×H×W×3 faces as one H'×W'×3 image: a grid, or a single face without a frame."""
    return images[0] if len(images) == 1 else grid(images, columns, GAP)


def _writer(out: Path, request: Request) -> _Writer:
    """Choose the format by the name of `out`, and refuse what that format cannot hold."""
    suffix = "" if out.is_dir() else "." if out.name.endswith(".") else out.suffix.lower()
    if suffix in _PICTURES:
        request.check_canvas("name a folder or a .zip to get one file per face.")
        check_record(json.dumps(request.record), suffix)
        return _write_grid
    if suffix not in ("", ".zip"):
        raise UserError(
            f"{out} has an unsupported suffix; use .png, .webp or .jpg for a grid, .zip for an archive, or name a "
            "folder."
        )
    if request.columns is not None:
        raise UserError("Columns apply only to a grid; omit them, or write to a .png.")
    if suffix == ".zip":
        return _write_zip
    if out.is_file():
        raise UserError(f"{out} is a file; name a folder, or a new file that ends in .png or .zip.")
    return _write_folder


def _faces(request: Request, progress: Progress | None, skip: Callable[[Face], bool] | None) -> _Faces:
    """Yield every face but those to skip with its image, H×W×3; synthesise them in batches, row by row."""
    generator, done = request.generator, 0
    for row, start in product(range(max(1, len(request.rows))), range(0, len(request.seeds), BATCH)):
        seeds = request.seeds[start : start + BATCH]
        codes = request.codes(seeds, row)
        faces = [request.face(seed, face_codes) for seed, face_codes in zip(seeds, codes, strict=True)]
        wanted = [index for index, face in enumerate(faces) if skip is None or not skip(face)]
        if wanted:
            z = request.latents([seeds[index] for index in wanted])
            images = generator.synthesise(z, codes[wanted], psi=request.psi)
            for index, image in zip(wanted, images, strict=True):
                yield faces[index], enlarge(image[None], request.scale, request.upscaler)[0]
        done += len(seeds)
        if progress:
            progress(done, request.count)


def _write_grid(out: Path, request: Request, faces: _Faces) -> None:
    records, images = zip(*faces, strict=True)
    if request.each:
        canvas = name_rows(grid(_fill_lines(np.stack(images), request), request.per_row, GAP), request.rows)
    else:
        canvas = lay_out(np.stack(images), request.per_row)
    record = records[0].to_json() if len(records) == 1 else json.dumps(request.record)
    suffix = out.suffix.lower()
    with replacing(out) as temporary:
        save_picture(Image.fromarray(canvas), temporary, suffix, record, **({} if suffix == ".png" else _QUALITY))


def _fill_lines(images: Images, request: Request) -> Images:
    """Add white images after the faces of each value, so that the next value starts in a new row."""
    by_value = images.reshape(len(request.rows), len(request.seeds), *images.shape[1:])
    missing = request.lines * request.per_row - len(request.seeds)
    padding = ((0, 0), (0, missing), (0, 0), (0, 0), (0, 0))
    return np.pad(by_value, padding, constant_values=255).reshape(-1, *images.shape[1:])


def _write_folder(out: Path, request: Request, faces: _Faces) -> None:
    def write_face(face: Face, image: Images) -> None:
        with replacing(out / _name(face, request), flush=False) as temporary:  # a lost face is drawn again
            temporary.write_bytes(face_png(face, image))

    for _ in _in_threads(write_face, faces):
        pass


def _write_zip(out: Path, request: Request, faces: _Faces) -> None:
    with replacing(out) as temporary, ZipFile(temporary, "w") as archive:  # stored: a PNG is compressed already
        archive.comment = (MARK + json.dumps({"weights": request.generator.weights_hash})).encode()
        for name, png in _in_threads(lambda face, image: (_name(face, request), face_png(face, image)), faces):
            entry = ZipInfo(name)  # dated 1980, so that the same faces give the same file
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, png)


def _in_threads(work: Callable[[Face, Images], _Result], faces: _Faces) -> Iterator[_Result]:
    """Yield the results of `work` in order. Threads do it while the next faces are synthesised; few faces wait."""
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for face, image in faces:
            waiting.append(pool.submit(work, face, image))
            if len(waiting) > 2 * BATCH:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _name(face: Face, request: Request) -> str:
    """The name of a face's file; the index of the value keeps apart values that differ only in replaced characters."""
    if request.each is None:
        return f"seed-{face.seed:06d}.png"
    value = face.attributes[request.each]
    readable = re.sub(r"[^\w-]", "_", value)[:_LONGEST_IN_NAME]
    return f"seed-{face.seed:06d}-{request.rows.index(value):02d}-{readable}.png"
