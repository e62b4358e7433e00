import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nijigan.errors import UserError
from nijigan.generator.face import Face, encode_latent
from nijigan.generator.latents import latents
from nijigan.generator.records import read_face
from nijigan.generator.request import Request
from nijigan.generator.saving import write
from small import ATTRIBUTES, small_generator


@given(
    st.integers(0, 2**63 - 1),
    st.floats(0, 2),
    st.dictionaries(
        st.from_regex("[a-z_]{1,9}", fullmatch=True),
        st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=100),
        max_size=2,
    ),
)
@settings(max_examples=40, deadline=None)
def test_any_face_round_trips(seed, psi, attributes):
    face = Face("ab" * 32, seed, psi, attributes)
    assert Face.from_json(face.to_json()) == face


@pytest.mark.parametrize("text", ["", "{}", '{"weights": "a", "seed": -1}', '{"weights": "a", "seed": 1, "psi": NaN}'])
def test_text_that_is_not_a_face_is_refused(text):
    with pytest.raises(UserError):
        Face.from_json(text)


WEIGHTS = "ab" * 32


@pytest.fixture(scope="module")
def conditional():
    return small_generator(**ATTRIBUTES)


def test_a_face_without_a_latent_is_recorded_as_it_always_was():
    text = Face(WEIGHTS, 7).to_json()
    assert text == '{"weights": "' + WEIGHTS + '", "seed": 7, "psi": 1.0, "attributes": {}}'


def test_a_latent_is_kept_bit_by_bit():
    z = latents([3], 9)[0] * np.float32(1.25)
    face = Face.from_json(Face(WEIGHTS, 0, latent=encode_latent(z)).to_json())
    np.testing.assert_array_equal(face.latents(9, "normal"), z[None])
    np.testing.assert_array_equal(Face(WEIGHTS, 3).latents(9, "normal"), latents([3], 9))


@pytest.mark.parametrize(
    "text", ["A", "AAA=", "zzz\u00e9", encode_latent([np.nan]), encode_latent([2e4]), "A" * (1 << 17)]
)
def test_a_latent_that_is_no_list_of_numbers_is_refused(text):
    with pytest.raises(UserError, match=r"latent"):
        Face.from_json(json.dumps({"weights": WEIGHTS, "seed": 0, "latent": text}))


def test_a_latent_of_another_length_is_refused(conditional):
    face = Face(conditional.weights_hash, 0, latent=encode_latent([0.5]))
    with pytest.raises(UserError, match="1 numbers"):
        conditional.draw(face)


def test_draw_draws_what_sample_draws(conditional):
    face = conditional.face(5, psi=0.7, hair="blue")
    np.testing.assert_array_equal(conditional.draw(face), conditional.sample(1, seed=5, psi=0.7, hair="blue")[0])
    with pytest.raises(UserError, match="another generator"):
        conditional.draw(Face(WEIGHTS, 5))


def test_a_face_between_two_seeds_is_saved_and_drawn_again(conditional, tmp_path):
    latent = conditional.header.latent
    middle = latents([1, 2], latent.size).mean(axis=0) * np.float32(1.4)
    face = Face(conditional.weights_hash, 1, 0.9, {"hair": "blue", "eyes": "red"}, encode_latent(middle))
    request = Request(conditional, [1], 0.9, face.attributes, latent=face.latent)
    write(request, tmp_path / "child.png")
    assert read_face(tmp_path / "child.png") == face
    codes = conditional.codes([1], hair="blue", eyes="red")
    expected = conditional.synthesise(middle[None], codes, psi=0.9)[0]
    np.testing.assert_array_equal(conditional.draw(face), expected)
    assert (conditional.draw(face) != conditional.sample(1, seed=1, psi=0.9, hair="blue", eyes="red")[0]).any()
    with pytest.raises(UserError, match="one face"):
        Request(conditional, [1, 2], latent=face.latent)
