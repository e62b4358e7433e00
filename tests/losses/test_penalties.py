"""Penalties against closed forms, for discriminators whose gradient is known everywhere."""

import math
from collections.abc import Callable
from typing import get_args, get_type_hints

import pytest
import torch
from torch import Tensor, nn

from nijigan.losses.penalties import build_penalty, clip_weights, dragan, gradient_penalty, r1, r2, slopes
from nijigan.recipe.parts import PenaltyConfig

SHAPE = (3, 5, 4)
SLOPED = ("wgan-gp", "dragan", "r1", "r2", "r1r2")


@pytest.fixture
def real() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(6, *SHAPE)


@pytest.fixture
def fake() -> Tensor:
    torch.manual_seed(2)
    return torch.randn(6, *SHAPE)


def number(penalty: Tensor) -> float:
    return float(penalty.detach())


def linear(slope: float) -> nn.Module:
    """A critic whose gradient has this length everywhere."""
    layer = nn.Linear(math.prod(SHAPE), 1, bias=False)
    torch.manual_seed(3)
    direction = torch.randn_like(layer.weight)
    with torch.no_grad():
        layer.weight.copy_(slope * direction / direction.norm())
    return nn.Sequential(nn.Flatten(), layer, nn.Flatten(0))


def half_square(images: Tensor) -> Tensor:
    """½‖x‖²: the gradient at x is x."""
    return 0.5 * images.square().flatten(1).sum(1)


@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0, 3.0])
@pytest.mark.parametrize("one_sided", [False, True])
def test_slopes_are_pulled_towards_one(slope: float, one_sided: bool, real: Tensor, fake: Tensor) -> None:
    expected = 7 * (max(0.0, slope - 1) if one_sided else slope - 1) ** 2
    critic = linear(slope)
    assert number(gradient_penalty(critic, real, fake, 7, one_sided)) == pytest.approx(expected, abs=1e-9)
    assert number(dragan(critic, real, 7, one_sided)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_zero_centred_penalties_of_a_linear_discriminator(gamma: float, real: Tensor, fake: Tensor) -> None:
    assert number(r1(linear(3.0), real, gamma)) == pytest.approx(gamma / 2 * 9)
    assert number(r2(linear(3.0), fake, gamma)) == pytest.approx(gamma / 2 * 9)


def test_zero_centred_penalties_of_a_quadratic_discriminator(real: Tensor, fake: Tensor) -> None:
    for penalty, images in ((r1, real), (r2, fake)):
        by_hand = sum(float(x) ** 2 for x in images.flatten()) / len(images)
        assert number(penalty(half_square, images, 3.0)) == pytest.approx(1.5 * by_hand, rel=1e-5)


def test_each_slope_is_of_its_own_image(real: Tensor) -> None:
    assert torch.equal(slopes(half_square, real), real)
    assert torch.equal(slopes(half_square, real[:2]), real[:2])


def seen(images: list[Tensor]) -> Callable[[Tensor], Tensor]:
    """A critic that records its inputs."""

    def critic(shown: Tensor) -> Tensor:
        images.append(shown.detach())
        return half_square(shown)

    return critic


def test_wgan_gp_uses_a_point_between_each_pair() -> None:
    """With real images of 2 and fakes of -1, the point at ε is 3ε - 1 in every pixel."""
    images: list[Tensor] = []
    torch.manual_seed(0)
    penalty = gradient_penalty(seen(images), torch.full((500, *SHAPE), 2.0), torch.full((500, *SHAPE), -1.0), 10)
    (places,) = images
    epsilon = (places + 1).flatten(1) / 3
    assert torch.allclose(epsilon, epsilon[:, :1].expand_as(epsilon), atol=1e-6)
    assert len(epsilon[:, 0].unique()) > 490
    assert 0 <= float(epsilon.min()) < 0.02
    assert 0.98 < float(epsilon.max()) <= 1
    assert float(epsilon.mean()) == pytest.approx(0.5, abs=0.05)
    norms = [math.dist(place, [0.0] * len(place)) for place in places.flatten(1).tolist()]
    assert number(penalty) == pytest.approx(10 * sum((n - 1) ** 2 for n in norms) / len(norms), rel=1e-4)


@pytest.mark.parametrize("kind", SLOPED)
def test_points_of_a_plane_serve_as_well_as_images(kind: str) -> None:
    images: list[Tensor] = []
    torch.manual_seed(0)
    real, fake = torch.randn(50, 2), torch.randn(50, 2)
    build_penalty(PenaltyConfig(kind=kind))(seen(images), real, fake)
    assert {tuple(shown.shape) for shown in images} == {(50, 2)}
    if kind == "wgan-gp":
        epsilon = (images[0] - fake) / (real - fake)
        assert torch.allclose(epsilon[:, 0], epsilon[:, 1], atol=1e-3)


def test_dragan_uses_points_near_real_images() -> None:
    """δ = ½·σ·α·u; with α and u uniform E[αu] = 1/4 and E[(αu)²] = 1/9, and one α for all of an image."""
    images: list[Tensor] = []
    torch.manual_seed(0)
    real = 3 * torch.randn(500, 3, 8, 8)
    dragan(seen(images), real)
    delta = (images[0] - real) / (0.5 * float(real.std()))
    assert float(delta.min()) > -1e-4
    assert float(delta.max()) < 1 + 1e-4
    assert float(delta.mean()) == pytest.approx(1 / 4, abs=0.02)
    assert float(delta.square().mean()) == pytest.approx(1 / 9, abs=0.015)
    assert float(delta.flatten(1).amax(1).min()) < 0.05
    assert float(delta.flatten(1).amax(1).max()) > 0.95


def test_points_depend_on_torchs_seed(real: Tensor, fake: Tensor) -> None:
    for kind in ("wgan-gp", "dragan"):
        penalty = build_penalty(PenaltyConfig(kind=kind))
        values = []
        for seed in (5, 5, 6):
            torch.manual_seed(seed)
            values.append(number(penalty(half_square, real, fake)))
        assert values[0] == values[1] != values[2]


def test_the_weights_get_the_analytic_gradient(real: Tensor, fake: Tensor) -> None:
    """For D = w·x: d(γ/2‖w‖²)/dw = γw, and d(λ(‖w‖ - 1)²)/dw = 2λ(‖w‖ - 1)w/‖w‖."""
    factors = {"wgan-gp": 2 * 4.0 * 2 / 3, "dragan": 2 * 4.0 * 2 / 3, "r1": 4.0, "r2": 4.0, "r1r2": 8.0}
    assert set(factors) == set(SLOPED)
    for kind, factor in factors.items():
        critic = linear(3.0)
        build_penalty(PenaltyConfig(kind=kind, weight=4.0))(critic, real, fake).backward()
        weight = critic[1].weight
        assert torch.allclose(weight.grad, factor * weight, rtol=1e-4), kind


def test_the_gradient_through_a_convolutional_discriminator_is_that_of_finite_differences(real: Tensor) -> None:
    torch.manual_seed(4)
    critic = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Conv2d(4, 1, (3, 2)), nn.Flatten(0))
    r1(critic, real).backward()
    for parameter in (critic[0].weight, critic[0].bias, critic[2].weight):
        direction = torch.randn_like(parameter)
        values = []
        for step in (0.01, -0.01):
            with torch.no_grad():
                parameter.add_(step * direction)
            values.append(number(r1(critic, real)))
            with torch.no_grad():
                parameter.sub_(step * direction)
        difference = (values[0] - values[1]) / 0.02
        assert float((parameter.grad * direction).sum()) == pytest.approx(difference, rel=0.02, abs=1e-4)


@pytest.mark.parametrize("kind", SLOPED)
def test_nothing_flows_to_images_or_the_generator(kind: str, real: Tensor) -> None:
    generator = nn.Linear(2, math.prod(SHAPE))
    fake = generator(torch.randn(6, 2)).view(6, *SHAPE)
    fake.retain_grad()
    real.requires_grad_()
    critic = linear(3.0)
    build_penalty(PenaltyConfig(kind=kind))(critic, real, fake).backward()
    assert fake.grad is None
    assert real.grad is None
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert critic[1].weight.grad is not None


@pytest.mark.parametrize("kind", SLOPED)
def test_penalties_are_computed_in_fp32(kind: str, real: Tensor, fake: Tensor) -> None:
    dtypes = []

    def critic(images: Tensor) -> Tensor:
        dtypes.append(images.dtype)
        return half_square(images)

    penalty = build_penalty(PenaltyConfig(kind=kind))(critic, real, fake.bfloat16())
    assert penalty.dtype == torch.float32
    assert set(dtypes) == {torch.float32}


@pytest.mark.parametrize("kind", SLOPED)
def test_a_flat_discriminator_has_finite_gradients(kind: str, real: Tensor, fake: Tensor) -> None:
    """A norm has no derivative at 0, but the result must be finite."""
    critic = linear(0.0)
    build_penalty(PenaltyConfig(kind=kind))(critic, real, fake).backward()
    assert bool(critic[1].weight.grad.isfinite().all())


def test_every_kind_is_built_at_the_configs_strength(real: Tensor, fake: Tensor) -> None:
    """With a gradient norm of 3: λ·4 with λ = 10 by default, and γ/2·9 with γ = 2 by default."""
    usual = {"wgan-gp": 40.0, "dragan": 40.0, "r1": 9.0, "r2": 9.0, "r1r2": 18.0}
    for kind in get_args(get_type_hints(PenaltyConfig)["kind"]):
        penalty = build_penalty(PenaltyConfig(kind=kind))
        if kind in ("auto", "none", "clip"):
            assert penalty is None
            continue
        assert number(penalty(linear(3.0), real, fake)) == pytest.approx(usual[kind], rel=1e-5)
        tripled = build_penalty(PenaltyConfig(kind=kind, weight=3 * PenaltyConfig(kind=kind).strength))
        assert number(tripled(linear(3.0), real, fake)) == pytest.approx(3 * usual[kind], rel=1e-5)
    one_sided = build_penalty(PenaltyConfig(kind="wgan-gp", one_sided=True))
    assert number(one_sided(linear(0.5), real, fake)) == 0
    assert number(build_penalty(PenaltyConfig(kind="wgan-gp"))(linear(0.5), real, fake)) == pytest.approx(2.5)


def test_each_penalty_uses_its_own_images(real: Tensor, fake: Tensor) -> None:
    """For D = ½‖x‖² and γ = 2, zero-centred penalties are E‖x‖² over their images."""
    squares = {"r1": real.square().sum() / 6, "r2": fake.square().sum() / 6}
    squares["r1r2"] = squares["r1"] + squares["r2"]
    for kind, expected in squares.items():
        penalty = build_penalty(PenaltyConfig(kind=kind))
        assert number(penalty(half_square, real, fake)) == pytest.approx(float(expected), rel=1e-5)


def test_clipping_bounds_every_weight_and_keeps_small_ones() -> None:
    layer = nn.Linear(50, 40)
    before = layer.weight.detach().clone()
    clip_weights(layer, 0.05)
    assert float(layer.weight.detach().abs().max()) == pytest.approx(0.05)
    assert float(layer.bias.detach().abs().max()) <= 0.05 + 1e-9
    small = before.abs() <= 0.05
    assert 0 < int(small.sum()) < small.numel()
    assert torch.equal(layer.weight.detach()[small], before[small])
