"""How hard the phantoms are: the generator's own latent state against what pixels give away.

`python -m medbench.data.phantoms.difficulty` prints a table; docs/phantoms.md has the window it must keep.
"""

import argparse
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import ID, TRAIN
from medbench.data.phantoms.cohort import DOMAINS, PhantomCohort, open_phantoms

THUMBNAIL = 24
"""Pixels along a side of the images that the linear model sees."""

Features = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Grey thumbnails as rows: (n, size, size, c) uint8 to (n, size * size) in [-1, 1]."""
    return images.mean(axis=3).reshape(len(images), -1) / 127.5 - 1


def texture_energies(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Filter-bank energies, a simple nonlinear reading: (n, size, size, c) uint8 to (n, f).

    Per channel and for differences of Gaussians at four scales: log variance, extremes and skewness
    over the image.
    """
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415, only for this reading

    features = []
    for image in np.moveaxis(images, 3, 0) / 255.0:
        levels = [gaussian_filter(image, (0, sigma, sigma)) for sigma in (0.5, 1.0, 2.0, 4.0, 8.0)]
        for fine, coarse in pairwise(levels):
            band = (fine - coarse).reshape(len(images), -1)
            features.append(np.log(band.var(axis=1) + 1e-6))
            features += [*np.percentile(band, (1, 10, 90, 99), axis=1)]
            features.append((band**3).mean(axis=1) / (band.var(axis=1) + 1e-6) ** 1.5)
    return np.stack(features, axis=1)


def reading_auc(cohort: PhantomCohort, features: Features, size: int) -> dict[str, float]:
    """AUC on `id` of a regularised logistic regression on features of the training images, by class.

    The penalty is chosen by cross-validation over patients of the training set.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415, heavy to import
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415
    from sklearn.model_selection import GridSearchCV, GroupKFold  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    seen, held_out = (features(cohort.images(split, size)) for split in (TRAIN, ID))
    train, test = cohort.examples(TRAIN), cohort.examples(ID)
    result = {}
    for k, name in _findings(cohort):
        model = GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
            {"logisticregression__C": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]},
            scoring="roc_auc",
            cv=GroupKFold(4),
        )
        model.fit(seen, train.labels[:, k], groups=train.patient)
        result[name] = float(roc_auc_score(test.labels[:, k], model.decision_function(held_out)))
    return result


def oracle_auc(cohort: PhantomCohort, split: str = ID) -> dict[str, float]:
    """AUC of the generator's latent severity, by class."""
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415, heavy to import

    labels, scores = cohort.examples(split).labels, cohort.oracle(split)
    return {name: float(roc_auc_score(labels[:, k], scores[:, k])) for k, name in _findings(cohort)}


def _findings(cohort: PhantomCohort) -> list[tuple[int, str]]:
    """Columns and names of what is told apart: every label, or the second of two classes."""
    classes = list(enumerate(cohort.target.classes))
    return classes if cohort.target.kind == "multi-label" else classes[1:]


def main() -> None:
    """Print the table of docs/phantoms.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("domains", nargs="*", default=DOMAINS, metavar="DOMAIN", help=", ".join(DOMAINS))
    print(f"{'domain':12} {'finding':10} {'positive':>8}  oracle  linear  filters   (AUC on id)")
    for domain in parser.parse_args().domains:
        cohort = open_phantoms(domain)
        oracle = oracle_auc(cohort)
        linear = reading_auc(cohort, thumbnails, THUMBNAIL)
        filters = reading_auc(cohort, texture_energies, 64)
        for k, name in _findings(cohort):
            share = cohort.examples(ID).labels[:, k].mean()
            figures = f"{oracle[name]:.3f}   {linear[name]:.3f}   {filters[name]:.3f}"
            print(f"{domain:12} {name:10} {share:8.3f}  {figures}")


if __name__ == "__main__":
    main()
