"""How alike the features of two networks are, stage by stage, and how soon training came near its end.

From what a run stores beside its predictions: `features.npz` and the validation scores in its record.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError
from medbench.metrics.estimates import Estimates
from medbench.metrics.sample import Sample
from medbench.spec.metrics import FeatureReuse, StepsToShare

CHANCE = 0.5
"""ROC AUC of scores that are all the same."""
ROUNDING = 1e-20
"""Of the squared norm of a matrix of similarities, the share that may come from rounding."""


def linear_cka(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[float | None, str]:
    """Centred kernel alignment of two sets of features of the same examples, linear kernel, unbiased.

    HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y)) (Kornblith et al. 2019, arXiv:1905.00414), each by the unbiased
    estimator HSIC_1 (Song et al. 2012, JMLR 13, eq. 5), as Nguyen et al. (2021, arXiv:2010.15327) use it: the
    plain one nears 1 for features that have nothing in common when there are more channels than examples,
    which is so here. HSIC_1 is the mean product, over pairs of examples, of similarities without what is due
    to either example or to all ("U-centred", Székely and Rizzo 2014, doi:10.1214/14-AOS1255); computed
    like that, it cannot leave its range. Unaffected by rotation, shift and scale of either side.

    Args:
      x: (n, p) features of n examples.
      y: (n, q) features of the same, in the same order.

    Returns:
      The value in [-1, 1] and an empty string: 1 for the same up to rotation and scale, about 0, either side,
      for unrelated features. None and why with fewer than four examples, features that are not finite, or
      that are the same for all examples but one.

    Raises:
      MedbenchError: the two are not of equally many examples.
    """
    if len(x) != len(y):
        raise MedbenchError(
            f"features of {len(x)} and of {len(y)} examples cannot be compared: expected the same examples."
        )
    if len(x) < 4:
        return None, f"{len(x)} examples: the unbiased estimate needs at least 4"
    similarities = []
    for which, features in (("first", x), ("second", y)):
        finite = np.isfinite(features).all(axis=1)
        if not finite.all():
            return None, f"{(~finite).sum()} of {len(x)} examples have {which} features that are not finite"
        similarity = _similarity(features.astype(np.float64))
        if similarity is None:
            return None, f"the {which} features are the same for all examples but one, or for all"
        similarities.append(similarity)
    return float(np.clip((similarities[0] * similarities[1]).sum(), -1.0, 1.0)), ""


def cka_by_stage(
    first: Mapping[str, NDArray[np.floating]], second: Mapping[str, NDArray[np.floating]]
) -> dict[str, tuple[float | None, str]]:
    """Linear CKA of every stage, in the order of the first: before and after fine-tuning, or of two seeds.

    Args:
      first: stage -> (n, c), such as `at(features, "start")`.
      second: the same stages of the same n examples.

    Raises:
      MedbenchError: the stages differ, as they do between architectures, or the examples do.
    """
    if first.keys() != second.keys():
        raise MedbenchError(
            f"features are of the stages {', '.join(first)} and {', '.join(second)}: expected the same."
        )
    return {stage: linear_cka(first[stage], second[stage]) for stage in first}


def at(features: Mapping[str, NDArray[np.floating]], moment: str) -> dict[str, NDArray[np.floating]]:
    """The features at one moment, by stage.

    Args:
      features: of a run, as stored: `start/<stage>` and `end/<stage>`.
      moment: `start` or `end` of fine-tuning.
    """
    prefix = f"{moment}/"
    return {name.removeprefix(prefix): values for name, values in features.items() if name.startswith(prefix)}


def steps_to_share(
    trace: Sequence[tuple[int, float | None]], share: float, final: float, *, higher_is_better: bool = True
) -> tuple[float | None, str]:
    """The first step at which a score has come a share of the way from where it started to its final value.

    By linear interpolation between the steps of the trace. The start is the trace's first value, that
    of a network that has hardly been trained.

    Args:
      trace: (step, score), steps increasing, as `RunRecord.validation` has them; None where undefined.
      share: of the way, above 0 and up to 1.
      final: the score in the end.
      higher_is_better: the score's direction.

    Returns:
      The step and an empty string; None and why with fewer than two scores that are defined, where the final
      score is no better than the first, and where the share is not reached.

    Raises:
      MedbenchError: the steps do not increase, or the share is none.
    """
    if not 0 < share <= 1:
        raise MedbenchError(f"a share of the way of {share:g}: expected above 0 and up to 1.")
    steps = [step for step, _ in trace]
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise MedbenchError(f"steps are {', '.join(map(str, steps))}: expected them to increase.")
    sign = 1 if higher_is_better else -1
    known = [(step, sign * score) for step, score in trace if score is not None and np.isfinite(score)]
    if len(known) < 2:
        return None, f"{len(known)} of {len(trace)} scores in the trace are defined: at least 2 are needed"
    start = known[0][1]
    goal = start + share * (sign * final - start)
    if not np.isfinite(final) or goal <= start:
        return None, f"the final score, {final:.4g}, is no better than the first, {sign * start:.4g}"
    for (before, low), (step, score) in pairwise(known):
        if score >= goal:
            return before + (goal - low) / (score - low) * (step - before), ""
    return None, f"no score reached {sign * goal:.4g}, {share:g} of the way to the final score"


def _similarity(features: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The U-centred matrix of inner products, (n, n) of norm 1; None where nothing is left of it."""
    centred = features - features.mean(axis=0)
    scale = np.abs(centred).max(initial=0.0)
    if scale == 0 or not np.ptp(features, axis=0).any():
        return None
    centred /= scale
    gram = centred @ centred.T
    size = (gram**2).sum()
    n = len(gram)
    np.fill_diagonal(gram, 0.0)
    rows = gram.sum(axis=1)
    gram -= (rows[:, None] + rows) / (n - 2)
    gram += rows.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(gram, 0.0)
    left = (gram**2).sum()
    return None if left <= ROUNDING * size else gram / np.sqrt(left)


def feature_reuse(spec: FeatureReuse, sample: Sample, weights: NDArray[np.float64]) -> Estimates:
    """What the run's record says of the stage (`feature_reuse@1`), the same under all weights.

    Returns:
      (b,) in [-1, 1]; undefined where the run kept no features of the stage, as those of other trainers may
      not, or they are all the same.
    """
    kept = sample.record.feature_reuse if sample.record else {}
    value = kept.get(spec.stage)
    reason = ""
    if value is None:
        known = f"; there are {', '.join(kept)}" if kept and spec.stage not in kept else ""
        reason = f"the run's record has no reuse of stage `{spec.stage}`{known}"
        if not kept and sample.record and sample.record.trainer:
            reason = f"trainer `{sample.record.trainer.name}` leaves no features"
    return _the_same(value, reason, weights)


def steps_to_share_of_run(spec: StepsToShare, sample: Sample, weights: NDArray[np.float64]) -> Estimates:
    """Steps by the run's validation scores (`steps_to_share@1`), the same under all weights.

    From chance, at which a head of zeros stands, to the score in the end.

    Returns:
      (b,) steps, above 0; undefined where the run has no scores, as those of other trainers, or ends no
      better than chance.
    """
    if sample.record and sample.record.trainer:
        name = sample.record.trainer.name
        return _the_same(None, f"trainer `{name}` leaves no validation scores along the way", weights)
    scores = [(v.step + 1, v.value) for v in (sample.record.validation if sample.record else ())]
    final = scores[-1][1] if scores else None
    if final is None:
        return _the_same(None, "the run's record has no validation score in the end", weights)
    return _the_same(*steps_to_share([(0, CHANCE), *scores], spec.share, final), weights)


def _the_same(value: float | None, reason: str, weights: NDArray[np.float64]) -> Estimates:
    b = len(weights)
    return Estimates(np.full(b, value or 0.0), np.full(b, value is not None), reason)
