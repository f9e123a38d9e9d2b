"""How often a claim comes out `supported` for want of data: few patients, and arms exactly a margin apart.

Cohorts are simulated and judged by `medbench.judge` from predictions; nothing is trained.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from medbench.data.cohort import ID, VALIDATION
from medbench.gate.share import share
from medbench.judge import judge
from medbench.judgement import Judgement
from medbench.metrics import Metric, Sample, evaluate, metric_named, pooled
from medbench.others.folder import DeclaredTarget, Folder, PredictionsFile
from medbench.others.runs import OthersRun, run_of, spec_of
from medbench.others.scales import Position
from medbench.predictions import Predictions
from medbench.spec.effects import PAIR, Gain, terms
from medbench.spec.metrics import (
    BUILT_IN,
    OF_RUN,
    AnyMetric,
    Brier,
    CalibrationError,
    EqualizedOddsGap,
    GroupGap,
    NegativeLogLikelihood,
    RocAuc,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    WorstGroup,
)
from medbench.spec.records import Claim, Source
from medbench.spec.runs import Item, PlannedItem, Target

Predicate = Literal["non-inferiority", "equivalence", "superiority"]
SHIFT = "elsewhere"
THREE_LABELS = "roc_auc of three labels"
SMOOTH: dict[str, AnyMetric] = {
    "roc_auc": RocAuc(),
    THREE_LABELS: RocAuc(),
    "balanced_accuracy": BUILT_IN["balanced_accuracy"],
    "accuracy": BUILT_IN["accuracy"],
    "nll": BUILT_IN["nll"],
    "nll, scaled": NegativeLogLikelihood(temperature=True),
    "brier": BUILT_IN["brier"],
}
"""Intervals by influence, which takes milliseconds."""
DECLARED: dict[str, AnyMetric] = {
    **SMOOTH,
    **{
        name: spec
        for name, spec in BUILT_IN.items()
        if name not in SMOOTH and not isinstance(spec, OF_RUN)  # which know of no patients
    },
    "sensitivity at 90 %": SensitivityAtSpecificity(specificity=0.9),
    "specificity at 90 %": SpecificityAtSensitivity(sensitivity=0.9),
    "reliability": Brier(part="reliability"),
    "resolution": Brier(part="resolution"),
    "ece of 5 equal masses": CalibrationError(binning="equal-mass", bins=5),
    "auc gap": GroupGap(of="roc_auc", attributes=["group"]),
    "plain auc gap": GroupGap(of="roc_auc", attributes=["group"], corrected=False),
    "worst auc": WorstGroup(of="roc_auc", attributes=["group"]),
    "odds gap": EqualizedOddsGap(attributes=["group"]),
}
"""Every kind of metric, by the name that the table has for it."""

PREVALENCE, MOST_IMAGES, CORRELATION = 0.4, 3, 0.5
"""Share of patients with a finding; images of a patient, from one to so many; between their noise."""
TINY = 0.01
"""Deviation of the noise of networks that agree on nearly everything, in units of an image's noise."""
TINIEST, PATIENTS, SEEDS = (4, 8, 15), (30, 60, 120), 3
_POPULATION, _NODES, _VALIDATION = 60_000, 5, 300
"""Patients that stand for all, seeds at the nodes of a quadrature, and patients of a validation set."""


@dataclass(frozen=True)
class Arm:
    """Networks that differ by their seed alone.

    Attributes:
      separation: between the classes, of the mean seed, in units of an image's noise.
      second: the same in the second group of patients, as a share of it.
      slope: of the log odds, over that of the first group's calibrated ones.
      intercept: added to the log odds.
      strange: share of the log odds that is left on images of a shift.
    """

    separation: float
    second: float = 0.9
    slope: float = 1.0
    intercept: float = 0.0
    strange: float = 0.5


@dataclass(frozen=True)
class World:
    """Two arms, and the patients whom they are tried on.

    Attributes:
      arms: the first is the better one.
      shared: of the variance of an image's noise: what all networks find hard.
      between_seeds: standard deviation of the separation.
      failed: share of patients of the second group whom the second arm gets wrong, most confidently.
    """

    arms: tuple[Arm, Arm]
    shared: float = 0.7
    between_seeds: float = 0.05
    failed: float = 0.0


WORLDS = {
    "apart": World((Arm(1.5), Arm(1.1, 0.6, 1.6, 0.5, 0.8))),
    "near the ceiling": World((Arm(3.2, strange=0.4), Arm(2.7, 0.7, 1.5, 0.5, 0.6))),
    "seeds that differ": World((Arm(1.5), Arm(1.3, 0.8, 1.3, 0.3, 0.8)), shared=0.97, between_seeds=0.25),
    "alike but for a few": World((Arm(2.0), Arm(2.0)), shared=1 - TINY**2, between_seeds=0.002, failed=0.08),
    "half of it hidden": World((Arm(2.0), Arm(1.93)), shared=0.97, between_seeds=0.05, failed=0.02),
}
"""In the fourth arms agree on all patients but one in 25, of whom a tiny cohort has none; in the last, half
of the loss is seen everywhere, the rest in one patient of a hundred."""


class Cell(NamedTuple):
    """A cell of the table."""

    kind: str
    predicate: Predicate
    patients: int
    seeds: int


class Scarce(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table: how often a claim was supported that just does not hold."""

    kind: str
    predicate: Predicate
    n_patients: int
    n_seeds: int
    rate: float
    low: float
    high: float
    cohorts: int


Counts = Counter[Cell]


def cells(kind: str) -> dict[Cell, int]:
    """What the table has of a kind, with the number of cohorts."""
    smooth = kind in SMOOTH
    found = {Cell(kind, "non-inferiority", patients, SEEDS): 12 for patients in TINIEST}
    found |= {
        Cell(kind, "non-inferiority", patients, SEEDS): 120 if smooth else 32
        for patients in (PATIENTS if smooth else PATIENTS[1:])
    }
    if kind == "roc_auc":
        for predicate in ("equivalence", "superiority"):
            found |= {Cell(kind, predicate, patients, SEEDS): 120 for patients in PATIENTS}
        found |= {Cell(kind, "non-inferiority", 60, seeds): 120 for seeds in (1, 2, 5, 10)}
    return found


def of_kind(kind: str, random: np.random.Generator) -> tuple[Counts, Counts]:
    """Every cell of a kind: how many claims were supported, and how many were judged."""
    supported, tried = Counts(), Counts()
    for cell, cohorts in cells(kind).items():
        supported[cell] += scarce(cell, cohorts, random)
        tried[cell] += cohorts
    return supported, tried


def scarce(cell: Cell, cohorts: int, random: np.random.Generator) -> int:
    """Judge claims whose true effect is the margin itself, on cohorts from the `WORLDS` in turn.

    The treatment is worse by the margin (non-inferiority), better by it (superiority), or either in turn
    (equivalence), so that none of the claims holds and each may be supported in 5 of 100 cohorts.

    Args:
      cell: whose kind is a name in `DECLARED`.
      cohorts: how many.
      random: of the patients, their images and the networks.

    Returns:
      How many claims were supported.
    """
    supported = 0
    for i in range(cohorts):
        world = list(WORLDS)[i % len(WORLDS)]
        either = i // len(WORLDS) % 2 == 1
        gains = cell.predicate == "superiority" or (cell.predicate == "equivalence" and either)
        supported += one(cell, world, random, gains=gains).verdict == "supported"
    return supported


def one(cell: Cell, world: str, random: np.random.Generator, *, gains: bool) -> Judgement:
    """One cohort judged; `gains` says whether the treatment is the arm with the better value."""
    effect = true_effect(cell.kind, world)
    deviates = random.normal(size=(len(PAIR), cell.seeds))
    sizes = _sizes(metric_named(cell.kind, DECLARED), cell.patients, _VALIDATION)
    target = _target(cell.kind)
    drawn = {
        where: draw(WORLDS[world], n, deviates, random, target=target, where=where)
        for where, n in sizes.items()
    }
    # The second arm is the treatment unless that would turn the effect round.
    order = PAIR if (effect > 0) == gains else PAIR[::-1]
    runs = {
        (arm, seed + 1): {where: drawn[where][i][seed] for where in drawn}
        for i, arm in enumerate(order)
        for seed in range(cell.seeds)
    }
    return _judged(cell, abs(effect), Folder("simulated", _declared(target), runs, ()))


@cache
def true_effect(kind: str, world: str) -> float:
    """Of the second arm over the first on all patients and seeds there could be; positive is better."""
    spec = DECLARED[kind]
    if isinstance(spec, GroupGap):  # of all patients there is no noise to be taken off
        spec = msgspec.structs.replace(spec, corrected=False)
    metric = metric_named(kind, {**DECLARED, kind: spec})
    drawn = {where: _everybody(world, kind == THREE_LABELS, where) for where in _sizes(metric, 0, 0)}
    weights = np.polynomial.hermite_e.hermegauss(_NODES)[1]
    means = []
    for arm in range(len(PAIR)):
        values = [
            _value(metric, {where: drawn[where][arm][seed] for where in drawn}) for seed in range(_NODES)
        ]
        means.append(float(np.average(values, weights=weights)))
    return (means[1] - means[0]) * (1 if metric.higher_is_better else -1)


@cache
def _everybody(world: str, three_labels: bool, where: str) -> list[list[Predictions]]:
    """So many patients that they stand for all, with seeds at the nodes of the quadrature."""
    patients = _POPULATION // 10 if where == VALIDATION else _POPULATION
    deviates = np.tile(np.polynomial.hermite_e.hermegauss(_NODES)[0], (len(PAIR), 1))
    random = np.random.default_rng([len(where), three_labels, list(WORLDS).index(world)])
    target = _target(THREE_LABELS if three_labels else "")
    return draw(WORLDS[world], patients, deviates, random, target=target, where=where, most_images=1)


def draw(
    world: World,
    patients: int,
    deviates: NDArray[np.float64],
    random: np.random.Generator,
    *,
    target: Target,
    where: str,
    most_images: int = MOST_IMAGES,
) -> list[list[Predictions]]:
    """Patients, and what the networks say of them.

    Args:
      world: of both.
      patients: how many; every other one is of the second group.
      deviates: (arms, seeds) of the separations, in standard deviations.
      random: of patients and images.
      target: two classes, or several labels.
      where: the evaluation set.
      most_images: of a patient.

    Returns:
      Predictions by arm and seed.
    """
    labels = len(target.classes) if target.kind == "multi-label" else 1
    patient = np.repeat(np.arange(patients), random.integers(1, most_images + 1, patients))
    n, second = len(patient), patient % 2 == 1
    has = (random.random((patients, labels)) < PREVALENCE)[patient]
    failed = second & (random.random(patients) < world.failed)[patient]

    def noise() -> NDArray[np.float64]:
        of_patient, of_image = (
            random.normal(size=(patients, labels))[patient],
            random.normal(size=(n, labels)),
        )
        mixed: NDArray[np.float64] = CORRELATION**0.5 * of_patient + (1 - CORRELATION) ** 0.5 * of_image
        return mixed

    common = noise()
    same = Predictions(
        evaluation_set=where,
        target=target,
        image=np.arange(n).astype(np.str_),
        patient=patient.astype(np.str_),
        labels=(has if labels > 1 else np.concatenate([~has, has], axis=1)).astype(np.int8),
        logits=np.empty((n, 0), dtype=np.float32),
        attributes={"group": np.where(second, "second", "first")},
    )
    scored: list[list[Predictions]] = []
    for i, arm in enumerate(world.arms):
        scored.append([])
        for separation in arm.separation + world.between_seeds * deviates[i]:
            ease = np.where(second, arm.second, 1.0)[:, None] * (has - 0.5)
            score = separation * ease + world.shared**0.5 * common + (1 - world.shared) ** 0.5 * noise()
            log_odds = (
                arm.slope * arm.separation * score + np.log(PREVALENCE / (1 - PREVALENCE)) + arm.intercept
            )
            if where == SHIFT:
                log_odds = arm.strange * log_odds
            if i == 1:
                log_odds = np.where(failed[:, None], -1.5 * log_odds, log_odds)
            logits = log_odds if labels > 1 else np.concatenate([np.zeros((n, 1)), log_odds], axis=1)
            scored[i].append(replace(same, logits=logits.astype(np.float32)))
    return scored


def rows(supported: Counts, tried: Counts) -> list[Scarce]:
    """The table, with Clopper-Pearson 95 % intervals."""
    return [
        Scarce(
            kind=cell.kind,
            predicate=cell.predicate,
            n_patients=cell.patients,
            n_seeds=cell.seeds,
            **share(supported[cell], cohorts),
            cohorts=cohorts,
        )
        for cell, cohorts in sorted(tried.items())
    ]


def table(found: Iterable[Scarce]) -> list[str]:
    """Lines of the page: one row for kind, predicate and seeds, one column for a number of patients."""
    found = list(found)
    sizes = sorted({row.n_patients for row in found})
    of: dict[tuple[str, str, int], dict[int, Scarce]] = {}
    for row in found:
        of.setdefault((row.kind, row.predicate, row.n_seeds), {})[row.n_patients] = row
    lines = [
        ["metric", "claim", "seeds", *(f"{size} patients" for size in sizes)],
        ["---"] * (3 + len(sizes)),
    ]
    for (kind, predicate, seeds), by_size in of.items():
        cells_of_row = [_share(by_size[size]) if size in by_size else "" for size in sizes]
        lines.append([kind, predicate, str(seeds), *cells_of_row])
    return [f"| {' | '.join(line)} |" for line in lines]


def _share(row: Scarce) -> str:
    return f"{row.rate:.1%} [{row.low:.1%}, {row.high:.1%}]"


def _sizes(metric: Metric, patients: int, validation: int) -> dict[str, int]:
    """Patients of the evaluation sets that the metric looks at."""
    sizes = {ID: patients}
    if metric.pools_home:
        sizes[SHIFT] = patients
    if metric.needs_validation:
        sizes[VALIDATION] = validation
    return sizes


def _value(metric: Metric, scored: dict[str, Predictions]) -> float:
    validation = scored.get(VALIDATION)
    home = scored[ID]
    sample = pooled(home, scored[SHIFT], validation) if metric.pools_home else Sample(home, validation)
    value, reason = evaluate(metric, sample)
    assert value is not None, reason
    return value


def _target(kind: str) -> Target:
    if kind == THREE_LABELS:
        return Target(kind="multi-label", classes=("atelectasis", "edema", "nodule"))
    return Target(kind="single-label", classes=("benign", "malignant"))


def _declared(target: Target) -> PredictionsFile:
    """The simulated cohort as somebody else's predictions, which is what judging takes without a store."""
    nowhere = Position(upstream="simulated", architecture="simulated")
    return PredictionsFile(
        task="simulated",
        domain="chest",
        target=DeclaredTarget(kind=target.kind, classes=list(target.classes)),
        backbones=dict.fromkeys(PAIR, nowhere),
        shifts=[SHIFT],
    )


def _judged(cell: Cell, margin: float, folder: Folder) -> Judgement:
    kind, predicate = cell.kind, cell.predicate
    seeds = sorted({seed for _, seed in folder.runs})
    specs = {arm: {seed: spec_of(folder, arm, seed) for seed in seeds} for arm in PAIR}
    runs: dict[str, dict[int, OthersRun | None]] = {
        arm: {seed: run_of(folder, spec) for seed, spec in by_seed.items()} for arm, by_seed in specs.items()
    }
    item = Item(
        task="simulated",
        claim=predicate,
        evaluation_set=SHIFT if metric_named(kind, DECLARED).pools_home else ID,
        metric=kind,
        arms=dict(zip(PAIR, PAIR, strict=True)),
    )
    claim = Claim(
        claim=predicate,
        statement="",
        source=Source(study="", strength="G"),
        tasks=[],
        arms={},
        evaluate="id",
        predicate=predicate,
        margin=margin,
        margin_reason="",
        relevant_effect=2 * margin if predicate == "superiority" else 0.0,
        family="",
    )
    of_pair = terms(Gain(), PAIR, item.evaluation_set)
    planned = PlannedItem(item=item, metrics=DECLARED, terms=of_pair, runs=specs)
    return judge(planned, claim, runs)
