"""Nights made of the stored runs' predictions, judged and checked in full, with changes planted in them.

New seeds of an arm are drawn around its mean logits with the covariance that its stored seeds have, on
all evaluation sets at once.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from medbench.errors import MedbenchError
from medbench.expect import Accepted, Backbones, Expectation, Expectations, Rule, Samples, check
from medbench.gate import nights, rates
from medbench.gate.rates import Counts, Planted
from medbench.gate.worlds import World
from medbench.judge import ARMS, JudgedRun, judge
from medbench.judgement import Judgement
from medbench.metrics import Sample
from medbench.metrics.evidence import resting_on
from medbench.metrics.influence import influence
from medbench.policy import outcome
from medbench.predictions import Predictions
from medbench.record import RunRecord
from medbench.spec.metrics import BUILT_IN
from medbench.spec.records import Claim, Source
from medbench.spec.runs import Item, PlannedItem
from medbench.stats.patients import influence_by_patient, variance_over_patients
from medbench.store import StoredRun, read_run

METRICS = ("roc_auc", "brier", "nll")
LOGIT_NOISE = 0.006
"""Of another machine, by image and logit: it moves the largest of 90 areas by some .0008, as calibrated."""
SEEDS = tuple(range(1, rates.SEEDS + 1))
LATER = tuple(seed + len(SEEDS) for seed in SEEDS)

NOTHING = "nothing (one item alone)"

Arms = dict[str, dict[int, Predictions]]
"""One item's predictions by arm and seed."""
Change = Callable[[Arms, np.random.Generator], Arms]


@dataclass(frozen=True)
class NightlyRun:
    """A run as judging sees it, of one evaluation set.

    Attributes:
      record: of the stored run that it is drawn from.
      scored: its predictions.
      origin: always as if trained in that night.
    """

    record: RunRecord
    scored: Predictions
    origin: Literal["trained"] = "trained"

    def predictions(self, evaluation_set: str) -> Predictions:  # noqa: ARG002  a night's item has one
        """The predictions."""
        return self.scored


class Study:
    """The stored runs, and what was accepted for the items that they are scored for.

    Args:
      root: the folder `expectations`.
      tier: whose runs and values are read.
      expectations: of that tier.

    Raises:
      MedbenchError: a reference run is missing or damaged.
    """

    def __init__(self, root: Path, tier: str, expectations: Expectations) -> None:
        self.expectations = expectations
        self.runs: dict[tuple[str, str], dict[int, StoredRun]] = {}
        for record in sorted((root / tier / "runs").glob("*/*/record.json")):
            run = read_run(record.parent, "loaded")
            if run is not None:
                spec = run.record.spec
                self.runs.setdefault((spec.task, spec.backbone.name), {})[spec.seed] = run
        self._cache: dict[tuple[str, str, int, str], Predictions] = {}
        if not self.runs:
            raise MedbenchError(f"{root / tier / 'runs'}: no reference runs, which nights are made of.")

    def stored(self, task: str, backbone: str, evaluation_set: str) -> dict[int, Predictions]:
        """The predictions of an arm by seed."""
        found = {}
        for seed, run in sorted(self.runs[task, backbone].items()):
            key = (task, backbone, seed, evaluation_set)
            if key not in self._cache:
                self._cache[key] = run.predictions(evaluation_set)
            found[seed] = self._cache[key]
        return found

    def seeds(
        self, expectation: Expectation, mixtures: Mapping[tuple[str, str], NDArray[np.float64]]
    ) -> Arms:
        """New runs of an item, by arm and number from 1.

        Args:
          expectation: of the item.
          mixtures: by task and backbone (new, stored) weights of the deviations of the stored seeds.
        """
        task, _, evaluation_set = expectation.item.split("/")
        arms: Arms = {}
        for arm in ARMS:
            backbone = getattr(expectation.backbones, arm)
            of_seeds = list(self.stored(task, backbone, evaluation_set).values())
            logits = np.stack([each.logits for each in of_seeds]).astype(np.float64)
            mean = logits.mean(axis=0)
            mixed = mean + np.tensordot(mixtures[task, backbone], logits - mean, axes=1)
            arms[arm] = {
                i: replace(of_seeds[0], logits=new.astype(np.float32)) for i, new in enumerate(mixed, start=1)
            }
        return arms

    def mixtures(self, random: np.random.Generator) -> dict[tuple[str, str], NDArray[np.float64]]:
        """How the runs of a night are drawn: the same weights on all sets of a run."""
        return {
            arm: random.normal(size=(len(SEEDS), len(runs))) / (len(runs) - 1) ** 0.5
            for arm, runs in self.runs.items()
        }

    def judged(self, expectation: Expectation, metric: str, arms: Arms, first: int) -> Judgement:
        """An item judged by `medbench.judge` from predictions, seeds counted from `first`."""
        task, claim, evaluation_set = expectation.item.split("/")
        runs: dict[str, dict[int, JudgedRun | None]] = {}
        specs = {}
        for arm in ARMS:
            record = next(iter(self.runs[task, getattr(expectation.backbones, arm)].values())).record
            runs[arm] = {i + first - 1: NightlyRun(record, scored) for i, scored in arms[arm].items()}
            specs[arm] = dict.fromkeys(runs[arm], record.spec)
        item = Item(
            task=task,
            claim=claim,
            evaluation_set=evaluation_set,
            metric=metric,
            baseline=expectation.backbones.baseline,
            treatment=expectation.backbones.treatment,
        )
        planned = PlannedItem(item=item, metrics={metric: BUILT_IN[metric]}, **specs)
        return judge(planned, _claim(claim, expectation.definition.margin), runs)

    def accept(self, metric: str, arms: Mapping[str, Arms]) -> Expectations:
        """What is accepted for all items when the runs are these."""
        return Expectations(
            tuple(_accepted(e, self.judged(e, metric, arms[e.item], 1)) for e in self.expectations.accepted),
            self.expectations.calibration,
        )


def temperature(factor: float) -> Change:
    """All logits of both arms multiplied: probabilities drift, ranks stay."""
    return lambda arms, _: _each(arms, lambda p: replace(p, logits=p.logits * np.float32(factor)))


def group_harmed(arms: Arms, random: np.random.Generator) -> Arms:
    """The treatment knows nothing of one sub-group by sex or age: the logits of its images are permuted."""
    one = arms["treatment"][1]
    groups = [
        values == group
        for name, values in one.attributes.items()
        for group in np.unique(values)
        if 0.1 <= np.mean(values == group) <= 0.5 and name in {"sex", "age"}
    ]
    members = np.flatnonzero(groups[random.integers(len(groups))])

    def harm(predictions: Predictions) -> Predictions:
        logits = predictions.logits.copy()
        logits[members] = logits[random.permutation(members)]
        return replace(predictions, logits=logits)

    return {**arms, "treatment": {seed: harm(p) for seed, p in arms["treatment"].items()}}


def seed_broken(arms: Arms, random: np.random.Generator) -> Arms:
    """One seed of the treatment has learnt nothing: its logits belong to other images."""
    broken = int(random.integers(1, len(SEEDS) + 1))
    treatment = dict(arms["treatment"])
    order = random.permutation(len(treatment[broken]))
    treatment[broken] = replace(treatment[broken], logits=treatment[broken].logits[order])
    return {**arms, "treatment": treatment}


def labels_flipped(share: float) -> Change:
    """Labels of some images of the test set are wrong, the same for all runs."""

    def change(arms: Arms, random: np.random.Generator) -> Arms:
        labels = arms["baseline"][1].labels.copy()
        rows = random.choice(len(labels), round(share * len(labels)), replace=False)
        labels[rows] = np.where(labels[rows] < 0, labels[rows], 1 - labels[rows])
        return _each(arms, lambda p: replace(p, labels=labels))

    return change


def shuffled(arms: Arms, random: np.random.Generator) -> Arms:
    """Labels belong to other images, the same for all runs."""
    labels = arms["baseline"][1].labels
    permuted = labels[random.permutation(len(labels))]
    return _each(arms, lambda p: replace(p, labels=permuted))


def removed(arms: Arms, _: np.random.Generator) -> Arms:
    """No label is known any more, so that the metric is undefined."""
    unknown = np.full_like(arms["baseline"][1].labels, -1)
    return _each(arms, lambda p: replace(p, labels=unknown))


CHANGES: dict[tuple[str, float], Change] = {
    (NOTHING, 0.0): lambda arms, _: arms,
    ("calibration drift (temperature)", 1.5): temperature(1.5),
    ("one sub-group harmed", 1.0): group_harmed,
    ("one seed broken", 1.0): seed_broken,
    ("labels flipped", 0.01): labels_flipped(0.01),
    ("labels flipped", 0.05): labels_flipped(0.05),
    ("labels flipped", 0.1): labels_flipped(0.1),
    ("test set shuffled", 1.0): shuffled,
    ("metric removed", 1.0): removed,
}
"""By name and size: factor, or share of the group, seed, labels or set."""


def detections(
    study: Study, metric: str, sets: int, nights_each: int, random: np.random.Generator
) -> tuple[Counts, Counts]:
    """Changes planted in one item at random: how often that item is red, and of how many nights."""
    caught, tried = Counts(), Counts()
    for _ in range(sets):
        before, accepted = _accepted_night(study, metric, random)
        for _ in range(nights_each):
            item = study.expectations.accepted[random.integers(len(study.expectations.accepted))]
            for night in ("same seeds", "new seeds"):
                arms, first = _tonight(study, item, before[item.item], night, random)
                for (name, size), change in CHANGES.items():
                    cell = Planted(name, size, night, "", "stored runs", metric)
                    caught[cell] += _is_red(study.judged(item, metric, change(arms, random), first), accepted)
                    tried[cell] += 1
    return caught, tried


def agreement(study: Study, sets: int, random: np.random.Generator) -> tuple[Counter[str], int]:
    """Unchanged nights judged in full beside the shortcut by values, item by item, with new seeds.

    Returns:
      Counts of `same verdict`, `same alarm`, `alarms in full` and `alarms by values`, and the items in all.
    """
    counts: Counter[str] = Counter()
    items = 0
    for _ in range(sets):
        before, accepted = _accepted_night(study, "roc_auc", random)
        mixed = study.mixtures(random)
        for item in study.expectations.accepted:
            full = study.judged(item, "roc_auc", study.seeds(item, mixed), LATER[0])
            values = np.array([list(full.samples[arm].values()) for arm in ARMS])
            by_values = nights.judged(_world(before[item.item]), 0, values, np.array(LATER))
            short = structs.replace(full, verdict=by_values.verdict, effect=by_values.effect)
            red = _is_red(full, accepted), _is_red(short, accepted)
            counts["same verdict"] += full.verdict == short.verdict
            counts["same alarm"] += red[0] == red[1]
            counts["alarms in full"] += red[0]
            counts["alarms by values"] += red[1]
            items += 1
    return counts, items


def _accepted_night(
    study: Study, metric: str, random: np.random.Generator
) -> tuple[dict[str, Arms], Expectations]:
    mixed = study.mixtures(random)
    arms = {e.item: study.seeds(e, mixed) for e in study.expectations.accepted}
    return arms, study.accept(metric, arms)


def _tonight(
    study: Study, item: Expectation, before: Arms, night: str, random: np.random.Generator
) -> tuple[Arms, int]:
    """The item's predictions in an unchanged night, and the first seed."""
    if night == "new seeds":
        return study.seeds(item, study.mixtures(random)), LATER[0]

    def elsewhere(predictions: Predictions) -> Predictions:
        noise = LOGIT_NOISE * random.normal(size=predictions.logits.shape)
        return replace(predictions, logits=(predictions.logits + noise).astype(np.float32))

    return _each(before, elsewhere), 1


def _world(arms: Arms) -> World:
    """The variance over patients of one item as the accepted runs have it, and nothing else."""
    one = arms["baseline"][1]
    patients = resting_on(BUILT_IN["roc_auc"], Sample(one))
    total = np.zeros(len(one))
    for arm, sign in zip(ARMS, (-1, 1), strict=True):
        for predictions in arms[arm].values():
            of_run = influence(BUILT_IN["roc_auc"], Sample(predictions))
            assert of_run is not None
            total += sign * of_run / len(arms[arm])
    variance = variance_over_patients(influence_by_patient(total, one.patient), patients)
    none = np.zeros((1, 2))
    return World(
        means=none,
        deviations=none,
        patients=np.array([variance]),
        n_patients=np.array([patients]),
        step=np.ones(1),
    )


def _each(arms: Arms, change: Callable[[Predictions], Predictions]) -> Arms:
    return {arm: {seed: change(p) for seed, p in by_seed.items()} for arm, by_seed in arms.items()}


def _is_red(judgement: Judgement, expectations: Expectations) -> bool:
    compared = check(judgement, expectations)
    return compared.status != "ok" and outcome(judgement, compared).red


def _claim(name: str, margin: float) -> Claim:
    return Claim(
        claim=name,
        statement="",
        source=Source(study="", strength="G"),
        tasks=[],
        arms={},
        evaluate="each-shift",
        predicate="superiority",
        margin=margin,
        margin_reason="",
        relevant_effect=0.03,
        family="",
    )


def _accepted(of: Expectation, judgement: Judgement) -> Expectation:
    """What accepting a judgement of an item gives."""
    assert judgement.verdict is not None
    assert judgement.effect is not None
    assert judgement.definition is not None
    return Expectation(
        item=of.item,
        verdict=judgement.verdict,
        effect=judgement.effect,
        definition=judgement.definition,
        rule=Rule(),
        environment=judgement.environments[0],
        cohort_fingerprint=judgement.cohort_fingerprint,
        backbones=Backbones(baseline=judgement.baseline, treatment=judgement.treatment),
        accepted=Accepted(date="", commit="", reason="simulated", jax=""),
        groups=judgement.groups,
        samples=Samples(**judgement.samples),
    )
