"""The judge of yield on faces that are in the repository: no real face is."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import rankdata

from nijigan.aliases import Images
from nijigan.generator.generator import Generator
from nijigan.judges import quality
from nijigan.judges.feature_spaces import open_feature_space
from nijigan.judges.quality import STATISTICS, keep_probability, look
from nijigan.pictures import resize
from nijigan.procedural.faces import draw_faces

RESULTS = Path(__file__).parents[2] / "results"


def grid(name: str) -> Images:
    """The 64 faces of a run's grid, with gaps of two pixels."""
    pixels = np.asarray(Image.open(RESULTS / name / "grid.png").convert("RGB"))
    corners = [(2 + row * 66, 2 + column * 66) for row in range(8) for column in range(8)]
    return np.stack([pixels[y : y + 64, x : x + 64] for y, x in corners])


def test_three_networks_come_out_in_the_order_of_a_blind_count() -> None:
    """Kept by eye: 66, 45 and 27 %. KID in both spaces, and the yield of version 0.1, rank them the other way round."""
    names = ("sngan-hinge-small", "r3gan-small", "stylegan-lite-small")
    sngan, r3gan, style = (float(keep_probability(grid(name)).mean()) for name in names)
    assert sngan > r3gan + 0.05
    assert r3gan > style + 0.05
    assert keep_probability(grid("wgan-gp")).mean() < 0.05  # by eye: none


def test_verdicts_on_faces_of_a_packaged_generator_are_predicted() -> None:
    with (RESULTS / "ratings" / "ratings.csv").open(newline="") as file:
        lines = [x for x in csv.DictReader(file) if x["generator"] == "packaged" and x["repeat"] == "0"]
    agreed = [line for line in lines if line["verdict_a"] == line["verdict_b"]]
    good = np.array([line["verdict_a"] == "good" for line in agreed])
    generator = Generator.load(RESULTS / "reacgan" / "generator.safetensors")  # the packaged one when they were made
    chances = keep_probability(generator.sample_seeds([int(line["seed"]) for line in agreed]))
    area = (rankdata(chances)[good].sum() - good.sum() * (good.sum() + 1) / 2) / (good.sum() * (~good).sum())
    assert len(agreed) >= 250
    assert area > 0.85
    assert chances.mean() == pytest.approx(good.mean(), abs=0.06)


def test_damage_lowers_the_chance_dose_by_dose() -> None:
    faces, random = Generator.load().sample(64), np.random.default_rng(0)
    noise = random.normal(size=faces.shape)
    noisy = [(faces + sigma * noise).round().clip(0, 255).astype(np.uint8) for sigma in (0, 40, 80)]
    small = [np.stack([np.asarray(resize(Image.fromarray(face), side, side)) for face in faces]) for side in (16, 10)]
    blurred = [np.stack([np.asarray(resize(Image.fromarray(face), 64, 64)) for face in faces]) for faces in small]
    for doses in (noisy, [faces, *blurred]):
        means = [float(keep_probability(dose).mean()) for dose in doses]
        assert means == sorted(means, reverse=True)
        assert means[-1] < means[0] / 3


def test_one_pass_gives_the_features_of_both_spaces_exactly() -> None:
    faces = draw_faces(20, seed=3, resolution=48)[0]
    seen = look(faces)
    assert np.array_equal(seen.lite0, open_feature_space("lite0").extract(faces))
    assert np.array_equal(seen.anime, open_feature_space("anime").extract(faces))
    assert seen.statistics.shape == (20, STATISTICS)


def test_a_face_is_judged_alone_and_without_randomness() -> None:
    faces = draw_faces(20, seed=5, resolution=32)[0]
    torch.manual_seed(1)
    before, done = torch.random.get_rng_state(), []
    chances = keep_probability(faces, progress=lambda *now: done.append(now))
    assert torch.equal(before, torch.random.get_rng_state())
    assert chances.dtype == np.float32
    assert ((chances >= 0) & (chances <= 1)).all()
    assert np.allclose(chances[::-1], keep_probability(faces[::-1]), atol=1e-5)
    assert done == [(16, 20), (20, 20)]
    assert keep_probability(faces[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((2, 8, 8, 3), float), ((8, 8, 3), np.uint8), ((2, 8, 8, 4), np.uint8), ((2, 0, 8, 3), np.uint8)],
)
def test_other_arrays_are_refused(shape: tuple[int, ...], kind: type) -> None:
    with pytest.raises(ValueError, match="uint8 N×H×W×3"):
        keep_probability(np.zeros(shape, kind))
    with pytest.raises(ValueError, match="this is a list"):
        keep_probability(list(np.zeros(shape, kind)))  # type: ignore[arg-type]


def test_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quality.safetensors").write_bytes(quality.WEIGHTS.read_bytes()[:-4])
    monkeypatch.setattr(quality, "WEIGHTS", tmp_path / "quality.safetensors")
    quality._fit.cache_clear()
    with pytest.raises(Exception, match="is damaged; install nijigan again"):
        quality.weights_hash()
    quality._fit.cache_clear()


def test_the_ratings_in_the_repository_are_complete() -> None:
    generators = json.loads((RESULTS / "ratings" / "generators.json").read_text())
    with (RESULTS / "ratings" / "ratings.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    first = [line for line in lines if line["repeat"] == "0"]
    for name, about in generators.items():
        seeds = {line["seed"] for line in first if line["generator"] == name}
        assert len(seeds) == about["faces"]
        place = about["file"]
        assert ":" in place or (RESULTS / "ratings" / place).exists() or (RESULTS.parent / place).exists()
    assert all(line[f"verdict_{rater}"] in ("good", "bad") for line in lines for rater in "ab")
    assert sum(bool(line["generator"]) for line in first) >= 2000
    assert sum(bool(line["sha256"]) for line in first) >= 300
