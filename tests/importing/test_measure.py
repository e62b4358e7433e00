"""The pass over all pictures: with Daft, or with threads where Daft cannot run."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from blobs import blob, encode, write, write_zip
from nijigan.errors import UserError
from nijigan.importing import measure as measuring
from nijigan.importing.importer import import_faces
from nijigan.importing.measure import each, measure
from nijigan.importing.sources import SourceFile, list_sources

PICTURES = {f"{seed}.png": encode(blob(seed)) for seed in range(12)} | {"damaged.png": b"words"}


def test_threads_measure_what_daft_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = sorted(list_sources([write(tmp_path / "p", PICTURES), write_zip(tmp_path / "a.zip", PICTURES)]).pictures)
    monkeypatch.setattr(measuring, "BATCH", 5)
    by_daft = measure(entries, 10**6, detect=True)
    monkeypatch.setattr(measuring, "_free_address_space", lambda: 2**30)
    monkeypatch.setattr(measuring, "_daft", None)
    ticks: list[tuple[int, int]] = []
    assert measure(entries, 10**6, lambda *tick: ticks.append(tick), detect=True) == by_daft
    assert ticks == sorted(ticks)
    assert (ticks[0], ticks[-1]) == ((0, 26), (26, 26))
    assert len(ticks) > 4
    assert measure([], 10**6).num_rows == 0


@pytest.mark.parametrize("space", [2**30, float("inf")])
def test_files_are_read_from_front_to_back(monkeypatch: pytest.MonkeyPatch, space: float) -> None:
    monkeypatch.setattr(measuring, "_free_address_space", lambda: space)
    entries = [SourceFile(f"{n}", "ba"[n % 2], (7 * n) % 12) for n in range(12)]
    seen: list[list[tuple[bytes, int]]] = []

    def work(files: Sequence[bytes], positions: Sequence[int]) -> pa.Array:
        seen.append(list(zip(files, positions, strict=True)))
        return pa.array([{"place": position} for position in positions], pa.struct({"place": pa.int64()}))

    parts = list(each(entries, work, pa.struct({"place": pa.int64()}), 3, None))
    assert sorted(seen) == [sorted(batch) for batch in sorted(seen)]
    assert all(batch == sorted(batch) for batch in seen)
    rows = pa.concat_tables(parts).sort_by("row")
    assert rows["place"].to_pylist() == [entry.position for entry in entries]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12 and later
def test_a_forked_process_imports_too(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", PICTURES)
    import_faces([folder], tmp_path / "first")
    child = multiprocessing.get_context("fork").Process(target=import_faces, args=([folder], tmp_path / "second"))
    child.start()
    child.join(30)
    child.kill()
    assert child.exitcode == 0
    first, second = ((tmp_path / name / "faces-00000.parquet").read_bytes() for name in ("first", "second"))
    assert first == second


def test_too_little_memory_for_threads_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def submit(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(measuring, "_free_address_space", lambda: 0)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    with pytest.raises(UserError, match="too little memory to read pictures"):
        import_faces([write(tmp_path / "p", PICTURES)], tmp_path / "faces")


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_an_import_under_a_limit_on_address_space(tmp_path: Path, limit: int) -> None:
    folder = write(tmp_path / "p", PICTURES)
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_AS, ({limit}_000_000_000,) * 2)
from nijigan.importing.importer import import_faces
import_faces({str(folder)!r}, {str(tmp_path / "faces")!r})
"""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
