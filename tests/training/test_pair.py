"""Pairs of networks: what is kept of a run, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.recipe.recipe import Recipe
from nijigan.training import train
from nijigan.training.transfer.pair import DISCRIMINATOR, GENERATOR, open_networks, write_pair


@pytest.fixture
def run(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> Path:
    return train(tiny, faces, tmp_path / "origin", device="cpu")


@pytest.mark.parametrize("half", [False, True])
def test_a_pair_holds_the_averaged_generator_and_the_discriminator(run: Path, tmp_path: Path, half: bool) -> None:
    write_pair(run, tmp_path / "pair", half=half)
    theirs, ours = open_networks(run), open_networks(tmp_path / "pair")
    assert ours.recipe == theirs.recipe
    assert ours.attributes == theirs.attributes
    for network in ("ema", "discriminator"):
        for name, value in ours.weights[network].items():
            if value.is_floating_point():
                expected = theirs.weights[network][name]
                wide = half and value.ndim > 1
                assert torch.equal(value, expected.half().float() if wide else expected), name
    assert all(torch.equal(value, ours.weights["ema"][name]) for name, value in ours.weights["generator"].items())
    assert ours.origin == Generator.load(tmp_path / "pair" / GENERATOR).weights_hash
    assert Generator.load(tmp_path / "pair").weights_hash == ours.origin  # the folder names its generator
    assert (ours.origin == theirs.origin) is not half


def test_a_training_starts_from_a_pair_when_the_run_is_gone(
    run: Path, tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    write_pair(run, tmp_path / "pair")
    origin = Generator.load(run / "last.safetensors").weights_hash
    run.rename(tmp_path / "elsewhere")
    started = train(tiny, faces, tmp_path / "new", start_from=tmp_path / "pair", device="cpu")
    assert Generator.load(started).header.origin == origin


def test_a_damaged_discriminator_is_refused(run: Path, tmp_path: Path) -> None:
    write_pair(run, tmp_path / "pair")
    path = tmp_path / "pair" / DISCRIMINATOR
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="copy or export it again"):
        open_networks(tmp_path / "pair")
    path.write_bytes(b"")
    with pytest.raises(UserError, match="copy or export it again"):
        open_networks(tmp_path / "pair")


def test_networks_of_two_pairs_are_refused(tiny: Recipe, faces: FaceDataset, run: Path, tmp_path: Path) -> None:
    write_pair(run, tmp_path / "pair")
    write_pair(train(replace(tiny, seed=tiny.seed + 1), faces, tmp_path / "second", device="cpu"), tmp_path / "other")
    (tmp_path / "other" / GENERATOR).replace(tmp_path / "pair" / GENERATOR)
    with pytest.raises(UserError, match="the discriminator of another generator"):
        open_networks(tmp_path / "pair")


def test_a_generator_alone_is_no_pair(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name a run folder or a pair"):
        open_networks(run / "last.safetensors")
    with pytest.raises(UserError, match="There is no run"):
        write_pair(tmp_path / "nothing", tmp_path / "pair")
    assert not (tmp_path / "pair").exists()
