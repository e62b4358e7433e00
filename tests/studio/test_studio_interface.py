"""The description of the interface is complete, and what the server does agrees with it."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.types import Receive, Scope, Send

from nijigan.studio.app import create_app
from nijigan.studio.studio import Limits, Studio
from studio_server import small_models

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
FOLDER = TemporaryDirectory()
LIMITS = Limits(faces=16, pixels=1 << 17, frames=16, film_pixels=1 << 17, body=1 << 24)


APP = create_app(Studio(small_models()[0], Path(FOLDER.name), limits=LIMITS), hosts=None)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The application, which does not end when the tool that reads its description does."""
    assert scope["type"] == "http"
    await APP(scope, receive, send)


schema = schemathesis.openapi.from_asgi("/openapi.json", app)


def test_every_address_is_described_with_its_problems() -> None:
    described = APP.openapi()
    assert "HTTPValidationError" not in json.dumps(described["paths"])
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            responses = operation["responses"]
            assert operation["description"], path
            for status in {"401", "403", "421", "422", "500"} | ({"413", "415"} if method == "post" else set()):
                assert list(responses[status]["content"]) == ["application/problem+json"]
    assert {"/v1/faces", "/v1/faces/{seed}.png", "/v1/walks", "/v1/variations", "/v1/ratings"} < set(described["paths"])
    names = [part["name"] for part in described["paths"]["/v1/faces/{seed}.png"]["get"]["parameters"]]
    assert names == ["seed", "model", "psi", "scale", "upscaler", "hair", "eyes"]
    for schema in described["components"]["schemas"].values():
        for name, member in schema.get("properties", {}).items():
            assert member.get("description"), name


@schema.parametrize()
@settings(
    max_examples=15, derandomize=True, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_the_server_does_what_it_describes(case: schemathesis.Case) -> None:
    case.call_and_validate(checks=CHECKS, timeout=120)  # a search takes seconds
