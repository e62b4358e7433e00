"""What protects the rating page: the session's key, the headers of every response, and limits on what is sent to it."""

import asyncio
import secrets
from collections.abc import Collection

from nijigan.errors import UserError

try:
    from fastapi import HTTPException, Request
    from starlette.datastructures import MutableHeaders
    from starlette.requests import ClientDisconnect
    from starlette.responses import PlainTextResponse
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as error:
    raise UserError(
        "Rating requires a web server; in the folder of nijigan's source, run: pip install '.[studio]'."
    ) from error

MAX_BODY_BYTES = 1024
"""The longest body of a request. A vote has 40 bytes."""
BODY_SECONDS = 10.0
"""A body must be complete after this time."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",  # another ballot has other faces at the same addresses
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",  # otherwise any page could embed the faces
}


class Gate:
    """Pass on requests to paths below /KEY/, and refuse all others with status 403, without reading their bodies.

    Other users of this machine can connect to the server but do not know the key. It is in the path and not in a
    cookie, because a browser sends the cookies of this host to all ports, also to those of other users' servers.

    Args:
        app: the application, whose own paths start after the key.
        key: the key of this session, characters of URLs only.
    """

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app, self.key = app, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        if scope["type"] != "http":  # the start and the end of the server
            await self.app(scope, receive, send)
            return
        key = scope["path"].removeprefix("/").partition("/")[0]
        if secrets.compare_digest(key.encode(), self.key.encode()):
            await self.app({**scope, "root_path": f"/{key}"}, receive, send_with_headers)
        else:
            refusal = PlainTextResponse("Open the link that nijigan rate printed when it started last.\n", 403)
            await refusal(scope, receive, send_with_headers)


async def small_json(request: Request) -> bytes:
    """The body of a request that sends JSON: at most `MAX_BODY_BYTES`, within `BODY_SECONDS`."""
    return await read_body(request, MAX_BODY_BYTES)


async def read_body(request: Request, most: int, kinds: Collection[str] = ("application/json",)) -> bytes:
    """The body of a request, whole, within `BODY_SECONDS`.

    A larger body is refused as soon as it is known to be larger; the server drops the rest as it arrives.

    Args:
        request: the request, whose body has not been read.
        most: length in bytes of the longest body that is accepted.
        kinds: the content types that are accepted, in lower case. Pages of other sites may send forms and plain text
            here, but nothing else.

    Raises:
        HTTPException: 415 for another type, 413 for a longer body, 408 if it is late, 400 if the client leaves.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0]
    if content_type.strip().lower() not in kinds:
        raise HTTPException(415, "Send JSON." if "application/json" in kinds else f"Send {' or '.join(kinds)}.")
    too_large = HTTPException(413, f"Send at most {most} bytes.")
    length = request.headers.get("content-length", "")
    if len(length) > len(str(most)) or (length.isdigit() and int(length) > most):
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise too_large
    except TimeoutError as error:
        raise HTTPException(408, "The request was not complete in time.", {"Connection": "close"}) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "The request was not complete.") from error
    return bytes(body)
