"""A dataset of faces as labels and memory-mapped pixels, and the order in which training reads them."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nijigan.aliases import Images
from nijigan.dataset.cache import cache_file, open_cache, remove_stale, write_cache
from nijigan.dataset.decode import UnreadableError, decode, square
from nijigan.dataset.manifest import (
    COLUMNS,
    DAMAGE,
    SPLITS,
    damaged,
    fingerprint,
    open_parquet,
    read_manifest,
    read_table,
)
from nijigan.dataset.splits import fill_families
from nijigan.errors import UserError
from nijigan.files import replacing

log = logging.getLogger("nijigan")


class FaceDataset:
    """Faces on disk, as `import_faces` writes them.

    Attributes:
        path: the folder.
        fingerprint: identifies the content (pictures, splits, labels), independent of the order of rows.
        attributes: the vocabulary of every attribute. A label is an index into it.
        size: the median of the faces' shorter sides, in pixels. Training at a higher resolution enlarges most faces.
        pad: whether pictures that are not square are padded with white rather than cropped.
        files: the Parquet files.
        table: their columns without image and phash, one row per face, ordered by id.

    Raises:
        UserError: the folder is not a dataset, is damaged, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        manifest = read_manifest(self.path)
        self.fingerprint, self.pad, self.attributes = manifest.fingerprint, manifest.pad, manifest.attributes
        self.files = [self.path / name for name in manifest.files]
        self.table = self.columns([name for name in (*COLUMNS, *self.attributes) if name not in ("image", "phash")])
        self.table = fill_families(self.table)
        if fingerprint(self.table, tuple(self.attributes), self.pad) != self.fingerprint:
            raise damaged(self.path, "its files do not match the fingerprint")
        self._check_labels()
        sides = np.minimum(self.table["width"].to_numpy(), self.table["height"].to_numpy())
        self.size = int(np.median(sides))

    def columns(self, names: list[str]) -> pa.Table:
        """Columns of the Parquet files, one row per face, ordered by id.

        Raises:
            UserError: the files are damaged.
        """
        try:
            return pa.concat_tables(read_table(file, names) for file in self.files)
        except DAMAGE as error:
            raise damaged(self.path, error) from error

    def count(self, split: str) -> int:
        """How many faces a split ("train", "val" or "test") has."""
        return int(self._mask(split).sum())

    def labels(self, split: str) -> dict[str, npt.NDArray[np.int64]]:
        """For every attribute, int64 of length N, ordered like `pixels`: indices into its vocabulary; -1 is unknown."""
        rows = self.table.filter(pa.array(self._mask(split)))
        return {
            name: pc.fill_null(pc.index_in(rows[name], pa.array(words, pa.string())), -1).to_numpy().astype(np.int64)
            for name, words in self.attributes.items()
        }

    def pixels(self, split: str, resolution: int) -> npt.NDArray[np.uint8]:
        """All faces of a split at one resolution.

        They are decoded and resized once, into a cache that may be deleted at any time; `cache_file` says where it is.
        A damaged cache is rebuilt. Two processes may build it at the same time: each writes its own file and renames
        it.

        Returns:
            uint8, N×resolution×resolution×3, memory-mapped and read-only.

        Raises:
            UserError: the dataset is damaged or was imported again after it was opened, or the cache cannot be written.
        """
        shape = (self.count(split), resolution, resolution, 3)
        name = f"{split}-{resolution}-{self.fingerprint[:16]}.npy"
        pixels = open_cache(cache_file(self.path, name), shape)
        if pixels is None:
            cache = cache_file(self.path, name, write=True)
            log.info("Decoding %d %s faces at %d px into %s", shape[0], split, resolution, cache)
            with replacing(cache) as temporary:
                write_cache(temporary, shape, self.decoded(resolution, split))
                self._check_unchanged()  # otherwise these pixels and this table's labels may not belong together
            remove_stale(cache, f"{split}-{resolution}-*.npy")
            pixels = open_cache(cache, shape)
            if pixels is None:
                raise UserError(f"{cache} cannot be read back; check the disk.")
        return pixels

    def decoded(self, resolution: int, split: str | None = None) -> Iterator[Images]:
        """Decode faces one after another, ordered by id.

        Args:
            resolution: height and width in pixels.
            split: only the faces of this split; None for all.

        Yields:
            uint8, resolution×resolution×3.

        Raises:
            UserError: the dataset is damaged, or was imported again after it was opened.
        """

        def prepare(data: bytes) -> Images:
            return square(decode(data, max_pixels=None).image, resolution, self.pad)

        try:
            with ThreadPoolExecutor() as threads:  # Pillow decodes and resizes outside the interpreter's lock
                for file in self.files:
                    for batch in open_parquet(file).iter_batches(batch_size=256, columns=["image", "split"]):
                        rows = batch if split is None else batch.filter(pc.equal(batch["split"], split))
                        yield from threads.map(prepare, pc.struct_field(rows["image"], "bytes").to_pylist())
        except (UnreadableError, *DAMAGE) as error:
            self._check_unchanged()
            raise damaged(self.path, error) from error

    def _check_labels(self) -> None:
        """Refuse a label that is not in its attribute's vocabulary: it would count as unknown."""
        for name, words in self.attributes.items():
            labels = self.table[name].drop_null()
            outside = labels.filter(pc.invert(pc.is_in(labels, pa.array(words, pa.string()))))
            if len(outside):
                value = ascii(outside[0].as_py())
                raise damaged(self.path, f"{len(outside):,} faces have {name} {value}, which is not in the vocabulary")

    def _check_unchanged(self) -> None:
        if read_manifest(self.path).fingerprint != self.fingerprint:
            raise UserError(f"{self.path} was imported again while it was in use; repeat the command.")

    def _mask(self, split: str) -> npt.NDArray[np.bool_]:
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}; choose one of {', '.join(SPLITS)}")
        return np.asarray(pc.equal(self.table["split"], split).to_numpy())


class FaceStream:
    """The endless sequence of training faces. Every epoch has its own permutation and its own flips.

    Position p of the stream belongs to epoch p // N. A face depends only on the seed and the position; there is no
    state between reads. A resumed run therefore sees the same faces as an uninterrupted one.

    Args:
        pixels: uint8, N×H×W×3, N ≥ 1.
        seed: seed of the permutations and flips.
        flip: mirror each face horizontally with probability ½.
        rank: number of this process, 0 to `world` - 1. Each reads its own contiguous part of every batch.
        world: number of processes.
        weights: how often each face is read, relative to the others: N positive numbers. Default: all equally often.
    """

    def __init__(
        self,
        pixels: npt.NDArray[np.uint8],
        seed: int,
        flip: bool = True,
        rank: int = 0,
        world: int = 1,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        if len(pixels) == 0:
            raise UserError(
                "There is no face in this split; import more pictures, or change the splits: nijigan split FACES "
                "--holdout 0.2"
            )
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is outside 0 to {world - 1}")
        self._pixels, self._flip, self._rank, self._world = np.asarray(pixels), flip, rank, world
        self._epoch = lru_cache(maxsize=2)(
            lambda epoch: _shuffle(len(pixels), seed, epoch, weights)
        )  # a batch may span two epochs

    def read(self, start: int, count: int) -> npt.NDArray[np.uint8]:
        """This rank's share of the positions from start to start + count: uint8, (count / world)×H×W×3.

        Raises:
            ValueError: `count` is not divisible by the number of processes.
        """
        rows, flips = self._positions(start, count)
        faces = self._pixels[rows]
        if self._flip:
            whole = faces.view("V3")[..., 0]  # moving three bytes as one item is four times as fast
            whole[flips] = whole[flips][:, :, ::-1]
        return faces

    def indices(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """The rows of `pixels` that `read` returns for the same arguments."""
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


def _shuffle(
    total: int, seed: int, epoch: int, weights: npt.NDArray[np.float64] | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The rows of an epoch and which of them are mirrored.

    With weights, an epoch has row i ⌊w⌋ or ⌈w⌉ times, where w is `total` times its share of the weights: systematic
    sampling, from one random offset.
    """
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch])))
    order, mirrored = random.permutation(total), random.random(total) < 0.5
    if weights is not None:
        ends = np.cumsum(weights / weights.sum() * total)
        order = np.minimum(np.searchsorted(ends, np.arange(total) + random.random(), "right"), total - 1)[order]
    return order, mirrored
