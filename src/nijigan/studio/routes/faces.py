"""Faces: by their seeds or records, as pictures, and faces near a face."""

import hashlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import TypeAdapter

from nijigan.errors import UserError
from nijigan.generator.enlarging import Upscaler
from nijigan.studio.answers import MEDIA_TYPES, answer
from nijigan.studio.orders import Drawing, faces_of, variations_of
from nijigan.studio.problems import documented
from nijigan.studio.requests import FacePictures, FaceRecords, FacesOrder, VariationsOrder
from nijigan.studio.studio import Studio, unless_gone

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PICTURE: dict[int | str, dict[str, Any]] = {200: {"description": "The picture.", "content": {"image/png": _BINARY}}}
_FORMATS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The faces in the format that was asked for.",
        "content": {MEDIA_TYPES[kind]: _BINARY for kind in ("png", "webp", "zip")}
        | {"application/json": {"schema": {"$ref": "#/components/schemas/FacePictures"}}},
        "model": FacePictures,
    }
}
_NAMED = ("model", "psi", "scale", "upscaler")
_YEAR = "private, max-age=31536000, immutable"


def make_router(studio: Studio) -> APIRouter:
    """The addresses below /v1 that answer with faces."""
    router = APIRouter(prefix="/v1", tags=["faces"])
    problems = documented(400, 408, 413, 415, 429)

    @router.post("/faces", responses=_FORMATS | problems, response_class=Response)
    async def draw_faces(order: FacesOrder, request: Request) -> Response:
        """Generate faces by their records, by their seeds, or a number of faces from one seed on."""
        content = await unless_gone(request, _ordered(studio, order))
        return Response(content, media_type=MEDIA_TYPES[order.format])

    @router.get(
        "/faces/{seed}.png",
        responses=_PICTURE | {304: {"description": "The client has this picture."}} | documented(429),
        response_class=Response,
        openapi_extra={"parameters": _attribute_parameters(studio)},
    )
    async def draw_face(
        request: Request,
        seed: Annotated[str, Path(pattern="^[0-9]{1,19}$", description="The seed, in decimal digits.")],
        model: Annotated[str | None, Query(min_length=1, max_length=300)] = None,
        psi: Annotated[float, Query(ge=0, le=2, allow_inf_nan=False)] = 1.0,
        scale: Annotated[int, Query(json_schema_extra={"enum": [1, 2, 4]})] = 1,
        upscaler: Upscaler = "learnt",
    ) -> Response:
        """One face for an <img> element. Attributes are further parameters, such as hair=blue."""
        asked = {name: value for name, value in request.query_params.multi_items() if name not in _NAMED}
        members = {"model": model, "seed": seed, "psi": psi, "attributes": asked, "scale": scale, "upscaler": upscaler}
        order = _check(members)
        drawing = faces_of(studio, order)
        headers = _caching(drawing, named_by_weights=model == drawing.model.weights)
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(None, 304, headers)
        content = await unless_gone(request, _drawn(studio, drawing, "png"))
        return Response(content, headers=headers, media_type="image/png")

    @router.post("/variations", responses=problems)
    async def vary(order: VariationsOrder) -> FaceRecords:
        """Faces near a face, as records with latents; /v1/faces draws them."""
        faces = await studio.aside(variations_of, studio, order)
        return FaceRecords(faces=[json.loads(face.to_json()) for face in faces])

    return router


async def _ordered(studio: Studio, order: FacesOrder) -> bytes:
    return await _drawn(studio, await studio.aside(faces_of, studio, order), order.format)


async def _drawn(studio: Studio, drawing: Drawing, kind: str) -> bytes:
    with studio.admitted(drawing.pixels):
        psi = [face.psi for face in drawing.faces]
        images = await studio.draw(drawing.model, drawing.latents, drawing.codes, psi)
        return await studio.encode(drawing.pixels, answer, drawing, images, kind)


def _check(members: dict[str, Any]) -> FacesOrder:
    """An order from parameters of an address, which are not as strictly typed as bodies."""
    if members["scale"] not in (1, 2, 4):
        raise UserError("scale must be 1, 2 or 4.")
    if int(members["seed"]) >= 1 << 63:
        raise UserError("The seed is out of range; choose an integer from 0 to 2^63 - 1.")
    for name, value in members["attributes"].items():
        if not 0 < len(name) <= 100 or not 0 < len(value) <= 100 or len(members["attributes"]) > 64:
            raise UserError(f"{name[:80] or 'A parameter'} has no value, or is too long.")
    return TypeAdapter(FacesOrder).validate_python(members)


def _caching(drawing: Drawing, named_by_weights: bool) -> dict[str, str]:
    """Headers with which browsers keep a picture. The name of a model may mean another one tomorrow."""
    text = f"{drawing.record} {drawing.scale} {drawing.upscaler}"
    tag = hashlib.sha256(text.encode()).hexdigest()[:32]
    return {"ETag": f'"{tag}"', "Cache-Control": _YEAR if named_by_weights else "private, no-cache"}


def _attribute_parameters(studio: Studio) -> list[dict[str, Any]]:
    """The attributes of all models as parameters of an address, for the description of the interface."""
    values: dict[str, list[str]] = {}
    for model in studio.models:
        for name, words in model.generator.header.attributes.items():
            known = values.setdefault(name, [])
            known.extend(word for word in words if word not in known)
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": f"The value of {name}: {', '.join(words)} or any. Default: any.",
            "schema": {"type": "string"},
        }
        for name, words in values.items()
    ]
