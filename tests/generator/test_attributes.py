import numpy as np
import pytest

from nijigan.errors import UserError
from nijigan.generator.attributes import check_attributes, choose, combinations
from nijigan.generator.latents import uniforms

ATTRIBUTES = {"hair": ("black", "blue", "red"), "eyes": ("green", "red")}
PRIORS = ((1, 0, 50), (0, 1, 30), (1, 1, 20))


def test_combinations_count_codes_that_occur_together_unknown_included():
    codes = np.array([[1, 0], [0, 1], [1, 0], [-1, 0], [1, 0], [0, 1], [0, 0]])
    assert combinations(codes) == ((1, 0, 3), (0, 1, 2), (-1, 0, 1), (0, 0, 1))


def test_unknown_is_sampled_as_often_as_it_occurs():
    codes = choose(ATTRIBUTES, ((1, -1, 60), (1, 0, 40)), range(20_000), {"hair": "blue"})
    assert np.mean(codes[:, 1] == -1) == pytest.approx(0.6, abs=0.015)


def test_no_seeds_give_no_codes():
    assert choose(ATTRIBUTES, PRIORS, [], {}).shape == (0, 2)


def test_a_seed_chooses_by_its_place_in_the_cumulative_counts():
    seeds = range(1000)
    u = 100 * uniforms(seeds, 1, stream=1)[:, 0]
    by_hand = [(1, 0) if x < 50 else (0, 1) if x < 80 else (1, 1) for x in u]
    np.testing.assert_array_equal(choose(ATTRIBUTES, PRIORS, seeds, {}), by_hand)


def test_omitted_attributes_follow_the_conditional_distribution():
    codes = choose(ATTRIBUTES, PRIORS, range(20_000), {"hair": "blue"})
    assert (codes[:, 0] == 1).all()
    assert np.mean(codes[:, 1] == 0) == pytest.approx(50 / 70, abs=0.01)


def test_an_unseen_value_leaves_the_rest_to_all_combinations():
    codes = choose(ATTRIBUTES, PRIORS, range(20_000), {"hair": "red"})
    assert (codes[:, 0] == 2).all()
    assert np.mean(codes[:, 1] == 0) == pytest.approx(0.5, abs=0.015)
    np.testing.assert_array_equal(choose(ATTRIBUTES, PRIORS, [5], {"hair": "red", "eyes": "green"}), [[2, 0]])


def test_unknown_can_be_requested_if_some_face_is_unlabelled():
    priors = ((1, -1, 60), (1, 0, 40))
    np.testing.assert_array_equal(choose(ATTRIBUTES, priors, [5], {"eyes": "unknown"}), [[1, -1]])
    with pytest.raises(UserError, match="hair cannot be unknown; choose black, blue, red or any"):
        choose(ATTRIBUTES, priors, [5], {"hair": "unknown"})


def test_any_is_the_same_as_no_request():
    np.testing.assert_array_equal(
        choose(ATTRIBUTES, PRIORS, range(100), {"hair": "any"}), choose(ATTRIBUTES, PRIORS, range(100), {})
    )


def test_choosing_is_independent_of_the_latents_and_of_other_seeds():
    one_by_one = [choose(ATTRIBUTES, PRIORS, [seed], {})[0] for seed in range(50)]
    np.testing.assert_array_equal(choose(ATTRIBUTES, PRIORS, range(50), {}), one_by_one)
    both = np.corrcoef(uniforms(range(5000), 1, 0)[:, 0], uniforms(range(5000), 1, 1)[:, 0])[0, 1]
    assert abs(both) < 0.04


def test_without_attributes_codes_are_empty():
    assert choose({}, (), range(7), {}).shape == (7, 0)


@pytest.mark.parametrize(
    ("attributes", "requested", "sentence"),
    [
        (ATTRIBUTES, {"hat": "blue"}, "has no attribute hat; its attributes are hair, eyes"),
        (ATTRIBUTES, {"hair": "mauve"}, "hair cannot be mauve; choose black, blue, red or any"),
        ({}, {"hair": "blue"}, "trained without labels"),
    ],
)
def test_unknown_attributes_and_values_are_refused(attributes, requested, sentence):
    with pytest.raises(UserError, match=sentence):
        choose(attributes, PRIORS, [0], requested)


@pytest.mark.parametrize(
    ("attributes", "priors"),
    [
        ({"hair": ("red",)}, ((0, 3),)),
        ({"hair": ("red", "red")}, ((0, 3),)),
        ({"ha ir": ("red", "blue")}, ((0, 3),)),
        (ATTRIBUTES, ()),
        ({}, PRIORS),
        (ATTRIBUTES, ((1, 0),)),
        (ATTRIBUTES, ((3, 0, 5),)),
        (ATTRIBUTES, ((-2, 0, 5),)),
        ({"hair": ("any", "blue")}, ((0, 3),)),
        ({"hair": ("", "blue")}, ((0, 3),)),
        ({"hair": ("\x1b[31mred", "blue")}, ((0, 3),)),
        ({"hair": ("x" * 101, "blue")}, ((0, 3),)),
        (ATTRIBUTES, ((1, 0, 0),)),
        ({f"a{i}": ("x", "y") for i in range(33)}, ((0,) * 33 + (1,),)),
    ],
)
def test_attributes_that_do_not_fit_their_priors_are_refused(attributes, priors):
    with pytest.raises(UserError):
        check_attributes(attributes, priors)


def test_valid_attributes_pass():
    check_attributes(ATTRIBUTES, PRIORS)
    check_attributes({}, ())
    check_attributes({"hair": ("light\u00a0blue", "灰色\u3000薄い")}, ((0, 1), (1, 1)))


@pytest.mark.parametrize("value", ["a\x1b[2J", "a\tb", "\ud800", "\u202egnol", "x" * 101, ""])
def test_values_that_could_mislead_a_terminal_are_refused(value):
    with pytest.raises(UserError, match="cannot be requested"):
        check_attributes({"hair": ("blue", value)}, ((0, 1),))
