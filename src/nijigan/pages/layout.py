"""Pages that explain scores: one HTML file each, with style and pictures inside and nothing fetched from anywhere.

Every string that comes from outside goes through `escape` before it enters HTML.
"""

import base64
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

from PIL import Image

from nijigan.aliases import Images
from nijigan.files import write_text
from nijigan.judges.results import Protocol

_CSS = Path(__file__).with_name("page.css")


def write_page(path: Path, title: str, body: str) -> None:
    """Write an HTML page that works offline, in light and dark, on paper and on a phone.

    Its content security policy lets a browser use this very style and pictures inside the file, and nothing else.

    Args:
        path: the file, written whole or not at all.
        title: plain text.
        body: HTML.
    """
    style = _CSS.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    head = (
        '<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>"
    )
    write_text(path, f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n')


def section(title: str, note: str, content: str) -> str:
    """A part of a page: its title and note are plain text, its content is HTML."""
    return f'<section>\n<h2>{escape(title)}</h2>\n<p class="soft">{escape(note)}</p>\n{content}\n</section>'


def faces(images: Images, names: Iterable[str]) -> str:
    """A grid of N×H×W×3 faces at full quality; each one's name is its tooltip and its text for screen readers."""
    return f'<div class="faces">{"".join(map(_face, images, names))}</div>'


def breakable(name: str) -> str:
    """A name as HTML that may be broken after its commas, as the long names of a sweep must be on a narrow screen."""
    return escape(name).replace(",", ",<wbr>")


def seeds(first: int, images: Images) -> list[str]:
    """Names of faces that were drawn with consecutive seeds."""
    return [f"seed {first + index}" for index in range(len(images))]


def definitions(terms: Mapping[str, object]) -> str:
    """A list of terms and what they are."""
    rows = (f"<dt>{escape(term)}</dt><dd>{escape(_plain(what))}</dd>" for term, what in terms.items())
    return f"<dl>{''.join(rows)}</dl>"


def protocol_details(protocol: Protocol, more: Mapping[str, object] | None = None) -> str:
    """The whole protocol, folded away, under the names of `metrics.json`; `more` comes first."""
    taken = {name: value for name, value in asdict(protocol).items() if value is not None}
    return details("Protocol: how these numbers were taken", definitions({**(more or {}), **taken}))


def details(summary: str, content: str) -> str:
    """HTML folded away under a line of plain text."""
    return f"<details>\n<summary>{escape(summary)}</summary>\n{content}\n</details>"


def join(names: Sequence[str]) -> str:
    """Names in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _face(image: Images, name: str) -> str:
    height, width, _ = image.shape
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=True)
    source = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    name = escape(name)
    return f'<img src="{source}" width="{2 * width}" height="{2 * height}" alt="{name}" title="{name}">'


def _plain(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)
