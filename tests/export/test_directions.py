"""Directions in latent space against a generator whose axes are known."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

import nijigan
from nijigan.errors import UserError
from nijigan.export.directions import directions_json, find_directions, read_directions
from nijigan.export.measures import measure, reduce
from nijigan.generator.attributes import choose
from nijigan.generator.header import GeneratorHeader
from nijigan.recipe.parts import LatentConfig
from small import ATTRIBUTES, small_generator, small_header


class Linear:
    """Axis 3 of the latent changes brightness, axis 7 moves light to the right; the attribute changes brightness too.

    All other axes add stripes that no measure has a word for.
    """

    def __init__(self, header: GeneratorHeader) -> None:
        self.header = header

    def codes(self, seeds: Sequence[int], /) -> np.ndarray:
        return choose(self.header.attributes, self.header.priors, seeds, {})

    def synthesise(self, z: np.ndarray, codes: np.ndarray | None = None, /) -> np.ndarray:
        slope = np.linspace(-1, 1, 32)
        grey = 128 + 22 * z[:, 3, None] + 14 * z[:, 7, None] * slope
        grey = grey + 3 * z[:, 1, None] * np.cos(8 * np.pi * slope)
        if codes is not None and codes.shape[1]:
            grey = grey + 40.0 * codes[:, :1]
        picture = np.repeat(grey[:, None, :, None], 32, axis=1).repeat(3, axis=3)
        return picture.round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("prior", ["normal", "truncated-normal"])
@pytest.mark.parametrize("attributes", [{}, ATTRIBUTES], ids=["none", "attributes"])
def test_known_axes_are_found_and_named(prior: str, attributes: dict) -> None:
    found = find_directions(Linear(small_header(latent=LatentConfig(size=10, prior=prior), **attributes)))
    assert [one.name for one in found][:2] == ["brightness", "light on the right"]
    for one, axis in zip(found, (3, 7), strict=False):
        assert one.vector[axis] > 0.98  # towards more of what it is named after
        assert np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-6)
        assert one.correlation is not None
        assert one.correlation > 0.9
        assert one.spread == pytest.approx(1 if prior == "normal" else 0.88, abs=0.1)
    assert len({one.name for one in found}) == len(found)


@pytest.mark.parametrize("prior", ["uniform", "sphere"])
def test_priors_that_a_line_would_leave_have_none(prior: str) -> None:
    assert find_directions(Linear(small_header(latent=LatentConfig(size=10, prior=prior)))) == []


def test_any_generator_has_some_with_different_names() -> None:
    found = find_directions(small_generator(**ATTRIBUTES))
    assert 1 <= len(found) <= 8
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert one.name.startswith("component ") == (one.correlation is None)


def test_the_packaged_generator_stores_its_own() -> None:
    network = nijigan.load().exported
    assert network is not None
    found = read_directions(network.metadata("nijigan-directions"), 128, "the package")
    assert len(found) == 8
    assert found[0].name == "brightness"
    generator, vector = nijigan.load(), found[0].vector
    z = np.zeros((3, 128), np.float32) + np.float32([[-2], [0], [2]]) * vector
    brightness = measure(reduce(generator.synthesise(z), 64))["brightness"]
    assert brightness[0] < brightness[1] < brightness[2]


def test_what_is_written_is_read_and_nothing_else() -> None:
    found = find_directions(Linear(small_header()))
    text = directions_json(found)
    for one, again in zip(found, read_directions(text, 10, "x"), strict=True):
        assert (one.name, one.spread, one.correlation) == (again.name, again.spread, again.correlation)
        assert np.array_equal(one.vector, again.vector)
    changes: list[dict[str, object]] = [
        {"name": "\x1b"}, {"vector": "AAAA"}, {"vector": "§"}, {"spread": float("nan")}, {"spread": "x"}, {"more": 1},
    ]  # fmt: skip
    for change in changes:
        entries = json.loads(text)
        entries["directions"][0] |= change
        with pytest.raises(UserError, match=r"some\.onnx"):
            read_directions(json.dumps(entries), 10, "some.onnx")


def test_pictures_are_reduced_by_averaging() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), np.uint8)
    averaged = pictures.reshape(2, 8, 3, 8, 3, 3).mean(axis=(2, 4)) / 255
    assert np.allclose(reduce(pictures, 8), averaged)
    assert np.allclose(reduce(pictures, 7).mean(axis=(1, 2)), pictures.mean(axis=(1, 2)) / 255)
    assert np.allclose(reduce(pictures, 64), pictures / 255)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("brightness", lambda p: p[:] + 60),
        (
            "background brightness",
            lambda p: np.pad(p[:, :, 4:-4], [(0, 0), (0, 0), (4, 4), (0, 0)], constant_values=220),
        ),
        ("warmth", lambda p: p + np.array([60, 0, 0])),
        ("saturation", lambda p: p + np.array([0, 60, 0])),
        ("contrast", lambda p: (p - 100) * 2 + 100),
        ("detail", lambda p: (p - 100) * 2 + 100),
        ("light on the right", lambda p: p + np.linspace(-40, 40, 32)[:, None]),
        ("light above", lambda p: p - np.linspace(-40, 40, 32)[:, None, None]),
    ],
)
def test_measures_grow_with_what_they_are_named_after(name: str, change) -> None:
    pictures = np.random.default_rng(0).integers(80, 120, (3, 32, 32, 3))
    before = measure(reduce(pictures.astype(np.uint8), 64))[name]
    after = measure(reduce(change(pictures).clip(0, 255).astype(np.uint8), 64))[name]
    assert (after > before).all()
