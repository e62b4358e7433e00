"""The page where things go wrong: models that do not load, lost connections, damaged storage, hostile links."""

import base64
import io
import json
import struct

import pytest

from browsing import Visit, difference, needs_chromium, picture, serve_folder
from nijigan.export.site import write_site
from nijigan.generator.records import read_face
from small import ATTRIBUTES, small_generator

pytestmark = needs_chromium
NAMED = {"attributes": {"constructor": ("blue", "red")}, "priors": ((0, 30), (1, 20))}


@pytest.fixture(scope="module")
def generators():
    return small_generator(1, **ATTRIBUTES), small_generator(2, **NAMED)


@pytest.fixture(scope="module")
def address(generators, tmp_path_factory):
    """A site of two models, `one_1` and `two`."""
    folder = tmp_path_factory.mktemp("site") / "faces"
    described = [write_site(one, folder.with_name(name), name, half=False) for one, name in
                 zip(generators, ("one_1", "two"), strict=True)]  # fmt: skip
    folder.with_name("one_1").rename(folder)
    folder.with_name("two").joinpath(described[1]["file"]).rename(folder / described[1]["file"])
    models = json.loads((folder / "models.json").read_text()) | {"models": described}
    (folder / "models.json").write_text(json.dumps(models))
    with serve_folder(folder) as url:
        yield url


@pytest.fixture
def context(browser):
    found = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    found.set_default_timeout(20_000)
    yield found
    found.close()


def test_a_model_that_does_not_load_leaves_the_one_before(context, address, generators):
    visit = Visit(context, address)
    page = visit.page
    visit.settle("#gallery")
    page.route("**/*.onnx", lambda route: route.abort())
    page.locator("#model").select_option("two")
    page.locator("#problem", has_text="could not be loaded").wait_for()
    assert page.locator("#model").input_value() == "one_1"
    assert page.locator("#model option").first.inner_text() == "one_1"  # as it is called
    page.locator("#problem-close").click()
    page.locator("#dice").click()
    visit.settle("#gallery")
    assert page.locator("#problem").is_hidden()
    page.unroute("**/*.onnx")
    page.locator("#gallery .face").first.click()
    visit.settle("#near")
    saved = visit.download(lambda: page.locator(".download").first.click())
    assert difference(picture(saved), generators[0].draw(read_face(io.BytesIO(saved)))) <= 1


def test_models_may_be_changed_while_faces_are_drawn(context, address, generators):
    visit = Visit(context, address)
    page = visit.page
    for name in ("two", "one_1", "two", "one_1", "two"):
        page.locator("#dice").click()
        page.locator("#model").select_option(name)
    page.locator("#draw-constructor").wait_for()
    page.locator("#loading").wait_for(state="hidden")
    assert page.locator("#model").input_value() == "two"
    visit.settle("#gallery")
    page.locator("#gallery .face").first.click()
    visit.settle("#near")
    saved = visit.download(lambda: page.locator(".download").first.click())
    face = read_face(io.BytesIO(saved))
    assert face.attributes == {}
    assert (
        difference(picture(saved), generators[1].draw(face)) <= 1
    )  # its attribute has the name of a member of objects
    assert page.locator("#problem").is_hidden()
    visit.check_clean()


def test_what_could_not_be_loaded_is_tried_again(context, address):
    visit = Visit(context, address)
    page = visit.page
    visit.settle("#gallery")
    context.set_offline(True)
    page.locator("#gallery .face").first.click()
    page.locator("#problem", has_text="could not be drawn").wait_for()
    context.set_offline(False)
    page.locator("#problem-close").click()
    assert picture(visit.download(lambda: page.locator(".download[data-scale='2']").click())).shape == (64, 64, 3)


@pytest.mark.parametrize("text", ["5", '"x"', '{"a": 5, "attributes": 3, "seed": {}}', '"constructor"'])
def test_damaged_storage_is_as_good_as_none(context, address, text):
    names = ("family", "opinions", "kept", "history", "settings.draw", "settings.language", "settings.theme")
    context.add_init_script(
        f"for (const name of {json.dumps(names)}) localStorage.setItem('nijigan.' + name, {json.dumps(text)});"
    )
    visit = Visit(context, address)
    visit.settle("#gallery")
    visit.page.locator("#gallery .face").first.click()
    visit.settle("#near")
    visit.page.locator("#near .face").first.click()
    visit.page.locator("#family .face").first.wait_for()
    visit.page.locator("#good").click()
    assert visit.page.locator("#good").get_attribute("aria-pressed") == "true"
    visit.check_clean()


def test_a_face_that_is_not_stored_is_told(context, address):
    visit = Visit(context, address)
    visit.page.evaluate(
        "() => { Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); }; }"
    )
    visit.settle("#gallery")
    visit.page.locator("#gallery .face").first.click()
    visit.page.locator("#keep").click()
    visit.page.locator("#problem", has_text="does not store the face").wait_for()
    assert visit.page.locator("#keep").get_attribute("aria-pressed") == "true"
    visit.page.locator("#good").click()
    visit.page.locator("#problem", has_text="rating is not stored").wait_for()
    assert visit.page.locator("#notice").inner_text() == ""
    visit.check_clean()


def test_no_kept_face_goes_unasked(context, address, generators):
    faces = [generators[0].face(seed).to_json() for seed in range(1000)]
    context.add_init_script(f"localStorage.setItem('nijigan.kept', {json.dumps(json.dumps(faces))});")
    visit = Visit(context, address)
    visit.settle("#gallery")
    visit.page.locator("#seed").fill("5000")
    visit.settle("#gallery")
    visit.page.locator("#gallery .face[title*='5000']").click()
    visit.page.locator("#keep").click()
    visit.page.locator("#problem", has_text="1000 faces are kept, the most that fit").wait_for()
    assert visit.page.locator("#keep").get_attribute("aria-pressed") == "false"
    assert json.loads(visit.page.evaluate("localStorage['nijigan.kept']")) == faces
    visit.check_clean()


def test_back_closes_the_desk_of_a_phone(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="en-US")
    visit = Visit(context, address)
    page, desk = visit.page, visit.page.locator("#desk")
    visit.settle("#gallery")
    for index in (0, 1):
        page.locator("#gallery .face").nth(index).press("Enter")
        desk.and_(page.locator(":visible")).wait_for()
        page.locator("#portrait:focus").wait_for()
        assert page.evaluate("document.querySelector('main').inert")
        page.locator("#strip .face").first.click()  # another face on the open desk: Back does not go from face to face
        chosen = page.url
        page.go_back() if index else page.locator("#desk-close").click()
        desk.wait_for(state="hidden")
        page.locator("#gallery").wait_for()
        assert page.url == chosen
    page.evaluate("text => { location.hash = `#face=${text}`; }", chosen.partition("#face=")[2])  # the same: nothing
    page.go_forward()
    desk.wait_for(state="visible")
    page.reload()
    visit.ready()
    page.locator("#desk-words", has_text="seed 1").wait_for()
    page.go_back()
    desk.wait_for(state="hidden")
    visit.check_clean()
    context.close()


def test_back_goes_from_link_to_link(context, address, generators):
    links = [f"{address}#face={link(generators[0].face(seed).to_json())}" for seed in (11, 12)]
    visit = Visit(context, links[0])
    words = visit.page.locator("#desk-words")
    words.filter(has_text="seed 11").wait_for()
    visit.page.goto(links[1])
    words.filter(has_text="seed 12").wait_for()
    visit.page.go_back()
    words.filter(has_text="seed 11").wait_for()
    assert visit.page.url == links[0]
    visit.page.go_forward()
    words.filter(has_text="seed 12").wait_for()
    assert visit.page.url == links[1]
    visit.check_clean()


def test_a_slider_moved_away_and_back_is_the_same_face(context, address):
    visit = Visit(context, address)
    page = visit.page
    visit.settle("#gallery")
    page.locator("#gallery .face").first.click()
    visit.settle("#near")
    page.locator("#near .face").first.click()
    page.locator("#family .face").first.wait_for()
    before, family = page.url, page.locator("#family .face").count()
    slider = page.locator("#directions input").first
    slider.fill("1")
    assert page.url != before
    slider.fill("0")
    assert page.url == before
    assert page.locator("#family p").first.inner_text() == "Parents"
    assert page.locator("#family .face").count() == family + 1  # and the face between, its child
    visit.check_clean()


def test_kept_faces_of_other_models_are_told_apart(context, address, generators):
    visit = Visit(context, address)
    page = visit.page
    visit.settle("#gallery")
    page.locator("#gallery .face").first.click()
    page.locator("#keep").click()
    page.locator("#model").select_option("two")
    page.locator("#draw-constructor").wait_for()
    assert "#face" not in page.url
    assert page.locator("#kept-count").is_hidden()
    page.locator("#tab-kept").click()
    assert "of other models: 1." in page.locator("#kept-others").inner_text()
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.locator("#kept-others-remove").click()
    assert page.locator("#kept-others").is_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#kept-others-remove").click()
    page.locator("#kept-others").wait_for(state="hidden")
    page.locator("#tab-draw").click()
    visit.settle("#gallery")
    assert page.locator("#gallery .face").count() == 24  # as many as fit, although the model changed elsewhere
    visit.check_clean()


def test_the_seed_of_a_japanese_keyboard_is_a_seed(context, address):
    visit = Visit(context, address)
    visit.page.locator("#seed").fill("１２")
    visit.page.locator("#gallery .face").first.and_(visit.page.locator("[title*='seed 12']")).wait_for()
    assert visit.page.locator("#seed").input_value() == "12"
    assert visit.page.locator("#problem").is_hidden()
    visit.check_clean()


def test_a_gallery_survives_a_wrong_seed_and_a_language(context, address):
    visit = Visit(context, address)
    page = visit.page
    visit.settle("#gallery")
    page.locator("#lock").check()
    page.locator("#more").click()
    assert page.locator("#gallery .face").count() == 48
    page.locator("#seed").fill("abc")
    page.locator("#problem").wait_for()
    page.locator("#problem-close").click()
    page.locator("#more").click()
    page.locator("#problem", has_text="A seed is a whole number").wait_for()
    page.locator("#seed").fill("0")
    page.locator("#problem").wait_for(state="hidden")
    page.locator("#language").select_option("ja")
    visit.settle("#gallery")
    assert page.locator("#gallery .face").count() == 48
    page.locator("#language").select_option("en")
    page.reload()
    visit.ready()
    assert page.locator("#lock").is_checked()
    visit.check_clean()


def test_families_and_opinions_leave_room_for_kept_faces(context, address):
    visit = Visit(context, address)
    longest = visit.page.evaluate(
        """async () => {
          const { family, opinions } = await import("./js/store.js");
          const latent = btoa("\\0".repeat(4096));
          for (let seed = 0n; seed < 120n; seed++) {
            const face = { weights: "0".repeat(64), seed, psi: 1, attributes: {}, latent };
            family.set(face, [face]);
            opinions.set(face, true);
          }
          const face = { weights: "0".repeat(64), seed: 119n, psi: 1, attributes: {}, latent };
          const { length } = family.read().parents(face);
          if (opinions.get(face) !== true || length !== 1) throw new Error("the newest is lost");
          return Math.max(localStorage["nijigan.family"].length, localStorage["nijigan.opinions"].length);
        }"""
    )
    assert 3e5 < longest < 1.1e6


def link(record: str) -> str:
    return base64.urlsafe_b64encode(record.encode()).decode().rstrip("=")


HOSTILE = (
    {"attributes": {"__proto__": "x"}}, {"attributes": {"hair": "<img src=x onerror=alert(1)>"}}, {"psi": 1e999},
    {"seed": 2**63}, {"seed": -1}, {"latent": "AAAA"}, {"latent": "é"}, {"latent": "AADAfw=="}, {"attributes": None},
    {"attributes": [["hair", "blue"]]}, {"weights": ["0" * 64]}, {"weights": "0" * 64},
)  # fmt: skip


def test_a_hostile_link_is_refused_in_a_sentence(context, address, generators):
    record = {"weights": generators[0].weights_hash, "seed": 1, "psi": 1.0, "attributes": {}}
    links = [link(json.dumps(record | changes)) for changes in HOSTILE] + ["a", "_", "A" * 1_000_000]
    visit = Visit(context, f"{address}#face={links[0]}")
    for text in links[1:]:
        assert visit.page.locator("#problem-text").inner_text().endswith((".", "here."))
        assert visit.page.locator("#desk-empty").is_visible()
        visit.page.locator("#problem-close").click()
        visit.page.evaluate("text => { location.hash = `#face=${text}`; }", text)
        visit.page.locator("#problem").wait_for()
    visit.check_clean()


def test_the_last_seed_is_drawn_from_a_link(context, address, generators):
    face = generators[0].face(2**63 - 1, psi=0.0, eyes="red")
    visit = Visit(context, f"{address}#face={link(face.to_json())}")
    visit.settle("#near")
    saved = visit.download(lambda: visit.page.locator(".download").first.click())
    assert read_face(io.BytesIO(saved)) == face
    assert difference(picture(saved), generators[0].draw(face)) <= 1
    visit.check_clean()


CHUNKS = (
    struct.pack(">I", 2**32 - 1) + b"tEXtnijigan\0{}",  # beyond the end
    struct.pack(">I", 3) + b"tEXtabc\0\0\0\0",  # no text
    struct.pack(">I", 8 + 5_000_000) + b"tEXtnijigan\0" + b"[" * 5_000_000 + b"\0\0\0\0",  # megabytes
    b"\0\0",  # cut off
)


def test_a_sheet_is_said_to_show_many_faces(context, address):
    visit = Visit(context, address)
    visit.settle("#gallery")
    sheet = visit.download(lambda: visit.page.locator("#sheet").click())
    visit.page.locator("#tab-kept").click()
    visit.page.locator("#open-file").set_input_files({"name": "f.png", "mimeType": "image/png", "buffer": sheet})
    visit.page.locator("#problem", has_text="shows many faces").wait_for()
    visit.check_clean()


def test_a_hostile_picture_is_refused_in_a_sentence(context, address):
    visit = Visit(context, address)
    visit.page.locator("#tab-kept").click()
    for chunk in CHUNKS:
        png = b"\x89PNG\r\n\x1a\n" + chunk
        visit.page.locator("#open-file").set_input_files({"name": "f.png", "mimeType": "image/png", "buffer": png})
        visit.page.locator("#problem", has_text="no record of a face").wait_for()
        visit.page.locator("#problem-close").click()
    visit.check_clean()
