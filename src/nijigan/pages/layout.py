"""What all pages share: the templates, the style, and pictures that are embedded in the file.

A page fetches nothing and runs no script. Jinja2 escapes every string that a template prints, after `showable` has
replaced what disturbs a page. Only `Markup`, which charts, pictures and the style sheet are, enters a page as HTML.
"""

import base64
import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from nijigan.aliases import Images
from nijigan.errors import UserError
from nijigan.files import write_text
from nijigan.judges.results import Protocol
from nijigan.pages.charts import interval_bar
from nijigan.pages.text import showable

_HERE = Path(__file__).parent
_MARKS = (
    b'<meta name="generator" content="nijigan">',
    b"""content="default-src 'none'; style-src 'sha256-""",  # version 0.1
)
"""The start of a page has one of these."""
_LONGEST_NAME = 255  # bytes, on all common file systems


def _finalize(value: object) -> object:
    """What a template prints in place of a value: `Markup` and numbers unchanged, other text made showable."""
    return showable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    finalize=_finalize,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.globals["interval_bar"] = interval_bar
_ENVIRONMENT.filters["thousands"] = "{:,}".format
_ENVIRONMENT.filters["code"] = lambda text: _code(text)


@dataclass(frozen=True)
class Picture:
    """A picture as an `<img>` shows it."""

    source: Markup
    """A data URI that holds the whole picture."""
    width: int
    """Displayed width, in CSS pixels."""
    height: int
    """Displayed height, in CSS pixels."""
    name: str
    """Its tooltip, and its text for screen readers."""


def write_page(path: Path, template: str, **content: object) -> None:
    """Render a template to an HTML page that works offline, in light and dark mode, in print and on a phone.

    The page's content security policy admits the embedded style sheet and embedded pictures, and nothing else.

    Args:
        path: the file, written whole or not at all.
        template: a file in `templates/` that extends `base.html`.
        **content: the template's variables. A missing one is an error.
    """
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = _ENVIRONMENT.get_template(template).render(style=Markup(style), style_hash=style_hash, **content)
    write_text(path, page)


def check_page_place(path: Path, overwrite: bool = False) -> None:
    """Refuse, with a `UserError`, a path that is not for a page, or a file there that is not a page of nijigan.

    Args:
        path: where a page is to be written.
        overwrite: allow any file to be replaced.
    """
    if "\0" in str(path) or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        raise UserError("The name of --out is too long or has a character that no file may have; choose another --out.")
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{path} is not a name for a page; choose an --out that ends in .html, such as compare.html.")
    if path.is_dir():
        raise UserError(f"{path} is a folder; choose another --out for the page.")
    check_folder(path.parent)
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not an ordinary file; choose another --out for the page.")
    if path.exists() and not overwrite:
        with path.open("rb") as file:
            start = file.read(1000)
        if not any(mark in start for mark in _MARKS):
            raise UserError(
                f"{path} exists and is not a page that nijigan wrote; choose another --out, or replace it with "
                "--overwrite."
            )


def check_folder(folder: Path) -> None:
    """Refuse, with a `UserError`, a folder that is not writable or that cannot be created."""
    place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not place.is_dir():
        raise UserError(f"{place} is a file, not a folder; choose another --out.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"{place} is not writable; choose another --out.")


def pictures(images: Images, names: Iterable[str]) -> list[Picture]:
    """N×H×W×3 images as lossless pictures at twice their size, with their names."""
    return [_picture(image, name) for image, name in zip(images, names, strict=True)]


def seeded(images: Images, first: int = 0) -> list[Picture]:
    """Pictures of generated faces with consecutive seeds, named by their seeds.

    Args:
        images: uint8 RGB, N×H×W×3.
        first: the seed of the first face.
    """
    return pictures(images, [f"seed {first + index}" for index in range(len(images))])


def protocol_terms(protocol: Protocol) -> dict[str, str]:
    """Every entry of a protocol that has a value, under its name in `metrics.json`."""
    return {name: _plain(value) for name, value in asdict(protocol).items() if value is not None}


def join(names: Sequence[str]) -> str:
    """Names in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _code(text: str) -> Markup:
    """Text of our own in which words between backticks, such as `walia`, are shown as code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def _picture(image: Images, name: str) -> Picture:
    height, width, _ = image.shape
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=True)
    source = Markup(f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}")
    return Picture(source, 2 * width, 2 * height, name)


def _plain(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)
