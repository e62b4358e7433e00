"""Train, judge and run GANs that draw anime faces.

import nijigan

faces = nijigan.load().sample(16, seed=7)  # uint8, 16×64×64×3
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nijigan.dataset.faces import FaceDataset
    from nijigan.errors import UserError
    from nijigan.generator.generator import Generator
    from nijigan.importing.importer import import_faces
    from nijigan.recipe.recipe import Recipe
    from nijigan.recipe.table import find_recipe
    from nijigan.training import resume, train

    load = Generator.load

__all__ = ["FaceDataset", "Generator", "Recipe", "UserError", "find_recipe", "import_faces", "load", "resume", "train"]

_HOMES = {
    "FaceDataset": "nijigan.dataset.faces",
    "Generator": "nijigan.generator.generator",
    "Recipe": "nijigan.recipe.recipe",
    "UserError": "nijigan.errors",
    "find_recipe": "nijigan.recipe.table",
    "import_faces": "nijigan.importing.importer",
    "resume": "nijigan.training",
    "train": "nijigan.training",
}


def __getattr__(name: str) -> Any:
    """Import on first use: torch takes seconds, and the command line's help must not."""
    from importlib import import_module

    if name == "load":
        return import_module("nijigan.generator.generator").Generator.load
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'nijigan' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
