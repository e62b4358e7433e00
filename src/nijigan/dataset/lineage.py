"""What a face keeps when a dataset is imported into another one: its identity, its family and its split."""

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from nijigan.dataset.manifest import DAMAGE, FAMILY, SPLITS, open_parquet, read_table, stores_faces
from nijigan.dataset.splits import fill_families
from nijigan.errors import UserError


class Lineage(NamedTuple):
    """What a face keeps."""

    sha256: str
    """Of the original file, although the dataset may store the picture in another form."""
    family: str
    split: str


def lineage(file: str, row: int) -> Lineage | None:
    """What a picture in a Parquet file keeps; None if the file is not part of a dataset.

    Args:
        file: the file, of any kind.
        row: the row in a Parquet file.

    Raises:
        UserError: the file is damaged, or its columns do not hold what those of a dataset hold.
    """
    if not file.lower().endswith(".parquet"):
        return None
    rows = _rows(Path(file), Path(file).stat().st_mtime_ns)
    return rows[row] if rows else None


@lru_cache(maxsize=64)
def _rows(file: Path, modified: int) -> list[Lineage] | None:  # `modified` is part of the key: the file may be replaced
    try:
        with open_parquet(file) as parquet:
            if not stores_faces(parquet.schema_arrow.names):
                return None
        columns = ["sha256", FAMILY, "split", "source"]
        table = read_table(file, columns)
        table = fill_families(table.cast(pa.schema([(name, pa.string()) for name in columns])))
    except DAMAGE as error:
        raise UserError(f"{file} is damaged ({error}). Import without it, or restore a backup.") from error
    rows = [Lineage(*row) for row in zip(*(table[name].to_pylist() for name in columns[:3]), strict=True)]
    digest = re.compile("[0-9a-f]{64}")
    for row in rows:
        if not (digest.fullmatch(row.sha256 or "") and digest.fullmatch(row.family or "") and row.split in SPLITS):
            raise UserError(
                f"{file} has the columns of a dataset, but a sha256, family or split in it is not valid. Restore a "
                "backup, or remove these columns to import its pictures as new ones."
            )
    return rows
