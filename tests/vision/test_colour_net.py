"""The network of the colour reader: what it gives, and that it gives it to every face alike."""

import numpy as np
import pytest
import safetensors.torch
import torch

from nijigan.aliases import Images
from nijigan.procedural.faces import draw_face
from nijigan.vision import colour_net
from nijigan.vision.colour_net import SIDE, WEIGHTS, ColourNet, colour_logits


@pytest.fixture(scope="module")
def face() -> Images:
    return draw_face(3, SIDE)[0]


def test_every_value_has_a_logit(face: Images):
    assert {name: logits.shape for name, logits in colour_logits(face).items()} == {"hair": (12,), "eyes": (11,)}


def test_a_face_and_its_mirror_image_are_the_same(face: Images):
    for name, logits in colour_logits(face[:, ::-1]).items():
        np.testing.assert_allclose(logits, colour_logits(face)[name], atol=1e-4)


def test_the_fast_network_is_the_one_in_the_file(face: Images):
    net = ColourNet()
    net.load_state_dict({name: value.float() for name, value in safetensors.torch.load_file(WEIGHTS).items()})
    pixels = torch.from_numpy(face.copy()).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        both = torch.cat([pixels, pixels.flip(3)])
        slow = [logits.mean(0).numpy() for logits in net.eval()(both)]
    for one, other in zip(slow, colour_logits(face).values(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_reading_touches_no_random_state(face: Images):
    colour_net._net.cache_clear()
    before = torch.get_rng_state()
    first = colour_logits(face)
    assert torch.equal(torch.get_rng_state(), before)
    for name, logits in colour_logits(face).items():
        np.testing.assert_array_equal(logits, first[name])
