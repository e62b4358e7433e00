"""The server of the rating page, for one person on this machine."""

import logging
import socket
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from PIL import Image

from nijigan.dataset.decode import to_png
from nijigan.errors import UserError
from nijigan.pictures import enlarge
from nijigan.rate.ballot import Ballot
from nijigan.rate.store import VoteStore
from nijigan.rate.tally import tally

try:
    import uvicorn
    from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
    from fastapi.staticfiles import StaticFiles
    from pydantic import BaseModel
    from starlette.middleware.base import RequestResponseEndpoint
    from starlette.middleware.trustedhost import TrustedHostMiddleware
except ImportError as error:
    raise UserError("Rating requires a web server: pip install 'nijigan[studio]'.") from error

HOST = "127.0.0.1"
SHOWN_SIDE = 384
"""Approximate width of a face on the page in pixels, for every resolution."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",  # another ballot has other faces at the same addresses
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",  # otherwise any page could embed the faces
}

log = logging.getLogger("nijigan")


class Vote(BaseModel):
    """A vote, as the page sends it."""

    position: int
    """Index of the face on the ballot."""
    good: bool


def create_app(ballot: Ballot, store: VoteStore) -> FastAPI:
    """The page and its endpoints.

    The app answers only to this machine's own names, because another site could point its name at 127.0.0.1. It accepts
    votes only as JSON, which pages of other sites may not send here. It reveals no source until every face is rated.
    """
    app = FastAPI(title="nijigan rate", openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    on_ballot = set(ballot.faces)

    @app.middleware("http")
    async def add_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers.update(_HEADERS)
        return response

    @app.get("/state")
    def state() -> dict[str, Any]:
        votes = store.votes()
        open_ = [position for position, face in enumerate(ballot.faces) if face not in votes]
        rated = len(ballot.faces) - len(open_)
        return {"next": open_[:2], "rated": rated, "total": len(ballot.faces)}

    @app.get("/faces/{position}")
    def face(position: int) -> Response:
        image = ballot.images[_check(position, ballot)]
        scale = max(1, round(SHOWN_SIDE / image.shape[1]))
        return Response(to_png(Image.fromarray(enlarge(image[None], scale)[0])), media_type="image/png")

    @app.post("/votes", dependencies=[Depends(_refuse_other_sites)])
    def cast(vote: Vote) -> dict[str, Any]:
        position = _check(vote.position, ballot)
        store.cast(ballot.faces[position], ballot.sources[position], vote.good)
        return state()

    @app.post("/undo", dependencies=[Depends(_refuse_other_sites)])
    def undo() -> dict[str, Any]:
        store.undo(on_ballot)
        return state()

    @app.get("/result")
    def result() -> list[tuple[str, str]]:
        count = tally(ballot, store)
        if count.rated < count.total:
            raise HTTPException(403, "The result is available when every face is rated.")
        return count.rows()

    app.mount("/", StaticFiles(directory=Path(__file__).with_name("page"), html=True))
    return app


def serve(ballot: Ballot, store: VoteStore, port: int = 7861) -> None:
    """Serve the page to this machine until Ctrl-C.

    Raises:
        UserError: the port is invalid or in use.
    """
    if not 0 <= port < 65536:
        raise UserError(f"{port} is not a valid port; choose 0 to 65535 with --port.")
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise UserError(f"Port {port} cannot be used ({error.strerror}); choose another with --port.") from error
    config = uvicorn.Config(create_app(ballot, store), log_level="warning", ws="none")
    with listener, suppress(KeyboardInterrupt):  # uvicorn raises it again after closing its connections
        log.info("Rate at http://%s:%d. Press Ctrl-C here to stop; votes are kept.", *listener.getsockname())
        uvicorn.Server(config).run(sockets=[listener])


def _check(position: int, ballot: Ballot) -> int:
    if not 0 <= position < len(ballot.faces):
        raise HTTPException(404, "There is no such face.")
    return position


def _refuse_other_sites(content_type: Annotated[str, Header()] = "") -> None:
    """Refuse everything but JSON: browsers let any page send forms and plain text to any site, but not JSON."""
    if content_type != "application/json":
        raise HTTPException(415, "Send JSON.")
