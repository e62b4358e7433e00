"""From a request to the faces that it asks for: their model, their records, their latents."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from nijigan.aliases import Codes
from nijigan.errors import UserError, check
from nijigan.generator.enlarging import Upscaler
from nijigan.generator.face import Face, encode_latent
from nijigan.generator.generator import Generator
from nijigan.generator.latents import Latents, consecutive_seeds, interpolate, latents
from nijigan.generator.request import GAP, LONGEST_SIDE, Request
from nijigan.studio.models import Model
from nijigan.studio.requests import FaceRecord, FacesOrder, VariationsOrder, WalkOrder
from nijigan.studio.studio import Studio


@dataclass(frozen=True, eq=False)
class Drawing:
    """Faces of one model, ready to be drawn."""

    model: Model
    faces: tuple[Face, ...]
    """The records, N."""
    latents: Latents
    """Float32, N×size."""
    codes: Codes
    """Int64, N×A."""
    scale: int
    """Factor by which every face is enlarged."""
    upscaler: Upscaler
    """How faces are enlarged."""
    record: str
    """What one picture of all these faces records: see `nijigan.generator.records`."""
    columns: int | None = None
    """Faces per row of a grid."""

    @property
    def side(self) -> int:
        """Height and width of every face in pixels, enlarged."""
        return self.model.generator.header.resolution * self.scale

    @property
    def pixels(self) -> int:
        """Pixels of all faces, enlarged."""
        return len(self.faces) * self.side**2


def faces_of(studio: Studio, order: FacesOrder) -> Drawing:
    """Find the faces that an order asks for.

    Raises:
        UserError: members of the order exclude each other or do not fit the model, or the faces are too many.
    """
    if order.faces is not None:
        others = (order.seeds, order.n, order.seed, order.psi, order.attributes)
        check(others == (None,) * 5, "Omit seeds, n, seed, psi and attributes if you send faces; faces have their own.")
        drawing = _recorded(studio, order.model, order.faces, order.scale, order.upscaler, order.columns)
    else:
        drawing = _seeded(studio, order)
    _check_size(studio, drawing)
    if order.format in ("png", "webp"):
        _check_grid(drawing)
    else:
        check(order.columns is None, "Columns apply only to a grid; omit them, or choose the format png or webp.")
    return drawing


def stops_of(studio: Studio, order: WalkOrder) -> Drawing:
    """Find the faces that a film passes through.

    Raises:
        UserError: members of the order exclude each other or do not fit the model, or the film is too long.
    """
    if order.faces is not None:
        others = (order.seeds, order.psi, order.attributes)
        check(others == (None,) * 3, "Omit seeds, psi and attributes if you send faces; faces have their own.")
        stops = _recorded(studio, order.model, order.faces, order.scale, order.upscaler)
    elif order.seeds is not None:
        stops = _seeded(studio, order)
    else:
        raise UserError("A walk needs two or more stops; send faces or seeds.")
    limits, frames = studio.limits, len(stops.faces) * order.frames_per_stop
    check(
        frames <= limits.frames and frames * stops.side**2 <= limits.film_pixels,
        f"{frames:,} frames of {stops.side} pixels are too many (limits: {limits.frames:,} frames, "
        f"{limits.film_pixels:,} pixels in all); choose fewer stops, fewer frames or a smaller scale.",
    )
    check(order.format != "gif" or order.fps <= 50, f"A GIF has at most 50 frames per second, not {order.fps}.")
    return stops


def variations_of(studio: Studio, order: VariationsOrder) -> list[Face]:
    """Choose faces near a face: their latents lie on arcs from its latent to random ones.

    The arc has the angle of `order.radius` of the way. All points of it are as long as the face's latent, so that they
    are as probable as it is. In a cube of uniform latents it is a line, which stays inside.

    Raises:
        UserError: there is no such model, or the face does not fit it.
    """
    limit = studio.limits.faces
    check(order.n <= limit, f"{order.n:,} variations are too many; choose 1 to {limit:,}.")
    face, model = order.face.face(), studio.model(order.face.weights)
    latent = model.generator.header.latent
    model.generator.codes([face.seed], **model.generator.attributes_of(face))
    model.generator.check_psi(face.psi)
    start = face.latents(latent.size, latent.prior)
    random = np.random.Generator(np.random.PCG64([face.seed, order.seed]))
    if latent.prior == "uniform":
        ends = random.uniform(-1, 1, (order.n, latent.size))
    else:
        ends = random.standard_normal((order.n, latent.size))
        ends *= np.linalg.norm(start) / np.linalg.norm(ends, axis=1, keepdims=True)
    near = interpolate(np.broadcast_to(start, ends.shape), ends.astype(np.float32), order.radius, latent.prior)
    return [Face(face.weights, face.seed, face.psi, face.attributes, encode_latent(z)) for z in near]


def _recorded(
    studio: Studio,
    name: str | None,
    records: Sequence[FaceRecord],
    scale: int,
    upscaler: Upscaler,
    columns: int | None = None,
) -> Drawing:
    """Faces by their records."""
    _check_count(studio, len(records))
    faces = tuple(record.face() for record in records)
    weights = {face.weights for face in faces}
    check(len(weights) == 1, "The faces were made by several models; send those of one model at a time.")
    model = studio.model(name or weights.pop())
    generator = model.generator
    alike: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for row, face in enumerate(faces):
        alike.setdefault(tuple(sorted(generator.attributes_of(face).items())), []).append(row)
    for psi in {face.psi for face in faces}:
        generator.check_psi(psi)
    codes = np.empty((len(faces), len(generator.header.attributes)), np.int64)
    for attributes, rows in alike.items():
        codes[rows] = generator.codes([faces[row].seed for row in rows], **dict(attributes))
    record = {
        "n": len(faces),
        "weights": generator.weights_hash,
        "faces": [json.loads(face.to_json()) for face in faces],
        "columns": columns,
        "scale": scale,
        "upscaler": upscaler,
    }
    text = faces[0].to_json() if len(faces) == 1 else json.dumps(record)
    return Drawing(model, faces, _latents(generator, faces), codes, scale, upscaler, text, columns)


def _seeded(studio: Studio, order: FacesOrder | WalkOrder) -> Drawing:
    """Faces by their seeds."""
    columns = None
    if isinstance(order, FacesOrder):
        check(order.seeds is None or order.n is order.seed is None, "Omit n and seed if you send seeds.")
        columns = order.columns
        n = 1 if order.n is None else order.n
        seeds = consecutive_seeds(order.seed or 0, n) if order.seeds is None else order.seeds
    else:
        seeds = order.seeds or []
    _check_count(studio, len(seeds))
    model = studio.model(order.model)
    psi = 1.0 if order.psi is None else order.psi
    request = Request(
        model.generator, seeds, psi, order.attributes or {}, None, order.scale, order.upscaler, columns
    )  # fmt: skip
    codes = request.codes(seeds)
    faces = tuple(request.face(seed, row) for seed, row in zip(seeds, codes, strict=True))
    text = faces[0].to_json() if len(faces) == 1 else json.dumps(request.record)
    return Drawing(model, faces, request.latents(seeds), codes, order.scale, order.upscaler, text, columns)


def _latents(generator: Generator, faces: Sequence[Face]) -> Latents:
    """The latents of recorded faces; those that follow from seeds are computed together."""
    latent = generator.header.latent
    found = latents([face.seed for face in faces], latent.size, latent.prior)
    for row, face in enumerate(faces):
        if face.latent:
            found[row] = face.latents(latent.size, latent.prior)[0]
    return found


def _check_count(studio: Studio, count: int) -> None:
    limit = studio.limits.faces
    check(count <= limit, f"{count:,} faces are too many for one request; choose 1 to {limit:,}.")


def _check_size(studio: Studio, drawing: Drawing) -> None:
    limit = studio.limits.pixels
    check(
        drawing.pixels <= limit,
        f"{len(drawing.faces):,} faces of {drawing.side} pixels are too large for one request (limit: {limit:,} pixels "
        "in all); choose fewer faces or a smaller scale.",
    )


def _check_grid(drawing: Drawing) -> None:
    per_row = drawing.columns or ceil(sqrt(len(drawing.faces)))
    longest = max(per_row, ceil(len(drawing.faces) / per_row)) * (drawing.side + GAP) + GAP
    check(
        longest <= LONGEST_SIDE,
        f"A grid of {longest:,} pixels a side is too large for one picture (limit: {LONGEST_SIDE:,}); choose other "
        "columns, fewer faces or a smaller scale.",
    )
