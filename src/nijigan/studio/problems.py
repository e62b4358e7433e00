"""What the server answers when it refuses something or fails: one sentence, as RFC 9457 describes it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException as PlainHTTPException

from nijigan.errors import UserError
from nijigan.terminal import printable

MEDIA_TYPE = "application/problem+json"

CLIENT_GONE = 499
"""What the log and the metrics say of a client that left before its answer; it receives nothing."""

_SHOWN = 80  # characters of what a client sent
_LONGEST = 1000
_SENTENCES = {
    404: "There is nothing at this address; /openapi.json lists what there is.",
    405: "This address does not take this method; /openapi.json lists what it takes.",
    400: "The body cannot be read; send one JSON object in UTF-8.",
}
"""In place of the framework's words."""
_FRAMEWORK = {"Not Found", "Method Not Allowed", "There was an error parsing the body"}


class Problem(BaseModel):
    """A refusal or a failure (RFC 9457)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str = "about:blank"
    """Always about:blank: the status says of which kind the problem is."""
    title: str
    """The name of the status."""
    status: int
    """The status of the response."""
    detail: str
    """One sentence that says what is wrong and what to do."""


class BusyError(Exception):
    """So much is waiting already that a request is not accepted."""


class StorageError(Exception):
    """What should be kept cannot be stored or read; the message is a sentence."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response that reports a problem in one sentence."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Client Closed Request"
    # A client's text may hold halves of characters, which no encoding has.
    safe = printable(detail[:_LONGEST]).encode("utf-8", "replace").decode()
    content = Problem(title=title, status=status, detail=safe).model_dump()
    return JSONResponse(content, status, dict(headers or {}), MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for the description of the interface."""
    content = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {status: {"description": HTTPStatus(status).phrase, **content} for status in statuses}


def explain_problems(app: FastAPI) -> None:
    """Answer every refusal of an app's routes with a problem."""

    @app.exception_handler(PlainHTTPException)
    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: PlainHTTPException) -> Response:
        unspoken = error.detail in _FRAMEWORK and error.status_code in _SENTENCES
        detail = _SENTENCES[error.status_code] if unspoken else str(error.detail)
        return problem(error.status_code, detail, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return problem(422, _sentence(error.errors()[0]))

    @app.exception_handler(UserError)
    async def mistaken(request: Request, error: UserError) -> Response:
        return problem(422, str(error))

    @app.exception_handler(StorageError)
    async def unstored(request: Request, error: StorageError) -> Response:
        return problem(503, str(error))

    @app.exception_handler(BusyError)
    async def busy(request: Request, error: BusyError) -> Response:
        detail = "The server has more to do than it accepts; try again in a second."
        return problem(429, detail, {"Retry-After": "1"})


def _sentence(error: Any) -> str:
    """What is wrong with the first value that does not have the described form."""
    if error["type"] == "json_invalid":
        return "The body is not JSON; send one JSON object."
    place, *names = error["loc"]
    if not names and place == "body":
        missing = error["type"] == "missing"
        return f"The {'request has no body' if missing else 'body is no JSON object'}; send one JSON object."
    if not names:
        return f"{place}: {error['msg']}."
    where = ".".join(str(name) for name in names)
    return f"{ascii(where)[1:-1][:_SHOWN]} is not valid: {error['msg'].removesuffix('.')}."
