"""Rate without a browser: numbered contact sheets to look at, and a table to fill in."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydantic import TypeAdapter, ValidationError

from nijigan.aliases import Progress
from nijigan.errors import UserError
from nijigan.files import replacing_folder, write_text
from nijigan.pictures import resize
from nijigan.rate.ballot import Ballot

VERDICTS = "verdicts.csv"
"""The table to fill in: number, verdict, reason."""
KEY = "key.json"
"""What each number shows. Raters do not open it."""
REASONS = ("eyes", "mouth", "hair", "outline", "blur", "other")
SIDE = 160
"""Height and width of a face on a sheet, in pixels."""
COLUMNS, ROWS = 7, 5

_GOOD, _BAD = ("good", "g", "yes", "y", "1"), ("bad", "b", "no", "n", "0")
_GAP, _LINE = 8, 18  # pixels between faces, and under each for its number


@dataclass(frozen=True)
class Verdict:
    """What a rater says of one face."""

    face: str
    """The identity of the face; see `Ballot.faces`."""
    source: str
    """The name of its model, or `ballot.REAL`."""
    repeat: bool
    """Whether the face was shown for the second time."""
    good: bool
    reason: str
    """One of `REASONS`, or empty."""


@dataclass(frozen=True)
class _Key:
    """The identity of one number on the sheets."""

    face: str
    source: str
    repeat: bool


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
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; choose another folder for the sheets.")
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
        keys = [
            {"face": face, "source": source, "repeat": repeat}
            for face, source, repeat in zip(ballot.faces, ballot.sources, ballot.repeats, strict=True)
        ]
        write_text(temporary / KEY, json.dumps(keys, indent=1) + "\n")
    return [folder / name for name in names]


def read_sheets(folder: Path) -> list[Verdict]:
    """Read the verdicts that were filled in. Numbers without a verdict are omitted.

    Raises:
        UserError: a file is missing or damaged, a number occurs twice or does not exist, or a verdict or reason is not
            understood.
    """
    try:
        keys = TypeAdapter(list[_Key]).validate_json((folder / KEY).read_bytes())
        text = (folder / VERDICTS).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            f"{folder} has no contact sheets to read ({error.strerror}: {error.filename}). Write some with: nijigan rate "
            f"MODELS --data DATASET --sheets {folder}"
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise UserError(f"{folder / KEY} or {VERDICTS} beside it is damaged; write the sheets again.") from error
    verdicts = {number: verdict for number, verdict in _rows(folder / VERDICTS, text, keys)}
    return [verdicts[number] for number in sorted(verdicts)]


def _rows(path: Path, text: str, keys: list[_Key]) -> Iterator[tuple[int, Verdict]]:
    """Each number with a verdict, in the order of the table."""
    seen: set[int] = set()
    dialect = ";" if text.partition("\n")[0].count(";") else ","  # spreadsheets of some countries write semicolons
    for line, row in enumerate(csv.DictReader(text.splitlines(), delimiter=dialect), 2):
        number, verdict, reason = ((row.get(name) or "").strip().lower() for name in ("number", "verdict", "reason"))
        if not (number or verdict):
            continue
        where = f"Line {line} of {path}"
        if not number.isdecimal() or not 1 <= int(number) <= len(keys):
            raise UserError(f"{where} has the number {number!r}; the sheets have the numbers 1 to {len(keys)}.")
        if int(number) in seen:
            raise UserError(f"{where} repeats the number {number}; keep one line for each face.")
        seen.add(int(number))
        if not verdict:
            continue
        if verdict not in (*_GOOD, *_BAD):
            raise UserError(f"{where} has the verdict {verdict!r}; write good or bad, or nothing.")
        if reason and reason not in REASONS:
            raise UserError(f"{where} has the reason {reason!r}; write {', '.join(REASONS)}, or nothing.")
        key = keys[int(number) - 1]
        yield int(number), Verdict(key.face, key.source, key.repeat, verdict in _GOOD, reason)


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
