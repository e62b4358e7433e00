"""Faces as files: a grid in one picture, or a PNG each in a folder or a zip. Every PNG says how to draw it again."""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from math import ceil, sqrt
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nijigan.aliases import Images, Progress
from nijigan.errors import UserError
from nijigan.files import replacing
from nijigan.generator.generator import Face, Generator
from nijigan.generator.latents import check_seed, latents
from nijigan.pictures import enlarge, grid, name_rows
from nijigan.vocabulary import ANY

LONGEST_SIDE = 16_383  # WebP's limit; a square of it is 800 MB of pixels in any format
BATCH = 64
GAP = 2

_METADATA_KEY = "nijigan"
_MOST_IN_GRID = 4096
_LONGEST_IN_NAME = 40  # characters of a value: file systems count 255 bytes
_PICTURES = (".png", ".webp", ".jpg", ".jpeg")


def generate(
    generator: Generator,
    out: Path,
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
    """Draw the faces of seeds seed ... seed + n - 1 into files.

    A PNG carries its `Face` as JSON in its text, under the key "nijigan"; `read_face` reads it back. That of a grid
    carries what it was asked for: weights, n, seed, psi, attributes, each, columns and scale. Faces reach a folder or a
    zip as they are drawn: any number of them can be asked for.

    With `each` they are drawn once for each value of that attribute, and differ in nothing else: a grid is then a
    matrix with a named row for each value and a column for each seed.

    Args:
        generator: who draws.
        out: `.png`, `.webp` or `.jpg` for a grid of at most 4,096 faces; `.zip`, or a folder, for one PNG a face,
            called `seed-000007.png`. In a folder, files of the same name are replaced and others stay.
        n: how many faces.
        seed: the first one's seed.
        psi: truncation, 0 to 2: see `Generator.synthesise`.
        scale: enlarge every face this many times.
        columns: faces in a row of a grid; left out, the nearest to a square.
        attributes: what the faces are to be; "any", or an attribute left out, is left to chance: `Generator.codes`.
        each: the attribute to run through.
        progress: called with (faces drawn, faces in all).

    Raises:
        UserError: a number is out of its range, the generator has no such attribute or value, `out` is none of these,
            or it cannot be written to.
    """
    check_range(generator, n, seed, psi, scale)
    attributes = generator.face(seed, psi, **(attributes or {})).attributes
    values = _values(generator, each, attributes)
    suffix = "" if out.is_dir() else out.suffix.lower()
    if suffix not in ("", ".zip", *_PICTURES):
        raise UserError(
            f"Faces cannot be written to {out}: end in .png, .webp or .jpg for a grid or in .zip for an archive, or "
            "name a folder."
        )
    if columns is not None and (suffix not in _PICTURES or each):
        raise UserError(
            "Columns belong to a grid; leave them out, or end the output in .png."
            if suffix not in _PICTURES
            else "A matrix of each value has a column for each seed; leave columns out, and say how many with n."
        )
    if suffix == "" and out.is_file():
        raise UserError(f"{out} is a file; name a folder, or a new name that ends in .png or .zip.")
    faces = _draw(generator, n, seed, psi, scale, attributes, each, progress)
    if suffix == "":
        _write_folder(out, faces, each, values)
    elif suffix == ".zip":
        _write_zip(out, faces, each, values)
    else:
        check_grid(n * max(1, len(values)), n if each else columns, generator.header.resolution * scale)
        record = (
            {"n": n}
            | asdict(generator.face(seed, psi, **attributes))
            | {"each": each, "columns": columns, "scale": scale}
        )
        _write_grid(out, faces, n if each else columns, values, record)


def read_face(path: Path) -> Face:
    """Read the `Face` that a PNG drawn by `generate` carries.

    Raises:
        UserError: the file cannot be read, or carries none.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            text = image.info.get(_METADATA_KEY)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"Could not read {path} as a PNG: {error}.") from error
    if not isinstance(text, str):
        raise UserError(f"{path} does not say which face it shows; only PNGs drawn by nijigan do, and editors drop it.")
    if text.startswith('{"n"'):  # as `generate` writes of grids
        raise UserError(f"{path} shows many faces; draw them into a folder, or one alone, to have a face in a file.")
    return Face.from_json(text, str(path))


def check_range(generator: Generator, n: int, seed: int, psi: float, scale: int) -> None:
    """Refuse, before anything is drawn, numbers that `generator` cannot draw with: each with a `UserError`."""
    if n < 1:
        raise UserError(f"{n} faces were asked for; ask for 1 or more.")
    check_seed(seed)
    check_seed(seed + n - 1)
    generator.check_psi(psi)
    most = LONGEST_SIDE // generator.header.resolution
    if not 1 <= scale <= most:
        raise UserError(f"A scale of {scale} is out of range; choose 1 to {most}.")


def lay_out(images: Images, columns: int | None) -> Images:
    """Lay N×H×W×3 faces out as one H'×W'×3 picture: a face alone has no frame."""
    return images[0] if len(images) == 1 else grid(images, columns, GAP)


def check_grid(n: int, columns: int | None, side: int) -> None:
    """Refuse, with a `UserError`, a grid of `n` faces of `side` pixels that is too large for one picture."""
    if columns is not None and columns < 1:
        raise UserError(f"{columns} columns were asked for; ask for 1 or more.")
    across = columns or ceil(sqrt(n))
    longest = max(across, ceil(n / across)) * (side + GAP) + GAP
    if n > _MOST_IN_GRID or longest > LONGEST_SIDE:
        raise UserError(
            f"A grid of {n:,} faces of {side} pixels is too large for one picture (at most {_MOST_IN_GRID:,} faces and "
            f"{LONGEST_SIDE:,} pixels a side); name a folder or a .zip to get one file a face."
        )


def _values(generator: Generator, each: str | None, attributes: Mapping[str, str]) -> tuple[str, ...]:
    """The rows of a matrix, or none."""
    if each is None:
        return ()
    generator.codes([0], **{each: ANY})
    if attributes.get(each, ANY) != ANY:
        raise UserError(f"{each} is to run through its values and to be {attributes[each]}; ask for one of the two.")
    return generator.header.attributes[each]


def _draw(
    generator: Generator,
    n: int,
    seed: int,
    psi: float,
    scale: int,
    attributes: dict[str, str],
    each: str | None,
    progress: Progress | None,
) -> Iterator[tuple[Face, Images]]:
    """Yield every face with its picture, H×W×3, drawing a batch at a time."""
    latent, vocabularies = generator.header.latent, generator.header.attributes
    rows = len(vocabularies[each]) if each else 1
    for row, start in product(range(rows), range(0, n, BATCH)):
        seeds = range(seed + start, seed + min(n, start + BATCH))
        codes = generator.codes(seeds, **attributes)
        if each:
            codes[:, list(vocabularies).index(each)] = row
        images = generator.synthesise(latents(seeds, latent.size, latent.prior), codes, psi=psi)
        for index, (face_seed, image) in enumerate(zip(seeds, images, strict=True)):
            # A row differs from the next in one attribute, so a face of it says what all the others are.
            known = generator.values(codes[index]) if each else attributes
            yield Face(generator.weights_hash, face_seed, psi, known), enlarge(image[None], scale)[0]
        if progress:
            progress(row * n + start + len(seeds), rows * n)


def _write_grid(
    out: Path,
    faces: Iterator[tuple[Face, Images]],
    columns: int | None,
    row_names: Sequence[str],
    record: Mapping[str, object],
) -> None:
    records, images = zip(*faces, strict=True)
    canvas = lay_out(np.stack(images), columns)
    picture = Image.fromarray(name_rows(canvas, row_names) if row_names else canvas)
    with replacing(out) as temporary:
        if out.suffix.lower() == ".png":
            text = records[0].to_json() if len(records) == 1 else json.dumps(record)
            picture.save(temporary, pnginfo=_info(text))
        else:
            picture.save(temporary, quality=95)


def _write_folder(out: Path, faces: Iterator[tuple[Face, Images]], each: str | None, values: Sequence[str]) -> None:
    for face, image in faces:
        with replacing(out / _name(face, each, values)) as temporary:
            temporary.write_bytes(_png(face, image))


def _write_zip(out: Path, faces: Iterator[tuple[Face, Images]], each: str | None, values: Sequence[str]) -> None:
    with replacing(out) as temporary, ZipFile(temporary, "w") as archive:  # stored: PNG is compressed already
        for face, image in faces:
            entry = ZipInfo(_name(face, each, values))  # dated 1980, so that the same faces are the same file
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, _png(face, image))


def _name(face: Face, each: str | None, values: Sequence[str]) -> str:
    """With the place of the value before it: values may differ in what a file name cannot hold."""
    if each is None:
        return f"seed-{face.seed:06d}.png"
    value = face.attributes[each]
    readable = re.sub(r"[^\w-]", "_", value)[:_LONGEST_IN_NAME]
    return f"seed-{face.seed:06d}-{values.index(value):02d}-{readable}.png"


def _png(face: Face, image: Images) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=_info(face.to_json()))
    return buffer.getvalue()


def _info(text: str) -> PngInfo:
    info = PngInfo()
    info.add_text(_METADATA_KEY, text)
    return info
