"""How hard the phantoms are: the generator's own latent state against what pixels give away.

`python -m medbench.data.phantoms.difficulty` prints a table; docs/phantoms.md has the window it must keep.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import ID, TRAIN
from medbench.data.phantoms.cohort import DOMAINS, PhantomCohort, open_phantoms

PIXELS = 72
"""Side of the images that are read, as in training; a multiple of the thumbnails'."""

THUMBNAIL = 24

Features = NDArray[np.float64]
"""(n, f), one row an image."""


def thumbnails(images: NDArray[np.uint8]) -> Features:
    """Grey thumbnails as rows: (n, PIXELS, PIXELS, c) uint8 to (n, THUMBNAIL * THUMBNAIL) in [-1, 1]."""
    step = PIXELS // THUMBNAIL
    cells = images.reshape(len(images), THUMBNAIL, step, THUMBNAIL, step, -1)
    return cells.mean(axis=(2, 4, 5)).reshape(len(images), -1) / 127.5 - 1


def texture_energies(images: NDArray[np.uint8]) -> Features:
    """Simple statistics of texture, which no linear reading of pixels has: (n, h, w, c) uint8 to (n, f).

    Per channel and for differences of Gaussians at four scales: log variance, extremes and skewness
    over the image.
    """
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415, only for this reading

    features = []
    for image in np.moveaxis(images, 3, 0) / 255.0:
        levels = [gaussian_filter(image, (0, sigma, sigma)) for sigma in (0.5, 1.0, 2.0, 4.0, 8.0)]
        for fine, coarse in pairwise(levels):
            band = (fine - coarse).reshape(len(images), -1)
            variance = band.var(axis=1) + 1e-6
            features += [np.log(variance), (band**3).mean(axis=1) / variance**1.5]
            features += [*np.percentile(band, (1, 10, 90, 99), axis=1)]
    return np.stack(features, axis=1)


READINGS: dict[str, Callable[[NDArray[np.uint8]], Features]] = {
    "linear": thumbnails,
    "texture": texture_energies,
}
"""What a logistic regression is given to read."""


@dataclass(frozen=True)
class Difficulty:
    """What is known of a finding on `id`: share of positives, AUC of the oracle and of each reading."""

    domain: str
    finding: str
    positive: float
    oracle: float
    readings: dict[str, float]


def difficulty(cohort: PhantomCohort) -> list[Difficulty]:
    """Difficulty by finding: every class, or the second of two. Draws `train` and `id` once.

    Uncertain labels are left out.
    """
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415, heavy to import

    train, test = cohort.examples(TRAIN), cohort.examples(ID)
    seen, held_out = cohort.images(TRAIN, PIXELS), cohort.images(ID, PIXELS)
    features = {name: (read(seen), read(held_out)) for name, read in READINGS.items()}
    classes = cohort.target.classes
    first = 1 if cohort.target.kind == "single-label" and len(classes) == 2 else 0
    result = []
    for k, finding in list(enumerate(classes))[first:]:
        known, read = train.labels[:, k] >= 0, test.labels[:, k] >= 0
        truth = test.labels[read, k]
        scores = {
            name: _regress(fitted[known], train.labels[known, k], train.patient[known])(scored[read])
            for name, (fitted, scored) in features.items()
        }
        result.append(
            Difficulty(
                domain=cohort.domain,
                finding=finding,
                positive=float(truth.mean()),
                oracle=float(roc_auc_score(truth, cohort.oracle(ID)[read, k])),
                readings={name: float(roc_auc_score(truth, score)) for name, score in scores.items()},
            )
        )
    return result


def _regress(
    features: Features, labels: NDArray[np.int8], patients: NDArray[np.str_]
) -> Callable[[Features], NDArray[np.float64]]:
    """A logistic regression's score; its penalty is chosen by cross-validation over patients."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415, heavy to import
    from sklearn.model_selection import GridSearchCV, GroupKFold  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    model = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        {"logisticregression__C": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]},
        scoring="roc_auc",
        cv=GroupKFold(4),
    )
    return model.fit(features, labels, groups=patients).decision_function


def main() -> None:
    """Print the table of docs/phantoms.md."""
    parser = argparse.ArgumentParser(prog="python -m medbench.data.phantoms.difficulty", description=__doc__)
    parser.add_argument("domains", nargs="*", default=DOMAINS, metavar="DOMAIN", help=", ".join(DOMAINS))
    print("domain        finding        positive  oracle  linear  texture   (AUC on id)")
    for domain in parser.parse_args().domains:
        for row in difficulty(open_phantoms(domain)):
            figures = "   ".join(f"{auc:.3f}" for auc in (row.positive, row.oracle, *row.readings.values()))
            print(f"{row.domain:13} {row.finding:14} {figures}", flush=True)


if __name__ == "__main__":
    main()
