"""Read the labels that are stored with pictures in Parquet files."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from nijigan.dataset.manifest import COLUMNS, DAMAGE, READ, open_parquet, read_table, stores_faces
from nijigan.errors import UserError
from nijigan.importing.labels.columns import find_attributes
from nijigan.importing.labels.parquet_tables import parquet_table
from nijigan.importing.labels.tag_report import TagReport
from nijigan.importing.labels.vocabulary import PictureLabels, names_pictures
from nijigan.importing.sources import SourceFile, printable


def labels_of_parquet_files(
    pictures: Sequence[SourceFile], keep: Collection[str], report: TagReport
) -> tuple[dict[int, PictureLabels], dict[int, list[str]]]:
    """Read the labels of pictures that come from Parquet files.

    Args:
        pictures: all pictures; those from other files have no labels here.
        keep: values to keep although they usually stand for a missing one.
        report: gets a sentence for each file that is not part of a dataset.

    Returns:
        Labels by index in `pictures`, and further names of the pictures, from columns of file names or ids.

    Raises:
        UserError: a dataset is damaged.
    """
    aliases: dict[int, list[str]] = {}
    files: dict[str, list[int]] = {}
    for position, picture in enumerate(pictures):
        if picture.file.lower().endswith(".parquet"):
            files.setdefault(picture.file, []).append(position)
    found: dict[int, PictureLabels] = {}
    for file, positions in files.items():
        rows = {position: pictures[position].position for position in positions}
        labels = _labels_in_dataset(Path(file))
        if labels is None:
            labels = _labels_in_parquet(Path(file), rows, keep, report, aliases)
        found |= {position: labels[row] for position, row in rows.items() if row < len(labels) and labels[row]}
    return found, aliases


def _labels_in_dataset(file: Path) -> list[PictureLabels] | None:
    """The labels in a Parquet file of a dataset; None for another Parquet file."""
    try:
        with open_parquet(file) as parquet:
            names = parquet.schema_arrow.names
        if not stores_faces(names):
            return None
        columns = read_table(file, [name for name in names if name not in COLUMNS] + [READ]).to_pydict()
    except DAMAGE as error:
        raise UserError(f"{file} is damaged ({error}), and its labels cannot be read. Import without it.") from error
    cells = zip(*columns.values(), strict=True)
    return [{name: v for name, v in zip(columns, row, strict=True) if v is not None} for row in cells]


def _labels_in_parquet(
    file: Path, rows: Mapping[int, int], keep: Collection[str], report: TagReport, aliases: dict[int, list[str]]
) -> list[PictureLabels]:
    """The labels next to the pictures of a Parquet file."""
    try:
        table = parquet_table(file.name, file)
    except UserError as error:
        report.unused.append((file.name, str(error)))
        return []
    for column, header in enumerate(table.header):
        cells = table.column(column)
        if names_pictures(header) and len(set(cells)) == len(cells):
            for position, row in rows.items():
                if isinstance(cell := cells[row], str):
                    aliases.setdefault(position, []).append(printable(cell))
    columns = find_attributes(table, None, keep)
    if table.header:
        report.columns.append(f"{file.name}: {columns.describe()}")
    return columns.rows(len(table.rows))
