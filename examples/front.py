"""Serve page.html, and pass its requests for faces on to a running `nijigan studio`; needs Python alone.

The browser sees one site, and the token stays here: NIJIGAN_TOKEN=... python examples/front.py

python examples/front.py    # then open http://127.0.0.1:8000/
"""

import argparse
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

PAGE = Path(__file__).with_name("page.html")


class Front(BaseHTTPRequestHandler):
    """The page at /, faces below /v1/faces/, and nothing else."""

    studio = "http://127.0.0.1:7860"

    def do_GET(self) -> None:
        """Answer one request."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in ("127.0.0.1", "localhost"):  # a page of another site may have sent its visitor here
            self._answer(421, "text/plain", b"Open the address that front.py printed.")
        elif self.path == "/":
            self._answer(200, "text/html; charset=utf-8", PAGE.read_bytes())
        elif self.path.startswith("/v1/faces/"):
            self._pass_on()
        else:
            self._answer(404, "text/plain", b"There is nothing here.")

    do_HEAD = do_GET  # noqa: N815 - the server calls it so

    def _pass_on(self) -> None:
        token = os.environ.get("NIJIGAN_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with urlopen(Request(self.studio + self.path, headers=headers), timeout=60) as answer:
                self._answer(200, "image/png", answer.read())
        except HTTPError as error:
            self._answer(error.code, error.headers["Content-Type"], error.read())
        except URLError:
            self._answer(502, "text/plain", b"nijigan studio does not answer.")

    def _answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studio", default=Front.studio, help="the address of nijigan studio, without its token")
    parser.add_argument("--port", type=int, default=8000, help="the port of this page")
    asked = parser.parse_args()
    Front.studio = asked.studio.rstrip("/")
    with ThreadingHTTPServer(("127.0.0.1", asked.port), Front) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
