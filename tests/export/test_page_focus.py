"""The page by keyboard, on turned tablets and narrow phones: the focus is never lost, and nothing is out of reach."""

import pytest

from browsing import Visit, needs_chromium, serve_folder
from nijigan.export.site import write_site
from small import ATTRIBUTES, small_generator

pytestmark = needs_chromium
PHONE, TURNED = {"width": 800, "height": 1100}, {"width": 1100, "height": 800}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site."""
    found = tmp_path_factory.mktemp("site") / "faces"
    write_site(small_generator(**ATTRIBUTES), found, "small", half=False)
    return found


@pytest.fixture(scope="module")
def address(folder):
    with serve_folder(folder) as url:
        yield url


@pytest.fixture
def visit(browser, address):
    yield from opened(browser, address, TURNED)


@pytest.fixture
def phone(browser, address):
    yield from opened(browser, address, PHONE)


def opened(browser, address, viewport):
    """A visit with the gallery drawn; afterwards, nothing may have gone wrong."""
    context = browser.new_context(viewport=viewport, locale="en-US")
    found = Visit(context, address)
    found.settle("#gallery")
    yield found
    found.check_clean()
    context.close()


def focused(visit):
    """What has the focus: the id of the next element around it that has one, and its place among its siblings."""
    return visit.page.evaluate(
        "() => { const one = document.activeElement;"
        "return [one.closest('[id]').id, [...one.parentElement.children].indexOf(one)]; }"
    )


def press(visit, selector, key="Enter", index=0):
    visit.page.locator(selector).nth(index).focus()
    visit.page.keyboard.press(key)


def test_a_slider_is_moved_by_many_steps_of_the_keyboard(visit):
    press(visit, "#gallery .face")
    visit.settle("#near")
    press(visit, "#directions input", "ArrowRight", 1)
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("ArrowRight")
    assert visit.page.locator("#directions input").nth(1).input_value() == "0.3"
    visit.page.locator("#directions-reset").click()
    assert visit.page.locator("#directions input").nth(1).input_value() == "0"


def test_a_card_that_is_replaced_keeps_the_focus(visit):
    press(visit, "#gallery .face")
    visit.settle("#near")
    assert focused(visit) == ["gallery", 0]
    for group in ("#strip", "#near", "#desk-values section:first-child .strip"):
        press(visit, f"{group} .face", index=2)
        visit.settle("#near")
        place = "desk-values" if group.startswith("#desk") else group[1:]
        assert focused(visit) == [place, 2]
        assert visit.page.locator(f"{group} .face[tabindex='0']").count() == 1


def test_a_step_of_pick_begins_at_its_title(browser, address):
    context = browser.new_context(viewport={"width": 360, "height": 600}, locale="en-US")
    visit = Visit(context, address)
    visit.page.locator("#tab-pick").click()
    visit.settle("#pick-faces")
    visit.page.locator("#pick-faces .face").first.click()
    for button in ("#pick-next", "#pick-back", "#pick-colours"):
        visit.page.locator(button).click()
        visit.settle("#pick-faces")
        assert focused(visit)[0] == "pick-title"
        top, head = (visit.page.locator(one).bounding_box() for one in ("#pick-title", ".top"))
        assert head["height"] <= top["y"] <= 400
    visit.check_clean()
    context.close()


def test_a_turned_tablet_is_not_locked(phone):
    phone.page.locator("#gallery .face").nth(1).click()
    assert phone.page.locator("main").evaluate("main => main.inert")
    phone.page.set_viewport_size(TURNED)
    phone.page.locator("#tab-mix").click()
    assert phone.page.locator("#mix").is_visible()
    phone.page.locator("#tab-draw").click()
    phone.page.set_viewport_size(PHONE)
    phone.page.locator("#desk-close").click()
    phone.page.locator("body:not(.desk-open)").wait_for()
    assert not phone.page.locator("main").evaluate("main => main.inert")


def test_the_desk_of_a_phone_gives_the_focus_back(phone):
    press(phone, "#gallery .face", index=3)
    assert focused(phone)[0] == "portrait"
    phone.page.keyboard.press("Escape")
    phone.page.locator("body:not(.desk-open)").wait_for()
    assert focused(phone) == ["gallery", 3]


def test_nothing_is_wider_than_a_narrow_phone(browser, address):
    context = browser.new_context(viewport={"width": 320, "height": 568}, locale="ja-JP", is_mobile=True)
    visit = Visit(context, address)
    for tab in ("draw", "pick", "mix", "kept"):
        visit.page.locator(f"#tab-{tab}").click()
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 320, tab
    context.close()


@pytest.mark.parametrize(("locale", "words"), [("en-US", "needs a web server"), ("ja-JP", "ウェブサーバーが必要")])
def test_a_page_that_is_opened_as_a_file_says_what_it_needs(browser, folder, locale, words):
    context = browser.new_context(locale=locale)
    page = context.new_page()
    page.goto((folder / "index.html").as_uri())
    page.locator("#loading-text", has_text=words).wait_for()
    assert page.locator("#loading-bar").is_hidden()
    context.close()
