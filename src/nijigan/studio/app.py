"""The application: the routes of a studio behind its gate, with the page."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import FileResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool

import nijigan
from nijigan.export.site import PAGE
from nijigan.rate.listening import LOCAL
from nijigan.studio.gate import Gate
from nijigan.studio.problems import Problem, documented, explain_problems
from nijigan.studio.routes import faces, inversions, listing, live, ratings, walks
from nijigan.studio.studio import Studio

ROUTERS: tuple[Callable[[Studio], APIRouter], ...] = (
    listing.make_router,
    faces.make_router,
    walks.make_router,
    ratings.make_router,
    inversions.make_router,
    live.make_router,
)
"""What makes the routers of an app."""


def create_app(
    studio: Studio,
    *,
    token: str | None = None,
    hosts: Collection[str] | None = LOCAL,
    routers: Sequence[Callable[[Studio], APIRouter]] = ROUTERS,
) -> FastAPI:
    """The application of a studio. It closes the studio when it ends.

    Args:
        studio: the models, and what draws with them.
        token: what a request must have: see `nijigan.studio.gate.Gate`. Default: nothing.
        hosts: the names that the server answers to; None = all. Default: those of this machine.
        routers: each makes the router of some addresses.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(studio.close)

    app = FastAPI(
        title="nijigan studio",
        version=nijigan.__version__,
        description="Faces over HTTP. A seed is an integer in [0, 2^63) or a string of its decimal digits, because "
        "JavaScript rounds integers above 2^53. Problems are answered as RFC 9457 describes.",
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from other sites
        redoc_url=None,
        dependencies=[Depends(HTTPBearer(auto_error=False, description="The token."))] if token else [],
        responses=documented(401, 403, 421, 422, 500),
        redirect_slashes=False,
    )
    app.state.has_token = token is not None
    app.add_middleware(
        Gate,
        metrics=studio.metrics,
        body=studio.limits.body,
        token=token,
        hosts=hosts,
        uploads={inversions.PATH: inversions.MOST_BYTES},
    )
    explain_problems(app)
    for make_router in routers:
        app.include_router(make_router(studio))
    _serve_page(app)
    _describe_problems(app)
    return app


def _serve_page(app: FastAPI) -> None:
    """Serve the files of the page, and nothing at other addresses: a mount at / would answer for all of them."""
    for place in sorted(PAGE.iterdir()):
        if place.is_dir():
            app.mount(f"/{place.name}", StaticFiles(directory=place))
    for name in sorted(place.name for place in PAGE.iterdir() if place.is_file()):
        for address in ("/", f"/{name}") if name == "index.html" else (f"/{name}",):
            app.add_route(address, _file(PAGE / name), include_in_schema=False)


def _file(path: Path) -> Callable[[Request], Response]:
    return lambda request: FileResponse(path, headers={"Cache-Control": "no-cache"})


def _describe_problems(app: FastAPI) -> None:
    """Add the schema of problems to the description of the interface, which only names it."""
    describe = app.openapi

    def described() -> dict[str, object]:
        schema = describe()
        schema.setdefault("components", {}).setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        return schema

    app.openapi = described  # type: ignore[method-assign]
