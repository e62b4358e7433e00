"""The labels that a run learns from: attributes, their values, and the codes of the training faces."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from nijigan.aliases import Codes, Images
from nijigan.dataset.faces import FaceDataset, FaceStream
from nijigan.errors import UserError
from nijigan.generator.attributes import Combination, check_attributes, combinations
from nijigan.recipe.recipe import Recipe
from nijigan.safe_text import UNKNOWN

log = logging.getLogger("nijigan")

_ENOUGH = 16
_MOST = 20.0  # times the average weight: a value with one face cannot be learnt, and must not displace the others
_PAIRS, _FEWEST_PAIRS = 1000, 100


@dataclass(frozen=True)
class TrainingLabels:
    """The labels of the training faces; no attributes if the recipe is unconditional."""

    attributes: dict[str, tuple[str, ...]]
    """Every attribute's values, in the order of their codes."""
    codes: Codes
    """N×A; -1 is unknown."""

    @classmethod
    def of(cls, dataset: FaceDataset, names: tuple[str, ...]) -> Self:
        """The labels of a training split. Values that no training face has are omitted.

        Raises:
            UserError: there are too few or too many values to learn from.
        """
        known = dataset.labels("train")
        attributes, codes = {}, np.empty((dataset.count("train"), len(names)), np.int64)
        for column, name in enumerate(names):
            values = np.array(dataset.attributes[name])
            borne = np.isin(np.arange(len(values)), known[name])
            attributes[name] = tuple(values[borne].tolist())
            codes[:, column] = np.append(np.cumsum(borne) - 1, -1)[known[name]]  # the last element is for unknown, -1
            if not borne.all():
                log.warning("No training face has %s %s; this value is omitted.", name, ", ".join(values[~borne]))
        labels = cls(attributes, codes)
        check_attributes(labels.attributes, labels.priors)
        return labels

    @property
    def priors(self) -> tuple[Combination, ...]:
        """Which values occur together, and how often."""
        return combinations(self.codes) if self.attributes else ()

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """How often to show each training face so that the values of an attribute are shown equally often, N.

        A known value weighs the inverse of its number of faces, an unknown one as much as a face does on average. With
        several attributes a face has the mean of its weights, which balances each of them in part. No face weighs more
        than twenty times the average.
        """
        weights = np.ones((len(self.codes), len(self.attributes)))
        for column, (codes, values) in enumerate(zip(self.codes.T, self.attributes.values(), strict=True)):
            known = codes >= 0
            counts = np.bincount(codes[known], minlength=len(values))
            weights[known, column] = known.sum() / len(values) / counts[codes[known]]
        weights = np.minimum(weights, _MOST)
        return weights.mean(axis=1) if self.attributes else np.ones(len(weights))

    def most_common(self, most: int) -> tuple[dict[str, str], npt.NDArray[np.int64]]:
        """The most common combination of values, and the rows of up to `most` faces that have it.

        Combinations without an unknown value come first. Without attributes, or if no combination has 16 faces, the
        result is no values and the first rows.
        """
        often = [row[:-1] for row in self.priors if row[-1] >= _ENOUGH]
        codes = next((row for row in often if -1 not in row), next(iter(often), None))
        if codes is None:
            return {}, np.arange(min(most, len(self.codes)))
        pairs = zip(self.attributes.items(), codes, strict=True)
        values = {name: words[code] if code >= 0 else UNKNOWN for (name, words), code in pairs}
        return values, np.flatnonzero((self.codes == np.array(codes, np.int64)).all(axis=1))[:most]

    def distance(self, faces: Images) -> float | None:
        """The mean difference between faces of the same values, over pixels and channels, in grey levels.

        If there are fewer than 100 pairs of such faces, pairs that share most of their values are used instead.

        Args:
            faces: the training faces, uint8 N×H×W×3. Up to 1,000 pairs are compared, always the same ones.

        Returns:
            None without attributes, and if all compared faces are equal.
        """
        if not self.attributes or len(faces) < 2:
            return None
        order = np.lexsort(self.codes.T)  # neighbours have much in common
        alike = np.flatnonzero((self.codes[order[1:]] == self.codes[order[:-1]]).all(axis=1))
        if len(alike) < _FEWEST_PAIRS:
            alike = np.arange(len(order) - 1)
        places = alike[np.linspace(0, len(alike) - 1, min(len(alike), _PAIRS)).astype(np.int64)]
        distances = [np.abs(faces[order[p]].astype(np.float32) - faces[order[p + 1]]).mean() for p in places]
        return float(np.mean(distances)) or None

    def batches(self, stream: FaceStream) -> Callable[[int, int], tuple[Images, Codes]]:
        """A function that reads (position, count) of a stream of these faces: pixels and codes."""
        return lambda start, count: (stream.read(start, count), self.codes[stream.indices(start, count)])


def with_attributes(recipe: Recipe, dataset: FaceDataset) -> Recipe:
    """The recipe with its attributes named: its own, or all that the dataset has.

    Raises:
        UserError: the dataset lacks labels that the recipe needs; the sentence says how to get them.
    """
    if recipe.condition.kind == "none":
        return recipe
    names = recipe.attributes or tuple(name for name, values in dataset.attributes.items() if len(values) > 1)
    missing = [name for name in names if name not in dataset.attributes]
    if names and not missing:
        return replace(recipe, attributes=names)
    from nijigan.importing.readings import READABLE  # loads the face finder

    wanted = [name for name in missing or ("hair", "eyes") if name in READABLE]
    read = f", or label them with `nijigan import {dataset.path} --label {','.join(wanted)} --out {dataset.path}`"
    if not missing and dataset.attributes:
        same = ", ".join(f"{name} {values[0]}" for name, values in dataset.attributes.items())
        raise UserError(
            f"{recipe.name} needs labels that differ, and every labelled face of {dataset.path} has the same: "
            f"{same}; import other faces too{read}."
        )
    raise UserError(
        f"{recipe.name} needs labels, and {dataset.path} has "
        f"{'no ' + ' and no '.join(missing) if missing else 'no labels'}; import tags with `nijigan import "
        f"PICTURES --tags TAGS --out {dataset.path}`{read if wanted else ''}."
    )
