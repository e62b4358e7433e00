"""The page as the studio serves it: faces drawn on the server are those drawn in the page and in Python."""

import base64
import io
import json
import re

import pytest
from PIL import Image

from browsing import Visit, chromium, difference, needs_chromium, picture
from nijigan.generator.records import read_face
from nijigan.studio.models import open_models
from nijigan.studio.studio import Limits, Studio
from studio_server import serving, small_models

pytestmark = needs_chromium
MODELS, (HAIR, _) = small_models()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with serving(Studio(MODELS, ratings=tmp_path_factory.mktemp("ratings"))) as found:
        yield found


def test_the_page_draws_on_the_server_what_it_draws_itself(client):
    with chromium() as browser:
        visit = Visit(
            browser.new_context(viewport={"width": 1000, "height": 900}, locale="en-US"),
            f"http://127.0.0.1:{client.port}/",
        )

        def chosen(index):
            visit.settle("#gallery")
            visit.page.locator("#gallery .face").nth(index).click()
            visit.settle("#near")
            return visit.download(lambda: visit.page.locator(".download").first.click())

        here = chosen(3)
        visit.page.locator("#place").select_option("server")
        visit.page.locator("#gallery .face.waiting").first.wait_for(state="detached")
        there = chosen(3)
        face = read_face(io.BytesIO(there))
        assert read_face(io.BytesIO(here)) == face
        assert difference(picture(here), picture(there)) <= 2
        assert difference(picture(there), HAIR.draw(face)) <= 1
        assert any(url.endswith("/v1/faces") for url in visit.requests)
        visit.page.locator("#bad").click()
        visit.page.locator("#notice", has_text="stored").wait_for()
        assert client.get("/v1/ratings").json["rated"] == 1
        visit.page.locator("#model").select_option("plain")
        visit.page.locator("#draw-hair").wait_for(state="detached")
        assert visit.page.locator("#desk-empty").is_visible()
        visit.page.locator("#model").select_option("with_hair")
        visit.page.locator("#find-open").click()
        visit.settle("#history-faces")
        visit.page.locator("#find-file").set_input_files({"name": "f.png", "mimeType": "image/png", "buffer": there})
        visit.page.locator("#notice", has_text="the picture").wait_for(timeout=60_000)
        visit.page.locator("#desk-words", has_text="made here").wait_for()
        found = visit.download(lambda: visit.page.locator(".download").first.click())
        assert read_face(io.BytesIO(found)).latent
        visit.check_clean()


def test_the_page_asks_a_strict_server_for_few_faces_at_a_time(tmp_path):
    with serving(Studio(MODELS, tmp_path, limits=Limits(faces=3))) as client, chromium() as browser:
        visit = Visit(browser.new_context(locale="en-US"), f"http://127.0.0.1:{client.port}/")
        visit.page.locator("#place").select_option("server")
        visit.page.locator("#dice").click()
        visit.settle("#gallery")
        assert visit.page.locator("#problem").is_hidden()
        visit.check_clean()


def test_a_link_with_a_token_is_said_to_have_it(tmp_path):
    with serving(Studio(MODELS, tmp_path), token="secret") as client, chromium() as browser:
        context = browser.new_context(locale="en-US", permissions=["clipboard-read", "clipboard-write"])
        visit = Visit(context, f"http://127.0.0.1:{client.port}/secret/")
        visit.settle("#gallery")
        visit.page.locator("#gallery .face").first.click()
        visit.page.locator("#link").click()
        visit.page.locator("#notice", has_text="It has this server's token").wait_for()
        assert "/secret/#face=" in visit.page.evaluate("navigator.clipboard.readText()")
        visit.check_clean()


def test_a_server_without_onnxruntime_draws_for_the_page(tmp_path):
    place = tmp_path / "plain.safetensors"
    HAIR.save(place)
    with serving(Studio(open_models([str(place)], onnx=False), tmp_path)) as client, chromium() as browser:
        visit = Visit(browser.new_context(locale="en-US"), f"http://127.0.0.1:{client.port}/")
        visit.settle("#gallery")
        assert visit.page.locator("#place-choice").is_hidden()
        visit.page.locator("#gallery .face").nth(2).click()
        saved = visit.download(lambda: visit.page.locator(".download").first.click())
        assert difference(picture(saved), HAIR.draw(read_face(io.BytesIO(saved)))) <= 1
        large = visit.download(lambda: visit.page.locator(".download[data-scale='2']").click())
        assert picture(large).shape == (64, 64, 3)
        visit.check_clean()


def test_a_picture_is_looked_for_where_it_is_dropped(client):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 60), "teal").save(buffer, "PNG")
    with chromium() as browser:
        visit = Visit(browser.new_context(locale="ja-JP"), f"http://127.0.0.1:{client.port}/")
        visit.page.locator("#tab-kept").click()

        def drop(selector):
            visit.page.locator(selector).evaluate(
                """(place, content) => {
                    const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
                    const dataTransfer = new DataTransfer();
                    for (const name of ["photo.png", "second.png"]) {
                        dataTransfer.items.add(new File([bytes], name, { type: "image/png" }));
                    }
                    place.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
                }""",
                base64.b64encode(buffer.getvalue()).decode(),
            )

        drop("#open-file")
        visit.page.locator("#problem", has_text="「写真に近い顔を探す」").wait_for()
        drop("#find-file")
        told = visit.page.locator(
            "#notice", has_text=re.compile("中央を使いました。 (近い|似ている|遠い): .*最初の画像")
        )
        told.wait_for(timeout=60_000)
        assert visit.page.locator("#problem").is_hidden()
        visit.page.locator("#desk-words", has_text="ここで作った顔").wait_for()
        visit.check_clean()


def test_what_is_read_on_a_curve_stays_when_the_run_goes_on(tmp_path):
    log = tmp_path / "run" / "log.jsonl"
    log.parent.mkdir()

    def add(*kimg):
        with log.open("a") as file:
            for at in kimg:
                scores = {"g_loss": 1.0, "real_score": 0.6, "fake_score": 0.4}
                line = {"images": 1000 * at, "kimg": at, "seconds": at, "d_loss": at / 10} | scores
                file.write(json.dumps(line) + "\n")

    add(1, 2, 3, 4)
    studio = Studio(MODELS, tmp_path, runs={"a": log.parent})
    with serving(studio) as client, chromium() as browser:
        page = browser.new_page(locale="en-US")
        page.goto(f"http://127.0.0.1:{client.port}/live/a")
        page.locator("figure svg.chart").first.focus()
        for _ in range(3):
            page.keyboard.press("ArrowLeft")
        read = page.locator("figure .legend b").first
        assert read.inner_text() == "0.2"
        add(5, 6)
        page.locator("#position", has_text="6 kimg").wait_for()
        assert read.inner_text() == "0.2"
        page.keyboard.press("ArrowLeft")
        assert read.inner_text() == "0.1"
        log.parent.rename(tmp_path / "moved")
        page.locator("#problem", has_text="There is no folder run").wait_for()
        assert page.locator("#state").inner_text() == "Unknown"
        assert page.locator("#empty").is_hidden()


def test_a_proxy_that_answers_for_the_server_is_told_by_its_status(client):
    with chromium() as browser:
        visit = Visit(browser.new_context(locale="en-US"), f"http://127.0.0.1:{client.port}/")
        visit.settle("#gallery")
        visit.page.locator("#gallery .face").first.click()
        visit.page.route("**/v1/**", lambda route: route.fulfill(status=502, body="<html>"))
        visit.page.locator("#good").click()
        visit.page.locator("#problem", has_text="does not answer (status 502)").wait_for()
        visit.page.locator("#place").select_option("server")
        visit.page.locator("#problem", has_text="could not be drawn (status 502)").wait_for()
