"""Inversion over HTTP: from a picture to the nearest face of a model."""

import json
import threading
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from nijigan.errors import UserError, check
from nijigan.studio.gate import PICTURES
from nijigan.studio.models import Model
from nijigan.studio.problems import BusyError, documented
from nijigan.studio.requests import FoundFace, Name
from nijigan.studio.studio import Studio, unless_gone

PATH = "/v1/inversions"
MOST_BYTES = 8 << 20
"""The largest picture."""

_MOST_PIXELS = 1 << 25  # of a picture, decoded
_MOST_WAITING = 4  # a search takes seconds
_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"A picture of at most {MOST_BYTES >> 20} MiB.",
        "content": dict.fromkeys(PICTURES, _PICTURE),
    }
}


def make_router(studio: Studio) -> APIRouter:
    """The address of inversions."""
    router = APIRouter(tags=["inversion"])
    waiting = 0

    @router.post(PATH, responses=documented(400, 408, 413, 415, 429), openapi_extra=_BODY)
    async def find(
        request: Request, model: Annotated[Name | None, Query(description="Default: the first model.")] = None
    ) -> FoundFace:
        """Find the face that a model can draw and that is nearest to a picture; takes seconds."""
        nonlocal waiting
        chosen = studio.model(model)
        if chosen.source is None:
            raise UserError(f"{chosen.name} is an exported file, which only draws; start the studio with its run.")
        if waiting >= _MOST_WAITING:
            raise BusyError
        waiting += 1
        left = threading.Event()

        def check_open() -> None:
            check(not left.is_set(), "The client has left.")

        try:
            content = await request.body()
            return await unless_gone(request, studio.search(_find, chosen, content, check_open))
        finally:
            left.set()
            waiting -= 1

    return router


def _find(model: Model, content: bytes, check_open: Callable[[], None]) -> FoundFace:
    """Find a face; what `check_open` raises ends the search, before any of its steps."""
    check_open()
    from nijigan.inversion.search import invert  # loads torch
    from nijigan.inversion.uploads import prepare

    assert model.source is not None
    upload = prepare(content, model.source.header.resolution, max_pixels=_MOST_PIXELS)
    (found,) = invert(model.source, upload.pixels[None], progress=lambda done, total: check_open())
    return FoundFace(
        face=json.loads(found.face.to_json()),
        distance=found.distance,
        level=found.nearness.level,
        words=found.nearness.sentence,
        face_seen=upload.found,
    )
