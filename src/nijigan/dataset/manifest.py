"""The files of a dataset: their names, `dataset.json`, and the checks that find damage in them."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, TypeAdapter

from nijigan.errors import UserError
from nijigan.files import recover_folder

FORMAT = 1
SPLITS = ("train", "val", "test")
MANIFEST = "dataset.json"
FAMILY = "split_family"
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
}
"""The columns of every dataset. All other columns are attributes."""
ADDED = {FAMILY}
"""Those that datasets of nijigan 0.1 lack. There, they are read as null."""

SHEETS = ("dropped.csv", "dropped.png", "no-face.png", "crops.png", "contact-sheet.png")
"""Files about a dataset that are not needed to read it."""

_CACHE_NAME = r"(train|val|test)-\d+-[0-9a-f]{16}\.npy|judge-[\w-]+-[0-9a-f]{16}\.(npy|safetensors)"
OWNED = re.compile(
    r"faces-\d+\.parquet|\.pictures\.tmp"
    rf"|({'|'.join(map(re.escape, (MANIFEST, *SHEETS)))})"
    r"|\.(dataset|dropped|no-face|crops|contact-sheet)\.[0-9a-f]{8}\.(json|csv|png)"
    rf"|cache/(({_CACHE_NAME})?|\.(train|val|test|judge)-[\w-]+\.[0-9a-f]{{8}}\.(npy|safetensors))"
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
    files: list[Annotated[str, Field(pattern=r"^faces-\d+\.parquet$")]]


def is_dataset(path: Path) -> bool:
    """Whether the folder `path` is a dataset, after repairing what an interrupted import left there.

    Raises:
        UserError: an interrupted import renamed the folder, and it cannot be renamed back.
    """
    if not path.exists() or (path / MANIFEST).is_file():
        recover_folder(path, OWNED)
    return (path / MANIFEST).is_file()


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
    """Write `dataset.json` into the folder `path`, with a checksum of its own content."""
    sealed = manifest | {"checksum": _checksum(manifest)}
    (path / MANIFEST).write_text(json.dumps(sealed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _checksum(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest without its checksum, however it is indented."""
    content = {name: value for name, value in manifest.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def fingerprint(table: pa.Table, attributes: tuple[str, ...], pad: bool) -> str:
    """SHA-256 of what training sees of a table of faces (content, splits, labels), independent of the order of rows."""
    names = ("sha256", "split", *sorted(attributes))
    columns = [pc.fill_null(table[name].cast(pa.string()), "") for name in names]
    lines = sorted(pc.binary_join_element_wise(*columns, "\t").to_pylist())
    text = json.dumps([FORMAT, pad, names]) + "\n" + "\n".join(lines)
    return hashlib.sha256(text.encode()).hexdigest()


def read_table(file: Path, columns: list[str]) -> pa.Table:
    """Columns of a Parquet file; those of `ADDED` that it lacks are null. A wrong checksum of a page is an OSError."""
    absent = [name for name in columns if name in ADDED - set(pq.read_schema(file).names)]
    present = [name for name in columns if name not in absent]
    table = pq.read_table(file, columns=present, page_checksum_verification=True)
    for name in absent:
        table = table.append_column(name, pa.nulls(len(table), COLUMNS[name]))
    return table.select(columns)


def open_parquet(file: Path) -> pq.ParquetFile:
    """A Parquet file to read in parts; a page whose checksum is wrong is an OSError."""
    return pq.ParquetFile(file, page_checksum_verification=True)


DAMAGE = (OSError, UnicodeDecodeError, pa.ArrowException)
"""What Arrow raises for damaged files: OSError for pages that it cannot decode, too."""


def damaged(path: Path, detail: object) -> UserError:
    """The error for a dataset that is damaged; Arrow's own sentences have several lines and odd characters."""
    words = "".join(letter if letter.isprintable() else " " for letter in str(detail)).split()
    return UserError(
        f"{path} is damaged ({' '.join(words)}). Import the pictures again into a new folder, or restore a backup."
    )
