"""What the tests of pages share: a static server below a path, Debian's or any other Chromium, and a watched page."""

import functools
import io
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(
    not CHROMIUM and not os.environ.get("CI"), reason="there is no Chromium on this machine; install one to run this"
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """Serve the folder that `folder` lies in, and give the address of `folder`: a path below the root."""
    handler = functools.partial(_Quiet, directory=str(folder.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{folder.name}/"
        finally:
            server.shutdown()


@contextmanager
def chromium():
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "The checks of pages need Chromium: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page that is watched: every message of its console, and every request."""

    def __init__(self, context, address: str) -> None:
        self.context, self.address = context, address
        self.page = context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self._hear(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        self.ready()

    def _hear(self, message: str) -> None:
        if "willReadFrequently" not in message:  # advice on `pixels` below
            self.messages.append(message)

    def ready(self) -> None:
        self.page.locator("body[data-ready]").wait_for(timeout=60_000)

    def settle(self, group: str) -> None:
        """Wait until every face of a group is drawn."""
        self.page.locator(f"{group} .face").first.wait_for(timeout=60_000)
        for card in self.page.locator(f"{group} .face").all():
            card.and_(self.page.locator(".face:not(.waiting)")).wait_for(timeout=60_000)

    def pixels(self, selector: str) -> np.ndarray:
        """The pixels of a canvas, uint8 H×W×3."""
        data = self.page.locator(selector).first.evaluate(
            "canvas => [canvas.width, canvas.height, Array.from(canvas.getContext('2d')"
            ".getImageData(0, 0, canvas.width, canvas.height).data)]"
        )
        return np.array(data[2], np.uint8).reshape(data[1], data[0], 4)[..., :3]

    def download(self, act) -> bytes:
        """What the browser saves when `act` is done."""
        with self.page.expect_download(timeout=60_000) as saved:
            act()
        return Path(saved.value.path()).read_bytes()

    def check_clean(self) -> None:
        """Nothing was complained about, and nothing came from elsewhere."""
        assert self.messages == [], self.messages
        origin = self.address.split("/", 3)[2]
        local = ("blob:", "data:")
        assert [url for url in self.requests if not url.startswith(local) and url.split("/", 3)[2] != origin] == []


def picture(data: bytes) -> np.ndarray:
    """A picture's pixels, uint8 H×W×3."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def difference(one: np.ndarray, other: np.ndarray) -> int:
    """The greatest difference of a pixel, in 1/255."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())
