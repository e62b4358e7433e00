"""A running studio with two small models, and a client of it."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nijigan.generator.generator import Generator
from nijigan.studio.app import create_app
from nijigan.studio.models import Model, open_models
from nijigan.studio.studio import Studio
from running import running
from small import ATTRIBUTES, small_generator

TYPE = "Content-Type"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def detail(self) -> str:
        """The sentence of a problem, whose form is checked."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = self.json
        assert list(problem) == ["type", "title", "status", "detail"]
        assert problem["status"] == self.status
        assert problem["detail"].endswith(".")
        return problem["detail"]


class Client:
    """Sends requests as a program on this machine would."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {TYPE: "application/json"} if body is not None else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            content = body if isinstance(body, bytes | None) else json.dumps(body)
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)


@contextmanager
def serving(studio: Studio, **options: Any) -> Iterator[Client]:
    """A running server, which closes the studio at its end."""
    with running(create_app(studio, **options)) as port:
        yield Client(port)


@cache
def small_models() -> tuple[tuple[Model, ...], tuple[Generator, ...]]:
    """Models as a studio opens them, `with_hair` (which has attributes) and `plain`; and both as torch draws them."""
    with TemporaryDirectory() as folder:
        places = [str(Path(folder) / f"{name}.safetensors") for name in ("with hair", "plain")]
        small_generator(1, **ATTRIBUTES).save(places[0], half=True)
        small_generator(2).save(places[1])
        return open_models(places), tuple(map(Generator.load, places))
