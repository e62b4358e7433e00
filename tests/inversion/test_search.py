"""Inversion: a generator's own faces are found again, latents stay likely, faces redraw what was found."""

import numpy as np
import pytest
import torch

from nijigan.errors import UserError
from nijigan.generator.face import Face
from nijigan.generator.generator import Generator
from nijigan.generator.latents import latents
from nijigan.inversion import search
from nijigan.inversion.likeness import as_pixels, describe, loss
from nijigan.inversion.nearness import Nearness, distances, yardsticks
from nijigan.inversion.priors import projected, unlikeliness
from nijigan.inversion.search import invert
from nijigan.recipe.parts import GeneratorConfig, LatentConfig, Prior
from small import ATTRIBUTES, small_generator

SEEDS = range(70, 74)


@pytest.fixture(autouse=True)
def few_random_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small generator's faces are alike; 64 are enough to start from."""
    monkeypatch.setattr(search, "_RANDOM", 64)
    monkeypatch.setattr(search, "_kept", {})


def latent_of(generator: Generator, face: Face) -> np.ndarray:
    return face.latents(generator.header.latent.size, generator.header.latent.prior)[0]


def test_the_faces_of_a_generator_are_found_again() -> None:
    generator = small_generator(**ATTRIBUTES)
    pictures = generator.sample_seeds(SEEDS)
    found = invert(generator, pictures, steps=90)
    apart = np.array([inversion.distance for inversion in found])
    random = np.median(distances(pictures, np.roll(pictures, 1, axis=0)))
    assert np.median(apart) < 0.25 * random
    codes = generator.codes(SEEDS)
    values = [generator.values(row) for row in codes]
    assert sum(inversion.face.attributes == value for inversion, value in zip(found, values, strict=True)) >= 3
    assert found[int(apart.argmin())].nearness.level != "far"


def test_a_face_draws_the_picture_that_is_returned() -> None:
    generator = small_generator(**ATTRIBUTES)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    for inversion, picture in zip(invert(generator, pictures, steps=3), pictures, strict=True):
        again = Face.from_json(inversion.face.to_json())
        assert np.array_equal(generator.draw(again), inversion.picture)
        assert inversion.face.attributes.keys() == {"hair", "eyes"}
        assert inversion.nearness.level == "far"
        assert inversion.distance == pytest.approx(
            float(distances(inversion.picture[None], picture[None])[0]), abs=1e-3
        )


@pytest.mark.parametrize("prior", ["normal", "truncated-normal", "uniform", "sphere"])
def test_latents_stay_where_the_prior_has_them(prior: Prior) -> None:
    generator = small_generator(latent=LatentConfig(size=10, prior=prior))
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)  # nothing that it could draw
    for inversion in invert(generator, pictures, steps=20):
        z = latent_of(generator, inversion.face)
        length = float(np.sqrt(np.square(z).mean()))
        if prior == "uniform":
            assert np.abs(z).max() <= 1
        elif prior == "sphere":
            assert length == pytest.approx(1, abs=1e-5)
        else:
            assert length < 1 + 3 / np.sqrt(20) + 1e-5
            assert prior == "normal" or np.abs(z).max() <= 2


@pytest.mark.parametrize("prior", ["normal", "truncated-normal", "uniform", "sphere"])
def test_random_latents_are_likely_and_long_ones_are_not(prior: Prior) -> None:
    config = LatentConfig(size=64, prior=prior)
    random = torch.from_numpy(latents(range(200), 64, prior))
    assert (projected(random, config) - random).abs().amax(1).le(1e-4).float().mean() >= 0.98
    assert unlikeliness(random, config).mean() < 0.02
    far = projected(3 * random, config)
    assert far.square().mean(1).sqrt().max() < 1.3
    assert projected(far, config).allclose(far, atol=1e-5)
    assert prior == "uniform" or unlikeliness(3 * random, config).min() > 1


def test_faces_of_a_style_based_generator_are_found_again() -> None:
    generator = small_generator(generator=GeneratorConfig(kind="style", width=4, max_width=16))
    assert generator.header.styled
    pictures = generator.sample_seeds(SEEDS)
    apart = [inversion.distance for inversion in invert(generator, pictures, steps=60)]
    assert np.median(apart) < 0.5 * np.median(distances(pictures, np.roll(pictures, 1, axis=0)))


def test_the_result_depends_on_nothing_but_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = small_generator().sample_seeds(range(3))
    before = torch.random.get_rng_state()
    straight = invert(small_generator(), pictures, steps=4)
    assert torch.equal(torch.random.get_rng_state(), before)
    generator = small_generator()
    with torch.inference_mode():
        assert [found.face for found in invert(generator, pictures, steps=4)] == [found.face for found in straight]
    monkeypatch.setattr(search, "_CHUNK", 1)
    monkeypatch.setattr(search, "_kept", {})
    done: list[tuple[int, int]] = []
    parts = invert(small_generator(), pictures, steps=4, progress=lambda *now: done.append(now))
    for one, other in zip(parts, straight, strict=True):
        assert np.abs(latent_of(small_generator(), one.face) - latent_of(small_generator(), other.face)).max() < 0.05
    steps = [now for now in done if now[1] != search._RANDOM]
    assert steps[0][0] == 1
    assert steps[-1][0] == steps[-1][1]
    assert invert(small_generator(), pictures[:0]) == []


def test_descriptions_weigh_pixels_and_features_at_any_size() -> None:
    faces = small_generator().sample(3)
    described = describe(as_pixels(faces))
    assert describe(as_pixels(np.repeat(np.repeat(faces, 4, 1), 4, 2))).shape == described.shape
    assert loss(described, described).tolist() == [0, 0, 0]
    flat = np.zeros((2, 64, 64, 3), np.uint8)
    flat[1] = 255
    black, white = describe(as_pixels(flat))
    assert loss(black[None], white[None]).item() > 36  # 4 and 8 times three channels, and the features


def test_nearness_says_what_distances_mean() -> None:
    generator = small_generator()
    near = yardsticks(generator)
    assert 0 < near[0] < near[1]
    levels = [Nearness(distance, 0.2, 0.8).level for distance in (0.1, 0.2, 0.3, 0.5, 0.6, 2.0)]
    assert levels == ["close", "close", "similar", "similar", "far", "far"]
    assert Nearness(0.1, 0.2, 0.8).sentence.startswith("Close: ")


@pytest.mark.parametrize(
    ("shape", "steps", "sentence"),
    [((1, 64, 64, 3), 3, "32"), ((32, 32, 3), 3, "32"), ((1, 32, 32, 3), 0, "choose 1 to")],
)
def test_what_cannot_be_searched_is_refused(shape: tuple[int, ...], steps: int, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        invert(small_generator(), np.zeros(shape, np.uint8), steps=steps)
    with pytest.raises(UserError, match="uint8"):
        invert(small_generator(), np.zeros((1, 32, 32, 3), np.float32))  # type: ignore[arg-type]
