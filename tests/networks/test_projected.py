"""What the projected discriminator sees, and that it learns."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d
from torch.nn.functional import conv2d, interpolate

from nijigan.losses.objectives import hinge_d_loss
from nijigan.networks import projected
from nijigan.networks.projected import BLOCKS, ProjectedDiscriminator
from nijigan.procedural.faces import draw_faces
from nijigan.vision import lite0

SIZES = [64, 96, 128]


def drawn(count: int, resolution: int = 64) -> torch.Tensor:
    pixels = torch.from_numpy(draw_faces(count, resolution=resolution)[0])
    return pixels.permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resolution", [28, 64, 160])
def test_faces_of_any_resolution_give_logits_for_places(size: int, resolution: int) -> None:
    network = ProjectedDiscriminator(size)
    maps = network.look(torch.rand(2, 3, resolution, resolution))
    assert [tuple(seen.shape) for seen in maps] == [(2, 64, size // n, size // n) for n in (4, 8, 16, 32)]
    logits = network(maps)
    assert len(logits) == len(BLOCKS)
    assert all(1 <= scores.shape[1] <= 16 for scores in logits)


def test_the_maps_are_those_of_lite0_standardised_and_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the network as it is loaded, with its batch norms; the coarsest map has nothing added to it."""
    monkeypatch.setattr(projected, "_SHIFT", 0)
    faces = drawn(4)
    with torch.no_grad():
        coarsest = ProjectedDiscriminator(128).look(faces)[-1]
        _, outputs = lite0.load().with_blocks(interpolate(projected.soften(faces), size=128, mode="bilinear"), BLOCKS)
    stage = lite0.load().blocks[11:15]  # the blocks of the last map, each added to the one before
    mean = sum(block.project[1].bias for block in stage)
    deviation = sum(block.project[1].weight.square() for block in stage).sqrt()
    standard = (outputs[-1] - mean[:, None, None]) / deviation[:, None, None]
    expected = conv2d(standard, projected._random((64, 192), 3, torch.device("cpu"))[:, :, None, None])
    assert torch.allclose(coarsest, expected, atol=1e-3)
    assert 0.5 < standard.std() < 2  # the norms tell about the right scale


def test_patterns_of_single_pixels_are_not_seen() -> None:
    """A checkerboard becomes grey, edges stay: against scipy's filter."""
    board = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    assert torch.allclose(projected.soften(board.expand(1, 3, 64, 64).float())[..., 1:-1, 1:-1], torch.tensor(0.5))
    face = drawn(1)
    expected = convolve1d(convolve1d(face.numpy(), [0.25, 0.5, 0.25], 2, mode="nearest"), [0.25, 0.5, 0.25], 3)
    assert np.allclose(projected.soften(face)[..., 1:-1], expected[..., 1:-1], atol=1e-6)


def test_only_the_heads_are_learnt_and_stored() -> None:
    network = ProjectedDiscriminator(128)
    network.look(torch.rand(1, 3, 64, 64))
    assert {name.split(".")[0] for name in network.state_dict()} == {"heads"}
    assert 4e5 < sum(weight.numel() for weight in network.parameters()) < 6e5


def test_random_weights_are_the_same_in_every_process() -> None:
    values = projected._random((64, 24), 0, torch.device("cpu"))
    assert values[0, :3] * 24**0.5 == pytest.approx([0.12573022, -0.13210486, 0.64042264])  # NumPy's PCG64, seed 0
    assert values.std() * 24**0.5 == pytest.approx(1, abs=0.05)


def test_what_is_seen_does_not_depend_on_the_mode_in_which_it_was_first_asked_for() -> None:
    """A training in bf16, or a pass that infers, must not leave other numbers or tensors to the next one."""
    device = torch.device("cpu")
    projected._sight.cache_clear()
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        first = projected._sight(device)
    projected._sight.cache_clear()
    second = projected._sight(device)
    for a, b in zip(first.kernels + first.biases, second.kernels + second.biases, strict=True):
        assert a.dtype == torch.float32
        assert not a.is_inference()
        assert torch.equal(a, b)


def test_the_random_state_decides_the_shift() -> None:
    network, faces = ProjectedDiscriminator(64), drawn(2)

    def seen(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return network.look(faces)[0]

    assert torch.equal(seen(0), seen(0))
    assert not torch.equal(seen(0), seen(1))


def test_heads_learn_to_tell_faces_from_shuffled_ones_and_images_get_a_gradient() -> None:
    torch.manual_seed(0)
    network, real = ProjectedDiscriminator(64), drawn(8)
    parts = real.unflatten(2, (2, 32)).flip(2).flatten(2, 3)  # chin above, hair below
    fake = parts.clone().requires_grad_()
    adam = torch.optim.Adam(network.parameters(), 2e-3, (0.0, 0.99))
    losses = []
    for _ in range(20):
        on_real, on_fake = network(network.look(real)), network(network.look(fake))
        loss = torch.stack([hinge_d_loss(r, f) for r, f in zip(on_real, on_fake, strict=True)]).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert 6 < losses[0] < 12
    assert losses[-1] < 0.5 * losses[0]
    assert fake.grad is not None
    assert fake.grad.abs().amax((1, 2, 3)).min() > 0
