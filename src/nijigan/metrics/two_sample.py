"""The classifier two-sample test (Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017)."""

import numpy as np

from nijigan.metrics.arrays import FeatureArray, check_features
from nijigan.metrics.intervals import correlated_share
from nijigan.metrics.logistic import fit_logistic
from nijigan.metrics.score import Score

_FOLDS = 5


def distinguishability(real: FeatureArray, fake: FeatureArray) -> Score:
    """How well a linear classifier tells generated faces from real ones: .5 is chance, and perfect; 1 is always.

    It is the accuracy, cross-validated in five folds, of logistic regression on as many faces of either kind. Answers
    of classifiers that learnt from the same faces depend on each other. The Wilson interval therefore counts them as
    1 / (1 + 5/4) as many, the correction of Nadeau and Bengio, "Inference for the Generalization Error", Machine
    Learning 2003. If the distributions are equal, the accuracy is as often below .5 as above.

    Args:
        real: M×D features of real faces, at least 20.
        fake: N×D features of generated faces, at least 20. The first min(M, N) of either are used: accuracy grows with
            their number, so compare it only at equal numbers.

    Raises:
        UserError: the arrays are too small, of unequal dimension or not finite.
    """
    check_features(real, fake, at_least=20)
    equal = min(len(real), len(fake))
    features = np.concatenate([real[:equal], fake[:equal]])
    kinds = np.repeat([0.0, 1.0], equal)
    folds = np.tile(np.arange(equal) % _FOLDS, 2)
    right = 0
    for fold in range(_FOLDS):
        unseen = folds == fold
        fit = fit_logistic(features[~unseen], kinds[~unseen])
        right += int(((fit.logits(features[unseen]) > 0) == (kinds[unseen] > 0)).sum())
    independent = 2 * equal / (1 + _FOLDS / (_FOLDS - 1))
    return correlated_share(right / (2 * equal), independent)
