"""How families are divided into train, val and test."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nijigan.dataset.manifest import SPLITS
from nijigan.dataset.splits import (
    RANKED_BELOW,
    assign_splits,
    crop_family,
    split_advice,
    split_again,
    split_of,
)

COLLECTIONS = json.loads((Path(__file__).parent / "collection_splits.json").read_text())


def digests(count: int, salt: str = "") -> list[str]:
    return [hashlib.sha256(f"{salt}{n}".encode()).hexdigest() for n in range(count)]


def fresh(families: list[str], holdout: float) -> list[str]:
    return assign_splits(families, [None] * len(families), 0, range(len(families)), holdout)


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.floats(0, 0.99), st.floats(0, 0.99))
def test_a_larger_holdout_only_takes_from_train(digest: bytes, one: float, other: float) -> None:
    small, large = (split_of(digest.hex(), holdout) for holdout in sorted((one, other)))
    assert small in ("train", large)


def test_the_shares_of_the_splits() -> None:
    splits = fresh(digests(20_000), 0.2)
    assert [splits.count(split) / 20_000 for split in SPLITS] == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    assert set(fresh(digests(600), 0)) == {"train"}


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_the_splits_of_public_collections_stay(collection: str) -> None:
    sample = {prefix: split for split, text in COLLECTIONS[collection]["sample"].items() for prefix in text.split()}
    assert len(sample) >= 1000
    assert {prefix: split_of(prefix, 0.2) for prefix in sample} == sample
    families = [prefix.ljust(64, "0") for prefix in sample]
    assert fresh(families, 0.2) == list(sample.values())


@pytest.mark.parametrize("holdout", [0, 0.1, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("count", [20, 21, 38, 60, 199, RANKED_BELOW - 1])
def test_shares_hold_from_twenty_faces_on(count: int, holdout: float) -> None:
    for salt in "abc":
        splits = fresh(digests(count, salt), holdout)
        for split in ("val", "test"):
            assert abs(splits.count(split) - count * holdout / 2) <= 0.5
    assert split_again(digests(count, "a"), holdout) == fresh(digests(count, "a"), holdout)


def test_ranks_follow_hashes_and_families_stay_together() -> None:
    families = [family for n, family in enumerate(digests(80)) for _ in range(1 + n % 3)]
    splits = fresh(families, 0.4)
    assert len(set(zip(families, splits, strict=True))) == 80
    assert [splits.count(split) / len(splits) for split in SPLITS] == pytest.approx([0.6, 0.2, 0.2], abs=0.02)
    ordered = [split for _, split in sorted(zip(families, splits, strict=True))]
    assert ordered == sorted(ordered, key=["val", "train", "test"].index)


def test_a_stored_split_stands_and_newcomers_go_by_their_hash() -> None:
    old, new = digests(30), digests(300, "new")
    before = fresh(old, 0.2)
    after = assign_splits(old + new, [*before, *[None] * 300], 30, range(330), 0.4)
    assert after[:30] == before
    assert after[30:] == [split_of(family, 0.4) for family in new]


def test_newcomers_follow_their_family_and_then_the_dataset_that_they_come_from() -> None:
    a, b, c = digests(3)
    families, stored = [a, a, a, b, b, c], ["val", None, "train", "test", None, "val"]
    assert assign_splits(families, stored, 1, range(6), 0) == ["val", "val", "val", "test", "test", "val"]
    assert assign_splits(families, stored, 1, [1, 4], 0) == ["val", "test"]  # also from pictures that do not stay


def test_the_number_of_a_crop_is_at_the_end_of_its_source() -> None:
    assert crop_family("art/#3 b.png#0") == crop_family("art/#3 b.png#12") != crop_family("art/#4 b.png#0")
    assert crop_family("art/#3.png") is crop_family("art/a#1.png") is crop_family("") is crop_family("#1") is None


@pytest.mark.parametrize(
    ("faces", "minimum", "message"),
    [
        (38, 20, "until there are 67 faces or more, .*--holdout 0.6"),
        (70, 20, "nijigan split 'my faces' --holdout 0.6"),
        (100, 20, "or change the splits: nijigan split 'my faces' --holdout 0.4"),
        (20_000, 20, "--holdout 0.2"),
        (9, 1, "--holdout 0.3"),
    ],
)
def test_the_advice_for_small_splits(faces: int, minimum: int, message: str) -> None:
    text = split_advice(Path("my faces"), faces, minimum)
    assert re.search(message, text)
    splits = fresh(digests(max(faces, 67 if minimum == 20 else faces)), float(text.rpartition(" ")[2]))
    assert min(splits.count(split) for split in SPLITS) >= minimum


def test_a_family_from_two_datasets_has_one_split() -> None:
    families = ["a" * 64, "b" * 64, "a" * 64, "b" * 64]
    assert assign_splits(families, ["train", "test", "val", "test"], 0, range(4), 0.2) == ["train", "test"] * 2
    assert assign_splits(families, ["train", "test", "val", "train"], 2, range(4), 0.2) == ["train", "test"] * 2
