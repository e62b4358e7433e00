"""List and read pictures in folders, zip archives and Parquet files, without unpacking them."""

import os
import stat
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

import pyarrow as pa

from nijigan.dataset.decode import SUFFIXES
from nijigan.dataset.manifest import FACES, MANIFEST, damaged, in_dataset, is_dataset, read_manifest
from nijigan.dataset.picture_rows import NoPicturesError, forget_rows, picture_names, read_row
from nijigan.errors import UserError
from nijigan.safe_text import safe

TABLES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz")
USUAL_NAMES = {
    "annotation", "annotations", "attributes", "data", "dataset", "label", "labels", "list_attr_celeba", "metadata",
    "tag", "tags", "test", "train", "val", "valid", "validation",
}  # fmt: skip
"""Names of files that are used without being asked for, in lower case and without their suffix."""

_NO_TABLES = (".parquet", ".py", ".sh", ".md", ".html", ".ipynb", ".log", ".pt", ".pth", ".ckpt", ".safetensors")
"""Files that are never tables of text, or that have a reason of their own for not being read."""

MAX_ENTRIES = 5_000_000
MAX_FILE_BYTES = 2**28
"""The size limit of a file. No picture within the pixel limit is larger."""
MAX_ARCHIVE_BYTES = 2**40
MAX_RATIO = 200
"""The largest ratio of unpacked to packed bytes of an archive. Pictures are near 1, archive bombs reach 1,000."""

NAMED = 5
"""Files, columns or tags that a sentence names."""
NOT_REGULAR = "not a regular file"
_UTF8 = 0x800
"""The flag of an archive's entry that says that its name is UTF-8."""

BAD_ARCHIVE = (OSError, ValueError, NotImplementedError, EOFError, struct.error, zipfile.BadZipFile)


@dataclass(frozen=True, order=True)
class SourceFile:
    """A file in a source: a picture, or a table of tags."""

    name: str
    """The displayed name: the source's name and the path inside, with forward slashes. It is never used as a path."""
    file: str
    """The file on disk: the picture itself, or the archive or Parquet file that contains it."""
    position: int = 0
    """The index of the archive's entry or of the Parquet file's row."""


@dataclass(frozen=True)
class Listing:
    """The files found in the sources."""

    pictures: list[SourceFile] = field(default_factory=list)
    tables: list[SourceFile] = field(default_factory=list)
    """CSV, TSV, JSON and JSON-lines files and Parquet files without pictures, which may hold labels."""
    aside: list[tuple[str, str]] = field(default_factory=list)
    """(name, reason) of files that are not pictures or cannot be opened."""
    links: list[str] = field(default_factory=list)
    """Names of links that lead out of their source and were not followed."""


def list_sources(sources: Sequence[Path], follow_links: bool = False) -> Listing:
    """List the pictures in folders (recursively), .zip archives and Parquet files, and single pictures.

    Hidden files are skipped.

    Args:
        sources: the folders and files.
        follow_links: whether to follow links in a folder that lead out of it. A source may be a link in any case.

    Raises:
        UserError: a source does not exist or cannot be opened, or an archive exceeds a limit.
    """
    listing = Listing()
    for source in sources:
        try:
            _list_source(source, listing, follow_links)
        except OSError as error:
            raise UserError(f"{source} cannot be opened: {error.strerror or error}.") from error
    return listing


def _list_source(source: Path, listing: Listing, follow_links: bool) -> None:
    if is_dataset(source) or source.is_dir():
        _list_folder(source, listing, follow_links)
    elif source.suffix.lower() == ".zip" and source.is_file():
        _list_zip(source, listing)
    elif source.is_file():
        _add_file(source, source.name, listing)
    elif source.exists():
        listing.aside.append((printable(source.name), NOT_REGULAR))
    else:
        raise UserError(f"{source} does not exist; give a folder of pictures, a .zip or a Parquet file.")


def overlooked_labels(listing: Listing, tags: Path | None, labelled: bool) -> list[str]:
    """Sentences about what may hold labels and is not read: other kinds of tables, sidecars, names of folders.

    Args:
        listing: the files in the sources.
        tags: the table that the user named, which is read whatever its suffix.
        labelled: whether pictures have labels. Names of folders are not spoken of then.
    """
    aside = [PurePosixPath(name) for name, _ in listing.aside]
    unread = [path.name for path in aside if _is_unread_table(path) and not (tags and path.name == tags.name)]
    text = []
    if unread:
        more = ", …" if len(unread) > NAMED else ""
        text.append(f"Not read: {', '.join(unread[:NAMED])}{more}; save {'it' if len(unread) == 1 else 'them'} as CSV.")
    pictures = [PurePosixPath(picture.name) for picture in listing.pictures]
    beside = {*pictures, *(path.with_suffix("") for path in pictures)}
    others = [*aside, *(PurePosixPath(table.name) for table in listing.tables)]
    sidecars = Counter(path.suffix.lower() for path in others if path.suffix and path.with_suffix("") in beside)
    text += [
        f"Not read: {count:,} {suffix} files that are named like pictures; put their tags into one table to use them."
        for suffix, count in sorted(sidecars.items())
    ]
    folders = sorted({_class_folder(picture) for picture in listing.pictures} - {""})
    if len(folders) > 1 and not labelled:
        text.append(
            f"Names of folders, such as {folders[0]} and {folders[1]}, are not labels. To use them, write a table with "
            f"the header file_name,label and lines such as {folders[0]}/1.jpg,{folders[0]}, and name it with --tags."
        )
    return text


def _is_unread_table(path: PurePosixPath) -> bool:
    """Whether a file is called like a table, but ends otherwise: `labels.xlsx`, `labels.csv.gz`."""
    suffix = path.suffix.lower()
    usual = path.name.partition(".")[0].lower() in USUAL_NAMES
    packed = suffix in ARCHIVES and PurePosixPath(path.stem).suffix.lower() not in TABLES  # archives of pictures
    return usual and not packed and suffix not in (*TABLES, *_NO_TABLES)


def _class_folder(picture: SourceFile) -> str:
    """The folder of a picture directly below its source, unless its name is that of a split or a number."""
    inner = picture.name.split("/")[1:-1]
    folder = inner[0] if len(inner) == 1 and not picture.file.lower().endswith(".parquet") else ""
    return "" if folder.isdigit() or folder.lower() in USUAL_NAMES else folder


def _list_folder(root: Path, listing: Listing, follow_links: bool) -> None:
    top = os.path.realpath(root)

    def name(path: str | Path) -> str:
        return str(PurePosixPath(root.resolve().name, *Path(path).relative_to(root).parts))

    def refused(error: OSError) -> None:
        listing.aside.append((printable(name(error.filename)), f"unreadable folder: {error.strerror}"))

    def may_open(path: Path) -> bool:
        if follow_links or not path.is_symlink() or Path(os.path.realpath(path)).is_relative_to(top):
            return True
        listing.links.append(printable(name(path)))
        return False

    seen = set()
    for folder, folders, files in os.walk(root, followlinks=True, onerror=refused):
        here = Path(folder).stat()
        if (here.st_dev, here.st_ino) in seen:  # a link to a folder that was listed already
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        if MANIFEST in files and any(map(FACES.fullmatch, files)):  # a dataset: its faces, not its caches and sheets
            folders.clear()
            files = _faces_of(Path(folder), files, name, listing)
        folders.sort(key=lambda inner: (Path(folder, inner).is_symlink(), inner))  # links last: they are listed once
        folders[:] = [inner for inner in folders if not inner.startswith(".") and may_open(Path(folder, inner))]
        for file in sorted(files):
            path = Path(folder, file)
            if not file.startswith(".") and may_open(path):
                _add_file(path, name(path), listing)


def _faces_of(folder: Path, files: Sequence[str], name: Callable[[Path], str], listing: Listing) -> list[str]:
    """The files of faces of a dataset.

    Raises:
        UserError: the dataset is damaged: one of its files is missing.
    """
    listed = read_manifest(folder).files
    absent = sorted(set(listed) - set(files))
    if absent:
        raise damaged(folder, f"{absent[0]} is missing")
    strangers = sorted(file for file in files if FACES.fullmatch(file) and file not in listed)
    listing.aside.extend(
        (printable(name(folder / file)), "not part of the dataset in its folder") for file in strangers
    )
    return listed


def _add_file(path: Path, name: str, listing: Listing) -> None:
    if path.suffix.lower() == ".parquet":
        _list_parquet(path, name, listing)
    else:
        _add(SourceFile(printable(name), str(path)), listing)


def _add(entry: SourceFile, listing: Listing) -> None:
    suffix = PurePosixPath(entry.name).suffix.lower()
    if suffix in SUFFIXES:
        listing.pictures.append(entry)
    elif suffix in TABLES:
        listing.tables.append(entry)
    elif suffix in ARCHIVES:
        inner = suffix == ".zip"  # a .zip that is named as a source is listed, not added
        reason = "an archive within a source; import it on its own" if inner else "only .zip archives are read"
        listing.aside.append((entry.name, reason))
    elif suffix == ".parquet":  # others are listed by their rows
        listing.aside.append((entry.name, "Parquet files in archives are not read; unpack the archive"))
    else:
        listing.aside.append((entry.name, "its name is not that of a picture"))


def _list_zip(path: Path, listing: Listing) -> None:
    try:
        infos = _archive(str(path), path.stat().st_mtime_ns).infolist()
    except BAD_ARCHIVE as error:
        listing.aside.append((printable(path.name), f"not a zip archive, or a damaged one: {error}"))
        return
    unpacked, packed = sum(info.file_size for info in infos), sum(info.compress_size for info in infos)
    if len(infos) > MAX_ENTRIES:
        raise UserError(f"{path} holds {len(infos):,} files, more than the limit of {MAX_ENTRIES:,}; split it.")
    if unpacked > min(MAX_ARCHIVE_BYTES, MAX_RATIO * max(packed, 2**20)):
        raise UserError(
            f"{path} would unpack from {packed:,} to {unpacked:,} bytes, more than any archive of pictures."
        )
    names = _entry_names(infos)
    for position, info in enumerate(infos):
        inside = names[position]
        entry = SourceFile(printable(f"{path.name}/{inside}"), str(path), position)
        hidden = any(p.startswith(".") and p not in (".", "..") for p in inside.split("/"))
        if info.is_dir() or hidden or inside.startswith("__MACOSX/"):
            continue
        if stat.S_ISLNK(info.external_attr >> 16):
            listing.aside.append((entry.name, "a symbolic link"))
        elif info.flag_bits & 1:
            listing.aside.append((entry.name, "encrypted"))
        elif info.file_size > MAX_FILE_BYTES:
            listing.aside.append((entry.name, f"larger than {MAX_FILE_BYTES:,} bytes"))
        else:
            _add(entry, listing)


def _entry_names(infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The names of an archive's entries.

    Names without the flag for UTF-8 are in the encoding of the machine that packed them, and `zipfile` takes them for
    CP437. They are UTF-8 or Japanese (CP932) if all of them can be; nothing else is guessed.
    """
    names = [info.filename for info in infos]
    old = [
        position for position, info in enumerate(infos) if not info.flag_bits & _UTF8 and not names[position].isascii()
    ]
    for encoding in ("utf-8", "cp932"):
        with suppress(UnicodeError):
            decoded = [names[position].encode("cp437").decode(encoding) for position in old]
            for position, name in zip(old, decoded, strict=True):
                names[position] = name
            break
    return names


def _list_parquet(path: Path, name: str, listing: Listing) -> None:
    if not path.is_file():  # opening a pipe could wait forever
        listing.aside.append((printable(name), NOT_REGULAR))
        return
    try:
        names = picture_names(path)
    except NoPicturesError:
        listing.tables.append(SourceFile(printable(name), str(path)))
        return
    except (OSError, pa.ArrowException) as error:
        if in_dataset(path):
            raise damaged(path.parent, error) from error
        listing.aside.append((printable(name), f"not a Parquet file of pictures: {error}"))
        return
    listing.pictures.extend(
        SourceFile(printable(f"{name}/{inside or row}"), str(path), row) for row, inside in enumerate(names)
    )


def read(file: str, position: int) -> bytes:
    """The bytes of one entry.

    Raises:
        Exception: any error of the file system, the archive or its decompressor.
    """
    path = Path(file)
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):  # reading a pipe could wait forever
        raise OSError(NOT_REGULAR)
    if file.lower().endswith(".parquet"):
        return read_row(path, state.st_mtime_ns, position)
    if file.lower().endswith(".zip"):
        archive = _archive(file, state.st_mtime_ns)
        with archive.open(archive.infolist()[position]) as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    elif state.st_size > MAX_FILE_BYTES:
        raise OSError(f"larger than {MAX_FILE_BYTES:,} bytes")
    else:
        data = path.read_bytes()
    if len(data) > MAX_FILE_BYTES:
        raise OSError(f"larger than {MAX_FILE_BYTES:,} bytes")
    return data


@lru_cache(maxsize=8)
def _archive(file: str, modified: int) -> zipfile.ZipFile:  # `modified` is part of the key: the file may be replaced
    return zipfile.ZipFile(file)


def close() -> None:
    """Close the archives and row groups that are kept open between reads."""
    _archive.cache_clear()
    forget_rows()


def printable(name: str) -> str:
    """A name that is safe to print and to store as UTF-8, whatever bytes it had in the file system or an archive."""
    return safe(name.replace("\\", "/"))
