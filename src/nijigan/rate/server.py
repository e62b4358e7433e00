"""The server of the rating page, for one person."""

import logging
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from PIL import Image

from nijigan.dataset.decode import to_png
from nijigan.errors import UserError
from nijigan.pictures import enlarge
from nijigan.rate.ballot import Ballot
from nijigan.rate.listening import LOCAL, LOOPBACK, in_address, is_loopback, link
from nijigan.rate.store import VoteStore
from nijigan.rate.tally import tally

try:
    import uvicorn
    from fastapi import Depends, FastAPI, HTTPException, Request, Response
    from fastapi.responses import JSONResponse
    from fastapi.staticfiles import StaticFiles
    from pydantic import BaseModel, ConfigDict, ValidationError
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from nijigan.rate.gate import Gate, small_json
except ImportError as error:
    raise UserError(
        "Rating requires a web server; in the folder of nijigan's source, run: pip install '.[studio]'."
    ) from error

SHOWN_SIDE = 384
"""Approximate width of a face on the page in pixels, for every resolution."""

log = logging.getLogger("nijigan")


class Vote(BaseModel):
    """A vote, as the page sends it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    position: int
    """Index of the face on the ballot."""
    good: bool


def create_app(ballot: Ballot, store: VoteStore, key: str, hosts: Sequence[str] = LOCAL) -> FastAPI:
    """The page and its endpoints, all below /KEY/.

    The app answers only requests with the key, and on this machine only to its own names, because another site could
    point its name at 127.0.0.1. It accepts votes only as JSON, which pages of other sites may not send here. It reveals
    no source until every face is rated.

    Args:
        ballot: the faces.
        store: the votes.
        key: the secret that every path starts with; only characters that URLs may contain.
        hosts: the names that the server answers to. Default: those of this machine.
    """
    app = FastAPI(title="nijigan rate", openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_middleware(Gate, key=key)  # the last one added is the first to see a request
    on_ballot = set(ballot.showings)

    @app.exception_handler(UserError)
    async def explain(request: Request, error: UserError) -> Response:
        return JSONResponse({"detail": str(error)}, 503)

    @app.get("/state")
    def state() -> dict[str, Any]:
        votes = store.votes()
        open_ = [position for position, showing in enumerate(ballot.showings) if showing not in votes]
        rated = len(ballot.faces) - len(open_)
        return {"next": open_[:2], "rated": rated, "total": len(ballot.faces)}

    @app.get("/faces/{position}")
    def face(position: int) -> Response:
        image = ballot.images[_check(position, ballot)]
        scale = max(1, round(SHOWN_SIDE / image.shape[1]))
        return Response(to_png(Image.fromarray(enlarge(image[None], scale)[0])), media_type="image/png")

    @app.post("/votes")
    def cast(vote: Annotated[Vote, Depends(_read_vote)]) -> dict[str, Any]:
        position = _check(vote.position, ballot)
        face, repeat = ballot.showings[position]
        store.cast(face, ballot.sources[position], vote.good, repeat=repeat)
        return state()

    @app.post("/undo", dependencies=[Depends(small_json)])
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


def serve(
    ballot: Ballot, store: VoteStore, listener: socket.socket, host: str = LOOPBACK, token: str | None = None
) -> None:
    """Print a link to the page, and serve it until Ctrl-C.

    Args:
        ballot: the faces.
        store: the votes.
        listener: from `nijigan.rate.listening.listen`; the caller closes it.
        host: the address that `listener` has, as it was named.
        token: what the link has. Default: a new one.
    """
    key = token or secrets.token_urlsafe(16)
    app = create_app(ballot, store, key, (*LOCAL, in_address(host)) if is_loopback(host) else ("*",))
    config = uvicorn.Config(app, log_level="warning", ws="none")
    with suppress(KeyboardInterrupt):  # uvicorn raises it again after closing its connections
        log.info(
            "Open this link to rate; it gives access to the faces and votes. Press Ctrl-C to stop; votes are kept."
        )
        log.info(link(listener, host, key))
        uvicorn.Server(config).run(sockets=[listener])


def _read_vote(body: Annotated[bytes, Depends(small_json)]) -> Vote:
    try:
        return Vote.model_validate_json(body)
    except ValidationError as error:
        raise HTTPException(422, 'Send a vote such as {"position": 0, "good": true}.') from error


def _check(position: int, ballot: Ballot) -> int:
    if not 0 <= position < len(ballot.faces):
        raise HTTPException(404, "There is no such face.")
    return position
