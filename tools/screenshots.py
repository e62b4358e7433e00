"""Take the pictures of the studio in README and docs: the packaged generator's page, and the page of a run.

python tools/screenshots.py            # needs Chromium and the extra dev; trains for some minutes on procedural faces
python tools/screenshots.py draw mix   # only these

Nothing is picked by hand: the page shows seed 0 and its usual ψ, and its first face is chosen.
"""

import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT / "tests"))

from browsing import chromium, serve_folder  # noqa: E402 - a module of the tests
from nijigan.export.description import name_of  # noqa: E402
from nijigan.export.site import write_site  # noqa: E402
from nijigan.generator.generator import Generator  # noqa: E402
from nijigan.importing.importer import import_faces  # noqa: E402
from nijigan.procedural.faces import write_faces  # noqa: E402

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
MOST_BYTES = 120_000
WAIT = 120_000  # milliseconds
KIMG, SHARE = 24, 0.75
"""Length of the run, and the share of it after which its page is photographed."""


def main() -> None:
    """Take the pictures that are named, or every one."""
    asked = sys.argv[1:] or ["draw", "mix", "phone", "run"]
    with TemporaryDirectory(prefix="nijigan-") as folder, chromium() as browser:
        site = Path(folder) / "site"
        write_site(Generator.load(), site, name_of(None))
        with serve_folder(site) as address:
            for name, size, scheme, act in (
                ("draw", DESKTOP, "light", _choose),
                ("mix", DESKTOP, "dark", _mix),
                ("phone", PHONE, "light", _choose),
            ):
                if name in asked:
                    with _page(browser, address, size, scheme) as page:
                        act(page)
                        _save(page, name)
        if "run" not in asked:
            return
        with _training(Path(folder)) as address, _page(browser, f"{address}live/first/", DESKTOP, "light") as page:
            page.wait_for_function(f"() => document.getElementById('bar').value >= {SHARE}", timeout=30 * WAIT)
            _save(page, "run", whole=True)


@contextmanager
def _page(browser: Any, address: str, size: dict[str, int], scheme: str) -> Iterator[Any]:
    context = browser.new_context(viewport=size, color_scheme=scheme, locale="en-US")
    page = context.new_page()
    page.goto(address)
    yield page
    context.close()


def _choose(page: Any) -> None:
    """Choose the first face, and wait until all of the page is drawn."""
    page.locator("#gallery .face").first.click(timeout=WAIT)
    _settle(page)


def _mix(page: Any) -> None:
    """Put the first four faces into the corners."""
    for index in range(4):
        page.locator("#gallery .face").nth(index).click(timeout=WAIT)
        page.locator("#to-corner").click()
    page.locator("#tab-mix").click()
    page.locator("#notice:empty").wait_for(state="attached", timeout=WAIT)
    _settle(page)


def _settle(page: Any) -> None:
    page.wait_for_function("() => !document.querySelector('.face.waiting')", timeout=WAIT)
    page.mouse.move(5, 5)
    page.wait_for_timeout(3000)  # the portrait is enlarged


def _save(page: Any, name: str, whole: bool = False) -> None:
    """Save what is in sight, or the whole page, as WebP, as good as the size allows."""
    with Image.open(io.BytesIO(page.screenshot(full_page=whole))) as image:
        for quality in range(90, 40, -5):
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "WEBP", quality=quality, method=6)
            if buffer.tell() <= MOST_BYTES:
                break
    path = IMAGES / f"studio-{name}.webp"
    path.write_bytes(buffer.getvalue())
    print(f"{path.relative_to(ROOT)}: {buffer.tell():,} bytes, quality {quality}")


@contextmanager
def _training(folder: Path) -> Iterator[str]:
    """Train on procedural faces, and serve the run; gives the address of the studio."""
    faces, run = folder / "faces", folder / "runs" / "first"
    write_faces(folder / "pictures", 2000, resolution=32)
    import_faces([folder / "pictures"], faces)
    words = ["train", "dcgan-tiny", "--data", str(faces), "--out", str(run), "--device", "cpu", "--kimg", str(KIMG)]
    nijigan = [sys.executable, "-m", "nijigan"]
    with subprocess.Popen([*nijigan, *words, "--tick-kimg", "1", "--snapshot-kimg", "3"]) as training:
        while not (run / "recipe.json").exists():
            assert training.poll() is None, "the training ended at once"
        command = [*nijigan, "studio", str(run), "--port", "0"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder) as server:
            try:
                yield next(line.strip() for line in server.stderr if line.startswith("http"))
            finally:
                server.terminate()
                training.terminate()


if __name__ == "__main__":
    main()
