"""What `generate` and `walk` share: attributes as options, seeds, sizes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from itertools import chain
from typing import TYPE_CHECKING

import tyro

from nijigan.errors import UserError

if TYPE_CHECKING:
    from nijigan.generator.generator import Generator

Requested = tyro.conf.Suppress[dict[str, str]]
"""Attribute → value. Only the generator knows its attributes, so these options are removed before tyro parses."""

_SHOWN = 60  # characters of what was typed, in a message


def take_attributes(arguments: Sequence[str], command: type) -> tuple[list[str], dict[str, str]]:
    """Split the arguments of a command into its own and the attributes: `--hair blue` or `--hair=blue`.

    The value of an attribute is empty if none was typed; `check_requested` refuses it, with the values that exist.

    Raises:
        UserError: an option is given twice, or one of the command's has an empty value.
    """
    options = _options(command)
    known, requested, words, seen = [], {}, list(arguments), set()
    while words:
        typed, equals, value = words.pop(0).partition("=")
        name = typed.removeprefix("--").replace("-", "_")
        is_option = typed.startswith("--") and typed != "--"
        if is_option and name in seen:
            raise UserError(f"{typed} is given twice; give it once.")
        if is_option:
            seen.add(name)
        is_known = name.removeprefix("no_") in options
        if is_known and is_option and not value and (equals or words[:1] == [""]):
            raise UserError(f"{typed} has no value; give one, or omit it.")
        if not is_option or is_known:
            known.append(typed + equals + value)
        elif equals or not words or words[0].startswith("-"):
            requested[name] = value
        else:
            requested[name] = words.pop(0)
    return known, requested


def check_requested(
    requested: Mapping[str, str], generator: "Generator", command: type, sibling: type
) -> dict[str, str]:
    """Turn typed values into values of the generator; case, width and extra spaces do not matter.

    Args:
        requested: what `take_attributes` returns.
        generator: the generator, which knows its attributes.
        command: the command's dataclass.
        sibling: another command that takes attributes, whose options may have been meant.

    Raises:
        UserError: an option is neither the command's nor an attribute of the generator, or has no value.
    """
    from nijigan.generator.attributes import choices, matching_value

    attributes, found = generator.header.attributes, {}
    for name, value in requested.items():
        if name not in attributes:
            raise UserError(_unknown(name, attributes, command, sibling))
        if not value.strip():
            raise UserError(f"{_option(name)} has no value; choose {choices(attributes[name])}.")
        found[name] = matching_value(value, attributes[name])
    return found


def chosen_seeds(text: str | None, n: int, seed: int | None) -> Sequence[int]:
    """The seeds of --seeds, or else n consecutive ones.

    Raises:
        UserError: `text` is not numbers and ranges such as 3,17,99 or 3-9, or a number is out of range.
    """
    from nijigan.generator.latents import MOST_SEEDS, check_seed, check_seeds, consecutive_seeds

    if text is None:
        return consecutive_seeds(seed or 0, n)
    ranges, total = [], 0
    for part in text.split(","):
        typed = re.fullmatch(r"\s*([0-9]{1,30})(?:-([0-9]{1,30}))?\s*", part)
        if not typed:
            raise UserError(f"--seeds {text[:_SHOWN]} is not valid; write numbers and ranges, such as 3,17,99 or 3-9.")
        first, last = int(typed[1]), int(typed[2] or typed[1])
        check_seed(first)
        check_seed(last)
        if last < first:
            raise UserError(f"--seeds has the range {first}-{last}; write the smaller number first.")
        total += last - first + 1
        if total > MOST_SEEDS:
            raise UserError(f"--seeds has more than {MOST_SEEDS:,} seeds; choose fewer.")
        ranges.append(range(first, last + 1))
    seeds = ranges[0] if len(ranges) == 1 else tuple(chain.from_iterable(ranges))
    check_seeds(seeds)
    return seeds


def chosen_scale(scale: int | None, size: int | None, resolution: int, default: int) -> int:
    """The factor of --scale, or that by which faces get the size of --size.

    Raises:
        UserError: both are given, or one of them is out of range, or `size` is not a multiple of the resolution.
    """
    from nijigan.generator.request import LONGEST_SIDE

    largest = LONGEST_SIDE // resolution
    if size is not None and scale is not None:
        raise UserError("--scale and --size both set the size of the faces; give one of them.")
    if size is None:
        scale = default if scale is None else scale
        if not 1 <= scale <= largest:
            raise UserError(f"--scale is {scale}, which is out of range; choose 1 to {largest} for this generator.")
        return scale
    if not 1 <= size <= largest * resolution:
        raise UserError(
            f"--size is {size}, which is out of range; choose a multiple of {resolution} up to {largest * resolution} "
            "for this generator."
        )
    if size % resolution:
        below = max(1, size // resolution)
        near = [str(factor * resolution) for factor in dict.fromkeys((below, below + 1)) if factor <= largest]
        raise UserError(
            f"--size cannot be {size}: this generator makes {resolution} pixels, enlarged by whole factors. "
            f"Choose {' or '.join(near)}."
        )
    return size // resolution


def vocabulary_text() -> str:
    """The attributes of the packaged generator and their values, for help; empty if it has none."""
    from nijigan.assets import packaged_vocabulary

    lines = [f"{_option(name)}: {', '.join(values)}" for name, values in packaged_vocabulary().items()]
    return "\n".join(["Attributes of the packaged generator:", *lines]) if lines else ""


def _unknown(name: str, attributes: Mapping[str, Sequence[str]], command: type, sibling: type) -> str:
    """What to say about an option that does not exist."""
    if name in _options(sibling):
        return f"{_option(name)} is an option of `nijigan {sibling.__name__.lower()}` only; omit it."
    words = [*_options(command), *attributes]
    near = get_close_matches(name.lower(), words, n=1, cutoff=0.7) or [w for w in words if w.startswith(name.lower())]
    shown = _option(name[:_SHOWN])
    if near:
        return f"Unknown option {shown}. Did you mean {_option(near[0])}?"
    if not attributes:
        return f"This generator was trained without labels, so {shown} cannot be requested; omit it."
    return f"Unknown option {shown}. (This model's attributes: {', '.join(attributes)}.)"


def _options(command: type) -> set[str]:
    return {part.name for part in fields(command)} - {"attributes", "model"} | {"help"}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
