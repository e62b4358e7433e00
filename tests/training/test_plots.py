from pathlib import Path

from nijigan.training.observer.plots import plot_curves


def test_attributes_have_a_picture_of_their_own_where_they_were_measured(tmp_path: Path) -> None:
    plain = [{"kimg": 1.0, "d_loss": 1.0, "g_loss": 2.0}, {"kimg": 2.0, "d_loss": 1.0, "g_loss": None}]
    plot_curves(plain, tmp_path / "plain")
    assert [picture.name for picture in (tmp_path / "plain").iterdir()] == ["losses.png"]
    measured = [plain[0] | {"accuracy-hair": 0.5, "accuracy-eyes": None}, plain[1] | {"accuracy-hair": 0.75}]
    plot_curves(measured, tmp_path / "measured")
    assert {picture.name for picture in (tmp_path / "measured").iterdir()} == {"losses.png", "accuracy.png"}
