import numpy as np
import pytest

from nijigan.errors import UserError
from nijigan.generator.attributes import check_attributes, choose, combinations
from nijigan.generator.latents import uniforms

ATTRIBUTES = {"hair": ("black", "blue", "red"), "eyes": ("green", "red")}
PRIORS = ((1, 0, 50), (0, 1, 30), (1, 1, 20))


def test_combinations_count_what_faces_have_together_gaps_included():
    codes = np.array([[1, 0], [0, 1], [1, 0], [-1, 0], [1, 0], [0, 1], [0, 0]])
    assert combinations(codes) == ((1, 0, 3), (0, 1, 2), (-1, 0, 1), (0, 0, 1))


def test_gaps_are_drawn_as_often_as_the_data_has_them():
    codes = choose(ATTRIBUTES, ((1, -1, 60), (1, 0, 40)), range(20_000), {"hair": "blue"})
    assert np.mean(codes[:, 1] == -1) == pytest.approx(0.6, abs=0.015)


def test_no_seeds_are_no_faces():
    assert choose(ATTRIBUTES, PRIORS, [], {}).shape == (0, 2)


def test_a_seed_chooses_by_its_place_in_the_cumulative_counts():
    seeds = range(1000)
    u = 100 * uniforms(seeds, 1, stream=1)[:, 0]
    by_hand = [(1, 0) if x < 50 else (0, 1) if x < 80 else (1, 1) for x in u]
    np.testing.assert_array_equal(choose(ATTRIBUTES, PRIORS, seeds, {}), by_hand)


def test_what_is_left_to_chance_follows_the_conditional_distribution():
    codes = choose(ATTRIBUTES, PRIORS, range(20_000), {"hair": "blue"})
    assert (codes[:, 0] == 1).all()
    assert np.mean(codes[:, 1] == 0) == pytest.approx(50 / 70, abs=0.01)


def test_a_combination_that_no_face_has_leaves_the_rest_to_all_faces():
    codes = choose(ATTRIBUTES, PRIORS, range(20_000), {"hair": "red"})
    assert (codes[:, 0] == 2).all()
    assert np.mean(codes[:, 1] == 0) == pytest.approx(0.5, abs=0.015)
    np.testing.assert_array_equal(choose(ATTRIBUTES, PRIORS, [5], {"hair": "red", "eyes": "green"}), [[2, 0]])


def test_unknown_can_be_asked_for_where_some_face_is_unlabelled():
    priors = ((1, -1, 60), (1, 0, 40))
    np.testing.assert_array_equal(choose(ATTRIBUTES, priors, [5], {"eyes": "unknown"}), [[1, -1]])
    with pytest.raises(UserError, match="hair cannot be unknown; choose black, blue, red or any"):
        choose(ATTRIBUTES, priors, [5], {"hair": "unknown"})


def test_any_asks_for_nothing():
    np.testing.assert_array_equal(
        choose(ATTRIBUTES, PRIORS, range(100), {"hair": "any"}), choose(ATTRIBUTES, PRIORS, range(100), {})
    )


def test_choosing_is_independent_of_the_latents_and_of_other_seeds():
    alone = [choose(ATTRIBUTES, PRIORS, [seed], {})[0] for seed in range(50)]
    np.testing.assert_array_equal(choose(ATTRIBUTES, PRIORS, range(50), {}), alone)
    both = np.corrcoef(uniforms(range(5000), 1, 0)[:, 0], uniforms(range(5000), 1, 1)[:, 0])[0, 1]
    assert abs(both) < 0.04


def test_without_attributes_codes_are_empty():
    assert choose({}, (), range(7), {}).shape == (7, 0)


@pytest.mark.parametrize(
    ("attributes", "asked", "sentence"),
    [
        (ATTRIBUTES, {"hat": "blue"}, "has no attribute hat; its attributes are hair, eyes"),
        (ATTRIBUTES, {"hair": "mauve"}, "hair cannot be mauve; choose black, blue, red or any"),
        ({}, {"hair": "blue"}, "trained without attributes"),
    ],
)
def test_unknown_attributes_and_values_are_refused(attributes, asked, sentence):
    with pytest.raises(UserError, match=sentence):
        choose(attributes, PRIORS, [0], asked)


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
def test_what_does_not_belong_together_is_refused(attributes, priors):
    with pytest.raises(UserError):
        check_attributes(attributes, priors)


def test_sound_attributes_pass():
    check_attributes(ATTRIBUTES, PRIORS)
    check_attributes({}, ())
