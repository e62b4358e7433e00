import numpy as np
import pytest

from nijigan.errors import UserError
from nijigan.generator.face import Face
from nijigan.generator.request import Request
from small import ATTRIBUTES, small_generator


@pytest.fixture(scope="module")
def conditional():
    return small_generator(**ATTRIBUTES)


def test_what_follows_from_a_grid():
    request = Request(small_generator(), range(7, 12), scale=3)
    assert (list(request.seeds), request.rows, request.count) == ([7, 8, 9, 10, 11], (), 5)
    assert (request.side, request.per_row, request.canvas) == (96, 3, (2 * 98 + 2, 3 * 98 + 2))
    assert Request(small_generator(), range(5), columns=2).canvas == (3 * 34 + 2, 2 * 34 + 2)


def test_what_follows_from_a_matrix(conditional):
    request = Request(conditional, range(7, 11), attributes={"eyes": "red"}, each="hair")
    assert (request.rows, request.count, request.per_row) == (("black", "blue", "red"), 12, 4)
    assert request.codes(request.seeds, row=2).tolist() == 4 * [[2, 1]]


def test_a_face_records_what_was_requested_and_in_a_matrix_all_values(conditional):
    plain = Request(conditional, [7], psi=0.5, attributes={"hair": "any", "eyes": "red"})
    codes = plain.codes(plain.seeds)[0]
    assert plain.face(7, codes) == Face(conditional.weights_hash, 7, 0.5, {"eyes": "red"})
    matrix = Request(conditional, [7], each="hair")
    codes = matrix.codes(matrix.seeds, row=1)[0]
    assert matrix.face(7, codes).attributes == {"hair": "blue", "eyes": ("green", "red")[codes[1]]}


def test_a_request_that_cannot_be_met_does_not_exist(conditional):
    """Every check runs when the request is made, whatever is done with it later."""
    for wrong, sentence in (
        ({"seeds": []}, "choose 1 to 10,000,000"),
        ({"seeds": range(10_000_001)}, "choose 1 to 10,000,000"),
        ({"seeds": [3, -1]}, "The seed -1 is out of range"),
        ({"seeds": range(2**63 - 1, 2**63 + 1)}, "seed"),
        ({"seeds": [3, 17, 3]}, "The seed 3 is given twice"),
        ({"psi": 2.5}, "psi"),
        ({"scale": 512}, "choose 1 to 511"),
        ({"scale": 10**30}, "choose 1 to 511"),
        ({"columns": 0}, "columns must be 1 or more"),
        ({"attributes": {"hair": "mauve"}}, "hair cannot be mauve"),
        ({"each": "hat"}, "no attribute hat"),
        ({"each": "hair", "attributes": {"hair": "red"}}, "choose one of the two"),
    ):
        with pytest.raises(UserError, match=sentence):
            Request(conditional, **({"seeds": [7]} | wrong))


def test_rows_of_a_matrix_are_wrapped_into_columns(conditional):
    request = Request(conditional, range(7), each="hair", columns=3)
    assert (request.per_row, request.lines, request.count) == (3, 3, 21)
    assert request.canvas[0] == 9 * 34 + 2


def test_a_record_lists_seeds_unless_they_are_consecutive(conditional):
    assert Request(conditional, (7, 8, 9)).record["seed"] == 7
    assert "seed" not in Request(conditional, (7, 9, 8)).record
    assert Request(conditional, np.array([7, 9, 8])).record["seeds"] == [7, 9, 8]
