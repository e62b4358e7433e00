"""The live page: what it reads of a run that trains, has just begun, was killed or has ended, and what it serves."""

import http.client
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from nijigan.dataset.faces import FaceDataset
from nijigan.files import locked
from nijigan.jsonio import read_json
from nijigan.recipe.recipe import Recipe
from nijigan.runs import read_log
from nijigan.studio.live import MOST_POINTS, REPORT, decimated, read_progress
from nijigan.studio.routes.live import PAGE, live_router
from nijigan.training import train
from running import running

HOUR = 3600.0


@pytest.fixture(scope="module")
def trained(faces: FaceDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from conftest import shrink
    from nijigan.recipe.named_recipes import RECIPES

    return train(shrink(RECIPES["dcgan"]), faces, tmp_path_factory.mktemp("runs") / "a", device="cpu")


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """Asks a server for paths exactly as they are written: a browser would shorten `..`."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
        finally:
            connection.close()


@pytest.fixture
def client(run: Path) -> Iterator[Client]:
    app = FastAPI()
    app.include_router(live_router(run), prefix="/live")
    with running(app) as port:
        yield Client(port)


def cut(run: Path, lines: int) -> None:
    """Take a run back to its first log lines, as if it still trained."""
    kept = (run / "log.jsonl").read_text().splitlines(keepends=True)[:lines]
    (run / "log.jsonl").write_text("".join(kept))
    (run / "timelapse.webp").unlink(missing_ok=True)


def age(run: Path, seconds: float) -> None:
    """Let everything in a run be that old."""
    for path in [run, *run.rglob("*")]:
        stat = path.stat()
        os.utime(path, (stat.st_atime - seconds, stat.st_mtime - seconds))


def test_a_finished_run_is_read_whole(run: Path) -> None:
    progress, lines = read_progress(run), read_log(run)
    assert (progress["name"], progress["recipe"], progress["resolution"]) == ("run", "dcgan", 16)
    assert (progress["state"], progress["fraction"], progress["seconds_left"]) == ("finished", 1.0, None)
    assert (progress["images"], progress["kimg"], progress["total_kimg"]) == (400, 0.4, 0.4)
    assert progress["problem"] is None
    assert progress["warnings"] == []
    losses = next(chart for chart in progress["charts"] if chart["name"] == "losses")
    assert losses["curves"][0]["points"] == [[line["kimg"], line["d_loss"]] for line in lines]
    assert [grid["kimg"] for grid in progress["grids"]] == sorted(grid["kimg"] for grid in progress["grids"])
    assert progress["grids"][0] == {"name": "kimg-000000", "kimg": 0.0}
    json.dumps(progress, allow_nan=False)


def test_a_run_is_watched_from_before_it_begins(run: Path, tmp_path: Path) -> None:
    nothing = read_progress(tmp_path / "later")
    assert (nothing["state"], nothing["kimg"], nothing["charts"], nothing["grids"]) == ("new", 0.0, [], [])
    cut(run, 0)
    assert read_progress(run)["state"] == "new"
    assert read_progress(run)["total_kimg"] == 0.4
    cut(run, 3)
    assert read_progress(run)["state"] == "new"


def test_speed_and_time_left_follow_from_the_last_lines(run: Path) -> None:
    cut(run, 2)
    lines = [json.loads(line) | {"images_per_second": speed} for line, speed in
             zip((run / "log.jsonl").read_text().splitlines(), (10.0, 30.0), strict=True)]  # fmt: skip
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    progress = read_progress(run)
    assert progress["state"] == "running"
    assert progress["images_per_second"] == pytest.approx(15.0)  # equally many images at 10 and at 30
    assert progress["seconds_left"] == pytest.approx((400 - progress["images"]) / 15.0)


def test_a_killed_run_has_stopped_unless_its_lock_is_held(run: Path) -> None:
    cut(run, 2)
    age(run, HOUR)
    assert read_progress(run)["state"] == "stopped"
    with locked(run / "run.lock"):
        assert read_progress(run)["state"] == "running"
    assert read_progress(run)["seconds_left"] is None


def test_a_run_that_ends_early_has_finished_and_one_that_is_resumed_has_not(run: Path) -> None:
    recipe = read_json(Recipe, run / "recipe.json")
    (run / "recipe.json").write_text(replace(recipe, kimg=10.0).to_json())
    assert read_progress(run)["state"] == "finished"  # its timelapse is the last thing it wrote
    last = (run / "log.jsonl").stat().st_mtime
    os.utime(run / "timelapse.webp", (last - 60, last - 60))
    assert read_progress(run)["state"] == "running"


def test_half_written_and_damaged_files_do_no_harm(run: Path) -> None:
    before = read_progress(run)
    with (run / "log.jsonl").open("a") as file:
        file.write('{"images": 480, "kimg": 0.48, "d_lo')
    assert read_progress(run)["charts"] == before["charts"]
    with (run / "log.jsonl").open("a") as file:
        file.write('\n\x00\xff\n[1]\n{"images": NaN}\n')
    assert read_progress(run)["charts"] == before["charts"]
    (run / "recipe.json").write_text('{"name": "dc')
    unknown = read_progress(run)
    assert (unknown["recipe"], unknown["total_kimg"], unknown["fraction"]) == (None, None, None)
    (run / "log.jsonl").unlink()
    (run / "log.jsonl").mkdir()
    assert "log.jsonl" in str(read_progress(run)["problem"])


def test_warnings_are_those_of_the_training(run: Path) -> None:
    line = json.loads((run / "log.jsonl").read_text().splitlines()[0])
    failing = [line | {"images": 40 * n, "kimg": 0.04 * n, "d_loss": 1.0 if n < 6 else 1e5} for n in range(1, 10)]
    (run / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in failing))
    (warning,) = read_progress(run)["warnings"]
    assert "run away" in warning["text"]
    assert warning["kimg"] == pytest.approx(0.24)


def test_a_long_curve_keeps_its_extremes_and_its_end() -> None:
    points = [[float(i), float(i % 7)] for i in range(10_007)]
    points[5003][1], points[9000][1] = 1e6, -3.0
    found = decimated(points)
    assert len(found) <= MOST_POINTS
    assert found == sorted(found)
    assert all(point in points for point in found)
    assert {1e6, -3.0} <= {value for _, value in found}
    assert (found[0][0] < 40, found[-1]) == (True, points[-1])
    assert decimated(points[:MOST_POINTS]) == points[:MOST_POINTS]
    flat = decimated([[float(i), 1.0] for i in range(2000)])
    assert flat[-1] == [1999.0, 1.0]


def test_scores_have_their_interval(run: Path) -> None:
    line = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    judged = {"yield": 0.5, "yield_low": 0.4, "yield_high": 0.6, "kid": 0.1, "kid_low": 0.09, "kid_high": 0.11}
    more = judged | {"coverage": 0.2, "recall": 0.3, "originality": 0.99, "accuracy-hair": 0.7}
    (run / "log.jsonl").write_text(json.dumps(line | more) + "\n")
    charts = {chart["name"]: chart for chart in read_progress(run)["charts"]}
    assert charts["yield"]["curves"][0]["band"] == [[0.4, 0.4, 0.6]]
    assert charts["kid"]["curves"][0]["band"][0][1:] == pytest.approx([90, 110])
    assert charts["accuracy"]["curves"][0]["label"] == "hair"
    assert [name for name, chart in charts.items() if chart["share"]] == ["yield", "variety", "originality", "accuracy"]


def test_the_page_its_files_and_the_grids_are_served(client: Client, run: Path) -> None:
    page = client.get("/live/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for name, kind in PAGE.items():
        if name != "index.html":
            answer = client.get(f"/live/{name}")
            assert (answer.status, answer.headers["content-type"]) == (200, kind)
    assert (client.get("/live").status, client.get("/live").headers["location"]) == (307, "live/")
    progress = client.get("/live/progress.json")
    assert progress.headers["cache-control"] == "no-store"
    assert progress.json()["state"] == "finished"
    for grid in progress.json()["grids"]:
        answer = client.get(f"/live/grids/{grid['name']}.png")
        assert answer.headers["content-type"] == "image/png"
        assert answer.content == (run / "samples" / f"{grid['name']}.png").read_bytes()
    assert client.get("/live/report.html").status == 404
    (run / REPORT).parent.mkdir()
    (run / REPORT).write_text("<p>report</p>")
    report = client.get("/live/report.html")
    assert report.content == b"<p>report</p>"
    assert "style-src 'unsafe-inline'" in report.headers["content-security-policy"]  # its style is in the file
    assert "script-src" not in report.headers["content-security-policy"]
    assert client.get("/live/progress.json").json()["report"] is True


@pytest.mark.parametrize(
    "name",
    ["recipe", "../recipe", "..%2Frecipe", "kimg-000001%2f..%2f..%2fsecret", "kimg-1", "kimg-000099", "kimg-000000%00",
     "kimg-000000.png", "KIMG-000000", "kimg-%D9%A0%D9%A0%D9%A0%D9%A0%D9%A0%D9%A0", "%2e%2e", ""],
)  # fmt: skip
def test_only_grids_of_the_run_are_served(client: Client, run: Path, name: str) -> None:
    (run / "secret.png").write_bytes(b"secret")
    assert client.get(f"/live/grids/{name}.png").status == 404


def test_a_link_out_of_the_folder_is_not_followed(client: Client, run: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    (run / "samples" / "kimg-000007.png").symlink_to(tmp_path / "secret.png")
    assert client.get("/live/grids/kimg-000007.png").status == 404


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    folder = Path(live_router.__code__.co_filename).parents[1] / "live"
    assert {path.name for path in folder.iterdir()} == set(PAGE)
    page, script = (folder / "index.html").read_text(), (folder / "live.js").read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=)|javascript:", page)
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(|setAttribute\(\"style", script)
    addresses = re.findall(r"https?://[^\"'\s]+", page + script + (folder / "live.css").read_text())
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r"part\(\"([\w-]+)\"\)", script)) <= set(re.findall(r"id=\"([\w-]+)\"", page))
