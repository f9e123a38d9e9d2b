"""Accepted values of items: look-up, check for drift, and the reviewed act of updating them.

Whether the study is reproduced plays no part here (that is `judge`): this room only asks what has changed.
"""

import fcntl
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from medbench.errors import MedbenchError, few, printable
from medbench.judgement import Check, Definition, Interval, Judgement, Status, Verdict
from medbench.metrics.registry import higher_is_better
from medbench.predicates import PREDICATES, verdict
from medbench.spec.effects import AT
from medbench.spec.loader import dump_yaml, load_document, refuse_unread
from medbench.spec.records import Declared, Suite
from medbench.stats.prediction import (
    MEANS,
    SINGLE_SEEDS,
    SeedSpread,
    half_width,
    moderated_spread,
    prior_spread,
)
from medbench.writing import write_aside

NUMERIC: Literal["numeric@1"] = "numeric@1"
PREDICTION: Literal["moderated-prediction-familywise@3"] = "moderated-prediction-familywise@3"
SAFETY, LEAST, UNCALIBRATED = 3, 1e-4, 1e-3
"""The numeric tolerance is `SAFETY` times the largest calibrated difference and at least `LEAST`;
`UNCALIBRATED` where a metric has not been calibrated on a device class."""
INDEX = "items.yaml"
"""File in a tier's folder that lists every item with accepted values, so that none is lost unnoticed."""
FEWEST_SEEDS = 2
"""An arm, to be accepted: one seed says nothing of how far the next may lie."""
DIGITS = 6
"""Decimals of a stored value: far below any tolerance, and short enough to read in a diff."""
ROUNDED = 2 * 10**-DIGITS
"""How far a stored effect may be from that of its stored samples: each was rounded by itself."""


class Rule(Declared, frozen=True, kw_only=True, rename="kebab"):
    """The named rules that compute an item's bands; a changed rule gets a new name."""

    same_seeds: Literal["numeric@1"] = NUMERIC
    new_seeds: Literal["moderated-prediction-familywise@3"] = PREDICTION


class Accepted(Declared, frozen=True, kw_only=True, omit_defaults=True):
    """Who and when: the provenance of accepted values."""

    date: str
    """ISO 8601 day."""
    commit: str
    """Revision of the medbench checkout that trained the runs, with `+` if it had changes."""
    reason: str
    jax: str
    """Version that trained the runs."""
    trainer: str = ""
    """Who trained them, with the version; empty, and not written down, where medbench did."""


Values = Annotated[dict[int, float], msgspec.Meta(min_length=1)]


class Expectation(Declared, frozen=True, kw_only=True):
    """The accepted values of one item on one device class (`expectations/<tier>/<task>/<claim>.yaml`)."""

    item: str
    verdict: Verdict
    effect: Interval
    definition: Definition
    rule: Rule
    environment: str
    """The device class that all values were made on."""
    cohort_fingerprint: str
    """Other images, such as another generator version's, are not expected to give the same values."""
    arms: dict[str, str]
    """What was fine-tuned in each: a suspect when values move."""
    accepted: Accepted
    groups: dict[str, list[str]]
    """The sub-groups that were there, by attribute."""
    samples: dict[str, Values]
    """The metric by term (an arm) and seed: what bands are computed from."""

    def quantity(self, term: str) -> tuple[str, str, str, str]:
        """What a term's values are of, in whatever items: task, set (and attribute), metric, arm."""
        task, _, evaluation_set = self.item.split("/", 2)
        other_set = term.partition(AT)[2]
        return task, other_set or evaluation_set, self.definition.metric, self.arms[_arm(term)]


class Calibration(Declared, frozen=True, kw_only=True):
    """How far a metric moved when the same seeds ran elsewhere (a row of `expectations/numeric.yaml`)."""

    variant: str
    """What was changed, such as `XLA_FLAGS=--xla_cpu_max_isa=AVX2`."""
    environment: str
    """Device class."""
    jax: str
    metric: str
    """Name and version, such as `roc_auc@1`."""
    largest_difference: float


_ITEM = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*/[a-z0-9]+([.-][a-z0-9]+)*/.+")
Samples = Mapping[str, Mapping[int, float]]
"""A metric by term and seed."""
Groups = Mapping[str, Sequence[str]]
"""Sub-groups by attribute."""
_Key = tuple[str, str]
"""An item and the device class that its values were accepted on."""


@dataclass(frozen=True)
class Expectations:
    """All that was accepted for a tier."""

    accepted: tuple[Expectation, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    lost: frozenset[_Key] = frozenset()
    """What the index of the tier lists and no file holds any more."""

    def over(self, base: "Expectations", *, replaced: Callable[[str], bool]) -> "Expectations":
        """These laid over those of the suite that this one extends.

        An entry hides the base's for the same item and device class, as a lost one does.

        Args:
          base: what medbench accepted.
          replaced: whether an item, by its id, is of a claim or task that was declared anew: what the base
            has for such an item does not hold.
        """
        own = {_key(each) for each in self.accepted} | self.lost
        below = tuple(e for e in base.accepted if _key(e) not in own and not replaced(e.item))
        lost = frozenset(key for key in base.lost - own if not replaced(key[0]))
        return Expectations(self.accepted + below, self.calibration + base.calibration, self.lost | lost)

    def nearest(self, item: str, environments: Sequence[str]) -> Expectation | None:
        """The item's values on one of the device classes, else on the nearest class there is.

        Nearest is the same kind (`gpu-…`), then `cpu`, then the first by name.
        """

        def distance(expectation: Expectation) -> tuple[bool, bool, bool, str]:
            environment = expectation.environment
            kinds = {name.partition("-")[0] for name in environments}
            same_kind = environment.partition("-")[0] in kinds
            return environment not in environments, not same_kind, environment != "cpu", environment

        return min((e for e in self.accepted if e.item == item), key=distance, default=None)

    def tolerance(self, metric: str, environment: str) -> float:
        """How far the same seed may move on another machine of a device class (`numeric@1`).

        Of a metric of sub-groups it is what was calibrated for any attribute: few values were, and where a
        corrected gap is 0 in all of them, or no rank changed within the worst group, they say nothing of
        other seeds.
        """
        differences = [
            row.largest_difference
            for row in self.calibration
            if (_of_any_groups(row.metric), row.environment) == (_of_any_groups(metric), environment)
        ]
        return max(LEAST, SAFETY * max(differences)) if differences else UNCALIBRATED

    def bands(self, expectation: Expectation, term: str, new: Sequence[float]) -> tuple[float, float] | None:
        """Half the widths around a term's accepted mean: for the mean of new seeds, and for each of them.

        The spread between the term's accepted seeds, and for the mean that between the new ones too, is
        moderated by those of all terms of the same metric and device class; the level is shared over
        all accepted quantities of that class, each counted once. None where no spread is known
        (`moderated-prediction-familywise@3`).
        """
        environment, metric = expectation.environment, expectation.definition.metric
        accepted = list(expectation.samples[term].values())
        prior = self.priors[metric, environment]
        alone, both = moderated_spread(prior, accepted), moderated_spread(prior, accepted, new)
        if not alone.degrees_of_freedom:
            return None
        family = self.families[environment]
        of_mean = half_width(both, accepted=len(accepted), new=len(new), family=family, level=MEANS)
        of_each = half_width(
            alone, accepted=len(accepted), new=1, family=family * len(new), level=SINGLE_SEEDS
        )
        tolerance = self.tolerance(metric, environment)
        return max(of_mean, tolerance), max(of_each, tolerance)

    @cached_property
    def families(self) -> Counter[str]:
        """How many quantities were accepted, by device class."""
        distinct = {(e.environment, e.quantity(term)) for e in self.accepted for term in e.samples}
        return Counter(environment for environment, _ in distinct)

    @cached_property
    def priors(self) -> dict[tuple[str, str], SeedSpread]:
        """What the spreads of all terms have in common, by metric and device class."""
        keys = {(e.definition.metric, e.environment) for e in self.accepted}
        return {key: self._prior(*key) for key in keys}

    def _prior(self, metric: str, environment: str) -> SeedSpread:
        alike = {
            e.quantity(term): list(e.samples[term].values())
            for e in self.accepted
            if (e.definition.metric, e.environment) == (metric, environment)
            for term in e.samples
        }
        return prior_spread(
            alike.values(),
            # Evaluation sets of a task are scores of the same runs.
            arms=len({(task, arm) for task, _, _, arm in alike}),
            least=self.tolerance(metric, environment) / SAFETY,  # what machines alone make
        )


@dataclass(frozen=True)
class _Comparison:
    """One measured value beside what was accepted for it."""

    rule: str
    term: str
    quantity: str
    measured: float
    expected: float
    half: float
    loaded: bool = False
    """Whether the value was not made anew, so that only a changed metric could have moved it."""

    @property
    def band(self) -> tuple[float, float]:
        """Where the measured value should lie."""
        return self.expected - self.half, self.expected + self.half

    @property
    def distance(self) -> float:
        """From what was expected, in half-widths of the band."""
        return abs(self.measured - self.expected) / self.half

    @property
    def outside(self) -> bool:
        """Whether the measured value has left the band."""
        return self.distance > 1


def load_for(suite: Suite, tier: str, *, named: Path | None = None) -> Expectations:
    """What is accepted for a suite: its own values, over those of the suite that it extends.

    Args:
      suite: the declarations.
      tier: whose values.
      named: a folder in place of the one beside the suite; it stands for itself.

    Raises:
      MedbenchError: see `load`.
    """
    own = load(named or beside(Path(suite.root)), tier)
    if named or not suite.base:
        return own
    return own.over(load(beside(Path(suite.base)), tier), replaced=suite.replaces_item)


def beside(suite: Path) -> Path:
    """Where what was accepted for the suite in a folder is kept."""
    return suite.absolute().parent / "expectations"


def load(root: Path, tier: str) -> Expectations:
    """Read what was accepted for a tier, and the calibration of the numeric tolerance.

    Args:
      root: the folder `expectations`, which need not exist.
      tier: whose folder is read.

    Raises:
      MedbenchError: a file is not as it should be, ends in `.yml`, holds another file's item, holds an item
        twice, holds an item that the index lacks, or holds an effect or a verdict that its own samples
        contradict.
    """
    refuse_unread((root / tier).glob("*/*.*"))
    listed = _listed(root, tier)
    accepted: dict[_Key, Expectation] = {}
    for path in sorted((root / tier).glob("*/*.yaml")):
        document = load_document(path, list[Expectation])
        for i, expectation in enumerate(document.value):
            if not expectation.item.startswith(f"{path.parent.name}/{path.stem}/"):
                raise MedbenchError(
                    f"{path}: item `{expectation.item}` does not belong here; "
                    f"expected `{path.parent.name}/{path.stem}/…`. Move it to its own file."
                )
            key = _key(expectation)
            if key in accepted:
                raise MedbenchError(f"{path}: item `{key[0]}` stands here twice for {key[1]}. Delete one.")
            field, contradiction = _contradiction(expectation)
            if field:
                raise document.error(
                    *(i, field),
                    message=f"item `{expectation.item}`: {contradiction}. Restore the file, or delete this "
                    "entry and accept the item anew with --expect=new.",
                )
            if key not in listed:
                raise document.error(
                    *(i, "item"),
                    message=f"item `{key[0]}` is not listed for {key[1]} in {tier}/{INDEX}, which names all "
                    "that was accepted for the tier. Restore that file, or add the item to it.",
                )
            accepted[key] = expectation
    return Expectations(tuple(accepted.values()), load_calibration(root), listed - accepted.keys())


def load_calibration(root: Path) -> tuple[Calibration, ...]:
    """What the numeric tolerance follows from; none where the folder `expectations` has no numeric.yaml.

    Raises:
      MedbenchError: the file is not as it should be, or a difference is negative.
    """
    numeric = root / "numeric.yaml"
    return tuple(_calibrated(numeric)) if numeric.exists() else ()


def _key(expectation: Expectation) -> _Key:
    return expectation.item, expectation.environment


def _calibrated(path: Path) -> list[Calibration]:
    """The rows of numeric.yaml.

    Raises:
      MedbenchError: the file is not as it should be, or a difference is negative.
    """
    document = load_document(path, list[Calibration])
    for i, row in enumerate(document.value):
        if row.largest_difference < 0:
            raise document.error(
                *(i, "largest_difference"),
                message=f"expected a difference of at least 0, found {row.largest_difference:g}. "
                "Restore the file, or measure it anew by ci/calibrate.sh.",
            )
    return document.value


def _listed(root: Path, tier: str) -> frozenset[_Key]:
    """All that was accepted for a tier, as its index has it: items by device class."""
    path = root / tier / INDEX
    if not path.exists():
        return frozenset()
    document = load_document(path, dict[str, list[str]])
    for environment, items in document.value.items():
        for i, item in enumerate(items):
            if not _ITEM.fullmatch(item):
                raise document.error(
                    *(environment, i), message=f"expected an item, task/claim/evaluation-set, found `{item}`."
                )
    return frozenset((item, environment) for environment, items in document.value.items() for item in items)


def _contradiction(expectation: Expectation) -> tuple[str, str]:
    """The field of an entry that its other fields contradict, and how; empty where all agree."""
    samples, arms, weights = expectation.samples, expectation.arms, expectation.definition.weights
    seeds = list(dict.fromkeys(tuple(sorted(values)) for values in samples.values()))
    if len(seeds) > 1:
        return "samples", f"the arms have different seeds, {' and '.join(str(list(each)) for each in seeds)}"
    if {_arm(term) for term in samples} != arms.keys() or not weights.keys() <= samples.keys():
        return "samples", f"they are of {', '.join(samples)}, its arms are {', '.join(arms)}"
    return _wrong_conclusion(expectation)


def _wrong_conclusion(expectation: Expectation) -> tuple[str, str]:
    """The same of what was concluded from samples that fit each other."""
    definition, effect = expectation.definition, expectation.effect
    higher = higher_is_better(definition.metric)
    predicate = PREDICATES.get(definition.predicate)
    if higher is None or predicate is None:  # of another version of medbench: stale
        return "", ""
    samples, weights = expectation.samples, definition.weights
    gain = sum(weight * float(np.mean(list(samples[term].values()))) for term, weight in weights.items())
    expected = gain if higher else -gain
    if weights and abs(effect.value - expected) > ROUNDED:
        return "effect", f"its effect is {effect.value:+.6f}, but its samples give {expected:+.6f}"
    # A limit may have been rounded across the margin; few patients conclude nothing.
    possible = {verdict(effect, predicate(definition.margin + shift)) for shift in (-ROUNDED, 0, ROUNDED)}
    if expectation.verdict not in (*possible, "inconclusive"):
        return "verdict", (
            f"its verdict is {expectation.verdict}, but an effect of [{effect.low:+.6f}, {effect.high:+.6f}] "
            f"at margin {definition.margin:g} is {' or '.join(sorted(possible))}"
        )
    return "", ""


def check(judgement: Judgement, expectations: Expectations) -> Check:
    """Compare one item with what was accepted for it.

    Seeds that were accepted on the same device class and cohort are compared one by one (`numeric@1`).
    Of all other trained seeds, each arm's mean and each by itself are compared with the accepted mean
    (`moderated-prediction-familywise@3`). Loaded runs of another class or cohort measure nothing.

    Returns:
      Its status, and the value that lies furthest out relative to its band, one that was measured here if
      there is one.
    """
    expectation = expectations.nearest(judgement.id, judgement.environments)
    accepted = expectation.verdict if expectation else None
    lost = {environment for item, environment in expectations.lost if item == judgement.id}
    gone = (
        f"values accepted on {', '.join(sorted(lost))} are gone from "
        f"{judgement.task}/{judgement.claim}.yaml; restore them, accept the item anew there "
        f"with --expect=new, or take it off {INDEX} if that is meant"
    )
    if lost and (expectation is None or lost & set(judgement.environments)):
        return Check(id=judgement.id, status="vanished", accepted_verdict=accepted, detail=gone)
    if judgement.state == "not-run":
        return Check(id=judgement.id, status="not-run", accepted_verdict=accepted, detail=judgement.reason)
    if expectation is None:
        return Check(id=judgement.id, status="no-expectation", detail="nothing was accepted yet")
    incomparable = _incomparable(expectation, judgement)
    if incomparable:
        return Check(
            id=judgement.id, status=incomparable[0], accepted_verdict=accepted, detail=incomparable[1]
        )

    comparisons = _compare(expectation, judgement, expectations)
    status: Status = "drifted" if any(c.outside for c in comparisons) else "ok"
    if not comparisons:
        status = "not-compared"
    if {judgement.verdict, expectation.verdict} == {"supported", "refuted"}:
        status = "verdict-changed"
    result = Check(
        id=judgement.id,
        status=status,
        accepted_verdict=accepted,
        # What another device class has lost is for a session on that class to alarm about.
        detail="; ".join(filter(None, (_detail(expectation, judgement, comparisons), gone if lost else ""))),
        check=" + ".join(sorted({c.rule for c in comparisons})),
    )
    if not comparisons:
        return result
    furthest = max(comparisons, key=lambda c: (c.outside, not c.loaded, c.distance))
    return msgspec.structs.replace(
        result,
        expected=furthest.expected,
        measured=furthest.measured,
        band=furthest.band,
        quantity=furthest.quantity,
    )


def held_to(judgement: Judgement, expectations: Expectations) -> dict[str, tuple[float, float]]:
    """By term, the accepted mean of what was measured here, and how far the measured mean may lie from it.

    Of accepted seeds it is their own mean, of new ones that of all accepted seeds; terms of which nothing
    was measured, or both kinds, and items that cannot be compared have none.
    """
    expectation = expectations.nearest(judgement.id, judgement.environments)
    if expectation is None or judgement.state != "judged" or _incomparable(expectation, judgement):
        return {}
    held: dict[str, list[_Comparison]] = {}
    for each in _compare(expectation, judgement, expectations):
        if not each.loaded:
            held.setdefault(each.term, []).append(each)
    return {
        term: (float(np.mean([each.expected for each in comparisons])), comparisons[0].half)
        for term, comparisons in held.items()
        if len({each.rule for each in comparisons}) == 1
    }


def measured(judgement: Judgement) -> tuple[int, int]:
    """How many of an item's values were measured by this code, and of how many; the rest was loaded."""
    return (
        sum(map(len, judgement.trained.values())),
        sum(map(len, judgement.samples.values())),
    )


def vanished_items(expectations: Expectations, suite: Iterable[str]) -> list[Check]:
    """One check for each accepted item that the suite, as declared and unselected, no longer has."""
    verdicts: dict[str, Verdict | None] = {item: None for item, _ in expectations.lost}
    verdicts |= {e.item: e.verdict for e in expectations.accepted}
    detail = f"accepted, but no longer declared; delete it from its file and {INDEX} if that is meant"
    return [
        Check(id=item, status="vanished", accepted_verdict=verdicts[item], detail=detail)
        for item in sorted(verdicts.keys() - set(suite))
    ]


def _incomparable(expectation: Expectation, judgement: Judgement) -> tuple[Status, str] | None:
    """The status and reason where values cannot or need not be compared."""
    assert judgement.definition is not None
    changed = changed_definition(expectation.definition, judgement.definition)
    if changed:
        fields = "; ".join(f"{field} was {before}, is {now}" for field, before, now in changed)
        return "stale", f"the definition changed: {fields}; accept it with --expect=update"
    if judgement.state == "missing":
        return "vanished", judgement.reason
    seeds = lost_seeds(expectation.samples, judgement.samples)
    if seeds:
        return "vanished", f"accepted seeds are no longer run: {', '.join(map(str, seeds))}"
    lost = lost_groups(expectation.groups, judgement.groups)
    if lost:
        return "vanished", f"sub-groups are gone: {', '.join(lost)}"
    return None


def changed_definition(before: Definition, now: Definition) -> list[tuple[str, object, object]]:
    """The fields in which two definitions differ, each with what it was and is."""
    return [
        (field, getattr(before, field), getattr(now, field))
        for field in before.__struct_fields__
        if getattr(before, field) != getattr(now, field)
    ]


def lost_seeds(before: Samples, now: Samples) -> list[int]:
    """Seeds that were taken away from any term with no new one in their place."""
    gone = {
        seed
        for term, of in now.items()
        for seed in before.get(term, {}).keys() - of.keys()
        if not of.keys() - before.get(term, {}).keys()
    }
    return sorted(gone)


def lost_groups(before: Groups, now: Groups) -> list[str]:
    """Sub-groups that were there, each with its attribute, as `sex female`."""
    return [
        f"{attribute} {group}"
        for attribute, groups in before.items()
        for group in sorted(set(groups) - set(now.get(attribute, [])))
    ]


def _compare(expectation: Expectation, judgement: Judgement, expectations: Expectations) -> list[_Comparison]:
    """Every value that was measured beside what was accepted for it, by the rule that applies."""
    environment = expectation.environment
    tolerance = expectations.tolerance(expectation.definition.metric, environment)
    same_images = judgement.cohort_fingerprint == expectation.cohort_fingerprint
    comparisons = []
    for term, accepted in expectation.samples.items():
        new = dict[int, float]()
        for seed, measured in judgement.samples[term].items():
            if same_images and seed in accepted and judgement.devices[term][seed] == environment:
                quantity = f"{term}, seed {seed}"
                loaded = seed not in judgement.trained[term]
                comparisons.append(
                    _Comparison(NUMERIC, term, quantity, measured, accepted[seed], tolerance, loaded)
                )
            elif seed in judgement.trained[term]:
                new[seed] = measured
        bands = expectations.bands(expectation, term, list(new.values())) if new else None
        if bands is None:
            continue
        mean, expected = float(np.mean(list(new.values()))), float(np.mean(list(accepted.values())))
        comparisons.append(_Comparison(PREDICTION, term, f"mean of {term}", mean, expected, bands[0]))
        if len(new) > 1:
            comparisons += [
                _Comparison(PREDICTION, term, f"{term}, seed {seed}", value, expected, bands[1])
                for seed, value in new.items()
            ]
    return comparisons


def _detail(expectation: Expectation, judgement: Judgement, comparisons: Sequence[_Comparison]) -> str:
    """What changed, in one sentence."""
    parts = []
    if judgement.verdict != expectation.verdict:
        parts.append(f"{judgement.verdict}, accepted as {expectation.verdict}")
    outside = sorted((c for c in comparisons if c.outside), key=lambda c: (c.loaded, -c.distance))
    if outside:
        worst, *others = outside
        parts.append(
            f"{worst.quantity}: {worst.measured:.5f}, accepted {worst.expected:.5f} ± {worst.half:.5f}; "
            f"{len(outside)} of {len(comparisons)} values are outside"
        )
        also = few([f"{c.quantity} {c.measured - c.expected:+.5f}" for c in others])
        parts += [f"also {also}"] if also else []
        parts += [_CONTRADICTED] if worst.loaded else []
        moved = [arm for arm in judgement.arms if judgement.arms[arm] != expectation.arms.get(arm)]
        parts += [
            f"{arm} was {expectation.arms.get(arm, 'not there')}, is {judgement.arms[arm]}" for arm in moved
        ]
    if expectation.environment not in judgement.environments:
        parts.append(
            f"nothing was accepted on {', '.join(judgement.environments)}, so compared with "
            f"{expectation.environment}"
        )
    if judgement.cohort_fingerprint != expectation.cohort_fingerprint:
        parts.append("the cohort's images changed")
    if not comparisons:
        parts.append("no value could be compared")
    return "; ".join([*(parts or ["unchanged"]), *_loaded(judgement)])


_CONTRADICTED = (
    "what is loaded was not made anew, so it is the metric's code, the accepted value or the reference "
    "run that changed: see git log expectations"
)


def _loaded(judgement: Judgement) -> list[str]:
    """How little was measured, where that is less than all."""
    count, total = measured(judgement)
    if count == total:
        return []
    if not count:
        return ["all values are loaded, nothing was measured"]
    return [f"{count} of {total} values were measured, the rest is loaded"]


@dataclass(frozen=True)
class Change:
    """What an update did to one item on one device class.

    Attributes:
      before: None for an item that had nothing accepted.
      after: equal to `before` where nothing changed or the item was left alone.
      why_kept: why it was left alone, else empty.
    """

    item: str
    before: Expectation | None
    after: Expectation | None
    why_kept: str = ""


def update(
    judgements: Sequence[Judgement],
    *,
    root: Path,
    tier: str,
    reason: str,
    provenance: Callable[[str], Accepted],
    only_new: bool = False,
    known: Expectations | None = None,
    first: Callable[[Sequence[Change]], None] = lambda _: None,
) -> list[Change]:
    """Accept judged items; touches no other item and no other device class.

    An item whose values have not changed keeps its provenance. An item that was not judged is kept.
    Nothing is written for values that the suite's base has already.

    Args:
      judgements: the selected items.
      root: the folder `expectations`.
      tier: whose folder is written.
      reason: why the new values are right.
      provenance: of an item's values, by its id; may refuse by a MedbenchError.
      only_new: leave items alone that have something accepted on their device class (`--expect=new`).
      known: what holds before, where that is more than `root` has: see `Expectations.over`.
      first: is told what will change before anything is written, and may refuse.

    Returns:
      One change an item, before and after.

    Raises:
      MedbenchError: the environment variable CI is set, no reason is given, an item's runs come
        from several device classes, or `provenance` refuses. Nothing is written then.
    """
    require_reviewed(reason)
    held = {_key(each): each for each in (known or load(root, tier)).accepted}
    changes = [_change(judgement, held, provenance, only_new=only_new) for judgement in judgements]
    first(changes)
    put(changes, root, tier)
    return changes


def require_reviewed(reason: str) -> None:
    """Refuse to accept values where nobody looks, or without a word why.

    Raises:
      MedbenchError: the environment variable CI is set, or the reason is empty.
    """
    if os.environ.get("CI"):
        raise MedbenchError(
            "expectations are not updated in continuous integration (the environment variable CI is "
            "set): update them at home and have the difference reviewed."
        )
    if not reason.strip():
        raise MedbenchError('an update of expectations needs --reason "why the new values are right".')


def propose(
    judgements: Sequence[Judgement],
    *,
    root: Path,
    tier: str,
    provenance: Callable[[str], Accepted],
    known: Expectations,
) -> list[Change]:
    """Write what an update would, into a folder that is a copy of what was accepted.

    An item that an update would refuse is left as it is, with the reason. As nothing is accepted by this, it
    is not refused in continuous integration.

    Args:
      judgements: the selected items.
      root: the copy of the folder `expectations`.
      tier: whose folder is written.
      provenance: as for `update`.
      known: what was accepted; see `Expectations.over`.

    Returns:
      One change an item, before and after.
    """
    held = {_key(each): each for each in known.accepted}
    changes = [_proposed(judgement, held, provenance) for judgement in judgements]
    put(changes, root, tier)
    return changes


def _proposed(
    judgement: Judgement, old: dict[_Key, Expectation], provenance: Callable[[str], Accepted]
) -> Change:
    try:
        return _change(judgement, old, provenance, only_new=False)
    except MedbenchError as error:
        return Change(judgement.id, None, None, str(error).removeprefix(f"{judgement.id}: "))


def put(changes: Iterable[Change], root: Path, tier: str) -> None:
    """Write the files of the items that changed, one writer at a time.

    Raises:
      MedbenchError: what is there is not as it should be, or a file cannot be written.
    """
    touched = {_key(c.after): c.after for c in changes if c.after is not None and c.after != c.before}
    if not touched:
        return
    with _alone(root / tier):
        before = load(root, tier)
        old = {_key(each): each for each in before.accepted}
        # The index first: cut off in between, what it lists and no file holds is accepted again.
        _write(root / tier / INDEX, _by_device_class({*old, *touched, *before.lost}))
        for path in {file_of(root, tier, item) for item, _ in touched}:
            _write(path, [e for e in (old | touched).values() if file_of(root, tier, e.item) == path])


def summary(changes: Iterable[Change]) -> str:
    """The before/after table of an update, one line an item."""
    lines = []
    for change in changes:
        before, after = change.before, change.after
        if change.why_kept or after is None:
            lines.append(f"{change.item}: kept ({change.why_kept})")
        elif before is None:
            lines.append(f"{change.item} [{after.environment}]: new: {_in_words(after)}")
        elif before == after:
            lines.append(f"{change.item} [{after.environment}]: unchanged: {_in_words(after)}")
        else:
            now = f"{_in_words(after)}{_without(before, after)}{_defined_anew(before, after)}"
            lines.append(f"{change.item} [{after.environment}]: {_in_words(before)} -> {now}")
    return "\n".join(map(printable, lines))


def _defined_anew(before: Expectation, after: Expectation) -> str:
    """What the values mean now, so that nobody takes them for the same question."""
    fields = changed_definition(before.definition, after.definition)
    told = ", ".join(f"{name} {old} -> {new}" for name, old, new in fields)
    return f"; DEFINITION {told}" if told else ""


def _without(before: Expectation, after: Expectation) -> str:
    """What was there and would be missed no more, so that nobody accepts that unseen."""
    gone = lost_groups(before.groups, after.groups)
    gone += [f"seed {seed}" for seed in lost_seeds(before.samples, after.samples)]
    return f"; WITHOUT {', '.join(gone)}" if gone else ""


def is_accepted(judgement: Judgement, expectation: Expectation) -> bool:
    """Whether a judgement, in state `judged`, is what was accepted on its device class."""
    environment = expectation.environment
    if judgement.environments != [environment]:
        return False
    return accepted_as(judgement, environment, expectation.accepted) == expectation


def _change(
    judgement: Judgement,
    old: dict[_Key, Expectation],
    provenance: Callable[[str], Accepted],
    *,
    only_new: bool,
) -> Change:
    """What accepting a judgement would change."""
    if judgement.state != "judged":
        return Change(judgement.id, None, None, f"{judgement.state}: {judgement.reason}")
    seeds = min(map(len, judgement.samples.values()))
    if seeds < FEWEST_SEEDS:
        why = f"{seeds} seed an arm says nothing of how far the next may lie; run at least {FEWEST_SEEDS}"
        return Change(judgement.id, None, None, why)
    environment = _device_class(judgement)
    before = old.get((judgement.id, environment))
    if before is not None and only_new:
        return Change(judgement.id, before, before, "it has accepted values already")
    after = accepted_as(judgement, environment, provenance(judgement.id))
    unchanged = before is not None and is_accepted(judgement, before)
    return Change(judgement.id, before, before if unchanged else after)


def _device_class(judgement: Judgement) -> str:
    """The one device class that an item's runs come from."""
    classes = sorted({device for by_seed in judgement.devices.values() for device in by_seed.values()})
    if len(classes) > 1:
        raise MedbenchError(
            f"{judgement.id}: its runs come from {' and '.join(classes)}, and values of one device class "
            "only can be accepted. Train them all on one with --runs=force."
        )
    return classes[0]


def accepted_as(judgement: Judgement, environment: str, accepted: Accepted) -> Expectation:
    """The expectation that a judgement makes, in state `judged`, its values rounded as they are stored."""
    assert judgement.verdict is not None
    assert judgement.effect is not None
    assert judgement.definition is not None
    effect = judgement.effect
    return Expectation(
        item=judgement.id,
        verdict=judgement.verdict,
        effect=Interval(
            value=round(effect.value, DIGITS), low=round(effect.low, DIGITS), high=round(effect.high, DIGITS)
        ),
        definition=judgement.definition,
        rule=Rule(),
        environment=environment,
        cohort_fingerprint=judgement.cohort_fingerprint,
        arms=judgement.arms,
        accepted=accepted,
        groups=judgement.groups,
        samples={term: _rounded(values) for term, values in judgement.samples.items()},
    )


def _rounded(samples: dict[int, float]) -> dict[int, float]:
    return {seed: round(value, DIGITS) for seed, value in sorted(samples.items())}


def _in_words(expectation: Expectation) -> str:
    means = ", ".join(f"{term} {np.mean(list(of.values())):.4f}" for term, of in expectation.samples.items())
    return f"{expectation.verdict}, effect {expectation.effect.value:+.4f} ({means})"


def file_of(root: Path, tier: str, item: str) -> Path:
    """Where an item's accepted values are kept."""
    task, claim = item.split("/")[:2]
    return root / tier / task / f"{claim}.yaml"


def _of_any_groups(metric: str) -> str:
    """The identity without the attributes that sub-groups are formed by."""
    return re.sub(r"[-/]by-.*(?=-from-\d)", "", metric)


def _arm(term: str) -> str:
    return term.partition(AT)[0]


def _by_device_class(keys: Iterable[_Key]) -> dict[str, list[str]]:
    """The content of the index."""
    listed: dict[str, list[str]] = {}
    for environment, item in sorted((environment, item) for item, environment in keys):
        listed.setdefault(environment, []).append(item)
    return listed


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder, which is made, for this process: others that write to it wait."""
    with _accepting(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system that has no locks is written to without
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _write(path: Path, content: list[Expectation] | dict[str, list[str]]) -> None:
    """Replace a file whole, so that an interruption leaves the old one."""
    with _accepting(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(path, dump_yaml(content).encode())


@contextmanager
def _accepting(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MedbenchError(
            f"{path}: accepted values cannot be written ({error.strerror}). Make room or give yourself the "
            "right, and repeat the command: finished runs are kept."
        ) from error


def require_writable(root: Path) -> None:
    """Refuse before training what could not be written after it.

    Raises:
      MedbenchError: the folder `expectations`, or the one it is to be made in, cannot be written.
    """
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise MedbenchError(
            f"{there}: accepted values are to be written here, and it is no folder that can be written. Name "
            "another with --expectations, or give yourself the right."
        )
