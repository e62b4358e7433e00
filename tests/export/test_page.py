"""The page of an exported site, in a browser, as a visitor uses it."""

import io
import json
import re
from dataclasses import replace
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from browsing import Visit, difference, needs_chromium, picture, serve_folder
from nijigan.export.site import PAGE, write_site
from nijigan.generator.generator import Generator
from nijigan.generator.records import read_face
from small import ATTRIBUTES, small_generator

pytestmark = needs_chromium
DESK = ".desk"


@pytest.fixture(scope="module")
def generator():
    return small_generator(**ATTRIBUTES)


@pytest.fixture(scope="module")
def address(generator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("host") / "some where" / "faces"
    write_site(generator, folder, "small", half=False)
    with serve_folder(folder) as url:
        yield url


@pytest.fixture
def visit(browser, address):
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, locale="en-US", permissions=["clipboard-read"]
    )
    found = Visit(context, address)
    yield found
    found.check_clean()
    context.close()


def choose(visit, index=0):
    visit.settle("#gallery")
    visit.page.locator("#gallery .face").nth(index).click()
    visit.settle("#near")


def saved_face(visit, scale=1):
    return visit.download(lambda: visit.page.locator(f".download[data-scale='{scale}']").click())


def test_faces_are_those_of_python(visit, generator):
    visit.page.locator("#seed").fill("9007199254740993")  # more than a number of JavaScript holds
    visit.page.wait_for_timeout(400)
    choose(visit, 2)
    png = saved_face(visit)
    face = read_face(io.BytesIO(png))
    assert (face.seed, face.weights, face.psi) == (9007199254740995, generator.weights_hash, 0.7)
    assert difference(picture(png), generator.draw(face)) <= 1
    assert difference(visit.pixels("#gallery .face >> nth=2 >> canvas"), generator.draw(face)) <= 1
    large = saved_face(visit, 4)
    assert picture(large).shape == (128, 128, 3)
    assert read_face(io.BytesIO(large)) == face


def test_the_certificate_is_drawn_alike(visit, generator, address):
    described = visit.page.request.get(address + "models.json").json()["models"][0]
    for one in described["certificate"][::5]:
        png = visit.page.request.get(address + one["png"]).body()
        visit.page.locator("#tab-kept").click()
        visit.page.locator("#open-file").set_input_files({"name": "f.png", "mimeType": "image/png", "buffer": png})
        visit.settle("#near")
        assert difference(picture(saved_face(visit)), picture(png)) <= 2


def test_colours_change_and_the_character_stays(visit, generator):
    visit.page.locator("#lock").check()
    choose(visit)
    before = read_face(io.BytesIO(saved_face(visit)))
    visit.page.locator("#draw-hair").select_option("red")
    choose(visit)
    after = read_face(io.BytesIO(saved_face(visit)))
    assert (after.seed, after.attributes) == (before.seed, {"hair": "red"})
    visit.page.locator("#desk-values .face", has_text="blue").click()
    visit.settle("#near")
    changed = read_face(io.BytesIO(saved_face(visit)))
    assert (changed.seed, changed.attributes["hair"]) == (before.seed, "blue")
    assert changed.latent == ""
    visit.page.locator("#lock").uncheck()
    visit.page.locator("#draw-hair").select_option("black")
    assert visit.page.locator("#seed").input_value() != str(before.seed)


def test_psi_strip_neighbours_children_and_family(visit, generator):
    choose(visit)
    visit.settle("#strip")
    assert visit.page.locator("#strip .face[aria-pressed=true]").inner_text() == "0.7"
    visit.page.locator("#strip .face").first.click()
    visit.settle("#near")
    assert read_face(io.BytesIO(saved_face(visit))).psi == 0.3
    visit.page.locator("#near .face").nth(3).click()
    visit.settle("#near")
    near = read_face(io.BytesIO(saved_face(visit)))
    assert near.latent
    visit.page.locator("#make-children").click()
    visit.settle("#children")
    visit.page.locator("#children .face").nth(4).click()
    visit.settle("#near")
    png = saved_face(visit)
    child = read_face(io.BytesIO(png))
    assert set(child.attributes) == {"hair", "eyes"}
    assert difference(picture(png), generator.draw(child)) <= 1
    visit.settle("#family")
    titles = visit.page.locator("#family p").all_inner_texts()
    assert titles[:2] == ["Parents", "Generation 2"]
    visit.page.locator("#family .face").first.click()  # back to the parent
    visit.settle("#family")
    assert read_face(io.BytesIO(saved_face(visit))) == near
    assert "Children" in visit.page.locator("#family p").all_inner_texts()


def test_kept_faces_and_links_survive(visit, generator, address):
    choose(visit, 1)
    visit.page.keyboard.press("k")
    face = read_face(io.BytesIO(saved_face(visit)))
    visit.page.locator("#near .face").first.click()
    visit.settle("#near")
    visit.page.locator("#keep").click()
    visit.page.locator("#good").click()
    made = read_face(io.BytesIO(saved_face(visit)))
    visit.page.locator("#link").click()
    link = visit.page.url
    again = Visit(visit.context, link)
    again.settle("#near")
    png = again.download(lambda: again.page.locator(".download").first.click())
    assert read_face(io.BytesIO(png)) == made
    assert difference(picture(png), generator.draw(made)) <= 1
    again.page.reload()
    again.ready()
    assert again.page.locator("#kept-count").inner_text() == "2"
    assert again.page.locator("#good").get_attribute("aria-pressed") == "true"
    again.page.locator("#tab-kept").click()
    again.settle("#kept-faces")
    archive = ZipFile(io.BytesIO(again.download(lambda: again.page.locator("#kept-archive").click())))
    assert archive.testzip() is None
    found = [read_face(io.BytesIO(archive.read(name))) for name in archive.namelist()]
    assert found == [made, face]
    sheet = again.download(lambda: again.page.locator("#kept-sheet").click())
    assert picture(sheet).shape == (64 + 4, 2 * 66 + 2, 3)
    again.check_clean()


def test_a_dropped_picture_goes_on_and_others_are_refused(visit, generator, tmp_path):
    def drop(*pictures):
        transfer = visit.page.evaluate_handle(
            "pictures => { const moved = new DataTransfer();"
            " pictures.forEach((bytes, n) => moved.items.add(new File([new Uint8Array(bytes)], `${n}.png`)));"
            " return moved; }",
            [list(data) for data in pictures],
        )
        visit.page.locator("body").dispatch_event("drop", {"dataTransfer": transfer})

    from nijigan.generator.saving import generate

    generate(generator, tmp_path / "7.png", n=1, seed=7, psi=0.5, attributes={"hair": "red"})
    generate(small_generator(seed=1, **ATTRIBUTES), tmp_path / "other.png", n=1)
    drop((tmp_path / "7.png").read_bytes())
    visit.settle("#near")
    assert read_face(io.BytesIO(saved_face(visit))) == read_face(tmp_path / "7.png")
    drop((tmp_path / "other.png").read_bytes())
    visit.page.locator("#problem", has_text="another model").wait_for()
    Image.new("RGB", (4, 4)).save(tmp_path / "bare.png")
    drop((tmp_path / "bare.png").read_bytes())
    visit.page.locator("#problem", has_text="no record").wait_for()
    drop(b"\x89PNG\r\n\x1a\nbroken")
    visit.page.locator("#problem-close").click()
    assert visit.page.locator("#problem").is_hidden()

    several = [tmp_path / f"{seed}.png" for seed in (1, 2)]
    for file in several:
        generate(generator, file, n=1, seed=int(file.stem))
    drop(several[0].read_bytes(), (tmp_path / "bare.png").read_bytes(), several[1].read_bytes())
    visit.page.locator("#problem", has_text="1.png: This picture has no record").wait_for()
    visit.settle("#near")
    assert read_face(io.BytesIO(saved_face(visit))) == read_face(several[0])
    visit.page.locator("#problem-close").click()
    visit.page.locator("#tab-kept").click()
    seen = visit.page.locator("#history-faces .face").evaluate_all("cards => cards.map(card => String(card.face.seed))")
    assert seen[:3] == ["1", "2", "7"]


def test_pick_leads_to_a_character(visit):
    visit.page.locator("#tab-pick").click()
    visit.page.locator("#pick-next").click()
    visit.page.locator("#notice", has_text="at least one").wait_for()
    for round_ in range(2):
        visit.settle("#pick-faces")
        for index in (1, 4):
            visit.page.locator("#pick-faces .face").nth(index).click()
        if round_ == 0:
            visit.page.locator("#pick-next").click()
            visit.page.locator("#pick-steps [aria-current]", has_text="Closer").wait_for()
    visit.page.locator("#pick-back").click()
    visit.settle("#pick-faces")
    assert visit.page.locator("#pick-faces .face[aria-pressed=true]").count() == 2
    visit.page.locator("#pick-colours").click()
    visit.page.locator("#notice", has_text="a single face").wait_for()
    visit.page.locator("#pick-faces .face[aria-pressed=true]").first.click()  # no longer picked
    visit.page.locator("#pick-colours").click()
    for value in ("red", "green"):
        visit.page.locator("#pick-faces .face", has_text=value).click()
    visit.page.locator("#pick-faces .face", has_text="ψ 0.5").click()
    visit.settle("#near")
    face = read_face(io.BytesIO(saved_face(visit)))
    assert (face.psi, face.attributes) == (0.5, {"hair": "red", "eyes": "green"})


def test_pad_and_morph(visit, generator):
    visit.page.locator("#tab-mix").click()
    field = visit.page.locator("#pad-field")
    box = field.bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visit.page.mouse.down()
    seen = []
    for step in range(12):
        visit.page.mouse.move(box["x"] + box["width"] * (0.5 + step / 40), box["y"] + box["height"] / 2)
        visit.page.wait_for_timeout(30)
        seen.append(visit.pixels("#pad-face").tobytes())
    visit.page.mouse.up()
    assert len(set(seen)) >= 6
    field.press("ArrowDown")
    assert re.fullmatch(r"\d+ % to the right, 55 % down", field.get_attribute("aria-valuetext"))
    visit.page.locator("#pad-take").click()
    visit.settle("#near")
    png = saved_face(visit)
    assert difference(picture(png), generator.draw(read_face(io.BytesIO(png)))) <= 1
    visit.page.locator("#morph-frames").select_option("8")
    film = visit.download(lambda: visit.page.locator("#morph-webp").click())
    with Image.open(io.BytesIO(film)) as image:
        assert (image.format, image.n_frames, image.size, image.info["loop"]) == ("WEBP", 32, (256, 256), 0)
    frames = ZipFile(io.BytesIO(visit.download(lambda: visit.page.locator("#morph-png").click())))
    assert len(frames.namelist()) == 32
    first = frames.read("frame-0000.png")
    assert difference(picture(first), generator.draw(read_face(io.BytesIO(first)))) <= 1
    visit.page.locator("#morph-play").click()
    visit.page.locator("#morph-play", has_text="Stop").click()


def test_keyboard_moves_through_faces(visit):
    visit.settle("#gallery")
    visit.page.locator("#gallery .face").first.focus()
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("Enter")
    visit.settle("#near")
    assert read_face(io.BytesIO(saved_face(visit))).seed == 2
    visit.page.locator("#tab-draw").focus()
    visit.page.keyboard.press("ArrowRight")
    assert visit.page.locator("#pick").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_with_no_serious_fault_of_access(browser, address, scheme):
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme=scheme, locale="ja-JP", has_touch=True
    )
    visit = Visit(context, address)
    assert visit.page.locator("html").get_attribute("lang") == "ja"
    visit.settle("#gallery")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    for tab in ("draw", "pick", "mix", "kept"):
        visit.page.locator(f"#tab-{tab}").tap()
        visit.page.wait_for_timeout(300)
        violations = Axe().run(visit.page).response["violations"]
        assert [v["id"] for v in violations if v["impact"] in ("serious", "critical")] == []
    visit.page.locator("#tab-draw").tap()
    visit.page.locator("#gallery .face").first.tap()
    visit.settle("#near")
    visit.page.locator("#make-children").tap()
    visit.settle("#children")
    violations = Axe().run(visit.page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in violations if v["impact"] in ("serious", "critical")] == []
    visit.page.locator("#desk-close").tap()
    visit.page.locator(DESK).wait_for(state="hidden")
    visit.check_clean()
    context.close()


def test_the_page_says_what_is_wrong(browser, address, tmp_path):
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.route("**/models.json", lambda route: route.fulfill(status=404))
    page.goto(address)
    page.locator("#problem", has_text="no models.json").wait_for()
    page.unroute("**/models.json")
    page.route("**/generator-*.onnx", lambda route: route.fulfill(body=b"damaged"))
    page.goto(address)
    page.locator("#problem", has_text="could not be loaded (checksum)").wait_for()
    context.close()
    visit = Visit(browser.new_context(locale="en-US"), address + "#face=bm90IGEgZmFjZQ")
    visit.page.locator("#problem", has_text="does not describe a face").wait_for()
    visit.page.locator("#seed").fill("-1")
    visit.page.locator("#problem", has_text="whole number").wait_for()
    visit.context.close()


def test_every_text_has_a_translation(visit):
    missing = visit.page.evaluate("import('./js/strings.js').then(({ missing }) => missing)")
    assert missing == []
    page = (PAGE / "index.html").read_text()
    used = set(re.findall(r'data-t(?:-label|-title)?="([^"]+)"', page))
    source = "".join(path.read_text() for path in (PAGE / "js").glob("*.js"))
    used |= set(re.findall(r'\bt\("([^"]+)"', source))
    known = set(re.findall(r'"?([\w.-]+)"?: "', (PAGE / "js" / "strings.js").read_text()))
    assert used <= known


def unlikeness(one, other):
    """One minus the correlation of the lines of two pictures, whatever their colours."""
    lines = [np.hypot(*np.gradient(image.mean(axis=2))).ravel() for image in (one, other)]
    return 1 - np.corrcoef(lines)[0, 1]


def test_the_packaged_generator_keeps_a_character_when_its_hair_changes(browser, tmp_path):
    folder = tmp_path / "packaged"
    write_site(Generator.load(), folder, "packaged")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert size < 30e6
    model = json.loads((folder / "models.json").read_text())["models"][0]
    assert model["bytes"] < 8e6
    generator = Generator.load(folder / model["file"])
    with serve_folder(folder) as url:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
        visit = Visit(context, url)
        choose(visit)
        before = read_face(io.BytesIO(saved_face(visit)))
        other = "blonde" if "blonde" not in before.attributes.values() else "blue"
        visit.page.locator("#desk-values .face", has_text=other).first.click()
        visit.settle("#near")
        png = saved_face(visit)
        after = read_face(io.BytesIO(png))
        assert difference(picture(png), generator.draw(after)) <= 2
        randoms = [generator.face(seed, psi=0.7, hair=other) for seed in range(1, 9)]
        changed = unlikeness(generator.draw(after), generator.draw(before))
        assert changed < min(unlikeness(generator.draw(after), generator.draw(face)) for face in randoms)
        for seed in range(8):  # other characters, without the page
            character = generator.face(seed, psi=0.7)
            blue = generator.draw(replace(character, attributes=generator.attributes_of(character, hair="blue")))
            others = [generator.draw(generator.face(100 + number, psi=0.7, hair="blue")) for number in range(8)]
            assert unlikeness(blue, generator.draw(character)) < min(unlikeness(blue, other) for other in others)
        visit.check_clean()
        context.close()


def test_rows_of_faces_are_full_and_the_desk_stays_below_the_header(browser, address):
    for width in (390, 768, 1000, 1280, 1920):
        context = browser.new_context(viewport={"width": width, "height": 800}, locale="en-US")
        visit = Visit(context, address)
        visit.settle("#gallery")
        for tab, group in (("draw", "#gallery"), ("pick", "#pick-faces")):
            visit.page.locator(f"#tab-{tab}").click()
            visit.settle(group)
            tops = visit.page.locator(f"{group} .face").evaluate_all("cards => cards.map((card) => card.offsetTop)")
            assert len(tops) >= 12
            assert tops.count(tops[-1]) == tops.count(tops[0])
        visit.page.locator("#tab-draw").click()
        visit.page.locator("#more").click()
        visit.page.evaluate("scrollTo(0, 20)")
        header, desk = (visit.page.locator(name).bounding_box() for name in (".top", DESK))
        assert width < 960 or desk["y"] == pytest.approx(header["y"] + header["height"], abs=1)
        visit.check_clean()
        context.close()


def test_the_page_says_what_leaves_the_browser_and_forgets_problems_of_other_tabs(visit):
    assert visit.page.locator("#private").inner_text() == "Nothing leaves this browser."
    visit.page.locator("#tab-kept").click()
    visit.page.locator("#open-file").set_input_files({"name": "f.png", "mimeType": "image/png", "buffer": b"none"})
    visit.page.locator("#problem", has_text="no record").wait_for()
    visit.page.locator("#tab-draw").click()
    assert visit.page.locator("#problem").is_hidden()
    choose(visit)
    visit.page.locator("#tab-kept").click()
    visit.settle("#history-faces")
    assert visit.page.locator("#history-faces .face").count() == 1
