"""The table of named recipes, readable down a column. What a row leaves out is the default of `Recipe`'s field."""

from difflib import get_close_matches
from pathlib import Path

from nijigan.errors import UserError
from nijigan.recipe import DiscriminatorConfig, GeneratorConfig, Recipe, read_json

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        # Radford et al. 2016 and the released code: Adam 2e-4, β1 0.5, N(0, 0.02) init. The batch was 128 in the paper
        # and 64 in the code. Smaller ones move faster for an hour, then D wins and all faces turn the same way at once.
        Recipe(name="dcgan", batch_size=64),
        # The demo's: half as wide, at 32 px, it learns drawn faces in a minute or two on a laptop.
        Recipe(
            name="dcgan-tiny",
            resolution=32,
            generator=GeneratorConfig(width=32),
            discriminator=DiscriminatorConfig(width=32),
            kimg=80,
            tick_kimg=2.5,
            snapshot_kimg=5,
        ),
    )
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name, or the one in the JSON file of that path.

    Raises:
        UserError: there is neither; the sentence suggests the nearest name.
    """
    if name in RECIPES:
        return RECIPES[name]
    if name.endswith(".json") or Path(name).is_file():
        return read_json(Recipe, Path(name))
    near = get_close_matches(name, RECIPES, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(RECIPES)}."
    raise UserError(
        f"There is no recipe called {name}: {hint} (`nijigan recipes` lists them; a path to a .json is one too.)"
    )
