"""Each augmentation against its definition, on images where the parameters can be read off."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nijigan.losses.augment import augment, probability
from nijigan.procedural.faces import draw_faces
from nijigan.recipe.parts import AugmentConfig

OFF = AugmentConfig(colour=False, translation=False, cutout=False)
COLOUR, TRANSLATION, CUTOUT = (replace(OFF, **{name: True}) for name in ("colour", "translation", "cutout"))
ALL = AugmentConfig()
EACH = {"colour": COLOUR, "translation": TRANSLATION, "cutout": CUTOUT, "all": ALL}


def noise(count: int, height: int = 16, width: int = 16) -> Tensor:
    """Pixels in [-1, 1], none of them mid-grey."""
    generator = torch.Generator().manual_seed(count)
    pixels = torch.rand(count, 3, height, width, generator=generator) * 0.9 + 0.1
    return pixels * torch.where(torch.rand(pixels.shape, generator=generator) < 0.5, -1.0, 1.0)


def seeded(images: Tensor, seed: int, p: float, config: AugmentConfig, low: float = -1.0) -> Tensor:
    torch.manual_seed(seed)
    return augment(images, p, config, low)


def test_a_probability_of_zero_changes_nothing_and_uses_no_random_numbers() -> None:
    images = noise(4)
    before = torch.random.get_rng_state()
    assert augment(images, 0.0, ALL) is images
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("config", EACH.values(), ids=EACH)
def test_the_same_seed_gives_the_same_changes(config: AugmentConfig) -> None:
    images = noise(8)
    first, again, other = (seeded(images, seed, 1.0, config) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("config", EACH.values(), ids=EACH)
def test_images_change_with_that_probability_each_on_its_own(config: AugmentConfig) -> None:
    images = noise(1000)
    changed = (seeded(images, 0, 0.3, config) != images).flatten(1).any(1)
    # A shift by (0, 0), one of 5×5 at 16 px, is no change.
    shift = 1 - 1 / 25
    shares = {"colour": 0.3, "translation": 0.3 * shift, "cutout": 0.3}
    shares["all"] = 1 - math.prod(1 - share for share in shares.values())
    (expected,) = (shares[name] for name, each in EACH.items() if each is config)
    assert float(changed.float().mean()) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_brightness_moves_a_grey_image_by_up_to_a_quarter_of_the_range(low: float) -> None:
    """A flat grey has no saturation or contrast to change."""
    level = (low + 1) / 2 + 0.1
    moved = (seeded(torch.full((4000, 3, 2, 2), level), 0, 1.0, COLOUR, low) - level)[:, 0, 0, 0] / (1 - low)
    assert float(moved.abs().max()) <= 0.25 + 1e-6
    assert float(moved.mean()) == pytest.approx(0, abs=0.01)
    assert float(moved.var()) == pytest.approx(0.5**2 / 12, rel=0.06)  # uniform, 0.5 wide


def test_contrast_scales_greys_and_leaves_the_mean_to_brightness() -> None:
    """Grey chequers of ±0.4 around 0.2: their distance becomes contrast times 0.8, contrast uniform in [0.5, 1.5]."""
    chequers = torch.full((4000, 3, 2, 2), 0.6)
    chequers[:, :, 0, 0] = chequers[:, :, 1, 1] = -0.2
    changed = seeded(chequers, 0, 1.0, COLOUR)
    contrast = (changed[:, 0, 0, 1] - changed[:, 0, 0, 0]) / 0.8
    assert 0.5 - 1e-6 <= float(contrast.min()) < 0.51
    assert 1.49 < float(contrast.max()) <= 1.5 + 1e-6
    assert float(contrast.mean()) == pytest.approx(1, abs=0.02)
    assert float(contrast.var()) == pytest.approx(1 / 12, rel=0.06)
    brightness = changed.mean((1, 2, 3)) - 0.2
    assert float(brightness.abs().max()) <= 0.5 + 1e-6
    assert abs(float(torch.corrcoef(torch.stack([brightness, contrast]))[0, 1])) < 0.06


def test_saturation_scales_colours_and_leaves_greys() -> None:
    """On a flat colour, contrast only multiplies; its factor is read from a grey chequerboard."""
    colours = torch.zeros(4000, 3, 2, 2)
    colours[:, :, 0, :] = 0.5
    colours[:, 0, :, 0] += 0.3  # red against blue, grey as it was
    colours[:, 2, :, 0] -= 0.3
    changed = seeded(colours, 0, 1.0, COLOUR)
    grey = changed.mean(1)
    contrast = (grey[:, 0] - grey[:, 1]).mean(1) / 0.5
    saturation = (changed[:, 0, 0, 0] - changed[:, 2, 0, 0]) / 0.6 / contrast
    assert torch.allclose(changed[:, 0, :, 1], changed[:, 2, :, 1], atol=1e-6)
    assert torch.allclose(grey[:, :, 0], grey[:, :, 1], atol=1e-6)
    assert -1e-5 <= float(saturation.min()) < 0.02
    assert 1.98 < float(saturation.max()) <= 2 + 1e-5
    assert float(saturation.mean()) == pytest.approx(1, abs=0.03)
    assert float(saturation.var()) == pytest.approx(4 / 12, rel=0.06)


def test_the_three_colour_changes_are_those_done_one_after_the_other() -> None:
    images = noise(5)
    changed = seeded(images, 7, 1.0, COLOUR)
    torch.manual_seed(7)
    factors = torch.rand(3, 5)
    for image, result, (b, s, c) in zip(images, changed, factors.T.tolist(), strict=True):
        brighter = image + b - 0.5
        grey = brighter.mean(0)
        saturated = grey + 2 * s * (brighter - grey)
        contrasted = saturated.mean() + (c + 0.5) * (saturated - saturated.mean())
        assert torch.allclose(result, contrasted, atol=1e-5)


@pytest.mark.parametrize("config", EACH.values(), ids=EACH)
def test_the_range_of_the_pixels_is_a_matter_of_units(config: AugmentConfig) -> None:
    images = noise(20)
    changed = seeded((images + 1) / 2, 0, 0.8, config, low=0.0)
    assert torch.allclose(2 * changed - 1, seeded(images, 0, 0.8, config), atol=1e-5)


@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_translation_moves_images_by_whole_pixels_and_pads(low: float) -> None:
    """Each result is one of the 5×7 possible shifts of a 16×24 image, and all of them occur."""
    images = noise(1, 16, 24).expand(2000, -1, -1, -1)
    grey = (low + 1) / 2
    moved = seeded(images, 0, 1.0, TRANSLATION, low)
    counts = {}
    for down in range(-2, 3):
        for right in range(-3, 4):
            expected = torch.full_like(images[0], grey)
            rows, columns = slice(max(0, down), 16 + min(0, down)), slice(max(0, right), 24 + min(0, right))
            from_rows, from_columns = slice(max(0, -down), 16 - max(0, down)), slice(max(0, -right), 24 - max(0, right))
            expected[:, rows, columns] = images[0][:, from_rows, from_columns]
            counts[down, right] = int((moved == expected).flatten(1).all(1).sum())
    assert sum(counts.values()) == 2000
    assert min(counts.values()) > 20
    assert max(counts.values()) < 110  # 57 are expected of each


@pytest.mark.parametrize(("size", "low"), [(8, -1.0), (9, 0.0), (10, -1.0), (11, 0.0)])
def test_cutout_blanks_a_square_of_half_the_side(size: int, low: float) -> None:
    images = noise(3000, size, size) + (10 if low == 0 else 0)
    blank = seeded(images, 0, 1.0, CUTOUT, low) == (low + 1) / 2
    assert torch.equal(blank[:, 0], blank.all(1))
    assert torch.equal(seeded(images, 0, 1.0, CUTOUT, low)[~blank], images[~blank])
    square = blank[:, 0]
    heights, widths = square.any(2).sum(1), square.any(1).sum(1)
    assert torch.equal(square.sum((1, 2)), heights * widths)  # a full rectangle
    half = size // 2
    assert set(heights.tolist()) == set(widths.tolist()) == set(range((half + 1) // 2, half + 1))
    inside = ~(square[:, 0].any(1) | square[:, -1].any(1) | square[:, :, 0].any(1) | square[:, :, -1].any(1))
    assert bool(inside.any())
    assert set(square.sum((1, 2))[inside].tolist()) == {half**2}
    # The centre is equally likely everywhere, so that each half of the picture loses as much.
    share = square.float().mean(0)
    assert torch.allclose(share, share.flip(0, 1), atol=0.06)


@pytest.mark.parametrize("config", EACH.values(), ids=EACH)
def test_gradients_reach_the_pixels_that_are_still_seen(config: AugmentConfig) -> None:
    images = noise(6, 9, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: seeded(x, 1, 0.8, config).square().sum(), images, fast_mode=True)
    (gradient,) = torch.autograd.grad(seeded(images, 1, 0.8, config).square().sum(), images)
    assert float((gradient != 0).double().mean()) > 0.5
    assert not config.cutout or bool((gradient == 0).any())


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 5),
    height=st.integers(1, 33),
    width=st.integers(1, 33),
    p=st.sampled_from([0.01, 0.5, 1.0]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    name=st.sampled_from(sorted(EACH)),
    channels_last=st.booleans(),
)
def test_any_size_type_and_layout(
    count: int, height: int, width: int, p: float, dtype: torch.dtype, name: str, channels_last: bool
) -> None:
    images = noise(count, height, width).to(dtype)
    plain = seeded(images, 2, p, EACH[name])
    assert plain.shape == images.shape
    assert plain.dtype == dtype
    assert bool(plain.isfinite().all())
    if channels_last:
        other = seeded(images.contiguous(memory_format=torch.channels_last), 2, p, EACH[name])
        assert torch.allclose(other.float(), plain.float(), atol=1e-6 if dtype is torch.float32 else 0.02)


def test_bf16_has_the_same_changes_as_fp32() -> None:
    images = noise(64)
    fine, coarse = seeded(images, 0, 0.7, ALL), seeded(images.bfloat16(), 0, 0.7, ALL)
    assert float((fine - coarse.float()).abs().max()) < 0.05


def test_channels_last_is_kept() -> None:
    images = noise(4).contiguous(memory_format=torch.channels_last)
    for config in EACH.values():
        assert seeded(images, 0, 0.5, config).is_contiguous(memory_format=torch.channels_last)


def test_faces_stay_recognisable_on_average() -> None:
    """On average, colour changes preserve the mean image: factors have mean 1, and brightness has mean 0."""
    face = torch.from_numpy(draw_faces(1, 5, 16)[0]).permute(0, 3, 1, 2).float() / 127.5 - 1
    mean = seeded(face.expand(4000, -1, -1, -1), 0, 1.0, COLOUR).mean(0)
    assert torch.allclose(mean, face[0], atol=0.06)


def test_the_probability_falls_with_the_logarithm_of_the_faces() -> None:
    auto = AugmentConfig(p="auto")
    assert [probability(auto, faces) for faces in (0, 1, 4999, 5000)] == [1, 1, 1, 1]
    assert [probability(auto, faces) for faces in (80_000, 1_000_000)] == [0, 0]
    for faces, expected in ((10_000, 0.75), (20_000, 0.5), (40_000, 0.25)):
        assert probability(auto, faces) == pytest.approx(expected)
    assert probability(AugmentConfig(p=0.3), 100_000) == 0.3
