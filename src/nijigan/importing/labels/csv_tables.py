"""Read CSV and TSV as tables of labels."""

import csv
import io
import re
from collections.abc import Sequence

from nijigan.errors import UserError
from nijigan.importing.labels.picture_names import is_file_name
from nijigan.importing.labels.tables import Table, check_size
from nijigan.importing.labels.vocabulary import names_pictures

_SEPARATOR = re.compile(r"\"?sep=([,;\t])\"?\s*", re.IGNORECASE)
"""The line that Excel reads and writes above a table."""


def read_csv(name: str, text: str) -> list[list[str]]:
    """The rows of a CSV or TSV file that are not empty, without the comments above the header.

    The first of these rows decides what separates cells.

    Raises:
        UserError: it is not such a file, or has a quote that is not closed.
    """
    lines = list(io.StringIO(text, newline=""))
    first, delimiter = 0, "\t" if name.lower().endswith(".tsv") else ""
    while first < len(lines) and (separator := _SEPARATOR.fullmatch(lines[first]) or _is_above(lines, first)):
        delimiter = separator[1] if isinstance(separator, re.Match) else delimiter
        first += 1
    return csv_rows(name, lines, delimiter or _delimiter("".join(lines[first : first + 1])), first)


def csv_rows(name: str, lines: Sequence[str], delimiter: str, first: int = 0) -> list[list[str]]:
    """The rows that are not empty, from line `first` on (counted from 0). Cells have no spaces around them.

    Raises:
        UserError: there are too many cells, or a quote is not closed.
    """
    reader = csv.reader(lines[first:], delimiter=delimiter, skipinitialspace=True)
    rows: list[list[str]] = []
    cells, start = 0, first
    try:
        for row in reader:
            stop = first + reader.line_num
            cells += len(row)
            check_size(name, 1, cells)
            if (stop - start > 1 or stop == len(lines)) and _is_open(lines[start:stop], row, rows, delimiter):
                raise UserError(
                    f"{name}: the quote in line {start + 1:,} is not closed, or only in a later line. Close it, "
                    "or write two quotes for one that belongs to the text."
                )
            start = stop
            if any(stripped := [cell.strip() for cell in row]):
                rows.append(stripped)
    except csv.Error as error:
        raise UserError(f"{name} is not a CSV file (line {start + 1:,}: {error}).") from error
    return rows


def _is_open(lines: Sequence[str], row: Sequence[str], earlier: Sequence[Sequence[str]], delimiter: str) -> bool:
    """Whether a row took in others, because a quote in its lines is not closed."""
    # Spaces between a quote and the next cell are no error.
    exact = re.sub(rf"\" +(?=[{delimiter}\r\n])", '"', "".join(lines))
    try:
        list(csv.reader(io.StringIO(exact, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        if len(lines) > 1 or "unexpected end" in str(error):  # text after a quote is no error in a line of its own
            return True
    width = len(earlier[0]) if earlier else len(row)
    return any(_is_row(line, width, delimiter) for cell in row for line in cell.strip().splitlines()[1:])


def _is_row(line: str, width: int, delimiter: str) -> bool:
    """Whether a line in a cell is a row of the table. In prose, a space follows each comma."""
    cells = line.split(delimiter)
    return len(cells) == width > 1 and (any(map(is_file_name, cells)) or not any(cell[:1].isspace() for cell in cells))


def _is_above(lines: Sequence[str], number: int) -> bool:
    """Whether a line is above the table: empty, or a comment after `#`. A header or a name can start with `#`, too."""
    line = lines[number].strip()
    if not line.startswith("#"):
        return not line.strip(',;\t "')
    following = next((other for other in lines[number + 1 :] if other.strip()), "")
    delimiter = _delimiter(following)
    cells = [cell.strip('# "') for cell in line.split(delimiter)]
    if is_file_name(line.split()[0].split(delimiter)[0]):
        return False
    header = any(map(names_pictures, cells)) or not re.search(r"\s", line.split(delimiter)[0])
    return not (header and len(cells) == following.count(delimiter) + 1 > 1)


def _delimiter(line: str) -> str:
    return max(",\t;", key=line.count)


def csv_table(name: str, rows: Sequence[list[str]]) -> Table:
    """The table of the rows of a CSV file.

    Raises:
        UserError: it has fewer than two columns.
    """
    header = list(rows[0]) if rows else []
    if len(rows) > 1 and all(len(row) == len(header) + 1 and row[-1] for row in rows[1:]):
        header = ["", *header]  # R writes no name above the names of rows
    if len(header) < 2:
        raise UserError(
            f"{name} is not a table of tags; give it a header with a file column and attributes, or give the "
            "meaning of its words with --tag-map."
        )
    check_size(name, len(rows), len(header))
    table = Table(header, [], headed=False)
    for row in (header, *rows[1:]):
        if len(row) < len(header) or any(row[len(header) :]):
            table.malformed += 1
        else:
            table.rows.append([cell or None for cell in row[: len(header)]])
    return table
