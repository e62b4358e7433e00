import errno
import multiprocessing
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nijigan import files
from nijigan.errors import UserError
from nijigan.files import folder_lock, locked, recover_folder, replacing, replacing_folder, write_text
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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match="not a regular file"), replacing(tmp_path / "pipe.png"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["pipe.png"]
    assert (tmp_path / "pipe.png").is_fifo()


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


OWNED = re.compile(r"data\d?|table")


def old_dataset(path: Path) -> None:
    """A folder with two files that its writer owns, and what somebody else put there."""
    (path / "run" / "deep").mkdir(parents=True)
    for name in ("data", "table"):
        (path / name).write_text("old")
    (path / "run" / "deep" / "weights").write_text("mine")
    (path / "NOTES.txt").write_text("mine")
    (path / ".hidden").write_text("mine")
    (path / "link").symlink_to("run")
    (path / "empty").mkdir()


def check_foreign(path: Path) -> None:
    assert (path / "link" / "deep" / "weights").read_text() == "mine"
    assert (path / "link").is_symlink()
    assert (path / "NOTES.txt").read_text() == (path / ".hidden").read_text() == "mine"
    assert (path / "empty").is_dir()


@pytest.mark.parametrize("swaps", [True, False])
def test_files_of_others_stay_where_a_folder_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool
) -> None:
    if not swaps:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    path = tmp_path / "faces"
    old_dataset(path)
    path.chmod(0o700)
    with replacing_folder(path, OWNED) as folder:
        (folder / "data").write_text("new")
    check_foreign(path)
    assert (path / "data").read_text() == "new"
    assert not (path / "table").exists()
    assert path.stat().st_mode & 0o777 == 0o700
    with pytest.raises(ZeroDivisionError), replacing_folder(path, OWNED) as folder:
        (folder / "data").write_text("half" * (1 // 0))
    check_foreign(path)
    assert (path / "data").read_text() == "new"
    assert names(tmp_path) == ["faces"]


def test_if_a_foreign_file_cannot_move_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "faces"
    old_dataset(path)
    real = files._move

    def move(entry: Path, place: Path) -> None:
        if entry.name == "run" and place.parent != path:
            raise PermissionError(errno.EBUSY, "Device or resource busy")
        real(entry, place)

    monkeypatch.setattr(files, "_move", move)
    with pytest.raises(UserError, match="busy"), replacing_folder(path, OWNED) as folder:
        (folder / "data").write_text("new")
    check_foreign(path)
    assert (path / "data").read_text() == "old"
    assert names(tmp_path) == ["faces"]


def test_what_a_running_process_writes_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "faces"
    old_dataset(path)
    real = files._swap

    def swap(new: Path, *others: Path) -> None:
        (path / "run").mkdir()
        (path / "run" / "log").write_text("more")
        real(new, *others)

    monkeypatch.setattr(files, "_swap", swap)
    with replacing_folder(path, OWNED) as folder:
        (folder / "data").write_text("new")
    check_foreign(path)
    assert (path / "run" / "log").read_text() == "more"
    assert names(tmp_path) == ["faces"]


def test_a_linked_folder_is_replaced_where_it_is(tmp_path: Path) -> None:
    old_dataset(tmp_path / "disk" / "faces")
    (tmp_path / "faces").symlink_to(tmp_path / "disk" / "faces")
    with replacing_folder(tmp_path / "faces", OWNED) as folder:
        (folder / "data").write_text("new")
    assert (tmp_path / "faces").is_symlink()
    assert (tmp_path / "disk" / "faces" / "data").read_text() == "new"
    check_foreign(tmp_path / "faces")


KILLED = """
import os, re, sys
from pathlib import Path
from nijigan import files
path, swaps, left = Path(sys.argv[1]), sys.argv[2] == "True", int(sys.argv[3])

def count(event, arguments):
    global left
    if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "exchange"):
        left -= 1
        if left < 0:
            os._exit(9)

exchange = files._exchange
files._exchange = lambda *folders: swaps and (count("exchange", ()) or exchange(*folders))
with files.folder_lock(path, re.compile(sys.argv[4])):
    sys.addaudithook(count)
    with files.replacing_folder(path, re.compile(sys.argv[4])) as folder:
        (folder / "data").write_text("new")
        (folder / "data2").write_text("new")
left = 1000
"""


@pytest.mark.parametrize("swaps", [True, False])
def test_a_kill_at_any_step_loses_nothing(tmp_path: Path, swaps: bool) -> None:
    seen = set()
    for step in range(40):
        path = tmp_path / str(step) / "faces"
        old_dataset(path)
        done = subprocess.run([sys.executable, "-c", KILLED, path, str(swaps), str(step), OWNED.pattern], check=False)
        assert done.returncode in (0, 9)
        if swaps:
            assert path.exists()
        recover_folder(path, OWNED)
        check_foreign(path)
        state = sorted((file.name, file.read_text()) for file in path.iterdir() if OWNED.fullmatch(file.name))
        assert state in ([("data", "old"), ("table", "old")], [("data", "new"), ("data2", "new")])
        assert [name for name in names(path.parent) if name != ".faces.lock"] == ["faces"]
        with folder_lock(path, OWNED):  # a lock file left behind does not block
            pass
        assert names(path.parent) == ["faces"]
        seen.add(state[0][1])
        if done.returncode == 0:
            break
    assert done.returncode == 0
    assert seen == {"old", "new"}


def test_remains_next_to_a_folder_are_deleted_and_do_not_come_back(tmp_path: Path) -> None:
    path = tmp_path / "faces"
    old_dataset(path)
    for name in (".faces.0123abcd.old", ".faces.0123abcd.new", ".other.0123abcd.old", ".faces.mine.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_text("older")
    (tmp_path / ".faces.0123abcd.new" / "diary").write_text("mine")
    (tmp_path / ".faces.89abcdef.crops.zip").write_text("")
    recover_folder(path, OWNED)
    assert names(tmp_path) == [".faces.mine.old", ".other.0123abcd.old", "faces"]
    assert (path / "diary").read_text() == "mine"
    assert (path / "data").read_text() == "old"
    check_foreign(path)


def test_remains_of_a_process_that_still_runs_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "faces"
    with folder_lock(path), replacing_folder(path) as folder:
        (folder / "one").write_text("1")
        thread = threading.Thread(target=recover_folder, args=[path])
        thread.start()
        thread.join()
        assert (folder / "one").exists()
    assert names(path) == ["one"]
    assert names(tmp_path) == ["faces"]


def _hold(path: Path, ready: object) -> None:
    with folder_lock(path):
        ready.set()
        threading.Event().wait()


def test_a_folder_has_one_writer_and_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "faces", ready))
    holder.start()
    assert ready.wait(60)
    (tmp_path / "alias").symlink_to(tmp_path / "faces")
    for path in (tmp_path / "faces", tmp_path / "alias"):
        with pytest.raises(UserError, match="Another process is using .*faces; wait for it to end, or stop it"):
            folder_lock(path).__enter__()
    holder.kill()
    holder.join()
    with folder_lock(tmp_path / "faces"):
        pass
    assert names(tmp_path) == ["alias"]


def test_a_lock_file_left_behind_does_not_block(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text("left behind")
    with locked(tmp_path / "run.lock"), pytest.raises(UserError, match="Another process"):
        locked(tmp_path / "run.lock").__enter__()
    with locked(tmp_path / "run.lock"):
        pass


def test_folders_that_cannot_be_flushed_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = files.os.open

    def refuse_folders(path: object, *arguments: object, **options: object) -> int:
        if Path(str(path)).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(files.os, "open", refuse_folders)
    write_text(tmp_path / "a.txt", "one")
    with replacing_folder(tmp_path / "faces") as folder:
        (folder / "one").write_text("1")
    assert names(tmp_path) == ["a.txt", "faces"]


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


def test_what_a_killed_process_left_is_swept_and_what_is_in_use_or_foreign_stays(tmp_path: Path) -> None:
    abandoned = [".a.0123abcd.part.txt", ".b.0123abcd.part", ".c d.png.ffffffff.part.webp"]
    foreign = [".a.0123abcd.txt", "a.0123abcd.part.txt", ".a.0123abc.part.txt", ".part.txt"]
    for name in [*abandoned, *foreign]:
        (tmp_path / name).write_text("x")
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom nijigan.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n    print(temporary.name, flush=True)\n    time.sleep(60)\n"
    )
    place = tmp_path / "busy" / "z.txt"
    writer = subprocess.Popen([sys.executable, "-c", script, str(place)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    held = writer.stdout.readline().strip()
    files._swept.clear()
    write_text(place, "whole")
    write_text(tmp_path / "a.txt", "whole")
    assert names(tmp_path) == sorted([*foreign, "a.txt", "busy"])
    assert names(tmp_path / "busy") == sorted([held, "z.txt"])
    writer.kill()
    writer.communicate()
    files._swept.clear()
    write_text(tmp_path / "busy" / "other.txt", "whole")
    assert names(tmp_path / "busy") == ["other.txt", "z.txt"]
