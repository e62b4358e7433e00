"""Generated faces as files: a grid in one image, or one PNG per face. Every PNG records how to generate it again."""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nijigan.aliases import Images, Progress
from nijigan.errors import UserError
from nijigan.files import replacing
from nijigan.generator.generator import Face, Generator
from nijigan.generator.latents import latents
from nijigan.generator.request import GAP, Request
from nijigan.pictures import enlarge, grid, name_rows

BATCH = 64

_METADATA_KEY = "nijigan"
_LONGEST_IN_NAME = 40  # characters of a value: file systems allow 255 bytes for a name
_PICTURES = (".png", ".webp", ".jpg", ".jpeg")

_Faces = Iterator[tuple[Face, Images]]
_Writer = Callable[[Path, Request, _Faces], None]


def generate(
    generator: Generator,
    out: str | Path,
    *,
    n: int = 64,
    seed: int = 0,
    psi: float = 1.0,
    scale: int = 1,
    columns: int | None = None,
    attributes: Mapping[str, str] | None = None,
    each: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Generate the faces of seeds seed ... seed + n - 1 into files; `read_face` reads back what a PNG records.

    Args:
        generator: the generator.
        out: `.png`, `.webp` or `.jpg` for a grid of at most 4,096 faces; `.zip` or a folder for one PNG per face,
            named `seed-000007.png`. Existing files of the same name are replaced.
        n: number of faces, or of faces per value with `each`.
        seed: seed of the first face.
        psi: truncation, 0 to 2: see `Generator.synthesise`.
        scale: factor by which every face is enlarged.
        columns: faces per row of a grid. Default: the nearest to a square.
        attributes: requested values, such as {"hair": "blue"}; all other attributes are sampled.
        each: attribute to vary: a grid has one named row per value and one column per seed.
        progress: called with (faces generated, faces in all).

    Raises:
        UserError: a number is out of range, the generator does not have such an attribute or value, or `out` has
            another suffix or cannot be written to.
    """
    out = Path(out)
    request = Request(generator, n, seed, psi, attributes or {}, each, scale, columns)
    write = _writer(out, request)
    write(out, request, _faces(request, progress))


def read_face(path: str | Path) -> Face:
    """Read the `Face` that is recorded in a PNG written by `generate`.

    Raises:
        UserError: the file cannot be read, or records no single face.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            text = image.info.get(_METADATA_KEY)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"Could not read {path} as a PNG: {error}.") from error
    if not isinstance(text, str):
        raise UserError(
            f"{path} has no record of the face it shows; only PNGs written by nijigan have one, and image editors "
            "remove it."
        )
    if text.startswith('{"n"'):  # how `Request.record` begins
        raise UserError(f"{path} shows many faces; generate into a folder, or with n = 1, to record a single face.")
    return Face.from_json(text, str(path))


def lay_out(images: Images, columns: int | None) -> Images:
    """Lay out N×H×W×3 faces as one H'×W'×3 image: a grid, or a single face without a frame."""
    return images[0] if len(images) == 1 else grid(images, columns, GAP)


def _writer(out: Path, request: Request) -> _Writer:
    """Choose the format by the name of `out`, and refuse what that format cannot hold."""
    suffix = "" if out.is_dir() else out.suffix.lower()
    if suffix in _PICTURES:
        request.check_canvas("name a folder or a .zip to get one file per face.")
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


def _faces(request: Request, progress: Progress | None) -> _Faces:
    """Yield every face with its image, H×W×3; synthesise them in batches, row by row."""
    generator, latent, done = request.generator, request.generator.header.latent, 0
    for row, start in product(range(max(1, len(request.rows))), range(0, request.n, BATCH)):
        seeds = request.seeds[start : start + BATCH]
        codes = request.codes(seeds, row)
        images = generator.synthesise(latents(seeds, latent.size, latent.prior), codes, psi=request.psi)
        for seed, face_codes, image in zip(seeds, codes, images, strict=True):
            yield request.face(seed, face_codes), enlarge(image[None], request.scale)[0]
        done += len(seeds)
        if progress:
            progress(done, request.count)


def _write_grid(out: Path, request: Request, faces: _Faces) -> None:
    records, images = zip(*faces, strict=True)
    canvas = lay_out(np.stack(images), request.per_row)
    picture = Image.fromarray(name_rows(canvas, request.rows) if request.rows else canvas)
    with replacing(out) as temporary:
        if out.suffix.lower() == ".png":
            text = records[0].to_json() if len(records) == 1 else json.dumps(request.record)
            picture.save(temporary, pnginfo=_info(text))
        else:
            picture.save(temporary, quality=95)


def _write_folder(out: Path, request: Request, faces: _Faces) -> None:
    for face, image in faces:
        with replacing(out / _name(face, request)) as temporary:
            temporary.write_bytes(_png(face, image))


def _write_zip(out: Path, request: Request, faces: _Faces) -> None:
    with replacing(out) as temporary, ZipFile(temporary, "w") as archive:  # stored: a PNG is compressed already
        for face, image in faces:
            entry = ZipInfo(_name(face, request))  # dated 1980, so that the same faces give the same file
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, _png(face, image))


def _name(face: Face, request: Request) -> str:
    """The name of a face's file; the index of the value keeps apart values that differ only in replaced characters."""
    if request.each is None:
        return f"seed-{face.seed:06d}.png"
    value = face.attributes[request.each]
    readable = re.sub(r"[^\w-]", "_", value)[:_LONGEST_IN_NAME]
    return f"seed-{face.seed:06d}-{request.rows.index(value):02d}-{readable}.png"


def _png(face: Face, image: Images) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=_info(face.to_json()))
    return buffer.getvalue()


def _info(text: str) -> PngInfo:
    info = PngInfo()
    info.add_text(_METADATA_KEY, text)
    return info
