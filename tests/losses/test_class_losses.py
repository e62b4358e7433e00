"""Class losses by hand, against torch, and in their limits; missing labels must not count."""

import math
from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from nijigan.errors import UserError
from nijigan.losses.class_losses import ClassLoss, acgan_loss, build_class_loss, diversity_loss, reacgan_loss
from nijigan.networks import Critique
from nijigan.recipe.parts import ConditionConfig

VALUES = (3, 2)
LOSSES = {"acgan": acgan_loss, "reacgan": reacgan_loss}


def judge(inputs: list[Tensor], proxies: list[Tensor] | None = None) -> Critique:
    """A critique whose class logits are the inputs, or their cosines with proxies."""
    n = len(inputs[0])
    if proxies is None:
        return Critique(torch.zeros(n), torch.zeros(n, 1), tuple(inputs))
    embeddings = tuple(normalize(x) for x in inputs)
    cosines = tuple(e @ normalize(p).T for e, p in zip(embeddings, proxies, strict=True))
    return Critique(torch.zeros(n), torch.zeros(n, 1), cosines, embeddings)


def critique(kind: str, n: int, seed: int = 0) -> tuple[Critique, list[Tensor]]:
    """A random critique of n images, and the leaves that gradients should reach."""
    torch.manual_seed(seed)
    if kind == "acgan":
        leaves = [torch.randn(n, values, requires_grad=True) for values in VALUES]
        return judge(leaves), leaves
    leaves = [torch.randn(n, 5, requires_grad=True) for _ in VALUES]
    return judge(leaves, [torch.randn(values, 5) for values in VALUES]), leaves


def on_circle(*degrees: float) -> Tensor:
    return torch.tensor([[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees])


CODES = st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 1)), min_size=1, max_size=7)


# Yang et al. 2019


def test_the_diversity_loss_is_the_missing_share_of_variety() -> None:
    faces = torch.rand(4, 3, 8, 8) * 2 - 1
    assert diversity_loss(faces, faces, 0.3).item() == 1
    assert diversity_loss(faces, faces + 0.15, 0.3).item() == pytest.approx(0.5, rel=1e-5)
    assert diversity_loss(faces, faces - 0.3001, 0.3).item() == 0
    mixed = faces + 0.6 * torch.tensor([0, 1, 0, 0.0])[:, None, None, None]  # the mean over the batch counts
    assert diversity_loss(faces, mixed, 0.3).item() == pytest.approx(0.5, rel=1e-5)


def test_diversity_drives_faces_apart_until_they_are_as_far_as_real_ones() -> None:
    for other, slope in ((0.1, -1 / (0.3 * 4 * 3 * 8 * 8)), (0.4, 0.0)):
        faces = torch.zeros(4, 3, 8, 8, requires_grad=True)
        diversity_loss(faces, torch.full_like(faces, -other), 0.3).backward()
        assert torch.allclose(faces.grad, torch.full_like(faces, slope))


def test_diversity_is_exact_under_autocast() -> None:
    faces = torch.rand(2, 3, 8, 8)
    assert diversity_loss(faces.bfloat16(), faces.bfloat16(), 0.3).dtype == torch.float32


# Odena et al. 2017


@given(codes=CODES, seed=st.integers(0, 99))
def test_acgan_is_the_cross_entropy_of_each_attribute(codes: list[tuple[int, int]], seed: int) -> None:
    judged, _ = critique("acgan", len(codes), seed)
    columns = torch.tensor(codes).unbind(1)
    expected = [
        float(cross_entropy(logits.detach()[code >= 0], code[code >= 0])) if (code >= 0).any() else 0.0
        for logits, code in zip(judged.class_logits, columns, strict=True)
    ]
    assert acgan_loss(judged, torch.tensor(codes)).item() == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_a_uniform_classifier_has_the_entropy_of_a_guess() -> None:
    judged = judge([torch.zeros(4, 3), torch.zeros(4, 2)])
    assert float(acgan_loss(judged, torch.zeros(4, 2).long())) == pytest.approx((math.log(3) + math.log(2)) / 2)


# Kang et al. 2021


def test_d2d_ce_by_hand() -> None:
    """Three images on a circle, the first two of class 0; the proxies of the classes are at 0° and 90°."""
    faces, proxies = on_circle(20, -10, 60), on_circle(0, 90)
    tau, m_p, m_n = 0.5, 0.95, 0.1

    def cosine(a: float, b: float) -> float:
        return math.cos(math.radians(a - b))

    def term(own: float, others: list[float]) -> float:
        positive = math.exp(min(0.0, own - m_p) / tau)
        return -math.log(positive / (positive + sum(math.exp(max(0.0, other - m_n) / tau) for other in others)))

    by_hand = term(cosine(20, 0), [cosine(20, 60)])
    by_hand += term(cosine(-10, 0), [cosine(-10, 60)])  # cos 10° is above m_p: in peace
    by_hand += term(cosine(60, 90), [cosine(60, 20), cosine(60, -10)])
    loss = reacgan_loss(judge([faces], [proxies]), torch.tensor([[0], [0], [1]]), tau, m_p, m_n)
    assert float(loss) == pytest.approx(by_hand / 3, rel=1e-5)


@given(codes=CODES, seed=st.integers(0, 99), tau=st.sampled_from([0.1, 0.5, 1.0]), margin=st.floats(-0.5, 1))
def test_d2d_ce_image_by_image(codes: list[tuple[int, int]], seed: int, tau: float, margin: float) -> None:
    judged, _ = critique("reacgan", len(codes), seed)
    means = []
    for embeddings, cosines, code in zip(judged.embeddings, judged.class_logits, zip(*codes, strict=True), strict=True):
        terms = []
        for i in (i for i, c in enumerate(code) if c >= 0):
            positive = math.exp(min(0.0, cosines[i, code[i]].item() - margin) / tau)
            negatives = [j for j, c in enumerate(code) if c >= 0 and c != code[i]]
            repelled = [
                math.exp(max(0.0, torch.dot(embeddings[i], embeddings[j]).item() - 0.1) / tau) for j in negatives
            ]
            terms.append(-math.log(positive / (positive + sum(repelled))))
        means.append(sum(terms) / len(terms) if terms else 0.0)
    loss = reacgan_loss(judged, torch.tensor(codes), tau, margin, 0.1)
    assert loss.item() == pytest.approx(sum(means) / 2, rel=1e-4, abs=1e-5)


def test_d2d_ce_is_lower_for_perfect_clusters_than_for_shuffled_labels() -> None:
    torch.manual_seed(0)
    labels = torch.arange(4).repeat(8)
    proxies = torch.eye(4, 16)
    faces = proxies[labels] + 0.05 * torch.randn(32, 16)
    judged = judge([faces], [proxies])
    perfect = float(reacgan_loss(judged, labels[:, None]))
    shuffled = [float(reacgan_loss(judged, labels[torch.randperm(32)][:, None])) for _ in range(20)]
    assert perfect < min(shuffled) - 0.5


def test_beyond_the_margins_there_is_no_gradient() -> None:
    """Images near their proxy and far from the other class: no gradient, and the loss is log(1 + negatives)."""
    faces = on_circle(5, -5, 95, 100).requires_grad_()
    proxies = on_circle(0, 97).requires_grad_()
    codes = torch.tensor([[0], [0], [1], [1]])
    loss = reacgan_loss(judge([faces], [proxies]), codes, 0.5, 0.98, 0.02)
    assert loss.item() == pytest.approx(math.log(3))
    loss.backward()
    assert not faces.grad.any()
    assert not proxies.grad.any()
    reacgan_loss(judge([faces], [proxies]), codes, 0.5, 0.98, -0.5).backward()
    assert faces.grad.any()
    assert not proxies.grad.any()  # the positive side is at rest all the same


def test_the_most_similar_of_other_classes_are_pushed_away_most() -> None:
    similarities = torch.tensor([[1.0, 0.7, 0.3, 0.01]])
    angles = similarities[0].acos()
    others = torch.stack([angles.cos(), angles.sin()], 1).requires_grad_()
    judged = Critique(torch.zeros(4), torch.zeros(4, 1), (torch.zeros(4, 2),), (others,))
    reacgan_loss(judged, torch.tensor([[0], [1], [1], [1]])).backward()
    push = others.grad[1:] @ others.detach()[0]  # along the first image
    assert push[0] > push[1] > 0
    assert push[2] == 0  # below the margin


def test_d2d_ce_separates_classes() -> None:
    torch.manual_seed(0)
    faces = torch.randn(24, 8, requires_grad=True)
    proxies = torch.randn(3, 8, requires_grad=True)
    codes = torch.arange(3).repeat(8)[:, None]
    adam = torch.optim.Adam([faces, proxies], lr=0.05)
    for _ in range(150):
        adam.zero_grad()
        loss = reacgan_loss(judge([faces], [proxies]), codes)
        loss.backward()
        adam.step()
    assert loss.item() == pytest.approx(math.log(17), abs=0.02)
    assert torch.equal(judge([faces], [proxies]).class_logits[0].argmax(1), codes[:, 0])


# Both


@pytest.mark.parametrize("kind", LOSSES)
def test_images_without_a_label_do_not_count(kind: str) -> None:
    loss: ClassLoss = LOSSES[kind]
    judged, leaves = critique(kind, 6)
    codes = torch.tensor([[0, -1], [-1, 1], [1, -1], [-1, 0], [2, 1], [-1, -1]])
    value = loss(judged, codes)
    value.backward()
    for leaf, code in zip(leaves, codes.unbind(1), strict=True):
        assert not leaf.grad[code < 0].any()  # exactly
        assert (leaf.grad[code >= 0].abs().sum(1) > 0).all()
    separate = []
    for place, code in enumerate(codes.unbind(1)):
        known = code >= 0
        parts = [(both[place][known],) for both in (judged.class_logits, judged.embeddings) if both]
        kept = Critique(judged.logits[known], judged.features[known], *parts)
        separate.append(loss(kept, code[known][:, None]).item())
    assert value.item() == pytest.approx(sum(separate) / 2, rel=1e-5)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("n", [1, 4])
def test_without_labels_loss_and_gradient_are_zero(kind: str, n: int) -> None:
    judged, leaves = critique(kind, n)
    loss = LOSSES[kind](judged, torch.full((n, 2), -1))
    assert loss.item() == 0
    loss.backward()
    assert all(leaf.grad is not None and torch.equal(leaf.grad, torch.zeros_like(leaf)) for leaf in leaves)


@pytest.mark.parametrize("kind", LOSSES)
def test_one_image_or_one_class_is_enough(kind: str) -> None:
    for codes in (torch.tensor([[1, 1]]), torch.tensor([[1, 1], [1, 1], [1, 1]])):
        judged, leaves = critique(kind, len(codes))
        loss = LOSSES[kind](judged, codes)
        loss.backward()
        assert loss.isfinite()
        assert all(leaf.grad.isfinite().all() for leaf in leaves)
        if kind == "reacgan":  # nothing to be told from
            assert loss.item() == 0


@pytest.mark.parametrize("kind", LOSSES)
def test_losses_are_fp32_whatever_the_networks_are(kind: str) -> None:
    judged, _ = critique(kind, 5)
    codes = torch.tensor([[0, 1], [1, 0], [2, -1], [-1, 0], [0, 0]])
    if kind == "acgan":
        halves = judge([logits.bfloat16() for logits in judged.class_logits])
        expected = acgan_loss(judge([logits.float() for logits in halves.class_logits]), codes)
        assert torch.equal(acgan_loss(halves, codes), expected)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = LOSSES[kind](judged, codes)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, LOSSES[kind](judged, codes))


def test_each_kind_has_its_loss() -> None:
    assert build_class_loss(ConditionConfig()) is None
    assert build_class_loss(ConditionConfig("projection")) is None
    codes = torch.tensor([[0, 1], [1, 0], [2, -1]])
    judged, _ = critique("acgan", 3)
    assert torch.equal(build_class_loss(ConditionConfig("acgan"))(judged, codes), acgan_loss(judged, codes))
    judged, _ = critique("reacgan", 3)
    assert torch.equal(build_class_loss(ConditionConfig("reacgan"))(judged, codes), reacgan_loss(judged, codes))
    other = ConditionConfig("reacgan", temperature=0.1, positive_margin=0.9, negative_margin=0.3)
    assert torch.equal(build_class_loss(other)(judged, codes), reacgan_loss(judged, codes, 0.1, 0.9, 0.3))


# Settings


def test_the_published_settings() -> None:
    """Kang et al. 2021, CIFAR-10: λ 0.5, τ 0.5, m_p 0.98 and m_n = 1 - m_p, embeddings of 512."""
    reacgan, acgan = ConditionConfig("reacgan"), ConditionConfig("acgan")
    assert (reacgan.strength, reacgan.temperature, reacgan.positive_margin) == (0.5, 0.5, 0.98)
    assert reacgan.negative_margin == pytest.approx(1 - reacgan.positive_margin)
    assert reacgan.d_embedding == 512
    assert acgan.strength == 1
    assert ConditionConfig("reacgan", weight=0.75).strength == 0.75
    assert [ConditionConfig(kind).classifies_fakes for kind in ("none", "projection", "acgan", "reacgan")] == [
        False, False, True, False,
    ]  # fmt: skip
    assert not ConditionConfig("acgan", fakes=False).classifies_fakes


@pytest.mark.parametrize("kind", ["none", "projection", "acgan", "reacgan"])
def test_settings_of_other_kinds_are_refused(kind: str) -> None:
    changed = {
        "weight": (2.0, ("acgan", "reacgan")), "fakes": (False, ("acgan",)), "d_embedding": (64, ("reacgan",)),
        "temperature": (1.0, ("reacgan",)), "diversity": (0.5, ("projection", "acgan", "reacgan")),
        "positive_margin": (0.9, ("reacgan",)), "negative_margin": (0.1, ("reacgan",)),
    }  # fmt: skip
    assert changed.keys() | {"kind"} == asdict(ConditionConfig()).keys()
    for name, (value, kinds) in changed.items():
        if kind in kinds:
            assert getattr(ConditionConfig(kind, **{name: value}), name) == value
        else:
            words = f"condition.{name} applies to .*, not to {kind}; .* undo what the recipe sets"
            with pytest.raises(UserError, match=words):
                ConditionConfig(kind, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("weight", 0.0), ("weight", math.inf), ("d_embedding", 1),
     ("d_embedding", 5000), ("temperature", 0.0), ("temperature", math.nan), ("positive_margin", 1.5),
     ("negative_margin", -2.0), ("negative_margin", math.nan), ("diversity", -1.0), ("diversity", math.nan)],
)  # fmt: skip
def test_settings_out_of_bounds_are_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"condition\.{name} is .*choose"):
        ConditionConfig("reacgan", **{name: value})
