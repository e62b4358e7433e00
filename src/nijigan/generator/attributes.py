"""Attributes that a generator obeys: which values can be asked for, and what chance makes of the rest.

A value is known to networks by its code, its place in the vocabulary. What the training faces had travels in
the generator's file as combinations, so that an attribute nobody asked for is drawn from the data's conditional
distribution given the others. Faces whose value is unknown count like all: -1, the code for it, may be drawn.

1. Of the combinations, in the order of the file, those that agree with everything asked for are kept; if there are
   none, all are.
2. The seed's first uniform number u of the attributes' stream (see `nijigan.generator.latents`), in float64, picks the
   first of them at which the faces counted so far exceed u times their sum.
3. Its values are taken where nothing was asked for.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Codes
from nijigan.errors import UserError, check
from nijigan.generator.latents import ATTRIBUTE_STREAM, uniforms
from nijigan.vocabulary import ANY, LONGEST_VALUE, UNKNOWN

Combination = tuple[int, ...]
"""A codes, and how many faces have them all."""

_CHANCE = -2

_MOST_ATTRIBUTES = 32
_MOST_VALUES = 256
_MOST_COMBINATIONS = 10_000


def combinations(codes: Codes) -> tuple[Combination, ...]:
    """Count which values go together, the most frequent first; an unknown one is -1 here as well."""
    counts = Counter(map(tuple, codes.tolist()))
    return tuple((*values, count) for values, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def check_attributes(attributes: Mapping[str, Sequence[str]], priors: Sequence[Combination]) -> None:
    """Refuse, with a `UserError`, vocabularies and combinations that do not belong together or are absurdly many."""
    check(len(attributes) <= _MOST_ATTRIBUTES, f"At most {_MOST_ATTRIBUTES} attributes can be told apart.")
    for name, values in attributes.items():
        check(name.isidentifier() and name.isascii(), "An attribute's name is not of letters, digits and underscores.")
        check(
            2 <= len(values) <= _MOST_VALUES and len(set(values)) == len(values),
            f"The attribute {name} needs 2 to {_MOST_VALUES} different values; choose others with --attributes.",
        )
        for value in values:
            check(
                0 < len(value) <= LONGEST_VALUE and value.isprintable() and value not in (ANY, UNKNOWN),
                f"{name} cannot have the value {ascii(value)[:80]}, which nobody could ask for; import with --merge.",
            )
    check(
        len(priors) <= _MOST_COMBINATIONS,
        f"The attributes occur in {len(priors):,} combinations, more than {_MOST_COMBINATIONS:,}; choose fewer with "
        "--attributes.",
    )
    check(bool(priors) == bool(attributes), "Attributes and the combinations of their values must come together.")
    sizes = [len(values) for values in attributes.values()]
    for row in priors:
        fits = len(row) == len(sizes) + 1 and all(-1 <= c < size for c, size in zip(row, sizes, strict=False))
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
        int64, N×A; -1 where nothing was asked for and a face without that label was drawn.

    Raises:
        UserError: there is no such attribute or value; the sentence lists them.
    """
    wanted = _wanted(attributes, priors, asked)  # A
    if not attributes or len(seeds) == 0:
        return np.empty((len(seeds), len(attributes)), np.int64)
    table = np.array(priors, np.int64)
    values, counts = table[:, :-1], table[:, -1]
    agree = ((values == wanted) | (wanted == _CHANCE)).all(axis=1)
    if agree.any():
        values, counts = values[agree], counts[agree]
    total = np.cumsum(counts)
    rows = np.searchsorted(total, uniforms(seeds, 1, ATTRIBUTE_STREAM)[:, 0] * total[-1], side="right")
    return np.where(wanted == _CHANCE, values[np.minimum(rows, len(values) - 1)], wanted)


def _wanted(attributes: Mapping[str, Sequence[str]], priors: Sequence[Combination], asked: Mapping[str, str]) -> Codes:
    for name, value in asked.items():
        if not attributes:
            raise UserError(f"This generator has no {name}: it was trained without attributes; leave it out.")
        if name not in attributes:
            raise UserError(f"This generator has no {name}; it knows {', '.join(attributes)}.")
        column = list(attributes).index(name)
        unlabelled = any(row[column] < 0 for row in priors)  # else nothing has learnt what an unknown value looks like
        others = (UNKNOWN, ANY) if unlabelled else (ANY,)
        if value not in (*attributes[name], *others):
            choice = ", ".join((*attributes[name], *others[:-1]))
            raise UserError(f"{name} cannot be {value}; choose {choice} or {ANY}.")
    codes = {name: {ANY: _CHANCE, UNKNOWN: -1} | {v: c for c, v in enumerate(vs)} for name, vs in attributes.items()}
    return np.array([codes[name][asked.get(name, ANY)] for name in attributes], np.int64)
