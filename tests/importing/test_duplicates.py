from itertools import chain, pairwise
from time import process_time

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from blobs import blob, encode, portrait
from nijigan.dataset.decode import decode
from nijigan.importing.duplicates import (
    BYTES,
    MAX_BITS,
    PAIRS,
    _near_pairs,
    distances,
    near,
    perceptual_hashes,
    spare_variants,
    survivors,
    unite_families,
)
from nijigan.pictures import resize

HAIR = ("gold", "saddlebrown", "royalblue", "hotpink", "seagreen", "firebrick", "dimgray")


def hashes(*images: Image.Image) -> np.ndarray:
    return perceptual_hashes(np.stack([np.asarray(resize(image, 32, 32)) for image in images]))


def shifted(image: Image.Image, x: int, y: int) -> Image.Image:
    """A crop of a drawing of 144 pixels, at half its size: a shift of 2 is one of a pixel."""
    return image.crop((8 + x, 8 + y, 136 + x, 136 + y)).resize((64, 64), Image.Resampling.LANCZOS)


def test_hash_is_the_signs_of_a_cosine_transform_and_a_thumbnail() -> None:
    image = np.asarray(blob(0, 32, 32))
    (packed,) = perceptual_hashes(image[None])
    assert packed.shape == (BYTES,)
    ycbcr = np.asarray(Image.fromarray(image).convert("YCbCr")).astype(float) - (0, 128, 128)
    k = np.arange(32)
    basis = np.cos(np.pi * np.outer(k, 2 * k + 1) / 64)  # the definition of the DCT-II
    lowest = sorted(np.ndindex(32, 32), key=lambda place: (sum(place), place[0]))
    wanted = [(0, lowest[1:129]), (1, lowest[:64]), (2, lowest[:64])]
    coefficients = [(basis @ ycbcr[..., plane] @ basis.T)[place] for plane, places in wanted for place in places]
    clear = np.abs(coefficients) > 600  # Pillow rounds its chroma to whole numbers
    assert clear.sum() > 100
    signs = np.unpackbits(packed[:32])
    assert np.array_equal(signs[clear], np.array(coefficients)[clear] > 0)
    assert np.abs(packed[32:].reshape(8, 8, 3) - image.reshape(8, 4, 8, 4, 3).mean((1, 3))).max() <= 0.5


def test_distances_count_bits_and_levels() -> None:
    a, b = np.zeros((2, BYTES), np.uint8)
    b[:2], b[32:] = (0b1011, 0xFF), 7
    assert distances(a, b) == (11, 7, 0)  # grey: the tint is the same
    b[32:35] = (0, 30, 0)
    bits, shade, tint = distances(a, b)
    assert (bits, shade, tint) == (11, pytest.approx((63 * 7 + 10) / 64), pytest.approx((10 + 20 + 10) / 3))
    assert distances(a, a) == (0, 0, 0)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "change",
    [
        lambda image: decode(encode(image, "JPEG", quality=50)).image,
        lambda image: decode(encode(image, "WEBP", quality=60)).image,
        lambda image: image.resize((48, 48), Image.Resampling.LANCZOS),
        lambda image: image.resize((160, 160), Image.Resampling.BICUBIC),
        lambda image: image.point(lambda level: min(255, level + 8)),
    ],
    ids=["jpeg", "webp", "smaller", "larger", "brighter"],
)
def test_the_same_drawing_is_near_itself(seed: int, change) -> None:
    image = portrait(seed, HAIR[seed % 7])
    assert near(*hashes(image, change(image)))


@pytest.mark.parametrize(("x", "y"), [(2, 0), (-2, 0), (0, 2), (0, -2)])
def test_most_crops_a_pixel_further_on_are_near(x: int, y: int) -> None:
    faces = [portrait(seed, HAIR[seed % 7], 144) for seed in range(40)]
    first, second = (hashes(*(shifted(face, *by) for face in faces)) for by in ((0, 0), (x, y)))
    assert near(first, second).mean() > 0.85  # flat areas make these drawings harder than real ones


@pytest.mark.parametrize(("one", "other"), list(pairwise(HAIR)))
def test_other_hair_is_another_picture(one: str, other: str) -> None:
    assert not near(*hashes(portrait(0, one), portrait(0, other)))


@pytest.mark.parametrize("eyes", ["firebrick", "gold", "limegreen"])
def test_other_eyes_are_another_picture(eyes: str) -> None:
    assert not near(*hashes(portrait(0, "dimgray", eyes="navy"), portrait(0, "dimgray", eyes=eyes)))


def test_other_faces_with_the_same_hair_are_other_pictures() -> None:
    faces = hashes(*(portrait(seed, "gold") for seed in range(40)))
    first, second = np.triu_indices(40, 1)
    assert near(faces[first], faces[second]).mean() < 0.02
    assert np.array_equal(survivors(hashes(*map(blob, range(100)))), np.arange(100))


def test_sorting_finds_what_comparing_all_with_all_finds() -> None:
    random = np.random.default_rng(0)
    centres = random.integers(0, 256, (200, BYTES), np.uint8)
    noise = np.packbits(random.random((200, 256)) < random.uniform(0, 0.12, (200, 1)), axis=1)
    copies = centres.copy()
    copies[:, :32] ^= noise
    everyone = random.permutation(np.concatenate([centres, copies]))
    first, second = np.triu_indices(len(everyone), 1)
    truth = near(everyone[first], everyone[second])
    assert truth.sum() > 100
    found = _near_pairs(everyone, np.random.default_rng(0))
    assert np.array_equal(found, np.stack([first[truth], second[truth]], 1))


def planted(count: int, copies: int, skew: float) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of distinct pictures and of near-duplicates of the first, at most 30 signs away, in random order.

    Each sign is the more frequent one with a probability between 0.5 and 0.5 + `skew`.

    Returns:
        The hashes, and the rows of each picture and its near-duplicate.
    """
    random = np.random.default_rng(2)
    bits = random.random((count, 256)) < 0.5 + random.uniform(0, skew, 256)
    near_bits = bits[:copies].copy()
    for row, flips in enumerate(random.integers(20, MAX_BITS + 1, copies)):
        near_bits[row, random.permutation(256)[:flips]] ^= True
    signs = np.packbits(np.concatenate([bits, near_bits]), axis=1)
    everyone = np.concatenate([signs, np.zeros((len(signs), BYTES - 32), np.uint8)], axis=1)
    order = random.permutation(len(everyone))
    place = np.argsort(order)
    return everyone[order], np.stack([place[:copies], place[count:]], axis=1)


@pytest.mark.parametrize("skew", [0.0, 0.3])
def test_the_search_finds_99_percent_among_20_000_pictures(skew: float) -> None:
    everyone, pairs = planted(20_000, 2000, skew)
    assert near(*everyone[pairs.T]).all()
    found = _near_pairs(everyone, np.random.default_rng(0))
    assert near(*everyone[found.T]).all()
    wanted = {tuple(sorted(pair)) for pair in pairs.tolist()}
    assert len(wanted & set(map(tuple, found.tolist()))) >= 0.99 * len(wanted)
    survivor = survivors(everyone)
    assert (survivor[pairs] == pairs).all(1).mean() <= 0.01
    dropped = np.flatnonzero(survivor != np.arange(len(everyone)))
    assert near(everyone[dropped], everyone[survivor[dropped]]).all()
    assert np.array_equal(survivor[survivor], survivor)


def test_every_pair_among_3_000_crowded_pictures_is_found() -> None:
    everyone, _ = planted(2600, 400, 0.35)
    first, second = np.triu_indices(len(everyone), 1)
    words = np.ascontiguousarray(everyone[:, :32]).view(np.uint64)
    close = np.bitwise_count(words[first] ^ words[second]).sum(1) <= MAX_BITS  # the rest of these hashes is equal
    found = _near_pairs(everyone, np.random.default_rng(0))
    assert np.array_equal(found, np.stack([first[close], second[close]], 1))


def test_a_round_that_finds_very_many_pairs_ends_early_and_none_is_lost() -> None:
    random = np.random.default_rng(3)
    centres = random.integers(0, 256, (4, BYTES), np.uint8)
    group = random.permutation(np.repeat(np.arange(4), [600, 400, 1, 1]))
    crowd = centres[group]
    assert len(_near_pairs(crowd, np.random.default_rng(0))) < 3 * PAIRS * len(crowd)  # of 259,500
    assert np.array_equal(survivors(crowd), [np.flatnonzero(group == one)[0] for one in group])


def test_pairs_of_known_pictures_are_not_searched() -> None:
    same = np.zeros((50, BYTES), np.uint8)
    found = _near_pairs(same, np.random.default_rng(0), known=48)
    assert found[:, 1].min() >= 48
    survivor = survivors(same, known=48)
    assert np.array_equal(survivor[:48], np.arange(48))
    assert (survivor[48:] < 48).all()


def test_duplicates_are_compared_with_the_one_that_stays_and_not_chained() -> None:
    drift = np.zeros((9, BYTES), np.uint8)  # each is 20 signs from the one before it
    for step in range(1, 9):
        bits = np.unpackbits(drift[step - 1, :32])
        bits[20 * step : 20 * step + 20] = 1
        drift[step, :32] = np.packbits(bits)
    assert 20 <= MAX_BITS < 40
    assert survivors(drift).tolist() == [0, 0, 2, 2, 4, 4, 6, 6, 8]


def test_known_pictures_stay_though_they_are_near_each_other() -> None:
    same = np.zeros((5, BYTES), np.uint8)
    assert survivors(same, known=3).tolist() == [0, 1, 2, 0, 0]
    assert survivors(same[:1]).tolist() == [0]
    assert survivors(same[:0]).tolist() == []


def test_a_crowd_of_copies_leaves_one() -> None:
    random = np.random.default_rng(1)
    crowd = np.repeat(random.integers(0, 256, (1, BYTES), np.uint8), 1500, axis=0)
    flips = random.integers(0, 256, (1500, 6))  # at most 6 signs from the first, 12 from each other
    bits = np.unpackbits(crowd[:, :32], axis=1)
    for column in flips[1:].T:
        bits[np.arange(1, 1500), column] ^= 1
    crowd[:, :32] = np.packbits(bits, axis=1)
    assert set(survivors(crowd).tolist()) == {0}


def noisy(count: int, signs: int = 4) -> np.ndarray:
    """Hashes that differ from each other in a few signs."""
    bits = np.zeros((count, 256), np.uint8)
    for row in range(count):
        bits[row, signs * row : signs * row + signs] = 1
    return np.concatenate([np.packbits(bits, axis=1), np.zeros((count, BYTES - 32), np.uint8)], axis=1)


@pytest.mark.parametrize(
    ("glasses", "survivor"),
    [
        (["yes", "no", "no", "yes"], [0, 1, 1, 0]),
        (["yes", None, "yes", None], [0, 0, 0, 0]),
        ([None, "yes", "yes", None], [0, 0, 0, 0]),  # the survivor takes the tag over
        ([None, "yes", "no", "yes"], [0, 1, 2, 1]),  # which tag the survivor should have is not known
        (["yes", "no", None, "maybe"], [0, 1, 0, 3]),
    ],
)
def test_near_duplicates_with_other_tags_stay(glasses: list[str | None], survivor: list[int]) -> None:
    hashes, families = noisy(4), ["a", "b", "c", "d"]
    tags = [{"glasses": value, "hair": "red" if n else None} for n, value in enumerate(glasses)]
    blind = survivors(hashes)
    assert blind.tolist() == [0, 0, 0, 0]
    assert spare_variants(blind, hashes, tags, families, 0).tolist() == survivor


def test_a_variant_that_is_in_the_dataset_replaces_its_copies() -> None:
    hashes = noisy(5)
    tags = [{"glasses": value} for value in ("yes", "no", "no", "yes", "maybe")]
    blind = np.array([0, 1, 0, 1, 0])  # 0 and 1 are known, and of one family
    assert spare_variants(blind, hashes, tags, ["a", "a", "c", "d", "e"], 2).tolist() == [0, 1, 1, 0, 4]


def test_families_of_near_duplicates_are_united() -> None:
    art = ["a", "b", "c", "d"]
    families = [art[0], art[1], art[1], art[2], art[3]]
    related = np.array([0, 0, 2, 2, 4])  # 1 is like 0, and 3 like 2: through art[1], 0 and 3 are in one family
    assert unite_families(families, related, 0, []) == [art[0]] * 4 + [art[3]]
    assert unite_families(families, related, 3, []) == [*families[:3], art[0], art[3]]
    assert unite_families(families, related, 0, [(art[3], art[2])]) == [art[0]] * 5
    assert unite_families([], np.array([], np.int64), 0, []) == []


def united_by_scipy(families: list[str], related: np.ndarray, known: int, aliases: list[tuple[str, str]]) -> list[str]:
    nodes = {name: node for node, name in enumerate(dict.fromkeys([*families, *chain.from_iterable(aliases)]))}
    own = np.array([nodes[family] for family in families])
    ends = [[nodes[name] for name in names] for names in zip(*aliases, strict=True)] or [[], []]
    edges = np.concatenate([own, ends[0]]), np.concatenate([own[related], ends[1]])
    graph = coo_array((np.ones(len(edges[0])), edges), shape=(len(nodes), len(nodes)))
    group = connected_components(graph, directed=False)[1][own]
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return [families[row if row < known else first[inverse[row]]] for row in range(len(families))]


@pytest.mark.parametrize("names", [30, 300, 3000])
def test_families_are_united_as_scipy_does(names: int, rng: np.random.Generator) -> None:
    families = [f"art {number}" for number in rng.integers(names, size=1000)]
    related = np.where(rng.random(1000) < 0.3, rng.integers(1000, size=1000), np.arange(1000))
    aliases = [(f"art {one}", f"crop {other}") for one, other in rng.integers(names, size=(40, 2))]
    for known, pairs in ((0, []), (0, aliases), (250, aliases)):
        assert unite_families(families, related, known, pairs) == united_by_scipy(families, related, known, pairs)


@pytest.mark.parametrize("shape", ["chain", "chain backwards", "tree", "random"])
def test_families_of_many_pictures_are_united_in_seconds(shape: str, rng: np.random.Generator) -> None:
    n = 200_000
    rows = np.arange(n)
    related = {
        "chain": np.maximum(rows - 1, 0),
        "chain backwards": np.minimum(rows + 1, n - 1),
        "tree": rows // 2,
        "random": rng.integers(n, size=n),
    }[shape]
    families = [str(row) for row in rows]
    start = process_time()
    united = unite_families(families, related, 0, [])
    assert process_time() - start < 10
    assert united == united_by_scipy(families, related, 0, [])
