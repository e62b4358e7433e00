"""The files of a dataset: their names, `dataset.json`, and the checks that find damage in them."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, TypeAdapter

from nijigan.errors import UserError, check
from nijigan.files import PART, recover_folder

FORMAT = 1
SPLITS = ("train", "val", "test")
MANIFEST = "dataset.json"
FAMILY = "split_family"
READ = "read"
COLUMNS = {
    "id": pa.string(),  # the first 16 digits of sha256
    "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    "width": pa.int32(),
    "height": pa.int32(),
    "split": pa.string(),
    "source": pa.string(),  # the name of the imported file, for people
    "sha256": pa.string(),  # of the original file, or of the crop, in hexadecimal; copies of a dataset keep it
    "phash": pa.binary(),  # see `importing.duplicates`
    FAMILY: pa.string(),  # faces of one family have one split; for a crop, SHA-256 of the illustration's file
    READ: pa.string(),  # the attributes that were read from the picture or its name, joined by commas
}
"""The columns of every dataset. All other columns are attributes."""
ADDED = {FAMILY, READ}
"""Those that datasets of nijigan 0.1 lack. There, they are read as null."""

TABLE_BYTES = 2**28
"""Bytes to which the columns of a file may unpack, however small it is."""
TABLE_RATIO = 50

SHEETS = ("dropped.csv", "dropped.png", "no-face.png", "crops.png", "contact-sheet.png")
"""Files about a dataset that are not needed to read it."""

_CACHE_NAME = r"(train|val|test)-\d+-[0-9a-f]{16}\.npy|judge-[\w-]+-[0-9a-f]{16}\.(npy|safetensors)"
FACES = re.compile(r"faces-\d+\.parquet")
OWNED = re.compile(
    rf"{FACES.pattern}|\.pictures\.tmp"
    rf"|({'|'.join(map(re.escape, (MANIFEST, *SHEETS)))})"
    r"|\.(dataset|dropped|no-face|crops|contact-sheet)\.[0-9a-f]{8}\.(json|csv|png)"  # temporary files of version 0.1
    rf"|cache/(({_CACHE_NAME})?|\.(train|val|test|judge)-[\w-]+\.[0-9a-f]{{8}}\.(npy|safetensors))"
    rf"|(cache/)?{PART}"
)
"""The names in a dataset's folder that belong to the dataset. An import replaces these and keeps all others."""


def stores_faces(columns: Iterable[str]) -> bool:
    """Whether a Parquet file with these columns is part of a dataset, of this version or an earlier one."""
    return COLUMNS.keys() - ADDED <= set(columns)


@dataclass(frozen=True)
class Manifest:
    """What a reader needs of `dataset.json`."""

    fingerprint: str
    pad: bool
    attributes: dict[str, tuple[str, ...]]
    files: list[Annotated[str, Field(pattern=f"^{FACES.pattern}$")]]


def is_dataset(path: Path) -> bool:
    """Whether the folder `path` is a dataset, after repairing what an interrupted import left there.

    Raises:
        UserError: an interrupted import renamed the folder, and it cannot be renamed back.
    """
    if not path.exists() or (path / MANIFEST).is_file():
        recover_folder(path, OWNED)
    return (path / MANIFEST).is_file()


def in_dataset(file: Path) -> bool:
    """Whether a file lies in a dataset's folder and has the name of a file of faces."""
    return FACES.fullmatch(file.name) is not None and (file.parent / MANIFEST).is_file()


def read_manifest(path: Path) -> Manifest:
    """Read the `dataset.json` of the dataset `path`.

    Raises:
        UserError: the folder is not a dataset, is damaged, or was written by a newer version.
    """
    if not is_dataset(path):
        raise UserError(f"{path} is not a dataset of faces; create one with: nijigan import PICTURES --out {path}")
    try:
        raw = json.loads((path / MANIFEST).read_bytes())
        version = raw.get("format", 0)
        if version > FORMAT:
            raise UserError(f"{path} was written by a newer nijigan (format {version}); update nijigan to read it.")
        if "checksum" in raw and raw["checksum"] != _checksum(raw):  # datasets of earlier versions have none
            raise ValueError("wrong checksum")
        return TypeAdapter(Manifest).validate_python(raw)
    except (ValueError, AttributeError, TypeError, RecursionError, OSError) as error:  # pydantic raises ValueErrors
        raise damaged(path, f"{MANIFEST} has been changed") from error


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Write `dataset.json` into the folder `path`, with checksums of itself and of the footers of its files."""
    manifest = manifest | {"footers": {name: footer_digest(path / name) for name in manifest["files"]}}
    sealed = manifest | {"checksum": _checksum(manifest)}
    (path / MANIFEST).write_text(json.dumps(sealed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _checksum(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest without its checksum, however it is indented."""
    content = {name: value for name, value in manifest.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def check_strangers(path: Path) -> None:
    """Check that all files in a dataset's folder that look like its faces belong to it; rewriting it replaces those.

    Raises:
        UserError: one does not.
    """
    listed = read_manifest(path).files
    for entry in sorted(path.iterdir()):
        ours = entry.name in listed or not FACES.fullmatch(entry.name)
        check(ours, f"{entry} is not part of the dataset there, which may need this name; move it elsewhere.")


def fingerprint(table: pa.Table, attributes: tuple[str, ...], pad: bool) -> str:
    """SHA-256 of what training sees of a table of faces (content, splits, labels), independent of the order of rows."""
    names = ("sha256", "split", *sorted(attributes))
    columns = [pc.fill_null(table[name].cast(pa.string()), "") for name in names]
    lines = sorted(pc.binary_join_element_wise(*columns, "\t").to_pylist())
    text = json.dumps([FORMAT, pad, names]) + "\n" + "\n".join(lines)
    return hashlib.sha256(text.encode()).hexdigest()


def read_table(file: Path, columns: list[str]) -> pa.Table:
    """Columns of a Parquet file of faces without its pictures. Those of `ADDED` that it lacks are null.

    Raises:
        OSError: a checksum is wrong, or the columns unpack to far more than they take on disk: a dictionary with one
            long entry may count for every row.
    """
    with open_parquet(file) as parquet:
        absent = [name for name in columns if name in ADDED - set(parquet.schema_arrow.names)]
        table = _read_bounded(parquet, file, [name for name in columns if name not in absent])
    for name in absent:
        table = table.append_column(name, pa.nulls(len(table), COLUMNS[name]))
    return table.select(columns)


def _read_bounded(parquet: pq.ParquetFile, file: Path, columns: list[str]) -> pa.Table:
    groups = (parquet.metadata.row_group(index) for index in range(parquet.num_row_groups))
    chunks = [group.column(index) for group in groups for index in range(group.num_columns)]
    chunks = [chunk for chunk in chunks if chunk.path_in_schema.partition(".")[0] in columns]
    largest = max((chunk.total_uncompressed_size for chunk in chunks), default=0)
    limit = max(TABLE_BYTES, TABLE_RATIO * sum(chunk.total_compressed_size for chunk in chunks))
    rows = min(2**16, max(1, TABLE_BYTES // max(1, largest)))  # each cell may be as long as the whole dictionary
    batches, unpacked = [], 0
    for batch in parquet.iter_batches(rows, columns=columns):
        unpacked += batch.nbytes
        if unpacked > limit:
            raise OSError(f"the columns of {file.name} unpack to more than {limit:,} bytes")
        batches.append(batch)
    schema = pa.schema([parquet.schema_arrow.field(name) for name in columns])
    return pa.Table.from_batches([batch.select(columns) for batch in batches], schema)


def open_parquet(file: Path, dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
    """A Parquet file to read in parts; a page whose checksum is wrong is an OSError.

    Parquet has no checksum for the footer, which names the columns, and Arrow ends the process for some damaged ones.
    That of a dataset's file is therefore compared with `dataset.json` next to it.

    Args:
        file: the file.
        dictionaries: columns to keep as dictionaries, so that many equal cells take the memory of one.
    """
    if not file.is_file():  # opening a pipe could wait for ever
        raise OSError(f"{file.name} is not a regular file" if file.exists() else f"{file.name} is missing")
    expected = _footers(file.parent / MANIFEST).get(file.name) if in_dataset(file) else None
    if expected and footer_digest(file) != expected:
        raise OSError(f"the footer of {file.name} has been changed")
    # Arrow takes names that are not Unicode as bytes only.
    handle = pa.OSFile(os.fsencode(file))
    return pq.ParquetFile(handle, page_checksum_verification=True, read_dictionary=list(dictionaries))


def footer_digest(file: Path) -> str:
    """SHA-256 of the footer of a Parquet file, with its length and the magic number that ends the file."""
    with file.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, end - 8))
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(max(0, end - 8 - length))
        return hashlib.sha256(stream.read()).hexdigest()


def _footers(manifest: Path) -> dict[str, str]:
    """The checksums of the footers of a dataset's files; none if its `dataset.json` is not readable."""
    try:
        return _stored_footers(manifest, manifest.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=64)
def _stored_footers(manifest: Path, modified: int) -> dict[str, str]:  # `modified`: the file may be replaced
    with suppress(ValueError, AttributeError, RecursionError):  # a damaged one is refused where datasets are opened
        return dict(json.loads(manifest.read_bytes()).get("footers", {}))
    return {}


DAMAGE = (OSError, UnicodeDecodeError, KeyError, pa.ArrowException)
"""What Arrow raises for damaged files: OSError for pages that it cannot decode, too."""


def damaged(path: Path, detail: object) -> UserError:
    """The error for a dataset that is damaged; Arrow's own sentences have several lines and odd characters."""
    words = "".join(letter if letter.isprintable() else " " for letter in str(detail)).split()
    return UserError(
        f"{path} is damaged ({' '.join(words)}). Import the pictures again into a new folder, or restore a backup."
    )
