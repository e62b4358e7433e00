"""A table of labels as rows of cells, whatever its format, and the limits of such tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nijigan.errors import UserError

Cell = str | tuple[str, ...] | None
"""A text, a list of texts, or nothing."""

MAX_CELLS = 20_000_000
"""The limit of rows × columns. Forty attributes of 200,000 pictures are less than half of it."""

MAX_BYTES = 2**26
"""The size limit of a table of text."""

MAX_OBJECTS = 1_000_000
"""The limit of JSON objects, and of JSON lists."""

MAX_LINES = 3_000_000
"""The limit of lines of text."""

MAX_COMMAS = 10_000_000
"""The limit of commas, which separate most of the values in a table of text."""

NESTED = "its cells are nested"
"""Why a column is no attribute. Its cells are the names of files in them."""

UNREAD = "its cells are of a type that is not read"
"""Why a column is no attribute. Its cells are empty here."""


@dataclass
class Table:
    """A table of labels. Every row has as many cells as the header."""

    header: list[str]
    """The names of the columns; empty where a column has none."""
    rows: list[list[Cell]]
    headed: bool = True
    """Whether `header` is known to be one. Otherwise it is the first of the rows, which may be data."""
    unusable: dict[int, str] = field(default_factory=dict)
    """Columns that cannot be read, and why. Cells that are not read are empty."""
    places: dict[int, str] = field(default_factory=dict)
    """What to call columns that have a name here, but none in the file, such as `the keys` of a JSON object."""
    malformed: int = 0
    """Lines that cannot be read."""

    def column(self, number: int) -> list[Cell]:
        """The cells of one column."""
        return [row[number] for row in self.rows]

    def select(self, numbers: Sequence[int]) -> "Table":
        """The table of some of the columns."""
        return replace(
            self,
            header=[self.header[number] for number in numbers],
            rows=[[row[number] for number in numbers] for row in self.rows],
            unusable={new: self.unusable[old] for new, old in enumerate(numbers) if old in self.unusable},
        )


def check_size(name: str, rows: int, columns: int) -> None:
    """Refuse a table with more than `MAX_CELLS` cells, with a `UserError`."""
    if rows * columns > MAX_CELLS:
        raise UserError(f"{name} has more than {MAX_CELLS:,} cells; keep only the columns with file names and labels.")


def read_file(path: Path) -> bytes:
    """The content of a file that the user named, cut off one byte after `MAX_BYTES`.

    Raises:
        UserError: it cannot be read.
    """
    if path.exists() and not path.is_file():  # reading a pipe could wait forever
        raise UserError(f"{path} is not a file.")
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"Could not read {path}: {error.strerror}.") from error


def decode_text(name: str, data: bytes) -> str:
    """The text of a file, which must be UTF-8.

    Every value that is read takes many times its size in memory, so that values are counted, roughly, before that.

    Raises:
        UserError: it is not, or is too large, or holds too many values.
    """
    if len(data) > MAX_BYTES:
        raise UserError(f"{name} is larger than {MAX_BYTES:,} bytes; keep only file names and labels in it.")
    for marks, limit, what in (
        (b"{", MAX_OBJECTS, "objects"), (b"[", MAX_OBJECTS, "lists"), (b"\n", MAX_LINES, "lines"),
        (b"\r", MAX_LINES, "lines"), (b",", MAX_COMMAS, "commas"), (b";", MAX_COMMAS, "semicolons"),
        (b"\t", MAX_COMMAS, "tabs"),
    ):  # fmt: skip
        if (count := data.count(marks)) > limit:
            raise UserError(
                f"{name} has {count:,} {what}, more than the limit of {limit:,} for a table; keep only file names and "
                "labels in it, or save it as Parquet."
            )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text; save it as UTF-8.") from error
