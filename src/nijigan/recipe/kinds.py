"""Fields of a recipe's part that only some kinds of the part have.

A part, such as the generator, has a field `kind`. `kind_field` declares a field together with the kinds that have it;
everything else is derived from that declaration. Under any other kind such a field must keep its default.
"""

from dataclasses import Field, field, fields, replace
from typing import Any, ClassVar, Protocol, TypeVar

from nijigan.errors import UserError

T = TypeVar("T")


class Part(Protocol):
    """A frozen dataclass with a field `kind`."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def kind(self) -> str:
        """The variant of the part, such as the architecture of the generator."""


P = TypeVar("P", bound=Part)


def kind_field(default: T, *kinds: str, carries_over: bool = True) -> T:
    """Declare a dataclass field that only some kinds have.

    Args:
        default: the default, and the only value allowed under other kinds.
        kinds: the kinds that have the field.
        carries_over: whether a recipe's value still makes sense when its kind changes to another one of `kinds`.
    """
    value: T = field(default=default, metadata={"kinds": kinds, "carries over": carries_over})
    return value


def has_kind_fields(config_class: Any) -> bool:
    """Whether `config_class` is a dataclass with fields that only some kinds have."""
    return any("kinds" in f.metadata for f in getattr(config_class, "__dataclass_fields__", {}).values())


def foreign_fields(config_class: type[Any], kind: str) -> dict[str, Any]:
    """The fields that `kind` does not have, with the defaults that they must keep."""
    return {f.name: f.default for f in fields(config_class) if kind not in f.metadata.get("kinds", (kind,))}


def reset_for_kind(config: P, kind: str) -> P:
    """Reset what would not fit if `config` changed to `kind`; `config.kind` itself stays.

    These are the foreign fields, and those whose value means something else under another kind.
    """
    if kind == config.kind:
        return config
    bound = {f.name: f.default for f in fields(config) if not f.metadata.get("carries over", True)}
    return replace(config, **bound | foreign_fields(type(config), kind))


def check_kind(config: Part, part: str) -> None:
    """Refuse a foreign field that is not at its default.

    Args:
        config: the part.
        part: its name on the command line, such as "generator".

    Raises:
        UserError: it names the fields, the kinds that have them, and the flags that reset them.
    """
    foreign = foreign_fields(type(config), config.kind)
    changed = {name: default for name, default in foreign.items() if getattr(config, name) != default}
    if changed:
        declared = config.__dataclass_fields__
        owners = "; ".join(f"{part}.{name} applies to {_listed(declared[name].metadata['kinds'])}" for name in changed)
        flags = " ".join(_flag(part, name, default) for name, default in changed.items())
        raise UserError(f"{owners}, not to {config.kind}; remove it, or undo what the recipe sets with {flags}.")


def _listed(words: tuple[str, ...]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _flag(part: str, name: str, value: object) -> str:
    """The option that sets a field, as typed on the command line."""
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{part}.{option if value else f'no-{option}'}"
    return f"--{part}.{option} {value}"
