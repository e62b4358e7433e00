"""Measure the conditional accuracy of a small conditional GAN after minutes of training on a CPU.

    python benchmarks/steering.py --out runs/steering            # about 12 minutes on one idle core
    python benchmarks/steering.py --out runs/steering --recipe reacgan --kimg 60

Draws 6,000 procedural faces with exact labels, trains a narrow conditional recipe on hair and eyes at 64 px, and prints
the balanced accuracy of both, read by an attribute reader trained on the labels of the training faces. For comparison,
it prints the reader's accuracy on held-out faces, and that of the generator with codes shuffled among the latents. An
existing run is not trained again.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from nijigan.dataset.faces import FaceDataset
from nijigan.generator.generator import Generator
from nijigan.generator.latents import latents
from nijigan.generator.saving import generate
from nijigan.importing.importer import import_faces
from nijigan.judges.readers import AttributeReader, balanced_accuracy, open_reader, split_accuracy
from nijigan.procedural.faces import write_faces
from nijigan.recipe.named_recipes import find_recipe
from nijigan.training import train

SEED, EACH = 2**43, 100  # the first seed, faces per value


def main() -> None:
    """Train, write the matrices, print the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="acgan")
    parser.add_argument("--kimg", type=float, default=60)
    arguments = parser.parse_args()
    dataset = procedural_faces(arguments.out / "faces")
    recipe = find_recipe(arguments.recipe)
    recipe = replace(
        recipe, kimg=arguments.kimg, attributes=("hair", "eyes"),
        generator=replace(recipe.generator, width=32, max_width=128),
        discriminator=replace(recipe.discriminator, width=32, max_width=256),
    )  # fmt: skip
    run = arguments.out / recipe.name
    if not run.exists():
        before = time.perf_counter(), time.process_time()
        train(recipe, dataset, run)
        wall, cpu = time.perf_counter() - before[0], time.process_time() - before[1]
        print(f"{recipe.name}, {arguments.kimg:g} kimg: {wall / 60:.1f} minutes, {cpu / 60:.1f} of CPU")
    generator = Generator.load(run)
    reader = open_reader("own", generator.header.attributes, dataset)
    ceilings = split_accuracy(reader, dataset, "test")
    for name, values in generator.header.attributes.items():
        generate(generator, arguments.out / f"{recipe.name}-{name}.png", n=8, each=name)
        accuracy, shuffled = conditional_accuracy(generator, reader, name)
        chance = 1 / len(values)
        print(f"{name}: {accuracy:.3f}, real faces {ceilings[name]:.3f}, shuffled {shuffled:.3f}, chance {chance:.3f}")


def procedural_faces(folder: Path) -> FaceDataset:
    """Draw and import 6,000 procedural faces."""
    if not folder.exists():
        write_faces(folder.with_name("pictures"), 6000, resolution=64)
        import_faces([folder.with_name("pictures")], folder)
    return FaceDataset(folder)


def conditional_accuracy(generator: Generator, reader: AttributeReader, name: str) -> tuple[float, float]:
    """Measure the balanced accuracy of one attribute, with the requested codes and with shuffled codes."""
    vocabularies, latent = generator.header.attributes, generator.header.latent
    column, values = list(vocabularies).index(name), vocabularies[name]
    seeds = range(SEED, SEED + EACH * len(values))
    codes, z = generator.codes(seeds), latents(seeds, latent.size, latent.prior)
    requested = np.repeat(np.arange(len(values)), EACH)
    reader_codes = np.array([reader.header.attributes[name].index(value) for value in values])
    scores = []
    for given in (requested, np.random.default_rng(0).permutation(requested)):
        codes[:, column] = given
        scores.append(balanced_accuracy(reader.read(generator.synthesise(z, codes))[name], reader_codes[requested]))
    return scores[0], scores[1]


if __name__ == "__main__":
    main()
