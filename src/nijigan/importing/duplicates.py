"""Find near-duplicates: pictures that were recompressed, resized, or cropped one or two pixels further on.

A picture's perceptual hash is 224 bytes, computed from its 32×32 thumbnail: the signs of 256 low frequencies of its
cosine transform, 128 of luma and 64 of each chroma, then an 8×8 thumbnail in RGB. The signs do not depend on brightness
and contrast, so that pale faces on white do not resemble each other. The thumbnail separates recoloured drawings.

The thresholds were chosen by looking at pairs from 20,000 faces of 64×64 pixels:

- Signs: up to 44 differing signs, every pair was the same drawing. Pairs of different faces begin at 46 and are the
  majority from 56. From about 30, the crops were more than a pixel apart or of different sizes: the same drawing, but
  different pictures to a network. Hence 30. In 95 to 100 % of faces, a shift by one pixel stays below it.
- Shade: recompression, resizing and a shift by one pixel change the thumbnail by at most 10 grey levels, another hair
  colour by 15 or more. Hence 12.
- Tint: they change the tint of its pixels by at most 12, another eye colour by 20. Hence 17.

The search compares each picture with its neighbours in sorted orders, not with all pictures, and so it may miss pairs.
How many it misses is measured (`benchmarks/duplicates.py`). Among 20,000 procedural faces, and among 20,000 real ones,
one round finds every pair that an exhaustive comparison finds. Among 200,000 pictures, one round finds 100.0 % of the
copies that were added to procedural faces, and 100.0 % of those that were added to 20,000 real faces.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from math import ceil, log2

import numpy as np
import numpy.typing as npt

MAX_BITS = 30
"""The largest number of signs, of 256, in which near-duplicates differ."""
MAX_SHADE = 12.0
"""The largest mean difference between the thumbnails of near-duplicates, in grey levels."""
MAX_TINT = 17.0
"""The largest difference between pixels of their thumbnails, without brightness, in grey levels."""

SIDE = 32
BYTES = 32 + 8 * 8 * 3
SORTS = 3
"""The number of sorts in one round, as a multiple of the binary logarithm of the number of pictures."""
NEIGHBOURS = 16
"""The number of following pictures in a sorted order that each picture is compared with."""
PAIRS = 16
"""The number of pairs per picture after which a round ends."""
CHUNK = 4096
"""The number of rows from which something is computed at once."""

Hashes = npt.NDArray[np.uint8]


def _basis() -> npt.NDArray[np.float32]:
    """The matrix of the DCT-II, scaled so that the first coefficient is the mean."""
    k = np.arange(SIDE)
    cosines = np.cos(np.pi * (k + 0.5) * k[:, None] / SIDE)
    cosines[1:] *= np.sqrt(2)
    return (cosines / SIDE).astype(np.float32)


def _lowest(count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row and column of the `count` lowest frequencies, ordered by their sum."""
    row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
    order = np.lexsort((row, row + column))[:count]
    return row[order], column[order]


DCT = _basis()
LUMA, CHROMA = _lowest(129), _lowest(64)
YCBCR = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)


def perceptual_hashes(thumbnails: npt.NDArray[np.uint8]) -> Hashes:
    """Compute the perceptual hashes of a batch of pictures.

    Args:
        thumbnails: the whole pictures, resized: uint8, N×32×32×3.

    Returns:
        uint8, N×224.
    """
    planes = np.einsum("cd,nhwd->cnhw", YCBCR, thumbnails.astype(np.float32), optimize=True)
    luma, blue, red = DCT @ planes @ DCT.T
    # Rounding noise around zero counts as zero, so that flat areas have the same signs everywhere.
    signs = np.concatenate([luma[:, *LUMA][:, 1:], blue[:, *CHROMA], red[:, *CHROMA]], axis=1) > 0.01
    small = thumbnails.reshape(-1, 8, 4, 8, 4, 3).mean((2, 4)).round().astype(np.uint8)
    return np.concatenate([np.packbits(signs, axis=1), small.reshape(len(small), -1)], axis=1)


def distances(a: Hashes, b: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The distances between rows of hashes.

    Returns:
        Differing signs, of 256; mean difference of the thumbnails; their largest difference without brightness. The
        last two are in grey levels.
    """
    bits = np.bitwise_count(a[..., :32] ^ b[..., :32]).sum(-1, dtype=np.int64)
    change = (a[..., 32:].astype(np.float64) - b[..., 32:]).reshape(*bits.shape, 64, 3)
    shade = np.abs(change).mean((-1, -2))
    tint = np.abs(change - change.mean(-1, keepdims=True)).mean(-1).max(-1)
    return bits, shade, tint


def near(a: Hashes, b: Hashes) -> npt.NDArray[np.bool_]:
    """Whether rows of hashes are those of near-duplicates."""
    bits, shade, tint = distances(a, b)
    return (bits <= MAX_BITS) & (shade <= MAX_SHADE) & (tint <= MAX_TINT)


def survivors(hashes: Hashes, known: int = 0) -> npt.NDArray[np.int64]:
    """Decide which pictures are kept, and which kept picture replaces each of the others.

    A picture is dropped only if it is a near-duplicate of the picture that replaces it; chains of others do not count.

    Args:
        hashes: uint8, N×224, in order of preference: of two near-duplicates, the earlier one is kept.
        known: the first `known` pictures are kept in any case.

    Returns:
        int64, N: for each picture, the row of the one that replaces it; its own row if it is kept.
    """
    random = np.random.Generator(np.random.PCG64(0))
    everyone = np.arange(len(hashes))
    survivor = everyone.copy()
    while True:  # a large group of copies shrinks in every round; usually the second round finds nothing
        staying = np.flatnonzero(survivor == everyone)
        stands = staying[_sweep(hashes[staying], known, random)]
        if np.array_equal(stands, staying):
            return survivor
        survivor[staying] = stands
        orphans = np.flatnonzero(survivor[survivor] != survivor)
        heirs = survivor[survivor[orphans]]
        for part in np.split(np.arange(len(orphans)), _ends(len(orphans))):
            row, heir = orphans[part], heirs[part]
            survivor[row] = np.where(near(hashes[row], hashes[heir]), heir, row)


def spare_variants(
    survivor: npt.NDArray[np.int64],
    hashes: Hashes,
    tags: Sequence[Mapping[str, str | None]],
    families: Sequence[str],
    known: int,
) -> npt.NDArray[np.int64]:
    """Keep near-duplicates whose human tags differ: the same face with and without glasses, for example.

    Of the pictures that a survivor would replace, those stay that have another tag than the survivor and than every
    picture that stays already. If the survivor has no tag for an attribute, it replaces tagged pictures only as long as
    their tags agree.

    Args:
        survivor: what `survivors` returned.
        hashes: as for `survivors`.
        tags: the human tags of each picture.
        families: the family of each picture.
        known: the first `known` pictures are in the dataset already.

    Returns:
        int64, N: as for `survivors`. All pictures that survived without regard to tags survive here too.
    """
    variants: dict[str, list[int]] = {}
    for row in np.flatnonzero(survivor[:known] == np.arange(known)).tolist():
        variants.setdefault(families[row], []).append(row)
    groups: dict[int, list[int]] = {}
    for row in np.flatnonzero(survivor != np.arange(len(survivor))).tolist():
        groups.setdefault(int(survivor[row]), []).append(row)
    spared = survivor.copy()
    for stays, replaced in groups.items():
        relatives = variants.get(families[stays], []) if stays < known else []
        kept = [stays, *(row for row in relatives if row != stays and near(hashes[row], hashes[stays]))]
        values = {(name, value) for row in [*kept, *replaced] for name, value in tags[row].items() if value is not None}
        disputed = {name for name, count in Counter(name for name, _ in values).items() if count > 1}
        for row in replaced if disputed else ():
            told = {name: tags[row][name] for name in disputed if tags[row].get(name) is not None}
            alike = (k for k in kept if told.items() <= tags[k].items() and near(hashes[k], hashes[row]))
            spared[row] = next(alike, row)
            if spared[row] == row:
                kept.append(row)
    return spared


def _sweep(hashes: Hashes, known: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """One round of `survivors`: compare each picture with the earlier near-duplicates that `_near_pairs` finds."""
    survivor = np.arange(len(hashes))
    earlier: dict[int, list[int]] = {}
    for first, second in _near_pairs(hashes, random, known).tolist():
        earlier.setdefault(second, []).append(first)
    for row in sorted(earlier):
        candidates = np.unique(survivor[earlier[row]])
        candidates = candidates[near(hashes[candidates], hashes[row])]
        if len(candidates):
            bits, _, _ = distances(hashes[candidates], hashes[row])
            survivor[row] = candidates[bits.argmin()]
    return survivor


def _near_pairs(hashes: Hashes, random: np.random.Generator, known: int = 0) -> npt.NDArray[np.int64]:
    """Pairs of near-duplicates, P×2 as (earlier row, later row), found in the time of some sorts.

    Charikar 2002 ("Similarity Estimation Techniques from Rounding Algorithms", section 3): if the bits are permuted
    often enough, similar hashes become neighbours when sorted. The number of comparisons does not depend on how
    similar the hashes are. Each permutation is sorted four times: by each quarter of its bits.

    The search ends early when it has found more than `PAIRS` pairs per picture, as in a crowd of copies. At least one
    picture is then dropped, and `survivors` searches again among those that stay.

    Args:
        hashes: uint8, N×224.
        random: chooses the permutations.
        known: pairs of two of the first `known` pictures are left out.
    """
    count = len(hashes)
    found = tested = np.empty(0, np.int64)
    if count < 2:
        return found.reshape(0, 2)
    words = np.ascontiguousarray(hashes[:, :32]).view(np.uint64).T
    for _ in range(ceil(SORTS * log2(count) / 4)):
        for key in _permuted(hashes, random.permutation(256)):
            pairs = _distinct(_neighbours(words, np.argsort(key, kind="stable"), known))
            new = pairs[np.append(tested, -1)[np.searchsorted(tested, pairs)] != pairs]
            close = [near(hashes[part // count], hashes[part % count]) for part in np.split(new, _ends(len(new)))]
            found = _distinct(np.concatenate([found, new[np.concatenate(close)]]))
            if len(found) > PAIRS * count:
                return np.stack(np.divmod(found, count), axis=1)
            tested = _distinct(np.concatenate([tested, new]))
            if len(tested) > 2 * PAIRS * count:
                tested = found
    return np.stack(np.divmod(found, count), axis=1)


def _permuted(hashes: Hashes, order: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """The signs in another order, as four numbers of 64 bits: 4×N."""
    keys = np.empty((4, len(hashes)), np.uint64)
    for rows in np.split(np.arange(len(hashes)), _ends(len(hashes))):
        bits = np.unpackbits(hashes[rows, :32], axis=1).take(order, axis=1)
        keys[:, rows] = np.packbits(bits, axis=1).view(">u8").T
    return keys


def _neighbours(words: npt.NDArray[np.uint64], order: npt.NDArray[np.int64], known: int) -> npt.NDArray[np.int64]:
    """Pairs that are at most `NEIGHBOURS` apart in an order and have similar signs, as earlier row × N + later row."""
    count, ordered = len(order), [np.ascontiguousarray(word[order]) for word in words]
    found = []
    for step in range(1, min(NEIGHBOURS, count - 1) + 1):
        bits = np.zeros(count - step, np.uint16)
        for word in ordered:
            bits += np.bitwise_count(word[:-step] ^ word[step:])
        (close,) = np.nonzero(bits <= MAX_BITS)
        first, second = order[close], order[close + step]
        later = np.maximum(first, second)
        found.append((np.minimum(first, second) * count + later)[later >= known])
    return np.concatenate(found)


def _distinct(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The different ones among numbers from 0 on, ascending. `np.unique` takes several times as long."""
    ordered = np.sort(numbers)
    return ordered[np.flatnonzero(np.diff(ordered, prepend=-1))]


def _ends(count: int) -> list[int]:
    """Where to divide so many rows, so that what is computed from a part takes little memory."""
    return list(range(CHUNK, count, CHUNK))


def unite_families(
    families: Sequence[str], related: npt.NDArray[np.int64], known: int, aliases: Sequence[tuple[str, str]]
) -> list[str]:
    """Unite the families of pictures that are near-duplicates of each other.

    Args:
        families: the family that each picture belongs to by itself.
        related: for each picture, the index of a near-duplicate; its own index if it has none.
        known: the first `known` pictures are in the dataset already, and their families stay.
        aliases: pairs of families to unite.

    Returns:
        For each picture, the family of the first picture that it is related to, over any number of steps.
    """
    parents = {name: name for name in chain(families, *aliases)}

    def root(name: str) -> str:
        """The name that stands for a group; halving the paths keeps them short (Tarjan and van Leeuwen, 1984)."""
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    for one, other in chain(zip(families, (families[row] for row in related.tolist()), strict=True), aliases):
        parents[root(one)] = root(other)
    first: dict[str, str] = {}
    for family in families:
        first.setdefault(root(family), family)
    return [family if row < known else first[root(family)] for row, family in enumerate(families)]
