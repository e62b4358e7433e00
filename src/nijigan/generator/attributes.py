"""The attributes of a conditional generator: which values can be requested, and how the others are sampled.

Networks see a value as its code, its index in the attribute's vocabulary. The generator's file stores how often each
combination of codes occurred among the training faces, so that an attribute that is not requested is sampled from the
training distribution, conditional on those that are. Faces without a label count too: its code, -1, can be sampled.

The specification:

1. Keep the combinations, in the order of the file, that match all requested values. If none does, keep all.
2. Let u be the first uniform number, in float64, of the seed's attribute stream (see `nijigan.generator.latents`). Take
   the first combination at which the cumulative count exceeds u times the total
   count of those kept.
3. Use its values for the attributes that were not requested.
"""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Codes
from nijigan.errors import UserError, check
from nijigan.generator.latents import ATTRIBUTE_STREAM, uniforms
from nijigan.safe_text import ANY, LONGEST_VALUE, UNKNOWN, is_safe

Combination = tuple[int, ...]
"""The codes of A attributes, and the number of training faces that have them all."""

_SAMPLED = -2

_MOST_ATTRIBUTES = 32
_MOST_VALUES = 256
_MOST_COMBINATIONS = 10_000


def combinations(codes: Codes) -> tuple[Combination, ...]:
    """Count the combinations of codes, -1 for unknown included; the most frequent comes first."""
    counts = Counter(map(tuple, codes.tolist()))
    return tuple((*values, count) for values, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def check_attributes(attributes: Mapping[str, Sequence[str]], priors: Sequence[Combination]) -> None:
    """Refuse, with a `UserError`, vocabularies and combinations that do not fit each other or are too many."""
    check(len(attributes) <= _MOST_ATTRIBUTES, f"A generator can have at most {_MOST_ATTRIBUTES} attributes.")
    for name, values in attributes.items():
        check(
            name.isidentifier() and name.isascii() and len(name) <= LONGEST_VALUE,
            f"The name of an attribute may contain at most {LONGEST_VALUE} ASCII letters, digits and underscores.",
        )
        check(
            2 <= len(values) <= _MOST_VALUES and len(set(values)) == len(values),
            f"The attribute {name} needs 2 to {_MOST_VALUES} different values; choose others with --attributes.",
        )
        for value in values:
            check(
                0 < len(value) <= LONGEST_VALUE and is_safe(value) and value not in (ANY, UNKNOWN),
                f"{name} has the value {ascii(value)[:80]}, which cannot be requested; rename it with import --merge.",
            )
    check(
        len(priors) <= _MOST_COMBINATIONS,
        f"The attributes occur in {len(priors):,} combinations (limit: {_MOST_COMBINATIONS:,}); choose fewer with "
        "--attributes.",
    )
    check(bool(priors) == bool(attributes), "Attributes and the combinations of their values must be given together.")
    sizes = [len(values) for values in attributes.values()]
    for row in priors:
        fits = len(row) == len(sizes) + 1 and all(-1 <= c < size for c, size in zip(row, sizes, strict=False))
        check(fits and 1 <= row[-1] < 2**40, "A combination of attributes does not fit the vocabularies.")


def choose(
    attributes: Mapping[str, Sequence[str]],
    priors: Sequence[Combination],
    seeds: Sequence[int] | npt.NDArray[np.integer],
    requested: Mapping[str, str],
) -> Codes:
    """Choose the attribute values of each face, as the module's docstring specifies.

    Args:
        attributes: the vocabulary of every attribute.
        priors: see `combinations`.
        seeds: N integers in [0, 2^63).
        requested: values of some of the attributes; `ANY` is the same as no request.

    Returns:
        int64, N×A; -1 for an unknown value, whether requested or sampled.

    Raises:
        UserError: there is no such attribute or value; the message lists those that exist.
    """
    fixed = _fixed_codes(attributes, priors, requested)  # A
    if not attributes or len(seeds) == 0:
        return np.empty((len(seeds), len(attributes)), np.int64)
    table = np.array(priors, np.int64)
    values, counts = table[:, :-1], table[:, -1]
    matches = ((values == fixed) | (fixed == _SAMPLED)).all(axis=1)
    if matches.any():
        values, counts = values[matches], counts[matches]
    total = np.cumsum(counts)
    rows = np.searchsorted(total, uniforms(seeds, 1, ATTRIBUTE_STREAM)[:, 0] * total[-1], side="right")
    return np.where(fixed == _SAMPLED, values[np.minimum(rows, len(values) - 1)], fixed)


def has_unlabelled(priors: Sequence[Combination], column: int) -> bool:
    """Whether some training faces had no label of an attribute; otherwise its code -1 is untrained."""
    return any(row[column] < 0 for row in priors)


def choices(values: Sequence[str]) -> str:
    """The values that can be requested, as messages list them."""
    return f"{', '.join(values)} or {ANY}"


def matching_value(typed: str, values: Sequence[str]) -> str:
    """The value that was meant: differences of case, width and spaces do not count. Without one, what was typed."""
    words = (*values, UNKNOWN, ANY)
    alike = [word for word in words if _plain(word) == _plain(typed)]
    return typed if typed in words or len(alike) != 1 else alike[0]


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _fixed_codes(
    attributes: Mapping[str, Sequence[str]], priors: Sequence[Combination], requested: Mapping[str, str]
) -> Codes:
    """The requested code of each attribute, or `_SAMPLED`."""
    for name, value in requested.items():
        if not attributes:
            raise UserError(
                f"This generator was trained without labels, so {name[:LONGEST_VALUE]} cannot be requested; omit it."
            )
        if name not in attributes:
            raise UserError(
                f"This generator has no attribute {name[:LONGEST_VALUE]}; its attributes are {', '.join(attributes)}."
            )
        column = list(attributes).index(name)
        others = (UNKNOWN, ANY) if has_unlabelled(priors, column) else (ANY,)
        if value not in (*attributes[name], *others):
            raise UserError(
                f"{name} cannot be {str(value)[:LONGEST_VALUE]}; choose {choices((*attributes[name], *others[:-1]))}."
            )
    codes = {name: {ANY: _SAMPLED, UNKNOWN: -1} | {v: c for c, v in enumerate(vs)} for name, vs in attributes.items()}
    return np.array([codes[name][requested.get(name, ANY)] for name in attributes], np.int64)
