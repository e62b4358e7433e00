"""Cut faces out of illustrations: a square around each head, stored in a temporary zip of PNGs next to the dataset.

The archive is then imported like any other, so that duplicates, splits and sizes are those of the crops. In a mixed
collection, pictures that already are a face stay whole.
"""

import hashlib
import os
import secrets
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from nijigan.dataset.decode import UnreadableError, decode, to_png
from nijigan.dataset.dropped import Dropped, unusable
from nijigan.errors import UserError
from nijigan.files import replacing
from nijigan.importing.contact_sheets import keep_sheet, spread
from nijigan.importing.labels.vocabulary import PictureLabels
from nijigan.importing.measure import FAILURE, each, failure, open_entry
from nijigan.importing.sources import SourceFile
from nijigan.importing.store import Origin, picture
from nijigan.pictures import grid, resize
from nijigan.vision.finder import FoundFace, check_finder, find_faces, may_be_face
from nijigan.vision.framing import Square, square_about

FACE_SHARE = 0.45
"""A picture is a face already if its largest face has at least this share of the longer side. Between the faces of
illustrations and those of tiles there is a gap around this value."""
SMALL = 256
"""Longer side, in pixels, up to which a picture may be a face that the detector finds only after equalisation."""

EXAMINED = 4
"""How many of the largest pictures are examined for whole illustrations if faces are not cut out."""

SHEET = "crops.png"
PICTURES = 64
PICTURE_SIDE = 256
COLOUR = "red"

BATCH = 2

_CUT = pa.struct(
    {
        **FAILURE,
        "sha256": pa.string(),  # of the illustration's file
        "whole": pa.bool_(),  # whether the picture is a face already and is not cropped
        "crops": pa.list_(
            pa.struct({"square": pa.list_(pa.int32(), 4), "png": pa.binary()})
        ),  # the likeliest face first
    }
)


@dataclass(frozen=True)
class Crops:
    """The pictures to import: crops of illustrations, or whole pictures."""

    entries: list[SourceFile] = field(default_factory=list)
    """The crops, sorted by name: the illustration's name, `#` and a number from 0, which is the likeliest face. A whole
    picture has its own name."""
    pictures: list[int] = field(default_factory=list)
    """For each entry, the index of its illustration."""
    digests: dict[int, str] = field(default_factory=dict)
    """SHA-256 of each illustration's file, by its index. Empty for whole pictures."""
    squares: dict[int, list[Square]] = field(default_factory=dict)
    """The squares of each illustration's crops, by its index. Empty for whole pictures."""
    whole: int = 0
    """With `keep_faces`, the number of pictures that are faces already."""
    dropped: list[Dropped] = field(default_factory=list)
    """Illustrations without a face, and those that cannot be used."""

    def labels(self, given: Mapping[int, PictureLabels]) -> dict[int, PictureLabels]:
        """The labels of the entries. A crop has those of its illustration if that shows only one face."""
        return {
            crop: given[row]
            for crop, row in enumerate(self.pictures)
            if row in given and len(self.squares.get(row, ())) < 2
        }


@contextmanager
def cut_faces(
    pictures: Sequence[SourceFile],
    out: Path,
    margin: float,
    max_pixels: int,
    progress: Callable[[int, int], None] | None = None,
    *,
    keep_faces: bool = False,
) -> Iterator[Crops]:
    """Find and cut out the faces in illustrations.

    Args:
        pictures: the illustrations.
        out: the dataset's folder; the crops are stored next to it, and deleted at the end.
        margin: space around each face, as a share of its size.
        max_pixels: the largest width × height that is decoded.
        progress: called with (pictures done, pictures in all).
        keep_faces: whether pictures that already are a face stay whole.

    Raises:
        UserError: the crops cannot be written, or the face detector cannot be loaded.
    """
    check_finder()

    def work(files: Sequence[bytes], positions: Sequence[int]) -> pa.Array:
        places = zip(files, positions, strict=True)
        return pa.array([_cut(*place, margin, max_pixels, keep_faces) for place in places], _CUT)

    out = out.resolve()
    archive = out.with_name(f".{out.name}.{secrets.token_hex(4)}.crops.zip")
    try:
        with replacing(archive) as temporary, zipfile.ZipFile(temporary, "w") as file:
            cuts = (cut for part in each(pictures, work, _CUT, BATCH, progress) for cut in part.to_pylist())
            crops = _collect(cuts, pictures, archive, file)
        yield crops
    finally:
        archive.unlink(missing_ok=True)


def _collect(
    cuts: Iterator[dict[str, Any]], pictures: Sequence[SourceFile], archive: Path, file: zipfile.ZipFile
) -> Crops:
    """Write the crops into `file`, which will be `archive`."""
    crops = Crops()
    found: list[tuple[SourceFile, int]] = []
    written = whole = 0
    for cut in cuts:
        row, name = cut["row"], pictures[cut["row"]].name
        if cut["error"]:
            crops.dropped.append(unusable(name, cut["error"], cut["too_large"]))
            continue
        if cut["whole"]:
            found.append((pictures[row], row))
            whole += 1
            continue
        crops.digests[row] = cut["sha256"]
        crops.squares[row] = [tuple(crop["square"]) for crop in cut["crops"]]
        if not cut["crops"]:
            crops.dropped.append(Dropped(name, "no face", "none was found in it"))
        for number, crop in enumerate(cut["crops"]):
            found.append((SourceFile(f"{name}#{number}", str(archive), written), row))
            # The entry is dated 1980, because the clock may be set to a year that archives cannot express.
            file.writestr(zipfile.ZipInfo(f"{written}.png"), crop["png"])
            written += 1
    found.sort()  # by name, not in the order of completion
    return replace(crops, entries=[entry for entry, _ in found], pictures=[row for _, row in found], whole=whole)


def _cut(file: bytes, position: int, margin: float, max_pixels: int, keep_faces: bool) -> dict[str, Any]:
    try:
        data, opened = open_entry(file, position, max_pixels)
    except UnreadableError as error:
        return failure(error)
    image = opened.image
    faces = find_faces(np.asarray(image))
    if keep_faces and _is_face(image, faces):
        return {"whole": True}
    squares = [square_about(face, *image.size, margin) for face in faces]
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "crops": [{"square": square, "png": to_png(image.crop(square))} for square in squares],
    }


def _is_face(image: Image.Image, faces: Sequence[FoundFace]) -> bool:
    """Whether a picture already is a face, given the faces that were found in it."""
    if not faces:
        return max(image.size) <= SMALL and may_be_face(np.asarray(image))
    return max(max(face.width, face.height) for face in faces) >= FACE_SHARE * max(image.size)


def hint_at_crop(origins: Sequence[Origin], sizes: Sequence[tuple[int, int]]) -> list[str]:
    """A sentence for the report if there seem to be whole illustrations among the pictures; none without a detector.

    Args:
        origins: where each picture is.
        sizes: width and height of each picture, in pixels.
    """
    try:
        check_finder()
    except UserError:  # the import does not need it
        return []
    # Illustrations are larger than faces and rarely square.
    large = [row for row in range(len(origins)) if max(sizes[row]) > SMALL]
    largest = sorted(large, key=lambda row: max(sizes[row]) ** 2 / min(sizes[row]), reverse=True)[:EXAMINED]
    illustrations = 0
    for row in largest:
        with suppress(UnreadableError):  # it was deleted; the import notices that when it stores the picture
            image = open_entry(os.fsencode(origins[row].file), origins[row].position, None)[1].image
            faces = find_faces(np.asarray(image))
            illustrations += bool(faces) and not _is_face(image, faces)
    if 2 * illustrations < max(1, len(largest)):
        return []
    return [
        f"{illustrations} of the {len(largest)} largest new pictures show smaller faces: they seem to be whole "
        "illustrations. --crop cuts the faces out; with --keep-faces, pictures that already are a face stay whole."
    ]


def write_squares(folder: Path, pictures: Sequence[SourceFile], crops: Crops, previous: Path) -> None:
    """Draw illustrations with their crops marked into `crops.png`; if there are none, copy the sheet of `previous`.

    Args:
        folder: the folder for the sheet.
        pictures: the illustrations, as given to `cut_faces`; 64 evenly spaced ones are drawn.
        crops: what `cut_faces` returned.
        previous: the dataset before this import.
    """
    tiles = []
    readable = sorted(crops.squares)
    for row in (readable[place] for place in spread(len(readable), PICTURES)):
        image = decode(picture(Origin(pictures[row].file, pictures[row].position, plain=True)), None).image
        scale = PICTURE_SIDE / max(image.size)
        tile = Image.new("RGB", (PICTURE_SIDE, PICTURE_SIDE), "white")
        tile.paste(resize(image, *(max(1, round(side * scale)) for side in image.size)))
        for square in crops.squares[row]:
            ImageDraw.Draw(tile).rectangle([edge * scale for edge in square], outline=COLOUR, width=2)
        tiles.append(np.asarray(tile))
    if tiles:
        Image.fromarray(grid(np.stack(tiles))).save(folder / SHEET)
    else:
        keep_sheet(folder, SHEET, previous)
