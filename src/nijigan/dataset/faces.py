"""A dataset of faces: a folder of Parquet files and a `dataset.json`, read as labels and memory-mapped pixels."""

import hashlib
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, TypeAdapter, ValidationError

from nijigan.dataset.decode import UnreadableError, decode, square
from nijigan.errors import UserError
from nijigan.files import recover_folder, replacing

FORMAT = 1
SPLITS = ("train", "val", "test")
MANIFEST = "dataset.json"
COLUMNS = {
    "id": pa.string(),  # the first 16 digits of sha256
    "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    "width": pa.int32(),
    "height": pa.int32(),
    "split": pa.string(),
    "source": pa.string(),  # the file it was imported from, for people
    "sha256": pa.string(),  # of that file, in hexadecimal
    "phash": pa.binary(),  # see `dedupe`
}
"""What every dataset has; whatever else it has is an attribute."""

log = logging.getLogger("nijigan")


class FaceDataset:
    """Faces on disk, as `import_faces` writes them.

    Attributes:
        path: the folder.
        fingerprint: identifies the content (pictures, splits, labels), whatever the order of rows.
        attributes: every attribute's vocabulary; a label is a position in it.
        size: median over the faces of the shorter side, in pixels: training above it only enlarges.
        pad: whether pictures that are not square are padded with white rather than cropped.
        files: the Parquet files.
        table: their columns but for image and phash, one row a face, ordered by id.

    Raises:
        UserError: the folder is no dataset, is damaged, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        manifest = _read_manifest(self.path)
        self.fingerprint, self.pad, self.attributes = manifest.fingerprint, manifest.pad, manifest.attributes
        self.files = [self.path / name for name in manifest.files]
        try:
            wanted = [name for name in (*COLUMNS, *self.attributes) if name not in ("image", "phash")]
            self.table = pa.concat_tables(pq.read_table(file, columns=wanted) for file in self.files)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{self.path} is damaged ({error}); import the pictures again.") from error
        if fingerprint(self.table, tuple(self.attributes), self.pad) != self.fingerprint:
            raise UserError(f"{self.path} is damaged: its files disagree; import the pictures again.")
        sides = np.minimum(self.table["width"].to_numpy(), self.table["height"].to_numpy())
        self.size = int(np.median(sides))

    def count(self, split: str) -> int:
        """How many faces a split ("train", "val" or "test") has."""
        return int(self._mask(split).sum())

    def labels(self, split: str) -> dict[str, npt.NDArray[np.int64]]:
        """Every attribute's codes, int64 of length N in the order of `pixels`: places in its vocabulary, or -1."""
        rows = self.table.filter(pa.array(self._mask(split)))
        return {
            name: pc.fill_null(pc.index_in(rows[name], pa.array(words, pa.string())), -1).to_numpy().astype(np.int64)
            for name, words in self.attributes.items()
        }

    def pixels(self, split: str, resolution: int) -> npt.NDArray[np.uint8]:
        """All faces of a split at one resolution.

        They are decoded and resized once, into a cache inside the dataset's folder that may be deleted at any time. Two
        processes may build it at once: each writes its own file and renames it.

        Returns:
            uint8, N×resolution×resolution×3, memory-mapped and read-only.
        """
        shape = (self.count(split), resolution, resolution, 3)
        folder = self.path / "cache"
        cache = folder / f"{split}-{resolution}-{self.fingerprint[:16]}.npy"
        pixels = _open_cache(cache, shape)
        if pixels is None:
            for stale in folder.glob(f"{split}-{resolution}-*.npy"):
                with suppress(OSError):  # mapped by another process, on systems where that forbids it
                    stale.unlink()
            log.info("Decoding %d %s faces at %d px into %s", shape[0], split, resolution, cache)
            with replacing(cache) as temporary, temporary.open("wb") as stream:
                # Written as a stream: a disk that is full ends a write with an error, but a mapped one with a signal.
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                for image in self._decoded(split, resolution):
                    stream.write(image.tobytes())
            pixels = np.load(cache, mmap_mode="r")
        return pixels

    def _mask(self, split: str) -> npt.NDArray[np.bool_]:
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}; choose one of {', '.join(SPLITS)}")
        return np.asarray(pc.equal(self.table["split"], split).to_numpy())

    def _decoded(self, split: str, resolution: int) -> Iterator[npt.NDArray[np.uint8]]:
        def one(data: bytes) -> npt.NDArray[np.uint8]:
            return square(decode(data, max_pixels=None).image, resolution, self.pad)

        try:
            with ThreadPoolExecutor() as threads:  # Pillow decodes and resizes outside the interpreter's lock
                for file in self.files:
                    for batch in pq.ParquetFile(file).iter_batches(batch_size=256, columns=["image", "split"]):
                        rows = batch.filter(pc.equal(batch["split"], split))
                        yield from threads.map(one, pc.struct_field(rows["image"], "bytes").to_pylist())
        except (UnreadableError, pa.ArrowException) as error:
            raise UserError(f"{self.path} is damaged ({error}); import the pictures again.") from error


def _open_cache(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8] | None:
    try:
        pixels: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there, or cut short
        return None
    return pixels if pixels.shape == shape and pixels.dtype == np.uint8 else None


@dataclass(frozen=True)
class _Manifest:
    """What a reader needs of dataset.json."""

    fingerprint: str
    pad: bool
    attributes: dict[str, tuple[str, ...]]
    files: list[Annotated[str, Field(pattern=r"^faces-\d+\.parquet$")]]


def _read_manifest(path: Path) -> _Manifest:
    recover_folder(path)
    file = path / MANIFEST
    if not file.is_file():
        raise UserError(f"{path} is no dataset of faces; make one with: nijigan import PICTURES --out {path}")
    try:
        raw = json.loads(file.read_bytes())
        version = raw.get("format", 0)
        if version > FORMAT:
            raise UserError(f"{path} was written by a newer nijigan (format {version}); update nijigan to read it.")
        return TypeAdapter(_Manifest).validate_python(raw)
    except (ValidationError, UnicodeDecodeError, json.JSONDecodeError, AttributeError, TypeError) as error:
        raise UserError(f"{file} is damaged; import the pictures again.") from error


def fingerprint(table: pa.Table, attributes: tuple[str, ...], pad: bool) -> str:
    """SHA-256 over what training sees of a table of faces: content, split and labels, in an order of its own."""
    names = ("sha256", "split", *sorted(attributes))
    columns = [pc.fill_null(table[name].cast(pa.string()), "") for name in names]
    lines = sorted(pc.binary_join_element_wise(*columns, "\t").to_pylist())
    text = json.dumps([FORMAT, pad, names]) + "\n" + "\n".join(lines)
    return hashlib.sha256(text.encode()).hexdigest()


class FaceStream:
    """The endless order in which faces are trained on: a fresh permutation and fresh flips for every epoch.

    Position p of the stream belongs to epoch p // N. Everything follows from (seed, position), nothing is kept between
    reads, so a run resumed at any position sees what an uninterrupted one sees.

    Args:
        pixels: uint8, N×H×W×3, N ≥ 1.
        seed: of the permutations and flips.
        flip: mirror each face left to right with probability ½.
        rank: this process, of `world`: each reads its own contiguous part of every batch.
        world: how many processes read together.
    """

    def __init__(
        self, pixels: npt.NDArray[np.uint8], seed: int, flip: bool = True, rank: int = 0, world: int = 1
    ) -> None:
        if len(pixels) == 0:
            raise UserError("There is no face in this split; import more pictures or hold fewer out.")
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is outside 0 to {world - 1}")
        self._pixels, self._flip, self._rank, self._world = np.asarray(pixels), flip, rank, world
        self._epoch = lru_cache(maxsize=2)(lambda epoch: _shuffle(len(pixels), seed, epoch))  # a batch may straddle two

    def read(self, start: int, count: int) -> npt.NDArray[np.uint8]:
        """This rank's share of positions start to start + count: uint8, (count / world)×H×W×3.

        Raises:
            ValueError: `count` does not divide by the number of ranks.
        """
        rows, flips = self._positions(start, count)
        faces = self._pixels[rows]
        if self._flip:
            whole = faces.view("V3")[..., 0]  # three bytes moved as one: four times faster
            whole[flips] = whole[flips][:, :, ::-1]
        return faces

    def indices(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """The rows of the dataset that `read` returns for the same arguments."""
        return self._positions(start, count)[0]

    def _positions(self, start: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        if count % self._world:
            raise ValueError(f"{count} faces cannot be shared by {self._world} processes")
        share, total = count // self._world, len(self._pixels)
        position, end = start + self._rank * share, start + (self._rank + 1) * share
        rows, flips = [], []
        while position < end:
            epoch, offset = divmod(position, total)
            stop = min(total, offset + end - position)
            order, mirrored = self._epoch(epoch)
            rows.append(order[offset:stop])
            flips.append(mirrored[offset:stop])
            position += stop - offset
        return np.concatenate(rows), np.concatenate(flips)


def _shuffle(total: int, seed: int, epoch: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch])))
    return random.permutation(total), random.random(total) < 0.5
