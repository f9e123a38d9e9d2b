"""Nights made of the stored runs' predictions, judged and checked in full, with changes planted in them.

New seeds of an arm are drawn around its mean logits with the covariance that its stored seeds have, on
all evaluation sets at once.
"""

from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medbench.errors import MedbenchError
from medbench.expect import Expectation, Expectations
from medbench.gate import nights
from medbench.gate.rates import Counts, Planted
from medbench.gate.worlds import METRIC, RARER, Suite, is_area, variance_over_patients
from medbench.judge import JudgedRun, judge
from medbench.judgement import Definition, Judgement
from medbench.predictions import Predictions
from medbench.record import RunRecord
from medbench.spec.effects import BASELINE, PAIR, Gain, terms
from medbench.spec.metrics import BUILT_IN
from medbench.spec.records import Claim, Source
from medbench.spec.runs import Item, PlannedItem, RunSpec, label
from medbench.spec.units import Unit
from medbench.store import StoredRun, read_run
from medbench.units import in_words

METRICS = ("roc_auc", "brier", "nll")
LOGIT_NOISE = 0.012
"""Of another machine, by image and logit: it moves the largest of 18 areas by some .0008, as calibrated."""
NOTHING = "nothing (one item alone)"

_Arm = tuple[str, str]
"""Task, and what is fine-tuned, in words."""
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
    """The stored runs, and what was accepted for the items on the area that they are scored for.

    Of these, the items of the most seeds. Five are too few to draw others from: the logits of nets that were
    not pre-trained have little in common, and mixed anew they scatter several times as far.

    Args:
      root: the folder `expectations`.
      tier: whose runs and values are read.
      expectations: of that tier.

    Attributes:
      items: accepted gains of two arms of which all accepted seeds are stored, those of the most.
      runs: by task and arm, then by seed.

    Raises:
      MedbenchError: a reference run is damaged, or there are none of any item.
    """

    def __init__(self, root: Path, tier: str, expectations: Expectations) -> None:
        self._expectations = expectations
        suite = Suite.of(expectations)
        self.runs = _by_arm(root / tier / "runs", _own_recipes(suite))
        stored = [item for item in suite.items if is_area(item) and self._has_runs(item)]
        most = max(map(_later, stored), default=0)
        self.items = [item for item in stored if _later(item) == most]
        self._cache: dict[tuple[str, str, int, str], Predictions] = {}
        if not self.items:
            raise MedbenchError(
                f"{root / tier / 'runs'}: no gain of {METRIC} has reference runs of its accepted seeds for "
                "both arms, which nights are made of. Restore them, or name others with --expectations."
            )

    def _has_runs(self, item: Expectation) -> bool:
        """Of all accepted seeds of both arms."""
        return all(
            item.samples[arm].keys() <= self.runs.get(of_arm, {}).keys()
            for arm, of_arm in _arms(item).items()
        )

    def stored(self, task: str, arm: str, evaluation_set: str) -> dict[int, Predictions]:
        """The predictions of an arm by seed."""
        found = {}
        for seed, run in sorted(self.runs[task, arm].items()):
            key = (task, arm, seed, evaluation_set)
            if key not in self._cache:
                self._cache[key] = run.predictions(evaluation_set)
            found[seed] = self._cache[key]
        return found

    def seeds(self, item: Expectation, mixtures: Mapping[_Arm, NDArray[np.float64]]) -> Arms:
        """New runs of an item, as many as were accepted, by arm and number from 1.

        Args:
          item: accepted.
          mixtures: by task and arm (new, stored) weights of the deviations of the stored seeds.
        """
        evaluation_set = item.item.split("/", 2)[2]
        arms: Arms = {}
        for arm, of_arm in _arms(item).items():
            of_seeds = list(self.stored(*of_arm, evaluation_set).values())
            logits = np.stack([each.logits for each in of_seeds]).astype(np.float64)
            mean = logits.mean(axis=0)
            weights = mixtures[of_arm][: len(item.samples[BASELINE])]
            mixed = mean + np.tensordot(weights, logits - mean, axes=1)
            arms[arm] = {
                i: replace(of_seeds[0], logits=new.astype(np.float32)) for i, new in enumerate(mixed, start=1)
            }
        return arms

    def mixtures(self, random: np.random.Generator) -> dict[_Arm, NDArray[np.float64]]:
        """How the runs of a night are drawn: the same weights on all sets of a run."""
        most = max(len(item.samples[BASELINE]) for item in self.items)
        return {
            arm: random.normal(size=(most, len(runs))) / (len(runs) - 1) ** 0.5
            for arm, runs in self.runs.items()
        }

    def judged(self, accepted: Expectation, metric: str, arms: Arms, first: int) -> Judgement:
        """An item judged by `medbench.judge` from predictions, seeds counted from `first`."""
        task, claim, evaluation_set = accepted.item.split("/", 2)
        runs: dict[str, dict[int, JudgedRun | None]] = {}
        specs = {}
        for arm, of_arm in _arms(accepted).items():
            record = next(iter(self.runs[of_arm].values())).record
            runs[arm] = {i + first - 1: NightlyRun(record, scored) for i, scored in arms[arm].items()}
            specs[arm] = dict.fromkeys(runs[arm], record.spec)
        item = Item(
            task=task,
            claim=claim,
            evaluation_set=evaluation_set,
            metric=metric,
            arms=accepted.arms,
        )
        planned = PlannedItem(
            item=item,
            metrics={metric: BUILT_IN[metric]},
            terms=terms(Gain(), PAIR, evaluation_set),
            units=units_of(accepted),
            runs=specs,
        )
        return judge(planned, _claim(claim, accepted.definition), runs)

    def accept(self, metric: str, arms: Mapping[str, Arms]) -> Expectations:
        """What is accepted when the runs of these items are these; of other items, what it is in truth.

        So the level is shared over as many bands as the suite has.
        """
        judged = [nights.accepted(self.judged(e, metric, arms[e.item], 1)) for e in self.items]
        others = [e for e in self._expectations.accepted if e.item not in arms]
        return Expectations((*judged, *others), self._expectations.calibration)


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
    broken = int(random.integers(1, len(arms["treatment"]) + 1))
    treatment = dict(arms["treatment"])
    order = random.permutation(len(treatment[broken]))
    treatment[broken] = replace(treatment[broken], logits=treatment[broken].logits[order])
    return {**arms, "treatment": treatment}


def labels_flipped(share: float) -> Change:
    """Labels of some images of the test set are wrong, the same for all runs."""

    def change(arms: Arms, random: np.random.Generator) -> Arms:
        one = arms["baseline"][1]
        labels = one.labels.copy()
        rows = random.choice(len(labels), round(share * len(labels)), replace=False)
        if one.target.kind == "single-label":
            labels[rows] = np.roll(labels[rows], 1, axis=1)  # to the next class
        else:
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
            item = study.items[random.integers(len(study.items))]
            for night in ("same seeds", "new seeds"):
                arms, first = _tonight(study, item, before[item.item], night, random)
                for (name, size), change in CHANGES.items():
                    cell = Planted(name, size, night, "", "stored runs", metric)
                    changed = study.judged(item, metric, change(arms, random), first)
                    caught[cell] += nights.is_red(changed, accepted)
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
        _, accepted = _accepted_night(study, "roc_auc", random)
        mixed = study.mixtures(random)
        for item, before in zip(study.items, accepted.accepted, strict=False):  # then those of other items
            full = study.judged(item, "roc_auc", study.seeds(item, mixed), _later(item))
            values = np.array([list(full.samples[arm].values()) for arm in PAIR])
            over_patients = variance_over_patients(before)
            short = nights.concluded(full, before, values, over_patients, RARER)
            red = nights.is_red(full, accepted), nights.is_red(short, accepted)
            counts["same verdict"] += full.verdict == short.verdict
            counts["same alarm"] += red[0] == red[1]
            counts["alarms in full"] += red[0]
            counts["alarms by values"] += red[1]
            items += 1
    return counts, items


def _by_arm(folder: Path, own: Container[str]) -> dict[_Arm, dict[int, StoredRun]]:
    """The stored runs of each arm by seed.

    Args:
      folder: of runs.
      own: recipes that arms are named after.
    """
    arms: dict[_Arm, dict[int, StoredRun]] = {}
    for record in sorted(folder.glob("*/*/record.json")):
        run = read_run(record.parent, "loaded")
        if run is not None:
            spec = run.record.spec
            arms.setdefault((spec.task, _label(spec, own)), {})[spec.seed] = run
    return arms


def _own_recipes(suite: Suite) -> frozenset[str]:
    """The recipes that accepted arms have of their own; runs by any other are by the tier's."""
    return frozenset(arm.partition("+")[2] for item in suite.items for arm in item.arms.values())


def _label(spec: RunSpec, own: Container[str]) -> str:
    """What is fine-tuned, as accepted items name it."""
    recipe = spec.recipe.name if spec.recipe.name in own else ""
    return label(spec.backbone.name, fraction=spec.fraction, recipe=recipe)


def _arms(item: Expectation) -> dict[str, _Arm]:
    """What each arm's runs are found by."""
    return {arm: (item.item.partition("/")[0], item.arms[arm]) for arm in PAIR}


def units_of(item: Expectation) -> tuple[Unit, ...]:
    """What an accepted item scores, read from the words of its definition (`units.in_words`)."""
    words = item.definition.units
    if words == in_words(()):
        return ()
    steps = [step.partition(" by ") for step in words.split(", ")]
    return tuple(Unit(over=over, by=by.split(" and ")) for over, _, by in steps)  # type: ignore[arg-type]


def _later(item: Expectation) -> int:
    """The first seed that was not accepted, where nights count them from 1."""
    return len(item.samples[BASELINE]) + 1


def _accepted_night(
    study: Study, metric: str, random: np.random.Generator
) -> tuple[dict[str, Arms], Expectations]:
    mixed = study.mixtures(random)
    arms = {item.item: study.seeds(item, mixed) for item in study.items}
    return arms, study.accept(metric, arms)


def _tonight(
    study: Study, item: Expectation, before: Arms, night: str, random: np.random.Generator
) -> tuple[Arms, int]:
    """The item's predictions in an unchanged night, and the first seed."""
    if night == "new seeds":
        return study.seeds(item, study.mixtures(random)), _later(item)

    def elsewhere(predictions: Predictions) -> Predictions:
        noise = LOGIT_NOISE * random.normal(size=predictions.logits.shape)
        return replace(predictions, logits=(predictions.logits + noise).astype(np.float32))

    return _each(before, elsewhere), 1


def _each(arms: Arms, change: Callable[[Predictions], Predictions]) -> Arms:
    return {arm: {seed: change(p) for seed, p in by_seed.items()} for arm, by_seed in arms.items()}


def _claim(name: str, definition: Definition) -> Claim:
    return Claim(
        claim=name,
        statement="",
        source=Source(study="", strength="G"),
        tasks=[],
        arms={},
        evaluate="each-shift",
        predicate=definition.predicate,  # type: ignore[arg-type]  # an accepted one
        margin=definition.margin,
        margin_reason="",
        relevant_effect=0.03,
        family="",
    )
