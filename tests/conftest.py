"""Shared by all tests: tiny recipes, tiny datasets."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from browsing import chromium
from nijigan.dataset.faces import FaceDataset
from nijigan.importing.importer import import_faces
from nijigan.procedural.faces import write_faces
from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.recipe import Recipe


@pytest.fixture
def tiny() -> Recipe:
    """A recipe that trains in a second: 16 px, width 4, 400 images in batches of 8."""
    return shrink(RECIPES["dcgan"])


def forget_checksums(path: Path) -> None:
    """Remove the checksums from a dataset, which nijigan 0.1 did not write, so that its files may be edited."""
    file = path / "dataset.json"
    manifest = json.loads(file.read_text())
    del manifest["checksum"], manifest["footers"]
    file.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def shrink(recipe: Recipe) -> Recipe:
    """The same recipe with networks and a length that a test can afford."""
    return replace(
        recipe,
        resolution=16,
        latent=replace(recipe.latent, size=8),
        generator=replace(recipe.generator, width=4, max_width=16, depth=1),
        discriminator=replace(recipe.discriminator, width=4, max_width=16, depth=1),
        projected=replace(recipe.projected, size=64) if recipe.projected.weight else recipe.projected,
        batch_size=8,
        n_critic=min(recipe.n_critic, 2),
        burn_in=replace(recipe.burn_in, kimg=min(recipe.burn_in.kimg, 0.3)),
        epochs=None,
        every_epochs=None,
        kimg=0.4,
        tick_kimg=0.1,
        snapshot_kimg=0.2,
        precision="fp32",
    )


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceDataset:
    """120 procedural faces at 32 px, imported."""
    folder = tmp_path_factory.mktemp("drawn")
    write_faces(folder / "pictures", 120, resolution=32)
    import_faces([folder / "pictures"], folder / "faces")
    return FaceDataset(folder / "faces")


@pytest.fixture(scope="session")
def judged_faces(tmp_path_factory: pytest.TempPathFactory) -> FaceDataset:
    """240 procedural faces at 32 px, imported with enough held out to judge by."""
    folder = tmp_path_factory.mktemp("judged")
    write_faces(folder / "pictures", 240, resolution=32)
    import_faces([folder / "pictures"], folder / "faces", holdout=0.4)
    return FaceDataset(folder / "faces")


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers in every test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def browser():
    """A browser without a window. Its event loop runs until it is closed, so it cannot live for the whole session."""
    with chromium() as found:
        yield found
