"""The studio as a process: what it loads, how it ends, and what a kill leaves."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nijigan.generator.generator import Generator
from studio_server import Client

PROGRAM = """
import sys
from nijigan.cli import main
code = main(sys.argv[1:])
print(sorted({"torch"} & set(sys.modules)))
sys.exit(code)
"""


def start(*arguments: str) -> tuple[subprocess.Popen[str], Client, str]:
    """A running studio, a client of it, and its link."""
    command = [sys.executable, "-u", "-c", PROGRAM, "studio", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "Ctrl-C" in (first := process.stderr.readline()), first
    link = process.stderr.readline().strip()
    found = re.fullmatch(r"http://[\w.]+:(\d+)/(?:[\w-]{32}/)?", link)
    assert found, link
    client = Client(int(found[1]))
    for _ in range(600):
        try:
            assert client.get("/healthz").status == 200
            return process, client, link
        except OSError:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
    raise AssertionError("the server did not start")


@pytest.mark.slow
def test_a_killed_studio_keeps_its_ratings_and_a_stopped_one_ends_cleanly_without_torch(tmp_path: Path) -> None:
    ratings = str(tmp_path / "ratings")
    process, client, _ = start("--ratings", ratings)
    record = json.loads(Generator.load().face(3, 0.7).to_json())
    for seed in range(20):
        assert client.post("/v1/ratings", {"face": record | {"seed": seed}, "good": seed % 2 == 0}).status == 200
    process.kill()
    process.communicate()

    for number in (signal.SIGINT, signal.SIGTERM):
        process, client, _ = start("--ratings", ratings)
        counts = client.get("/v1/ratings").json
        assert (counts["rated"], counts["good"]) == (20, 10)
        assert client.post("/v1/faces", {"n": 4, "scale": 2}).status == 200
        process.send_signal(number)
        begun = time.monotonic()
        output, errors = process.communicate(timeout=60)
        assert time.monotonic() - begun < 15
        assert (process.returncode, output, errors) == (0, "[]\n", "")


@pytest.mark.slow
def test_a_studio_that_others_can_reach_prints_a_token(tmp_path: Path) -> None:
    process, client, link = start("--host", "0.0.0.0", "--ratings", str(tmp_path))
    assert "On other machines" in process.stderr.readline()
    token = link.split("/")[3]
    assert client.get("/models.json").status == 401
    assert client.get(f"/{token}/models.json").status == 200
    process.terminate()
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "[]\n"), errors
