"""The lab: measures against closed forms, every experiment differs from every other, and penalties help."""

import json
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import optimize, stats

from nijigan.cli.lab import Lab
from nijigan.errors import UserError
from nijigan.lab import experiment
from nijigan.lab.experiment import (
    MIXTURES,
    OBJECTIVES,
    PENALTIES,
    Outcome,
    coverage,
    run_all,
    run_experiment,
    sliced_wasserstein,
)
from nijigan.lab.picture import draw_figure
from nijigan.recipe.parts import PenaltyConfig

RING = MIXTURES["ring"]
R1 = PenaltyConfig(kind="r1", weight=0.1)


def outcome(**changes) -> Outcome:
    points = np.repeat(RING.centres, 5, axis=0)
    return replace(Outcome("bce", R1, "ring", points, 8, 1.0, 0.1), **changes)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two objectives and two penalties."""
    monkeypatch.setattr(experiment, "OBJECTIVES", ("bce", "wasserstein"))
    monkeypatch.setattr(experiment, "PENALTIES", (PenaltyConfig(kind="none"), R1))


def test_the_distance_of_a_shifted_set_is_a_share_of_the_shift(rng: np.random.Generator) -> None:
    """A shift by d moves projections by d·|cos|, whose mean over all directions is 2/π."""
    points = rng.normal(size=(60, 2))
    shifted = rng.permutation(points) + np.array([3.0, -4.0])
    assert sliced_wasserstein(points, shifted) == pytest.approx(5 * 2 / np.pi, rel=1e-3)
    assert sliced_wasserstein(points, rng.permutation(points)) == 0


def test_the_distance_of_points_on_a_line_is_a_share_of_scipys(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=70), rng.exponential(size=70)
    direction = np.array([0.6, 0.8])
    expected = stats.wasserstein_distance(a, b) * 2 / np.pi
    assert sliced_wasserstein(a[:, None] * direction, b[:, None] * direction) == pytest.approx(expected, rel=1e-3)


def test_the_distance_is_the_mean_of_scipys_over_directions(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(50, 2)), rng.exponential(size=(50, 2))
    angles = np.pi * rng.random(4000)
    expected = np.mean([stats.wasserstein_distance(a @ ray, b @ ray) for ray in np.c_[np.cos(angles), np.sin(angles)]])
    assert sliced_wasserstein(a, b) == pytest.approx(expected, rel=0.03)


def test_the_distance_is_at_most_that_of_the_cheapest_pairing(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(80, 2)), rng.exponential(size=(80, 2))
    lengths = np.linalg.norm(a[:, None] - b, axis=-1)
    cheapest = lengths[optimize.linear_sum_assignment(lengths)].mean()
    assert 0 < sliced_wasserstein(a, b) <= cheapest * 2 / np.pi * 1.001


def test_a_missing_mode_is_farther_than_a_wider_one() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        data = RING.sample(2000).double().numpy()
        wide = replace(RING, sigma=3 * RING.sigma).sample(2000).double().numpy()
        fewer = replace(RING, centres=RING.centres[1:]).sample(2000).double().numpy()
    assert RING.floor < sliced_wasserstein(wide, data) < sliced_wasserstein(fewer, data)


def test_the_distance_of_nan_is_infinite() -> None:
    assert sliced_wasserstein(np.array([[0.0, nan]]), np.zeros((1, 2))) == inf


def test_modes_are_counted_by_hand() -> None:
    # 100 points are a mode's fair share, of which 98.9 are of high quality: ten cover it, nine do not.
    counts = [100, 100, 100, 100, 100, 10, 9, 0]
    points = np.concatenate([np.repeat(RING.centres, counts, axis=0), np.full((281, 2), 9.0)])
    assert coverage(points, RING) == (6, 519 / 800)


@pytest.mark.parametrize(("sigmas", "quality"), [(2.99, 1.0), (3.01, 0.0)])
def test_high_quality_ends_at_three_sigmas(sigmas: float, quality: float) -> None:
    points = RING.centres + sigmas * RING.sigma * np.array([0.6, -0.8])
    assert coverage(points, RING) == (8 * quality, quality)


def test_a_smear_along_the_ring_covers_no_mode() -> None:
    angles = np.linspace(0, 2 * np.pi, 2000)
    modes, quality = coverage(2 * np.stack((np.cos(angles), np.sin(angles)), axis=1), RING)
    assert modes == 0
    assert quality == pytest.approx(8 * 6 * RING.sigma / (4 * np.pi), abs=0.01)


@pytest.mark.parametrize("data", MIXTURES)
def test_the_data_cover_themselves(data: experiment.Data) -> None:
    mixture = MIXTURES[data]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        points = mixture.sample(2000).numpy().astype(float)
    modes, quality = coverage(points, mixture)
    assert modes == len(mixture.centres)
    assert quality == pytest.approx(1 - np.exp(-4.5), abs=0.01)  # Rayleigh
    assert np.unique(mixture.centres, axis=0).shape == mixture.centres.shape
    assert points.std(axis=0) == pytest.approx([mixture.scale] * 2, rel=0.05)
    assert 0 < mixture.floor < 0.5


def test_points_that_are_not_finite_cover_nothing() -> None:
    assert coverage(np.array([[nan, 0], [inf, inf], [2.0, 0.0]]), RING) == (1, 1 / 3)


def test_every_experiment_differs() -> None:
    generated = {
        (objective, penalty.kind): run_experiment(objective, penalty, "ring", steps=3).points
        for objective in OBJECTIVES
        for penalty in PENALTIES
    }
    assert len(generated) == 42
    assert all(points.shape == (2000, 2) and np.isfinite(points).all() for points in generated.values())
    for penalty in PENALTIES:  # until a logit passes the margin, hinge has the gradients of wasserstein
        assert np.allclose(generated.pop(("hinge", penalty.kind)), generated["wasserstein", penalty.kind])
    assert len({points.tobytes() for points in generated.values()}) == 35


def test_an_experiment_depends_only_on_its_arguments_and_restores_torch() -> None:
    torch.manual_seed(1)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first = run_experiment("hinge", R1, "grid", steps=5, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    again = run_experiment("hinge", R1, "grid", steps=5, seed=3)
    assert np.array_equal(first.points, again.points)
    assert (first.modes, first.quality, first.distance) == (again.modes, again.quality, again.distance)
    assert not np.array_equal(first.points, run_experiment("hinge", R1, "grid", steps=5, seed=4).points)
    assert torch.get_num_threads() == threads


def test_all_experiments_run_and_report_progress(few: None) -> None:
    calls: list[tuple[int, int]] = []
    outcomes = run_all(steps=1, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 8) for done in range(9)]
    assert [(o.data, o.objective, o.penalty.kind) for o in outcomes] == [
        (data, objective, penalty)
        for data in ("ring", "grid")
        for objective in ("bce", "wasserstein")
        for penalty in ("none", "r1")
    ]
    alone = run_experiment("wasserstein", R1, "grid", steps=1)
    assert np.array_equal(outcomes[-1].points, alone.points)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"workers": 0}, {"seed": -1}])
def test_invalid_arguments_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError):
        run_all(**wrong)


def test_unknown_objectives_are_refused() -> None:
    with pytest.raises(UserError, match="no objective kl; choose bce, minimax, mse, wasserstein, hinge, relativistic"):
        run_experiment("kl", R1, "ring", steps=1)


def test_the_figure_has_a_panel_for_each_experiment(tmp_path: Path) -> None:
    few, more = [outcome()], [outcome(), outcome(objective="hinge"), outcome(data="grid", points=np.zeros((5, 2)))]
    sizes = []
    for outcomes in (few, more):
        draw_figure(outcomes, tmp_path / "lab.png")
        with Image.open(tmp_path / "lab.png") as picture:
            sizes.append(picture.size)
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        colours = {tuple(int(x) for x in colour) for colour in pixels.reshape(-1, 3)}
        assert (249, 198, 211) in colours, "the modes are pink"
        assert any(blue > red + 80 for red, _, blue in colours), "the points are blue"
    assert sizes[0][0] == sizes[1][0]
    assert sizes[1][1] > 2 * sizes[0][1] - 200


@pytest.mark.parametrize("ending", [".svg", ".pdf"])
def test_an_outcome_that_diverged_can_be_drawn(tmp_path: Path, ending: str) -> None:
    draw_figure([outcome(points=np.full((20, 2), nan), modes=0, distance=inf)], tmp_path / f"lab{ending}")
    assert (tmp_path / f"lab{ending}").stat().st_size > 1000


@pytest.mark.parametrize("name", ["lab", "lab.txt"])
def test_other_extensions_are_refused_before_training(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "run_experiment", None)
    with pytest.raises(UserError, match=r"\.png, \.svg, \.pdf"):
        Lab(out=tmp_path / name).run()


def test_the_command_draws_and_prints(
    few: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    command = Lab(out=tmp_path / "lab.png", steps=1, workers=1)
    command.run()
    table = capsys.readouterr().out
    assert "ring: modes covered of 8" in table
    assert "grid: modes covered of 25" in table
    assert (tmp_path / "lab.png").exists()

    replace(command, json=True).run()
    figures = json.loads(capsys.readouterr().out)
    assert len(figures) == 8
    assert figures[3].keys() == {"data", "objective", "penalty", "modes", "quality", "distance"}
    assert figures[3]["objective"] == "wasserstein"


def test_json_has_no_infinity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "run_all", lambda *_: [outcome(distance=inf)])
    Lab(out=tmp_path / "lab.png", json=True).run()
    assert json.loads(capsys.readouterr().out)[0]["distance"] is None


@pytest.mark.slow
def test_several_processes_give_the_same_outcomes_as_one(few: None) -> None:
    together, alone = run_all(steps=2, workers=2), run_all(steps=2)
    assert len(together) == 8
    assert [o.points.tobytes() for o in together] == [o.points.tobytes() for o in alone]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "kind"),
    [("bce", "r1"), ("mse", "dragan"), ("wasserstein", "wgan-gp"), ("hinge", "r1"), ("relativistic", "r1r2")],
)
def test_penalties_cover_the_ring(objective: str, kind: str) -> None:
    penalty = next(penalty for penalty in PENALTIES if penalty.kind == kind)
    result = run_experiment(objective, penalty, "ring")
    assert result.modes >= 7
    assert result.quality > 0.5
    assert result.distance < 0.5
