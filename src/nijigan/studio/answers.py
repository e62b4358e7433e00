"""Generated faces as what is sent: pictures, archives, JSON and films."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile, ZipInfo

from PIL import Image

from nijigan.aliases import Images
from nijigan.errors import check
from nijigan.generator.enlarging import enlarge
from nijigan.generator.records import MARK, face_png, save_picture
from nijigan.generator.saving import lay_out
from nijigan.generator.walks import write_film
from nijigan.studio.orders import Drawing
from nijigan.studio.requests import WalkOrder

MEDIA_TYPES = {
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "mp4": "video/mp4",
    "zip": "application/zip",
    "json": "application/json",
}

_QUALITY = 95  # of WebP
_AT_ONCE = 8  # frames enlarged together
_LONGEST_IN_MP4 = 100_000  # characters; one argument of a program has at most 131,071 bytes on Linux


def answer(drawing: Drawing, images: Images, kind: str) -> bytes:
    """Encode generated faces.

    Args:
        drawing: what was drawn.
        images: uint8, N×H×W×3, not enlarged yet.
        kind: png, webp, zip or json: see `FacesOrder.format`.
    """
    images = enlarge(images, drawing.scale, drawing.upscaler)
    if kind == "zip":
        return _archive(drawing, images)
    if kind == "json":
        faces = [
            {"face": json.loads(face.to_json()), "png": base64.b64encode(face_png(face, image)).decode()}
            for face, image in zip(drawing.faces, images, strict=True)
        ]
        return json.dumps({"faces": faces}).encode()
    buffer = io.BytesIO()
    options = {"quality": _QUALITY} if kind == "webp" else {}
    picture = Image.fromarray(lay_out(images, drawing.columns))
    save_picture(picture, buffer, f".{kind}", drawing.record, **options)
    return buffer.getvalue()


def film(stops: Drawing, order: WalkOrder, frames: Images, check_open: Callable[[], None]) -> bytes:
    """Encode the frames of a walk.

    Args:
        stops: the faces that it passes through.
        order: what was asked for.
        frames: uint8, N×H×W×3, not enlarged yet.
        check_open: called before each part; what it raises ends the work.

    Raises:
        UserError: ffmpeg is missing, or failed.
    """

    def enlarged() -> Iterator[Images]:
        for start in range(0, len(frames), _AT_ONCE):
            check_open()
            yield from enlarge(frames[start : start + _AT_ONCE], stops.scale, stops.upscaler)

    record = json.dumps(json.loads(stops.record) | {"frames_per_stop": order.frames_per_stop, "fps": order.fps})
    check(
        order.format != "mp4" or len(record) <= _LONGEST_IN_MP4,
        "An mp4 cannot record the latents of so many faces; choose the format webp or send fewer faces.",
    )
    with TemporaryDirectory(prefix="nijigan-") as folder:
        path = Path(folder) / f"walk.{order.format}"
        write_film(enlarged(), path, order.fps, record)
        return path.read_bytes()


def _archive(drawing: Drawing, images: Images) -> bytes:
    names = [f"seed-{face.seed:06d}.png" for face in drawing.faces]
    if len(set(names)) < len(names):  # faces that differ in other values than the seed
        names = [f"{index:03d}-{name}" for index, name in enumerate(names)]
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:  # stored: a PNG is compressed already
        archive.comment = (MARK + json.dumps({"weights": drawing.model.weights})).encode()
        for name, face, image in zip(names, drawing.faces, images, strict=True):
            archive.writestr(ZipInfo(name), face_png(face, image))  # dated 1980, so that equal faces give equal files
    return buffer.getvalue()
