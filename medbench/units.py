"""From images to what is scored, as screening reads: views join to a breast, breasts to a patient.

Predictions go in and come out; no metric is computed here.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError, nearest
from medbench.predictions import Predictions
from medbench.spec.units import PATIENT, Unit


def in_words(units: Sequence[Unit]) -> str:
    """`image`, or the steps from images on: `mean by patient and laterality, max by patient`."""
    return ", ".join(f"{unit.over} by {' and '.join(unit.by)}" for unit in units) or "image"


def joined(predictions: Predictions, units: Sequence[Unit]) -> Predictions:
    """Predictions by unit: one row for all rows that have everything in common that a unit is by.

    A row of which an attribute that a unit is by is not recorded is a unit of its own: nobody knows what it
    belongs to.

    A finding is there if any of the joined rows shows it, unknown if none does and one is unknown. The mean
    is of logits; the maximum is of the logit of each label, or of the two logits of the row whose second
    class is likeliest, and where one is not finite it is that one. An attribute stays if it is the same
    within most units, and is not recorded of the others; else it is one of images, such as the view.

    Args:
      predictions: of n images.
      units: steps, each applied to what the one before it left.

    Returns:
      Predictions of at most n units, in the order of their first image, which names them.

    Raises:
      MedbenchError: the predictions lack an attribute that a unit is by; or more than two classes, of
        which one alone is true, are to be joined, for which there is no rule.
    """
    for unit in units:
        predictions = _joined(predictions, unit)
    return predictions


def _joined(predictions: Predictions, unit: Unit) -> Predictions:
    target = predictions.target
    if target.kind == "single-label" and len(target.classes) > 2:
        raise MedbenchError(
            f"{len(target.classes)} classes of which one is true cannot be joined by "
            f"{' and '.join(unit.by)}; expected several labels, or two classes. Score images instead."
        )
    first, unit_of = _units(predictions, unit)
    labels = np.full((len(first), predictions.labels.shape[1]), -2, dtype=np.int8)
    # 1 above unknown above 0: as ranks 2, 1, 0.
    rank = np.where(predictions.labels < 0, 1, 2 * predictions.labels).astype(np.int8)
    np.maximum.at(labels, unit_of, rank)
    labels = np.array([0, -1, 1], dtype=np.int8)[labels]
    if target.kind == "single-label":
        labels[:, 0] = np.where(labels[:, 1] < 0, -1, 1 - labels[:, 1])
    logits = _mean if unit.over == "mean" else _max
    return replace(
        predictions,
        image=predictions.image[first],
        patient=predictions.patient[first],
        labels=labels,
        logits=logits(predictions, unit_of, len(first)),
        attributes=_attributes(predictions, first, unit_of),
    )


def _units(predictions: Predictions, unit: Unit) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first row of each unit, ascending, and (n,) the unit of each row."""
    columns = []
    for name in unit.by:
        if name != PATIENT and name not in predictions.attributes:
            known = (PATIENT, *predictions.attributes)
            raise MedbenchError(f"no attribute `{name}` to join images by. {nearest(name, known)}")
        values = predictions.patient if name == PATIENT else predictions.attributes[name]
        columns.append(np.unique(values, return_inverse=True)[1])
        if name != PATIENT:
            columns.append(np.where(values == "", np.arange(1, len(values) + 1), 0))
    _, first, unit_of = np.unique(np.stack(columns), axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[unit_of.ravel()]


def _attributes(
    predictions: Predictions, first: NDArray[np.int64], unit_of: NDArray[np.int64]
) -> dict[str, NDArray[np.str_]]:
    """Those that most units have one value of; empty where a unit has several."""
    kept = {}
    for name, values in predictions.attributes.items():
        alike = np.ones(len(first), dtype=bool)
        np.logical_and.at(alike, unit_of, values == values[first][unit_of])
        if 2 * alike.sum() > len(alike):
            kept[name] = np.where(alike, values[first], "")
    return kept


def _mean(predictions: Predictions, unit_of: NDArray[np.int64], units: int) -> NDArray[np.float32]:
    total = np.zeros((units, predictions.logits.shape[1]))
    np.add.at(total, unit_of, predictions.logits)
    return (total / np.bincount(unit_of, minlength=units)[:, None]).astype(np.float32)


def _max(predictions: Predictions, unit_of: NDArray[np.int64], units: int) -> NDArray[np.float32]:
    # A logit that is not finite stands for its unit, lest a broken prediction be hidden by a sound one.
    logits = np.where(np.isfinite(predictions.logits), predictions.logits, np.float32(np.nan))
    if predictions.target.kind == "multi-label":
        largest = np.full((units, logits.shape[1]), -np.inf, dtype=np.float32)
        np.maximum.at(largest, unit_of, logits)
        return largest
    odds = logits[:, 1].astype(np.float64) - logits[:, 0]
    # Of equally suspicious images the one with larger logits, lest the order of the table decide.
    by_suspicion = np.lexsort((-logits[:, 1], -np.where(np.isnan(odds), np.inf, odds), unit_of))
    _, chosen = np.unique(unit_of[by_suspicion], return_index=True)
    return logits[by_suspicion[chosen]]
