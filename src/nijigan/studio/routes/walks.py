"""Films that pass through faces."""

import threading
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from nijigan.errors import check
from nijigan.generator.latents import Latents, interpolate
from nijigan.studio.answers import MEDIA_TYPES, film
from nijigan.studio.orders import Drawing, stops_of
from nijigan.studio.problems import documented
from nijigan.studio.requests import WalkOrder
from nijigan.studio.studio import Studio, unless_gone

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILMS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The film.", "content": {MEDIA_TYPES[kind]: _BINARY for kind in ("webp", "gif", "mp4")}}
}


def make_router(studio: Studio) -> APIRouter:
    """The address of walks."""
    router = APIRouter(prefix="/v1", tags=["walks"])

    @router.post("/walks", responses=_FILMS | documented(400, 408, 413, 415, 429), response_class=Response)
    async def walk(order: WalkOrder, request: Request) -> Response:
        """A looping film that passes through faces; between two of them it interpolates their latents."""
        content = await unless_gone(request, _film(studio, order))
        return Response(content, media_type=MEDIA_TYPES[order.format])

    return router


async def _film(studio: Studio, order: WalkOrder) -> bytes:
    stops = await studio.aside(stops_of, studio, order)
    count = len(stops.faces) * order.frames_per_stop
    left = threading.Event()

    def check_open() -> None:
        check(not left.is_set(), "The client has left.")

    pixels = count * stops.side**2
    with studio.admitted(pixels):
        psi = stops.faces[0].psi
        images = await studio.draw(
            stops.model, _between(stops, order.frames_per_stop), stops.codes[:1].repeat(count, 0), [psi] * count
        )
        try:
            return await studio.encode(pixels, film, stops, order, images, check_open)
        finally:
            left.set()


def _between(stops: Drawing, frames: int) -> Latents:
    """The latents of all frames: `frames` from each stop to the next, and from the last one to the first."""
    frame = np.arange(len(stops.faces) * frames)
    stop, t = frame // frames, frame % frames / frames
    following = (stop + 1) % len(stops.faces)
    prior = stops.model.generator.header.latent.prior
    return interpolate(stops.latents[stop], stops.latents[following], t, prior)
