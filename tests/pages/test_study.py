"""The page of a study: its numbers against the log that they come from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluations import check_page

from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.pages.study import findings, sum_of_losses, table, volatility, write_study
from nijigan.recipe.recipe import Recipe
from nijigan.recipe.studies import STUDIES, find_study
from nijigan.training import train


def line(epoch: float, g: float, d: float, **more: float) -> dict[str, float]:
    """A log line of a run with 1,000 faces."""
    scores = {"real_score": 0.5 + g / 100, "fake_score": 0.2}
    return {"images": 1000 * epoch, "kimg": epoch, "epoch": epoch, "g_loss": g, "d_loss": d} | scores | more


LOG = [line(0.5, 1, 2), line(1, 3, 1, **{"yield": 0.1, "kid": 0.9}), line(4.2, 5, 1), line(5, 2, 0.5),
       line(5.1, 1, 0.2, **{"yield": 0.3, "kid": 0.5})]  # fmt: skip


def test_rows_are_means_over_the_epoch_beside_the_studys() -> None:
    rows = {row.epoch: row for row in table(find_study("anik"), (1, 5, 25), LOG)}
    assert rows[1].ours is not None
    assert (rows[1].ours["g_loss"], rows[1].ours["d_loss"]) == (2, 1.5)
    assert rows[1].theirs is not None
    assert (rows[1].theirs.g_loss, rows[1].theirs.real_score) == (3.31, 0.58)
    assert rows[5].ours is not None
    assert rows[5].ours["g_loss"] == 3.5  # the lines after 4 epochs and until 5
    assert rows[5].judged is not None
    assert rows[5].judged["kid"] == 0.5
    assert rows[25].ours is rows[25].judged is None
    between = {row.epoch: row for row in table(find_study("anik"), (2, 3, 5), LOG[:3])}
    assert between[2].ours == between[3].ours  # both lie within what the line after 4.2 epochs says
    assert between[2].ours is not None
    assert between[2].ours["g_loss"] == 5
    assert between[5].ours is None  # not reached


def test_what_the_losses_say() -> None:
    assert sum_of_losses(LOG) == [(0.5, 3), (1, 4), (4.2, 6), (5, 2.5), (5.1, 1.2)]
    steady = [line(epoch, 2.0, 1.0) for epoch in range(1, 20)]
    assert {value for _, value in volatility(steady, "g_loss")} == {0.0}
    rocking = [line(epoch, 2.0 + epoch % 2, 1.0) for epoch in range(1, 20)]
    assert {value for _, value in volatility(rocking, "g_loss")} == {1.0}
    sentences = findings(LOG)
    assert "lowest at epoch 5.1: 1.20" in sentences[0]
    assert "yield is highest at epoch 5.1 (30 %), and KID is lowest at epoch 5.1" in sentences[1]
    assert findings([line(1, 1, 1)]) == ["The sum of both losses is lowest at epoch 1: 2.00."]


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_every_study_has_a_page_of_a_run(study, tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    recipe = replace(tiny, name=study.recipes[0], kimg=2 * faces.count("train") / 1000, snapshot_epochs=(1, 2))
    run = train(recipe, faces, tmp_path / "run", device="cpu")
    write_study(study, run, tmp_path / "page.html")
    page = check_page((tmp_path / "page.html").read_text())
    assert study.authors in page.text
    assert "This is not a recipe of the study" not in page.text
    assert "2 epochs of" in page.text
    assert "Volatility of the losses" in page.text
    assert "Real training faces" in page.text
    assert "After epoch 1" in page.text
    if not study.epochs:  # grids at equal distances
        assert "After epoch 2" in page.text


def test_a_foreign_recipe_is_named_and_a_lost_dataset_leaves_a_page(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    run = train(tiny, faces, tmp_path / "run", device="cpu")
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {"dataset": str(tmp_path / "gone")}))
    write_study(find_study("walia-acgan"), run, tmp_path / "page.html")
    text = check_page((tmp_path / "page.html").read_text()).text
    assert "This is not a recipe of the study" in text
    assert "Real training faces" not in text


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no run"):
        write_study(find_study("anik"), tmp_path, tmp_path / "page.html")
    assert not any(tmp_path.iterdir())
    with pytest.raises(UserError, match="There is no study 'radford'; choose one of menon-dubey, anik"):
        find_study("radford")
    assert np.all([find_study(name) is study for study in STUDIES for name in (study.name, *study.recipes)])
