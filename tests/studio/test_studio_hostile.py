"""What the studio refuses: each mistake and each attack gets a problem of one sentence, and the server goes on."""

import http.client
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nijigan.errors import UserError
from nijigan.generator.face import encode_latent
from nijigan.inversion.uploads import Upload
from nijigan.rate.listening import choose_token, is_loopback, link, listen
from nijigan.studio.models import Model
from nijigan.studio.server import serve
from nijigan.studio.studio import Limits, Studio
from studio_server import TYPE, Client, serving, small_models

MODELS, (HAIR, PLAIN) = small_models()
FACE = json.loads(HAIR.face(1).to_json())
LIMITS = Limits(faces=64, pixels=64 * 64 * 32, frames=40, film_pixels=40 * 64 * 64, body=20_000)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(Studio(MODELS, tmp_path_factory.mktemp("rated"), limits=LIMITS)) as client:
        yield client


REFUSED = {
    "a billion faces": ("/v1/faces", {"n": 10**9}, 422, "n is not valid"),
    "more than the limit": ("/v1/faces", {"n": 65}, 422, "65 faces are too many"),
    "no faces": ("/v1/faces", {"n": 0}, 422, "n is not valid"),
    "true faces": ("/v1/faces", {"n": True}, 422, "n is not valid"),
    "too many pixels": ("/v1/faces", {"n": 64, "scale": 4}, 422, "too large"),
    "too long a grid": ("/v1/faces", {"n": 64, "columns": 0}, 422, "columns is not valid"),
    "columns of an archive": ("/v1/faces", {"n": 4, "columns": 2, "format": "zip"}, 422, "Columns apply only"),
    "psi that is no number": ("/v1/faces", b'{"psi": NaN}', 422, "psi is not valid"),
    "infinite psi": ("/v1/faces", b'{"psi": 1e999}', 422, "psi is not valid"),
    "psi above 2": ("/v1/faces", {"psi": 2.5}, 422, "psi is not valid"),
    "a huge seed": ("/v1/faces", {"seed": 2**63}, 422, "seed is not valid"),
    "a seed of many digits": ("/v1/faces", b'{"seed": ' + b"9" * 5000 + b"}", 400, "cannot be read"),
    "a seed that is no number": ("/v1/faces", {"seed": "-1"}, 422, "seed is not valid"),
    "seeds beyond the last": ("/v1/faces", {"seed": str(2**63 - 1), "n": 2}, 422, "out of range"),
    "a seed twice": ("/v1/faces", {"seeds": [1, 1]}, 422, "given twice"),
    "seeds and n": ("/v1/faces", {"seeds": [1], "n": 1}, 422, "Omit n and seed"),
    "faces and n": ("/v1/faces", {"faces": [FACE], "n": 1}, 422, "Omit seeds, n"),
    "an unknown member": ("/v1/faces", {"ｎ": 1}, 422, "is not valid"),
    "an unknown attribute": ("/v1/faces", {"attributes": {"hat": "red"}}, 422, "no attribute hat"),
    "an unknown value": ("/v1/faces", {"attributes": {"hair": "plaid"}}, 422, "hair cannot be plaid"),
    "half a character": ("/v1/faces", b'{"attributes": {"hair": "\\ud800"}}', 422, "is not valid"),
    "a control character": ("/v1/faces", {"attributes": {"hair": "\x1b[2J"}}, 422, "hair cannot be"),
    "an attribute without labels": ("/v1/faces", {"model": "plain", "attributes": {"a": "b"}}, 422, "without labels"),
    "a path as a model": ("/v1/faces", {"model": "../../../etc/passwd"}, 422, "There is no model"),
    "a scale of 3": ("/v1/faces", {"scale": 3}, 422, "scale is not valid"),
    "another upscaler": ("/v1/faces", {"upscaler": "x"}, 422, "upscaler is not valid"),
    "faces of two models": (
        "/v1/faces",
        {"faces": [FACE, json.loads(PLAIN.face(1).to_json())]},
        422,
        "several models",
    ),
    "a face of a stranger": ("/v1/faces", {"faces": [FACE | {"weights": "0" * 64}]}, 422, "There is no model"),
    "a latent that is none": ("/v1/faces", {"faces": [FACE | {"latent": "****"}]}, 422, "not the base64"),
    "a latent of another length": ("/v1/faces", {"faces": [FACE | {"latent": "AAAAAA=="}]}, 422, "needs 10"),
    "a latent of no numbers": (
        "/v1/faces",
        {"faces": [FACE | {"latent": encode_latent(np.full(10, np.nan))}]},
        422,
        "not within",
    ),
    "nesting": ("/v1/faces", b"[" * 9000 + b"]" * 9000, 400, "cannot be read"),
    "no JSON": ("/v1/faces", b"{", 422, "not JSON"),
    "no UTF-8": ("/v1/faces", b'{"model": "\xff"}', 400, "cannot be read"),
    "a list": ("/v1/faces", [], 422, "no JSON object"),
    "nothing": ("/v1/faces", b"", 422, "no body"),
    "a walk to nowhere": ("/v1/walks", {}, 422, "two or more stops"),
    "a walk of one stop": ("/v1/walks", {"seeds": [1]}, 422, "seeds is not valid"),
    "a long walk": ("/v1/walks", {"seeds": [1, 2], "frames_per_stop": 21}, 422, "too many"),
    "a large walk": ("/v1/walks", {"seeds": [1, 2], "frames_per_stop": 20, "scale": 4}, 422, "too many"),
    "a fast GIF": ("/v1/walks", {"seeds": [1, 2], "frames_per_stop": 1, "fps": 60, "format": "gif"}, 422, "at most 50"),
    "far variations": ("/v1/variations", {"face": FACE, "radius": 1.5}, 422, "radius is not valid"),
    "many variations": ("/v1/variations", {"face": FACE, "n": 65}, 422, "too many"),
    "variations of a value": ("/v1/variations", {"face": FACE | {"attributes": {"hair": "x"}}}, 422, "hair cannot be"),
    "a rating of 1": ("/v1/ratings", {"face": FACE, "good": 1}, 422, "good is not valid"),
    "no such address": ("/v2/faces", {}, 404, "nothing at this address"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_body_is_refused_with_a_sentence(client: Client, name: str) -> None:
    path, body, status, words = REFUSED[name]
    answer = client.post(path, body)
    assert answer.status == status, answer
    assert words in answer.detail
    assert len(answer.detail) < 400
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_wrong_addresses_and_methods_are_refused_with_a_sentence(client: Client) -> None:
    for path in (
        "1.png?psi=nan", "1.png?scale=3", "1.png?hat=red", "1.png?hair=", "1.png?model=../x", "1.png?seed=2",
        "9999999999999999999.png", "x.png", "%ff.png", "1.png?%ED%A0%80=1", "1.png?hair=%00",
    ):  # fmt: skip
        answer = client.get(f"/v1/faces/{path}")
        assert (path, answer.status) == (path, 422)
        assert answer.detail
    for path in ("/nowhere", "/v1/faces/1.png/2", "/models/..%2fdefault.onnx", "/models/x.onnx", "//", "/%00"):
        assert client.get(path).status == 404
        assert client.get(path).detail
    for method, path in (("DELETE", "/v1/faces"), ("GET", "/v1/walks"), ("POST", "/healthz"), ("OPTIONS", "/metrics")):
        answer = client.ask(method, path)
        assert answer.status == 405
        assert answer.detail


def test_only_json_is_accepted_and_only_from_this_site(client: Client) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = client.post("/v1/faces", b"{}", **{TYPE: kind})
        assert (answer.status, answer.detail) == (415, "Send JSON.")
    for site in ("cross-site", "same-site"):
        answer = client.post("/v1/faces", {}, Sec_Fetch_Site=site)
        assert answer.status == 403
        assert "other sites" in answer.detail
        assert client.get("/v1/faces/1.png", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors").status == 403
        assert client.get("/healthz", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate").status == 200
    assert client.post("/v1/faces", {}, Sec_Fetch_Site="same-origin").status == 200
    assert "access-control-allow-origin" not in client.get("/models.json", Origin="http://a.example").headers


def test_other_names_of_this_machine_are_refused(client: Client) -> None:
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]:1", "", "localhost@evil"):
        answer = client.get("/healthz", Host=host)
        assert answer.status == 421
        assert answer.detail
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]", "[::1]:80"):
        assert client.get("/healthz", Host=host).status == 200


def test_a_large_body_is_refused_before_it_is_read(client: Client) -> None:
    for length in (b"Content-Length: 100000000", b"Transfer-Encoding: chunked"):
        with socket.create_connection(("127.0.0.1", client.port), timeout=30) as line:
            head = b"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + length
            line.sendall(head + b"\r\n\r\n5000\r\n" + b" " * 0x5000 + b"\r\n")  # and no end
            assert line.recv(100).startswith(b"HTTP/1.1 413")
    answer = client.post("/v1/faces", b" " * (LIMITS.body + 1))
    assert answer.status == 413
    assert "20000 bytes" in answer.detail


def test_the_memory_of_the_server_does_not_grow_with_a_body(client: Client) -> None:
    tracemalloc.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        parts = (bytes(1 << 16) for _ in range(1600))  # 100 MB
        try:
            connection.request("POST", "/v1/faces", parts, {TYPE: "application/json"}, encode_chunked=True)
            assert connection.getresponse().status == 413
        except (BrokenPipeError, ConnectionResetError):  # the server may close before all is sent
            pass
        connection.close()
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()


def test_a_token_is_asked_of_everybody(tmp_path: Path) -> None:
    token = "a-token_of-16-characters"
    with serving(Studio(MODELS, tmp_path), token=token, hosts=None) as client:
        assert client.get("/healthz").status == 200
        for path in ("/models.json", "/metrics", "/openapi.json", "/", "/nowhere", f"/{token}x/models.json"):
            answer = client.get(path)
            assert answer.status == 401
            assert "token" in answer.detail
            assert token not in answer.detail
        for sent in ("Bearer", "Bearer x", f"Basic {token}", f"Bearer {token}x", token, "Bearer ÿ"):
            assert client.post("/v1/faces", {}, Authorization=sent).status == 401
        assert client.post("/v1/faces", {}, Authorization=f"Bearer {token}").status == 200
        assert client.post(f"/{token}/v1/faces", {}, Host="studio.example").status == 200
        assert client.get(f"/{token}/v1/faces/1.png").status == 200
        assert client.get(f"/{token}/nowhere").status == 404
        answer = client.get(f"/{token}")
        assert (answer.status, answer.headers["location"]) == (307, f"/{token}/")
        assert "bearer" in json.dumps(client.get(f"/{token}/openapi.json").json["components"]["securitySchemes"])


def test_a_token_is_read_from_a_file_or_made(tmp_path: Path) -> None:
    assert choose_token("127.0.0.1") is None
    made = choose_token("0.0.0.0")
    assert made != choose_token("0.0.0.0")
    assert made is not None
    assert len(made) >= 32
    file = tmp_path / "token"
    file.write_text("a-token_of-16-characters\n")
    assert choose_token("127.0.0.1", file) == "a-token_of-16-characters"
    for text in ("", "short", "a token of 16 characters", "a-token_of-16-characters\ntwo"):
        file.write_text(text)
        with pytest.raises(UserError, match="holds no token"):
            choose_token("127.0.0.1", file)
    with pytest.raises(UserError, match="Could not read"):
        choose_token("127.0.0.1", tmp_path / "missing")


def test_addresses_of_this_machine_are_known_and_ports_checked() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "::1", "localhost", "127.8.8.8")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.1", "studio.example", "")))
    with listen(0) as taken:
        port = taken.getsockname()[1]
        assert link(taken, "localhost", None) == f"http://localhost:{port}/"
        assert link(taken, "::1", "abc") == f"http://[::1]:{port}/abc/"
        for everywhere in ("0.0.0.0", "::"):
            address, _, told = link(taken, everywhere, "abc").partition("\n")
            assert address == f"http://127.0.0.1:{port}/abc/"
            assert "On other machines" in told
        with pytest.raises(UserError, match="--port"):
            listen(port)
    if socket.has_dualstack_ipv6():
        with listen(0, "::") as everywhere:  # the link names 127.0.0.1
            socket.create_connection(("127.0.0.1", everywhere.getsockname()[1]), timeout=5).close()
    for port, host in ((70000, "127.0.0.1"), (-1, "127.0.0.1"), (0, "999.1.1.1")):
        with pytest.raises(UserError, match="--port"):
            listen(port, host)


def test_a_server_for_others_does_not_start_without_a_token(tmp_path: Path) -> None:
    studio = Studio(MODELS, tmp_path)
    with listen(0) as listener, pytest.raises(UserError, match="needs a token"):
        serve(studio, listener, "0.0.0.0")
    studio.close()


class Slow:
    """Draws as another generator does, when it is allowed to."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(PLAIN, name)

    def synthesise(self, *args: object, **options: object) -> object:
        self.begun.set()
        assert self.go.wait(30)
        return PLAIN.synthesise(*args, **options)  # type: ignore[arg-type]


def test_when_too_much_waits_the_next_is_refused_and_those_who_leave_make_room(tmp_path: Path) -> None:
    slow = Slow()
    model = Model("slow", slow, None, {})  # type: ignore[arg-type]
    studio = Studio([model], tmp_path, limits=replace(LIMITS, waiting=2))
    head = (
        b"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )

    def waiting(client: Client) -> float:
        text = client.get("/metrics").content.decode()
        return float(text.partition("\nnijigan_queue_requests ")[2].split()[0])

    def until(client: Client, number: int) -> None:
        for _ in range(200):
            if waiting(client) == number:
                return
            time.sleep(0.02)
        raise AssertionError(waiting(client))

    with serving(studio) as client:
        lines = [socket.create_connection(("127.0.0.1", client.port), timeout=30) for _ in range(2)]
        for line in lines:
            line.sendall(head)
        until(client, 2)
        assert slow.begun.wait(30)
        answer = client.post("/v1/faces", {})
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        assert "try again" in answer.detail
        for line in lines:
            line.close()
        until(client, 0)
        slow.go.set()
        assert client.post("/v1/faces", {"n": 3}).status == 200


def test_a_search_ends_when_its_client_leaves_and_few_may_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = threading.Semaphore(0), threading.Semaphore(0)

    def endless(*_: object, progress: Callable[[int, int], None]) -> None:
        begun.release()
        try:
            while True:
                progress(0, 1)
                time.sleep(0.01)
        finally:
            ended.release()

    monkeypatch.setattr("nijigan.inversion.search.invert", endless)
    picture = b"\xff"
    monkeypatch.setattr("nijigan.inversion.uploads.prepare", lambda *_, **__: Upload(np.zeros((32, 32, 3)), True))
    head = b"POST /v1/inversions HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 1\r\n\r\n"
    with serving(Studio(MODELS, tmp_path)) as client:
        lines = [socket.create_connection(("127.0.0.1", client.port), timeout=30) for _ in range(4)]
        for line in lines:
            line.sendall(head + picture)
        assert begun.acquire(timeout=30)
        time.sleep(1)  # until the others have been read
        assert client.ask("POST", "/v1/inversions", picture, Content_Type="image/png").status == 429
        for line in lines:
            line.close()
        assert ended.acquire(timeout=30)
        assert not begun.acquire(timeout=1)  # those that waited never begin


def test_a_failure_is_a_problem_without_details(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Slow):
        def synthesise(self, *args: object, **options: object) -> object:
            raise RuntimeError("a secret")

    studio = Studio([Model("broken", Broken(), None, {})], tmp_path)  # type: ignore[arg-type]
    with serving(studio) as client:
        answer = client.post("/v1/faces", {})
        assert answer.status == 500
        assert "secret" not in answer.detail
        assert "nosniff" in answer.headers["x-content-type-options"]
        assert client.get("/healthz").status == 200
    assert "a secret" in caplog.text


def test_ratings_that_cannot_be_stored_are_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with serving(Studio(MODELS, tmp_path / "file")) as client:
        answer = client.post("/v1/ratings", {"face": FACE, "good": True})
        assert answer.status == 503
        assert "choose another folder" in answer.detail
