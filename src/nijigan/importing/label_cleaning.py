"""Prepare labels for a dataset: merge values, fill gaps from duplicates or readings, drop rare values."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nijigan.errors import UserError
from nijigan.safe_text import ANY, LONGEST_VALUE, UNKNOWN

MAX_VALUES = 256
"""A column with more values than this is not used as an attribute."""


Column = list[str | None]
"""The value of one attribute for every candidate; None if unknown."""


@dataclass(frozen=True)
class Merge:
    """A value to rename."""

    attribute: str | None
    """The attribute to rename it in; None for all."""
    old: str
    new: str


def parse_merge(text: str) -> Merge:
    """Parse `old=new` or `attribute:old=new`.

    Raises:
        UserError: the text is neither.
    """
    old, equals, new = text.lower().rpartition("=")
    attribute, colon, value = old.partition(":")
    merge = Merge(attribute.strip() if colon else None, (value if colon else old).strip(), new.strip())
    named = merge.attribute is None or re.fullmatch(r"[a-z]\w*", merge.attribute)
    if not (equals and merge.old and merge.new and named) or "=" in merge.old:
        raise UserError(
            f"merge {text!r} is not valid; write old=new or attribute:old=new, such as hair:orange=red; "
            "repeat the option for more."
        )
    return merge


def merge_values(tables: Sequence[dict[str, Column]], merges: Sequence[Merge]) -> list[str]:
    """Apply `merges` in order to every table, in place. Return a note for each merge that has no effect."""
    notes = []
    for merge in merges:
        touched = 0
        for columns in tables:
            for name, values in columns.items():
                if merge.attribute in (None, name):
                    touched += values.count(merge.old)
                    columns[name] = [merge.new if value == merge.old else value for value in values]
        if not touched:
            where = merge.attribute or "any attribute"
            notes.append(f"merge: no picture has {merge.old!r} for {where}.")
    return notes


def forget_unusable(columns: dict[str, Column]) -> list[str]:
    """Drop values that nobody could request, in place. Return notes.

    A column of more than `MAX_VALUES` values is left to `forget_rare`, which removes it.
    """
    notes = []
    for name, values in columns.items():
        counts = Counter(value for value in values if value is not None)
        if len(counts) > MAX_VALUES:
            continue
        long = {value for value in counts if len(value) > LONGEST_VALUE}
        columns[name] = [None if value in (ANY, UNKNOWN) or value in long else value for value in values]
        if UNKNOWN in counts:
            notes.append(f"{name}: {UNKNOWN!r} counts as no tag; pictures: {counts[UNKNOWN]:,}.")
        if ANY in counts:
            notes.append(
                f"{name}: {ANY!r} is a reserved word and is dropped, unless --merge renames it; pictures: "
                f"{counts[ANY]:,}."
            )
        if long:
            faces = sum(counts[value] for value in long)
            notes.append(f"{name}: values longer than {LONGEST_VALUE} characters are dropped; pictures: {faces:,}.")
    return notes


def fill_gaps(columns: dict[str, Column], survivor: npt.NDArray[np.int64]) -> list[str]:
    """Give an unlabelled face the label of its duplicates if they agree, in place.

    Args:
        columns: the attributes of all candidates.
        survivor: for each candidate, the row that is kept in its place.

    Returns:
        Notes about duplicates with another label than the face that stays.
    """
    notes = []
    duplicates = np.flatnonzero(survivor != np.arange(len(survivor))).tolist()
    for name, values in columns.items():
        offered: dict[int, set[str]] = {}
        differ = 0
        for row in duplicates:
            value = values[row]
            if value is not None and values[survivor[row]] is None:
                offered.setdefault(int(survivor[row]), set()).add(value)
            differ += value not in (None, values[survivor[row]]) and values[survivor[row]] is not None
        for row, options in offered.items():
            if len(options) == 1:
                values[row] = options.pop()
        if differ:
            notes.append(
                f"{name}: {differ:,} pictures have another tag than the face that stays in their place, which keeps "
                "its own. To change the tags of faces that are in a dataset, import into a new folder."
            )
    return notes


def apply_readings(
    columns: dict[str, Column], readings: dict[str, Column], kept: npt.NDArray[np.int64]
) -> dict[str, dict[str, int]]:
    """Fill missing labels of the rows `kept` with what was read from them, in place.

    Returns:
        For each attribute, how many of these rows were `read` and how many stayed `unread`.
    """
    counts = {}
    for name, read in readings.items():
        values = columns[name]
        unlabelled = [row for row in kept.tolist() if values[row] is None]
        for row in unlabelled:
            values[row] = read[row]
        unread = sum(values[row] is None for row in unlabelled)
        counts[name] = {"read": len(unlabelled) - unread, "unread": unread}
    return counts


def list_readings(columns: dict[str, Column], tagged: dict[str, set[int]], count: int) -> Column:
    """For each of `count` rows, the attributes that have a value but no tag, joined by commas; None if there are none.

    Args:
        columns: the attributes.
        tagged: for each attribute, the rows with a human tag.
        count: the number of rows.
    """
    human = {name: tagged.get(name, set()) for name in sorted(columns)}
    return [
        ",".join(name for name, rows in human.items() if columns[name][row] is not None and row not in rows) or None
        for row in range(count)
    ]


def forget_rare(columns: dict[str, Column], kept: npt.NDArray[np.int64], min_count: int) -> list[str]:
    """Drop values that fewer than `min_count` of the rows `kept` have, in place.

    An attribute that is left without values, or has more than `MAX_VALUES`, is removed.

    Returns:
        Notes for the report.
    """
    notes = []
    for name, values in list(columns.items()):
        counts = Counter(values[row] for row in kept if values[row] is not None)
        rare = {value for value, count in counts.items() if count < min_count}
        if rare:
            faces = sum(counts[value] for value in rare)
            notes.append(
                f"{name}: {len(rare):,} values with fewer than {min_count:,} faces dropped, from {faces:,} faces."
            )
            columns[name] = [None if value in rare else value for value in values]
        if len(counts) - len(rare) > MAX_VALUES:
            notes.append(
                f"{name} has {len(counts) - len(rare):,} values, above {MAX_VALUES}, and is not used as an attribute."
            )
            del columns[name]
        elif len(counts) == len(rare):
            del columns[name]
    return notes
