"""A night over a simulated suite: accepted once, then judged and checked by medbench's own functions.

Values are simulated, not predictions: the verdict is that of `stats.interval` and `predicates`, the check
that of `expect`, and what is red that of `policy`. `medbench.gate.planted` has nights with predictions.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medbench.expect import Accepted, Backbones, Calibration, Expectation, Expectations, Rule, Samples, check
from medbench.gate.worlds import ITEMS, SETS, World
from medbench.judge import ARMS, ROUNDING
from medbench.judgement import Definition, Interval, Judgement
from medbench.policy import outcome
from medbench.predicates import PREDICATES, verdict
from medbench.stats.interval import Spread, limits

MARGIN = 0.005
METRIC = "roc_auc@1"
DEVICE = "cpu"
CALIBRATED_VALUES = 90
"""Values behind a row of `numeric.yaml`: 30 runs on three sets. Its difference is their largest."""
TAIL = 5
"""Degrees of freedom of the t distribution of numeric noise: tails heavier than normal, to be safe."""

DEFINITION = Definition(
    predicate="superiority",
    margin=MARGIN,
    metric=METRIC,
    evaluate="id",
    cohort="simulated",
    labels="single-label: benign, malignant",
)
PROVENANCE = Accepted(date="", commit="", reason="simulated", jax="")

Values = NDArray[np.float64]
"""(ITEMS, 2, seeds) areas by item, arm and seed."""


def name(item: int) -> str:
    """The id of an item: three of each task, as scores of the same runs."""
    return f"task-{item // SETS}/claim/set-{item % SETS}"


def accept(world: World, values: Values, calibration: tuple[Calibration, ...]) -> Expectations:
    """What is accepted when seeds 1, 2, … gave these values."""
    seeds = np.arange(1, values.shape[-1] + 1)
    return Expectations(
        tuple(_expectation(judged(world, i, values[i], seeds)) for i in range(ITEMS)), calibration
    )


def judged(world: World, item: int, values: NDArray[np.float64], seeds: NDArray[np.int64]) -> Judgement:
    """The judgement of an item from its values (2, seeds)."""
    differences = values[1] - values[0]
    count = len(differences)
    spread = Spread(
        patients=float(world.patients[item]),
        seeds=float(differences.var(ddof=1)) if count > 1 else 0.0,
        n_patients=int(world.n_patients[item]),
        n_seeds=count,
    )
    mean = float(differences.mean())
    low, high = limits(mean, spread)
    effect = Interval(value=mean, low=low, high=high)
    concludes = count > 1 and spread.standard_error >= ROUNDING
    numbers = seeds.tolist()
    return Judgement(
        id=name(item),
        task=f"task-{item // SETS}",
        claim="claim",
        evaluation_set=f"set-{item % SETS}",
        statement="",
        metric=METRIC,
        baseline="small",
        treatment="large",
        state="judged",
        verdict=verdict(effect, PREDICATES["superiority"](MARGIN)) if concludes else "inconclusive",
        effect=effect,
        margin=MARGIN,
        relevant_effect=0.03,
        samples={
            arm: dict(zip(numbers, of_arm, strict=True))
            for arm, of_arm in zip(ARMS, values.tolist(), strict=True)
        },
        trained=dict.fromkeys(ARMS, numbers),
        devices=dict.fromkeys(ARMS, dict.fromkeys(numbers, DEVICE)),
        environments=[DEVICE],
        definition=DEFINITION,
        cohort_fingerprint="simulated",
    )


def is_red(judgement: Judgement, expectations: Expectations) -> bool:
    """Whether policy makes the night red for this item: band left, verdict flipped, or vanished."""
    compared = check(judgement, expectations)
    return compared.status != "ok" and outcome(judgement, compared).red


def alarms(
    world: World, values: Values, seeds: NDArray[np.int64], expectations: Expectations
) -> NDArray[np.bool_]:
    """(ITEMS,) which items are red."""
    return np.array(
        [is_red(judged(world, i, values[i], seeds), expectations) for i in range(ITEMS)], dtype=bool
    )


def _expectation(judgement: Judgement) -> Expectation:
    assert judgement.verdict is not None
    assert judgement.effect is not None
    return Expectation(
        item=judgement.id,
        verdict=judgement.verdict,
        effect=judgement.effect,
        definition=DEFINITION,
        rule=Rule(),
        environment=DEVICE,
        cohort_fingerprint=judgement.cohort_fingerprint,
        backbones=Backbones(baseline=judgement.baseline, treatment=judgement.treatment),
        accepted=PROVENANCE,
        groups={},
        samples=Samples(**judgement.samples),
    )


def numeric_noise(
    calibration: tuple[Calibration, ...], random: np.random.Generator
) -> Callable[[tuple[int, ...]], NDArray[np.float64]]:
    """How values move on a machine like one of those that were calibrated: heavy-tailed, or not at all.

    The scale is such that the median of the largest of as many values is the calibrated difference.
    """
    from scipy.special import stdtrit  # noqa: PLC0415 (slow to import)

    rows = [
        row.largest_difference for row in calibration if (row.metric, row.environment) == (METRIC, DEVICE)
    ]
    largest = float(random.choice(rows))
    upper = 1 - (1 - 0.5 ** (1 / CALIBRATED_VALUES)) / 2
    scale = largest / float(stdtrit(TAIL, upper))
    return lambda shape: scale * random.standard_t(TAIL, size=shape)
