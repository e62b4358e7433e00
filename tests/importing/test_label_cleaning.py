from dataclasses import fields

import numpy as np
import pytest

from nijigan.cli.generate import Generate, Walk
from nijigan.errors import UserError
from nijigan.importing.label_cleaning import (
    MAX_VALUES,
    Merge,
    apply_readings,
    fill_gaps,
    forget_rare,
    forget_unusable,
    merge_values,
    parse_merge,
)
from nijigan.importing.labels.vocabulary import RESERVED
from nijigan.safe_text import LONGEST_VALUE


def test_merges_rename_values_of_one_attribute_or_of_all() -> None:
    columns = {"hair": ["orange", None, "red"], "eyes": ["orange", "blue", "grey"]}
    read = {"hair": [None, "orange", None]}
    merges = [parse_merge("Hair:orange=red"), parse_merge("grey=gray"), parse_merge("teal=aqua")]
    notes = merge_values([columns, read], merges)
    assert read == {"hair": [None, "red", None]}
    assert columns == {"hair": ["red", None, "red"], "eyes": ["orange", "blue", "gray"]}
    assert notes == ["merge: no picture has 'teal' for any attribute."]


@pytest.mark.parametrize("text", ["", "red", "=red", "red=", ":a=b", "hair:=b", "hair:purple=nothing:x=y", "a b:c=d"])
def test_merges_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="merge"):
        parse_merge(text)


def test_values_may_hold_a_colon() -> None:
    assert parse_merge("series:re:zero=rezero") == Merge("series", "re:zero", "rezero")
    assert parse_merge("mouth::d=smile") == Merge("mouth", ":d", "smile")


def test_values_that_nobody_could_ask_for_are_forgotten() -> None:
    longest = "x" * LONGEST_VALUE
    columns = {"hair": ["any", "unknown", "any", None], "eyes": [longest, longest + "x", "unknown", "anything"]}
    notes = forget_unusable(columns)
    assert columns == {"hair": [None] * 4, "eyes": [longest, None, None, "anything"]}
    assert [note.split(";")[0] for note in notes] == [
        "hair: 'unknown' counts as no tag",
        "hair: 'any' is a reserved word and is dropped, unless --merge renames it",
        "eyes: 'unknown' counts as no tag",
        "eyes: values longer than 100 characters are dropped",
    ]
    captions: list[str | None] = [f"{number} " + "x" * (number % 2 * LONGEST_VALUE) for number in range(MAX_VALUES + 1)]
    prose = {"text": list(captions)}
    assert forget_unusable(prose) == []
    assert prose["text"] == captions  # as a whole it is no attribute, which forget_rare says


def test_faces_take_the_labels_their_duplicates_agree_on() -> None:
    survivor = np.array([0, 0, 0, 3, 3, 3, 6, 6])
    columns = {"hair": [None, "red", "red", None, "red", "blue", "green", "red"]}
    fill_gaps(columns, survivor)
    assert [columns["hair"][row] for row in (0, 3, 6)] == ["red", None, "green"]


def test_rare_values_and_endless_ones_are_forgotten() -> None:
    many: list[str | None] = [str(number) for number in range(MAX_VALUES + 1)]
    columns = {"hair": ["red", "red", *["blue"] * (MAX_VALUES - 1)], "text": many, "empty": [None] * (MAX_VALUES + 1)}
    notes = forget_rare(columns, np.arange(1, MAX_VALUES + 1), 2)  # the first is no face: only one red is left
    assert set(columns) == {"hair"}
    assert set(columns["hair"]) == {None, "blue"}
    assert len(notes) == 2


def test_readings_only_fill_what_is_unknown_and_are_counted_on_faces_that_stay() -> None:
    columns = {"hair": ["red", None, None, None], "eyes": [None] * 4}
    read = {"hair": ["blue", "green", None, "pink"]}
    assert apply_readings(columns, read, np.array([0, 1, 2])) == {"hair": {"read": 1, "unread": 1}}
    assert columns == {"hair": ["red", "green", None, None], "eyes": [None] * 4}


def test_no_attribute_is_called_like_an_option_of_a_command_that_takes_attributes() -> None:
    options = {field.name for command in (Generate, Walk) for field in fields(command)}
    assert options - RESERVED == set()
