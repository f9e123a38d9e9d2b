"""A night over a simulated suite: accepted once, then judged and checked by medbench's own functions.

Values are simulated, not predictions: the verdict is that of `stats.interval` and `predicates`, the check
that of `expect`, and what is red that of `policy`. `medbench.gate.planted` has nights with predictions.
"""

from collections.abc import Callable
from math import inf

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from medbench.expect import Accepted, Calibration, Expectation, Expectations, accepted_as, check
from medbench.gate.worlds import DEVICE, Values, World, weights
from medbench.judge import why_no_verdict
from medbench.judgement import Interval, Judgement
from medbench.metrics.registry import higher_is_better
from medbench.policy import outcome
from medbench.predicates import PREDICATES, verdict
from medbench.stats.interval import Spread, limits

CALIBRATED_VALUES = 18
"""Values behind a row of `numeric.yaml`, whose difference is their largest: six sentinels on three sets. Of
metrics that some sets or tasks lack, such as those of sub-groups, there are 2 to 12."""
TAIL = 5
"""Degrees of freedom of the t distribution of numeric noise: tails heavier than normal, to be safe."""
PROVENANCE = Accepted(date="", commit="", reason="simulated", jax="")

Machine = Callable[[str, tuple[int, ...]], NDArray[np.float64]]
"""By how much values of a metric move on it: identity and shape -> noise."""


def accept(world: World, values: Values, calibration: tuple[Calibration, ...]) -> Expectations:
    """What is accepted when seeds 1, 2, … of every item gave these values."""
    return Expectations(
        tuple(accepted(judged(world, i, of_item, 1)) for i, of_item in enumerate(values)), calibration
    )


def accepted(judgement: Judgement) -> Expectation:
    """The expectation that a judgement makes."""
    return accepted_as(judgement, DEVICE, PROVENANCE)


def judged(world: World, item: int, values: NDArray[np.float64], first: int) -> Judgement:
    """The judgement of an item from its values (TERMS, seeds), seeds counted from `first`."""
    like = world.suite.items[item]
    task, claim, evaluation_set = like.item.split("/", 2)
    definition = like.definition
    seeds = list(range(first, first + values.shape[1]))
    judgement = Judgement(
        id=like.item,
        task=task,
        claim=claim,
        evaluation_set=evaluation_set,
        statement="",
        metric=definition.metric,
        arms=like.arms,
        state="judged",
        margin=definition.margin,
        relevant_effect=0.0,
        n_seeds=len(seeds),
        samples={
            term: dict(zip(seeds, of_term, strict=True))
            for term, of_term in zip(like.samples, values.tolist(), strict=True)
        },
        trained=dict.fromkeys(like.samples, seeds),
        devices=dict.fromkeys(like.samples, dict.fromkeys(seeds, DEVICE)),
        environments=[DEVICE],
        definition=definition,
        cohort_fingerprint=like.cohort_fingerprint,
    )
    return concluded(judgement, like, values, world.patients[item], world.n_patients[item])


def concluded(
    judgement: Judgement,
    like: Expectation,
    values: NDArray[np.float64],
    over_patients: float,
    n_patients: int,
) -> Judgement:
    """A judgement with the effect and verdict that follow from values (TERMS, seeds) alone.

    An effect that is no weighted sum cannot be told from them: it stays, and concludes nothing.

    Args:
      judgement: of the item.
      like: whose effect, predicate and margin are applied.
      values: by term and seed.
      over_patients: variance of the mean effect over the choice of patients.
      n_patients: that this rests on.
    """
    definition = like.definition
    if not definition.weights:
        return structs.replace(judgement, effect=like.effect, verdict="inconclusive")
    sign = -1 if higher_is_better(definition.metric) is False else 1
    by_seed = sign * weights(like) @ values
    spread = Spread.of(by_seed, patients=float(over_patients), n_patients=int(n_patients))
    mean = float(by_seed.mean())
    low, high = limits(mean, spread)
    effect = Interval(value=mean, low=low, high=high)
    claimed = PREDICATES[definition.predicate](definition.margin)
    nothing = why_no_verdict(spread, behind=inf, resampled=False, cluster=judgement.cluster)
    return structs.replace(
        judgement, effect=effect, verdict="inconclusive" if nothing else verdict(effect, claimed)
    )


def is_red(judgement: Judgement, expectations: Expectations) -> bool:
    """Whether policy makes the night red for this item: band left, verdict flipped, or vanished."""
    compared = check(judgement, expectations)
    return compared.status != "ok" and outcome(judgement, compared).red


def alarms(world: World, values: Values, first: int, expectations: Expectations) -> NDArray[np.bool_]:
    """(ITEMS,) which items are red in a night with these values, seeds counted from `first`."""
    return np.array(
        [is_red(judged(world, i, of_item, first), expectations) for i, of_item in enumerate(values)],
        dtype=bool,
    )


def machine(calibration: tuple[Calibration, ...], random: np.random.Generator) -> Machine:
    """One like one of those that were calibrated: values move by a heavy-tailed noise, or not at all.

    Its scale is such that the median of the largest of as many values is the calibrated difference.
    Metrics that were not calibrated on it stay as they are.
    """
    from scipy.special import stdtrit  # noqa: PLC0415 (slow to import)

    rows = [row for row in calibration if row.environment == DEVICE]
    variants = sorted({(row.variant, row.jax) for row in rows})
    one = variants[random.integers(len(variants))]
    upper = 1 - (1 - 0.5 ** (1 / CALIBRATED_VALUES)) / 2
    scales = {
        row.metric: row.largest_difference / float(stdtrit(TAIL, upper))
        for row in rows
        if (row.variant, row.jax) == one
    }
    return lambda metric, shape: scales.get(metric, 0.0) * random.standard_t(TAIL, size=shape)
