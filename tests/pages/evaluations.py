"""Invented metrics, and a parser for the pages made from them."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from nijigan.judges.results import ClassScores, ConditionalAccuracy, Metrics, Protocol
from nijigan.metrics.score import Score
from nijigan.pages.meanings import MEANINGS

VOID = {"meta", "img", "br", "wbr"}


def metrics(kid: float = 0.04, half: float = 0.002, model: str = "runs/dcgan", **protocol) -> Metrics:
    fields = {
        "dataset": "faces", "fingerprint": "ab", "split": "test", "resolution": 16, "features": "lite0@128",
        "features_hash": "cd", "n_fake": 5000, "n_real": 1500, "quality_hash": "ef", "neighbours": 5, "seed": 7,
        "psi": 1.0, "version": "0.1",
    }  # fmt: skip
    scores = {name: Score(0.5, 0.4, 0.6, 0.7) for name in MEANINGS}
    good = 1.02 - 10 * kid
    scores |= {
        "kid": Score(kid, kid - half, kid + half, 0.001),
        "yield": Score(good, good - 10 * half, good + 10 * half, 0.93),
        "diversity": Score(0.9),
    }
    return Metrics(model, "ef", 500.0, Protocol(**(fields | protocol)), scores)


def conditional_metrics(*values: str, kid: float = 0.04, model: str = "runs/cgan", **protocol) -> Metrics:
    """Of a generator that is right in 15 of 20 cases for the first value, and always one value off for the others."""
    found = metrics(kid, model=model, **({"reader": "people", "reader_hash": "12", "n_asked": 20} | protocol))
    classes = {values[0]: ClassScores(Score(0.75, 0.5, 0.9, 0.85), Score(0.03, 0.01, 0.05), 81)}
    classes |= {value: ClassScores(Score(0.0, 0.0, 0.1), None, 0) for value in values[1:]}
    confusion = [(15, *(0 for _ in values[1:]), 5)]
    confusion += [tuple(20 * (k == row) for k in range(len(values) + 1)) for row in range(len(values) - 1)]
    scores = {**found.scores, "accuracy-hair": Score(0.375, 0.3, 0.45, 0.8)}
    return replace(
        found,
        scores=scores,
        conditional_accuracy={"hair": ConditionalAccuracy(classes, (*values, "plaid"), tuple(confusion))},
    )


def pictures(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 16, 16, 3), np.uint8)


def images_in(html: str) -> list[np.ndarray]:
    sources = re.findall(r'<img src="data:image/webp;base64,([^"]+)"', html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(source)))) for source in sources]


class Page(HTMLParser):
    """Parses a page; fails on tags that do not nest, and keeps the text and every address that would be fetched."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.inline: list[str] = []
        self.words: list[str] = []
        self.policy = ""
        self.feed(html)
        self.close()
        assert not self.open

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        values = dict(attributes)
        assert len(values) == len(attributes)
        self.fetched += [values[name] for name in ("src", "href", "srcset", "data") if name in values]
        self.inline += [name for name in values if name == "style" or name.startswith("on")]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)


def check_page(html: str) -> Page:
    """Check what every page must fulfil: it nests, fetches nothing, runs nothing, and has a strict policy."""
    page = Page(html)
    assert not re.search(r"https?://|url\(|@import", html)
    assert all(source.startswith("data:image/webp;base64,") for source in page.fetched)
    assert not page.inline
    assert not page.tags & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert page.policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in page.policy
    return page


def hostile(text: str) -> Metrics:
    """Metrics in which every string of a file, and every name that it may choose, is this text."""
    found = conditional_metrics(text, text + "2", model=text)
    strings = {name: text for name, value in vars(found.protocol).items() if isinstance(value, str)}
    return replace(
        found,
        weights=text,
        protocol=replace(found.protocol, **strings),
        scores={
            ("accuracy-" + text if name == "accuracy-hair" else name): score for name, score in found.scores.items()
        },
        conditional_accuracy={text: replace(found.conditional_accuracy["hair"], read=(text, text + "2", text + "3"))},
    )
