"""Which kinds have which fields: derived from the dataclasses, with no second list to keep."""

import re
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

import pytest

from nijigan.cli import main
from nijigan.errors import UserError
from nijigan.recipe.kinds import check_kind, foreign_fields, kind_field, reset_for_kind
from nijigan.recipe.recipe import PARTS_WITH_KINDS, Recipe

PARTS: dict[str, Any] = {f.name: f.type for f in fields(Recipe) if is_dataclass(f.type)}
KINDS = [(part, kind) for part in PARTS_WITH_KINDS for kind in get_args(get_type_hints(PARTS[part])["kind"])]


def another_value(field_type: Any, default: Any) -> Any:
    """A valid value of a field that is not its default."""
    if isinstance(default, bool):
        return not default
    if isinstance(default, str):
        return next(choice for choice in get_args(field_type) if choice != default)
    return 2 if isinstance(default, int) else 0.25


def test_a_part_is_listed_if_and_only_if_it_declares_fields_of_some_kinds() -> None:
    declares = [name for name, part in PARTS.items() if any("kinds" in f.metadata for f in fields(part))]
    assert list(PARTS_WITH_KINDS) == declares == ["generator", "discriminator", "condition", "penalty"]


@pytest.mark.parametrize("part", PARTS_WITH_KINDS)
def test_fields_are_declared_with_kinds_that_exist(part: str) -> None:
    kinds = get_args(get_type_hints(PARTS[part])["kind"])
    for f in fields(PARTS[part]):
        declared = f.metadata.get("kinds", kinds)
        assert declared
        assert set(declared) <= set(kinds), f.name
        assert len(set(declared)) == len(declared)
        assert f.default is not MISSING, f.name


@pytest.mark.parametrize(("part", "kind"), KINDS)
def test_a_foreign_field_off_its_default_is_refused_with_the_kinds_that_have_it(part: str, kind: str) -> None:
    config_class, hints = PARTS[part], get_type_hints(PARTS[part])
    foreign = foreign_fields(config_class, kind)
    assert foreign.keys() == {f.name for f in fields(config_class) if kind not in f.metadata.get("kinds", kind)}
    config_class(kind, **foreign)
    for f in fields(config_class):
        if f.name not in foreign:
            continue
        *first, last = f.metadata["kinds"]
        owners = f"{', '.join(first)} and {last}" if first else last
        words = re.escape(f"{part}.{f.name} applies to {owners}, not to {kind};")
        with pytest.raises(UserError, match=words) as error:
            config_class(kind, **{f.name: another_value(hints[f.name], f.default)})
        option = f.name.replace("_", "-")
        if isinstance(f.default, bool):
            assert str(error.value).endswith(f"--{part}.{'' if f.default else 'no-'}{option}.")
        else:
            assert str(error.value).endswith(f"--{part}.{option} {f.default}.")


@pytest.mark.parametrize("default", [3, 4])
def test_a_default_is_written_once(default: int) -> None:
    @dataclass(frozen=True)
    class Toy:
        kind: str = "a"
        teeth: int = kind_field(default, "b", "c")
        weight: float | None = kind_field(None, "a", "b", carries_over=False)

        def __post_init__(self) -> None:
            check_kind(self, "toy")

    assert foreign_fields(Toy, "a") == {"teeth": default}
    assert Toy("a", teeth=default).teeth == Toy().teeth == default
    with pytest.raises(UserError, match=rf"^toy.teeth applies to b and c, not to a; .*--toy.teeth {default}\.$"):
        Toy("a", teeth=default + 1)

    toy = Toy("b", teeth=9, weight=0.5)
    assert reset_for_kind(toy, "b") == toy
    assert reset_for_kind(toy, "a") == Toy("b", teeth=default)  # a weight of b means something else in a
    assert reset_for_kind(toy, "c") == Toy("b", teeth=9)


@pytest.mark.parametrize(("part", "kind"), KINDS)
def test_any_recipe_can_change_to_any_kind_after_a_reset(part: str, kind: str) -> None:
    recipe = Recipe().reset_for({f"{part}.kind": kind, "kimg": "7", "g_optimizer.kind": "sgd"})
    assert getattr(recipe, part).kind == getattr(Recipe(), part).kind
    replace(getattr(recipe, part), kind=kind)


def test_help_has_every_field_with_its_text_and_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    options = {f.name: f.default for f in fields(Recipe) if f.name not in PARTS}
    options |= {f"{part}.{f.name}": f.default for part, config_class in PARTS.items() for f in fields(config_class)}
    assert len(options) > 80
    for name, default in options.items():
        option = f"--{name.replace('_', '-')} "
        start = printed.index(option) if option in printed else printed.index(option.replace(" ", ","))
        text = re.split(r" --[a-z]|╰", printed[start + len(option) :])[1 if isinstance(default, bool) else 0]
        assert len(text) > 20, name
        if default in (None, ()):
            assert "Default: " in text, name
            assert "(default" not in text, name
        elif name != "batch_size":  # that of the recipe dcgan
            label = " ".join(map(str, default)) if isinstance(default, tuple) else default
            assert f"(default: {label})" in text, name
