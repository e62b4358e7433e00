"""The style-based generator against the equations of its papers, computed in another way."""

import pytest
import torch
from torch import nn
from torch.nn.functional import instance_norm
from torch.utils.flop_counter import FlopCounterMode

from nijigan.networks import build_generator
from nijigan.networks.style import Equalised, Modulation, StyleGenerator
from nijigan.recipe.parts import GeneratorConfig, LatentConfig

RESOLUTIONS = [8, 28, 32, 48, 64, 80, 96, 112, 128, 256]


def build(resolution: int = 16, size: int = 10, **fields: object) -> StyleGenerator:
    config = GeneratorConfig(**({"kind": "style", "width": 4} | fields))
    module = build_generator(config, LatentConfig(size=size), resolution)
    assert isinstance(module, StyleGenerator)
    return module


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


# Shape and cost


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("fields", [{}, {"depth": 2, "mapping_depth": 1}, {"noise": True, "style_mixing": 0.9}])
def test_every_resolution_from_one_definition(resolution: int, fields: dict[str, object]) -> None:
    with torch.device("meta"):
        generator = build(resolution, **fields)
        assert generator(torch.empty(3, 10)).shape == (3, 3, resolution, resolution)


def test_a_resolution_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        build(31)


def test_the_layers_of_a_64_pixel_generator() -> None:
    with torch.device("meta"):
        generator = build(64, size=100, width=32, max_width=256)
        with FlopCounterMode(display=False) as counter:
            generator(torch.empty(1, 100))
    shapes = [tuple(m.weight.shape) for m in generator.modules() if isinstance(m, Equalised) and m.weight.ndim == 4]
    assert generator.constant.shape == (256, 4, 4)
    # out × in × 3 × 3, and then the pictures
    assert shapes == [
        *[(256, 256, 3, 3), (128, 256, 3, 3), (64, 128, 3, 3), (32, 64, 3, 3), (32, 32, 3, 3)],
        *[(3, 256, 1, 1), (3, 128, 1, 1), (3, 64, 1, 1), (3, 32, 1, 1), (3, 32, 1, 1)],
    ]
    sides = [4, 8, 16, 32, 64] * 2
    products = sum(
        side**2 * outer * inner * kernel**2 for side, (outer, inner, kernel, _) in zip(sides, shapes, strict=True)
    )
    mapping = 100 * 256 + 3 * 256**2
    affine = 256 * 2 * (256 + 256 + 128 + 64 + 32 + 32)
    assert counter.get_total_flops() == 2 * (products + mapping + affine)
    assert counter.get_total_flops() < 0.3e9


@pytest.mark.parametrize(("width", "max_width", "style"), [(4, 1024, 16), (64, 1024, 256), (512, 1024, 512)])
def test_styles_are_as_wide_as_the_widest_layer_up_to_the_published_512(width: int, max_width: int, style: int) -> None:
    with torch.device("meta"):
        assert build(16, width=width, max_width=max_width).w_mean.shape == (style,)


# Parts


@pytest.mark.parametrize("rate", [1.0, 0.01])
@pytest.mark.parametrize("kernel", [None, 1, 3])
def test_equalised_layers_keep_the_scale_whatever_their_rate(kernel: int | None, rate: float) -> None:
    layer = Equalised(64, 512, kernel, gain=1.5, rate=rate)
    x = torch.randn(32, 64) if kernel is None else torch.randn(2, 64, 16, 16)
    with torch.no_grad():
        inside = layer(x)[..., 1:-1, 1:-1] if kernel else layer(x)  # padding with zeros lowers the rim
        assert float(inside.std()) == pytest.approx(1.5, rel=0.03)
        assert float(layer.weight.std() * rate) == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_one_step_of_adam_moves_equalised_layers_by_their_rate(rate: float) -> None:
    layer = Equalised(16, 8, rate=rate)
    before = layer.weight.detach() * layer.scale
    layer(torch.randn(4, 16)).sum().backward()
    torch.optim.Adam(layer.parameters(), lr=1e-3).step()  # a first step is lr × sign of the gradient
    moved = (layer.weight * layer.scale - before).abs() / before.std()
    assert torch.allclose(moved, torch.tensor(1e-3 * rate), rtol=0.2)


def test_modulation_is_adaptive_instance_normalisation() -> None:
    modulation = Modulation(6, 5, noise=False)
    x, w = 3 + 2 * torch.randn(4, 6, 8, 8), torch.randn(4, 5)
    scale, shift = modulation.affine(w).chunk(2, dim=1)
    active = torch.where(x > 0, x, 0.2 * x)
    expected = instance_norm(active, eps=1e-5) * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
    assert torch.allclose(modulation(x, w), expected, atol=1e-5)


def test_a_constant_channel_stays_finite() -> None:
    modulation = Modulation(2, 5, noise=False)
    x = torch.full((1, 2, 4, 4), 1e4, requires_grad=True)
    modulation(x, torch.randn(3, 5)).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_mapping_ignores_the_length_of_a_latent() -> None:
    generator, z = build(), torch.randn(4, 10)
    assert torch.allclose(generator.mapping(3 * z), generator.mapping(z), atol=1e-5)
    assert not torch.allclose(generator.mapping(-z), generator.mapping(z), atol=1e-2)


def test_the_picture_is_the_sum_of_those_of_all_resolutions() -> None:
    generator, z = build(16).eval(), torch.randn(2, 10)
    generator.output = nn.Identity()
    weights = [to_rgb.weight.detach().clone() for to_rgb in generator.to_rgb]
    images = []
    with torch.no_grad():
        whole = generator(z)
        for level in range(3):
            for other, to_rgb in enumerate(generator.to_rgb):
                to_rgb.weight.copy_(weights[other] * (other == level))
            images.append(generator(z))
    assert torch.allclose(sum(images), whole, atol=1e-5)
    # A picture of 4×4 pixels, blown up, has no more than 4 rows that are independent of each other.
    coarse, middle, fine = (int(torch.linalg.matrix_rank(image[0, 0], rtol=1e-4)) for image in images)
    assert (coarse, middle) == (4, 8)
    assert fine > 8


@pytest.mark.parametrize(("output", "low"), [("tanh", -1.0), ("sigmoid", 0.0)])
def test_pixels_stay_in_range_and_start_within_it(output: str, low: float) -> None:
    generator = build(32, output=output)
    with torch.no_grad():
        images = generator(torch.randn(64, 10))
        assert float(((images - low) / (1 - low)).std()) > 0.1
        assert float((images < low + 0.01 * (1 - low)).float().mean()) < 0.1
        for to_rgb in generator.to_rgb:
            to_rgb.weight *= 1000
        images = generator(torch.randn(64, 10))
    assert low <= float(images.min()) < low + 0.01
    assert 0.99 < float(images.max()) <= 1


# Truncation


def test_truncation_is_a_line_through_styles() -> None:
    generator, z = build().eval(), torch.randn(5, 10)
    with torch.no_grad():
        generator.w_mean.normal_()
        plain, flat = generator(z), generator(z, psi=0.0)
        assert torch.equal(generator(z, psi=1.0), plain)
        assert torch.allclose(flat, flat[:1].expand_as(flat), atol=1e-6)
        w = generator.mapping(z)
        for psi in (0.0, 0.3, 0.7, 2.0):
            truncated = generator.w_mean + psi * (w - generator.w_mean)
            generator.mapping.forward = lambda _, w=truncated: w
            expected = generator(z)
            del generator.mapping.forward
            assert torch.allclose(generator(z, psi=psi), expected, atol=1e-5)


def test_w_mean_is_the_mean_of_all_styles() -> None:
    generator, z = build(), torch.randn(50, 10)
    assert not generator.w_mean.any()
    generator.estimate_mean_style((part,) for part in torch.split(z, 7))
    assert torch.allclose(generator.w_mean, generator.mapping(z).mean(0), atol=1e-6)
    assert not generator.w_mean.requires_grad
    generator.estimate_mean_style([(z[:2],)])
    assert torch.allclose(generator.w_mean, generator.mapping(z[:2]).mean(0), atol=1e-6)


def test_the_mean_style_is_in_the_state_and_not_trained() -> None:
    generator = build()
    assert "w_mean" in generator.state_dict()
    assert "w_mean" not in dict(generator.named_parameters())


# Randomness


def test_drawing_has_no_randomness_and_no_batch() -> None:
    generator = build(noise=True, style_mixing=1.0).eval()
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("strength"):
                parameter.fill_(5.0)
        z, state = torch.randn(9, 10), torch.get_rng_state()
        together = generator(z)
        assert torch.equal(generator(z), together)
        assert torch.allclose(torch.cat([generator(one[None]) for one in z]), together, atol=1e-5)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("fields", [{"noise": True}, {"style_mixing": 1.0}, {"noise": True, "style_mixing": 0.5}])
def test_randomness_in_training_is_torchs(fields: dict[str, object]) -> None:
    generator, z = build(**fields), torch.randn(6, 10)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("strength"):
                parameter.fill_(0.5)
        state = torch.get_rng_state()
        first, second = generator(z), generator(z)
        torch.set_rng_state(state)
        assert torch.equal(generator(z), first)
    assert not torch.equal(first, second)


def test_without_options_training_has_no_randomness() -> None:
    generator, z, state = build(), torch.randn(4, 10), torch.get_rng_state()
    assert torch.equal(generator.train()(z), generator.eval()(z))
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_starts_silent_and_is_one_number_a_pixel() -> None:
    modulation, w = Modulation(3, 5, noise=True), torch.zeros(2, 5)
    x = torch.full((2, 3, 64, 64), 10.0)  # far from the bend of the leaky ReLU
    assert not modulation(x, w).any()
    with torch.no_grad():
        modulation.strength.copy_(torch.tensor([0.1, 1.0, 0.0]))
        noisy = modulation(x, w)
    assert torch.allclose(noisy[:, 0], noisy[:, 1], atol=0.05)  # the same noise, brought to variance 1
    assert not noisy[:, 2].any()
    assert abs(float((noisy[0, 1] * noisy[1, 1]).mean())) < 4 / 64  # images have noise of their own
    assert float(noisy[:, 1].std()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_share_of_images_is_mixed(share: float) -> None:
    generator, z = build(8, style_mixing=share), torch.randn(2000, 10)
    with torch.no_grad():
        mixed, plain = generator.train()(z), generator.eval()(z)
    changed = (mixed - plain).abs().amax((1, 2, 3)) > 1e-6
    deviation = (share * (1 - share) / len(z)) ** 0.5
    assert float(changed.float().mean()) == pytest.approx(share, abs=4 * deviation + 0.001)


def test_mixing_crosses_over_once_to_another_of_the_batch() -> None:
    generator = build(16, depth=2, style_mixing=1.0)
    w = torch.arange(300.0)[:, None]
    styles = torch.stack(generator._mix(w))[:, :, 0]  # layers×images
    assert styles.shape == (7, 300)
    own = styles == w[:, 0]
    assert own[0].all()
    assert not own[-1].any()
    assert (own[1:] <= own[:-1]).all()  # once away, never back
    assert all(len(set(column.tolist())) == 2 for column in styles.T)
    crossed = own.sum(0)
    assert crossed.bincount(minlength=8)[1:7].min() > 25  # of 50 expected at each of six places


# Training


@pytest.mark.parametrize("fields", [{}, {"noise": True, "depth": 2}, {"style_mixing": 0.9, "output": "sigmoid"}])
def test_gradients_reach_every_parameter(fields: dict[str, object]) -> None:
    generator = build(28, **fields)
    generator(torch.randn(4, 10)).square().sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert float(parameter.grad.abs().sum()) > 0, name


def test_half_precision_and_channels_last_draw_the_same() -> None:
    generator, z = build(32, noise=True, style_mixing=0.5).eval(), torch.randn(4, 10)
    with torch.no_grad():
        expected = generator(z)
        generator.to(memory_format=torch.channels_last)
        assert torch.allclose(generator(z), expected, atol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            images = generator.train(False)(z)
    assert images.dtype == torch.bfloat16
    assert float((images - expected).abs().mean()) < 0.02
    with torch.autocast("cpu", torch.bfloat16):
        generator.train()(z).float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in generator.parameters())


def test_a_generator_exports_with_a_dynamic_batch() -> None:
    generator = build(16, noise=True, style_mixing=0.9).eval()
    batch = {"latents": {0: torch.export.Dim("batch")}}
    program = torch.export.export(generator, (torch.randn(2, 10),), {"psi": 0.7}, dynamic_shapes=batch | {"psi": None})
    for n in (1, 5):
        z = torch.randn(n, 10)
        assert torch.allclose(program.module()(z, psi=0.7), generator(z, psi=0.7), atol=1e-5)
