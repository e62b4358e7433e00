"""Conditional networks, and that networks without attributes are the unconditional ones."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from checks import LATENT, check_bf16, wake
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from nijigan.networks import Critique, build_discriminator, build_generator
from nijigan.networks.conditioning import ConditionalDiscriminator, ConditionalGenerator
from nijigan.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from nijigan.networks.r3 import R3Discriminator, R3Generator
from nijigan.networks.resnet import ResNetDiscriminator, ResNetGenerator
from nijigan.networks.style import StyleGenerator
from nijigan.recipe.parts import ConditionConfig, DiscriminatorConfig, GeneratorConfig

ATTRIBUTES = {"hair": ("black", "blue", "red"), "eyes": ("green", "red")}
CODES = torch.tensor(list(product((-1, 0, 1, 2), (-1, 0, 1))))  # every combination
GENERATORS = {"dcgan": DCGANGenerator, "resnet": ResNetGenerator, "r3": R3Generator, "style": StyleGenerator}
DISCRIMINATORS = {"dcgan": DCGANDiscriminator, "resnet": ResNetDiscriminator, "r3": R3Discriminator}
KINDS = ["projection", "acgan", "reacgan"]


def condition(kind: str) -> ConditionConfig:
    return ConditionConfig(kind, d_embedding=8 if kind == "reacgan" else 512)


def generator(kind: str = "dcgan", resolution: int = 16, **fields: object) -> ConditionalGenerator:
    torch.manual_seed(0)
    embedding = {} if kind == "style" else {"embedding": 6}
    config = GeneratorConfig(kind, width=4, max_width=16, **embedding, **fields)
    return build_generator(config, LATENT, resolution, ATTRIBUTES)


def discriminator(
    kind: str = "projection", base: str = "dcgan", resolution: int = 16, norm: str = "auto", **fields: object
) -> ConditionalDiscriminator:
    torch.manual_seed(0)
    config = DiscriminatorConfig(base, width=4, max_width=16, norm=norm, **fields)
    return build_discriminator(config, resolution, ATTRIBUTES, condition(kind))


def images(n: int = len(CODES), resolution: int = 16) -> Tensor:
    return torch.randn(n, 3, resolution, resolution)


# Without attributes


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generator_without_attributes_is_unconditional(kind: str) -> None:
    config = GeneratorConfig(kind, width=4, max_width=16)
    torch.manual_seed(3)
    plain = GENERATORS[kind](config, LATENT.size, 28)
    state = torch.random.get_rng_state()
    torch.manual_seed(3)
    built = build_generator(config, LATENT, 28, {})
    assert type(built) is type(plain)
    assert torch.equal(torch.random.get_rng_state(), state)
    check_equal_states(built, plain)


@pytest.mark.parametrize("kind", DISCRIMINATORS)
@pytest.mark.parametrize("stddev", [False, True])
def test_a_discriminator_without_attributes_is_unconditional(kind: str, stddev: bool) -> None:
    config = DiscriminatorConfig(kind, width=4, max_width=16, minibatch_stddev=stddev)
    torch.manual_seed(3)
    plain = DISCRIMINATORS[kind](config, 28)
    state = torch.random.get_rng_state()
    torch.manual_seed(3)
    built = build_discriminator(config, 28, {}, ConditionConfig("acgan"))
    assert type(built) is type(plain)
    assert torch.equal(torch.random.get_rng_state(), state)
    check_equal_states(built, plain)


def check_equal_states(module: nn.Module, other: nn.Module) -> None:
    state, expected = module.state_dict(), other.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in state.items())


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("dcgan", ["layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias", "layers.5.weight",
                   "layers.5.bias"]),
        ("r3", ["layers.0.weight", "layers.1.main.0.weight", "layers.1.main.0.bias", "layers.1.main.2.weight",
                "layers.1.main.2.bias", "layers.1.main.4.weight", "layers.3.weight", "layers.4.main.0.weight",
                "layers.4.main.0.bias", "layers.4.main.2.weight", "layers.4.main.2.bias", "layers.4.main.4.weight",
                "layers.6.main.0.weight", "layers.6.main.0.bias", "layers.6.main.2.weight", "layers.6.main.2.bias",
                "layers.6.main.4.weight", "layers.7.weight", "dense.weight"]),
    ],
)  # fmt: skip
def test_names_in_checkpoints(kind: str, names: list[str]) -> None:
    module = build_discriminator(DiscriminatorConfig(kind, width=4, max_width=8, norm="none"), 16)
    assert list(module.state_dict()) == names


@pytest.mark.parametrize("stddev", [False, True])
@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_features_are_what_the_last_layer_sees(kind: str, stddev: bool) -> None:
    config = DiscriminatorConfig(kind, width=4, max_width=16, norm="none", minibatch_stddev=stddev)
    module = build_discriminator(config, 28)
    wake(module)
    faces = images(5, 28)
    critique = module(faces)
    assert critique.features.shape == (5, module.feature_size) == (5, 16 + stddev if kind != "dcgan" else 8 + stddev)
    if kind == "dcgan":
        assert torch.equal(critique.logits, module.layers(faces).flatten())
        with torch.no_grad():
            module.layers[-1].weight.copy_(module.layers[-1].weight.mean((2, 3), keepdim=True))  # alike at all places
        expected = critique.features @ module.layers[-1].weight[0, :, 0, 0] + module.layers[-1].bias
        torch.testing.assert_close(module(faces).logits, expected)
    else:
        torch.testing.assert_close(critique.logits, module.dense(critique.features)[:, 0])


# Generators


@pytest.mark.parametrize("resolution", [28, 64])
@pytest.mark.parametrize("kind", GENERATORS)
def test_every_generator_takes_every_combination_and_depends_on_it(kind: str, resolution: int) -> None:
    module = generator(kind, resolution).eval()
    wake(module)
    z = torch.randn(1, LATENT.size).expand(len(CODES), -1)
    with torch.no_grad():
        pictures = module(z, CODES)
        assert pictures.shape == (12, 3, resolution, resolution)
        assert pictures.isfinite().all()
        differences = torch.pdist(pictures.flatten(1))
        assert float(differences.min()) > 0.05 * float(differences.max()) > 0
        for row in (0, 5):
            single = module(z[:1], CODES[row : row + 1])
            torch.testing.assert_close(single, pictures[row : row + 1], atol=1e-5, rtol=0)
        check_bf16_with(module, (z, CODES), pictures)


def check_bf16_with(module: nn.Module, inputs: tuple[Tensor, ...], expected: Tensor) -> None:
    class Joined(nn.Module):
        def forward(self, first: Tensor) -> Tensor | Critique:
            return module(first, *inputs[1:])

    module.to(memory_format=torch.channels_last)
    check_bf16(Joined(), inputs[0], expected)


def test_a_generator_of_one_attribute_and_of_three() -> None:
    for count in (1, 3):
        attributes = {f"attribute.{i}": ("a", "b") for i in range(count)}  # names with dots as well
        module = build_generator(GeneratorConfig(width=4), LATENT, 16, attributes)
        codes = torch.zeros(2, count, dtype=torch.int64)
        assert module(torch.randn(2, LATENT.size), codes).shape == (2, 3, 16, 16)
        assert module.base.layers[0].in_channels == LATENT.size + 64


def test_the_embedding_of_attributes_starts_as_the_latent_is() -> None:
    """Mean 0 and variance 1 over embeddings, however many attributes there are."""
    for count in (1, 2, 5):
        torch.manual_seed(0)
        attributes = {str(i): [str(value) for value in range(20)] for i in range(count)}
        module = ConditionalGenerator(nn.Identity(), attributes, 512)
        joined = module(torch.full((200, 3), 7.0), torch.randint(-1, 20, (200, count))).detach()
        assert torch.equal(joined[:, :3], torch.full((200, 3), 7.0))
        assert float(joined[:, 3:].mean()) == pytest.approx(0, abs=0.05)
        assert float(joined[:, 3:].std()) == pytest.approx(1, abs=0.05)


def test_the_embedding_is_a_sum_of_one_row_for_each_attribute() -> None:
    module = ConditionalGenerator(nn.Identity(), ATTRIBUTES, 4)
    hair, eyes = (table.weight for table in module.embeddings)
    joined = module(torch.zeros(3, 1), torch.tensor([[2, -1], [-1, -1], [0, 1]]))
    torch.testing.assert_close(joined[:, 1:], torch.stack([hair[3] + eyes[0], hair[0] + eyes[0], hair[1] + eyes[2]]))


def test_only_requested_values_are_learnt() -> None:
    module = generator()
    codes = torch.tensor([[2, -1], [0, -1], [2, -1]])
    module(torch.randn(3, LATENT.size), codes).square().sum().backward()
    hair, eyes = (table.weight.grad.abs().sum(1) for table in module.embeddings)
    assert (hair > 0).tolist() == [False, True, False, True]
    assert (eyes > 0).tolist() == [True, False, False]
    assert not hair[[0, 2]].any()
    assert not eyes[1:].any()


def test_truncation_and_mean_style_with_attributes() -> None:
    module = generator("style").eval()
    z = torch.randn(len(CODES), LATENT.size)
    halves = list(zip(z.split(6), CODES.split(6), strict=True))
    module.estimate_mean_style(halves)
    assert torch.allclose(module.base.w_mean, module.base.mapping(z).mean(0), atol=1e-6)
    with torch.no_grad():
        alike = CODES[:1].expand_as(CODES)
        flat = module(z, alike, psi=0.0)
        assert torch.allclose(flat, flat[:1].expand_as(flat), atol=1e-5)
        assert not torch.allclose(module(z, CODES, psi=0.0), flat, atol=1e-3)  # requested values keep their effect
        assert torch.equal(module(z, CODES, 1.0), module(z, CODES))
        assert not torch.allclose(module(z, CODES, 0.5), module(z, CODES), atol=1e-3)
    generator().estimate_mean_style(iter([]))  # where there is no mean style, there is nothing to do
    with pytest.raises(TypeError):
        generator()(z, CODES, psi=0.5)


def test_mixed_styles_do_not_mix_requested_values() -> None:
    """Gradients of an image reach only the embeddings of its own values, even where it has the style of another one."""
    module = generator("style", style_mixing=1.0)
    codes = torch.tensor([[0, 0], [1, 1], [2, 0], [0, 1]])
    for place, (hair, eyes) in enumerate(codes.tolist()):
        module.zero_grad()
        module(torch.randn(4, LATENT.size), codes)[place].square().sum().backward()
        for table, code in zip(module.embeddings, (hair, eyes), strict=True):
            (learnt,) = table.weight.grad.abs().sum(1).nonzero().T
            assert learnt.tolist() == [code + 1]


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_conditional_generator_exports_with_a_dynamic_batch(kind: str) -> None:
    module = generator(kind, 8).eval()
    n = torch.export.Dim("n")
    arguments = (torch.randn(2, LATENT.size), CODES[:2])
    program = torch.export.export(module, arguments, dynamic_shapes=({0: n}, {0: n}))
    for size in (1, 12):
        z, codes = torch.randn(size, LATENT.size), CODES[-size:]
        assert torch.allclose(program.module()(z, codes), module(z, codes), atol=1e-5)


# Discriminators


@pytest.mark.parametrize("resolution", [28, 64])
@pytest.mark.parametrize("base", DISCRIMINATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_discriminator_takes_every_combination(kind: str, base: str, resolution: int) -> None:
    module = discriminator(kind, base, resolution)
    wake(module)
    faces = images(resolution=resolution)
    critique = module(faces, CODES)
    assert critique.logits.shape == (12,)
    assert [logits.shape for logits in critique.class_logits] == ([] if kind == "projection" else [(12, 3), (12, 2)])
    assert [e.shape for e in critique.embeddings] == ([(12, 8), (12, 8)] if kind == "reacgan" else [])
    total = critique.logits.square().sum() + sum(x.square().sum() for x in critique.class_logits)
    total.backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    module.eval()
    with torch.no_grad():
        exact = module(faces, CODES)
        check_bf16_with(module, (faces, CODES), exact.logits)
        with torch.autocast("cpu", torch.bfloat16):
            halved = module(faces, CODES)
    assert all(e.dtype == torch.float32 for e in halved.embeddings)
    for logits, expected in zip(halved.class_logits, exact.class_logits, strict=True):
        assert float((logits.float() - expected).abs().mean()) < 0.05 * float(expected.abs().mean()) + 0.01


def test_the_logit_of_the_base_stays() -> None:
    for kind in KINDS:
        module = discriminator(kind).eval()
        faces, open_codes = images(), torch.full_like(CODES, -1)
        assert torch.equal(module(faces, open_codes).logits, module.base(faces).logits)
        if kind != "projection":
            assert torch.equal(module(faces, CODES).logits, module.base(faces).logits)
            told, untold = module(faces, CODES).class_logits, module(faces, open_codes).class_logits
            assert all(torch.equal(mine, other) for mine, other in zip(told, untold, strict=True))


@pytest.mark.parametrize("base", DISCRIMINATORS)
def test_projection_is_a_sum_of_inner_products(base: str) -> None:
    module = discriminator("projection", base).eval()
    wake(module)
    faces = images()
    with torch.no_grad():
        critique, plain = module(faces, CODES), module.base(faces)
        for row, (hair, eyes) in enumerate(CODES.tolist()):
            expected = plain.logits[row].clone()
            if hair >= 0:
                expected += torch.dot(module.heads[0].weight[hair], plain.features[row])
            if eyes >= 0:
                expected += torch.dot(module.heads[1].weight[eyes], plain.features[row])
            torch.testing.assert_close(critique.logits[row], expected, atol=1e-5, rtol=1e-5)


def test_projection_learns_nothing_from_unknown_values() -> None:
    module = discriminator("projection", norm="layer")
    module(images(3), torch.tensor([[-1, -1], [2, -1], [2, -1]])).logits.sum().backward()
    hair, eyes = (head.weight.grad for head in module.heads)
    assert not hair[:2].any()
    assert hair[2].any()
    assert not eyes.any()
    module.zero_grad()
    module(images(3), torch.full((3, 2), -1)).logits.sum().backward()
    assert all(head.weight.grad is not None and not head.weight.grad.any() for head in module.heads)


def test_reacgan_embeds_on_spheres_and_compares_with_proxies() -> None:
    module = discriminator("reacgan")
    faces = images()
    critique = module(faces, CODES)
    for embed, head, embeddings, cosines in zip(
        module.maps, module.heads, critique.embeddings, critique.class_logits, strict=True
    ):
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(12))
        raw = embed(critique.features)
        torch.testing.assert_close(cosines, cosine_similarity(raw[:, None], head.weight[None], dim=2))
    with torch.no_grad():  # lengths say nothing
        for layer in (*module.maps, *module.heads):
            layer.weight *= 7
    again = module(faces, CODES)
    torch.testing.assert_close(again.embeddings, critique.embeddings, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(again.class_logits, critique.class_logits, atol=1e-5, rtol=1e-5)


def test_spectral_norm_reaches_the_heads() -> None:
    for kind, norm in product(KINDS, ["spectral", "layer"]):
        module = discriminator(kind, norm=norm)
        for _ in range(100):
            module(images(2), CODES[:2])
        for head in module.heads:
            bounded = float(torch.linalg.matrix_norm(head.weight.detach(), 2)) == pytest.approx(1, rel=0.01)
            assert bounded == (norm == "spectral" and kind != "reacgan")


def test_the_slope_of_a_projected_logit_can_be_penalised() -> None:
    module = discriminator("projection", norm="none")
    faces = images().requires_grad_()
    (slope,) = torch.autograd.grad(module(faces, CODES).logits.sum(), faces, create_graph=True)
    slope.square().sum().backward()
    assert all(head.weight.grad.isfinite().all() and head.weight.grad.any() for head in module.heads)


def test_attributes_need_a_kind() -> None:
    for nothing in (None, ConditionConfig()):
        with pytest.raises(ValueError, match="kind of condition"):
            build_discriminator(DiscriminatorConfig(width=4), 16, ATTRIBUTES, nothing)


def test_building_on_meta_takes_no_memory() -> None:
    with torch.device("meta"):
        pixels = generator("style", 64)(torch.empty(4, LATENT.size), torch.empty(4, 2, dtype=torch.int64))
        for kind in KINDS:
            config = replace(DiscriminatorConfig(), minibatch_stddev=True)
            module = build_discriminator(config, 64, ATTRIBUTES, condition(kind))
            assert module(pixels, torch.empty(4, 2, dtype=torch.int64)).logits.shape == (4,)
