"""Rating on contact sheets: blind sheets, a table that is filled in, verdicts in the same store as the browser's."""

import csv
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nijigan.cli.entry import main
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.rate.ballot import REAL, Ballot, build_ballot
from nijigan.rate.sheets import COLUMNS, KEY, ROWS, SIDE, VERDICTS, read_sheets, write_sheets
from nijigan.rate.store import NAME, Vote, VoteStore
from nijigan.rate.tally import tally
from small import small_generator


@pytest.fixture(scope="module")
def models() -> dict[str, Generator]:
    return {"runs/one": small_generator(1), "runs/two": small_generator(2)}


@pytest.fixture(scope="module")
def ballot(models: dict[str, Generator], faces: FaceDataset) -> Ballot:
    return build_ballot(models, faces, n=20, seed=3, real=4, repeats=0.25)


@pytest.fixture
def sheets(ballot: Ballot, tmp_path: Path) -> Path:
    write_sheets(ballot, tmp_path / "sheets")
    return tmp_path / "sheets"


def fill(folder: Path, lines: list[str]) -> None:
    (folder / VERDICTS).write_text("\n".join(["number,verdict,reason", *lines]), encoding="utf-8")


def test_a_quarter_of_the_faces_comes_twice_and_not_in_the_first_half(ballot: Ballot, models, faces):
    assert (len(ballot.faces), sum(ballot.repeats)) == (55, 11)
    assert ballot.sources.count(REAL) - 4 in range(5)
    firsts = [face for face, repeat in ballot.showings if not repeat]
    assert len(set(firsts)) == len(firsts) == 44
    assert {face for face, repeat in ballot.showings if repeat} <= set(firsts[:22])
    for position, (face, repeat) in enumerate(ballot.showings):
        if repeat:
            assert position >= 22
            np.testing.assert_array_equal(ballot.images[position], ballot.images[ballot.faces.index(face)])
    assert not any(build_ballot(models, faces, n=4).repeats)


@pytest.mark.parametrize(("real", "repeats"), [(-1, 0), (10**9, 0), (2, -0.1), (2, 0.6), (2, float("nan"))])
def test_numbers_out_of_range_are_refused(real, repeats, models, faces):
    with pytest.raises(UserError, match="--real|--repeats"):
        build_ballot(models, faces, n=2, real=real, repeats=repeats)


def test_sheets_show_the_faces_in_order_each_over_its_number(ballot: Ballot, sheets: Path):
    names = sorted(path.name for path in sheets.iterdir())
    assert names == [KEY, "sheet-001.png", "sheet-002.png", VERDICTS]
    with Image.open(sheets / "sheet-001.png") as picture:
        first = np.asarray(picture)
    row, column = divmod(COLUMNS + 2, COLUMNS)  # the third face of the second row
    left, top = 8 + column * (SIDE + 8), 8 + row * (SIDE + 26)
    shown = Image.fromarray(first[top : top + SIDE, left : left + SIDE])
    wanted = Image.fromarray(ballot.images[COLUMNS + 2]).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(wanted))
    assert first[top + SIDE + 1 : top + SIDE + 18, left : left + SIDE].min() < 100  # its number
    with Image.open(sheets / "sheet-002.png") as last:
        assert last.height < first.shape[0]  # 20 of 35 faces
    with (sheets / VERDICTS).open() as file:
        assert [row["number"] for row in csv.DictReader(file)] == [str(n) for n in range(1, 56)]
    assert COLUMNS * ROWS == 35


def test_verdicts_go_into_the_browsers_store_with_rater_repeat_and_reason(ballot: Ballot, sheets: Path, tmp_path: Path):
    fill(sheets, [f"{n},{'good' if n % 3 else 'bad'},{'' if n % 3 else 'eyes'}" for n in range(1, 51)])
    key, votes = read_sheets(sheets)
    assert key.showings == ballot.showings
    assert votes[2] == Vote(ballot.faces[2], ballot.sources[2], ballot.repeats[2], False, "eyes")
    mine, hers = VoteStore(tmp_path, "me"), VoteStore(tmp_path, "her")
    mine.cast_all(votes)
    for face, source in zip(ballot.faces[:30], ballot.sources, strict=False):
        hers.cast(face, source, True)
    count = tally(key, mine)
    assert (count.rated, count.total) == (50, 55)
    verdicts = {showing: (index + 1) % 3 != 0 for index, showing in enumerate(ballot.showings[:50])}
    again = [(verdicts[face, False], good) for (face, repeat), good in verdicts.items() if repeat]
    assert count.themself is not None
    assert count.themself.share.value == pytest.approx(np.mean([a == b for a, b in again]))
    rated_by_both = [verdicts[showing] for showing in dict.fromkeys((face, False) for face in ballot.faces[:30])]
    assert count.others["her"].share.value == pytest.approx(np.mean(rated_by_both))
    assert "agree with yourself" in str(count)
    assert "her agrees" in str(count)
    with sqlite3.connect(tmp_path / NAME) as database:
        row = database.execute(
            "SELECT rater, repeat, good, reason FROM verdicts WHERE rater = 'me' ORDER BY id"
        ).fetchall()[2]
    database.close()
    assert row == ("me", int(ballot.repeats[2]), 0, "eyes")


def test_words_semicolons_and_gaps_of_spreadsheets_are_understood(sheets: Path):
    table = "\ufeffnumber;verdict;reason\r\n2; Y ;\r\n1;0;Hair\r\n3;;\r\n;;\r\n4;G;\r\n"
    (sheets / VERDICTS).write_bytes(table.encode())
    _, votes = read_sheets(sheets)
    assert [(vote.good, vote.reason) for vote in votes] == [(False, "hair"), (True, ""), (True, "")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("56,good,", "1 to 55"), ("0,good,", "1 to 55"), ("x,good,", "'x'"), (",good,", "''"), ("1,maybe,", "'maybe'"),
        ("1,bad,nose", "'nose'"), ("2,good,", "repeats the number 2"), ("99999999999999999999,good,", "1 to 55"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named_and_nothing_is_stored(line: str, words: str, sheets: Path, tmp_path: Path, capsys):
    fill(sheets, ["2,good,", line])
    assert main(["rate", "--read", str(sheets), "--out", str(tmp_path / "r")]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Line 3" in error
    assert not (tmp_path / "r" / NAME).exists()


@pytest.mark.parametrize("content", ["", "[1]", '{"faces": ["a"], "sources": [], "repeats": []}', "[" * 10_000])
def test_a_damaged_key_is_refused(content: str, sheets: Path):
    (sheets / KEY).write_text(content)
    with pytest.raises(UserError, match="damaged"):
        read_sheets(sheets)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("number,verdict,reason\n1,,\n2,,eyes\n", "has no verdict yet; write good or bad into its column verdict"),
        ("number,verdict,reason\n", "has no verdict yet"),
        ("", "has no column number; make number,verdict,reason its first line again"),
        ("number,judgement\n1,good\n", "has no column verdict"),
        (f"number,verdict\n{'1' * 5000},good\n", "Line 2 of"),
        (f"number,verdict\n1,{'x' * 200_000}\n", "is not a table"),
    ],
)
def test_a_table_without_a_verdict_is_refused_in_a_sentence_and_stores_nothing(
    table: str, words: str, sheets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (sheets / VERDICTS).write_text(table)
    assert main(["rate", "--read", str(sheets), "--out", str(tmp_path / "votes")]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert VERDICTS in told
    assert len(told) < 500
    assert not (tmp_path / "votes").exists()


def test_no_folder_is_overwritten_and_a_missing_one_is_named(ballot: Ballot, sheets: Path, tmp_path: Path):
    with pytest.raises(UserError, match="not an empty folder"):
        write_sheets(ballot, sheets)
    with pytest.raises(UserError, match="not an empty folder"):
        write_sheets(ballot, sheets / KEY)
    with pytest.raises(UserError, match="has no contact sheets"):
        read_sheets(tmp_path / "elsewhere")


def test_votes_of_version_0_1_stay(tmp_path: Path):
    with sqlite3.connect(tmp_path / NAME) as database:
        database.execute(
            "CREATE TABLE votes (id INTEGER PRIMARY KEY AUTOINCREMENT, face TEXT NOT NULL UNIQUE, source TEXT NOT NULL,"
            " good INTEGER NOT NULL, cast_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"
        )
        database.execute("INSERT INTO votes (face, source, good) VALUES ('a', 'm', 1), ('b', 'm', 0)")
    database.close()
    for _ in range(2):
        assert VoteStore(tmp_path).votes() == {("a", False): True, ("b", False): False}
    assert VoteStore(tmp_path, "me").votes() == {}


def test_the_command_writes_sheets_and_reads_them(faces: FaceDataset, tmp_path: Path, capsys):
    model, folder = tmp_path / "one.safetensors", tmp_path / "sheets"
    small_generator(1).save(model)
    given = [str(model), "--data", str(faces.path), "--n", "6", "--repeats", "0.2", "--sheets", str(folder)]
    assert main(["rate", *given, "--rater", "ann"]) == 0
    assert f"nijigan rate --read {folder}" in capsys.readouterr().out
    shown = len(json.loads((folder / KEY).read_text())["faces"])
    fill(folder, [f"{n},good," for n in range(1, shown + 1)])
    out = str(tmp_path / "ratings")
    assert main(["rate", "--read", str(folder), "--out", out, "--rater", "ann"]) == 0
    told = capsys.readouterr()
    assert f"{shown} of {shown} faces rated" in told.out
    assert f"Stored {shown} verdicts of ann in {tmp_path / 'ratings'}" in told.err
    assert main(["rate", *given]) == 2  # the folder is not empty
    assert main(["rate", str(model), "--read", str(folder)]) == 2
    assert main(["rate", str(model)]) == 2
    assert "--data" in capsys.readouterr().err
