"""The whole pipeline at small scale: procedural faces, a dataset, a training and generated faces."""

import logging
from pathlib import Path

from nijigan.aliases import Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.generator.saving import generate
from nijigan.importing.importer import import_faces
from nijigan.procedural.faces import write_faces
from nijigan.recipe.named_recipes import find_recipe
from nijigan.training import train

log = logging.getLogger("nijigan")

_FACES = 4000


def demo(out: Path, progress: Progress | None = None) -> None:
    """Make pictures, a dataset, a run and a grid of generated faces in `out`.

    Args:
        out: a folder that does not exist or is empty.
        progress: called with (faces drawn, faces in all) while the procedural faces are drawn.

    Raises:
        UserError: `out` is a file, or a folder that is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not an empty folder; remove it or choose another --out.")
    recipe = find_recipe("dcgan-tiny")
    pictures, faces, run, grid = out / "pictures", out / "faces", out / "run", out / "faces.png"
    log.info("1/4  Drawing %d procedural faces into %s", _FACES, pictures)
    try:
        write_faces(pictures, _FACES, resolution=recipe.resolution, progress=progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Stopped while drawing; repeat the command to begin again.") from None
    log.info("2/4  Importing them into %s", faces)
    report = import_faces([pictures], faces)
    log.info("3/4  Training %s on %d of them; the run is %s", recipe.name, report.splits["train"], run)
    train(recipe, FaceDataset(faces), run, device="cpu")
    log.info("4/4  Generating faces into %s", grid)
    generate(Generator.load(run), grid, n=64, seed=1000, scale=2)
    log.info(
        "\nLook at:  %s  generated faces\n          %s  samples during training\n          %s  training curves\n"
        "Try next: nijigan generate %s --n 16 --seed 7 --scale 4 --out more.png\n"
        "          nijigan walk %s --out walk.webp\n"
        "          nijigan import YOUR-PICTURES --out faces\n"
        "          nijigan train sngan-hinge-small --data faces --out runs/a",
        grid, run / "timelapse.webp", run / "plots", run, run,
    )  # fmt: skip
