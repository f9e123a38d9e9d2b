"""DeLong's covariance of paired ROC areas, for independent images or for patients with several.

A check on the bootstrap that shares no code with it.
"""

import numpy as np
from numpy.typing import NDArray


def delong(
    labels: NDArray[np.int8], scores: NDArray[np.float64], patients: NDArray[np.str_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas of several scores on the same images, and their covariance.

    Structural components by ranks (Sun and Xu 2014) of DeLong, DeLong and Clarke-Pearson (1988); with
    patients, summed by patient as Obuchowski (1997) has it.

    Args:
      labels: (n,) of 0 and 1.
      scores: (m, n), higher for the positive class.
      patients: (n,) clusters of images; without, every image is its own.

    Returns:
      Areas (m,) in [0, 1] and their covariance (m, m).

    Raises:
      ValueError: fewer than two patients with a positive, or with a negative, image.
    """
    from scipy.stats import rankdata

    positive = labels == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    clusters = np.arange(len(labels)) if patients is None else np.unique(patients, return_inverse=True)[1]
    in_positive, in_negative = np.unique(clusters[positive]), np.unique(clusters[~positive])
    if min(len(in_positive), len(in_negative)) < 2:
        raise ValueError("DeLong's covariance needs two patients with positive and two with negative images")

    ranks = rankdata(scores, axis=1)
    # Share of the other class that each image outdoes (positives) or is outdone by (negatives).
    won = (ranks[:, positive] - rankdata(scores[:, positive], axis=1)) / n_negative
    lost = 1 - (ranks[:, ~positive] - rankdata(scores[:, ~positive], axis=1)) / n_positive
    areas = won.mean(axis=1)

    n10, n01, n = len(in_positive), len(in_negative), len(np.unique(clusters))

    def by_patient(components: NDArray[np.float64], of: NDArray[np.bool_]) -> NDArray[np.float64]:
        sums = np.zeros((len(scores), n))
        np.add.at(sums.T, clusters[of], (components - areas[:, None]).T)
        return sums

    from_positives = by_patient(won, positive) / n_positive
    from_negatives = by_patient(lost, ~positive) / n_negative
    cross = from_positives @ from_negatives.T
    covariance = (
        from_positives @ from_positives.T * n10 / (n10 - 1)
        + from_negatives @ from_negatives.T * n01 / (n01 - 1)
        + (cross + cross.T) * n / (n - 1)
    )
    return areas, covariance
