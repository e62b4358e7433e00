"""Records in pictures, films and archives: how to generate their faces again.

A record is one line of ASCII JSON: a `Face`, or what `Request.record` holds. nijigan also knows its own files by it.
"""

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nijigan.aliases import Images
from nijigan.errors import UserError
from nijigan.files import check_path
from nijigan.generator.face import Face

MARK = "nijigan "
"""What a record starts with where it is a description or a comment. In a PNG, the record is the text `nijigan`."""

_KEY = MARK.strip()
_DESCRIPTION = 0x010E  # EXIF's ImageDescription
_DATASET = "dataset.json"  # in the folder of a dataset; `dataset.manifest` would load pyarrow
_LONGEST_IN_JPEG = 60_000  # bytes; an EXIF block of a JPEG has at most 65,533
_END_OF_ZIP = b"PK\5\6"
_COMMENT_IN_ZIP = 18  # bytes from the end of these four to the comment
_START_OF_MP4 = 16 << 20  # bytes: ffmpeg's faststart puts the comment before the frames


def save_picture(picture: Image.Image, file: Any, suffix: str, record: str, **options: Any) -> None:
    """Save a picture with its record.

    Args:
        picture: the picture, or the first frame of an animation.
        file: a path, or a binary file.
        suffix: the format: .png, .jpg, .jpeg, .webp or .gif.
        record: one line of ASCII.
        options: of `Image.save`.

    Raises:
        UserError: the record is too long for this format.
    """
    if suffix == ".png":
        info = PngInfo()
        info.add_text(_KEY, record)
        picture.save(file, "PNG", pnginfo=info, **options)
    elif suffix == ".gif":
        picture.save(file, "GIF", comment=MARK + record, **options)
    else:
        check_record(record, suffix)
        exif = Image.Exif()
        exif[_DESCRIPTION] = MARK + record
        picture.save(file, "WEBP" if suffix == ".webp" else "JPEG", exif=exif, **options)


def face_png(face: Face, image: Images) -> bytes:
    """A picture of one face, H×W×3, as a PNG that records it."""
    buffer = io.BytesIO()
    save_picture(Image.fromarray(image), buffer, ".png", face.to_json())
    return buffer.getvalue()


def check_record(record: str, suffix: str) -> None:
    """Refuse, with a `UserError`, a record that is too long for a format."""
    if suffix in (".jpg", ".jpeg") and len(record) > _LONGEST_IN_JPEG:
        raise UserError(f"A {suffix} cannot record so many seeds and attributes; write a .png.")


def read_face(path: str | Path) -> Face:
    """Read the `Face` that is recorded in a PNG, JPEG or WebP written by `generate`.

    Raises:
        UserError: the file cannot be read, or records no single face.
    """
    if isinstance(path, str | Path):
        check_path(Path(path))
        if not Path(path).is_file():  # a pipe would be waited for
            reason = "it is not a regular file" if Path(path).exists() else "there is no such file"
            raise UserError(f"Could not read {path}: {reason}.")
    try:
        text = _record(path)
    except Exception as error:  # Pillow raises errors of many kinds for damaged pictures
        raise UserError(f"Could not read {path} as a PNG, JPEG or WebP: {error}.") from error
    if text is None:
        raise UserError(
            f"{path} has no record of the face it shows; only pictures written by nijigan have one, and image editors "
            "remove it."
        )
    if text.startswith('{"n"'):  # how `Request.record` begins
        raise UserError(f"{path} shows many faces; generate into a folder, or with n = 1, to record a single face.")
    return Face.from_json(text, str(path))


def is_saved(path: Path, face: Face, side: int) -> bool:
    """Whether `path` is a whole PNG of this face, `side` pixels high and wide."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            alike = image.info.get(_KEY) == face.to_json() and image.size == (side, side)
            image.verify()
            return alike
    except Exception:  # as in `read_face`
        return False


def check_replaceable(path: Path, overwrite: bool) -> None:
    """Refuse, with a `UserError`, to replace a file that nijigan did not write, unless `overwrite` is set."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path} is a device or a pipe, not a file; choose another name.")
    if not overwrite and path.is_file() and not _is_ours(path):
        raise UserError(f"{path} was not written by nijigan; choose another name, or replace it with --overwrite.")


def check_folder(folder: Path, names: str, weights: str, overwrite: bool) -> None:
    """Refuse, with a `UserError`, a dataset, or a folder whose faces another program or another generator made.

    Args:
        folder: the folder; it need not exist.
        names: a pattern of the names that the faces have.
        weights: `Generator.weights_hash` of the generator that writes into the folder.
        overwrite: allow any folder.
    """
    if not overwrite and (folder / _DATASET).is_file():
        raise UserError(f"{folder} is a dataset of real faces; choose another folder, or mix them with --overwrite.")
    for path in [] if overwrite else folder.glob(names):
        if not path.is_file():  # a pipe would be waited for
            raise UserError(f"{path} is not a file; choose another folder.")
        if path.stat().st_size == 0:  # what a loss of power may leave of a face
            continue
        record = _read(path)
        if record is None:
            raise UserError(
                f"{path} was not written by nijigan; choose another folder, or replace files with --overwrite."
            )
        if record.get("weights") != weights:
            raise UserError(
                f"{folder} has faces of another generator; choose another folder, or mix them with --overwrite."
            )


def _record(source: Any) -> str | None:
    """The record in a picture or an animation, if it has one."""
    with Image.open(source, formats=["PNG", "JPEG", "WEBP", "GIF"]) as image:
        if image.format == "PNG":
            text = image.info.get(_KEY)
            return text if isinstance(text, str) else None
        text = image.info.get("comment") if image.format == "GIF" else image.getexif().get(_DESCRIPTION)
    text = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    return text.removeprefix(MARK) if isinstance(text, str) and text.startswith(MARK) else None


def _is_ours(path: Path) -> bool:
    """Whether a file is empty or has a record."""
    suffix = path.suffix.lower()
    try:
        if path.stat().st_size == 0:
            return True
        if suffix == ".zip":
            return _comment_of_zip(path).startswith(MARK.encode())
        if suffix == ".mp4":
            with path.open("rb") as file:
                return MARK.encode() + b"{" in file.read(_START_OF_MP4)
    except OSError:
        return False
    return _read(path) is not None


def _read(path: Path) -> dict[str, Any] | None:
    """The record of a picture or an animation as JSON, if it has one."""
    try:
        record = json.loads(_record(path) or "")
    except Exception:  # as in `read_face`
        return None
    return record if isinstance(record, dict) else None


def _comment_of_zip(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - 22))  # the longest comment, and the record that it ends
        return file.read().rpartition(_END_OF_ZIP)[2][_COMMENT_IN_ZIP:]
