import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nijigan.errors import UserError
from nijigan.files import recover_folder, replacing, replacing_folder, write_text
from nijigan.pictures import enlarge, grid


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "one")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half" * (1 // 0))
    assert path.read_text() == "one"
    write_text(path, "two")
    assert path.read_text() == "two"
    assert names(path.parent) == ["a.txt"]


@pytest.mark.parametrize("replace", [replacing, replacing_folder])
def test_a_full_disk_leaves_what_was_there(replace, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    with pytest.raises(UserError, match="No space left"), replace(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == ["a"]


def test_a_file_in_the_way_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Could not write"):
        write_text(tmp_path / "file" / "below", "x")


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "faces"
    with replacing_folder(path) as folder:
        (folder / "one").write_text("1")
    with pytest.raises(RuntimeError), replacing_folder(path) as folder:
        raise RuntimeError
    assert names(path) == ["one"]
    with replacing_folder(path) as folder:
        (folder / "two").write_text("2")
    assert names(path) == ["two"]
    assert names(tmp_path) == ["faces"]


def test_a_folder_moved_aside_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    aside = tmp_path / ".faces.0123abcd.old"
    aside.mkdir()
    (aside / "one").write_text("1")
    recover_folder(tmp_path / "faces")
    assert names(tmp_path / "faces") == ["one"]
    recover_folder(tmp_path / "other")
    assert names(tmp_path) == ["faces"]


def test_a_grid_puts_every_picture_in_its_place() -> None:
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    canvas = grid(images, columns=3, gap=1, background=9)
    assert canvas.shape == (1 + 2 * 3, 1 + 3 * 4, 3)
    for index in range(5):
        top, left = 1 + index // 3 * 3, 1 + index % 3 * 4
        assert (canvas[top : top + 2, left : left + 3] == index).all()
    assert (canvas[:, 0] == 9).all()
    assert (canvas[4:6, 9:12] == 9).all()  # the empty sixth place


def test_enlarging_is_pillows_lanczos() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8)
    assert enlarge(images, 1) is images
    expected = Image.fromarray(images[1]).resize((12, 15), Image.Resampling.LANCZOS)
    assert np.array_equal(enlarge(images, 3)[1], np.asarray(expected))
