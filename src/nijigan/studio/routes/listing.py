"""What there is: the models and their files, the health and the counters of the server."""

import hashlib
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request, Response

import nijigan
from nijigan.generator.enlarging import PACKAGED
from nijigan.studio.problems import documented
from nijigan.studio.studio import Studio

_ONNX = "application/octet-stream"
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {_ONNX: {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "The client has this file."},
}


def make_router(studio: Studio) -> APIRouter:
    """The addresses that pages and monitors read first."""
    router = APIRouter(tags=["models"])
    upscaler = PACKAGED.read_bytes()
    files = {model.name: model.file for model in studio.models if model.file is not None}
    listing = {
        "version": nijigan.__version__,
        "server": "v1",
        "most_faces": studio.limits.faces,
        "models": [model.description for model in studio.models],
        "upscaler": "upscaler.onnx",
        "finds": any(model.source for model in studio.models),
        "runs": [{"name": name, "url": f"live/{quote(name)}/"} for name in studio.runs],
    }

    @router.get("/healthz", tags=["operation"])
    async def health() -> dict[str, Any]:
        """Whether the server answers. It needs no token."""
        return {"status": "ok", "models": len(studio.models)}

    @router.get(
        "/metrics",
        tags=["operation"],
        response_class=Response,
        responses={200: {"description": "Counters for Prometheus.", "content": {"text/plain": {}}}},
    )
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return studio.metrics.response()

    @router.get("/models.json")
    @router.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        """The models, with everything that a page needs to draw their faces itself."""
        return listing | {"secret": request.app.state.has_token}

    @router.get("/models/{name}.onnx", response_class=Response, responses=_FILE | documented(404))
    async def model_file(name: str, request: Request) -> Response:
        """A generator as an ONNX file."""
        if name not in files:
            raise HTTPException(404, "There is no such model file; /models.json lists them.")
        return _file(files[name], request)

    @router.get("/upscaler.onnx", response_class=Response, responses=_FILE)
    async def upscaler_file(request: Request) -> Response:
        """The network that enlarges faces, as an ONNX file."""
        return _file(upscaler, request)

    return router


def _file(content: bytes, request: Request) -> Response:
    headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "Cache-Control": "private, no-cache"}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    return Response(content, headers=headers, media_type=_ONNX)
