"""A permutation test for a metric without a well-behaved interval, such as a gap between sub-groups.

Paired arms are swapped within patients: if it does not matter which arm scored a patient, any swap is as
likely as what was seen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medbench.metrics.estimates import Estimates
from medbench.metrics.sample import Sample

EXACT_UP_TO, DRAWS = 12, 2000
"""Patients up to which all swaps are enumerated, 4,096 of them; beyond, how many are drawn, what was seen
being counted as one of them."""
_BLOCK = 2**22
"""Weights held at once: 32 MB of float64."""
_TIE = 1e-9
"""Differences nearer than this are equal: sums in another order."""


@dataclass(frozen=True)
class SwapTest:
    """Whether two arms differ in a metric.

    Attributes:
      difference: the metric of the second arm minus that of the first, averaged over seeds.
      p: two-sided, in (0, 1].
      exact: whether all swaps were enumerated.
    """

    difference: float
    p: float
    exact: bool


def swap_test(
    values: Callable[[Sample, NDArray[np.float64]], Estimates],
    pairs: Sequence[tuple[Sample, Sample]],
    seed: np.random.SeedSequence,
) -> SwapTest:
    """Test whether a metric differs between arms, for any metric of predictions alone.

    Both arms of a pair are laid end to end as one sample, in which weights of 0 and 1 say whose
    prediction of a patient counts for which arm; a patient is swapped in all pairs at once. What a
    metric derives from the sample as a whole, as bins of equal mass or a correction for noise, it
    derives from both arms together, the same for all swaps.

    Args:
      values: (sample of n examples, (b, n) weights) -> (b,) estimates.
      pairs: baseline and treatment by seed, all scored on the same examples.
      seed: of the draws, where not all swaps are enumerated.

    Returns:
      The difference and its p-value; a swap that leaves the metric undefined counts as one that is as
      extreme as what was seen, so that it can only raise p.

    Raises:
      ValueError: the metric looks at the validation set, which cannot be swapped by patient; or it is
        undefined for what was seen.
    """
    if any(sample.validation is not None for pair in pairs for sample in pair):
        raise ValueError("what is fitted on validation belongs to an arm and cannot be swapped by patient")
    names, patient_of_image = np.unique(pairs[0][0].predictions.patient, return_inverse=True)
    both = [_end_to_end(*pair) for pair in pairs]
    exact = len(names) <= EXACT_UP_TO
    differences, defined = [], []
    for swaps in _swaps(len(names), len(patient_of_image), seed):
        swapped = swaps[:, patient_of_image].astype(np.float64)
        baseline, treatment = np.hstack([1 - swapped, swapped]), np.hstack([swapped, 1 - swapped])
        total, known = np.zeros(len(swaps)), np.ones(len(swaps), dtype=bool)
        for sample in both:
            ours, theirs = values(sample, treatment), values(sample, baseline)
            total += ours.values - theirs.values
            known &= ours.defined & theirs.defined
        differences.append(total / len(pairs))
        defined.append(known)
    all_differences, all_defined = np.concatenate(differences), np.concatenate(defined)
    if not all_defined[0]:
        raise ValueError("the metric is undefined for one of the arms")
    observed = float(all_differences[0])
    extreme = ~all_defined | (np.abs(all_differences) >= abs(observed) - _TIE)
    return SwapTest(difference=observed, p=float(extreme.mean()), exact=exact)


def _swaps(patients: int, images: int, seed: np.random.SeedSequence) -> Iterator[NDArray[np.bool_]]:
    """Blocks of (rows, patients) of which patients are swapped; the first row is what was seen: none."""
    rows = max(1, _BLOCK // (2 * images))
    exact = patients <= EXACT_UP_TO
    total = 2**patients if exact else DRAWS
    draw = np.random.default_rng(seed)
    for start in range(0, total, rows):
        numbers = np.arange(start, min(total, start + rows))
        if exact:
            yield (numbers[:, None] >> np.arange(patients) & 1).astype(bool)
        else:
            swaps = draw.integers(2, size=(len(numbers), patients)).astype(bool)
            swaps[numbers == 0] = False
            yield swaps


def _end_to_end(first: Sample, second: Sample) -> Sample:
    """The examples of both samples, which are the same but for their logits."""
    a, b = first.predictions, second.predictions
    predictions = replace(
        a,
        image=np.concatenate([a.image, b.image]),
        patient=np.concatenate([a.patient, b.patient]),
        labels=np.concatenate([a.labels, b.labels]),
        logits=np.concatenate([a.logits, b.logits]),
        attributes={name: np.concatenate([each, each]) for name, each in a.attributes.items()},
    )
    shifted = None if first.shifted is None else np.concatenate([first.shifted, first.shifted])
    return Sample(predictions, shifted=shifted)
