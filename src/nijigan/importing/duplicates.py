"""Pictures that are nearly the same: recompressed, resized, or cut out again a pixel or two further on.

A picture's perceptual hash is 224 bytes, computed from its 32×32 thumbnail: the signs of 256 low frequencies of its
cosine transform, 128 of luma and 64 of each chroma, then an 8×8 thumbnail in RGB. Signs tell drawings apart whatever
their brightness and contrast, so pale faces on white do not crowd together; the thumbnail keeps recoloured drawings
apart.

The thresholds were chosen by looking at pairs from 20,000 faces of 64×64 pixels. Up to 44 differing signs every pair
was the same drawing; other faces begin at 46 and are the rule from 56 on. From about 30 on the two were cut out more
than a pixel apart, or one is a little larger: the same drawing, but no longer the same picture to a network, hence 30
(which a shift by one pixel stays below in 95 to 100 % of faces). Recompression, resizing and such a shift move the
thumbnail by 10 grey levels at most, hair painted another colour by 15 or more, hence 12. They change the tint of its
pixels by 12 at most, eyes painted another colour by 20, hence 17.
"""

import numpy as np
import numpy.typing as npt

MAX_BITS = 30
"""Signs, of 256, that may differ between near-duplicates."""
MAX_SHADE = 12.0
"""Mean difference of the thumbnails of near-duplicates, in grey levels."""
MAX_TINT = 17.0
"""Largest difference of a thumbnail's pixel in near-duplicates, not counting its brightness, in grey levels."""

SIDE = 32
BYTES = 32 + 8 * 8 * 3
PERMUTATIONS = 16
NEIGHBOURS = 8
"""How many orders of the bits are sorted in one round, and how many neighbours each picture then meets."""

Hashes = npt.NDArray[np.uint8]


def _basis() -> npt.NDArray[np.float32]:
    """The DCT-II as a matrix, scaled so that the first coefficient is the mean."""
    k = np.arange(SIDE)
    cosines = np.cos(np.pi * (k + 0.5) * k[:, None] / SIDE)
    cosines[1:] *= np.sqrt(2)
    return (cosines / SIDE).astype(np.float32)


def _lowest(count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row and column of the `count` lowest frequencies, by their sum."""
    row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
    order = np.lexsort((row, row + column))[:count]
    return row[order], column[order]


DCT = _basis()
LUMA, CHROMA = _lowest(129), _lowest(64)
YCBCR = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)


def perceptual_hashes(thumbnails: npt.NDArray[np.uint8]) -> Hashes:
    """Hash a batch of pictures.

    Args:
        thumbnails: uint8, N×32×32×3, each the whole picture resized.

    Returns:
        uint8, N×224.
    """
    planes = np.einsum("cd,nhwd->cnhw", YCBCR, thumbnails.astype(np.float32), optimize=True)
    luma, blue, red = DCT @ planes @ DCT.T
    # What is flat must be flat in both: rounding noise around zero counts as zero.
    signs = np.concatenate([luma[:, *LUMA][:, 1:], blue[:, *CHROMA], red[:, *CHROMA]], axis=1) > 0.01
    small = thumbnails.reshape(-1, 8, 4, 8, 4, 3).mean((2, 4)).round().astype(np.uint8)
    return np.concatenate([np.packbits(signs, axis=1), small.reshape(len(small), -1)], axis=1)


def distances(a: Hashes, b: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How far apart rows of hashes are.

    Returns:
        Differing signs, of 256; the thumbnails' mean difference, and their largest but for brightness, in grey levels.
    """
    bits = np.bitwise_count(a[..., :32] ^ b[..., :32]).sum(-1, dtype=np.int64)
    change = (a[..., 32:].astype(np.float64) - b[..., 32:]).reshape(*bits.shape, 64, 3)
    shade = np.abs(change).mean((-1, -2))
    tint = np.abs(change - change.mean(-1, keepdims=True)).mean(-1).max(-1)
    return bits, shade, tint


def near(a: Hashes, b: Hashes) -> npt.NDArray[np.bool_]:
    """Whether rows of hashes belong to near-duplicates."""
    bits, shade, tint = distances(a, b)
    return (bits <= MAX_BITS) & (shade <= MAX_SHADE) & (tint <= MAX_TINT)


def survivors(hashes: Hashes, known: int = 0) -> npt.NDArray[np.int64]:
    """Decide for every picture which one stands for it.

    A picture is dropped when it is near one that stays: near that very picture, never along a chain of others.

    Args:
        hashes: uint8, N×224, in order of preference: of two near-duplicates the earlier one stays.
        known: the first so many stay in any case.

    Returns:
        int64, N: the row that stands for each; its own for a picture that stays.
    """
    random = np.random.Generator(np.random.PCG64(0))
    everyone = np.arange(len(hashes))
    keeper = everyone.copy()
    while True:  # a crowd of copies shrinks from round to round; usually the second finds nothing more
        staying = np.flatnonzero(keeper == everyone)
        stands = staying[_sweep(hashes[staying], known, random)]
        if np.array_equal(stands, staying):
            return keeper
        keeper[staying] = stands
        orphans = np.flatnonzero(keeper[keeper] != keeper)
        heirs = keeper[keeper[orphans]]
        keeper[orphans] = np.where(near(hashes[orphans], hashes[heirs]), heirs, orphans)


def _sweep(hashes: Hashes, known: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """One round of `survivors`: each picture against those before it that it is near, as far as they are found."""
    keeper = np.arange(len(hashes))
    earlier: dict[int, list[int]] = {}
    for first, second in _near_pairs(hashes, random).tolist():
        earlier.setdefault(second, []).append(first)
    for row in sorted(earlier):
        if row < known:
            continue
        candidates = np.unique(keeper[earlier[row]])
        candidates = candidates[near(hashes[candidates], hashes[row])]
        if len(candidates):
            bits, _, _ = distances(hashes[candidates], hashes[row])
            keeper[row] = candidates[bits.argmin()]
    return keeper


def _near_pairs(hashes: Hashes, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Near-duplicates, P×2 as (earlier row, later row), found in time that grows like sorting.

    Charikar 2002 ("Similarity Estimation Techniques from Rounding Algorithms", section 3): under enough random orders
    of the bits, near hashes come to lie next to each other when sorted. The number of comparisons does not depend on
    how crowded the hashes are. On the faces above this finds every pair that comparing all with all finds.
    """
    if len(hashes) < 2:
        return np.empty((0, 2), np.int64)
    words = np.ascontiguousarray(hashes[:, :32]).view(np.uint64)
    bits = np.unpackbits(hashes[:, :32], axis=1)
    found = []
    for _ in range(PERMUTATIONS):
        leading = np.packbits(bits[:, random.permutation(256)[:64]], axis=1)  # 64 bits tell a million pictures apart
        order = np.argsort(np.ascontiguousarray(leading).view(">u8").ravel(), kind="stable")
        ordered = words[order]
        for step in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            first, second = order[:-step], order[step:]
            close = np.bitwise_count(ordered[:-step] ^ ordered[step:]).sum(1, dtype=np.int64) <= MAX_BITS
            found.append(np.stack([first[close], second[close]], axis=1))
    pairs = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    return pairs[near(hashes[pairs[:, 0]], hashes[pairs[:, 1]])]
