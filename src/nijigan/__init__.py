"""Train, judge and run GANs that draw anime faces.

import nijigan

faces = nijigan.load().sample(16, seed=7)  # uint8, 16×64×64×3
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nijigan.data.dataset import FaceDataset
    from nijigan.data.importer import import_faces
    from nijigan.errors import UserError
    from nijigan.generator import Generator
    from nijigan.recipe import Recipe
    from nijigan.recipes import find_recipe
    from nijigan.training import resume, train

    load = Generator.load

__all__ = ["FaceDataset", "Generator", "Recipe", "UserError", "find_recipe", "import_faces", "load", "resume", "train"]

_HOMES = {
    "FaceDataset": "nijigan.data.dataset",
    "Generator": "nijigan.generator",
    "Recipe": "nijigan.recipe",
    "UserError": "nijigan.errors",
    "find_recipe": "nijigan.recipes",
    "import_faces": "nijigan.data.importer",
    "resume": "nijigan.training",
    "train": "nijigan.training",
}


def __getattr__(name: str) -> Any:
    """Import on first use: torch takes seconds, and the command line's help must not."""
    from importlib import import_module

    if name == "load":
        return import_module("nijigan.generator").Generator.load
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'nijigan' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
