"""Attributes that a generator obeys: which values can be asked for, and what chance makes of the rest.

A value is known to networks by its code, its place in the vocabulary. What the training faces had travels in
the generator's file as combinations, so that an attribute nobody asked for is drawn from the data's conditional
distribution given the others:

1. Of the combinations, in the order of the file, those that agree with everything asked for are kept; if there are
   none, all are.
2. The seed's first uniform number u of the attributes' stream (see `nijigan.latents`), in float64, picks the first of
   them at which the faces counted so far exceed u times their sum.
3. Its values are taken where nothing was asked for.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nijigan.errors import UserError
from nijigan.latents import ATTRIBUTE_STREAM, uniforms
from nijigan.parts import check

Codes = npt.NDArray[np.int64]
"""N×A: for each of N faces the place of its value in each of A vocabularies."""
Combination = tuple[int, ...]
"""A codes, and how many faces have them all."""

ANY = "any"
"""Asked for in place of a value, it leaves the attribute to chance."""

_MOST_ATTRIBUTES = 32
_MOST_VALUES = 256
_MOST_COMBINATIONS = 100_000


def combinations(codes: Codes) -> tuple[Combination, ...]:
    """Count which values go together, the most frequent first; faces with an unknown value, -1, are left out."""
    counts = Counter(map(tuple, codes[(codes >= 0).all(axis=1)].tolist()))
    return tuple((*values, count) for values, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def check_attributes(attributes: Mapping[str, Sequence[str]], priors: Sequence[Combination]) -> None:
    """Refuse, with a `UserError`, vocabularies and combinations that do not belong together or are absurdly many."""
    check(len(attributes) <= _MOST_ATTRIBUTES, f"At most {_MOST_ATTRIBUTES} attributes can be told apart.")
    for name, values in attributes.items():
        check(name.isidentifier() and name.isascii(), "An attribute's name is not of letters, digits and underscores.")
        check(
            2 <= len(values) <= _MOST_VALUES and len(set(values)) == len(values),
            f"The attribute {name} has {len(values)} values; 2 to {_MOST_VALUES} different ones are possible.",
        )
    check(len(priors) <= _MOST_COMBINATIONS, f"At most {_MOST_COMBINATIONS:,} combinations of values can be stored.")
    check(bool(priors) == bool(attributes), "Attributes and the combinations of their values must come together.")
    sizes = [len(values) for values in attributes.values()]
    for row in priors:
        fits = len(row) == len(sizes) + 1 and all(0 <= c < size for c, size in zip(row, sizes, strict=False))
        check(fits and 1 <= row[-1] < 2**40, "A combination of attributes does not fit the vocabularies.")


def choose(
    attributes: Mapping[str, Sequence[str]],
    priors: Sequence[Combination],
    seeds: Sequence[int] | npt.NDArray[np.integer],
    asked: Mapping[str, str],
) -> Codes:
    """Decide what each face is to be, as the module's docstring specifies.

    Args:
        attributes: every attribute's vocabulary.
        priors: see `combinations`.
        seeds: N integers in [0, 2^63).
        asked: a value for some of the attributes; `ANY` asks for nothing.

    Returns:
        int64, N×A.

    Raises:
        UserError: there is no such attribute or value; the sentence lists them.
    """
    wanted = _wanted(attributes, asked)  # A; -1 is left to chance
    if not attributes:
        return np.empty((len(seeds), 0), np.int64)
    table = np.array(priors, np.int64)
    values, counts = table[:, :-1], table[:, -1]
    agree = ((values == wanted) | (wanted < 0)).all(axis=1)
    if agree.any():
        values, counts = values[agree], counts[agree]
    total = np.cumsum(counts)
    rows = np.searchsorted(total, uniforms(seeds, 1, ATTRIBUTE_STREAM)[:, 0] * total[-1], side="right")
    return np.where(wanted < 0, values[np.minimum(rows, len(values) - 1)], wanted)


def _wanted(attributes: Mapping[str, Sequence[str]], asked: Mapping[str, str]) -> Codes:
    for name, value in asked.items():
        if not attributes:
            raise UserError(f"This generator has no {name}: it was trained without attributes; leave it out.")
        if name not in attributes:
            raise UserError(f"This generator has no {name}; it knows {', '.join(attributes)}.")
        if value != ANY and value not in attributes[name]:
            raise UserError(f"{name} cannot be {value}; choose {', '.join(attributes[name])} or {ANY}.")
    values = (asked.get(name, ANY) for name in attributes)
    codes = [
        -1 if value == ANY else list(words).index(value)
        for value, words in zip(values, attributes.values(), strict=True)
    ]
    return np.array(codes, np.int64)
