"""What protects the server: who may use it, what may be sent to it, and the headers of every answer."""

import logging
import secrets
import time
from collections.abc import Collection, Mapping

from fastapi import HTTPException, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nijigan.rate.gate import read_body
from nijigan.rate.listening import LOCAL
from nijigan.studio.metrics import Metrics
from nijigan.studio.problems import CLIENT_GONE, problem

PICTURES = ("image/png", "image/jpeg", "image/webp")
"""The content types of uploads."""

_HEADERS = {
    "Cache-Control": "no-store",
    # Pages may compile WebAssembly, which draws in the browser, and start workers and show pictures that they made.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; img-src 'self' blob: "
        "data:; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address may have the token
    "Cross-Origin-Resource-Policy": "same-origin",  # otherwise any page could embed the faces
}
"""Of every answer that has none of its own."""
_OPEN = "/healthz"  # says nothing that a monitor without the token should not know
_READING = ("GET", "HEAD")

log = logging.getLogger("nijigan")


class Gate:
    """Refuse what is not meant for this server, pass on the rest, and count everything.

    With a token, a request needs it: as the first part of the path, /TOKEN/v1/faces, or as `Authorization: Bearer
    TOKEN`. Pages use the path: the address that is opened once gives it to all their relative addresses, also to those
    of images and workers, which can send no header. A cookie would do so too, but browsers send the cookies of a host
    to all its ports, also to other users' servers, and with requests that other pages make.

    Args:
        app: the application, whose own paths start after the token.
        metrics: the counters.
        body: bytes of the longest body. Only JSON is accepted.
        token: the token. None: everybody who can connect may use the server.
        hosts: the names that the server answers to, without ports; others are refused, because another site may point
            its name at this machine. None: all, which needs a token.
        uploads: the paths that take a picture instead of JSON, with the length in bytes of the longest.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        body: int,
        token: str | None = None,
        hosts: Collection[str] | None = LOCAL,
        uploads: Mapping[str, int] | None = None,
    ) -> None:
        self.app, self.metrics = app, metrics
        self._body, self._token, self._hosts, self._uploads = body, token, hosts, uploads or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # the start and the end of the server
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), CLIENT_GONE
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # uvicorn, which knows better, leaves out the body

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._answer(scope, receive, send_with_headers)
        except Exception:
            log.exception("The server failed to answer a request.")
            if status == CLIENT_GONE:  # nothing has been sent yet
                await problem(500, "The server failed; its log says why.")(scope, receive, send_with_headers)
        route = getattr(scope.get("route"), "path", "other") or "page"
        self.metrics.requests.labels(route, status).inc()
        self.metrics.seconds.labels(route).observe(time.perf_counter() - start)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope)
        except HTTPException as error:
            await problem(error.status_code, error.detail, error.headers)(scope, receive, send)
            return
        if self._token is not None and scope["path"] == scope.get("root_path"):  # relative addresses need the slash
            await RedirectResponse(f"/{self._token}/")(scope, receive, send)
            return
        reading = scope["method"] in _READING
        await self.app(scope, receive if reading else self._limited(scope, receive), send)

    def _check(self, scope: Scope) -> None:
        """Raise an HTTPException unless a request may pass; take the token out of its path."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self._hosts is not None and name not in self._hosts:
            raise HTTPException(
                421, "This server answers only to the name that nijigan studio printed; use that address."
            )
        site = headers.get("sec-fetch-site", "none")
        opened = scope["method"] in _READING and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("none", "same-origin") and not opened:  # browsers say who asks
            raise HTTPException(403, "Pages of other sites may not use this server; open its own page.")
        if self._token is None:
            return
        first = scope["path"].removeprefix("/").partition("/")[0]
        kind, _, sent = headers.get("authorization", "").partition(" ")
        if secrets.compare_digest(first.encode(), self._token.encode()):
            scope["root_path"] = f"/{first}"
        elif not (
            scope["path"] == _OPEN
            or (kind.lower() == "bearer" and secrets.compare_digest(sent.strip().encode(), self._token.encode()))
        ):
            raise HTTPException(
                401,
                "This server needs its token; open the link that nijigan studio printed, or send Authorization: "
                "Bearer TOKEN.",
                {"WWW-Authenticate": "Bearer"},
            )

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Receive a body whole, if the application asks for it, and refuse it if it is too long or no JSON."""
        complete = False
        path = scope["path"].removeprefix(scope.get("root_path", ""))

        async def receive_body() -> Message:
            nonlocal complete
            if complete:
                return await receive()
            complete = True
            most = self._uploads.get(path)
            kinds = ("application/json",) if most is None else PICTURES
            body = await read_body(Request(scope, receive), self._body if most is None else most, kinds)
            return {"type": "http.request", "body": body, "more_body": False}

        return receive_body
