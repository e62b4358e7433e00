"""The live page of a run over HTTP; the server of the studio includes these routes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from nijigan.errors import UserError
from nijigan.studio.live import REPORT, read_progress
from nijigan.studio.studio import Studio

try:
    from fastapi import APIRouter, HTTPException, Request
    from fastapi.responses import RedirectResponse, Response
except ImportError as error:
    raise UserError(
        "The live page requires a web server; in the folder of nijigan's source, run: pip install '.[studio]'."
    ) from error

PAGE: Mapping[str, str] = {
    "index.html": "text/html; charset=utf-8",
    "live.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
}
"""The files of the page, in `live/`, and their types."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The content security policy of the page."""
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""That of a report, which is one file with its style inside. It may come from somebody else, and gets no scripts."""

_FOLDER = Path(__file__).parents[1] / "live"
_GRID = re.compile(r"kimg-[0-9]{6,12}(?:_[0-9]{3})?")
_FRESH = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def make_router(studio: Studio) -> APIRouter:
    """The live pages of all runs of a studio, each below /live/NAME/."""
    router = APIRouter(tags=["runs"])
    for name, run in studio.runs.items():
        router.include_router(live_router(run), prefix=f"/live/{name}")
    return router


def live_router(run: Path) -> APIRouter:
    """The routes of the page that watches a run.

    - `/` and the page's script and style; the path without the slash at the end, which would break the page's relative
      links, leads to it
    - `/progress.json`: `nijigan.studio.live.read_progress`
    - `/grids/NAME.png`: a sample grid
    - `/report.html`: the report of the last evaluation, if there is one

    Args:
        run: the run's folder; it need not exist yet.
    """
    router = APIRouter()

    @router.get("/progress.json")
    def progress() -> Response:
        text = json.dumps(read_progress(run), allow_nan=False, separators=(",", ":"))
        return Response(text, media_type="application/json", headers=_FRESH)

    @router.get("/grids/{name}.png")
    def grid(name: str) -> Response:
        if not _GRID.fullmatch(name):
            raise HTTPException(404, "There is no such grid.")
        return _file(run / "samples" / f"{name}.png", "image/png", "There is no such grid.")

    @router.get("/report.html")
    def report() -> Response:
        answer = _file(run / REPORT, "text/html; charset=utf-8", "There is no report yet.")
        answer.headers["Content-Security-Policy"] = REPORT_POLICY
        return answer

    def page(name: str) -> Response:
        headers = {**_FRESH, "Content-Security-Policy": POLICY}
        return Response((_FOLDER / name).read_bytes(), media_type=PAGE[name], headers=headers)

    @router.get("", include_in_schema=False)
    def with_slash(request: Request) -> Response:
        last = request.url.path.rpartition("/")[2]
        return RedirectResponse(f"{last}/")

    @router.get("/")
    def index() -> Response:
        return page("index.html")

    @router.get("/live.css")
    def style() -> Response:
        return page("live.css")

    @router.get("/live.js")
    def script() -> Response:
        return page("live.js")

    return router


def _file(path: Path, kind: str, missing: str) -> Response:
    """A file of the run, read whole: a run replaces its files while they are served."""
    try:
        if path.is_symlink() or not path.is_file():
            raise HTTPException(404, missing)
        content = path.read_bytes()
    except OSError as error:
        raise HTTPException(404, missing) from error
    return Response(content, media_type=kind, headers=_FRESH)
