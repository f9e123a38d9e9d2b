"""The paired patient bootstrap of ROC areas for large test sets: 100,000 images and more.

The areas are those of `roc_auc` on the same draws; only the order of the work differs.
"""

import numpy as np
from numpy.typing import NDArray

from medbench.stats.bootstrap import patient_draws


def auc_replicates(
    labels: NDArray[np.int8],
    scores: NDArray[np.floating],
    patients: NDArray[np.str_],
    replicates: int,
    seed: np.random.SeedSequence,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Areas of several scores on the same images, each replicate with the same patients for all of them.

    Images are sorted once; a replicate is then a gather, a cumulative sum and a product of small
    integers that stay in the processor's cache.

    Args:
      labels: (n,) of 0 and 1.
      scores: (m, n) finite, higher for the positive class.
      patients: (n,) the patient of each image.
      replicates: how many.
      seed: of the draws.

    Returns:
      Areas (replicates, m) in [0, 1], and (replicates,) whether they are defined: both classes were
      drawn. Areas are 0 where they are not.
    """
    names, patient_of_image = np.unique(patients, return_inverse=True)
    models = [_Sorted(score, labels, patient_of_image) for score in scores]
    areas, defined = np.zeros((replicates, len(models))), np.zeros(replicates, dtype=bool)
    for b, (drawn,) in enumerate(patient_draws(len(names), replicates, seed)):
        counts = drawn.astype(np.int32)
        for m, model in enumerate(models):
            won, pairs = model.won_of_pairs(counts)
            defined[b] = pairs > 0
            areas[b, m] = won / pairs if pairs else 0.0
    return areas, defined


class _Sorted:
    """One model's scores as ranks: all that the areas of all replicates need.

    Attributes:
      positives: (p,) patients of the positive images, in the order of their scores.
      negatives: (q,) the same of the negative images.
      below: (p,) how many negative images score lower than each positive one.
      at_most: (p,) how many score no higher.
    """

    def __init__(
        self, scores: NDArray[np.floating], labels: NDArray[np.int8], patient_of_image: NDArray[np.intp]
    ) -> None:
        order = np.argsort(scores)
        positive, negative = order[labels[order] == 1], order[labels[order] == 0]
        self.positives, self.negatives = patient_of_image[positive], patient_of_image[negative]
        self.below = np.searchsorted(scores[negative], scores[positive], side="left")
        self.at_most = np.searchsorted(scores[negative], scores[positive], side="right")

    def won_of_pairs(self, counts: NDArray[np.int32]) -> tuple[float, float]:
        """The pairs of a positive and a negative image that are ranked right, ties half, and all pairs.

        Whole numbers up to the final half, hence exact.
        """
        positives = counts[self.positives]
        lowest = np.zeros(len(self.negatives) + 1, dtype=np.int32)
        np.cumsum(counts[self.negatives], out=lowest[1:])
        outdone = lowest[self.below] + lowest[self.at_most]
        won = float(positives.astype(np.float64) @ outdone.astype(np.float64)) / 2
        return won, float(positives.sum()) * float(lowest[-1])
