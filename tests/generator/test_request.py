import pytest

from nijigan.errors import UserError
from nijigan.generator.generator import Face
from nijigan.generator.request import Request
from small import ATTRIBUTES, small_generator


@pytest.fixture(scope="module")
def conditional():
    return small_generator(**ATTRIBUTES)


def test_what_follows_from_a_grid():
    request = Request(small_generator(), 5, seed=7, scale=3)
    assert (list(request.seeds), request.rows, request.count) == ([7, 8, 9, 10, 11], (), 5)
    assert (request.side, request.per_row, request.canvas) == (96, 3, (2 * 98 + 2, 3 * 98 + 2))
    assert Request(small_generator(), 5, columns=2).canvas == (3 * 34 + 2, 2 * 34 + 2)


def test_what_follows_from_a_matrix(conditional):
    request = Request(conditional, 4, seed=7, attributes={"eyes": "red"}, each="hair")
    assert (request.rows, request.count, request.per_row) == (("black", "blue", "red"), 12, 4)
    assert request.codes(request.seeds, row=2).tolist() == 4 * [[2, 1]]


def test_a_face_records_what_was_requested_and_in_a_matrix_all_values(conditional):
    plain = Request(conditional, 1, seed=7, psi=0.5, attributes={"hair": "any", "eyes": "red"})
    codes = plain.codes(plain.seeds)[0]
    assert plain.face(7, codes) == Face(conditional.weights_hash, 7, 0.5, {"eyes": "red"})
    matrix = Request(conditional, 1, seed=7, each="hair")
    codes = matrix.codes(matrix.seeds, row=1)[0]
    assert matrix.face(7, codes).attributes == {"hair": "blue", "eyes": ("green", "red")[codes[1]]}


def test_a_request_that_cannot_be_met_does_not_exist(conditional):
    """Every check runs when the request is made, whatever is done with it later."""
    for wrong, sentence in (
        ({"n": 0}, "1 or more, not 0"),
        ({"n": 2, "seed": 2**63 - 1}, "seed"),
        ({"n": 1, "psi": 2.5}, "psi"),
        ({"n": 1, "scale": 512}, "choose 1 to 511"),
        ({"n": 1, "columns": 0}, "columns must be 1 or more"),
        ({"n": 1, "attributes": {"hair": "mauve"}}, "hair cannot be mauve"),
        ({"n": 1, "each": "hat"}, "no attribute hat"),
        ({"n": 1, "each": "hair", "attributes": {"hair": "red"}}, "choose one of the two"),
        ({"n": 1, "each": "hair", "columns": 2}, "set n instead of columns"),
    ):
        with pytest.raises(UserError, match=sentence):
            Request(conditional, **wrong)
