"""Rating by hand: the ballot is blind, votes survive the server, other sites are refused, the tally is right."""

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.rate.ballot import REAL, Ballot, build_ballot
from nijigan.rate.gate import MAX_BODY_BYTES
from nijigan.rate.listening import listen
from nijigan.rate.server import LOCAL, create_app
from nijigan.rate.store import NAME, VoteStore
from nijigan.rate.tally import agree, tally, with_judge
from running import running
from small import small_generator


@pytest.fixture(scope="module")
def models() -> dict[str, Generator]:
    return {"runs/one": small_generator(1), "runs/two": small_generator(2)}


@pytest.fixture(scope="module")
def ballot(models: dict[str, Generator], faces: FaceDataset) -> Ballot:
    return build_ballot(models, faces, n=4, seed=3)


KEY = "k3y_-"


class Browser:
    """Sends requests as a browser on this machine would, with other headers if requested."""

    def __init__(self, port: int, key: str = KEY) -> None:
        self.port, self.key = port, key

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        path = f"/{self.key}{path}"
        try:
            if body is None:
                connection.request("GET", path, headers=headers)
            else:
                sent = {"Content-Type": "application/json"} | {
                    key.replace("_", "-"): value for key, value in headers.items()
                }
                content = body if isinstance(body, bytes) else json.dumps(body)
                connection.request("POST", path, content, {key: value for key, value in sent.items() if value})
            response = connection.getresponse()
            return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def json(self, path: str, body: object = None) -> Any:
        status, _, content = self.ask(path, body)
        assert status == 200, content
        return json.loads(content)


@contextmanager
def serving(ballot: Ballot, store: VoteStore, **options: Any) -> Iterator[Browser]:
    with running(create_app(ballot, store, KEY, **options)) as port:
        yield Browser(port)


def test_a_ballot_shows_each_models_faces_and_real_ones_under_the_right_name(
    ballot: Ballot, models: dict[str, Generator], faces: FaceDataset
):
    assert sorted(ballot.sources) == sorted(["runs/one", "runs/two", REAL] * 4)
    assert len(set(ballot.faces)) == len(ballot.images) == 12
    val = {image.tobytes() for image in faces.pixels("val", 32)}
    for image, face, source in zip(ballot.images, ballot.faces, ballot.sources, strict=True):
        if source == REAL:
            assert image.tobytes() in val
        else:
            seed = json.loads(face)["seed"]
            assert 3 <= seed < 7
            assert json.loads(face)["weights"] == models[source].weights_hash
            difference = image.astype(int) - models[source].sample(1, seed=seed)[0]
            assert np.abs(difference).max() <= 1


def test_a_real_face_is_identified_by_its_own_hash(ballot: Ballot, faces: FaceDataset):
    rows = faces.table.filter(np.asarray(faces.table["split"]) == "val")["sha256"].to_pylist()
    by_hash = dict(zip(rows, faces.pixels("val", 32), strict=True))
    for image, face, source in zip(ballot.images, ballot.faces, ballot.sources, strict=True):
        if source == REAL:
            np.testing.assert_array_equal(image, by_hash[json.loads(face)["sha256"]])


def test_a_name_that_is_not_valid_unicode_can_be_stored_and_sent(
    models: dict[str, Generator], faces: FaceDataset, tmp_path: Path
):
    ballot, store = build_ballot({"runs/\udcff<b>": models["runs/one"]}, faces, n=1), VoteStore(tmp_path)
    with serving(ballot, store) as browser:
        for position in range(2):
            browser.json("/votes", {"position": position, "good": True})
        assert [name for name, _ in browser.json("/result")] == ["runs/\\udcff<b>", REAL]


def test_the_order_follows_the_seed_and_mixes_the_sources(models: dict[str, Generator], faces: FaceDataset):
    first, again, other = (build_ballot(models, faces, n=4, seed=seed) for seed in (0, 0, 1))
    assert first.faces == again.faces
    assert first.sources != other.sources
    np.testing.assert_array_equal(first.images, again.images)
    changes = sum(a != b for a, b in zip(first.sources, first.sources[1:], strict=False))
    assert changes > 4  # three blocks in a row would make 2


def test_ballots_that_cannot_be_blind_or_fair_are_refused(models: dict[str, Generator], faces: FaceDataset):
    with pytest.raises(UserError, match="name a model"):
        build_ballot({}, faces)
    with pytest.raises(UserError, match="models of one resolution at a time"):
        build_ballot(models | {"runs/large": small_generator(resolution=64)}, faces)
    for n in (0, -1, 10**30):
        with pytest.raises(UserError, match="must be 1 to 10,000"):
            build_ballot(models, faces, n=n)
    for seed in (-1, 2**63 - 2, 10**30):
        with pytest.raises(UserError, match="seed .* is out of range"):
            build_ballot(models, faces, n=4, seed=seed)
    with pytest.raises(UserError, match="cannot be called 'real faces'"):
        build_ballot({REAL: models["runs/one"]}, faces)
    with pytest.raises(UserError, match="runs/one and runs/copy have the same weights"):
        build_ballot(models | {"runs/copy": small_generator(1)}, faces)


def test_fewer_real_faces_than_requested_are_all_shown(
    models: dict[str, Generator], faces: FaceDataset, caplog: pytest.LogCaptureFixture
):
    count = faces.count("val")
    ballot = build_ballot(models, faces, n=count + 5)
    assert ballot.sources.count(REAL) == count
    assert f"only {count} validation faces" in caplog.text


def test_every_face_is_shown_once_and_every_vote_stored(ballot: Ballot, tmp_path: Path):
    store = VoteStore(tmp_path)
    shown = []
    with serving(ballot, store) as browser:
        state = browser.json("/state")
        assert (state["rated"], state["total"]) == (0, 12)
        while state["next"]:
            position = state["next"][0]
            shown.append(position)
            state = browser.json("/votes", {"position": position, "good": position % 2 == 0})
        assert state == {"next": [], "rated": 12, "total": 12}
    assert shown == list(range(12))
    assert store.votes() == {(face, False): position % 2 == 0 for position, face in enumerate(ballot.faces)}
    with sqlite3.connect(tmp_path / NAME) as database:
        rows = database.execute("SELECT face, source FROM verdicts").fetchall()
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    database.close()
    assert dict(rows) == dict(zip(ballot.faces, ballot.sources, strict=True))


def test_undo_removes_the_latest_vote_on_this_ballot(ballot: Ballot, tmp_path: Path):
    store = VoteStore(tmp_path)
    with serving(ballot, store) as browser:
        assert browser.json("/undo", {})["rated"] == 0
        browser.json("/votes", {"position": 0, "good": True})
        browser.json("/votes", {"position": 1, "good": False})
        store.cast("a face of another ballot", "elsewhere", True)
        assert browser.json("/undo", {}) == {"next": [1, 2], "rated": 1, "total": 12}
    assert store.votes() == {(ballot.faces[0], False): True, ("a face of another ballot", False): True}


def test_a_second_vote_on_a_face_takes_the_place_of_the_first(tmp_path: Path):
    store = VoteStore(tmp_path)
    store.cast("a", "m", True)
    store.cast("b", "m", True)
    store.cast("a", "m", False)
    assert store.votes() == {("a", False): False, ("b", False): True}
    store.undo([("a", False), ("b", False)])
    assert store.votes() == {("b", False): True}


def test_a_longer_ballot_asks_only_for_what_is_new(models: dict[str, Generator], faces: FaceDataset, tmp_path: Path):
    store = VoteStore(tmp_path)
    short, long = (build_ballot(models, faces, n=n, seed=0) for n in (2, 4))
    for face, source in zip(short.faces, short.sources, strict=True):
        if source != REAL:
            store.cast(face, source, True)
    with serving(long, store) as browser:
        assert browser.json("/state")["rated"] == 4


def test_faces_are_enlarged_smoothly_and_nothing_reveals_their_source(ballot: Ballot, tmp_path: Path):
    with serving(ballot, VoteStore(tmp_path)) as browser:
        seen = []
        for position in range(12):
            status, headers, content = browser.ask(f"/faces/{position}")
            assert status == 200
            (tmp_path / "face.png").write_bytes(content)
            with Image.open(tmp_path / "face.png") as image:
                assert image.size == (384, 384)
                assert image.info == {}
                smaller = np.asarray(image.resize((32, 32), Image.Resampling.BOX)).astype(int)
            distances = np.abs(smaller - ballot.images).mean(axis=(1, 2, 3))
            assert distances.argmin() == position
            seen.append({key: value for key, value in headers.items() if key not in ("content-length", "date")})
        assert all(headers == seen[0] for headers in seen)
        said = [browser.ask(path) for path in ("/", "/script.js", "/style.css", "/state")]
        assert all(status == 200 for status, _, _ in said)
        for secret in ("runs/", "sha256", "weights", ballot.faces[0]):
            assert all(secret.encode() not in content for _, _, content in said)
        assert browser.ask("/faces/12")[0] == browser.ask("/faces/-1")[0] == 404
        assert browser.ask("/openapi.json")[0] == browser.ask("/docs")[0] == 404


def test_the_result_is_shown_when_every_face_is_rated_and_not_before(ballot: Ballot, tmp_path: Path):
    with serving(ballot, VoteStore(tmp_path)) as browser:
        for position in range(11):
            browser.json("/votes", {"position": position, "good": True})
        assert browser.ask("/result")[0] == 403
        browser.json("/votes", {"position": 11, "good": True})
        assert [name for name, _ in browser.json("/result")] == ["runs/one", "runs/two", REAL]


def test_only_this_machines_names_and_this_pages_votes_are_accepted(ballot: Ballot, tmp_path: Path):
    store = VoteStore(tmp_path)
    with serving(ballot, store) as browser:
        assert browser.ask("/state", Host="evil.example")[0] == 400
        assert browser.ask("/state", Host=f"localhost:{browser.port}")[0] == 200
        vote = {"position": 0, "good": True}
        assert browser.ask("/votes", vote, Host="evil.example")[0] == 400
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            assert browser.ask("/votes", vote, Content_Type=kind)[0] in (415, 422)
            assert browser.ask("/undo", {}, Content_Type=kind)[0] in (415, 422)
        assert browser.ask("/votes", {"position": 12, "good": True})[0] == 404
        assert browser.ask("/votes", {"position": 0})[0] == 422
        assert browser.ask("/votes")[0] in (404, 405)
    assert store.votes() == {}


@pytest.mark.parametrize("key", ["", "k3y", "k3y_-x", "%00", "state", "é", "\u202e"])
def test_without_the_key_of_the_session_nothing_is_shown_or_stored(ballot: Ballot, tmp_path: Path, key: str):
    store = VoteStore(tmp_path)
    with serving(ballot, store) as browser:
        stranger = Browser(browser.port, quote(key, safe="%"))
        for path in ("", "/", "/state", "/faces/0", "/result", "/style.css", f"/../{KEY}/state"):
            status, headers, content = stranger.ask(path)
            assert (status, headers["cache-control"]) == (403, "no-store")
            assert b"Open the link" in content
        assert stranger.ask("/votes", {"position": 0, "good": True})[0] == 403
        assert stranger.ask("/undo", {})[0] == 403
        assert browser.ask("/")[0] == 200
        assert "set-cookie" not in browser.ask("/")[1]
    assert store.votes() == {}


BODIES = {
    "NaN": b'{"position":NaN,"good":true}',
    "infinity": b'{"position":Infinity,"good":true}',
    "overflow": b'{"position":1e999,"good":true}',
    "surrogate": rb'{"position":"\ud800","good":true}',
    "surrogate name": rb'{"\udfff":0,"position":0,"good":true}',
    "text": b'{"position":"0","good":true}',
    "boolean": b'{"position":true,"good":true}',
    "number": b'{"position":0,"good":1}',
    "float": b'{"position":0.0,"good":true}',
    "null": b'{"position":null,"good":null}',
    "digits": b'{"position":' + b"9" * 900 + b',"good":true}',
    "deep": b"[" * 1000,
    "list": b"[]",
    "empty": b"",
    "not UTF-8": b'{"position":0,"good":"\xff"}',
    "UTF-16": '{"position":0,"good":true}'.encode("utf-16"),
    "unknown name": b'{"position":0,"good":true,"source":"x"}',
    "zero bytes": bytes(100),
}


def test_a_body_that_is_no_vote_is_refused_with_a_sentence(ballot: Ballot, tmp_path: Path):
    store = VoteStore(tmp_path)
    with serving(ballot, store) as browser:
        for name, body in BODIES.items():
            status, _, content = browser.ask("/votes", body)
            assert status in ((404, 422) if name == "digits" else (422,)), name
            assert name == "digits" or b"Send a vote such as" in content
        for position in (10**30, -(10**30), -1, 12):
            assert browser.ask("/votes", {"position": position, "good": True})[0] in (404, 422)
            assert browser.ask(f"/faces/{position}")[0] in (404, 422)
        for path in ("NaN", "9" * 5000, "%ff", "0.5", "%ED%A0%80"):
            assert browser.ask(f"/faces/{path}")[0] in (404, 422)
        for kind in ("application/json; charset=utf-8", "APPLICATION/JSON"):
            assert browser.ask("/votes", {"position": 0, "good": True}, Content_Type=kind)[0] == 200
    assert store.votes() == {(ballot.faces[0], False): True}


@pytest.mark.parametrize("path", ["/votes", "/undo"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_a_large_body_is_refused_before_it_is_read(ballot: Ballot, tmp_path: Path, path: str, kind: str):
    expected = 413 if kind == "application/json" else 415
    with serving(ballot, VoteStore(tmp_path)) as browser:
        assert browser.ask(path, b" " * (MAX_BODY_BYTES + 1), Content_Type=kind)[0] == expected
        for length in ("Content-Length: 1000000000000", "Transfer-Encoding: chunked"):
            with socket.create_connection(("127.0.0.1", browser.port), timeout=30) as line:
                head = f"POST /{KEY}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n{length}\r\n\r\n"
                line.sendall(head.encode() + b"800\r\n" + b" " * 2048 + b"\r\n")  # and no end
                assert line.recv(100).startswith(f"HTTP/1.1 {expected}".encode())
        assert browser.json("/state")["rated"] == 0


def test_the_memory_of_the_server_does_not_grow_with_a_body(ballot: Ballot, tmp_path: Path):
    with serving(ballot, VoteStore(tmp_path)) as browser:
        tracemalloc.start()
        try:
            for path in (f"/{KEY}/votes", "/votes"):
                connection = http.client.HTTPConnection("127.0.0.1", browser.port, timeout=30)
                connection.request("POST", path, bytes(2**24), {"Content-Type": "application/json"})
                assert connection.getresponse().status in (403, 413)
                connection.close()
            assert tracemalloc.get_traced_memory()[1] < 2**24 + 2**22  # the body itself, which this test holds
        finally:
            tracemalloc.stop()


def test_a_body_that_does_not_end_is_given_up(ballot: Ballot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nijigan.rate.gate.BODY_SECONDS", 0.1)
    head = (
        f"POST /{KEY}/votes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
    )
    with (
        serving(ballot, VoteStore(tmp_path)) as browser,
        socket.create_connection(("127.0.0.1", browser.port), timeout=30) as slow,
    ):
        slow.sendall(head.encode() + b"{")
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
        with socket.create_connection(("127.0.0.1", browser.port), timeout=30) as gone:
            gone.sendall(head.encode() + b"{")
        assert browser.json("/state")["rated"] == 0


def test_many_votes_at_once_are_all_stored(tmp_path: Path):
    ballot, stores = plain_ballot(*["a"] * 64), [VoteStore(tmp_path) for _ in range(2)]
    with serving(ballot, stores[0]) as browser, ThreadPoolExecutor(32) as threads:
        votes = [{"position": index % 64, "good": index % 2 == 0} for index in range(160)]
        answers = threads.map(lambda vote: browser.ask("/votes", vote)[0], votes)
        others = threads.map(
            lambda index: stores[1].cast(f"other {index}", "b", True), range(40)
        )  # as a second process
        assert set(answers) == {200}
        list(others)
    assert len(stores[0].votes()) == 104


def test_votes_that_cannot_be_stored_are_not_counted_and_the_reason_is_sent(
    ballot: Ballot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("nijigan.rate.store.BUSY_SECONDS", 0.05)
    store = VoteStore(tmp_path)
    with serving(ballot, store) as browser:
        database = sqlite3.connect(tmp_path / NAME, isolation_level=None)
        database.execute("BEGIN EXCLUSIVE")
        status, _, content = browser.ask("/votes", {"position": 0, "good": True})
        assert (status, b"database is locked" in content) == (503, True)
        database.close()
        assert browser.json("/votes", {"position": 0, "good": True})["rated"] == 1
        store.path.unlink()
        assert browser.ask("/votes", {"position": 1, "good": True})[0] == 503
    assert not store.path.exists()


def test_only_the_owner_can_read_the_votes(tmp_path: Path):
    store, private = VoteStore(tmp_path / "new"), 0o600 if os.name == "posix" else 0o666
    assert store.path.stat().st_mode & 0o777 == private
    store.cast("a", "b", True)
    assert [place.name for place in (tmp_path / "new").iterdir()] == [NAME]
    store.path.chmod(0o644)  # as version 0.1 left it
    with sqlite3.connect(store.path) as database:
        database.execute("PRAGMA journal_mode = WAL")
    database.close()
    assert VoteStore(tmp_path / "new").votes() == {("a", False): True}
    assert store.path.stat().st_mode & 0o777 == private
    with sqlite3.connect(store.path) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    database.close()


def test_the_page_loads_nothing_from_other_sites(ballot: Ballot, tmp_path: Path):
    with serving(ballot, VoteStore(tmp_path)) as browser:
        status, headers, page = browser.ask("/")
        assert status == 200
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert page.decode().lower().count("<meta charset=") == 1
        links = re.findall(r'(?:src|href)="([^"]+)"', page.decode())
        assert {"style.css", "script.js"} <= set(links)
        for link in links:
            if link != "data:,":
                status, headers, _ = browser.ask(f"/{link}")
                assert status == 200
                assert headers["content-type"].endswith("; charset=utf-8")
        for path in ("/", "/style.css", "/state", "/faces/0", "/nowhere"):
            assert browser.ask(path)[1]["cross-origin-resource-policy"] == "same-origin"
        assert not re.search(r"https?:|style=|onclick", page.decode())


PROGRAM = """
import logging
import sys
from pathlib import Path
import numpy as np
from nijigan.rate.ballot import Ballot
from nijigan.rate.listening import listen
from nijigan.rate.server import serve
from nijigan.rate.store import VoteStore
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
faces = tuple(f"face {index}" for index in range(5))
ballot = Ballot(faces, ("model",) * 5, (False,) * 5, np.zeros((5, 32, 32, 3), np.uint8))
serve(ballot, VoteStore(Path(sys.argv[1])), listen(0))
print("ended")
"""


def test_a_killed_server_continues_where_the_rater_stopped_and_ctrl_c_ends_it_cleanly(tmp_path: Path):
    def start() -> tuple[subprocess.Popen[str], Browser]:
        command = [sys.executable, "-u", "-c", PROGRAM, str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        assert "votes are kept" in process.stdout.readline()
        link = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]{22,})/\n", process.stdout.readline())
        assert link
        browser = Browser(int(link[1]), link[2])
        for _ in range(600):
            try:
                browser.json("/state")
                return process, browser
            except OSError:
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    process, browser = start()
    assert browser.json("/state") == {"next": [0, 1], "rated": 0, "total": 5}
    browser.json("/votes", {"position": 0, "good": True})
    browser.json("/votes", {"position": 1, "good": False})
    process.kill()
    process.communicate()

    process, again = start()
    assert again.key != browser.key
    assert again.json("/state") == {"next": [2, 3], "rated": 2, "total": 5}
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "ended\n")
    assert VoteStore(tmp_path).votes() == {("face 0", False): True, ("face 1", False): False}


def test_a_port_in_use_is_reported_in_a_sentence():
    with listen(0) as taken, pytest.raises(UserError, match="--port"):
        listen(taken.getsockname()[1])
    for port in (70000, -1, 10**30):
        with pytest.raises(UserError, match="--port"):
            listen(port)


def test_a_file_that_is_not_a_store_of_votes_is_reported_and_not_changed(tmp_path: Path):
    (tmp_path / NAME).write_bytes(b"not a database at all, but a text of some length")
    with pytest.raises(UserError, match="choose another folder"):
        VoteStore(tmp_path)
    assert (tmp_path / NAME).read_bytes().startswith(b"not a database")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another folder"):
        VoteStore(tmp_path / "file")


def test_other_machines_may_rate_with_the_token_alone(ballot: Ballot, tmp_path: Path):
    for hosts, elsewhere in (("*",), 200), (LOCAL, 400):
        with serving(ballot, VoteStore(tmp_path), hosts=hosts) as browser:
            assert browser.ask("/state", Host="rater.example")[0] == elsewhere
            browser.key = "another-token-of-some-length"
            assert browser.ask("/state", Host="rater.example")[0] == 403


def test_without_a_web_server_the_message_says_what_to_install():
    program = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from nijigan.errors import UserError\n"
        "try:\n    import nijigan.rate.server\nexcept UserError as error:\n    print(error)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install '.[studio]'" in result.stdout


def plain_ballot(*sources: str) -> Ballot:
    images = np.arange(len(sources), dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    faces = tuple(f"face {index}" for index in range(len(sources)))
    return Ballot(faces, sources, (False,) * len(sources), images)


def test_the_tally_counts_each_source_with_wilsons_interval(tmp_path: Path):
    ballot = plain_ballot(*["a"] * 10, *["b"] * 20, *[REAL] * 5, "unseen")
    store = VoteStore(tmp_path)
    for index in range(35):
        good = index < 7 or 10 <= index < 15 or index >= 30
        store.cast(ballot.faces[index], ballot.sources[index], good)
    count = tally(ballot, store)
    assert (count.rated, count.total) == (35, 36)
    assert set(count.yields) == {"a", "b"}
    assert (count.yields["a"].value, count.yields["b"].value, count.real.value) == (0.7, 0.25, 1)
    for name, good, n in (("a", 7, 10), ("b", 5, 20)):
        expected = binomtest(good, n).proportion_ci(method="wilson")
        assert (count.yields[name].low, count.yields[name].high) == pytest.approx(tuple(expected))
    assert (count.themself, count.others, count.judge) == (None, {}, None)
    for words in ("35 of 36", "70.0%", "25.0%", "100.0%"):
        assert words in str(count)


def test_the_judge_sees_only_the_rated_faces_and_is_compared_with_the_rater(tmp_path: Path):
    ballot, store = plain_ballot(*["a"] * 60), VoteStore(tmp_path)
    for index in range(50):  # Cohen's textbook case: 20 both yes, 15 both no, 5 and 10 split
        store.cast(ballot.faces[index], "a", index < 25)

    def judge(images: np.ndarray) -> np.ndarray:
        numbers = images[:, 0, 0, 0].astype(int)
        assert numbers.tolist() == list(range(50))
        return (numbers < 20) | ((numbers >= 25) & (numbers < 35))

    count = with_judge(tally(ballot, store), ballot, store, judge)
    assert count.judge is not None
    assert count.judge.share.value == pytest.approx(0.7)
    assert count.judge.kappa is not None
    assert count.judge.kappa.value == pytest.approx(0.4)
    assert "kappa 0.40" in str(count)


def test_kappa_at_its_ends():
    both = np.array([True, False, True, False])
    always = np.ones(4, np.bool_)
    assert agree(always, always).kappa is None
    for first, second, value in ((both, both, 1), (both, ~both, -1), (both, always, 0)):
        kappa = agree(first, second).kappa
        assert kappa is not None
        assert kappa.value == value
        assert -1 <= kappa.low <= value <= kappa.high <= 1


def test_the_interval_of_kappa_is_that_of_the_bootstrap():
    random = np.random.default_rng(0)
    first = random.random(400) < 0.6
    second = first ^ (random.random(400) < np.where(first, 0.1, 0.25))
    kappa = agree(first, second).kappa
    assert kappa is not None
    rows = random.integers(0, 400, (2000, 400))
    values = [(again.value if (again := agree(first[row], second[row]).kappa) else 1.0) for row in rows]
    assert (kappa.low, kappa.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.015)


@pytest.mark.parametrize("n", [4, 20, 200])
def test_kappa_of_perfect_agreement_is_less_certain_with_fewer_faces(n: int):
    """Half of the faces are good, so kappa is 2p - 1, and Wilson's lower end at p = 1 is n / (n + 1.96²)."""
    ratings = np.arange(n) % 2 == 0
    kappa = agree(ratings, ratings).kappa
    assert kappa is not None
    assert (kappa.value, kappa.high) == (1, 1)
    assert kappa.low == pytest.approx(2 * n / (n + 1.959964**2) - 1)
    opposite = agree(ratings, ~ratings).kappa
    assert opposite is not None
    assert (opposite.low, opposite.high) == (-1, pytest.approx(-kappa.low))


@pytest.mark.parametrize(
    "table", [(0.48, 0.02, 0.02, 0.48), (0.8, 0.05, 0.05, 0.1), (0.25, 0.25, 0.25, 0.25), (0.5, 0.4, 0.0, 0.1)]
)
def test_the_interval_of_kappa_covers_its_true_value_with_few_faces(table: tuple[float, ...]):
    yes_yes, yes_no, no_yes, _ = table
    rates = yes_yes + yes_no, yes_yes + no_yes
    chance = rates[0] * rates[1] + (1 - rates[0]) * (1 - rates[1])
    true = (table[0] + table[3] - chance) / (1 - chance)
    drawn = np.random.default_rng(0).choice(4, (2000, 20), p=table)
    found = [kappa for cells in drawn if (kappa := agree(cells < 2, cells % 2 == 0).kappa)]
    assert np.mean([kappa.low <= true <= kappa.high for kappa in found]) > 0.935


def test_a_tally_without_votes_is_empty(tmp_path: Path):
    ballot, store = plain_ballot("a", REAL), VoteStore(tmp_path)
    count = with_judge(tally(ballot, store), ballot, store, lambda images: np.ones(len(images), np.bool_))
    assert (count.rated, count.yields, count.real, count.judge) == (0, {}, None, None)
    assert "0 of 2" in str(count)
