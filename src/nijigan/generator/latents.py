"""Seeds to latents, specified bit by bit so that other languages get the same face from the same seed.

The specification:

1. Random words come from Philox-4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011). The
   key is the seed, an integer in [0, 2^63), low 32 bits first. The counter is (block, 0, stream, 0): block counts from
   0, and stream is 0 for the latent, 1 for sampled attributes and 2 for noise layers. A block gives four words.
2. A word x becomes the uniform number (x + 0.5) / 2^32, in float64, which is never 0 or 1.
3. Words 2k and 2k + 1 give the uniform numbers u and v, and these give the normal numbers 2k and 2k + 1 by Box and
   Muller (1958): sqrt(-2 ln u) cos(2πv) and sqrt(-2 ln u) sin(2πv), in float64, rounded to float32. Surplus numbers
   are not used.
4. A latent of `size` numbers is, depending on the prior,
   normal: the first `size` normal numbers of the stream.
   truncated-normal: the first `size` of them that lie in [-2, 2], in order.
   uniform: 2u - 1 of the first `size` uniform numbers u of step 2, in float64, rounded to float32.
   sphere: the normal latent z scaled to the length sqrt(size): sqrt(size / Σz²) z, from the float32 numbers of z, in
   float64, rounded to float32.

The words are the same on every machine. Logarithm and cosine may differ in the last bit of a float64 between
mathematics libraries, so a latent may, rarely, differ in the last bit of a float32.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nijigan.errors import UserError
from nijigan.recipe.parts import Prior

Latents = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]

LATENT_STREAM, ATTRIBUTE_STREAM = 0, 1

MOST_SEEDS = 10_000_000
"""Faces in one request."""

_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))  # the golden ratio and sqrt(3) - 1, as in the paper
_ROUNDS = 10


def latents(seeds: Sequence[int] | npt.NDArray[np.integer], size: int, prior: Prior = "normal") -> Latents:
    """Compute the latent of each seed, as the module's docstring specifies.

    Args:
        seeds: N integers in [0, 2^63).
        size: length of a latent.
        prior: the distribution: see `nijigan.recipe.parts.LatentConfig`.

    Returns:
        float32, N×size. A row depends only on its seed. Except on the sphere, a shorter latent is the beginning of a
        longer one.

    Raises:
        UserError: a seed is out of range.
    """
    key = _key(seeds)
    if prior == "uniform":
        return (2.0 * _uniform(key, size) - 1.0).astype(np.float32)
    if prior == "truncated-normal":
        return _truncated_normal(key, size)
    normal = _normal(key, size)
    if prior == "sphere":
        squares = np.square(normal, dtype=np.float64).sum(axis=-1, keepdims=True)
        normal = (np.sqrt(size / squares) * normal).astype(np.float32)
    return normal


def uniforms(seeds: Sequence[int] | npt.NDArray[np.integer], count: int, stream: int) -> npt.NDArray[np.float64]:
    """Compute the first `count` uniform numbers of a stream for each of N seeds: float64 in (0, 1), N×count.

    Raises:
        UserError: a seed is outside [0, 2^63).
    """
    return _uniform(_key(seeds), count, stream)


def _key(seeds: Sequence[int] | npt.NDArray[np.integer]) -> Words:
    """Check N seeds and return them as N×1."""
    for seed in (min(seeds, default=0), max(seeds, default=0)):
        check_seed(seed)
    array = np.asarray(seeds) if len(seeds) else np.empty(0, np.uint64)
    if array.dtype.kind not in "iu":
        raise UserError("Seeds must be integers.")
    return array.astype(np.uint64).reshape(-1, 1)


def _uniform(key: Words, count: int, stream: int = LATENT_STREAM) -> npt.NDArray[np.float64]:
    """Compute the first uniform numbers of a stream, in (0, 1): N×count for a key of N×1."""
    block = np.arange(-(-count // 4), dtype=np.uint64)  # blocks
    zero = np.zeros_like(key * block)  # N×blocks
    words = philox((zero + block, zero, zero + np.uint64(stream), zero), (key & _WORD, key >> _HALF))
    uniform = (np.stack(words, axis=-1).astype(np.float64) + 0.5) / 2.0**32  # N×blocks×4
    return uniform.reshape(len(key), -1)[:, :count]


def _normal(key: Words, count: int) -> Latents:
    """Compute the first normal numbers of each latent stream: N×count for a key of N×1."""
    uniform = _uniform(key, count + count % 2)
    radius = np.sqrt(-2.0 * np.log(uniform[:, 0::2]))
    angle = 2.0 * np.pi * uniform[:, 1::2]
    normal = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=-1)  # N×pairs×2
    return normal.reshape(len(key), -1)[:, :count].astype(np.float32)


def _truncated_normal(key: Words, size: int) -> Latents:
    """Compute the first `size` normal numbers of each latent stream that lie in [-2, 2]."""
    count = size + 4
    while True:
        normal = _normal(key, count)
        inside = np.abs(normal) <= 2
        if np.all(inside.sum(axis=1) >= size):
            first = np.argsort(~inside, axis=1, kind="stable")[:, :size]
            return np.take_along_axis(normal, first, axis=1)
        count += count // 8 + 4  # one number in 22 lies outside [-2, 2]


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[Words, Words]) -> tuple[Words, Words, Words, Words]:
    """Compute Philox-4x32-10: four random 32-bit words from a counter of four words and a key of two.

    Args:
        counter: four arrays of 32-bit words stored as uint64, all of one shape.
        key: two such arrays, of the same shape or broadcastable to it.

    Returns:
        Four arrays of the shape of the counter.
    """
    (a, b, c, d), (low, high) = counter, key
    for _ in range(_ROUNDS):
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]  # 32 × 32 bits fit in 64
        a, b, c, d = (second >> _HALF) ^ b ^ low, second & _WORD, (first >> _HALF) ^ d ^ high, first & _WORD
        low, high = (low + _WEYL[0]) & _WORD, (high + _WEYL[1]) & _WORD
    return a, b, c, d


def consecutive_seeds(seed: int, count: int, what: str = "faces") -> range:
    """The seeds seed ... seed + count - 1, for `count` of what `what` names.

    Raises:
        UserError: a seed is out of range, or `count` is not 1 to `MOST_SEEDS`.
    """
    if not isinstance(count, int | np.integer):
        raise UserError(f"The number of {what} must be an integer, not {str(count)[:40]!r}.")
    if not 1 <= count <= MOST_SEEDS:
        raise UserError(f"The number of {what} must be 1 or more, up to {MOST_SEEDS:,}; it is {count}.")
    check_seed(seed)
    check_seed(seed + count - 1)
    return range(seed, seed + count)


def check_seeds(seeds: Sequence[int]) -> None:
    """Refuse, with a `UserError`, no seeds, too many, a seed that is out of range, and one that occurs twice."""
    if not 1 <= len(seeds) <= MOST_SEEDS:
        raise UserError(f"{len(seeds):,} seeds are too few or too many; choose 1 to {MOST_SEEDS:,}.")
    for seed in (min(seeds), max(seeds)) if isinstance(seeds, range) else seeds:
        check_seed(seed)
    if not isinstance(seeds, range) and len(set(seeds)) < len(seeds):
        twice = next(seed for seed, count in Counter(seeds).items() if count > 1)
        raise UserError(f"The seed {twice} is given twice; give it once.")


def check_seed(seed: int) -> None:
    """Refuse a seed that is no integer in [0, 2^63) with a `UserError`."""
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
        raise UserError(f"The seed {str(seed)[:40]!r} is no integer; choose one from 0 to 2^63 - 1.")
    if not 0 <= seed < 2**63:
        raise UserError(f"The seed {seed} is out of range; choose an integer from 0 to 2^63 - 1.")


def check_psi(psi: float, prior: Prior | None = None) -> None:
    """Refuse a truncation with a `UserError`.

    Args:
        psi: the truncation; it must lie in [0, 2].
        prior: the prior of the latents to scale. Uniform latents have no denser centre, and latents on a sphere must
            stay on it, so both allow only 1. None if styles are scaled instead: then all of [0, 2] is allowed.
    """
    if not isinstance(psi, int | float | np.number):
        raise UserError(f"psi must be a number from 0 to 2, not {str(psi)[:40]!r}.")
    if not 0 <= psi <= 2:
        raise UserError(
            f"psi is {psi:g}; choose 0 (always the average face) to 2 (exaggerated). 1 samples as in training."
        )
    if psi != 1 and prior in ("uniform", "sphere"):
        raise UserError(
            f"psi is {psi:g}, but this generator's latents have the prior {prior}, which cannot be truncated; "
            "leave psi at 1."
        )


def truncate(latents: Latents, psi: float, prior: Prior = "normal") -> Latents:
    """Scale latents towards the mean of their normal prior, truncated or not: ψz, rounded to float32.

    Args:
        latents: float32, any shape.
        psi: 0 (always the average face) to 2 (exaggerated); 1 samples as in training.
        prior: the prior of the latents.

    Raises:
        UserError: `psi` is out of range, or the prior cannot be truncated.
    """
    check_psi(psi, prior)
    return latents * np.float32(psi)


def interpolate(start: Latents, end: Latents, t: float | npt.NDArray[np.floating], prior: Prior = "normal") -> Latents:
    """Interpolate between two latents through likely ones: by `slerp`, or linearly if the prior is uniform.

    The uniform prior has the same density everywhere in its cube, and a line stays inside the cube where an arc may
    leave it. An arc keeps normal latents as far from the mean as its ends, and spherical latents on their sphere. It
    keeps the length of truncated-normal latents too, although single numbers may rise slightly above 2 on the way.

    Args:
        start: float32, ...×size.
        end: float32, ...×size.
        t: position from 0 (start) to 1 (end); an array is broadcast against the leading shape.
        prior: the prior of both latents.

    Returns:
        float32, ...×size.
    """
    if prior != "uniform":
        return slerp(start, end, t)
    along = np.asarray(t, np.float64)[..., None]
    return ((1 - along) * start + along * end).astype(np.float32)


def slerp(start: Latents, end: Latents, t: float | npt.NDArray[np.floating]) -> Latents:
    """Interpolate between two latents along a great circle.

    Shoemake, "Animating Rotation with Quaternion Curves", SIGGRAPH 1985.

    A straight line would pass near the mean of the prior, where a normal distribution in many dimensions has next to no
    mass; the arc stays as far from the mean as its ends. Between latents of the same or the opposite direction (in one
    dimension, all of them) no arc is defined, and the interpolation is linear.

    Args:
        start: float32, ...×size.
        end: float32, ...×size.
        t: position from 0 (start) to 1 (end); an array is broadcast against the leading shape.

    Returns:
        float32, ...×size.
    """
    a, b = start.astype(np.float64), end.astype(np.float64)
    along = np.asarray(t, np.float64)[..., None]
    norms = np.linalg.norm(a, axis=-1, keepdims=True) * np.linalg.norm(b, axis=-1, keepdims=True)
    cosine = np.sum(a * b, axis=-1, keepdims=True) / np.where(norms > 0, norms, 1)
    angle = np.arccos(np.clip(np.where(norms > 0, cosine, 1), -1, 1))
    curved = np.sin(angle) > 1e-6
    sine = np.where(curved, np.sin(angle), 1)
    from_start = np.where(curved, np.sin((1 - along) * angle) / sine, 1 - along)
    from_end = np.where(curved, np.sin(along * angle) / sine, along)
    return (from_start * a + from_end * b).astype(np.float32)
