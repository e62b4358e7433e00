"""Train, evaluate and run GANs that generate anime faces.

    import nijigan

    faces = nijigan.load().sample(16, seed=7)  # uint8, 16×64×64×3

Everything here is imported on first use, since torch takes seconds to import.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nijigan.dataset.faces import FaceDataset
    from nijigan.errors import UserError
    from nijigan.generator.generator import Generator
    from nijigan.generator.records import read_face
    from nijigan.generator.saving import generate
    from nijigan.generator.walks import walk
    from nijigan.importing.importer import import_faces
    from nijigan.judges.evaluation import evaluate
    from nijigan.judges.quality import keep_probability
    from nijigan.judges.selection import best_seeds
    from nijigan.pages.compare_models import compare
    from nijigan.recipe.named_recipes import find_recipe
    from nijigan.recipe.recipe import Recipe
    from nijigan.training import resume, train

    load = Generator.load
    __version__: str

_HOMES = {
    "FaceDataset": "nijigan.dataset.faces",
    "Generator": "nijigan.generator.generator",
    "Recipe": "nijigan.recipe.recipe",
    "UserError": "nijigan.errors",
    "best_seeds": "nijigan.judges.selection",
    "compare": "nijigan.pages.compare_models",
    "evaluate": "nijigan.judges.evaluation",
    "find_recipe": "nijigan.recipe.named_recipes",
    "generate": "nijigan.generator.saving",
    "import_faces": "nijigan.importing.importer",
    "keep_probability": "nijigan.judges.quality",
    "read_face": "nijigan.generator.records",
    "resume": "nijigan.training",
    "train": "nijigan.training",
    "walk": "nijigan.generator.walks",
}

__all__ = [
    "FaceDataset", "Generator", "Recipe", "UserError", "best_seeds", "compare", "evaluate", "find_recipe", "generate",
    "import_faces", "keep_probability", "load", "read_face", "resume", "train", "walk",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from importlib import import_module, metadata

    if name == "__version__":
        return metadata.version("nijigan")
    if name == "load":
        return import_module(_HOMES["Generator"]).Generator.load
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'nijigan' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
