"""Rate without a browser: numbered contact sheets to look at, and a table to fill in."""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydantic import TypeAdapter

from nijigan.aliases import Progress
from nijigan.errors import UserError
from nijigan.files import check_regular, replacing_folder, write_text
from nijigan.pictures import resize
from nijigan.rate.ballot import Ballot, BallotKey
from nijigan.rate.store import Vote

VERDICTS = "verdicts.csv"
"""The table to fill in: number, verdict, reason."""
KEY = "key.json"
"""What each number shows. Raters do not open it."""
REASONS = ("eyes", "mouth", "hair", "outline", "blur", "other")
SIDE = 160
"""Height and width of a face on a sheet, in pixels."""
COLUMNS, ROWS = 7, 5

_GOOD, _BAD = ("good", "g", "yes", "y", "1"), ("bad", "b", "no", "n", "0")
_LONGEST = 20  # characters of a number, and of what a message quotes
_GAP, _LINE = 8, 18  # pixels between faces, and under each for its number


def write_sheets(ballot: Ballot, folder: Path, progress: Progress | None = None) -> list[Path]:
    """Write the contact sheets of a ballot, the table to fill in and its key into a new folder.

    Args:
        ballot: the faces to rate.
        folder: created; it must not exist, or be empty.
        progress: called with (sheets written, sheets in all).

    Returns:
        The sheets: PNG, 35 faces of 160×160 pixels each, every face over its number.

    Raises:
        UserError: the folder is not empty.
    """
    check_folder(folder)
    names = []
    per_sheet = COLUMNS * ROWS
    starts = range(0, len(ballot.faces), per_sheet)
    with replacing_folder(folder) as temporary:
        for sheet, start in enumerate(starts, 1):
            names.append(f"sheet-{sheet:03d}.png")
            _draw_sheet(ballot, start, min(start + per_sheet, len(ballot.faces))).save(temporary / names[-1])
            if progress:
                progress(sheet, len(starts))
        with (temporary / VERDICTS).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["number", "verdict", "reason"])
            writer.writerows([number, "", ""] for number in range(1, len(ballot.faces) + 1))
        key = BallotKey(ballot.faces, ballot.sources, ballot.repeats)
        write_text(temporary / KEY, json.dumps(asdict(key), indent=1) + "\n")
    return [folder / name for name in names]


def check_folder(folder: Path) -> None:
    """Raise a `UserError` unless sheets can be written to this folder: it must not exist, or be empty."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not an empty folder; choose another place for the sheets.")


def read_sheets(folder: Path) -> tuple[BallotKey, list[Vote]]:
    """Read what the sheets show, and the verdicts that were filled in. Numbers without a verdict are omitted.

    Raises:
        UserError: a file is missing or damaged, there is no verdict, a number occurs twice or does not exist, or a
            verdict or reason is not understood.
    """
    try:
        for name in (KEY, VERDICTS):
            check_regular(folder / name)
        key = TypeAdapter(BallotKey).validate_json((folder / KEY).read_bytes())
        if not len(key.faces) == len(key.sources) == len(key.repeats):
            raise ValueError("lists of different lengths")
        text = (folder / VERDICTS).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            f"{folder} has no contact sheets to read ({error.strerror}: {error.filename}). Write some with: nijigan "
            f"rate MODELS --data DATASET --sheets {folder}"
        ) from error
    except ValueError as error:  # as pydantic's and Unicode's errors are
        raise UserError(f"{KEY} or {VERDICTS} in {folder} is damaged; write the sheets again.") from error
    try:
        votes = [vote for _, vote in sorted(_rows(folder / VERDICTS, text, key))]
    except csv.Error as error:
        raise UserError(f"{folder / VERDICTS} is not a table ({error}); write the sheets again.") from error
    if not votes:
        raise UserError(
            f"{folder / VERDICTS} has no verdict yet; write good or bad into its column verdict, in the line of each "
            "face that you rate, and run the command again."
        )
    return key, votes


def _rows(path: Path, text: str, key: BallotKey) -> Iterator[tuple[int, Vote]]:
    """Each number with a verdict, in the order of the table."""
    seen: set[int] = set()
    delimiter = ";" if ";" in text.partition("\n")[0] else ","  # spreadsheets of some countries write semicolons
    table = csv.DictReader(text.splitlines(), delimiter=delimiter)
    missing = [name for name in ("number", "verdict") if name not in (table.fieldnames or ())]
    if missing:
        raise UserError(f"{path} has no column {missing[0]}; make number,verdict,reason its first line again.")
    for line, row in enumerate(table, 2):
        number, verdict, reason = ((row.get(name) or "").strip().lower() for name in ("number", "verdict", "reason"))
        if not (number or verdict):
            continue
        where = f"Line {line} of {path}"
        if not number.isdecimal() or len(number) > _LONGEST or not 1 <= int(number) <= len(key.faces):
            raise UserError(
                f"{where} has the number {number[:_LONGEST]!r}; the sheets have the numbers 1 to {len(key.faces)}."
            )
        if int(number) in seen:
            raise UserError(f"{where} repeats the number {number}; keep one line for each face.")
        seen.add(int(number))
        if not verdict:
            continue
        if verdict not in (*_GOOD, *_BAD):
            raise UserError(f"{where} has the verdict {verdict[:_LONGEST]!r}; write good or bad, or nothing.")
        if reason and reason not in REASONS:
            raise UserError(f"{where} has the reason {reason[:_LONGEST]!r}; write {', '.join(REASONS)}, or nothing.")
        at = int(number) - 1
        yield int(number), Vote(key.faces[at], key.sources[at], key.repeats[at], verdict in _GOOD, reason)


def _draw_sheet(ballot: Ballot, start: int, stop: int) -> Image.Image:
    """The faces from `start` to `stop`, each over its number, counted from 1."""
    rows = -(-(stop - start) // COLUMNS)
    size = (_GAP + COLUMNS * (SIDE + _GAP), _GAP + rows * (SIDE + _LINE + _GAP))
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for index in range(start, stop):
        row, column = divmod(index - start, COLUMNS)
        left, top = _GAP + column * (SIDE + _GAP), _GAP + row * (SIDE + _LINE + _GAP)
        sheet.paste(resize(Image.fromarray(np.asarray(ballot.images[index])), SIDE, SIDE), (left, top))
        draw.text((left + SIDE // 2, top + SIDE + 1), str(index + 1), fill="black", font=font, anchor="mt")
    return sheet
